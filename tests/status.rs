//! `daneroll status`: what it tells in each phase, and that looking changes nothing.
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "bad_input/lab.rs"]
mod lab;
#[path = "bad_input/people.rs"]
mod people;
#[path = "common/schema.rs"]
mod schema;

use lab::{Issued, LINEAGE, Lab, run};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The document, valid by the schema; nothing in the lab may have changed, not even clock and last report.
#[track_caller]
fn told(lab: &Lab, arguments: &[&str], code: i32) -> Value {
    let before = everything(lab);
    let text = lab.run(&[&["status"], arguments].concat());
    let json = lab.run(&[&["status", "--json"], arguments].concat());
    assert_eq!((text.code, json.code), (code, code), "{text:#?} {json:#?}");
    assert!(everything(lab) == before, "looking has changed something");
    fits(&text.out);
    schema::validate("status", &json.out);
    serde_json::from_str(&json.out).unwrap()
}

/// No line is longer than 80 columns, nothing commands a terminal, all is ASCII.
#[track_caller]
fn fits(text: &str) {
    let long = text.lines().find(|line| line.chars().count() > 80);
    assert!(long.is_none(), "longer than 80: {}", long.unwrap_or_default());
    assert!(text.chars().all(|c| c == '\n' || (c.is_ascii() && !c.is_control())), "{text}");
}

/// Every file of the lab.
fn everything(lab: &Lab) -> Vec<(PathBuf, Vec<u8>)> {
    fn look(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_symlink() {
                found.push((path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
            } else if path.is_dir() {
                found.push((path.clone(), Vec::new()));
                look(&path, found);
            } else {
                found.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    look(&lab.path(""), &mut found);
    found.sort();
    found
}

fn renew(lab: &Lab, number: u32) {
    lab.run(&["--pre"]).ends(0);
    lab.issue(LINEAGE, number, &Issued::new());
    lab.run(&["--post"]);
}

/// A settled lineage that was renewed and whose records are published; the switch waits for an hour.
fn pending() -> Lab {
    let lab = Lab::settled();
    configure(&lab, "ttl = 3600", "");
    renew(&lab, 2);
    lab
}

fn configure(lab: &Lab, global: &str, lines: &str) {
    let head = lab.head().replace("ttl = 0", global);
    let api = lab.text("provider");
    lab.write_configuration(format!("{head}[{LINEAGE}]\ntlsa = 311 25\napi = exec {api}\n{lines}"));
}

type Scene = (&'static str, fn() -> Lab, i32, &'static [&'static str]);

/// Each phase: how it comes about, the exit code, and words of the text.
const PHASES: [Scene; 19] = [
    ("new", Lab::new, 0, &["daneroll --reset", "not looked at yet"]),
    ("settled", Lab::settled, 0, &["follows live/", "3 1 1 ", "published", "for served", "ECDSA P-256", "exit 0"]),
    ("waiting-for-caches", pending, 0, &["candidate", "Waiting to switch", "caches may hold", "switch in"]),
    ("renewing", || after(&["--pre"]), 0, &["held by --pre", "--post"]),
    (
        "publishing",
        || refused("exit 128"),
        0,
        &[
            "for candidate",
            "being published",
            "The next run will:",
            "in the last run:",
            "trouble that passes",
            "the next run tries again",
        ],
    ),
    ("waiting-for-servers", silent, 0, &["name server", "Waiting to switch"]),
    ("switching", switchable, 0, &["The next run will:", "switch mx.example.test to generation"]),
    ("deploy-owed", || owing("deploy"), 0, &["Owed: `/bin/false`", "has got it"]),
    ("reload-owed", || owing("reload"), 0, &["Owed: `/bin/false`"]),
    ("holding", holding, 0, &["old", "Waiting to retire generation", "hold", "still present the old certificate"]),
    ("deleting", deleting, 0, &["being deleted", "for an old one", "The next run will:", "delete _25._tcp"]),
    ("leaving", leaving, 0, &["Leaving DANE", "being deleted"]),
    ("rolled-back", rolled_back, 0, &["barred", "no candidate until the next renewal"]),
    ("withdrawn", || after(&["withdraw", LINEAGE]), 0, &["Has left DANE"]),
    ("unconfigured", unconfigured, 0, &["Put the section back", "daneroll withdraw mx.example.test"]),
    ("misconfigured", || broken_section("tlsa = 999 25"), 3, &["--config-test"]),
    ("no-lineage", no_lineage, 0, &["no lineage of that name"]),
    ("blocked", torn, 0, &["!", "no complete generation in live/"]),
    ("broken", broken, 0, &["BROKEN", "clients refuse it"]),
];

fn after(arguments: &[&str]) -> Lab {
    let lab = Lab::settled();
    lab.run(arguments);
    lab.run(&["-L", "no"]);
    lab
}

/// The provider refuses the second record.
fn refused(how: &str) -> Lab {
    let lab = Lab::settled();
    lab.provider(how);
    renew(&lab, 2);
    lab
}

/// Now its name servers are asked, and there is none.
fn silent() -> Lab {
    let lab = Lab::settled();
    configure(&lab, "ttl = 0", "verify = authoritative\nnameservers = 127.0.0.1:1\n");
    renew(&lab, 2);
    lab
}

fn switchable() -> Lab {
    let lab = Lab::settled();
    renew(&lab, 2);
    lab
}

fn owing(what: &str) -> Lab {
    let lab = Lab::settled();
    configure(&lab, "ttl = 0", &format!("{what} = /bin/false\n"));
    renew(&lab, 2);
    lab.run(&[]);
    lab
}

fn holding() -> Lab {
    let lab = switchable();
    lab.run(&[]).ends(0);
    lab
}

/// The provider deletes nothing now.
fn deleting() -> Lab {
    let lab = Lab::settled();
    configure(&lab, "ttl = 0", "hold = 0\n");
    lab.provider("[ \"$TLSA_OPERATION\" = publish ] || exit 128");
    renew(&lab, 2);
    lab.run(&[]);
    lab
}

fn leaving() -> Lab {
    let lab = Lab::settled();
    lab.provider("exit 128");
    lab.run(&["withdraw", LINEAGE]);
    lab
}

/// The journal says that the operator went back from what `live/` shows.
fn rolled_back() -> Lab {
    let lab = Lab::settled();
    let live = told(&lab, &[], 0)["lineages"][0]["generations"][0]["id"].clone();
    let path = lab.path(&format!("state/lineages/{LINEAGE}.json"));
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["document"]["barred"] = live;
    fs::write(path, file.to_string()).unwrap();
    lab
}

fn unconfigured() -> Lab {
    let lab = Lab::settled();
    lab.write_configuration(lab.head());
    lab
}

fn broken_section(line: &str) -> Lab {
    let lab = Lab::settled();
    lab.configure(line);
    lab
}

fn no_lineage() -> Lab {
    let lab = Lab::new();
    fs::remove_dir_all(lab.path("le/live").join(LINEAGE)).unwrap();
    lab
}

fn torn() -> Lab {
    let lab = Lab::settled();
    fs::write(lab.path(&format!("le/archive/{LINEAGE}/privkey1.pem")), "").unwrap();
    lab
}

/// Renewed without any hook: services read what nobody has published.
fn broken() -> Lab {
    let lab = Lab::settled();
    lab.issue(LINEAGE, 2, &Issued::new());
    lab
}

#[test]
fn phases() {
    for (phase, scene, code, words) in PHASES {
        let lab = scene();
        let status = told(&lab, &[], code);
        assert_eq!(status["lineages"][0]["phase"], phase, "{status:#}");
        let text = lab.run(&["status"]).out;
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(flat.contains(word), "{phase}: {word:?} is not in\n{text}");
        }
    }
}

/// A look at the world itself writes nothing either, and comes to the same.
#[test]
fn live() {
    for (lab, phase) in [(Lab::settled(), "settled"), (pending(), "waiting-for-caches"), (broken(), "broken")] {
        let (live, memory) = (told(&lab, &["--live"], 0), told(&lab, &[], 0));
        assert_eq!((&live["live"], &memory["live"]), (&true.into(), &false.into()));
        assert_eq!((&live["lineages"][0]["phase"], &memory["lineages"][0]["phase"]), (&phase.into(), &phase.into()));
    }
}

#[test]
fn nothing_configured() {
    let lab = Lab::new();
    lab.write_configuration(lab.head());
    let status = told(&lab, &[], 0);
    assert_eq!(status["unconfigured"][0], LINEAGE);
    let text = lab.run(&["status"]).out;
    for word in ["No lineage is configured", "[mx.example.test]", "api = rfc2136", "--config-test", "--reset"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    fs::remove_file(lab.path("conf")).unwrap();
    let run = lab.run(&["status"]);
    assert!(run.code == 1 && run.errors().len() == 1 && run.out.contains("To begin"), "{run:#?}");
}

#[test]
fn what_is_awaited_has_an_end() {
    let lab = pending();
    let status = told(&lab, &[], 0);
    let lineage = &status["lineages"][0];
    let wait = lineage["awaits"].as_array().unwrap().iter().find(|wait| wait["step"] == "switch").unwrap();
    let left = wait["until"]["seconds_left"].as_i64().unwrap();
    let end = wait["until"]["at"].as_i64().unwrap();
    assert!(left > 3000 && left <= 7200 && end == status["time"].as_i64().unwrap() + left, "{wait:#}");
    assert_eq!((&wait["reasons"][0]["reason"], &wait["passes"]), (&"cached".into(), &true.into()));
    let roles = |at: usize| lineage["generations"][at]["roles"].clone();
    assert_eq!((roles(0), roles(1)), (serde_json::json!(["served"]), serde_json::json!(["candidate", "live"])));
    assert_eq!(lineage["dane"]["state"], "pinned");
    let states: Vec<&Value> = lineage["owners"][0]["records"].as_array().unwrap().iter().map(|r| &r["state"]).collect();
    assert_eq!(states, ["published", "published"]);
    assert_eq!(status["last_run"]["exit"], 0);
    assert!(status["next_run"]["seconds_left"].as_i64().unwrap() > 3000);
}

/// What a line stands for whose hosts are looked up.
#[test]
fn hosts_that_are_looked_up() {
    let lab = Lab::settled();
    configure(&lab, "ttl = 0", "tlsa = 311 443 san\n");
    let status = told(&lab, &[], 0);
    let hosts = &status["lineages"][0]["hosts"];
    assert_eq!((&hosts[0]["from"], &hosts[0]["hosts"][0]), (&"san".into(), &"mx.example.test.".into()), "{status:#}");
    assert!(lab.run(&["status"]).out.contains("\"san\" stands for mx.example.test"));
}

#[test]
fn lineages_by_name() {
    let lab = Lab::settled();
    lab.issue("other.test", 1, &Issued::new());
    for (arguments, code, words) in [
        (&["MX.example.TEST"][..], 0, &[][..]),
        (&["nope", LINEAGE], 1, &["nope", "there are mx.example.test"]),
        (&["other.test"], 1, &["other.test has no section"]),
    ] {
        let run = lab.run(&[&["status"], arguments].concat());
        assert_eq!(run.code, code, "{run:#?}");
        assert!(words.iter().all(|word| run.err.contains(word)), "{run:#?}");
        assert_eq!(run.out.contains("mx.example.test: settled"), arguments.contains(&LINEAGE) || code == 0, "{run:#?}");
        told(&lab, arguments, code);
    }
}

#[test]
fn the_last_run_is_told() {
    let lab = Lab::settled();
    lab.provider("echo the zone is locked; exit 2");
    renew(&lab, 2);
    let status = told(&lab, &[], 0);
    assert_eq!(status["last_run"]["exit"], 1);
    let trouble = status["lineages"][0]["troubles"][0].as_str().unwrap();
    assert!(trouble.starts_with("in the last run: "), "{trouble}");
    // Where ten thousand lineages roll over at once there is much to tell.
    let text = fs::read_to_string(lab.path("state/run.json")).unwrap();
    fs::write(lab.path("state/run.json"), text + &" ".repeat(9 << 20)).unwrap();
    assert_eq!(told(&lab, &[], 0)["last_run"], status["last_run"]);
    fs::write(lab.path("state/run.json"), "{").unwrap();
    let status = told(&lab, &[], 1);
    assert!(status["problems"][0].as_str().unwrap().contains("run.json is damaged"), "{status:#}");
}

#[test]
fn colours_are_for_terminals() {
    let lab = Lab::settled();
    let inside = |variable: &str| {
        let command = format!("{} -c {} status", lab::PROGRAM, lab.text("conf"));
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        if !variable.is_empty() {
            script.env("NO_COLOR", variable);
        }
        script.stdin(Stdio::null());
        run(&mut script).out
    };
    assert!(inside("").contains("\x1b[32m"), "{}", inside(""));
    assert!(!inside("1").contains('\x1b'));
    assert!(!lab.run(&["status"]).out.contains('\x1b'));
}

#[test]
fn while_another_run_holds_the_lock() {
    let lab = Lab::settled();
    lab.provider("sleep 20");
    lab.run(&["--pre"]).ends(0);
    lab.issue(LINEAGE, 2, &Issued::new());
    let mut other = lab.command(&["--post"]).spawn().unwrap();
    lab::until("the provider is called", || lab.calls() == 2);
    let status = lab.run(&["status"]);
    let busy = lab.run(&[]);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!((status.code, busy.code), (0, 32), "{status:#?} {busy:#?}");
    assert!(status.out.contains("mx.example.test: publishing"), "{status:#?}");
}

#[test]
fn a_damaged_journal_is_told_and_left() {
    for file in ["lineages/mx.example.test.json", "owners/_25._tcp.mx.example.test.json", "clock.json"] {
        let lab = Lab::settled();
        let path = lab.path("state").join(file);
        fs::write(&path, "{\"version\": 1, oh").unwrap();
        let status = told(&lab, &[], 1);
        let problem = status["problems"][0].as_str().unwrap();
        assert!(problem.contains(file) && problem.contains("the next run keeps it as"), "{problem}");
        assert_eq!(status["lineages"][0]["name"], LINEAGE);
        assert!(path.exists());
    }
}

#[test]
fn a_read_only_state_directory() {
    if !lab::is_root("status on a read-only file system") {
        return;
    }
    people::with_mounts(|lab| {
        people::mount(&lab.path("state"), "1M");
        lab.run(&["--reset"]).ends(0);
        lab.run(&[]).ends(0);
        people::make_read_only(&lab.path("state"));
        assert_eq!(told(lab, &[], 0)["lineages"][0]["phase"], "settled");
    });
}

#[test]
fn without_the_right_to_read() {
    if !lab::is_root("status for somebody who may not read") {
        return;
    }
    let lab = Lab::settled();
    let run = lab.run_as_nobody(&["status"]);
    assert!(run.code == 1 && run.err.contains("Permission denied"), "{run:#?}");
    assert!(run.out.contains("mx.example.test: unknown"), "nobody can tell: {run:#?}");
    fits(&run.out);
}

/// Odd names from outside neither command the terminal nor break the table.
#[test]
fn odd_names() {
    let lab = Lab::new();
    let long = format!("{}.example.test", "a-very-long-label-for-a-host".repeat(2));
    for name in ["x\u{1b}[31m.test", &long] {
        lab.issue(name, 1, &Issued::new());
    }
    let section =
        |name: &str| format!("[{name}]\ntlsa = 311 25 mx.example.test\napi = exec {}\n", lab.text("provider"));
    lab.write_configuration(format!("{}{}{}", lab.head(), section(LINEAGE), section(&long)));
    lab.run(&["--reset"]);
    lab.run(&[]);
    let status = told(&lab, &[], 0);
    assert_eq!(status["lineages"].as_array().unwrap().len(), 2);
    let text = lab.run(&["status"]).out;
    assert!(text.contains("\\u{1b}[31m.test") && text.contains("a-very-long-label"), "{text}");
}
