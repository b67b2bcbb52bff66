//! `api = manual`: somebody edits the zone by hand. We say what to add and what to remove, and go on when the name servers show it.

use super::{Change, Context, Operation, Outcome, Provider, line};
use crate::{
    config::{Fault, Scene, Word},
    env::Env,
};

/// `api = manual`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manual;

pub(super) fn read(_: &Word, words: &[Word], _: &Scene) -> Result<Box<dyn Provider>, Fault> {
    match words.first() {
        None => Ok(Box::new(Manual)),
        Some(word) => Err(word
            .fault("\"api = manual\" is all of it")
            .hint("for a file that the zone includes write \"api = zonefile FILE\"")),
    }
}

impl Provider for Manual {
    /// Nobody is obliged to add two lines at the same time.
    fn changes_at_once(&self) -> bool {
        false
    }

    fn apply(&self, _: &dyn Env, _: &Context, changes: &[Change]) -> Vec<Outcome> {
        changes.iter().map(|change| Outcome::ByHand(format!("{}: {}", says(change), line(change)))).collect()
    }

    fn knows_when_done(&self) -> bool {
        false
    }

    fn by_hand(&self, change: &Change) -> Option<String> {
        Some(says(change))
    }
}

fn says(change: &Change) -> String {
    let zone = change.zone.as_ref().map_or("the zone".into(), |zone| format!("the zone {}", zone.without_dot()));
    match change.operation {
        Operation::Add => format!("add to {zone}"),
        Operation::Delete => format!("remove from {zone}"),
    }
}
