//! With many lineages a run reads only those files that a stat shows changed; what it goes by can be lost or damaged at any time.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

const LINEAGES: usize = 40;
/// One more, whose client overwrites its files.
const OVERWRITTEN: &str = "in-place.example.com";

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn name(number: usize) -> String {
    format!("h{number:02}.example.com")
}

/// An hour ago: what was written just now is read in any case.
fn write_old(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let hour_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
}

struct Host(TempDir);

impl Host {
    fn new() -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        let base = host.0.path().display();
        let mut text = format!(
            "letsencrypt_directory = {base}/le\ndane_directory = {base}/dane\nstate_directory = {base}/state\nttl = 0\n\
             verify = provider\nprobe = off\nsettle = 0\nhold = 0\npin = always\nreload = /bin/true\napi = exec /bin/true\n"
        );
        for name in (0..LINEAGES).map(name) {
            let (live, archive) = (host.at("le/live").join(&name), host.at("le/archive").join(&name));
            fs::create_dir_all(&live).unwrap();
            fs::create_dir_all(&archive).unwrap();
            for (member, from) in [("fullchain", "ecdsa-fullchain.pem"), ("privkey", "ecdsa.key")] {
                write_old(&archive.join(format!("{member}1.pem")), &data(from));
                symlink(format!("../../archive/{name}/{member}1.pem"), live.join(format!("{member}.pem"))).unwrap();
            }
            text += &format!("[{name}]\ntlsa = 311 25\n");
        }
        fs::create_dir(host.at("client")).unwrap();
        for (member, from) in [("crt", "rsa-fullchain.pem"), ("key", "rsa.key")] {
            write_old(&host.at("client").join(format!("{OVERWRITTEN}.{member}.pem")), &data(from));
        }
        text += &format!(
            "[{OVERWRITTEN}]\ntlsa = 311 25\nsource = pem {base}/client/{OVERWRITTEN}.crt.pem {base}/client/{OVERWRITTEN}.key.pem\n"
        );
        fs::write(host.at("conf"), text).unwrap();
        host.call(&["--reset"]);
        host.call(&[]);
        host.call(&[]);
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn key(&self, number: usize) -> PathBuf {
        self.at("le/archive").join(name(number)).join("privkey1.pem")
    }

    fn call(&self, words: &[&str]) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_daneroll"));
        let ended = program.arg("-c").arg(self.at("conf")).args(words).output().unwrap();
        assert!(ended.status.success(), "{words:?}: {ended:?}");
    }

    /// The lineages whose certificates or keys `status` reads, and what it says.
    fn status(&self) -> (BTreeSet<String>, String) {
        let calls = self.at("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=openat", "-o"]).arg(&calls).arg(env!("CARGO_BIN_EXE_daneroll"));
        let ended = strace.arg("-c").arg(self.at("conf")).arg("status").output().unwrap();
        let text = fs::read_to_string(&calls).unwrap();
        // Our copy of what is overwritten was made a moment ago.
        let its = |line: &&str| line.contains(".pem\"") && (line.contains("/le/") || line.contains("/client/"));
        let opened = text.lines().filter(its);
        let names = (0..LINEAGES).map(name).chain([OVERWRITTEN.to_owned()]);
        let read = |name: &String| opened.clone().any(|line| line.contains(name.as_str()));
        (names.filter(read).collect(), String::from_utf8(ended.stdout).unwrap())
    }
}

/// Without strace nobody sees what is read; CI must not be without it.
fn skip(why: &str) {
    let needed = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!needed, "{why}");
    if let Ok(file) = std::env::var("DANEROLL_SKIPPED") {
        let line = format!("sets: {why}\n");
        File::options().append(true).open(file).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn only_what_has_changed_is_read() {
    if Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_err() {
        return skip("strace is missing");
    }
    let host = Host::new();
    let kept = host.at("state/sets");
    let bytes = fs::read(&kept).unwrap();
    let all: BTreeSet<String> = (0..LINEAGES).map(name).chain([OVERWRITTEN.to_owned()]).collect();
    let some = |numbers: &[usize]| numbers.iter().copied().map(name).collect::<BTreeSet<_>>();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;

    assert_eq!(host.status().0, some(&[]), "nothing");
    fs::write(&kept, damaged).unwrap();
    assert_eq!(host.status().0, all, "damaged");
    fs::remove_file(&kept).unwrap();
    assert_eq!(host.status().0, all, "lost");
    fs::write(&kept, bytes).unwrap();

    fs::set_permissions(host.key(3), Permissions::from_mode(0o640)).unwrap();
    assert_eq!(host.status().0, some(&[3]), "another mode: nobody knows what else was done to it");

    // Another key of the same length in the same file, dated back: what no time of modification shows.
    let key = fs::read(host.key(7)).unwrap();
    let other = vec![b'x'; key.len()];
    write_old(&host.key(7), &other);
    let (read, says) = host.status();
    assert_eq!(read, some(&[3, 7]));
    let line = format!("{}/privkey.pem: no private key in it", host.at("le/live").join(name(7)).display());
    assert!(says.contains(&line), "{says}");
}
