//! Alnitak's contract, kept by daneroll: configurations, command lines, logs, external programs, `print` and whole rollovers.
//!
//! The cases are data, one line each, in `cases/`. Here they are played with daneroll. `tests/alnitak/run --against 0.2.2` plays them
//! with real Alnitak as well, and every difference has to be in `differences.txt`, with its reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

mod against;
mod cases;
mod command_lines;
mod configurations;
mod directories;
mod external;
mod logs;
mod print;
mod rollovers;
mod take_over;
mod watcher;
mod world;

use cases::{Case, read};
use std::sync::Mutex;
use world::Program;

/// What comes of a case with a program, in words that two programs can share.
type Play = fn(&Program, &Case) -> String;

/// The suites: file in `cases/`, how a case is played.
const SUITES: [(&str, Play); 7] = [
    ("configurations", configurations::play),
    ("command-lines", command_lines::play),
    ("logs", logs::play),
    ("external", external::play),
    ("directories", directories::play),
    ("print", print::play),
    ("rollovers", rollovers::play),
];

/// Does something with each case, several at a time: most of them wait for a clock.
fn each<'a, T: Send>(cases: &'a [Case], at_once: usize, work: impl Fn(&'a Case) -> T + Sync) -> Vec<(&'a Case, T)> {
    let (next, done) = (Mutex::new(cases.iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let Some((at, case)) = next.lock().unwrap().next() else { return };
                    let result = work(case);
                    done.lock().unwrap().push((at, case, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, ..)| *at);
    done.into_iter().map(|(_, case, result)| (case, result)).collect()
}

/// Plays a suite with daneroll.
#[track_caller]
fn all_hold(suite: &str, at_least: usize) {
    let (_, play) = SUITES.into_iter().find(|(name, _)| *name == suite).unwrap();
    let cases = read(suite);
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    let told = each(&cases, 16, |case| play(&Program::Ours, case));
    let wrong = told.iter().filter(|(case, told)| *told != case.expected);
    let wrong: Vec<String> = wrong
        .map(|(case, told)| format!("{}:{}\n  expected {}\n  found    {told}", suite, case.name, case.expected))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), told.len(), wrong.join("\n"));
}

#[test]
fn configurations() {
    all_hold("configurations", 60);
}

#[test]
fn command_lines() {
    all_hold("command-lines", 40);
}

#[test]
fn logs() {
    all_hold("logs", 12);
}

#[test]
fn external_programs() {
    all_hold("external", 18);
}

#[test]
fn dane_directories() {
    all_hold("directories", 20);
}

#[test]
fn printed() {
    all_hold("print", 12);
}

#[test]
fn whole_rollovers() {
    all_hold("rollovers", 7);
}
