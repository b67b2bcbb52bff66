//! The judge: from a log of what every server answered and what was presented, was there a moment at which a client
//! could hold an answer that did not match?

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

/// One answer of one authoritative server. Times are counted from the start of the log.
#[derive(Clone, Debug)]
pub struct Shown<R = BTreeSet<String>> {
    /// Which server.
    pub server: usize,
    /// The question was sent then,
    pub asked: Duration,
    /// and answered then.
    pub answered: Duration,
    /// The answer may be kept that long.
    pub ttl: Duration,
    /// The RRset; empty for a denial.
    pub records: R,
}

/// One look at what is presented to clients.
#[derive(Clone, Debug)]
pub struct Presented<K = String> {
    /// By whom.
    pub by: &'static str,
    /// The look began then,
    pub from: Duration,
    /// and ended then.
    pub until: Duration,
    /// What was presented, or why there was nothing.
    pub key: Result<K, String>,
}

/// Every look at which a client could have held an answer that does not match what is presented: the worst cache keeps
/// each answer for its whole TTL, from the latest moment at which it may have been given. Both are in the order of time; for
/// each look one answer is named.
pub fn violations<R: Debug, K: Debug>(
    shown: &[Shown<R>],
    presented: &[Presented<K>],
    matches: impl Fn(&R, &K) -> bool,
) -> Vec<String> {
    let longest = shown.iter().map(|answer| answer.ttl).max().unwrap_or_default();
    let mut found = Vec::new();
    for look in presented {
        let first = shown.partition_point(|answer| answer.answered + longest < look.from);
        let mut held = shown[first..].iter().take_while(|answer| answer.asked <= look.until);
        found.extend(held.find_map(|answer| mismatch(answer, look, &matches)));
    }
    found
}

fn mismatch<R: Debug, K: Debug>(
    answer: &Shown<R>,
    look: &Presented<K>,
    matches: impl Fn(&R, &K) -> bool,
) -> Option<String> {
    let held = look.from <= answer.answered + answer.ttl;
    if !held || look.key.as_ref().is_ok_and(|key| matches(&answer.records, key)) {
        return None;
    }
    let (at, given) = (look.from.as_secs_f64(), answer.asked.as_secs_f64());
    let (server, records) = (answer.server, &answer.records);
    Some(format!("{at:.3} s: {} presents {:?}; server {server} showed at {given:.3} s {records:?}", look.by, look.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u64 = 2000;

    fn shown(at: u64, records: &str) -> Shown {
        Shown {
            server: 0,
            asked: Duration::from_millis(at),
            answered: Duration::from_millis(at + 10),
            ttl: Duration::from_millis(TTL),
            records: records.chars().map(String::from).collect(),
        }
    }

    fn presented(at: u64, key: &str) -> Presented {
        let key = if key.is_empty() { Err("no such file".to_owned()) } else { Ok(key.to_owned()) };
        Presented { by: "service", from: Duration::from_millis(at), until: Duration::from_millis(at + 5), key }
    }

    #[test]
    fn an_answer_counts_from_its_question_until_its_ttl_has_passed() {
        // Records shown at 10 s, key presented at some time, violations.
        let cases = [
            ("a", 10_000, "a", 0),
            ("ab", 10_000, "a", 0),
            ("ab", 10_000, "b", 0),
            ("a", 10_000, "b", 1),
            ("a", 12_010, "b", 1),
            ("a", 12_011, "b", 0),
            ("a", 9_994, "b", 0),
            ("a", 9_995, "b", 1),
            ("", 10_000, "a", 1),
            ("a", 10_000, "", 1),
        ];
        for (records, at, key, count) in cases {
            let found = violations(&[shown(10_000, records)], &[presented(at, key)], BTreeSet::contains);
            assert_eq!(found.len(), count, "{records:?} {at} {key:?}: {found:?}");
        }
    }

    #[test]
    fn one_lagging_server_is_enough() {
        let good = shown(10_000, "ab");
        let lagging = Shown { server: 1, ..shown(10_000, "a") };
        let looks = [presented(10_100, "a"), presented(10_200, "b")];
        assert_eq!(violations(&[good, lagging], &looks, BTreeSet::contains).len(), 1);
    }
}
