//! Kill at every system call: the real program goes through a rollover, and each call that it makes is in one history the one at
//! which it is killed, or the one that fails. Whatever happens, the rollover ends as if nothing had been, and at no moment was a
//! certificate presented that did not match.
//!
//! The usual run takes the calls that change files, send, lock, start or signal. `DANEROLL_SYSCALLS=all` takes all of every kind,
//! and each error at each.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; not each uses everything"
)]

mod bites;
#[path = "../common/dns_server.rs"]
mod dns_server;
#[path = "../bad_input/lab.rs"]
mod lab;
mod oracle;
mod story;
mod supervisor;
mod sweep;
mod trace;
mod world;

use std::{fs, io::Write};
use sweep::{Chosen, sweep};
use world::Variant;

/// Dynamic updates, as most use it: links go back to `live/`.
const UPDATES: Variant =
    Variant { name: "updates", update: true, always: false, bundle: false, first: ["--reset", ""], ttl: 0 };
/// A program edits the zone; first used by the hooks; pinned always.
const PROGRAM: Variant =
    Variant { name: "program", update: false, always: true, bundle: true, first: ["--pre", "--post"], ttl: 0 };
/// Records are cached for a second, and everything has to wait for that.
const CACHED: Variant =
    Variant { name: "cached", update: true, always: true, bundle: true, first: ["--post", ""], ttl: 1 };

/// Each test takes both cores, and more would only be in each other's way.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone(test: impl FnOnce(bool)) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if trace::is_possible() {
        test(std::env::var("DANEROLL_SYSCALLS").is_ok_and(|which| which == "all"));
    } else {
        skip("strace is missing or may not trace");
    }
}

#[test]
fn killed() {
    alone(|all| {
        for variant in [&UPDATES, &PROGRAM] {
            sweep(variant, if all { Chosen::AllKills } else { Chosen::Kills { every: 1 } });
        }
        // Each of these takes seconds of waiting.
        sweep(&CACHED, Chosen::Kills { every: if all { 1 } else { 9 } });
    });
}

#[test]
fn failing_calls() {
    alone(|all| {
        for (variant, every) in [(&UPDATES, 3), (&PROGRAM, 4)] {
            sweep(variant, if all { Chosen::AllErrors } else { Chosen::Errors { every } });
        }
    });
}

/// Notes that a test was not run.
fn skip(why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing may be skipped: {why}");
    let line = format!("syscalls: {why}\n");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        fs::OpenOptions::new().append(true).create(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
    let _ = write!(std::io::stderr(), "skipped {line}");
}
