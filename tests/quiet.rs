//! A run with nothing to do rests on what the one before it wrote down, until anything changes; what was written down can be lost or
//! damaged at any time.
// The tables are outside of `#[test]`, where the exception for tests does not reach.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const NAME: &str = "mx.example.com";

const ANCHOR: &str = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
const UNREAD: &str = "the configuration need not be read";

/// A host with one lineage, for which all is done.
struct Host {
    dir: TempDir,
}

impl Host {
    fn new() -> Host {
        Host::with("")
    }

    /// The same with these lines in its section.
    fn with(lines: &str) -> Host {
        let host = Host { dir: tempfile::tempdir().unwrap() };
        let (live, archive) = (host.at("le/live").join(NAME), host.at("le/archive").join(NAME));
        fs::create_dir_all(&live).unwrap();
        fs::create_dir_all(&archive).unwrap();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        for (member, from) in [("fullchain", "ecdsa-fullchain.pem"), ("privkey", "ecdsa.key")] {
            fs::copy(data.join(from), archive.join(format!("{member}1.pem"))).unwrap();
            symlink(format!("../../archive/{NAME}/{member}1.pem"), live.join(format!("{member}.pem"))).unwrap();
        }
        let base = host.dir.path().display();
        let text = format!(
            "letsencrypt_directory = {base}/le\ndane_directory = {base}/dane\nstate_directory = {base}/state\nttl = 0\n\
             verify = provider\nprobe = off\nsettle = 0\nhold = 0\npin = always\nreload = /bin/true\napi = exec /bin/true\n\
             trust_anchor = {base}/anchor\n[{NAME}]\ntlsa = 311 25\n{lines}"
        );
        fs::write(host.at("conf"), text).unwrap();
        fs::write(host.at("anchor"), ANCHOR).unwrap();
        let began = Instant::now();
        host.run(&["--reset"]);
        for _ in 0..3 {
            host.run(&[]);
        }
        // What was just changed is not relied on.
        let rests = host.run(&[]);
        assert!(!rests || began.elapsed() > Duration::from_secs(2), "rests on what may be changing");
        thread::sleep(Duration::from_millis(3100));
        // This one writes it down, if none has yet.
        host.run(&[]);
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn written(&self) -> PathBuf {
        self.at("state/quiet/0")
    }

    /// Runs the program: did it rest on what was written down?
    fn run(&self, words: &[&str]) -> bool {
        self.told(words).contains("nothing has changed since the last look")
    }

    /// What it says.
    fn told(&self, words: &[&str]) -> String {
        let log = self.at("log");
        fs::write(&log, "").unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_daneroll"));
        let program = program.arg("-c").arg(self.at("conf")).arg("-l").arg(&log).args(["-L", "debug"]).args(words);
        let ended = program.output().unwrap();
        assert!(ended.status.success(), "{ended:?}\n{}", fs::read_to_string(&log).unwrap());
        fs::read_to_string(&log).unwrap()
    }
}

type Change = fn(&Host);

/// What ends the rest, each on a host of its own.
const CHANGES: &[(&str, Change)] = &[
    ("a link in live/ leads elsewhere", |host| {
        let link = host.at("le/live").join(NAME).join("privkey.pem");
        fs::copy(host.at("le/archive").join(NAME).join("privkey1.pem"), host.at("le/privkey2.pem")).unwrap();
        fs::remove_file(&link).unwrap();
        symlink("../../privkey2.pem", link).unwrap();
    }),
    ("a file of the archive is written again", |host| {
        let file = host.at("le/archive").join(NAME).join("fullchain1.pem");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, bytes).unwrap();
    }),
    ("a new lineage", |host| fs::create_dir(host.at("le/live/other.example.com")).unwrap()),
    ("a link of the dane directory is gone", |host| {
        fs::remove_file(host.at("dane").join(NAME).join("fullchain.pem")).unwrap();
    }),
    ("the store is gone", |host| fs::remove_dir_all(host.at("dane/.store").join(NAME)).unwrap()),
    ("a generation in the store is gone", |host| {
        let folder = fs::read_dir(host.at("dane/.store").join(NAME)).unwrap().next().unwrap().unwrap().path();
        fs::remove_file(folder.join("privkey.pem")).unwrap();
    }),
    ("the journal has lost an owner", |host| {
        fs::remove_dir_all(host.at("state/owners")).unwrap();
    }),
    ("--pre", |host| {
        host.run(&["--pre"]);
    }),
    ("the configuration is written again", |host| {
        let bytes = fs::read(host.at("conf")).unwrap();
        fs::write(host.at("conf"), bytes).unwrap();
    }),
    ("a file that the configuration names is written again", |host| {
        fs::write(host.at("anchor"), ANCHOR.to_lowercase()).unwrap();
    }),
    ("the folder of the configuration has another mode", |host| {
        fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
    }),
    ("it is deleted", |host| fs::remove_dir_all(host.at("state/quiet")).unwrap()),
    ("it is empty", |host| fs::write(host.written(), "").unwrap()),
    ("it is for longer than it was", |host| {
        let text = fs::read_to_string(host.written()).unwrap();
        let (before, rest) = text.split_once("\"until\":").unwrap();
        let (until, rest) = rest.split_once(',').unwrap();
        let later = until.parse::<u64>().unwrap() + 1;
        fs::write(host.written(), format!("{before}\"until\":{later},{rest}")).unwrap();
    }),
    ("it was before the machine started", |host| {
        let text = fs::read_to_string(host.written()).unwrap();
        let (before, rest) = text.split_once("\"id\":\"").unwrap();
        fs::write(host.written(), format!("{before}\"id\":\"0{}", &rest[1..])).unwrap();
    }),
    ("a path of it is another", |host| {
        let file = host.at("state/quiet/1");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen("privkey", "privkez", 1)).unwrap();
    }),
    ("its paths are cut off", |host| fs::write(host.at("state/quiet/1"), "0 /").unwrap()),
];

#[test]
fn whatever_changes_is_looked_at() {
    thread::scope(|scope| {
        for (what, change) in CHANGES {
            scope.spawn(move || {
                let host = Host::new();
                assert!(host.run(&[]), "{what}: before it, nothing has changed");
                change(&host);
                assert!(!host.run(&[]), "{what}");
            });
        }
    });
}

#[test]
fn a_rest_is_told_and_ends() {
    let host = Host::new();
    let told =
        || -> serde_json::Value { serde_json::from_slice(&fs::read(host.at("state/run.json")).unwrap()).unwrap() };
    let before = told();
    thread::sleep(Duration::from_millis(1100));
    let says = host.told(&[]);
    assert!(says.contains("nothing has changed") && says.contains(UNREAD), "{says}");
    let after = told();
    let number = |value: &serde_json::Value, key: &str| value[key].as_i64().unwrap();
    assert!(number(&after, "ended") > number(&before, "ended"), "{before} {after}");
    assert!((1..=3600).contains(&number(&after, "next_in")), "{after}");
    assert_eq!((&after["waits"], &after["exit"]), (&serde_json::json!([]), &serde_json::json!(0)));
    // Other words, other answers.
    for words in [&["--ttl", "5"][..], &["--json"], &["--dry-run"], &["status"], &["--post"]] {
        assert!(!host.run(words), "{words:?}");
    }
}

#[test]
fn what_is_odd_in_the_configuration_is_told_each_time() {
    let host = Host::with("hold = 0\nhold = 0\n");
    for _ in 0..2 {
        let says = host.told(&[]);
        assert!(says.contains("nothing has changed") && says.contains("once more") && !says.contains(UNREAD), "{says}");
    }
}
