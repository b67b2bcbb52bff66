//! Dovecot: reads its files at start and reload; takes files that do not fit, and TLS is then broken.

use crate::{certs::Cert, lab::Lab, see};
use daneroll::probe::Protocol::{self, Imap, Pop3, Sieve, Tls};

const CONF: &str = "\
base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/dovecot.log
protocols = imap pop3 sieve
listen = 127.0.0.1
ssl = yes
ssl_cert = <@DIR@/cert.pem
ssl_key = <@DIR@/key.pem
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
";

/// The second pair.
const ALT: &str = "\
ssl_alt_cert = <@DIR@/alt-cert.pem
ssl_alt_key = <@DIR@/alt-key.pem
";

const PROGRAMS: [&str; 5] =
    ["dovecot", "doveadm", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/managesieve", "/usr/lib/dovecot/pop3"];
const RELOAD: &str = "doveadm -c @DIR@/dovecot.conf reload";
const PORTS: [(Protocol, u16); 5] = [(Imap, 143), (Pop3, 110), (Sieve, 4190), (Tls, 993), (Tls, 995)];

#[test]
fn old_new_and_broken() {
    let (old, new) = (Cert::rsa(2), Cert::ecdsa());
    let Some(lab) = Lab::start("dovecot", &PROGRAMS) else { return };
    start(&lab, CONF, &old);
    for (protocol, port) in PORTS {
        see::expect(&lab.see(protocol, port), &[&old], &format!("{port} at first"));
    }
    put(&lab, &new);
    for (protocol, port) in PORTS {
        see::expect(&lab.see(protocol, port), &[&old], &format!("{port} keeps the old one in memory"));
    }
    lab.run(RELOAD);
    for (protocol, port) in PORTS {
        let seen = lab.see_until(protocol, port, |seen| seen.chains == [new.chain.clone()]);
        see::expect(&seen, &[&new], &format!("{port} after a reload"));
    }
    put(&lab, &new.with_key_of(&old));
    lab.run(RELOAD);
    for (protocol, port) in PORTS {
        let seen = lab.see_until(protocol, port, |seen| seen.chains.is_empty());
        assert!(seen.chains.is_empty() && seen.unknown.is_some(), "{port} is broken: {seen:?}");
    }
}

#[test]
fn an_rsa_and_an_ecdsa_certificate() {
    let (rsa, ecdsa) = (Cert::rsa(3), Cert::ecdsa());
    let Some(lab) = Lab::start("dovecot-dual", &PROGRAMS) else { return };
    lab.write("alt-cert.pem", &ecdsa.pem);
    lab.write("alt-key.pem", &ecdsa.key);
    start(&lab, &[CONF, ALT].concat(), &rsa);
    see::expect(&lab.see(Imap, 143), &[&rsa, &ecdsa], "each kind is asked for");
}

fn start(lab: &Lab, conf: &str, cert: &Cert) {
    lab.write("dovecot.conf", conf);
    put(lab, cert);
    lab.serve("dovecot-start", "dovecot -F -c @DIR@/dovecot.conf");
    PORTS.iter().for_each(|(_, port)| drop(lab.connect(*port)));
}

fn put(lab: &Lab, cert: &Cert) {
    lab.write("cert.pem", &cert.pem);
    lab.write("key.pem", &cert.key);
}
