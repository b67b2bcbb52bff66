//! `api = zonefile`: files with TLSA records, one a line, that zones include, and a command that makes the name server read them.
//!
//! Only single lines are added and removed: the text around them stays as it is, byte for byte. What was published before and is
//! not there any more is put back with the next change, since the command would make its loss visible.

mod edit;
mod file;
mod line;
mod record;
mod refresh;
mod text;

pub use edit::{Edit, Edited, edit};
pub(super) use line::read;
pub use text::Refused;

use super::{Change, Context, Operation, Outcome, Provider, too_late};
use crate::{env::Env, name::DnsName};
use line::ZONE;
use refresh::Owed;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// `api = zonefile [zone:ZONE] PATH… [refresh: COMMAND…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFile {
    /// The files, with `{zone}` for the name of the zone. All have the same records.
    pub paths: Vec<String>,
    /// `zone:`, else the zone that the name servers told.
    pub zone: Option<DnsName>,
    /// Program and arguments, with `{zone}`; empty if there is no command.
    pub refresh: Vec<String>,
}

/// A change with its place among the changes that were asked for.
type Placed<'a> = (usize, &'a Change);
/// The changes of a zone.
type Zones<'a> = BTreeMap<Option<DnsName>, Vec<Placed<'a>>>;

/// What is in the files of a zone, and not yet with its name server.
struct Written<'a> {
    owed: Owed<'a>,
    /// What becomes of these changes once the command has succeeded.
    changes: Vec<(usize, Outcome)>,
}

impl Provider for ZoneFile {
    /// One write for each file, one command for each zone.
    fn changes_at_once(&self) -> bool {
        true
    }

    /// Two that write the same file do so one after the other.
    fn lane(&self) -> Option<&str> {
        self.paths.first().map(String::as_str)
    }

    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome> {
        let began = env.boot();
        let unsettled = Outcome::Failed("nothing became of this change: please report it".into());
        let mut outcomes = vec![unsettled; changes.len()];
        let mut zones = Zones::new();
        for (place, change) in changes.iter().enumerate() {
            match self.zone_of(change) {
                Ok(zone) => zones.entry(zone).or_default().push((place, change)),
                Err(outcome) => outcomes[place] = outcome,
            }
        }
        let mut commands = BTreeMap::<Vec<String>, Vec<Written<'_>>>::new();
        for (zone, mut placed) in zones {
            placed.retain(|(place, change)| match too_late(env, &began, change) {
                Some(outcome) => {
                    outcomes[*place] = outcome;
                    false
                }
                None => true,
            });
            let written = self.write(env, context, zone.as_ref(), &placed, &mut outcomes);
            commands.entry(self.command(zone.as_ref())).or_default().extend(written);
        }
        for (command, written) in commands {
            self.settle(env, context, &command, written, &mut outcomes);
        }
        for (outcome, change) in outcomes.iter_mut().zip(changes) {
            if let (Outcome::ByHand(says), Some(what)) = (outcome, self.by_hand(change)) {
                *says = format!("{what}: {}", super::line(change));
            }
        }
        outcomes
    }

    fn knows_when_done(&self) -> bool {
        !self.refresh.is_empty()
    }

    fn by_hand(&self, change: &Change) -> Option<String> {
        if !self.refresh.is_empty() {
            return None;
        }
        let zone = self.zone_of(change).ok()?;
        let files: Vec<String> = self.files(zone.as_ref()).iter().map(|path| path.display().to_string()).collect();
        let what = match change.operation {
            Operation::Add => "which adds",
            Operation::Delete => "which no longer has",
        };
        Some(format!("have the name server read {}, {what}", files.join(", ")))
    }
}

impl ZoneFile {
    /// The zone whose file a change belongs in. `None`: nobody knows, and nothing depends on it.
    fn zone_of(&self, change: &Change) -> Result<Option<DnsName>, Outcome> {
        let owner = &change.owner;
        let zone = match (&self.zone, &change.zone) {
            (Some(zone), _) if !owner.is_within(zone) => {
                let zone = zone.without_dot();
                return Err(Outcome::Failed(format!(
                    "{owner} is not in {zone}, which \"zone:\" of the `api` line names"
                )));
            }
            (Some(zone), _) | (None, Some(zone)) => zone,
            (None, None) if self.paths.iter().chain(&self.refresh).any(|word| word.contains(ZONE)) => {
                return Err(Outcome::Failed(format!(
                    "nobody was asked in which zone {owner} is: name it, \"api = zonefile zone:example.com …\""
                )));
            }
            (None, None) => return Ok(None),
        };
        match line::is_plain(zone) {
            true => Ok(Some(zone.clone())),
            false => {
                Err(Outcome::Failed(format!("the name of the zone {zone} has no place in file names and commands")))
            }
        }
    }

    /// The files of a zone.
    fn files(&self, zone: Option<&DnsName>) -> Vec<PathBuf> {
        let name = zone.map_or("", DnsName::without_dot);
        self.paths.iter().map(|path| PathBuf::from(path.replace(ZONE, name))).collect()
    }

    /// Changes the files of one zone; what then waits for the command. All else is settled.
    fn write<'a>(
        &self,
        env: &'a dyn Env,
        context: &Context,
        zone: Option<&DnsName>,
        placed: &[Placed<'_>],
        outcomes: &mut [Outcome],
    ) -> Option<Written<'a>> {
        let made = Owed::look(env, context, zone).and_then(|owed| {
            let before = || if self.refresh.is_empty() { Ok(()) } else { owed.owe() };
            if owed.since.is_some() {
                file::sweep(env, &self.files(zone));
            }
            let edits = self.edits(context, zone, placed);
            let restored = edits.len() - placed.len();
            let mut made = file::edit_all(env, &self.files(zone), &edits, &before)?;
            let lost = made.drain(..restored).filter(|made| *made == Ok(Edited::Changed)).count();
            if lost > 0 {
                let files = self.files(zone);
                tracing::warn!(?files, "{lost} records that had been published were not there any more, and are again");
            }
            Ok((owed, made, lost > 0))
        });
        let (owed, made, restored) = match made {
            Ok(made) => made,
            Err(outcome) => {
                placed.iter().for_each(|(place, _)| outcomes[*place] = outcome.clone());
                return None;
            }
        };
        let mut changes = Vec::new();
        for ((place, _), made) in placed.iter().zip(made) {
            match made {
                Ok(Edited::Already) if owed.since.is_none() => changes.push((*place, Outcome::Already)),
                // Written now, or by a run that came no further.
                Ok(_) => changes.push((*place, Outcome::Done)),
                Err(outcome) => outcomes[*place] = outcome,
            }
        }
        (restored || !changes.is_empty()).then_some(Written { owed, changes })
    }

    /// First what stands already and has to, then the changes in their order.
    fn edits<'b>(&self, context: &'b Context, zone: Option<&DnsName>, placed: &[Placed<'b>]) -> Vec<Edit<'b>> {
        let deleted: BTreeSet<_> = placed
            .iter()
            .filter(|(_, change)| change.operation == Operation::Delete)
            .map(|(_, change)| (&change.owner, &change.record))
            .collect();
        let here = |known: &Option<DnsName>, owner: &DnsName| match (&self.zone, zone) {
            (Some(named), _) => owner.is_within(named),
            (None, zone) => known.as_ref() == zone,
        };
        let standing = context
            .standing
            .iter()
            .filter(|known| here(&known.zone, &known.owner) && !deleted.contains(&(&known.owner, &known.record)));
        let standing = standing.map(|known| Edit {
            operation: Operation::Add,
            owner: &known.owner,
            record: &known.record,
            ttl: known.ttl,
        });
        let changes = placed.iter().map(|(_, change)| Edit {
            operation: change.operation,
            owner: &change.owner,
            record: &change.record,
            ttl: change.ttl,
        });
        standing.chain(changes).collect()
    }

    /// Runs the command for all zones that have the same one. Also for what is in the files already: whoever asks for it does not
    /// see it on the name servers.
    fn settle(
        &self,
        env: &dyn Env,
        context: &Context,
        command: &[String],
        written: Vec<Written<'_>>,
        outcomes: &mut [Outcome],
    ) {
        if written.is_empty() {
            return;
        }
        let since = written.iter().filter_map(|written| written.owed.since).min();
        let told = match command.is_empty() {
            true => Some(Outcome::ByHand(String::new())),
            false => refresh::run(env, context, command, since).err(),
        };
        for Written { owed, changes } in written {
            if told.is_none() {
                owed.paid();
            }
            for (place, outcome) in changes {
                outcomes[place] = told.clone().unwrap_or(outcome);
            }
        }
    }
}
