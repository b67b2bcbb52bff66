//! Postfix: each new smtpd reads the files as they are then, idle ones keep what they have until a reload.

use crate::{certs::Cert, lab::Lab, see};
use daneroll::{
    env::Visited,
    probe::Protocol::{Smtp, Tls},
};
use std::{
    fs,
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = @DIR@/queue
data_directory = @DIR@/data
maillog_file = @DIR@/mail.log
maillog_file_prefixes = /tmp
myhostname = mx.example.test
mydestination =
mynetworks = 192.0.2.1
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = @DIR@/chain.pem
smtpd_forbid_unauth_pipelining = yes
";

const MASTER: &str = "\
25 inet n - n - - smtpd
465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
tlsmgr unix - - n - 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
";

const RELOAD: &str = "postfix -c @DIR@/etc reload";

#[test]
fn old_new_mixed_and_broken() {
    let (old, new) = (Cert::ecdsa(), Cert::ecdsa());
    let Some(lab) = start("postfix", &old.bundle()) else { return };

    one_idle_process(&lab, 25);
    lab.write("chain.pem", &new.bundle());
    see::expect(&lab.see(Smtp, 25), &[&old, &new], "changed files and no reload");
    one_idle_process(&lab, 465);
    lab.run(RELOAD);
    see::expect(&lab.see_until(Smtp, 25, shows(1)), &[&new], "after a reload");
    see::expect(&lab.see_until(Tls, 465, shows(1)), &[&new], "after a reload, TLS from the first byte on");

    lab.write("chain.pem", &new.with_key_of(&old).bundle());
    lab.run(RELOAD);
    let seen = lab.see_until(Smtp, 25, shows(0));
    let refused = "refuses STARTTLS: \"454 4.7.0 TLS not available due to local problem\"";
    assert_eq!((seen.chains.len(), seen.unknown.as_deref()), (0, Some(refused)), "{}", lab.logs());

    expect_manners(&lab);
}

#[test]
fn an_rsa_and_an_ecdsa_certificate() {
    let (rsa, ecdsa) = (Cert::rsa(1), Cert::ecdsa());
    let Some(lab) = start("postfix-dual", &[rsa.bundle(), ecdsa.bundle()].concat()) else { return };
    see::expect(&lab.see(Smtp, 25), &[&rsa, &ecdsa], "each kind is asked for");
    see::expect(&lab.see(Tls, 465), &[&rsa, &ecdsa], "each kind is asked for");
}

fn start(test: &str, chain: &str) -> Option<Lab> {
    let lab = Lab::start(test, &["postfix", "/usr/lib/postfix/sbin/master"])?;
    lab.make_dir("root", "etc");
    lab.write("etc/main.cf", MAIN);
    lab.write("etc/master.cf", MASTER);
    lab.write("chain.pem", chain);
    lab.make_dir("root", "queue");
    lab.make_dir("root", "queue/pid");
    for name in ["data", "queue/private", "queue/public", "queue/incoming", "queue/active", "queue/maildrop"] {
        lab.make_dir("postfix", name);
    }
    lab.serve("postfix", "/usr/lib/postfix/sbin/master -d -c @DIR@/etc");
    lab.connect(25);
    Some(lab)
}

/// A session before the probe's, whose process then waits for the next one.
fn one_idle_process(lab: &Lab, port: u16) {
    let mut stream = lab.connect(port);
    if port == 25 {
        let mut greeting = [0; 100];
        assert!(stream.read(&mut greeting).unwrap() > 0);
        stream.write_all(b"QUIT\r\n").unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).is_ok());
    }
}

fn shows(chains: usize) -> impl Fn(&Visited) -> bool {
    move |seen| seen.chains.len() == chains
}

/// The log is free of complaints about us.
fn expect_manners(lab: &Lab) {
    let log = || fs::read_to_string(lab.path("mail.log")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !log().contains("ehlo=1 starttls=1 quit=1 commands=3") {
        assert!(Instant::now() < deadline, "no polite session in the log:\n{}", log());
        thread::sleep(Duration::from_millis(50));
    }
    for complaint in ["improper command pipelining", "non-SMTP command", "too many errors", "timeout after"] {
        assert!(!log().contains(complaint), "{complaint}:\n{}", log());
    }
}
