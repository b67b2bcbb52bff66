//! The parameters that there are.

/// Where a parameter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// For everything, wherever it stands.
    Everything,
    /// For its section; before the first header, the default for all sections.
    Section,
}

use Reach::{Everything, Section};

const KEYS: [(&str, Reach); 34] = [
    ("tlsa", Section),
    ("source", Section),
    ("api", Section),
    ("record_ttl", Section),
    ("deploy", Section),
    ("reload", Section),
    ("verify", Section),
    ("probe", Section),
    ("probe_address", Section),
    ("hold", Section),
    ("settle", Section),
    ("recheck", Section),
    ("patience", Section),
    ("shared", Section),
    ("pin", Section),
    ("bundle", Section),
    ("keep", Section),
    ("nameservers", Section),
    ("timeout", Section),
    ("ttl", Everything),
    ("letsencrypt_directory", Everything),
    ("dane_directory", Everything),
    ("state_directory", Everything),
    ("dane_mode", Everything),
    ("dane_group", Everything),
    ("log", Everything),
    ("log_level", Everything),
    ("log_format", Everything),
    ("resolver", Everything),
    ("trust_anchor", Everything),
    ("dnssec", Everything),
    ("prometheus_file", Everything),
    ("notify", Everything),
    ("stuck", Everything),
];

/// The parameter of that name.
pub(super) fn find(name: &str) -> Option<(&'static str, Reach)> {
    KEYS.iter().copied().find(|(key, _)| *key == name)
}

/// The parameter that was probably meant.
pub(super) fn similar(name: &str) -> Option<&'static str> {
    nearest(name, KEYS.iter().map(|(key, _)| *key))
}

/// The word that differs least from `word`, if it differs little.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase().replace('-', "_");
    let (distance, near) = words.map(|other| (edits(&folded, other), other)).min()?;
    (distance <= 1 + near.len() / 4).then_some(near)
}

/// How many letters must be changed, added or dropped (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, b) in to.chars().enumerate() {
            let cost = (diagonal + usize::from(a != b)).min(row[column] + 1).min(row[column + 1] + 1);
            diagonal = std::mem::replace(&mut row[column + 1], cost);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_them_all() {
        let manual = include_str!("../../man/daneroll.conf.5");
        for (key, _) in KEYS {
            assert!(manual.contains(&format!(".It Cm {key} No =")), "daneroll.conf.5 does not tell of {key}");
        }
        assert_eq!(manual.matches(" No = ").count(), KEYS.len());
    }

    #[test]
    fn near_words() {
        for (word, near) in [
            ("relaod", Some("reload")),
            ("TTL", Some("ttl")),
            ("name_servers", Some("nameservers")),
            ("tsla", Some("tlsa")),
            ("dane-directory", Some("dane_directory")),
            ("colour", None),
        ] {
            assert_eq!(similar(word), near, "{word}");
        }
    }
}
