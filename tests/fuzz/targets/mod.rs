//! What is fuzzed: everything that reads what others wrote.
//!
//! Each target is a plain function of any bytes, and panics where something is wrong. cargo-fuzz runs it from `bin/all.rs`, and
//! `cargo test --test fuzz` replays the files that are kept.

#![allow(clippy::unwrap_used, reason = "what the targets set up themselves is right")]

mod alnitak;
mod certificates;
mod configuration;
mod dialogue;
mod dns;
mod journal;
mod provider;
mod tamper;
mod tree;
mod words;
pub mod world;
mod zonefile;

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `corpus/`.
pub const ALL: [(&str, Target); 20] = [
    ("alnitak_data", alnitak::alnitak_data),
    ("certificate", certificates::certificate),
    ("command_line", words::command_line),
    ("configuration", configuration::configuration),
    ("dialogue", dialogue::dialogue),
    ("dns_answer", dns::answer),
    ("dns_tampered", tamper::tampered),
    ("exec_answer", provider::exec_answer),
    ("exec_json_answer", provider::exec_json_answer),
    ("http_answer", provider::http_answer),
    ("journal", journal::journal),
    ("key", certificates::key),
    ("pem", certificates::pem),
    ("sets", certificates::sets),
    ("trust_anchor", configuration::trust_anchor),
    ("tree", tree::tree),
    ("tsig_key", configuration::tsig_key),
    ("update_answer", provider::update_answer),
    ("words", words::words),
    ("zone_file", zonefile::zone_file),
];

/// The target of that name.
pub fn find(name: &str) -> Option<Target> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Fit for a terminal and a log: nothing that steers either. (DEL does not, and JSON leaves it as it is.)
fn assert_plain(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && !"\n\t\u{7f}".contains(c)), "control characters in {text:?}");
}
