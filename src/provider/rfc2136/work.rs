//! What is left to do for one owner, given what is there.

use super::{Placed, Settled, view::View};
use crate::{
    name::DnsName,
    provider::{Operation, Outcome},
    tlsa::Association,
};

/// The changes of one owner that need an update, and the RRset as it was seen.
pub(super) struct Work<'a> {
    pub owner: &'a DnsName,
    pub view: View,
    /// TTL of what is added, seconds.
    pub ttl: u32,
    pub adds: Vec<&'a Association>,
    pub deletes: Vec<&'a Association>,
    changes: Vec<Placed<'a>>,
}

impl<'a> Work<'a> {
    /// Changes that need no update are settled here.
    pub(super) fn new(
        owner: &'a DnsName,
        view: View,
        changes: Vec<Placed<'a>>,
        settled: &mut Vec<Settled>,
    ) -> Work<'a> {
        let ttl = view.ttl.or(changes.first().map(|(_, change)| change.ttl)).unwrap_or_default();
        let mut work = Work { owner, view, ttl, adds: Vec::new(), deletes: Vec::new(), changes: Vec::new() };
        // Adds first, as in the update: a record that must stay may come with it.
        let (adds, deletes) =
            changes.into_iter().partition::<Vec<_>, _>(|(_, change)| change.operation == Operation::Add);
        for (place, change) in adds.into_iter().chain(deletes) {
            match work.take_in((place, change)) {
                Some(outcome) => settled.push((place, outcome)),
                None => work.changes.push((place, change)),
            }
        }
        work
    }

    /// Notes what the change needs; `Some` if it is settled without an update.
    fn take_in(&mut self, (_, change): Placed<'a>) -> Option<Outcome> {
        let record = &change.record;
        let will_be = |record| {
            (self.view.records.contains(record) || self.adds.contains(&record)) && !self.deletes.contains(&record)
        };
        match (change.operation, &change.live) {
            (Operation::Add, _) if will_be(record) => Some(Outcome::Already),
            (Operation::Add, _) => {
                self.adds.push(record);
                None
            }
            (Operation::Delete, Some(live)) if !will_be(live) => Some(Outcome::NotYet(format!(
                "the server does not have the record that must stay at {}: {live}",
                self.owner
            ))),
            (Operation::Delete, _) if !will_be(record) => Some(Outcome::Already),
            (Operation::Delete, _) => {
                self.deletes.push(record);
                None
            }
        }
    }

    /// The same changes against what is there now. What we meant to do and finds itself done was done by an update of ours
    /// whose answer was lost. `vanished`: the server said that the RRset just seen is not there.
    pub(super) fn again(self, view: View, vanished: bool, settled: &mut Vec<Settled>) -> Work<'a> {
        // A server that shows an RRset and denies it to an update shows what a wildcard makes of the name.
        let view = if vanished && view == self.view { View::default() } else { view };
        let mut news = Vec::new();
        let work = Work::new(self.owner, view, self.changes, &mut news);
        let done = |outcome| if outcome == Outcome::Already { Outcome::Done } else { outcome };
        settled.extend(news.into_iter().map(|(place, outcome)| (place, done(outcome))));
        work
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// All that was left has been done.
    pub(super) fn done(&self) -> impl Iterator<Item = Settled> {
        self.all(&Outcome::Done)
    }

    /// The same outcome for all that was left.
    pub(super) fn all(&self, outcome: &Outcome) -> impl Iterator<Item = Settled> {
        self.changes.iter().map(|(place, _)| (*place, outcome.clone()))
    }
}
