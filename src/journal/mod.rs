//! What cannot be observed again: which records are ours, which answers a cache may still hold, which chains a process may
//! still present, what was reloaded when, and intents without outcome.
//!
//! One small JSON file for each lineage and each owner (`lineages/`, `owners/` in the state directory), so that a damaged one
//! harms only what it describes. A lost or damaged file makes the program careful: it looks again and waits in full.

pub mod alnitak;
mod changes;
pub mod clock;
pub mod store;
mod times;
mod together;

use crate::{
    hosts::Hosts,
    lineage::GenerationId,
    name::DnsName,
    small::{Map, Set},
    tlsa::{Association, Group},
};
use clock::{Clock, Stamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// Everything we remember, as one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The clock that all stamps below were read from.
    pub clock: Clock,
    /// By lineage name as in `live/`.
    pub lineages: BTreeMap<String, LineageDoc>,
    /// By TLSA query name.
    pub owners: BTreeMap<DnsName, OwnerDoc>,
}

impl Journal {
    /// Is no rollover under way, nor anything else of one left?
    pub fn is_settled(&self) -> bool {
        self.lineages.values().all(LineageDoc::is_settled)
    }
}

/// What we remember of a lineage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineageDoc {
    /// The generation that the dane directory showed when we last looked.
    pub served: Option<GenerationId>,
    /// Generations that a process may still present, the served one among them.
    #[serde(default)]
    pub presented: Vec<Presented>,
    /// Generations whose records are published and which wait for the switch: the oldest still waiting, and the newest.
    #[serde(default)]
    pub waiting: Vec<GenerationId>,
    /// The last success of each deploy command.
    #[serde(default)]
    pub deploys: Vec<Reloaded>,
    /// The last success of each reload command.
    #[serde(default)]
    pub reloads: Vec<Reloaded>,
    /// Since then nobody knows whether services were ever given what is served; nothing, once the deploy commands have succeeded
    /// or services were seen with it. Only with a hook in DaneBot's manner.
    #[serde(default)]
    pub uninstalled: Option<Stamp>,
    /// DANE is being left (`withdraw`).
    #[serde(default)]
    pub withdrawn: bool,
    /// Switches that the operator forced past the gate.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// The operator went back from this generation (`rollback`): no candidate while `live/` shows it.
    #[serde(default)]
    pub barred: Option<GenerationId>,
    /// What its client has is no complete set, or may not be one.
    #[serde(default)]
    pub unfinished: Option<Unfinished>,
    /// The hosts of `tlsa` lines that do not name them, as last found: unknown is not absent.
    #[serde(default)]
    pub hosts: BTreeMap<Hosts, BTreeMap<DnsName, HostDoc>>,
}

impl LineageDoc {
    /// Is no rollover under way, nor anything else of one left?
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.presented.iter().all(|presented| presented.left.is_none())
    }

    /// There are thousands of these: without room for more than they hold.
    pub(crate) fn shrink(&mut self) {
        self.presented.shrink_to_fit();
        self.waiting.shrink_to_fit();
        self.deploys.shrink_to_fit();
        self.reloads.shrink_to_fit();
        for reloaded in self.deploys.iter_mut().chain(&mut self.reloads) {
            reloaded.command.shrink_to_fit();
        }
    }
}

/// The files of a client are not one complete set, as far as can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unfinished {
    /// When that was first seen; of what is complete but for a doubt, when this generation was.
    pub since: Stamp,
    /// What may be cut short.
    #[serde(default)]
    pub generation: Option<GenerationId>,
}

impl Unfinished {
    /// When a set that is complete but for a doubt is believed, if it stays as it is.
    pub fn believed(&self) -> Stamp {
        self.since.after(BELIEVED)
    }
}

/// No client takes so long to write a file, seconds.
const BELIEVED: u64 = 600;

/// A host that was looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostDoc {
    /// How long a cache may keep an answer that names it, seconds.
    #[serde(default)]
    pub ttl: u64,
    /// When it was first found missing. It counts while a cache may hold an answer that names it.
    #[serde(default)]
    pub gone: Option<Stamp>,
}

impl HostDoc {
    /// When no cache names it any more: after twice the TTL, and never before `floor` seconds.
    pub fn forgotten(&self, floor: u64) -> Option<Stamp> {
        self.gone.map(|gone| gone.after(self.ttl.saturating_mul(2).max(floor)))
    }
}

/// A generation that a process may present.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Presented {
    /// Which one.
    pub generation: GenerationId,
    /// End of validity of its leaf, Unix seconds.
    pub not_after: i64,
    /// When the dane directory stopped showing it; `None` while it does.
    pub left: Option<Stamp>,
    /// The wait that the switch away from it needed, seconds: the default of `hold`.
    #[serde(default)]
    pub wait: u64,
    /// When a probe last saw it presented, after it was left.
    #[serde(default)]
    pub seen: Option<Stamp>,
    /// Where that was.
    #[serde(default)]
    pub seen_at: BTreeSet<SocketAddr>,
    /// Probes of every address that did not see it, after it was left and last seen.
    #[serde(default)]
    pub unseen: Option<Unseen>,
}

impl Presented {
    /// A generation that was left at some moment, or is served. No probe has looked for it yet.
    pub fn new(generation: GenerationId, not_after: i64, left: Option<Stamp>, wait: u64) -> Presented {
        Presented { generation, not_after, left, wait, seen: None, seen_at: BTreeSet::new(), unseen: None }
    }
}

/// Probes of every address of every endpoint, none of which saw a generation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unseen {
    /// The first of them.
    pub since: Stamp,
    /// The last of them.
    pub last: Stamp,
}

/// The last success of a deploy or reload command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reloaded {
    /// The command's words.
    pub command: Vec<String>,
    /// When it was started.
    pub began: Stamp,
    /// When it had ended.
    pub ended: Stamp,
}

/// A switch that the operator forced past the gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Override {
    /// To this generation.
    pub generation: GenerationId,
    /// When.
    pub at: Stamp,
    /// Unix time, for people.
    pub wall: i64,
}

/// What we remember of an owner, by its TLSA query name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerDoc {
    /// `_25._tcp.mx.example.com.`, as configured.
    pub query: DnsName,
    /// Where the RRset is, after following a CNAME at the query name.
    pub target: DnsName,
    /// The zone that holds it, as last found.
    #[serde(default)]
    pub zone: Option<DnsName>,
    /// The end of the last round of questions.
    #[serde(default)]
    pub asked: Option<Stamp>,
    /// What each address of an authoritative server showed.
    #[serde(default)]
    pub servers: Map<SocketAddr, ServerDoc>,
    /// Our records.
    #[serde(default)]
    pub records: Map<Association, RecordDoc>,
    /// When its endpoint was last looked at.
    #[serde(default)]
    pub probed: Option<Stamp>,
    /// Lineages that we ever published for here, until every cache has forgotten their records.
    #[serde(default)]
    pub lineages: Set<String>,
    /// Groups that we published in, until every cache has forgotten them: answers that hold them must still match.
    #[serde(default)]
    pub groups: Set<Group>,
    /// No query name of ours leads here any more: a CNAME that did was changed. What we published here is left to go.
    #[serde(default)]
    pub left_behind: Option<LeftBehind>,
}

/// A CNAME that led to an owner leads elsewhere now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeftBehind {
    /// The end of the round of questions that found it changed.
    pub since: Stamp,
    /// So long caches may follow it and keep what they find, seconds: until then nothing is changed here.
    pub wait: u64,
}

impl LeftBehind {
    /// When no cache leads here any more.
    pub fn until(&self) -> Stamp {
        self.since.after(self.wait)
    }
}

/// What one address of an authoritative server showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerDoc {
    /// Its host name.
    pub name: String,
    /// The zone's SOA serial there.
    #[serde(default)]
    pub serial: Option<u32>,
    /// Its last answer.
    #[serde(default)]
    pub now: Option<Shown>,
    /// When that answer was first seen.
    #[serde(default)]
    pub since: Option<Stamp>,
    /// Answers that it gave before, while a cache may hold them.
    #[serde(default)]
    pub past: Vec<Past>,
    /// What other addresses have shown since this one was last seen, and it did not: it may follow them unseen, and follow
    /// on to what it is seen with next.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub meanwhile: BTreeSet<Shown>,
    /// When it was first found missing among the zone's servers.
    #[serde(default)]
    pub left: Option<Stamp>,
    /// TTL of the NS RRset that named it, seconds.
    #[serde(default)]
    pub ns_ttl: u32,
}

/// An answer: an RRset or a denial, and how long a cache may hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    /// The records, none for a denial; `None` where nobody knows what was shown, which counts as a mismatch.
    pub records: Option<Set<Association>>,
    /// Seconds.
    pub ttl: u64,
}

/// An answer that an address gave, and no longer gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Past {
    /// The answer.
    pub shown: Shown,
    /// The end of the round of questions that first found it gone.
    pub gone: Stamp,
}

impl Past {
    /// When no cache can hold it any more: after twice its TTL (RFC 7671 section 8.1), and never before `floor` seconds.
    pub fn forgotten(&self, floor: u64) -> Stamp {
        self.gone.after(self.shown.ttl.saturating_mul(2).max(floor))
    }
}

/// One of our records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordDoc {
    /// Did we publish it, or find it there?
    pub origin: Origin,
    /// What was last done about it.
    pub state: RecordState,
    /// When.
    pub since: Stamp,
    /// Lineages that need or needed it.
    #[serde(default)]
    pub lineages: Set<String>,
    /// When the provider first said that it is done; nothing once every server that answers has shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Stamp>,
    /// When the provider was first asked, if it has not said since that it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Stamp>,
    /// When a provider was last asked to publish it and nobody knows what became of that, though it was asked again since; nothing
    /// once that is too long ago to matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsure: Option<Stamp>,
}

impl RecordDoc {
    /// A record that nobody needs yet.
    pub fn new(origin: Origin, state: RecordState, since: Stamp) -> RecordDoc {
        RecordDoc { origin, state, since, lineages: Set::new(), accepted: None, tried: None, unsure: None }
    }

    /// The provider is about to be asked.
    pub fn intend(&mut self, state: RecordState, now: Stamp) {
        if self.state == RecordState::Publishing && self.tried.is_some() {
            self.unsure = Some(self.since);
        }
        if self.state.going() != state.going() {
            (self.accepted, self.tried) = (None, None);
        }
        self.tried = self.tried.or(Some(now));
        (self.state, self.since) = (state, now);
    }

    /// Did the provider say that it is there, and has some server yet to show it?
    pub fn is_unseen(&self) -> bool {
        self.state == RecordState::Published && self.accepted.is_some()
    }

    /// The provider says that it is done.
    pub fn accept(&mut self, state: RecordState, now: Stamp) {
        self.accepted = self.accepted.or(Some(now));
        (self.state, self.since, self.tried) = (state, now, None);
    }
}

/// Where a record of ours came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// We published it.
    Published,
    /// It was there when we first needed it.
    Found,
}

/// What was last done about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordState {
    /// The provider is being asked to publish it; no outcome was written down.
    Publishing,
    /// The provider says that it is published.
    Published,
    /// The provider is being asked to delete it; it counts as absent from now on.
    Deleting,
    /// The provider says that it is deleted; every server has yet to show that.
    Deleted,
}

impl RecordState {
    /// Is it on its way out?
    pub fn going(self) -> bool {
        matches!(self, RecordState::Deleting | RecordState::Deleted)
    }
}

impl OwnerDoc {
    /// Has some server yet to show one of our records?
    pub fn has_unseen(&self) -> bool {
        self.records.values().any(RecordDoc::is_unseen)
    }

    /// An owner that we have never looked at.
    pub fn new(query: DnsName) -> OwnerDoc {
        OwnerDoc {
            target: query.clone(),
            query,
            zone: None,
            asked: None,
            servers: Map::new(),
            records: Map::new(),
            probed: None,
            lineages: Set::new(),
            groups: Set::new(),
            left_behind: None,
        }
    }

    /// Our records that are on their way out.
    pub fn going(&self) -> Set<Association> {
        let going = self.records.iter().filter(|(_, doc)| doc.state.going());
        going.map(|(record, _)| record.clone()).collect()
    }

    /// Notes what was done about a record.
    pub fn set(&mut self, record: &Association, state: RecordState, now: Stamp) {
        if let Some(doc) = self.records.get_mut(record) {
            (doc.state, doc.since) = (state, now);
        }
    }

    /// The wait that a switch at this owner needs now: twice the longest TTL that any address showed, or `floor` (seconds).
    pub fn wait(&self, floor: u64) -> u64 {
        let now = self.servers.values().filter_map(|server| server.now.as_ref());
        let past = self.servers.values().flat_map(|server| &server.past).map(|past| &past.shown);
        now.chain(past).map(|shown| shown.ttl.saturating_mul(2)).max().unwrap_or(0).max(floor)
    }
}
