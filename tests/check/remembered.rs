//! What is remembered of rollovers, judged: one line a case.

use daneroll::{
    observe::audit::state::{LastRun, Rollover, State},
    report::check::rollovers,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn run(ago: i64, next_in: i64, exit: u8, rest: serde_json::Value) -> Option<LastRun> {
    let mut run = json!({ "exit": exit, "ended": NOW - ago, "next_in": next_in });
    run.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    Some(serde_json::from_value(run).unwrap())
}

fn fresh() -> Option<LastRun> {
    run(HOUR, HOUR, 0, json!({}))
}

fn rolling(published_for: i64, wait: i64, left: i64) -> Rollover {
    let published_for = Some(published_for as u64);
    Rollover { waiting: true, published_for, wait: wait as u64, not_after: Some(NOW + left) }
}

fn judged(rollover: Rollover, last: Option<LastRun>, unreadable: &[&str]) -> String {
    let rollovers_of = BTreeMap::from([("mx".to_owned(), rollover)]);
    let unreadable = unreadable.iter().map(|text| (*text).to_owned()).collect();
    let state = State { rollovers: rollovers_of, last, unreadable };
    let found = rollovers(&state, &BTreeSet::from(["mx".to_owned()]), NOW);
    let told = found.iter().map(|f| format!("{} {} {}", f.severity.word(), f.place, f.kind.name()));
    told.collect::<Vec<_>>().join(", ")
}

#[test]
fn runs_and_rollovers() {
    let idle = Rollover::default;
    let trouble = |lineage| json!({ "troubles": [{ "lineage": lineage, "text": "reload failed" }] });
    let mut over = run(2 * DAY, HOUR, 0, json!({ "waits": [{ "lineage": "mx", "step": { "switch": "00" } }] }));
    over.as_mut().unwrap().waits[0].left = Some(0);
    for (what, rollover, last, unreadable, expected) in [
        ("idle", idle(), fresh(), &[][..], ""),
        ("never run", idle(), None, &[], "WARNING runs run-late"),
        ("not readable", idle(), None, &["the journal: permission denied"], "OK state not-checked"),
        ("daily cron", idle(), run(25 * HOUR, HOUR, 0, json!({})), &[], ""),
        ("late", idle(), run(27 * HOUR, HOUR, 0, json!({})), &[], "WARNING runs run-late"),
        ("needed in a week only", idle(), run(3 * DAY, 7 * DAY, 0, json!({})), &[], ""),
        ("clock went back", idle(), run(-DAY, HOUR, 0, json!({})), &[], ""),
        ("failed", idle(), run(HOUR, HOUR, 1, trouble("mx")), &[], "WARNING mx run-failed"),
        ("another lineage failed", idle(), run(HOUR, HOUR, 1, trouble("www")), &[], ""),
        ("failed as a whole", idle(), run(HOUR, HOUR, 3, json!({})), &[], "WARNING runs run-failed"),
        ("rolling", rolling(HOUR, 2 * HOUR, 30 * DAY), fresh(), &[], ""),
        ("rolling, daily cron", rolling(25 * HOUR, 2 * HOUR, 30 * DAY), fresh(), &[], ""),
        ("overdue", rolling(29 * HOUR, 2 * HOUR, 30 * DAY), fresh(), &[], "WARNING mx overdue"),
        ("long TTL", rolling(29 * HOUR, 48 * HOUR, 30 * DAY), fresh(), &[], ""),
        ("expiring", rolling(HOUR, 2 * HOUR, 25 * HOUR), fresh(), &[], "CRITICAL mx expiring-blocked"),
        ("expired", rolling(HOUR, 2 * HOUR, -HOUR), fresh(), &[], "CRITICAL mx expiring-blocked"),
        ("wait is over", idle(), over, &[], "WARNING runs run-late, WARNING mx overdue"),
    ] {
        assert_eq!(judged(rollover, last, unreadable), expected, "{what}");
    }
}
