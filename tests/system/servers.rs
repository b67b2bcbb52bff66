//! What it takes to start servers in a namespace and to talk to them; which ones there are is for the laboratories to say.

use crate::namespace::{Namespace, must};
use nix::unistd::User;
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// A namespace, and the servers in it.
pub struct Servers {
    namespace: Namespace,
}

impl Servers {
    /// None yet.
    pub fn new(namespace: Namespace) -> Servers {
        Servers { namespace }
    }

    /// A path in the directory of the laboratory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.namespace.dir().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and its directory if need be; `@DIR@` in it is the directory of the laboratory.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, text.replace("@DIR@", self.text("").trim_end_matches('/')))
    }

    /// A command that runs among the servers.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// The network namespace, for sockets of our own.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The last lines of a server's log.
    pub fn tail(&self, label: &str) -> String {
        last_lines(&self.path(&format!("{label}.log")), 15)
    }

    /// Makes `tsig.key`, a key named "daneroll", and `rndc.key`.
    pub fn make_keys(&self) -> io::Result<()> {
        let key = self.path("tsig.key");
        fs::write(&key, must(Command::new("tsig-keygen").args(["-a", "hmac-sha256", "daneroll"]))?)?;
        must(Command::new("chmod").arg("600").arg(&key))?;
        must(Command::new("rndc-confgen").args(["-a", "-c", &self.text("rndc.key")]))?;
        Ok(())
    }

    /// Starts BIND from LABEL.conf, and waits until it answers at the address for this signed zone.
    pub fn start_named(&self, label: &str, address: &str, zone: &str) -> io::Result<()> {
        let named = self.unconfined("named")?;
        self.namespace.serve(label, &[&named, "-g", "-c", &self.text(&format!("{label}.conf"))], &[])?;
        self.wait(label, || self.is_signed(address, zone))
    }

    /// Starts knot from `knot.conf`.
    pub fn start_knot(&self, address: &str, zone: &str) -> io::Result<()> {
        self.namespace.serve("knot", &["knotd", "-c", &self.text("knot.conf")], &[])?;
        self.wait("knot", || self.is_signed(address, zone))
    }

    /// Starts NSD from `nsd.conf`.
    pub fn start_nsd(&self, address: &str, zone: &str) -> io::Result<()> {
        let nsd = self.unconfined("nsd")?;
        self.namespace.serve("nsd", &[&nsd, "-d", "-c", &self.text("nsd.conf")], &[])?;
        self.wait("nsd", || self.is_signed(address, zone))
    }

    /// Makes a database for PowerDNS, DIRECTORY/db, and lets `pdnsutil` run these commands; `pdns.conf` is there already.
    pub fn make_pdns(&self, directory: &str, commands: &[&str]) -> io::Result<()> {
        let schema = fs::File::open("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")?;
        assert!(Command::new("sqlite3").arg(self.path(directory).join("db")).stdin(schema).status()?.success());
        let option = format!("--config-dir={}", self.text(directory));
        for words in commands {
            must(Command::new("pdnsutil").arg(&option).args(words.split(' ')))?;
        }
        Ok(())
    }

    /// Starts PowerDNS from DIRECTORY/pdns.conf.
    pub fn start_pdns(&self, directory: &str) -> io::Result<()> {
        let option = format!("--config-dir={}", self.text(directory));
        self.namespace.serve(directory, &["pdns_server", &option], &[])
    }

    /// Starts unbound from LABEL.conf, and waits until it has validated this host's address.
    pub fn start_unbound(&self, label: &str, address: &str, host: &str) -> io::Result<()> {
        let unbound = self.unconfined("unbound")?;
        self.namespace.serve(label, &[&unbound, "-d", "-c", &self.text(&format!("{label}.conf"))], &[])?;
        self.wait(label, || Ok(self.dig(address, host, "A")?.contains("flags: qr rd ra ad")))
    }

    /// Starts pebble from LABEL.json with a certificate for its own interface, `pebble.crt`.
    pub fn start_pebble(&self, label: &str, resolver: &str) -> io::Result<()> {
        let (key, certificate) = (self.text("pebble.key"), self.text("pebble.crt"));
        if !Path::new(&key).exists() {
            let mut openssl = Command::new("openssl");
            let how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=pebble";
            openssl.args(how.split(' '));
            must(openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &certificate]))?;
        }
        let (conf, resolver) = (self.text(&format!("{label}.json")), format!("{resolver}:53"));
        let argv = ["pebble", "-config", &conf, "-dnsserver", &resolver];
        // No pauses and no invented errors: we test something else.
        let vars = [("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0"), ("PEBBLE_AUTHZREUSE", "0")];
        self.namespace.serve(label, &argv, &vars)?;
        self.wait(label, || Ok(self.tail(label).contains("Listening on: 127.0.0.1:14")))
    }

    /// Runs certbot with LE as its configuration directory.
    pub fn certbot(&self, le: &str, args: &[&str]) -> io::Result<String> {
        let mut command = self.command("certbot");
        command.args(args).arg("--non-interactive").env("REQUESTS_CA_BUNDLE", self.path("pebble.crt"));
        for (option, end) in [("--config-dir", ""), ("--work-dir", "-work"), ("--logs-dir", "-logs")] {
            command.args([option, &self.text(&format!("{le}{end}"))]);
        }
        must(&mut command)
    }

    /// Starts Postfix in a directory of its own; it presents what is in `chains`, the value of `smtpd_tls_chain_files`.
    pub fn start_postfix(&self, home: &str, host: &str, address: &str, chains: &str) -> io::Result<()> {
        let user = User::from_name("postfix")?.expect("a user postfix");
        let private = ["data", "queue/private", "queue/public", "queue/incoming", "queue/active", "queue/maildrop"];
        for name in ["etc", "queue/pid"].iter().chain(&private) {
            let path = self.path(home).join(name);
            fs::create_dir_all(&path)?;
            if private.contains(name) {
                chown(&path, Some(user.uid.as_raw()), None)?;
            }
        }
        let home = self.text(home);
        let home = home.trim_end_matches('/');
        let main = include_str!("etc/main.cf").replace("@HOME@", home).replace("@HOST@", host);
        fs::write(format!("{home}/etc/main.cf"), main.replace("@ADDRESS@", address).replace("@CHAINS@", chains))?;
        fs::write(format!("{home}/etc/master.cf"), include_str!("etc/master.cf"))?;
        let etc = format!("{home}/etc");
        self.namespace.serve(&format!("postfix-{host}"), &["/usr/lib/postfix/sbin/master", "-d", "-c", &etc], &[])
    }

    /// Does this server show a signed zone?
    pub fn is_signed(&self, server: &str, zone: &str) -> io::Result<bool> {
        Ok(self.dig(server, zone, "DNSKEY")?.contains("\tRRSIG\t"))
    }

    /// The association data of all TLSA records with parameters 3 1 1 at `server`, as dig sees them, in lower-case
    /// hexadecimal; other parameters as `U S M DATA`. Panics if the server gives no answer.
    pub fn tlsa_at(&self, server: &str, owner: &str) -> BTreeSet<String> {
        let said = self.dig(server, owner, "TLSA").unwrap();
        assert!(said.contains("flags: qr aa"), "no authoritative answer from {server}:\n{said}");
        said.lines().filter_map(tlsa_of_line).collect()
    }

    /// The serial of a zone at `server`.
    pub fn serial_of(&self, server: &str, zone: &str) -> String {
        let said = self.dig(server, zone, "SOA").unwrap();
        let soa = said.lines().find(|line| line.contains("\tSOA\t")).unwrap();
        soa.split_whitespace().nth(6).unwrap().to_owned()
    }

    /// Stops knot from following the primary of a zone: `zone-freeze`, `zone-thaw`.
    pub fn knotc_for(&self, command: &str, zone: &str) {
        let socket = self.text("knot/knot.sock");
        must(self.command("knotc").args(["-s", &socket, command, zone])).unwrap();
    }

    /// A copy of a server's program: where AppArmor confines the installed one by its path, it could not read our files.
    fn unconfined(&self, program: &str) -> io::Result<String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
        let copy = self.path(&format!("{program}.copy"));
        if !copy.exists() {
            let installed = installed.ok_or_else(|| io::Error::other(format!("{program} is not in PATH")))?;
            // By another process: a child that some thread forks just then would hold our file open for writing, "text file busy".
            must(Command::new("cp").arg(installed).arg(&copy))?;
        }
        Ok(copy.to_str().unwrap().to_owned())
    }

    /// One question without patience, and all that dig prints.
    pub fn dig(&self, server: &str, name: &str, kind: &str) -> io::Result<String> {
        let at = format!("@{server}");
        let output =
            self.command("dig").args(["+dnssec", "+nosplit", "+time=1", "+tries=2", &at, name, kind]).output()?;
        // dig prints several tabs or a blank where a name is long or short.
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("\t");
        let tidy = |line: &str| if line.starts_with(';') { line.to_owned() } else { words(line) };
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(tidy).collect::<Vec<_>>().join("\n"))
    }

    /// Waits until a server does what it was started for.
    pub fn wait(&self, label: &str, ready: impl Fn() -> io::Result<bool>) -> io::Result<()> {
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

/// All files and links below a directory, links not followed.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// The end of a log, if there is one.
pub fn last_lines(file: &Path, count: usize) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
