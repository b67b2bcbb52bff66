//! One provider that hangs, and the lineages of others.

use crate::lab::{Issued, LINEAGE, Lab};
use std::{fs, os::unix::fs::PermissionsExt};

const OTHER: &str = "other.example.test";

/// Two lineages, each with an `api` line of its own.
fn two(first: &str, second: &str) -> Lab {
    let lab = Lab::new();
    lab.issue(OTHER, 1, &Issued::new());
    let section = |name: &str, api: &str| format!("[{name}]\ntlsa = 311 25\napi = exec {api}\n");
    lab.write_configuration(format!(
        "{}timeout = 4s\n{}{}",
        lab.head(),
        section(LINEAGE, first),
        section(OTHER, second)
    ));
    lab.run(&["--reset"]).ends(0);
    lab
}

fn program(lab: &Lab, name: &str, script: &str) -> String {
    fs::write(lab.path(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(lab.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    lab.text(name)
}

/// The first hangs; the second is called all the same while it does, and what came of that is taken down.
#[test]
fn a_program_that_hangs_delays_no_other() {
    let place = Lab::new();
    let dir = place.text("");
    let first = program(&place, "first", &format!("touch {dir}first.began; exec sleep 60"));
    // It waits until the other is under way, and tells whether that has ended.
    let script =
        "n=0; until [ -e @first.began ]; do sleep 0.1; n=$((n+1)); [ $n -lt 30 ] || exit 9; done; touch @second.ended";
    let second = program(&place, "second", &script.replace('@', &dir));
    let lab = two(&first, &second);
    lab.run(&[]).fails(1, &[LINEAGE, "still running after 4 s"]);
    let time = |name: &str| fs::metadata(place.path(name)).unwrap().modified().unwrap();
    let apart = time("second.ended").duration_since(time("first.began")).unwrap_or_default();
    assert!(apart.as_secs() < 4, "the second waited for the first: {apart:?}");
    let status = lab.run(&["status", OTHER]).out;
    assert!(status.contains("settled") && status.contains("published"), "{status}");
}

/// One program is never at work twice, whatever its arguments, unless the operator allows it.
#[test]
fn one_program_is_called_once_at_a_time() {
    let place = Lab::new();
    let dir = place.text("");
    let alone = program(&place, "alone", &format!("mkdir {dir}busy || exit 9; sleep 0.5; rmdir {dir}busy"));
    let both = format!(
        "n=0; touch {dir}$1; until [ -e {dir}a -a -e {dir}b ]; do sleep 0.1; n=$((n+1)); [ $n -lt 30 ] || exit 9; done"
    );
    let together = program(&place, "together", &both);
    for (first, second) in [
        (format!("{alone} a"), format!("{alone} b")),
        (format!("parallel:2 {together} a"), format!("parallel:2 {together} b")),
    ] {
        let lab = two(&first, &second);
        lab.run(&[]).ends(0);
    }
}
