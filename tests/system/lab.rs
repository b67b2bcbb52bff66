//! The servers: BIND that signs `example.test` and takes updates (127.0.0.11), a knot secondary (127.0.0.12), unbound
//! as resolver (127.0.0.53), and pebble, an ACME server for tests (127.0.0.1:14000).

use crate::{
    hidden::{self, Primary},
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
const FILES: [(&str, &str); 11] = [
    ("named.conf", include_str!("etc/named.conf")),
    ("named-secondary.conf", include_str!("etc/named-secondary.conf")),
    ("nsd.conf", include_str!("etc/nsd.conf")),
    ("named/root.zone", include_str!("etc/root.zone")),
    ("named/test.zone", include_str!("etc/test.zone")),
    ("named/example.test.zone", include_str!("etc/example.test.zone")),
    ("knot.conf", include_str!("etc/knot.conf")),
    ("root.hints", include_str!("etc/root.hints")),
    ("unbound.conf", include_str!("etc/unbound.conf")),
    ("pebble.json", include_str!("etc/pebble.json")),
    ("nsupdate.conf", include_str!("etc/nsupdate.conf")),
];

/// All servers, up and running until this is dropped.
pub struct Lab {
    namespace: Namespace,
}

impl Lab {
    /// Starts everything and waits until it answers: about two seconds.
    pub fn start() -> io::Result<Lab> {
        Lab::with(None)
    }

    /// The same with another primary, which nobody sees; BIND and NSD follow it.
    pub fn behind(primary: Primary) -> io::Result<Lab> {
        Lab::with(Some(primary))
    }

    fn with(primary: Option<Primary>) -> io::Result<Lab> {
        let namespace = Namespace::new(&[SERVERS[0], SERVERS[1], hidden::ADDRESS, RESOLVER], RESOLVER)?;
        let lab = Lab { namespace };
        for dir in ["named", "knot", "nsd"] {
            fs::create_dir(lab.path(dir))?;
        }
        for (name, text) in FILES {
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

    fn start_name_servers(&self, primary: Option<Primary>) -> io::Result<()> {
        let key = self.path("tsig.key");
        fs::write(&key, must(Command::new("tsig-keygen").args(["-a", "hmac-sha256", "daneroll"]))?)?;
        must(Command::new("chmod").arg("600").arg(&key))?;
        if let Some(primary) = primary {
            primary.start(self)?;
            self.wait("hidden", || Ok(self.dig(hidden::ADDRESS, "example.test", "DNSKEY")?.contains("\tRRSIG\t")))?;
        }
        let conf = if primary.is_some() { "named-secondary.conf" } else { "named.conf" };
        let named = self.unconfined("named")?;
        self.namespace.serve("named", &[&named, "-g", "-c", &self.text(conf)], &[])?;
        self.wait("named", || Ok(self.dig(SERVERS[0], "example.test", "DNSKEY")?.contains("\tRRSIG\t")))?;
        let (label, conf) = (if primary.is_some() { "nsd" } else { "knot" }, self.text("knot.conf"));
        let nsd = self.text("nsd.conf");
        let argv = if primary.is_some() { vec!["nsd", "-d", "-c", &nsd] } else { vec!["knotd", "-c", &conf] };
        self.namespace.serve(label, &argv, &[])?;
        self.wait(label, || Ok(self.dig(SERVERS[1], "example.test", "SOA")?.contains("\tSOA\t")))
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
        fs::copy(installed.ok_or_else(|| io::Error::other(format!("{program} is not in PATH")))?, &copy)?;
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
