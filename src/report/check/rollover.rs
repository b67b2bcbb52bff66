//! What is remembered of rollovers, judged.

use super::{
    Finding, Kind,
    Severity::{Critical, Ok as Fine, Warning},
};
use crate::{
    observe::audit::state::{LastRun, Pending, Rollover, State},
    plan::span,
};
use std::collections::BTreeSet;

/// A daily cron job that is a little late is no reason to call.
const A_DAY: u64 = 86_400 + 7_200;

/// Judges the memory of these lineages at `wall` (Unix seconds).
pub fn rollovers(state: &State, lineages: &BTreeSet<String>, wall: i64) -> Vec<Finding> {
    let not_checked = |what: &String| Finding::new(Fine, Kind::NotChecked, "state", what.clone());
    let mut findings: Vec<Finding> = state.unreadable.iter().map(not_checked).collect();
    for (name, rollover) in state.rollovers.iter().filter(|(name, _)| lineages.contains(*name)) {
        let waits = state.last.iter().flat_map(|last| &last.waits);
        let texts: Vec<&str> =
            waits.filter(|p| p.lineage == *name).flat_map(|p| &p.texts).map(String::as_str).collect();
        findings.extend(blocked(name, rollover, &texts, wall));
    }
    match &state.last {
        _ if lineages.is_empty() => {}
        Some(last) => findings.extend(run(last, lineages, wall)),
        None if state.unreadable.is_empty() => {
            findings.push(Finding::new(Warning, Kind::RunLate, "runs", "daneroll has not been run yet"))
        }
        None => {}
    }
    findings
}

/// A rollover that takes longer than it should, or than the certificate lasts.
fn blocked(name: &str, rollover: &Rollover, reasons: &[&str], wall: i64) -> Option<Finding> {
    if !rollover.waiting {
        return None;
    }
    let because = match reasons {
        [] => String::new(),
        [first, ..] => format!(": {first}"),
    };
    let left = rollover.not_after.map(|not_after| not_after - wall);
    if let Some(left) = left.filter(|left| *left < (rollover.wait + 86_400) as i64) {
        let ends = if left > 0 { format!("ends in {}", span(left as u64)) } else { "has ended".into() };
        let text = format!("the certificate that is served {ends}, and the switch to the next one waits{because}");
        return Some(Finding::new(Critical, Kind::ExpiringBlocked, name, text));
    }
    let since = rollover.published_for.filter(|since| *since > rollover.wait.saturating_add(A_DAY))?;
    let text = format!(
        "its records were published {} ago, the wait is {}, and nothing was switched{because}",
        span(since),
        span(rollover.wait)
    );
    Some(Finding::new(Warning, Kind::Overdue, name, text))
}

/// The last run, and what it left.
fn run(last: &LastRun, lineages: &BTreeSet<String>, wall: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ago = u64::try_from(wall - last.ended).unwrap_or(0);
    if ago > last.next_in.max(A_DAY) {
        let text = format!("the last run was {} ago; another was worth while after {}", span(ago), span(last.next_in));
        findings.push(Finding::new(Warning, Kind::RunLate, "runs", text));
    }
    let concerned = |lineage: &Option<String>| lineage.as_ref().is_none_or(|lineage| lineages.contains(lineage));
    for told in last.troubles.iter().filter(|told| concerned(&told.lineage)) {
        let place = told.lineage.as_deref().unwrap_or("runs");
        findings.push(Finding::new(Warning, Kind::RunFailed, place, told.text.clone()));
    }
    if last.exit != 0 && last.troubles.is_empty() {
        findings.push(Finding::new(
            Warning,
            Kind::RunFailed,
            "runs",
            format!("the last run ended with exit code {}", last.exit),
        ));
    }
    let over = |pending: &&Pending| pending.left == Some(0) && ago > A_DAY && lineages.contains(&pending.lineage);
    findings.extend(last.waits.iter().filter(over).map(|pending| {
        let text = format!("the wait for its next step ({}) is over, and no run has taken it", pending.step());
        Finding::new(Warning, Kind::Overdue, &pending.lineage, text)
    }));
    findings
}
