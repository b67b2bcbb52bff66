//! Several hosts at one owner of a real zone: each renews a certificate of its own and has a daneroll of its own, and nothing is common
//! to them but the DNS. Here they are three configurations with directories of their own, and three servers of nginx.

use crate::{
    RFC2136, have,
    lab::{ACME, Lab, OWNER, Primary, SERVERS},
    namespace::must,
    oracle, ready,
    sampler::Sampler,
    servers::{last_lines, spki_sha256},
    services::NGINX_CONF,
    world::{LINEAGE, World, daneroll},
};
use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

const HOSTS: [Host; 3] = [
    Host { name: "a", address: "127.0.0.1" },
    Host { name: "b", address: "127.0.0.2" },
    Host { name: "c", address: "127.0.0.3" },
];

/// As daneroll.conf(5) has it.
const CONF: &str = "\
letsencrypt_directory = @HOME@/le
dane_directory = @HOME@/dane
state_directory = @HOME@/state
log = @HOME@/log
resolver = 127.0.0.53
trust_anchor = @DIR@/anchor.key
ttl = 0
settle = 1
record_ttl = 2
hold = 1
shared = yes
probe = tls
probe_address = 127.0.0.1 127.0.0.2 127.0.0.3
reload = nginx -p @HOME@ -c @HOME@/nginx.conf -s reload
[mx.example.test]
tlsa = 311 25
api = @API@
";

struct Host {
    name: &'static str,
    address: &'static str,
}

impl Host {
    fn path(&self, lab: &Lab, file: &str) -> String {
        lab.text(&format!("{}/{file}", self.name))
    }

    /// Its certificate, its configuration, its dane directory, and its server that reads from there.
    fn set_up(&self, lab: &Lab) {
        fs::create_dir(lab.path(self.name)).unwrap();
        self.certbot(lab, &["certonly", "--agree-tos", "--register-unsafely-without-email", "-d", LINEAGE]);
        let host = lab.text(self.name);
        let write = |name: &str, text: &str| {
            let text = text.replace("@HOME@", &host).replace("@ADDRESS@", self.address).replace("@API@", RFC2136);
            lab.write(&format!("{}/{name}", self.name), &text).unwrap();
        };
        write("conf", CONF);
        write("nginx.conf", NGINX_CONF);
        assert!(self.start(lab, &["--reset"]).wait().unwrap().success(), "{}", self.log(lab));
        let argv = ["nginx", "-p", &host, "-c", &self.path(lab, "nginx.conf")];
        lab.namespace().serve(&format!("nginx-{}", self.name), &argv, &[]).unwrap();
    }

    fn certbot(&self, lab: &Lab, args: &[&str]) {
        let args = [args, &["--standalone", "--http-01-port", "5002", "--server", ACME]].concat();
        lab.certbot(&format!("{}/le", self.name), &args).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    fn renew(&self, lab: &Lab) {
        let hook = |word: &str| format!("{} -c {} {word}", daneroll(), self.path(lab, "conf"));
        let (pre, post) = (hook("--pre"), hook("--post"));
        let renew =
            ["renew", "--force-renewal", "--no-random-sleep-on-renew", "--pre-hook", &pre, "--post-hook", &post];
        self.certbot(lab, &renew);
    }

    fn start(&self, lab: &Lab, options: &[&str]) -> Child {
        let mut command = lab.command("timeout");
        command.args(["--kill-after=5", "60", daneroll(), "-c", &self.path(lab, "conf")]).args(options);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The key of its newest certificate.
    fn key(&self, lab: &Lab) -> String {
        let number = |n: &usize| lab.path(&format!("{}/le/archive/{LINEAGE}/cert{n}.pem", self.name)).exists();
        let newest = (1..).take_while(number).count();
        spki_sha256(&lab.path(&format!("{}/le/archive/{LINEAGE}/cert{newest}.pem", self.name))).unwrap()
    }

    /// What its server presents to somebody who comes now.
    fn presents(&self, lab: &Lab) -> Option<String> {
        let script = format!("openssl s_client -connect {}:25 </dev/null 2>/dev/null | openssl x509", self.address);
        let pem = must(lab.command("sh").args(["-c", &script])).ok()?;
        let file = lab.path(&format!("{}/seen.pem", self.name));
        fs::write(&file, pem).ok()?;
        spki_sha256(&file).ok()
    }

    fn log(&self, lab: &Lab) -> String {
        format!("{}:\n{}\n", self.name, last_lines(&lab.path(&format!("{}/log", self.name)), 12))
    }
}

/// One host renews; then all do, and their runs meet at the one RRset. Each ends with its newest certificate, and the RRset with
/// just these three records.
#[test]
fn hosts_that_share_an_owner_roll_over() {
    if !ready("fleet") || !have("fleet", &["nginx", "nsupdate", "openssl"]) {
        return;
    }
    let world = World::empty(Primary::Updates, "fleet");
    let lab = &world.lab;
    HOSTS.iter().for_each(|host| host.set_up(lab));
    publish_together(lab);
    settle(&world);
    world.tell("each of three hosts has found its record");
    let files = HOSTS.map(|host| (host.name, lab.path(&format!("{}/dane/{LINEAGE}/fullchain.pem", host.name))));
    let watch = Sampler::start(lab, files.into());
    HOSTS[0].renew(lab);
    settle(&world);
    world.tell("one has rolled over");
    HOSTS.iter().for_each(|host| host.renew(lab));
    settle(&world);
    world.tell("all have rolled over");
    let log = watch.stop();
    assert!(log.shown.len() > 100 && log.unanswered * 10 < log.shown.len(), "the watch saw too little");
    let found = oracle::violations(&log.shown, &log.presented, BTreeSet::contains);
    assert!(found.is_empty(), "{} mismatches, such as\n{}", found.len(), found[..found.len().min(5)].join("\n"));
}

/// The first records of all hosts come in one change, by hand.
fn publish_together(lab: &Lab) {
    let adds: String =
        HOSTS.iter().map(|host| format!("update add {OWNER} 2 TLSA 3 1 1 {}\n", host.key(lab))).collect();
    let script = format!("server {}\nzone example.test\n{adds}send\n", SERVERS[0]);
    lab.write("together", &script).unwrap();
    must(lab.command("nsupdate").args(["-k", &lab.text("tsig.key"), &lab.text("together")])).unwrap();
}

/// Runs of all hosts at the same time, until each presents its newest certificate and both servers show just their records.
fn settle(world: &World) {
    let lab = &world.lab;
    let keys: BTreeSet<String> = HOSTS.iter().map(|host| host.key(lab)).collect();
    assert_eq!(keys.len(), HOSTS.len());
    let deadline = Instant::now() + Duration::from_secs(90);
    let settled = || {
        SERVERS.iter().all(|server| lab.tlsa(server) == keys)
            && HOSTS.iter().all(|host| host.presents(lab).as_ref() == Some(&host.key(lab)))
    };
    loop {
        let runs = HOSTS.map(|host| host.start(lab, &[]));
        for mut run in runs {
            run.wait().unwrap();
        }
        if settled() {
            return;
        }
        let logs = || HOSTS.iter().map(|host| host.log(lab)).collect::<String>();
        assert!(Instant::now() < deadline, "not settled: {:?}, not {keys:?}\n{}", lab.tlsa(SERVERS[0]), logs());
        thread::sleep(Duration::from_millis(500));
    }
}
