//! External programs that do not do what they should.

use crate::lab::{LINEAGE, Lab};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// A provider fails when it is to publish; nothing else may change by that, and the next run succeeds.
fn fails_to_publish(lab: &Lab, code: i32, words: &[&str]) {
    let live = lab.run(&["--reset"]);
    drop(live);
    let run = lab.run(&["--post"]);
    match code {
        0 => drop(run.ends(0)),
        code => drop(run.fails(code, &[&[LINEAGE, "_25._tcp"], words].concat())),
    }
    let first = lab.picture();
    assert_eq!(lab.run(&[]).speaks_plainly().code, code);
    assert_eq!(names(&first), names(&lab.picture()), "{words:?}");
    assert!(!lab.read("log").contains(" published "), "{}", lab.read("log"));
    if code == 0 {
        assert!(words.iter().all(|word| lab.read("log").contains(word)), "{words:?}: {}", lab.read("log"));
    }
}

fn names(picture: &crate::lab::Picture) -> Vec<&Path> {
    picture.keys().map(|path| path.as_path()).collect()
}

#[test]
fn cannot_be_started() {
    let lab = Lab::new();
    let provider = lab.text("provider");
    fs::set_permissions(lab.path("provider"), fs::Permissions::from_mode(0o644)).unwrap();
    fails_to_publish(&lab, 1, &[&provider, "could not be started", "not executable"]);
    fs::remove_file(lab.path("provider")).unwrap();
    fails_to_publish(&lab, 1, &[&provider, "could not be started", "does not exist"]);
    fs::create_dir(lab.path("provider")).unwrap();
    fails_to_publish(&lab, 1, &[&provider, "could not be started", "is a directory"]);
    fs::remove_dir(lab.path("provider")).unwrap();
    fs::write(lab.path("provider"), "#!/nonexistent/sh\n").unwrap();
    fs::set_permissions(lab.path("provider"), fs::Permissions::from_mode(0o755)).unwrap();
    fails_to_publish(&lab, 1, &[&provider, "could not be started", "interpreter"]);
    fs::write(lab.path("provider"), "\0\0\0\0").unwrap();
    fails_to_publish(&lab, 1, &[&provider, "could not be started"]);
    lab.provider("exit 0");
    lab.run(&[]).ends(0);
}

#[test]
fn says_nothing_for_too_long() {
    let lab = Lab::new();
    lab.configure("timeout = 1s\n");
    let pids = lab.text("pids");
    lab.provider(&format!("sleep 321 & echo $$ $! >{pids}; trap '' TERM; (trap '' TERM; sleep 322) & echo $! >>{pids}; wait; wait; sleep 323"));
    fails_to_publish(&lab, 1, &["still running after 1 s", "`timeout`"]);
    for pid in lab.read("pids").split_whitespace() {
        assert!(is_gone(pid), "process {pid} lives on");
    }
}

/// Gone, or dead and not yet collected.
pub fn is_gone(pid: &str) -> bool {
    let gone = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => true,
    };
    (0..40).any(|_| {
        gone() || {
            std::thread::sleep(Duration::from_millis(50));
            false
        }
    })
}

#[test]
fn is_killed() {
    let lab = Lab::new();
    for (signal, words) in [("KILL", "signal 9"), ("SEGV", "signal 11")] {
        lab.provider(&format!("kill -{signal} $$"));
        fails_to_publish(&lab, 1, &[words]);
    }
}

#[test]
fn prints_bytes_that_are_not_text() {
    let lab = Lab::new();
    lab.provider(
        r"printf 'a\377\376\033[31m\000b\r\n\007bell\n'; head -c 200000 /dev/zero; printf '\nlast \033]0;x\n'; exit 7",
    );
    let run = lab.run(&[]).fails(1, &[LINEAGE, "exit code 7"]);
    let log = lab.read("log");
    for text in [&run.err, &log] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\0', '\r']), "{text:?}");
        assert!(text.len() < 40_000, "{} bytes", text.len());
    }
}

/// Exit codes by dialect: (code, publish ends with, delete ends with).
const EXEC: [(u32, i32, i32); 8] =
    [(0, 0, 0), (1, 0, 0), (2, 1, 1), (127, 1, 1), (128, 0, 0), (199, 0, 0), (200, 0, 0), (255, 0, 0)];
const BINARY: [(u32, i32, i32); 8] =
    [(0, 0, 0), (1, 0, 0), (2, 1, 1), (127, 1, 1), (128, 1, 1), (199, 1, 1), (200, 0, 0), (255, 0, 0)];

#[test]
fn exit_codes() {
    std::thread::scope(|scope| {
        for (dialect, codes) in [("exec", EXEC), ("binary", BINARY)] {
            for (code, publish, delete) in codes {
                scope.spawn(move || exit_code(dialect, code, publish, delete));
            }
        }
    });
}

fn exit_code(dialect: &str, code: u32, publish: i32, delete: i32) {
    let lab = Lab::new();
    lab.configure(&format!("api = {dialect} {}\n", lab.text("provider")));
    lab.provider(&format!("exit {code}"));
    let run = lab.run(&[]).speaks_plainly();
    assert_eq!(
        (run.code, run.errors().len()),
        (publish, publish.try_into().unwrap()),
        "{dialect} publish {code}: {run:#?}"
    );
    assert_eq!(lab.calls(), 1);
    lab.provider("exit 0");
    lab.run(&[]).ends(0);
    let (calls, expected) = (lab.calls(), if code <= 1 { 1 } else { 2 });
    assert_eq!(calls, expected, "{dialect} publish {code}: what failed is tried again, and only that");
    lab.provider(&format!("exit {code}"));
    let run = lab.run(&["withdraw", LINEAGE]).speaks_plainly();
    assert_eq!(
        (run.code, run.errors().len()),
        (delete, delete.try_into().unwrap()),
        "{dialect} delete {code}: {run:#?}"
    );
    assert!(lab.read("calls").contains("delete"), "{dialect} {code}: {}", lab.read("log"));
}
