//! `api = rfc2136`: dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
//!
//! Each update states as prerequisite what the RRset was when we looked, so that nothing somebody else does meanwhile is
//! lost, and adds and deletes single records only.

mod apart;
mod key;
mod line;
mod message;
mod server;
mod signed;
mod view;
mod words;
mod work;

pub use key::TsigKey;
pub(crate) use line::place;
pub(super) use line::read;

use super::{Change, Context, Operation, Outcome, Provider, late};
use crate::{env::Env, name::DnsName};
use server::Server;
use std::{collections::BTreeMap, fmt};
use work::Work;

/// A server that takes updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host name or address as written, without the port.
    pub host: String,
    /// Port, 53 by default.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)
    }
}

/// `api = rfc2136 HOST[:PORT]… key:FILE [zone:ZONE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136 {
    /// The servers, never none: those after the first take its place where it does not do what is asked.
    pub servers: Vec<Place>,
    /// TSIG key; `None` sends unsigned updates (a server that goes by address).
    pub key: Option<TsigKey>,
    /// `zone:`, else found by SOA.
    pub zone: Option<DnsName>,
}

impl Provider for Rfc2136 {
    fn changes_at_once(&self) -> bool {
        true
    }

    /// Sends the updates: one for each zone, and owner by owner where a server refuses the whole.
    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome> {
        let began = env.boot();
        let server = match Server::find(env, self, context) {
            Ok(server) => server,
            Err(outcome) => return vec![outcome; changes.len()],
        };
        let (zones, mut settled) = by_zone(&server, changes);
        for (zone, mut placed) in zones {
            if let Some(late) = late(env, &began) {
                let deletes = placed.extract_if(.., |(_, change)| change.operation == Operation::Delete);
                settled.extend(deletes.map(|(place, _)| (place, late.clone())));
            }
            settled.extend(update_zone(&server, &zone, placed));
        }
        // A change that nothing was said about would be a mistake here; it must not pass for done.
        let mut outcomes =
            vec![Outcome::Failed("nothing became of this change: please report it".into()); changes.len()];
        for (place, outcome) in settled {
            outcomes[place] = outcome;
        }
        outcomes
    }
}

/// A change with its place among the changes that were asked for.
type Placed<'a> = (usize, &'a Change);
/// What became of the change at this place.
type Settled = (usize, Outcome);

/// Why an update was not made.
#[derive(Debug)]
enum Trouble {
    /// The RRset is not what the prerequisites say (NXRRSET, YXRRSET); it may be when we look again.
    Changed { vanished: bool },
    /// No use in trying the other owners.
    All(Outcome),
    /// Perhaps only one owner in the update is at fault.
    Owner(Outcome),
}

/// The changes by zone, and what cannot be done because no zone was found.
fn by_zone<'a>(server: &Server, changes: &'a [Change]) -> (BTreeMap<DnsName, Vec<Placed<'a>>>, Vec<Settled>) {
    let (mut zones, mut settled) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for (placed, zone) in changes.iter().enumerate().zip(server.zones(changes)) {
        match zone {
            Ok(zone) => zones.entry(zone).or_default().push(placed),
            Err(outcome) => settled.push((placed.0, outcome)),
        }
    }
    (zones, settled)
}

fn update_zone(server: &Server, zone: &DnsName, placed: Vec<Placed>) -> Vec<Settled> {
    let mut owners = BTreeMap::<&DnsName, Vec<Placed>>::new();
    for (place, change) in placed {
        owners.entry(&change.owner).or_default().push((place, change));
    }
    let asked: Vec<_> = owners.keys().copied().collect();
    let (mut works, mut settled) = (Vec::new(), Vec::new());
    for (view, (owner, changes)) in server.views(&asked).into_iter().zip(owners) {
        match view {
            Ok(view) => works.push(Work::new(owner, view, changes, &mut settled)),
            Err(outcome) => settled.extend(changes.iter().map(|(place, _)| (*place, outcome.clone()))),
        }
    }
    works.retain(|work| !work.is_empty());
    for works in message::parts(works) {
        settled.extend(update_together(server, zone, works));
    }
    settled
}

/// One update for all these owners, or one for each if that is refused.
fn update_together(server: &Server, zone: &DnsName, works: Vec<Work>) -> Vec<Settled> {
    match server.update(zone, &works) {
        Ok(()) => works.iter().flat_map(Work::done).collect(),
        Err(Trouble::All(outcome)) => works.iter().flat_map(|work| work.all(&outcome)).collect(),
        Err(trouble) if works.len() == 1 => {
            works.into_iter().flat_map(|work| apart::go_on(server, zone, work, &trouble)).collect()
        }
        Err(_) => works.into_iter().flat_map(|work| apart::update(server, zone, work)).collect(),
    }
}
