//! `daneroll --wait`: it stays until all is done, shows what for, and ends when it is asked to.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "bad_input/lab.rs"]
mod lab;

use lab::{Issued, LINEAGE, Lab, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A lineage that was renewed, in a world with these settings; its records are published.
fn renewed(global: &str, lines: &str) -> Lab {
    let lab = Lab::settled();
    let head = lab.head().replace("ttl = 0", global).replace("reload = /bin/true\n", "");
    lab.write_configuration(format!("{head}[{LINEAGE}]\ntlsa = 311 25\napi = exec {}\n{lines}", lab.text("provider")));
    lab.run(&["--pre"]).ends(0);
    lab.issue(LINEAGE, 2, &Issued::new());
    lab.run(&["--post"]).ends(0);
    lab
}

fn start(lab: &Lab, arguments: &[&str]) -> Child {
    lab.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Exit code, or the negative number of the signal that ended it; and how long that took.
fn end(mut child: Child) -> (i32, Duration) {
    let began = Instant::now();
    let status = child.wait().unwrap();
    (status.code().unwrap_or_else(|| -status.signal().unwrap()), began.elapsed())
}

fn records(lab: &Lab) -> usize {
    let calls = lab.read("calls");
    calls.lines().filter(|line| line.starts_with("publish")).count()
        - calls.lines().filter(|line| line.starts_with("delete")).count()
}

/// It waits as long as it takes, runs what is owed, cleans up, and ends with 0.
#[test]
fn until_all_is_done() {
    let lab = renewed("ttl = 2", "reload = /bin/sh -c \"echo reloaded >>$0\" LOG\nhold = 1\n");
    let text = lab.read("conf").replace("LOG", &lab.text("reloads"));
    lab.write_configuration(text);
    assert_eq!(records(&lab), 2);
    lab.run(&["--wait"]).ends(0);
    assert_eq!((records(&lab), lab.read("reloads").as_str()), (1, "reloaded\n"));
    let began = Instant::now();
    lab.run(&["--wait"]).ends(0);
    assert!(began.elapsed() < Duration::from_secs(2), "there is nothing to wait for: {:?}", began.elapsed());
}

/// What keeps failing fails the run in the end only: it is tried again and again.
#[test]
fn what_fails_is_tried_again() {
    let lab = renewed("ttl = 0", "reload = /bin/sh -c \"test -e $0\" LOG\nhold = 0\n");
    let text = lab.read("conf").replace("LOG", &lab.text("ready"));
    lab.write_configuration(text);
    let child = start(&lab, &["--wait"]);
    until("the reload was tried", || lab.read("log").contains("exited 1"));
    fs::write(lab.path("ready"), "").unwrap();
    // The next try is a minute off.
    send(&child, Signal::SIGTERM);
    assert_eq!(end(child).0, 143);
    lab.run(&["--wait"]).ends(0);
    assert_eq!(records(&lab), 1);
}

/// While it waits a signal ends it at once, with the code that a shell would give; the lock is free, and the next run goes on.
#[test]
fn signals_while_it_waits() {
    let lab = renewed("ttl = 3600", "");
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGKILL, -9)] {
        fs::write(lab.path("log"), "").unwrap();
        let child = start(&lab, &["--wait"]);
        until("it waits", || lab.read("log").contains("the next look is in"));
        // Others can run meanwhile.
        lab.run(&[]).ends(0);
        let picture = lab.picture();
        send(&child, signal);
        let (ended, took) = end(child);
        assert!(ended == code && took < Duration::from_secs(5), "{signal}: {ended} after {took:?}");
        assert!(lab.picture() == picture, "{signal}");
        assert_eq!(lab.read("log").contains("ended by signal"), code > 0);
        lab.run(&[]).ends(0);
    }
}

/// In the midst of a step it ends after it, if that takes no longer than a moment; a second signal ends it now.
#[test]
fn signals_while_it_acts() {
    for (patient, code) in [(true, 143), (false, 130)] {
        let lab = renewed("ttl = 0", "reload = /bin/sh -c \"echo x >>$0; sleep 4; echo y >>$0\" LOG\nhold = 3600\n");
        let text = lab.read("conf").replace("LOG", &lab.text("reloads"));
        lab.write_configuration(text);
        let child = start(&lab, &["--wait"]);
        until("it reloads", || lab.read("reloads").contains('x'));
        send(&child, if patient { Signal::SIGTERM } else { Signal::SIGINT });
        if !patient {
            std::thread::sleep(Duration::from_millis(300));
            send(&child, Signal::SIGTERM);
        }
        assert_eq!(end(child).0, code);
        assert_eq!(lab.read("reloads") == "x\ny\n", patient, "{}", lab.read("reloads"));
        // What was cut off is owed, and done again.
        lab.run(&[]).ends(0);
        let expected = if patient { "x\ny\n" } else { "x\nx\ny\n" };
        assert_eq!(lab.read("reloads"), expected);
    }
}

/// On a terminal a line says what is awaited, and for how long; it is gone when something else is printed. Elsewhere, and with
/// `-q`, there is none.
#[test]
fn the_line_on_a_terminal() {
    let lab = renewed("ttl = 3", "hold = 1\nreload = /bin/true\n");
    let words = format!("{} -c {} --wait", lab::PROGRAM, lab.text("conf"));
    let shown = |words: &str| {
        let told = Command::new("script").args(["-qec", words, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    let text = shown(&words);
    let line = format!("\r\x1b[K\x1b[?7lnext look in 2 s: {LINEAGE}: waiting to switch to generation ");
    assert!(text.contains(&line), "{text:?}");
    assert!(text.ends_with("\r\x1b[K"), "{text:?}");
    let lab = renewed("ttl = 2", "hold = 1\nreload = /bin/true\n");
    assert_eq!(shown(&format!("{} -q -c {} --wait", lab::PROGRAM, lab.text("conf"))), "");
    let lab = renewed("ttl = 2", "hold = 1\nreload = /bin/true\n");
    let run = lab.run(&["--wait"]);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""));
}
