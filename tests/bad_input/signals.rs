//! Somebody ends the program while it waits.

use crate::{
    lab::{Lab, PROGRAM, until},
    names::Server,
    providers::is_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[test]
fn while_a_provider_runs() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGKILL] {
        let lab = Lab::new();
        let pids = lab.text("pids");
        lab.provider(&format!("sleep 324 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait"));
        let mut child = with_default_signals(&lab.command(&[])).spawn().unwrap();
        until("the provider is called", || lab.path("pids").exists());
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal as i32));
        for pid in lab.read("pids").split_whitespace() {
            assert!(is_gone(pid), "after {signal} process {pid} lives on");
        }
        nothing_needs_a_hand(&lab);
    }
}

#[test]
fn while_a_name_server_is_silent() {
    let server = Server::silent();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let lab = Lab::new();
        lab.configure(&format!("verify = authoritative\nnameservers = {}\n", server.address));
        let before = server.asked();
        let mut child = with_default_signals(&lab.command(&[])).spawn().unwrap();
        let began = Instant::now();
        while server.asked() == before {
            assert!(began.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(10));
        }
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal as i32), "{PROGRAM}");
        lab.configure("");
        nothing_needs_a_hand(&lab);
    }
}

/// Whoever runs the tests may ignore signals, as a shell's background jobs do, and children inherit that.
fn with_default_signals(command: &Command) -> Command {
    let mut reset = Command::new("/usr/bin/env");
    reset.arg("--default-signal").arg(command.get_program()).args(command.get_args()).env_clear();
    reset.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    reset
}

fn nothing_needs_a_hand(lab: &Lab) {
    lab.provider("exit 0");
    lab.run(&["--pre"]).ends(0);
    lab.run(&["--post"]).ends(0);
    lab.run(&[]).ends(0);
    let left: Vec<_> = lab.picture().into_keys().filter(|path| path.to_string_lossy().contains("tmp")).collect();
    assert!(left.iter().all(|path| !path.to_string_lossy().contains(".daneroll-tmp-")), "{left:?}");
}
