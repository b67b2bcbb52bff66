//! The proof among real servers: fifteen scenarios in a laboratory of their own, watched by DANE clients through five caches and
//! by an oracle over everything that authoritative servers showed. `tests/system/lab` keeps one up for looking around.
//!
//! Without arguments all scenarios run, with numbers only those; then a table is printed.

// Test code: a panic is how it reports.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../common/clients.rs"]
mod clients;
mod enclosure;
mod fingers;
mod host;
mod look;
#[allow(dead_code, reason = "the system tests use the rest")]
#[path = "../system/namespace.rs"]
mod namespace;
mod network;
#[allow(dead_code, reason = "its tests run elsewhere")]
#[path = "../system/oracle.rs"]
mod oracle;
mod program;
#[allow(dead_code, reason = "the system tests use the rest")]
#[path = "../system/questions.rs"]
mod questions;
mod renewer;
mod scenarios;
#[allow(dead_code, reason = "the system tests use the rest")]
#[path = "../system/servers.rs"]
mod servers;
mod services;
mod table;
mod traces;
mod watch;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    env, fs,
    io::Write,
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What everything together may take.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let plain: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match plain.as_slice() {
        _ if words.iter().any(|word| word == "--list") => {
            println!("laboratory: test");
            ExitCode::SUCCESS
        }
        ["inside", "up"] => scenarios::keep_up(true),
        ["inside", "idle"] => scenarios::keep_up(false),
        ["inside", numbers @ ..] => scenarios::run(numbers),
        ["up"] => up(),
        ["idle"] => outside(&["idle"]),
        names if !asked_for(&words, names) => ExitCode::SUCCESS,
        numbers => outside(&numbers.iter().copied().filter(|word| word.parse::<u8>().is_ok()).collect::<Vec<_>>()),
    }
}

/// Do the filters that `cargo test` hands to every target let this one run?
fn asked_for(words: &[String], names: &[&str]) -> bool {
    let ours = |name: &str| name.parse::<u8>().is_ok() || "laboratory".contains(name);
    let skipped = words.windows(2).any(|pair| pair[0] == "--skip" && ours(&pair[1]));
    !skipped
        && !words.iter().any(|word| word == "--ignored")
        && (names.is_empty() || names.iter().any(|name| ours(name)))
}

fn outside(numbers: &[&str]) -> ExitCode {
    if let Err(why) = prerequisites() {
        return skip(&why);
    }
    let words: Vec<&str> = ["inside"].into_iter().chain(numbers.iter().copied()).collect();
    // Beside the scenarios, of which most is waiting.
    let traces = numbers.is_empty().then(|| thread::spawn(traces::leaves_none));
    let mut child = enclosure::command(&words, true).unwrap().spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let left = traces.and_then(|thread| thread.join().unwrap().err());
            left.iter().for_each(|what| eprintln!("laboratory: {what}"));
            return if status.success() && left.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        if Instant::now() > deadline {
            eprintln!("laboratory: not done within {LIMIT:?}");
            child.kill().unwrap();
            return ExitCode::FAILURE;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Starts a laboratory that stays, and prints its name.
fn up() -> ExitCode {
    if let Err(why) = prerequisites() {
        eprintln!("laboratory: {why}");
        return ExitCode::FAILURE;
    }
    let mut command = enclosure::command(&["inside", "up"], false).unwrap();
    // It is to outlive this process, so nobody waits for its end.
    let maker = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap().id();
    let (begun, limit) = (Instant::now(), Duration::from_secs(120));
    let there = |pid: u32| fs::read_to_string(format!("/proc/{pid}/root{}/README", enclosure::DIR)).ok();
    loop {
        if let Some(text) = enclosure::first_process(maker).and_then(there) {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        if enclosure::first_process(maker).is_none() && begun.elapsed() > Duration::from_secs(5)
            || begun.elapsed() > limit
        {
            let _ = kill(Pid::from_raw(maker as i32), Signal::SIGKILL);
            eprintln!("laboratory: it does not come up; tests/system/lab run 1 says why");
            return ExitCode::FAILURE;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn skip(why: &str) -> ExitCode {
    eprintln!("laboratory: skipped: {why}");
    if env::var("CI").as_deref() == Ok("true") {
        eprintln!("laboratory: with CI=true nothing may be skipped");
        return ExitCode::FAILURE;
    }
    if let Some(list) = env::var_os("DANEROLL_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        list.write_all(format!("laboratory: {why}\n").as_bytes()).unwrap();
    }
    ExitCode::SUCCESS
}

fn prerequisites() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("needs root, for namespaces and port 53".to_owned());
    }
    let tools = "certbot dig dnssec-dsfromkey dovecot ip knotc knotd lego mount named nginx nsd nsupdate openssl pdns_server \
                 pdnsutil pebble postfix posttls-finger rndc setpriv sqlite3 timeout tsig-keygen unbound unshare";
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    let missing: Vec<_> =
        tools.split_whitespace().filter(|tool| !dirs.iter().any(|dir| dir.join(tool).is_file())).collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {}; tests/install does it", missing.join(" ")));
    }
    let made = Command::new("unshare")
        .args("--net --pid --mount --uts --ipc --fork --mount-proc true".split(' '))
        .stderr(Stdio::null())
        .status();
    match made.is_ok_and(|status| status.success()) && Path::new(enclosure::DIR).is_dir() {
        true => Ok(()),
        false => Err("no namespaces can be made here".to_owned()),
    }
}
