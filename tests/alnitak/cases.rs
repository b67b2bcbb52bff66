//! Cases as they stand in the files: `NAME | DIALECT | INPUT | EXPECTED`, one a line.

use std::{fs, path::PathBuf};

/// Whose words a case is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Alnitak 0.1.
    Old,
    /// Alnitak 0.2.
    New,
    /// Either.
    Both,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub dialect: Dialect,
    /// What to do, in the words of its suite.
    pub input: String,
    /// What daneroll makes of it.
    pub expected: String,
}

/// A file of this folder.
pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/alnitak", name].iter().collect()
}

/// The columns of the lines of a file; blank lines and comments are left out.
pub fn table(name: &str, columns: usize) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path(name)).unwrap();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let split =
        |line: &str| -> Vec<String> { line.splitn(columns, " | ").map(|word| word.trim().to_owned()).collect() };
    let rows: Vec<Vec<String>> = lines.map(split).collect();
    for row in &rows {
        assert_eq!(row.len(), columns, "{name}: {row:?}");
    }
    rows
}

/// The cases of a suite.
pub fn read(suite: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for row in table(&format!("cases/{suite}.txt"), 4) {
        let [name, dialect, input, expected] = row.try_into().unwrap();
        let dialect = match &*dialect {
            "0.1" => Dialect::Old,
            "0.2" => Dialect::New,
            "both" => Dialect::Both,
            other => panic!("{suite}: {name}: no dialect {other}"),
        };
        assert!(cases.iter().all(|case| case.name != name), "{suite}: two cases are called {name}");
        cases.push(Case { name, dialect, input, expected });
    }
    cases
}
