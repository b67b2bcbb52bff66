//! A small world in a temporary directory: certbot's tree with one lineage, a provider, a configuration; and the program.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The lineage.
pub const LINEAGE: &str = "mx.example.test";
/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_daneroll");
/// What no message may hold: Rust's own way of putting things.
const NOISE: [&str; 8] = ["Os {", "Custom {", "kind: ", "Some(", "Err(", "Error(", "panicked", "RUST_BACKTRACE"];
/// No single run may take longer.
const BOUND: Duration = Duration::from_secs(25);

/// The four files of a generation, in PEM.
pub struct Issued {
    pub cert: String,
    pub chain: String,
    pub key: String,
}

impl Issued {
    /// A new key with a certificate from a CA of its own.
    pub fn new() -> Issued {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.distinguished_name.push(DnType::CommonName, "Test CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let chain = ca.self_signed(&ca_key).unwrap().pem();
        let leaf = CertificateParams::new(vec![LINEAGE.into()]).unwrap();
        let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().pem();
        Issued { cert, chain, key: key.serialize_pem() }
    }

    /// Name in `live/` without `.pem`, and contents.
    pub fn files(&self) -> [(&'static str, String); 4] {
        let fullchain = format!("{}{}", self.cert, self.chain);
        [
            ("cert", self.cert.clone()),
            ("chain", self.chain.clone()),
            ("fullchain", fullchain),
            ("privkey", self.key.clone()),
        ]
    }
}

/// The world.
pub struct Lab {
    dir: TempDir,
}

/// How a run ended, and what it said.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Every path with what is there: mode, and contents or target.
pub type Picture = BTreeMap<PathBuf, (u32, Vec<u8>)>;

impl Lab {
    /// One lineage with one generation, an obedient provider, and a configuration that asks no name server. Nothing was run.
    pub fn new() -> Lab {
        let lab = Lab { dir: tempfile::Builder::new().prefix("daneroll-bad-").tempdir_in(base()).unwrap() };
        fs::set_permissions(lab.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        lab.issue(LINEAGE, 1, &Issued::new());
        lab.provider("exit 0");
        lab.configure("");
        lab
    }

    /// The same after `--reset` and a first run: the record is published, and nothing is due.
    pub fn settled() -> Lab {
        let lab = Lab::new();
        lab.run(&["--reset"]).ends(0);
        lab.run(&[]).ends(0);
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Adds a generation and leads `live/` to it.
    pub fn issue(&self, lineage: &str, number: u32, issued: &Issued) {
        self.archive(lineage, number, &issued.files());
        for (name, _) in issued.files() {
            self.lead(lineage, name, number);
        }
    }

    pub fn archive(&self, lineage: &str, number: u32, files: &[(&str, String)]) {
        let archive = self.path("le/archive").join(lineage);
        fs::create_dir_all(&archive).unwrap();
        for (name, text) in files {
            fs::write(archive.join(format!("{name}{number}.pem")), text).unwrap();
        }
    }

    /// Moves one link of `live/`.
    pub fn lead(&self, lineage: &str, name: &str, number: u32) {
        let live = self.path("le/live").join(lineage);
        fs::create_dir_all(&live).unwrap();
        let link = live.join(format!("{name}.pem"));
        let _ = fs::remove_file(&link);
        symlink(format!("../../archive/{lineage}/{name}{number}.pem"), link).unwrap();
    }

    /// The provider becomes a shell script that notes each call in `calls`.
    pub fn provider(&self, script: &str) {
        let calls = self.text("calls");
        let text = format!("#!/bin/sh\necho \"$TLSA_OPERATION $TLSA_HASH\" >>{calls}\n{script}\n");
        fs::write(self.path("provider"), text).unwrap();
        fs::set_permissions(self.path("provider"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Lines before the section.
    pub fn head(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "letsencrypt_directory = {dir}/le\ndane_directory = {dir}/dane\nstate_directory = {dir}/state\n\
             log = {dir}/log\nttl = 0\nsettle = 0\nverify = provider\nprobe = off\nreload = /bin/true\n"
        )
    }

    /// Writes the configuration with these lines added to the section.
    pub fn configure(&self, lines: &str) {
        let api =
            if lines.contains("api =") { String::new() } else { format!("api = exec {}\n", self.text("provider")) };
        let tlsa = if lines.contains("tlsa =") { "" } else { "tlsa = 311 25\n" };
        self.write_configuration(format!("{}[{LINEAGE}]\n{tlsa}{api}{lines}", self.head()));
    }

    pub fn write_configuration(&self, text: impl AsRef<[u8]>) {
        fs::write(self.path("conf"), text).unwrap();
    }

    /// The program with this configuration and these arguments, and an empty environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(self.path("conf")).args(arguments);
        command.env_clear().stdin(Stdio::null()).current_dir("/");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// The program as `nobody`; needs root.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> Run {
        // The build directory may be closed to others; an open file is not.
        let script = "exec setpriv --reuid=65534 --regid=65534 --clear-groups -- /proc/self/fd/9 \"$@\" 9<\"$0\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, PROGRAM, "-c"]).arg(self.path("conf")).args(arguments);
        run(command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).current_dir("/"))
    }

    /// What must stay as it is: the ACME client's tree, the dane directory, the journal without clock and last report. Locks
    /// are no contents.
    pub fn picture(&self) -> Picture {
        let mut picture = Picture::new();
        for part in ["le", "dane", "state", "conf"] {
            look(&self.path(part), &mut picture);
        }
        let passing = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            ["run.json", "clock.json", "lock"].contains(&name) || name.ends_with(".lock")
        };
        picture.retain(|path, _| !passing(path));
        picture
    }

    /// How often the provider was called.
    pub fn calls(&self) -> usize {
        self.read("calls").lines().count()
    }
}

/// In memory where that can be had: what is on disk when is not the matter here, and syncing takes most of the time.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.into() } else { std::env::temp_dir() }
}

fn look(path: &Path, picture: &mut Picture) {
    let Ok(stat) = fs::symlink_metadata(path) else { return };
    let contents = if stat.is_symlink() {
        fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
    } else if stat.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), picture);
        }
        Vec::new()
    } else {
        fs::read(path).unwrap()
    };
    picture.insert(path.into(), (stat.mode(), contents));
}

/// Waits until something is so, half a minute at most.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: not within half a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs to the end, in bounded time.
pub fn run(command: &mut Command) -> Run {
    let began = Instant::now();
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(began.elapsed() < BOUND, "{command:?} took {:?}", began.elapsed());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

impl Run {
    /// Ends with this code and no error, and says nothing in Rust's tongue.
    #[track_caller]
    pub fn ends(self, code: i32) -> Run {
        let errors = self.errors();
        assert_eq!((self.code, errors.len()), (code, 0), "{self:#?}");
        self.speaks_plainly()
    }

    /// Ends with this code and exactly one error, which holds all these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Run {
        let errors = self.errors();
        assert_eq!((self.code, errors.len()), (code, 1), "{self:#?}");
        assert!(words.iter().all(|word| errors[0].contains(word)), "not all of {words:?}: {}", errors[0]);
        self.speaks_plainly()
    }

    /// Says nothing in Rust's tongue.
    #[track_caller]
    pub fn speaks_plainly(self) -> Run {
        let said = format!("{}{}", self.out, self.err);
        assert!(!NOISE.iter().any(|noise| said.contains(noise)), "{said}");
        self
    }

    pub fn errors(&self) -> Vec<&str> {
        self.err.lines().filter(|line| line.starts_with("error")).collect()
    }
}

/// Is this user root? Else the test is skipped, and says why; with `CI=true` nothing may be.
pub fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(&format!("{what}: needs root"));
    }
    root
}

/// Notes that a test was not run.
pub fn skip(why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing may be skipped: {why}");
    let line = format!("bad_input: {why}\n");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        fs::OpenOptions::new().append(true).create(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
    let _ = write!(std::io::stderr(), "skipped {line}");
}
