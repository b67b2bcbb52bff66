//! A life in a few words a run, and what is told of it.

use super::super::{Event, Memory, Seen};
use crate::{
    journal::clock::Stamp,
    lineage::GenerationId,
    plan::standing::{Lasting, Life, Standing},
};
use std::collections::BTreeMap;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn id(letter: char) -> GenerationId {
    GenerationId::try_from(letter.to_string().repeat(16)).unwrap()
}

/// `served a`, `new b` (a candidate), `in 2` (hours until its switch), `left 30` (days), `of 90`, `needs 2` (hours), `wait NAME 3`
/// (planned, hours), `clearing` (not settled).
fn standing(text: &str) -> Standing {
    let mut standing = Standing { settled: true, needed: 2 * HOUR, ..Standing::default() };
    let mut life = Life { whole: 90 * DAY, left: 60 * DAY };
    let mut words = text.split_whitespace();
    let letter = |word: Option<&str>| word.and_then(|word| word.chars().next()).map(id);
    let count = |word: Option<&str>| word.unwrap().parse::<u64>().unwrap();
    while let Some(word) = words.next() {
        match word {
            "served" => standing.served = letter(words.next()),
            "new" => (standing.candidate, standing.settled) = (letter(words.next()), false),
            "at" => standing.switches = Some(Stamp(count(words.next()) * HOUR * 1000)),
            "left" => life.left = count(words.next()) * DAY,
            "of" => life.whole = count(words.next()) * DAY,
            "needs" => standing.needed = count(words.next()) * HOUR,
            "clearing" => standing.settled = false,
            "wait" => standing.waits.push(Lasting {
                step: words.next().unwrap().into(),
                planned: count(words.next()) * HOUR,
                reasons: vec!["because".into()],
            }),
            other => panic!("{other}"),
        }
    }
    standing.life = Some(life);
    standing
}

/// What is told at these hours, as the first letters of the events (`X` for stuck), a dot for nothing.
fn told(runs: &[(u64, &str)], stuck: Option<u64>) -> String {
    let mut memory = Memory::default();
    let run = |(hour, text): &(u64, &str)| {
        let standings = BTreeMap::from([("mx".to_owned(), standing(text))]);
        let now = Stamp(hour * HOUR * 1000);
        let seen = Seen { now, epoch: "a", wall: 7, standings: Some(&standings), troubles: &[], later: &[], stuck };
        let news = memory.news(&seen);
        // What is read back from the disk is what was written.
        memory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
        let letter = |event| match event {
            Event::Started => 's',
            Event::Waiting => 'w',
            Event::Switched => 'S',
            Event::Done => 'd',
            Event::Stuck => 'X',
            Event::Failed => 'F',
        };
        if news.is_empty() { ".".to_owned() } else { news.iter().map(|news| letter(news.event)).collect() }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_rollover() {
    for (runs, expected) in [
        (&[(0, "served a"), (1, "served a")][..], ". ."),
        (
            &[
                (0, "served a"),
                (1, "served a new b"),
                (2, "served a new b at 4"),
                (3, "served a new b at 4"),
                (4, "served b clearing"),
                (5, "served b clearing"),
                (6, "served b"),
                (7, "served b"),
            ],
            ". s w . S . d .",
        ),
        (&[(0, "served a"), (1, "served a new b at 4"), (4, "served b")], ". sw Sd"), // few runs
        (&[(0, "served a"), (1, "served b"), (2, "served b")], ". Sd ."),             // a reused key
        (&[(0, "served a new b at 4"), (1, "served a new b at 4")], "sw ."),          // `notify` is new
        (&[(0, "served a new b at 4"), (1, "served a new c"), (2, "served a new c at 6")], "sw s w"), // renewed meanwhile
        (&[(0, "served a new b at 4"), (1, "served a new b"), (2, "served a new b at 9")], "sw . ."), // a server went back
        (&[(0, "served a new b"), (1, "served a")], "s d"), // rolled back before it began
        (&[(0, "served a"), (1, ""), (2, "served a")], ". . ."), // could not be told for a while
    ] {
        assert_eq!(told(runs, None), expected, "{runs:?}");
    }
}

/// A day longer than planned, or a tenth of the certificate's life.
#[test]
fn waits_that_last() {
    for (life, stuck, after, expected) in [
        ("of 90", None, 26, false),
        ("of 90", None, 27, true),
        ("of 45", None, 26, false),
        ("of 45", None, 27, true),
        ("of 6 left 4", None, 16, false), // 2 h planned and 14.4 h
        ("of 6 left 4", None, 17, true),
        ("of 90", Some(HOUR), 3, false),
        ("of 90", Some(HOUR), 4, true),
        ("of 6 left 4", Some(DAY), 26, false),
    ] {
        let text = format!("served a new b {life} wait switch 2");
        let runs: Vec<(u64, &str)> = (0..=after).map(|hour| (hour, text.as_str())).collect();
        let found = told(&runs, stuck);
        assert_eq!(found.ends_with('X'), expected, "{life} {stuck:?} {after}: {found}");
        assert_eq!(found.matches('X').count(), usize::from(expected), "{life} {stuck:?} {after}: {found}");
    }
    let (on, off) = ("served a new b wait switch 2", "served a new b");
    for (runs, expected) in [
        (&[(0, on), (27, on), (28, on), (99, on)][..], "s X . ."),
        (&[(0, on), (20, off), (27, on), (40, on), (60, on)], "s . . . X"), // the count starts anew
        (&[(0, on), (27, on), (28, off), (29, on), (99, on)], "s X . . ."), // the news is old
        (&[(0, on), (27, on), (28, off), (60, on), (99, on)], "s X . . X"), // and forgotten after a day
        (&[(0, "served a wait delete 1"), (26, "served a wait retire 1"), (52, "served a wait delete 1")], ". . ."),
    ] {
        assert_eq!(told(runs, None), expected, "{runs:?}");
    }
}

/// A certificate that ends before the next one can be there, with a tenth of its life to spare, ten days at most.
#[test]
fn lives_that_become_short() {
    for (text, expected) in [
        ("served a of 90 left 30", false), // certbot renews now
        ("served a of 90 left 10", false),
        ("served a of 90 left 9", true),
        ("served a of 45 left 15", false),
        ("served a of 45 left 4", true),
        ("served a of 6 left 2", false),
        ("served a of 6 left 1 needs 2", false),
        ("served a of 6 left 1 needs 12", true), // the switch alone takes half of the day
        ("served a of 6 left 2 needs 48", true),
        ("served a new b at 8 of 6 left 1 needs 48", false), // most of the wait is done
        ("served a new b of 6 left 2 needs 48 wait switch 48", true),
        ("served a of 3650 left 30", false),
        ("served a of 3650 left 9", true),
        ("served a of 90 left 0", true),
        ("of 90 left 0", false), // nothing is served, so something else is wrong
    ] {
        let found = told(&[(0, text), (1, text)], None);
        assert_eq!(found.contains('X'), expected, "{text}: {found}");
        assert!(found.ends_with('.'), "{text}: told twice: {found}");
    }
    // Told for each certificate.
    assert_eq!(told(&[(0, "served a left 1"), (1, "served b left 1"), (2, "served b left 1")], None), "X SdX .");
}

/// Where another clock counts, what lasts begins anew; a damaged memory is no memory.
#[test]
fn another_clock() {
    let standings = BTreeMap::from([("mx".to_owned(), standing("served a wait switch 2"))]);
    let mut memory = Memory::default();
    let mut run = |hour: u64, epoch| {
        let now = Stamp(hour * HOUR * 1000);
        let seen = Seen { now, epoch, wall: 7, standings: Some(&standings), troubles: &[], later: &[], stuck: None };
        memory.news(&seen).len()
    };
    assert_eq!([run(0, "a"), run(20, "a"), run(5, "b"), run(30, "b"), run(40, "b")], [0, 0, 0, 0, 1]);
}
