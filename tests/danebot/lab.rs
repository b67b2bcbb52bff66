//! BIND that signs two zones and takes updates (127.0.0.11), unbound (127.0.0.53), certificates, a hook, and the bot.

use crate::{
    bot::Bot,
    namespace::{self, Namespace, must},
    texts::{HOOK, MAIN, MASTER, NAMED, ROOT, TEST, ZONE},
};
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub const MX: &str = "mx.example.test";
pub const SERVER: &str = "127.0.0.11";
const RESOLVER: &str = "127.0.0.53";
const NOBODY: u32 = 65_534;
/// No single run takes longer.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub enum KeyKind {
    Rsa,
    Ec,
    Ed25519,
}

/// A certificate with its key.
pub struct Issued {
    /// The chain, and then the key.
    pub pem: String,
    /// Key alone, and chain alone.
    parts: [String; 2],
    /// Association data of its 3 1 1 record.
    pub key: String,
}

impl Issued {
    pub fn records(&self) -> BTreeSet<String> {
        [self.key.clone()].into()
    }
}

pub struct Lab {
    namespace: Namespace,
    name: &'static str,
    begun: Instant,
    issued: AtomicUsize,
    as_nobody: bool,
    /// Of the TSIG key, Base64.
    pub secret: String,
}

impl Lab {
    /// Starts the servers; `None`, and says why, if that cannot be done here.
    pub fn start(name: &'static str) -> Option<Lab> {
        static SWEPT: Once = Once::new();
        let why = (!nix::unistd::geteuid().is_root()).then(|| "needs root, for a network namespace".to_owned());
        if let Some(why) =
            why.or_else(|| missing(&["dig", "ip", "named", "nsupdate", "openssl", "postfix", "setpriv", "unbound"]))
        {
            skip(name, &why);
            return None;
        }
        SWEPT.call_once(namespace::sweep);
        let namespace = Namespace::new(&[SERVER, RESOLVER], RESOLVER).unwrap();
        let key = must(Command::new("tsig-keygen").args(["-a", "hmac-sha256", "daneroll"])).unwrap();
        let secret = key.split('"').nth(3).unwrap().to_owned();
        let (begun, issued) = (Instant::now(), AtomicUsize::new(0));
        let lab = Lab { namespace, name, begun, issued, as_nobody: false, secret };
        fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        for dir in ["named", "home", "bin", "ca"] {
            fs::create_dir(lab.path(dir)).unwrap();
        }
        lab.write("tsig.key", &key);
        for (file, text) in [("named.conf", NAMED), ("named/root.zone", ROOT), ("named/test.zone", TEST)] {
            lab.write(file, text);
        }
        for zone in ["example.test", "second.test"] {
            lab.write(&format!("named/{zone}.zone"), ZONE);
        }
        lab.start_name_servers();
        let ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=CA -keyout ca.key -out ca.pem";
        must(Command::new("openssl").args(ca.split(' ')).current_dir(lab.path("ca"))).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_daneroll"), lab.path("bin/daneroll")).unwrap();
        std::os::unix::fs::symlink("daneroll", lab.path("bin/danebot.py")).unwrap();
        lab.set_hook("");
        lab.tell("servers are up");
        Some(lab)
    }

    /// From here on the bot is called by `nobody`, and by DaneBot's name.
    pub fn unprivileged(&mut self) {
        self.as_nobody = true;
        for dir in ["", "home"] {
            chown(self.path(dir), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.namespace.dir().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `@DIR@` in the text is the laboratory's directory.
    pub fn write(&self, name: &str, text: &str) {
        let dir = self.text("");
        fs::write(self.path(name), text.replace("@DIR@", dir.trim_end_matches('/'))).unwrap();
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub fn tell(&self, what: &str) {
        let time = self.begun.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "danebot {}: {time:5.1} s  {what}", self.name);
    }

    fn start_name_servers(&self) {
        let named = which("named");
        self.namespace.serve("named", &[&named, "-g", "-c", &self.text("named.conf")], &[]).unwrap();
        let signed = |zone: &str| self.dig(zone, "DNSKEY").contains("\tRRSIG\t");
        self.until("BIND has signed", || signed("example.test") && signed("second.test"));
        let keys = ["example.test", "second.test"].map(|zone| self.dig(zone, "DNSKEY"));
        let lines = keys.iter().flat_map(|said| said.lines()).filter(|line| line.contains("\tDNSKEY\t"));
        self.write("anchor.key", &lines.map(|line| format!("{line}\n")).collect::<String>());
        self.write("root.hints", include_str!("../system/etc/root.hints"));
        self.write("unbound.conf", include_str!("../system/etc/unbound.conf"));
        let unbound = which("unbound");
        self.namespace.serve("unbound", &[&unbound, "-d", "-c", &self.text("unbound.conf")], &[]).unwrap();
        self.until("unbound answers", || {
            let said = self.command("dig").args(["@127.0.0.53", "mx.example.test", "+time=1", "+tries=1"]).output();
            String::from_utf8_lossy(&said.unwrap().stdout).contains("127.0.0.1\n")
        });
    }

    /// Postfix with what is installed.
    pub fn start_postfix(&self) {
        let user = nix::unistd::User::from_name("postfix").unwrap().expect("a user postfix");
        for dir in ["etc", "queue", "queue/pid"] {
            fs::create_dir(self.path(dir)).unwrap();
        }
        for dir in ["data", "queue/private", "queue/public", "queue/incoming", "queue/active", "queue/maildrop"] {
            fs::create_dir(self.path(dir)).unwrap();
            chown(self.path(dir), Some(user.uid.as_raw()), None).unwrap();
        }
        self.write("etc/main.cf", MAIN);
        self.write("etc/master.cf", MASTER);
        let etc = self.text("etc");
        self.namespace.serve("postfix", &["/usr/lib/postfix/sbin/master", "-d", "-c", &etc], &[]).unwrap();
        self.until("Postfix answers", || crate::watch::over_smtp(self.namespace()).is_ok());
    }

    /// A command in the namespace.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    pub fn dig(&self, name: &str, kind: &str) -> String {
        let args = [&format!("@{SERVER}"), "+dnssec", "+norecurse", "+time=1", "+tries=1", name, kind];
        String::from_utf8(self.command("dig").args(args).output().unwrap().stdout).unwrap()
    }

    /// The RRset, without following a CNAME: data of 3 1 1 records, others with their parameters.
    pub fn records(&self, owner: &str) -> BTreeSet<String> {
        let said = self.dig(owner, "TLSA");
        assert!(said.contains("flags: qr aa"), "{said}");
        let record = |line: &str| {
            let (_, rdata) = line.split_once("\tTLSA\t")?;
            let mut words = rdata.splitn(4, ' ');
            let parameters = [words.next()?, words.next()?, words.next()?].join(" ");
            let data = words.next()?.replace(' ', "").to_lowercase();
            Some(if parameters == "3 1 1" { data } else { format!("{parameters} {data}") })
        };
        said.lines().filter_map(record).collect()
    }

    /// Another hand than the bot's changes the zone.
    pub fn update(&self, zone: &str, line: &str) {
        let mut command = self.command("nsupdate");
        let mut child = command.args(["-k", &self.text("tsig.key")]).stdin(Stdio::piped()).spawn().unwrap();
        write!(child.stdin.take().unwrap(), "server {SERVER}\nzone {zone}\n{line}\nsend\n").unwrap();
        assert!(child.wait().unwrap().success(), "{line}");
    }

    pub fn add(&self, owner: &str, parameters: &str, data: &str) {
        let zone = if owner.contains("second") { "second.test" } else { "example.test" };
        self.update(zone, &format!("update add {owner} 2 TLSA {parameters} {data}"));
    }

    /// A certificate with a new key.
    pub fn issue(&self, kind: KeyKind, names: &[&str]) -> Issued {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let openssl =
            |args: &str| must(Command::new("openssl").args(args.split(' ')).current_dir(self.path("ca"))).unwrap();
        openssl(&match kind {
            KeyKind::Rsa => format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {number}.key"),
            KeyKind::Ec => format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {number}.key"),
            KeyKind::Ed25519 => format!("genpkey -algorithm ED25519 -out {number}.key"),
        });
        let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        fs::write(self.path("ca/extensions"), format!("subjectAltName={}\n", names.join(","))).unwrap();
        openssl(&format!("req -new -key {number}.key -subj /CN=leaf -out {number}.csr"));
        openssl(&format!(
            "x509 -req -in {number}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile extensions -out {number}.pem"
        ));
        let read = |name: &str| fs::read_to_string(self.path("ca").join(name)).unwrap();
        let chain = format!("{}{}", read(&format!("{number}.pem")), read("ca.pem"));
        let key = read(&format!("{number}.key"));
        let data = spki_sha256(&self.path("ca").join(format!("{number}.pem")));
        Issued { pem: format!("{chain}{key}"), parts: [key, chain], key: data }
    }

    /// The file that the bot is told of holds this now, as an ACME client leaves it.
    pub fn put(&self, issued: &Issued) {
        fs::write(self.path("cert.new"), &issued.pem).unwrap();
        if self.as_nobody {
            chown(self.path("cert.new"), Some(NOBODY), None).unwrap();
        }
        fs::rename(self.path("cert.new"), self.path("cert.pem")).unwrap();
    }

    /// The service has this certificate, by whatever hand.
    pub fn install(&self, issued: &Issued) {
        let [key, chain] = &issued.parts;
        fs::write(self.path("service.pem"), format!("{key}{chain}")).unwrap();
        fs::write(self.path("presented.pem"), chain).unwrap();
    }

    /// The hook with these lines before it does its work.
    pub fn set_hook(&self, extra: &str) {
        let new = self.path("hook.new");
        self.write("hook.new", &HOOK.replace("@EXTRA@", extra));
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, self.path("hook")).unwrap();
    }

    /// How often the hook was called, and how often it did its work.
    pub fn calls(&self) -> usize {
        self.read("calls").lines().count()
    }

    pub fn hooks(&self) -> usize {
        self.read("hooks").lines().count()
    }

    /// Association data of what the service presents.
    pub fn presented(&self) -> String {
        spki_sha256(&self.path("presented.pem"))
    }

    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < end, "{}: {what}: not within a minute", self.name);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A call of the bot with short times.
    pub fn bot(&self, args: &[&str]) -> Bot {
        let mut command = self.command("timeout");
        command.args(["--foreground", "--kill-after=1", &LIMIT.as_secs().to_string()]);
        if self.as_nobody {
            let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            command.args(["setpriv", &uid, &gid, "--clear-groups", "--", &self.text("bin/danebot.py")]);
        } else {
            command.args([&self.text("bin/daneroll"), "danebot"]);
        }
        command.args(["--cert-file", &self.text("cert.pem"), "--propagation-time", "1", "--ttl", "2"]);
        command.args(["--trust-anchor", &self.text("anchor.key"), "--rfc2136-nameserver", SERVER]);
        if !args.contains(&"--hook") {
            command.args(["--hook", &self.text("hook")]);
        }
        command.args(args).env("XDG_STATE_HOME", self.path("home/state")).env("OF_THE_CALLER", "yes");
        command.env("DANEBOT_RFC2136_TSIG_KEY", "daneroll").env("DANEBOT_RFC2136_TSIG_SECRET", &self.secret);
        command.current_dir("/");
        Bot(command)
    }
}

/// Association data of the first certificate in a file, as openssl sees it.
pub fn spki_sha256(cert: &Path) -> String {
    let script = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum";
    let said = must(Command::new("sh").args(["-c", script]).arg(cert)).unwrap();
    said.split_whitespace().next().unwrap().to_owned()
}

/// The program itself: AppArmor knows it by its path, and would keep it from our directory.
fn which(program: &str) -> String {
    let there = ["/usr/sbin", "/usr/bin"].map(|dir| format!("{dir}/{program}"));
    there.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| program.to_owned())
}

fn missing(tools: &[&str]) -> Option<String> {
    let dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let there = |tool: &&str| dirs.iter().any(|dir| Path::new(dir).join(tool).exists());
    let missing: Vec<&str> = tools.iter().copied().filter(|tool| !there(tool)).collect();
    (!missing.is_empty()).then(|| format!("not installed: {}; tests/install does it", missing.join(" ")))
}

fn skip(name: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true nothing may be skipped: {why}");
    let _ = writeln!(std::io::stderr(), "danebot {name}: skipped: {why}");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).unwrap();
        list.write_all(format!("danebot {name}: {why}\n").as_bytes()).unwrap();
    }
}
