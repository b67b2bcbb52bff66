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

/// Some of the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys(u64);

const _: () = assert!(KEYS.len() <= u64::BITS as usize);

impl Keys {
    /// Adds one. Says whether it was missing.
    pub fn insert(&mut self, name: &str) -> bool {
        let known = self.contains(name);
        self.0 |= bit(name);
        !known
    }

    /// Is this one among them?
    pub fn contains(self, name: &str) -> bool {
        self.0 & bit(name) != 0
    }

    /// Takes one out.
    pub fn remove(&mut self, name: &str) {
        self.0 &= !bit(name);
    }

    /// Takes all out that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        KEYS.iter().filter(|(key, _)| !keep(key)).for_each(|(key, _)| self.remove(key));
    }

    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are not among `others`.
    pub fn without(self, others: Keys) -> Keys {
        Keys(self.0 & !others.0)
    }
}

fn bit(name: &str) -> u64 {
    KEYS.iter().position(|(key, _)| *key == name).map_or(0, |at| 1 << at)
}

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
