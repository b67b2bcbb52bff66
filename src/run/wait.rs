//! `--wait`: runs again and again until nothing is pending.

use super::{BUSY, Report};
use crate::{env::Env, plan::span};
use std::time::Duration;

/// However far off the next step is, a look so often finds a new renewal, and a step that became due earlier, seconds.
const LONGEST: u64 = 600;
/// And never oftener, seconds.
const SHORTEST: u64 = 1;

/// Runs until nothing is pending. The lock is free between the runs, and each leaves everything in order, so it can be
/// interrupted at any time: the exit code is then 128 and the signal's number, as a shell has it.
pub(super) fn until_done(env: &dyn Env, once: impl Fn() -> Report) -> Report {
    loop {
        let report = once();
        if let Some(end) = pause(env, report) {
            return end;
        }
    }
}

/// After a run that ended with this: waits until the next is due, or says what the end is.
pub(super) fn pause(env: &dyn Env, report: Report) -> Option<Report> {
    let (seconds, what) = match report.pending {
        Some(seconds) => (seconds.clamp(SHORTEST, LONGEST), report.awaited.as_str()),
        None if report.exit == BUSY => (SHORTEST, "another run to end"),
        None => return Some(report),
    };
    tracing::info!("the next look is in {}; this can be interrupted at any time", span(seconds));
    let signal = env.pause(Duration::from_secs(seconds), what)?;
    tracing::info!("ended by signal {signal} while waiting; the next run goes on");
    Some(Report { exit: 128u8.saturating_add(signal), ..Report::default() })
}
