//! Records against a chain, group by group, as clients of every kind match them (RFC 7671 section 9).

use super::{
    Kind,
    Severity::{self, Critical, Warning},
};
use crate::{
    name::DnsName,
    small::Set,
    tlsa::{Association, Chain, Group},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// What an RRset means for a chain.
pub struct Match<'a> {
    /// The records that count: of usage 2 and 3 and types that are defined.
    groups: BTreeMap<Group, BTreeMap<u8, bool>>,
    /// The groups that are ours.
    ours: &'a Set<Group>,
    issuer_sent: bool,
}

/// Could any client use the record? Usages 0 and 1 are judged elsewhere.
pub fn is_defined(record: &Association) -> bool {
    record.usage <= 3 && record.selector <= 1 && record.matching <= 2
}

impl<'a> Match<'a> {
    /// Matches; `wall` in Unix seconds.
    pub fn new(
        records: &Set<Association>,
        chain: &Chain,
        base: &DnsName,
        wall: i64,
        ours: &'a Set<Group>,
    ) -> Match<'a> {
        let mut groups: BTreeMap<Group, BTreeMap<u8, bool>> = BTreeMap::new();
        for record in records.iter().filter(|record| is_defined(record) && record.usage >= 2) {
            let fits = chain.matches(record, base, wall);
            *groups.entry(record.group()).or_default().entry(record.matching).or_default() |= fits;
        }
        Match { groups, ours, issuer_sent: chain.linked() > 0 }
    }

    /// Does every client find a match somewhere?
    fn is_safe(&self) -> bool {
        self.groups.values().any(|kinds| kinds.values().all(|fits| *fits))
    }

    /// What is wrong, the worst for clients first.
    pub fn flaws(&self) -> Vec<(Severity, Kind, String)> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let safe = self.is_safe();
        let flawed = self.groups.iter().filter(|(_, kinds)| kinds.values().any(|fits| !fits));
        let mut flaws: Vec<_> = flawed.map(|(group, kinds)| self.flaw(*group, kinds, safe)).collect();
        if safe {
            let missing = self.ours.iter().filter(|group| !self.groups.contains_key(group));
            flaws.extend(missing.map(|(usage, selector)| {
                (
                    Warning,
                    Kind::RecordsMissing,
                    format!("there is no {usage} {selector} x record, and the configuration has one"),
                )
            }));
        }
        flaws.sort_by_key(|(severity, ..)| Reverse(*severity));
        flaws
    }

    fn flaw(&self, group: Group, kinds: &BTreeMap<u8, bool>, safe: bool) -> (Severity, Kind, String) {
        let (usage, selector) = group;
        let types = |fits: bool| {
            let types = kinds.iter().filter(|(_, found)| **found == fits);
            types.map(|(matching, _)| format!("{usage} {selector} {matching}")).collect::<Vec<_>>().join(" and ")
        };
        let severe = if safe && !self.ours.contains(&group) { Warning } else { Critical };
        match kinds.values().any(|fits| *fits) {
            true => {
                let text = format!(
                    "{} matches and {} does not: clients that know both digests use the stronger one only",
                    types(true),
                    types(false)
                );
                (Critical, Kind::DigestGap, text)
            }
            false if usage == 2 && !self.issuer_sent => {
                let text =
                    format!("no {} record matches, for no issuer's certificate is sent with the leaf", types(false));
                (severe, Kind::IssuerNotSent, text)
            }
            false if severe == Warning => {
                (Warning, Kind::ForeignRecords, format!("no {} record matches; others do", types(false)))
            }
            false => (Critical, Kind::Mismatch, format!("no {} record matches", types(false))),
        }
    }
}
