//! Streams that nobody reads, the log, and a hostile environment.

use crate::lab::{LINEAGE, Lab, run};
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Stdio};

/// Arguments that make each kind of output.
const TALKATIVE: [&[&str]; 6] =
    [&["--help"], &["--config-test"], &["--dry-run"], &["--json"], &["-l-", "-Ldebug"], &["--frob"]];

#[test]
fn nobody_reads() {
    for arguments in TALKATIVE {
        let lab = Lab::settled();
        let wanted = lab.run(arguments).code;
        for closed in ["stdout", "stderr", "both", "full"] {
            let mut command = lab.command(arguments);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            let pipe = || {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                writer
            };
            if closed == "full" {
                command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
            } else if closed != "stderr" {
                command.stdout(pipe());
            }
            if closed == "stderr" || closed == "both" {
                command.stderr(pipe());
            }
            let ended = run(&mut command).speaks_plainly();
            let logs = closed == "full" && arguments.contains(&"-l-");
            assert_eq!(ended.code, wanted + if logs { 16 } else { 0 }, "{arguments:?} {closed}: {ended:#?}");
        }
    }
}

#[test]
fn no_streams_at_all() {
    for arguments in TALKATIVE {
        let lab = Lab::settled();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", crate::lab::PROGRAM, "-c", &lab.text("conf")]);
        let wanted = lab.run(arguments).code;
        let before = lab.picture();
        assert_eq!(run(command.args(arguments)).code, wanted, "{arguments:?}");
        assert_eq!(lab.picture(), before, "nothing of ours may end up in a file that took a stream's number");
    }
}

#[test]
fn a_log_that_cannot_be_written() {
    let lab = Lab::settled();
    for log in ["/nonexistent/log", "/proc/version/log", "/dev/full"] {
        lab.run(&["-Ldebug", "-l", log]).fails(16, &[log, "cannot be written"]);
        let failed = lab.run(&["-l", log, "-c", "/nonexistent/conf"]).speaks_plainly();
        assert_eq!((failed.code, failed.errors().len()), (17, 2), "{failed:#?}");
    }
    lab.configure("bogus = 1\n");
    assert_eq!(lab.run(&["-t", "-l", "/nonexistent/log"]).speaks_plainly().code, 19);
}

#[test]
fn hostile_environment() {
    let long = "a.example ".repeat(20 << 10);
    for (name, value) in [
        ("RENEWED_LINEAGE", &b"/"[..]),
        ("RENEWED_LINEAGE", b"//"),
        ("RENEWED_LINEAGE", b".."),
        ("RENEWED_LINEAGE", b"../../../etc"),
        ("RENEWED_LINEAGE", b"/x/mx.example.test\nerror: not mine"),
        ("RENEWED_LINEAGE", b"/x/\xff\xfe\x1b[31m"),
        ("RENEWED_DOMAINS", &long.as_bytes()[..120_000]),
        ("RENEWED_DOMAINS", b"\xff\xfe\n\x1b[31m"),
        ("JOURNAL_STREAM", b"\xff"),
        ("RUST_BACKTRACE", b"full"),
        ("RUST_LOG", b"trace"),
        ("TMPDIR", b"/nonexistent"),
        ("HOME", b"\xff"),
        ("COLUMNS", b"999999999999999999999"),
    ] {
        for command in ["deploy", "--post", "--pre"] {
            let lab = Lab::new();
            let ended = run(lab.command(&[command]).env(name, OsStr::from_bytes(value)));
            let ended = ended.ends(0);
            let log = lab.read("log");
            assert!(!log.contains('\u{1b}') && !log.contains("\nerror: not mine"), "{name} {command}: {log}");
            assert!(ended.out.is_empty(), "{ended:#?}");
        }
    }
}

/// One variable cannot be longer than 128 KiB; the kernel then refuses to start anything.
#[test]
fn domains_of_many_certificates() {
    let lab = Lab::new();
    let domains = "b.example ".repeat(13_000);
    run(lab.command(&["--post"]).env("RENEWED_DOMAINS", domains.trim_end())).ends(0);
    assert_eq!(lab.calls(), 1);
}

#[test]
fn dry_run_changes_nothing() {
    let lab = Lab::new();
    let nothing = lab.picture();
    for (command, exit) in [
        ("", 0),
        ("--post", 0),
        ("--pre", 0),
        ("--reset", 0),
        ("deploy", 0),
        ("--json", 0),
        ("withdraw mx.example.test", 1), // nothing was ever done for it
        ("rollback mx.example.test", 1),
        ("switch mx.example.test", 1),
        ("switch --now --accept-mismatch mx.example.test", 1),
    ] {
        let arguments: Vec<&str> = ["--dry-run"].into_iter().chain(command.split_whitespace()).collect();
        lab.run(&arguments).ends(exit);
        assert_eq!(lab.picture(), nothing, "{command:?}");
        assert!(!lab.path("state").exists() && !lab.path("dane").exists() && lab.calls() == 0, "{command:?}");
    }
    let lab = Lab::settled();
    lab.run(&["--pre"]).ends(0);
    lab.issue(LINEAGE, 2, &crate::lab::Issued::new());
    let before = lab.picture();
    let clock = lab.read("state/clock.json");
    for (command, exit, says) in [
        ("", 0, "would publish"),
        ("--post", 0, "would publish"),
        ("--reset", 0, "would keep"),
        ("withdraw mx.example.test", 0, "would delete"),
        ("rollback mx.example.test", 1, "no generation to go back to"),
        ("switch mx.example.test", 1, "nothing keeps it from switching"),
        ("switch --now --accept-mismatch mx.example.test", 0, "would switch"),
    ] {
        let arguments: Vec<&str> = ["--dry-run"].into_iter().chain(command.split_whitespace()).collect();
        let run = lab.run(&arguments).ends(exit);
        assert!(run.out.contains(says), "{command:?}: {run:#?}");
        let after = (lab.picture(), lab.read("state/clock.json"));
        assert_eq!(after, (before.clone(), clock.clone()), "{command:?}");
    }
}

#[test]
fn json_is_json() {
    let document = |run: &crate::lab::Run| -> serde_json::Value {
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
    };
    for command in
        ["-l- -Ldebug", "--post", "--reset", "deploy", "--pre", "-t", "withdraw nobody.example", "-c /nonexistent"]
    {
        let lab = Lab::new();
        let arguments: Vec<&str> = ["--json"].into_iter().chain(command.split_whitespace()).collect();
        let run = lab.run(&arguments).speaks_plainly();
        assert_eq!(document(&run)["exit"], run.code, "{command}: {run:#?}");
        let dry = lab.run(&[&["--dry-run"], arguments.as_slice()].concat()).speaks_plainly();
        assert!(document(&dry).is_object(), "{command}: {dry:#?}");
    }
    let lab = Lab::new();
    fs::create_dir_all(lab.path("state/lock")).unwrap();
    let run = lab.run(&["--json"]).fails(4, &["state/lock"]);
    assert_eq!(document(&run)["exit"], 4);
    fs::remove_dir(lab.path("state/lock")).unwrap();
    lab.provider(r##"printf '\377\001\"\\\n'; exit 3"##);
    let run = lab.run(&["--json"]);
    assert_eq!((document(&run)["exit"].as_i64(), run.code), (Some(1), 1));
    assert_eq!(document(&run)["troubles"].as_array().unwrap().len(), 1);
}
