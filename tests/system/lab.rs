//! The servers: BIND that signs `example.test` and takes updates (127.0.0.11), a knot secondary (127.0.0.12), unbound
//! as resolver (127.0.0.53), and pebble, an ACME server for tests (127.0.0.1:14000).

use crate::{
    hidden,
    namespace::{Namespace, must},
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The two authoritative servers, primary first.
pub const SERVERS: [&str; 2] = ["127.0.0.11", "127.0.0.12"];
/// Where the TLSA RRset is.
pub const OWNER: &str = "_25._tcp.mx.example.test.";
/// The ACME directory.
pub const ACME: &str = "https://127.0.0.1:14000/dir";

const RESOLVER: &str = "127.0.0.53";

/// The files that the servers and `hooks/provider-nsupdate` read; `@DIR@` in them is the directory of the laboratory.
const FILES: [(&str, &str); 8] = [
    ("named.conf", include_str!("etc/named.conf")),
    ("named/root.zone", include_str!("etc/root.zone")),
    ("named/test.zone", include_str!("etc/test.zone")),
    ("named/example.test.zone", include_str!("etc/example.test.zone")),
    ("root.hints", include_str!("etc/root.hints")),
    ("unbound.conf", include_str!("etc/unbound.conf")),
    ("pebble.json", include_str!("etc/pebble.json")),
    ("nsupdate.conf", include_str!("etc/nsupdate.conf")),
];

/// Who serves `example.test`, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// BIND, which signs it and takes updates; knot follows.
    Updates,
    /// BIND, from a file that includes another; knot follows.
    Bind,
    /// knot, from such a file; BIND follows.
    Knot,
    /// NSD, from such a file that was signed by hand; BIND follows.
    Nsd,
    /// One that nobody sees and that takes updates; BIND and NSD follow.
    Hidden(hidden::Primary),
}

impl Primary {
    /// Its files, and what tells BIND of the zone.
    fn files(self) -> Vec<(&'static str, &'static str)> {
        let knot = ("knot.conf", include_str!("etc/knot.conf"));
        let included = ("zones/example.test.zone", include_str!("etc/included.zone"));
        let secondary = ("zones.conf", include_str!("etc/included-secondary.conf"));
        match self {
            Primary::Updates => vec![knot, ("zones.conf", include_str!("etc/updates.conf"))],
            Primary::Bind => vec![knot, included, ("zones.conf", include_str!("etc/included-bind.conf"))],
            Primary::Knot => vec![("knot.conf", include_str!("etc/included-knot.conf")), included, secondary],
            Primary::Nsd => vec![("nsd.conf", include_str!("etc/included-nsd.conf")), included, secondary],
            Primary::Hidden(_) => {
                let named = ("named.conf", include_str!("etc/named-secondary.conf"));
                vec![named, ("nsd.conf", include_str!("etc/nsd.conf"))]
            }
        }
    }
}

/// All servers, up and running until this is dropped.
pub struct Lab {
    namespace: Namespace,
}

impl Lab {
    /// Starts everything and waits until it answers: about two seconds.
    pub fn start(primary: Primary) -> io::Result<Lab> {
        let namespace = Namespace::new(&[SERVERS[0], SERVERS[1], hidden::ADDRESS, RESOLVER], RESOLVER)?;
        let lab = Lab { namespace };
        for dir in ["named", "knot", "nsd", "zones", "keys"] {
            fs::create_dir(lab.path(dir))?;
        }
        fs::write(lab.path("zones/example.test.tlsa"), "")?;
        for (name, text) in FILES.into_iter().chain(primary.files()) {
            fs::write(lab.path(name), text.replace("@DIR@", lab.path("").to_str().unwrap().trim_end_matches('/')))?;
        }
        lab.start_name_servers(primary)?;
        lab.start_resolver()?;
        lab.start_acme()?;
        Ok(lab)
    }

    /// A path in the directory of the laboratory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.namespace.dir().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A command that runs among the servers.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// The network namespace, for sockets of our own.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The association data of all TLSA records with parameters 3 1 1 at `server`, as dig sees them, in lower-case
    /// hexadecimal; other parameters as `U S M DATA`. Panics if the server gives no answer.
    pub fn tlsa(&self, server: &str) -> BTreeSet<String> {
        let said = self.dig(server, OWNER, "TLSA").unwrap();
        assert!(said.contains("flags: qr aa"), "no authoritative answer from {server}:\n{said}");
        said.lines().filter_map(tlsa_of_line).collect()
    }

    /// The serial of the zone at `server`.
    pub fn serial(&self, server: &str) -> String {
        let said = self.dig(server, "example.test", "SOA").unwrap();
        let soa = said.lines().find(|line| line.contains("\tSOA\t")).unwrap();
        soa.split_whitespace().nth(6).unwrap().to_owned()
    }

    /// Stops the secondary from following the primary: `zone-freeze`, `zone-thaw`.
    pub fn knotc(&self, command: &str) {
        let socket = self.text("knot/knot.sock");
        must(self.command("knotc").args(["-s", &socket, command, "example.test"])).unwrap();
    }

    /// The last lines of a server's log.
    pub fn tail(&self, label: &str) -> String {
        let log = fs::read_to_string(self.path(&format!("{label}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn start_name_servers(&self, primary: Primary) -> io::Result<()> {
        let key = self.path("tsig.key");
        fs::write(&key, must(Command::new("tsig-keygen").args(["-a", "hmac-sha256", "daneroll"]))?)?;
        must(Command::new("chmod").arg("600").arg(&key))?;
        must(Command::new("rndc-confgen").args(["-a", "-c", &self.text("rndc.key")]))?;
        match primary {
            Primary::Updates | Primary::Bind => {
                self.start_named()?;
                self.start_knot()
            }
            Primary::Knot => {
                self.start_knot()?;
                self.start_named()
            }
            Primary::Nsd => {
                self.sign()?;
                self.start_nsd()?;
                self.start_named()
            }
            Primary::Hidden(primary) => {
                primary.start(self)?;
                self.wait("hidden", || self.is_signed(hidden::ADDRESS))?;
                self.start_named()?;
                self.start_nsd()
            }
        }
    }

    fn start_named(&self) -> io::Result<()> {
        let named = self.unconfined("named")?;
        self.namespace.serve("named", &[&named, "-g", "-c", &self.text("named.conf")], &[])?;
        self.wait("named", || self.is_signed(SERVERS[0]))
    }

    fn start_knot(&self) -> io::Result<()> {
        self.namespace.serve("knot", &["knotd", "-c", &self.text("knot.conf")], &[])?;
        self.wait("knot", || self.is_signed(SERVERS[1]))
    }

    /// Signs the zone by hand.
    fn sign(&self) -> io::Result<()> {
        let keys = self.text("keys");
        must(
            Command::new("dnssec-keygen")
                .args("-a ECDSAP256SHA256 -f KSK -L 2 -K".split(' '))
                .args([&keys, "example.test"]),
        )?;
        let (from, to) = (self.text("zones/example.test.zone"), self.text("zones/example.test.signed"));
        let options = "-z -S -N unixtime -o example.test -K";
        must(Command::new("dnssec-signzone").args(options.split(' ')).args([&keys, "-d", &keys, "-f", &to, &from]))?;
        Ok(())
    }

    fn start_nsd(&self) -> io::Result<()> {
        let nsd = self.unconfined("nsd")?;
        self.namespace.serve("nsd", &[&nsd, "-d", "-c", &self.text("nsd.conf")], &[])?;
        self.wait("nsd", || self.is_signed(SERVERS[1]))
    }

    fn is_signed(&self, server: &str) -> io::Result<bool> {
        Ok(self.dig(server, "example.test", "DNSKEY")?.contains("\tRRSIG\t"))
    }

    fn start_resolver(&self) -> io::Result<()> {
        let keys = self.dig(SERVERS[0], "example.test", "DNSKEY")?;
        let anchor: Vec<&str> = keys.lines().filter(|line| line.contains("\tDNSKEY\t")).collect();
        fs::write(self.path("anchor.key"), anchor.join("\n") + "\n")?;
        let unbound = self.unconfined("unbound")?;
        self.namespace.serve("unbound", &[&unbound, "-d", "-c", &self.text("unbound.conf")], &[])?;
        self.wait("unbound", || Ok(self.dig(RESOLVER, "mx.example.test", "A")?.contains("flags: qr rd ra ad")))
    }

    fn start_acme(&self) -> io::Result<()> {
        let (key, certificate) = (self.text("pebble.key"), self.text("pebble.crt"));
        let mut openssl = Command::new("openssl");
        openssl
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=pebble".split(' '));
        must(openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &certificate]))?;
        let resolver = format!("{RESOLVER}:53");
        let argv = ["pebble", "-config", &self.text("pebble.json"), "-dnsserver", &resolver];
        // No pauses and no invented errors: we test something else.
        let vars = [("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0"), ("PEBBLE_AUTHZREUSE", "0")];
        self.namespace.serve("pebble", &argv, &vars)?;
        self.wait("pebble", || Ok(self.tail("pebble").contains("Listening on: 127.0.0.1:14000")))
    }

    /// A copy of a server's program: where AppArmor confines the installed one by its path, it could not read our files.
    fn unconfined(&self, program: &str) -> io::Result<String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
        let copy = self.path(&format!("{program}.copy"));
        let installed = installed.ok_or_else(|| io::Error::other(format!("{program} is not in PATH")))?;
        // By another process: a child that some thread forks just then would hold our file open for writing, "text file busy".
        must(Command::new("cp").arg(installed).arg(&copy))?;
        Ok(copy.to_str().unwrap().to_owned())
    }

    /// One question without patience, and all that dig prints.
    fn dig(&self, server: &str, name: &str, kind: &str) -> io::Result<String> {
        let at = format!("@{server}");
        let output =
            self.command("dig").args(["+dnssec", "+nosplit", "+time=1", "+tries=2", &at, name, kind]).output()?;
        // dig prints several tabs or a blank where a name is long or short.
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("\t");
        let tidy = |line: &str| if line.starts_with(';') { line.to_owned() } else { words(line) };
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(tidy).collect::<Vec<_>>().join("\n"))
    }

    /// Waits until a server does what it was started for.
    fn wait(&self, label: &str, ready: impl Fn() -> io::Result<bool>) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ready()? {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{label} does not come up:\n{}", self.tail(label))));
            }
            thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }
}

/// One line of dig's answer: `NAME TTL IN TLSA U S M DATA`, separated by tabs.
fn tlsa_of_line(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split('\t').collect();
    let &[_, _, "IN", "TLSA", usage, selector, matching, ref data @ ..] = words.as_slice() else { return None };
    let data = data.concat().to_lowercase();
    let parameters = [usage, selector, matching].join(" ");
    Some(if parameters == "3 1 1" { data } else { format!("{parameters} {data}") })
}

/// What `3 1 1` says of the first certificate in a PEM file, computed by openssl.
pub fn spki_sha256(pem: &Path) -> io::Result<String> {
    let script =
        "set -e -o pipefail; openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum";
    let said = must(Command::new("bash").args(["-c", script]).arg(pem))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}
