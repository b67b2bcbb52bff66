//! The servers, each with a directory and a port of its own. They stop when they are dropped.

use daneroll::{
    config::Secret,
    env::{Ask, Env},
    provider::rfc2136::TsigKey,
};
use data_encoding::BASE64;
use hickory_resolver::proto::rr::RecordType;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bind,
    Knot,
    Pdns,
    /// A secondary that refuses updates.
    BindSecondary,
    /// A secondary that hands them on.
    BindForwards,
    KnotSecondary,
    Nsd,
}

/// Those that take updates themselves.
pub const PRIMARIES: [Kind; 3] = [Kind::Bind, Kind::Knot, Kind::Pdns];

/// The keys that servers know: `stranger` may not update anything; the others may.
const KEYS: [(&str, &str); 5] = [
    ("daneroll", "hmac-sha256"),
    ("stranger", "hmac-sha256"),
    ("hmac-sha256", "hmac-sha256"),
    ("hmac-sha384", "hmac-sha384"),
    ("hmac-sha512", "hmac-sha512"),
];
const SECRET: &[u8] = b"thirty-two bytes of test secrets";

/// A zone; `@ZONE@` is its name.
const ZONE: &str = "\
$TTL 300
@ZONE@ 300 SOA ns1.@ZONE@ hostmaster.@ZONE@ 1 3600 600 86400 60
@ZONE@ NS ns1.@ZONE@
ns1.@ZONE@ A 127.0.0.1
mx.@ZONE@ A 127.0.0.1
www.@ZONE@ A 127.0.0.1
_25._tcp.mx.@ZONE@ 77 TLSA 3 1 1 f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0
*.wild.@ZONE@ 77 TLSA 3 1 1 f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0
alias.@ZONE@ CNAME mx.@ZONE@
";

/// A key that servers know.
pub fn key(name: &str) -> TsigKey {
    let algorithm = KEYS.iter().find(|(known, _)| *known == name).map_or("hmac-sha256", |(_, algorithm)| algorithm);
    TsigKey { name: name.parse().unwrap(), algorithm: algorithm.into(), secret: Secret(SECRET.to_vec()) }
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    pub fn start(kind: Kind) -> Server {
        Server::behind(kind, None)
    }

    /// With a clock an hour fast.
    pub fn skewed(kind: Kind) -> Server {
        Server::with(kind, None, &["faketime", "1 hour"])
    }

    /// A secondary of that primary.
    pub fn behind(kind: Kind, primary: Option<SocketAddr>) -> Server {
        Server::with(kind, primary, &[])
    }

    fn with(kind: Kind, primary: Option<SocketAddr>, before: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let (listener, socket) = sockets();
        let address = socket.local_addr().unwrap();
        drop((listener, socket));
        for zone in ["example.com", "static.test"] {
            fs::write(dir.path().join(zone), ZONE.replace("@ZONE@", &format!("{zone}."))).unwrap();
        }
        let argv = kind.prepare(dir.path(), address, primary);
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let argv: Vec<String> = before.iter().map(|word| (*word).to_owned()).chain(argv).collect();
        // It dies with us also where nothing is dropped.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(&argv).stdin(Stdio::null());
        // faketime waits for what it starts: all of the group goes together.
        command.process_group(0);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let server = Server { address, child, dir };
        server.wait(kind);
        server
    }

    /// Until it answers for its zone.
    fn wait(&self, kind: Kind) {
        let (server, name) = (self.address, "example.com".parse().unwrap());
        let ask = Ask { server, name, kind: RecordType::SOA, recursion: false, checking_disabled: false };
        let deadline = Instant::now() + Duration::from_secs(60);
        let answers =
            || super::real().ask(std::slice::from_ref(&ask)).remove(0).is_ok_and(|answer| answer.authoritative);
        while !answers() {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{kind:?} does not come up:\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Kind {
    /// Writes the configuration into `dir`, and says what to start.
    fn prepare(self, dir: &Path, address: SocketAddr, primary: Option<SocketAddr>) -> Vec<String> {
        let (at, port) = (dir.display(), address.port());
        let conf = dir.join("conf").display().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let primary = primary.map_or(0, |primary| primary.port());
        match self {
            Kind::Bind | Kind::BindSecondary | Kind::BindForwards => {
                let zones = match self {
                    Kind::BindSecondary => {
                        format!("zone example.com {{ type secondary; primaries port {primary} {{ 127.0.0.1; }}; }};")
                    }
                    Kind::BindForwards => format!(
                        "zone example.com {{ type secondary; primaries port {primary} {{ 127.0.0.1; }}; \
                         allow-update-forwarding {{ any; }}; }};"
                    ),
                    _ => bind_zones(),
                };
                let options = format!(
                    "options {{ directory \"{at}\"; pid-file \"pid\"; session-keyfile \"session\"; listen-on port {port} {{ 127.0.0.1; }}; \
                     listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; }}; controls {{ }};"
                );
                fs::write(dir.join("conf"), format!("{options}\n{}\n{zones}\n", bind_keys())).unwrap();
                words(&[&unconfined(dir, "named"), "-g", "-n", "1", "-c", &conf])
            }
            Kind::Knot | Kind::KnotSecondary => {
                let zones = match self {
                    Kind::KnotSecondary => format!(
                        "remote:\n  - id: primary\n    address: 127.0.0.1@{primary}\nzone:\n  - domain: example.com\n    master: primary\n    \
                         acl: update\n"
                    ),
                    _ => "zone:\n  - domain: example.com\n    file: example.com\n    dnssec-signing: on\n    acl: update\n  - domain: static.test\n    \
                          file: static.test\n"
                        .into(),
                };
                let keys: String = KEYS
                    .iter()
                    .map(|(name, algorithm)| {
                        format!("  - id: {name}\n    algorithm: {algorithm}\n    secret: {}\n", BASE64.encode(SECRET))
                    })
                    .collect();
                let text = format!(
                    "server:\n    rundir: {at}\n    listen: 127.0.0.1@{port}\nlog:\n  - target: stderr\n    any: info\n\
                     database:\n    storage: {at}\nkey:\n{keys}acl:\n  - id: update\n    key: [daneroll, hmac-sha256, hmac-sha384, hmac-sha512]\n    \
                     action: update\n    update-type: TLSA\ntemplate:\n  - id: default\n    storage: {at}\n{zones}"
                );
                let text = if self == Kind::KnotSecondary { text.replace("    update-type: TLSA\n", "") } else { text };
                fs::write(dir.join("conf"), text).unwrap();
                words(&["knotd", "-c", &conf])
            }
            Kind::Pdns => {
                pdns(dir, port);
                words(&["pdns_server", &format!("--config-dir={at}")])
            }
            Kind::Nsd => {
                let text = format!(
                    "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: {at}\n  database: \"\"\n  pidfile: {at}/pid\n  \
                     xfrdfile: {at}/xfrd\n  xfrdir: {at}\n  zonelistfile: {at}/list\n  logfile: {at}/log\nremote-control:\n  control-enable: no\n\
                     zone:\n  name: example.com\n  zonefile: copy\n  request-xfr: AXFR 127.0.0.1@{primary} NOKEY\n"
                );
                fs::write(dir.join("conf"), text).unwrap();
                words(&["nsd", "-d", "-c", &conf])
            }
        }
    }

    fn tools(self) -> &'static [&'static str] {
        match self {
            Kind::Bind | Kind::BindSecondary | Kind::BindForwards => &["named"],
            Kind::Knot | Kind::KnotSecondary => &["knotd"],
            Kind::Pdns => &["pdns_server", "pdnsutil", "sqlite3"],
            Kind::Nsd => &["nsd"],
        }
    }
}

fn bind_keys() -> String {
    let key = |(name, algorithm): &(&str, &str)| {
        format!("key \"{name}\" {{ algorithm {algorithm}; secret \"{}\"; }};\n", BASE64.encode(SECRET))
    };
    KEYS.iter().map(key).collect()
}

fn bind_zones() -> String {
    let grant = |name: &&str| format!("grant {name} subdomain example.com. TLSA; ");
    let grants: String =
        KEYS.iter().map(|(name, _)| *name).filter(|name| *name != "stranger").map(|name| grant(&name)).collect();
    format!(
        "zone example.com {{ type primary; file \"example.com\"; dnssec-policy default; update-policy {{ {grants}}}; }};\n\
         zone static.test {{ type primary; file \"static.test\"; }};"
    )
}

/// A database with both zones and the keys.
fn pdns(dir: &Path, port: u16) {
    let at = dir.display();
    let text = format!(
        "launch=gsqlite3\ngsqlite3-database={at}/db\ngsqlite3-dnssec=yes\nlocal-address=127.0.0.1\nlocal-port={port}\ndnsupdate=yes\n\
         allow-dnsupdate-from=127.0.0.0/8\nsocket-dir={at}\nsetuid=\nsetgid=\nguardian=no\ndaemon=no\ndisable-syslog=yes\n\
         zone-cache-refresh-interval=0\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nprimary=yes\n"
    );
    fs::write(dir.join("pdns.conf"), text).unwrap();
    let schema = fs::File::open("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql").unwrap();
    must(Command::new("sqlite3").arg(dir.join("db")).stdin(schema));
    let util = |words: &str| {
        must(Command::new("pdnsutil").arg(format!("--config-dir={at}")).args(words.split(' ')));
    };
    for zone in ["example.com", "static.test"] {
        util(&format!("load-zone {zone} {at}/{zone}"));
    }
    util("secure-zone example.com");
    util("rectify-zone example.com");
    for (name, algorithm) in KEYS {
        util(&format!("import-tsig-key {name} {algorithm} {}", BASE64.encode(SECRET)));
    }
    util("set-meta example.com TSIG-ALLOW-DNSUPDATE daneroll hmac-sha256 hmac-sha384 hmac-sha512");
    util("set-meta static.test TSIG-ALLOW-DNSUPDATE stranger");
}

fn must(command: &mut Command) {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A free port, TCP and UDP.
pub fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, socket);
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A copy of a server's program: where AppArmor confines the installed one by its path, it could not read our files.
fn unconfined(dir: &Path, program: &str) -> String {
    let copy = dir.join(format!("{program}.copy"));
    // By another process: a child that some thread forks just then would hold our file open for writing, "text file busy".
    assert!(Command::new("cp").arg(find(program).unwrap()).arg(&copy).status().unwrap().success());
    copy.to_str().unwrap().to_owned()
}

/// Is what this server needs installed? If not, says so; with `CI=true` that is a failure.
pub fn ready(kind: Kind) -> bool {
    have(kind.tools(), &format!("{kind:?}"))
}

/// Servers with another clock.
pub mod skew {
    /// Can they be had?
    pub fn ready() -> bool {
        super::have(&["faketime"], "clocks")
    }
}

fn have(tools: &[&str], what: &str) -> bool {
    let missing: Vec<&&str> = tools.iter().chain(&["setpriv"]).filter(|tool| find(tool).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let why = format!("dynamic updates, {what}: not installed: {missing:?}; tests/install does it");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true nothing may be skipped: {why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        list.write_all(format!("{why}\n").as_bytes()).unwrap();
    }
    false
}
