//! The same cases with real Alnitak. `tests/alnitak/run` makes a place for it and calls this.
//!
//! `differences.txt` has a line for each case that is to come out otherwise: what Alnitak makes of it, and the reason.

use crate::{
    SUITES,
    cases::{Case, Dialect, read, table},
    each,
    world::{Program, end_all},
};
use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io::{Write as _, stdout},
};

/// The Alnitak that the environment names: the interpreter that has it, and the version.
pub fn alnitak() -> Option<Program> {
    let python = env::var_os("ALNITAK_PYTHON")?.into();
    Some(Program::Alnitak { python, version: env::var("ALNITAK_VERSION").unwrap() })
}

/// What both can be asked alike: how errors are told, and what else follows from one, is each one's own affair.
fn shared(told: &str, suite: &str) -> String {
    let code = told.split(' ').next().unwrap_or_default();
    let told = if suite == "configurations" { code } else { told };
    told.trim().to_owned()
}

#[test]
#[ignore = "needs Alnitak: tests/alnitak/run --against 0.2.2"]
fn real_alnitak() {
    let alnitak = alnitak().expect("ALNITAK_PYTHON is not set");
    let Program::Alnitak { version, .. } = &alnitak else { unreachable!() };
    let mut intended: BTreeMap<String, String> = BTreeMap::new();
    for row in table("differences.txt", 4) {
        if row[1].split(' ').any(|known| known == version) {
            let twice = intended.insert(row[0].clone(), row[2].clone()).is_some();
            assert!(!twice, "differences.txt names {} twice", row[0]);
        }
    }
    let (mut report, mut unlisted, mut count) = (String::new(), 0, 0);
    for (suite, play) in SUITES {
        let mut cases = read(suite);
        cases.retain(|case| understands(version, case));
        for (case, theirs) in each(&cases, 32, |case| {
            // In its own dialect, also where a case is told in both.
            let dialect = if version.starts_with("0.1") { Dialect::Old } else { Dialect::New };
            play(&alnitak, &Case { dialect, ..case.clone() })
        }) {
            count += 1;
            // That daneroll does as expected is what the other tests of this folder see to.
            let (ours, theirs) = (shared(&case.expected, suite), shared(&theirs, suite));
            if ours == theirs {
                continue;
            }
            let listed = intended.remove(&format!("{suite}/{}", case.name)).is_some_and(|known| known == theirs);
            unlisted += usize::from(!listed);
            let mark = if listed { "intended" } else { "NOT LISTED" };
            writeln!(
                report,
                "{suite}/{} ({mark})\n    {}\n    daneroll  {ours}\n    Alnitak   {theirs}",
                case.name, case.input
            )
            .unwrap();
        }
    }
    end_all();
    writeln!(report, "{count} cases played with Alnitak {version} and daneroll").unwrap();
    stdout().write_all(report.as_bytes()).unwrap();
    assert!(intended.is_empty(), "in differences.txt, but no longer different: {intended:#?}");
    assert_eq!(unlisted, 0, "differences that are not in differences.txt");
}

/// The manual tells whoever changes over of each difference, in the same words.
#[test]
fn the_manual_tells_each_difference() {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let manual = plain(include_str!("../../man/daneroll-alnitak.7"));
    for row in table("differences.txt", 4) {
        assert!(manual.contains(&plain(&row[3])), "not in daneroll-alnitak(7): {}: {}", row[0], row[3]);
    }
}

fn understands(version: &str, case: &Case) -> bool {
    match case.dialect {
        Dialect::Both => true,
        Dialect::Old => version.starts_with("0.1"),
        Dialect::New => version.starts_with("0.2"),
    }
}
