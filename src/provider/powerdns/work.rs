//! What is to become of one RRset, given what is there.

use super::answer::{RRset, Record};
use crate::{
    name::DnsName,
    provider::{Change, Operation, Outcome},
};
use serde_json::{Value, json};

/// A change with its place among the changes that were asked for.
pub(super) type Placed<'a> = (usize, &'a Change);
/// What became of the change at this place.
pub(super) type Settled = (usize, Outcome);

/// One RRset as it is to be.
pub(super) struct Work<'a> {
    pub owner: &'a DnsName,
    ttl: u32,
    records: Vec<Record>,
    /// The changes that need a write.
    pub changes: Vec<Placed<'a>>,
    /// Those that need none.
    pub settled: Vec<Settled>,
}

impl<'a> Work<'a> {
    pub(super) fn new(owner: &'a DnsName, there: Option<&RRset>, changes: &[Placed<'a>]) -> Work<'a> {
        let ttl = there.map(|rrset| rrset.ttl).or(changes.first().map(|(_, change)| change.ttl));
        let records = there.map(|rrset| rrset.records.clone()).unwrap_or_default();
        let mut work = Work { owner, ttl: ttl.unwrap_or_default(), records, changes: Vec::new(), settled: Vec::new() };
        // Adds first: a record that must stay may come with them.
        let (adds, deletes) = changes.iter().partition::<Vec<_>, _>(|(_, change)| change.operation == Operation::Add);
        for (place, change) in adds.into_iter().chain(deletes) {
            match work.take_in(change) {
                Some(outcome) => work.settled.push((place, outcome)),
                None => work.changes.push((place, change)),
            }
        }
        work
    }

    /// Makes the change in our copy; `Some` if there is nothing to change.
    fn take_in(&mut self, change: &Change) -> Option<Outcome> {
        let record = &change.record;
        let serves = |record| self.records.iter().any(|held| !held.disabled && held.is(record));
        match (change.operation, &change.live) {
            (Operation::Add, _) if serves(record) => Some(Outcome::Already),
            (Operation::Add, _) => {
                self.records.retain(|held| !held.is(record));
                self.records.push(Record { content: record.to_string(), disabled: false });
                None
            }
            (Operation::Delete, Some(live)) if !serves(live) => Some(Outcome::NotYet(format!(
                "the server does not have the record that must stay at {}: {live}",
                self.owner
            ))),
            (Operation::Delete, _) if !self.records.iter().any(|held| held.is(record)) => Some(Outcome::Already),
            (Operation::Delete, _) => {
                self.records.retain(|held| !held.is(record));
                None
            }
        }
    }

    /// Nothing needs a write?
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The RRset as the server wants it told.
    pub(super) fn patch(&self) -> Value {
        let name = self.owner.as_str();
        match self.records.is_empty() {
            true => json!({ "name": name, "type": "TLSA", "changetype": "DELETE" }),
            false => json!({
                "name": name, "type": "TLSA", "changetype": "REPLACE", "ttl": self.ttl, "records": self.records,
            }),
        }
    }

    /// Is this what we wanted to be there? Records of others may be spelt otherwise than we found them.
    pub(super) fn is_there(&self, there: Option<&RRset>) -> bool {
        let found = there.map_or(&[][..], |rrset| &rrset.records);
        found.len() == self.records.len() && self.records.iter().all(|record| found.iter().any(|f| same(f, record)))
    }
}

fn same(one: &Record, other: &Record) -> bool {
    let contents = one.content.eq_ignore_ascii_case(&other.content)
        || other.content.parse().is_ok_and(|association| one.is(&association));
    contents && one.disabled == other.disabled
}
