//! `hooks/deploy-rsync`: to a directory of this host, and through a real sshd on loopback.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LINEAGE: &str = "mx.example.com";

/// Our host with a set behind links, as daneroll lays it out, and a directory for the other host.
struct Hosts {
    folder: TempDir,
}

impl Hosts {
    fn new() -> Hosts {
        let hosts = Hosts { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(hosts.path("there")).unwrap();
        hosts.serves(1);
        hosts
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The dane directory shows this generation.
    fn serves(&self, number: usize) {
        let (kept, shown) = (self.path(&format!("kept-{number}")), self.path("here"));
        fs::create_dir_all(&kept).unwrap();
        fs::create_dir_all(&shown).unwrap();
        for name in ["cert", "chain", "fullchain", "privkey"] {
            let (file, link) = (kept.join(name), shown.join(format!("{name}.pem")));
            fs::write(&file, format!("{name} {number}")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            let _ = fs::remove_file(&link);
            symlink(&file, &link).unwrap();
        }
    }

    /// Runs the hook as daneroll does, with a clean environment; exit code and what it printed.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/deploy-rsync");
        let mut command = Command::new(hook);
        command.args(words).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        command.env("DANEROLL_LINEAGE", LINEAGE);
        for name in ["cert", "chain", "fullchain", "privkey"] {
            command.env(format!("DANEROLL_{}", name.to_uppercase()), self.path("here").join(format!("{name}.pem")));
        }
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The other host has this generation, complete, nobody else may read it, and nothing is left of the one before.
    fn assert_there(&self, number: usize) {
        let folder = self.path("there").join(LINEAGE);
        for name in ["cert", "chain", "fullchain", "privkey"] {
            let file = folder.join(format!("{name}.pem"));
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{name} {number}"));
            let stat = fs::symlink_metadata(&file).unwrap();
            assert!(stat.is_file() && stat.mode() & 0o777 == 0o600, "{name}: {:o}", stat.mode());
        }
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let names: Vec<_> = fs::read_dir(self.path("there")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

#[test]
fn to_a_directory() {
    if !tools(&["rsync"]) {
        return;
    }
    let hosts = Hosts::new();
    let (there, log) = (hosts.path("there"), hosts.path("log"));
    let (there, reload) = (there.to_str().unwrap(), format!("cat {LINEAGE}/cert.pem >>{}", log.display()));
    let reload = format!("cd {there} && {reload}");
    for number in [1, 2, 2] {
        hosts.serves(number);
        assert_eq!(hosts.run(&[there, &reload]), (0, String::new()));
        hosts.assert_there(number);
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), "cert 1cert 2cert 2", "what was there when it was reloaded");
    // A reload that fails is told; the files are there all the same.
    hosts.serves(3);
    let (code, said) = hosts.run(&[there, "echo no such service; exit 5"]);
    assert_eq!((code, said.as_str()), (5, "no such service\n"));
    hosts.assert_there(3);
}

/// What goes wrong is told, with an exit code that makes daneroll try again, and the set that is there stays.
#[test]
fn what_goes_wrong() {
    if !tools(&["rsync"]) {
        return;
    }
    let hosts = Hosts::new();
    let there = hosts.path("there");
    let there = there.to_str().unwrap();
    assert_eq!(hosts.run(&[there]).0, 0);
    hosts.serves(2);
    fs::remove_file(hosts.path("here/privkey.pem")).unwrap();
    let (code, said) = hosts.run(&[there, "echo reloaded"]);
    assert!(code != 0 && said.contains("privkey.pem") && !said.contains("reloaded"), "{code} {said}");
    assert_eq!(fs::read_to_string(hosts.path("there").join(LINEAGE).join("cert.pem")).unwrap(), "cert 1");
    for (words, told) in [
        (&[][..], "usage"),
        (&["relative/dir"], "neither"),
        (&["mx2:relative"], "neither"),
        (&["mx2:/a;rm"], "no shell"),
    ] {
        let (code, said) = hosts.run(words);
        assert!(code == 2 && said.contains(told), "{words:?}: {code} {said}");
    }
}

/// An sshd for this test alone.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn over_ssh() {
    if !tools(&["rsync", "ssh", "/usr/sbin/sshd", "ssh-keygen"]) {
        return;
    }
    let hosts = Hosts::new();
    let at = |name: &str| hosts.path(name).to_str().unwrap().to_owned();
    for key in ["host", "ours"] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]).status().unwrap();
        assert!(made.success());
    }
    fs::copy(at("ours.pub"), at("authorized")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = fs::File::create(at("config")).unwrap();
    writeln!(config, "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no", at("host"), at("authorized"))
        .unwrap();
    writeln!(config, "ListenAddress 127.0.0.1:{port}\nPidFile none\nPermitRootLogin yes").unwrap();
    if nix::unistd::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let sshd = Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f", &at("config")]).stderr(Stdio::null()).spawn();
    let _sshd = Sshd(sshd.unwrap());
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "sshd does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let host_key = fs::read_to_string(at("host.pub")).unwrap();
    fs::write(at("known"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
    let ssh = format!("ssh -F none -p {port} -i {} -o UserKnownHostsFile={}", at("ours"), at("known"));
    let target = format!("127.0.0.1:{}", at("there"));
    for number in [1, 2] {
        hosts.serves(number);
        let (code, said) = hosts.run(&["-e", &ssh, &target, "cat", &at(&format!("there/{LINEAGE}/fullchain.pem"))]);
        assert_eq!((code, said), (0, format!("fullchain {number}")));
        hosts.assert_there(number);
    }
    // A host that is not known is not given any key.
    hosts.serves(3);
    fs::write(at("known"), "").unwrap();
    let (code, said) = hosts.run(&["-e", &ssh, &target]);
    assert!(code != 0 && said.contains("Host key verification failed"), "{code} {said}");
    hosts.assert_there(2);
}

/// Are these there? If not, that is noted.
fn tools(names: &[&str]) -> bool {
    let there = |name: &&str| {
        let path = ["/usr/local/bin", "/usr/bin", "/bin"].map(|dir| Path::new(dir).join(name));
        path.iter().any(|path| path.exists())
    };
    let missing: Vec<&str> = names.iter().copied().filter(|name| !there(name)).collect();
    if missing.is_empty() {
        return true;
    }
    let text = format!("deploy_rsync: {} not there", missing.join(", "));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{text}").unwrap();
    }
    false
}
