//! What edits the zone. A provider knows nothing of rollovers: it adds and deletes the single records that it is told,
//! touches nothing else, and says what became of each.

pub mod cloudflare;
pub mod exec;
pub mod exec_json;
pub mod http;
pub mod manual;
pub mod powerdns;
pub mod rfc2136;
#[cfg(feature = "providers")]
pub mod service;
pub mod zonefile;

use crate::{
    config::{Fault, Scene, Word},
    env::{Boot, Env, Job},
    name::DnsName,
    tlsa::Association,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

/// Add or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Put the record beside what is there; an RRset that exists keeps its TTL.
    Add,
    /// Take just this record away.
    Delete,
}

/// One record to add or delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Add or delete.
    pub operation: Operation,
    /// The name that holds the RRset, after following a CNAME.
    pub owner: DnsName,
    /// The zone that holds `owner`, where the authority view found it.
    pub zone: Option<DnsName>,
    /// The record.
    pub record: Association,
    /// TTL in seconds for an RRset that does not exist yet.
    pub ttl: u32,
    /// For a delete: the record of the same parameters that stays and must be up.
    pub live: Option<Association>,
    /// Lineage the change is made for.
    pub lineage: String,
    /// Port, protocol (`tcp`, `udp`, `sctp`) and base domain from the `tlsa` line.
    pub port: u16,
    /// See `port`.
    pub protocol: String,
    /// See `port`.
    pub domain: DnsName,
}

/// What became of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Added, deleted.
    Done,
    /// The record to add was there already; the record to delete was not there.
    Already,
    /// Not deleted: the provider does not see the record that must stay.
    NotYet(String),
    /// Somebody has to do it by hand: told once, and by `status` until the name servers show it.
    ByHand(String),
    /// Trouble that passes: tried again at the next run, no failure of this one.
    Temporary(String),
    /// An error: told, and tried again at the next run.
    Failed(String),
}

/// What a provider needs to know beside its `api` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Time limit for one external command.
    pub timeout: Duration,
    /// `letsencrypt_directory`, for `LETSENCRYPT_DIR`.
    pub letsencrypt_directory: std::path::PathBuf,
    /// The run's `RENEWED_DOMAINS`, passed on to external programs as it came; empty if there was none.
    pub renewed_domains: String,
    /// The recursive resolvers, for a server given by name.
    pub resolvers: Vec<std::net::SocketAddr>,
    /// `state_directory`, for what must outlive a run. The run lock is held.
    pub state_directory: std::path::PathBuf,
    /// The records of ours that this provider has published and that are to stay.
    pub standing: Vec<Standing>,
}

/// A record that is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// The zone that holds it, as last found.
    pub zone: Option<DnsName>,
    /// The name that holds the RRset.
    pub owner: DnsName,
    /// The record.
    pub record: Association,
    /// TTL in seconds for an RRset that does not exist.
    pub ttl: u32,
}

/// One way to edit zones, as an `api` line sets it up.
///
/// Its `Debug` form may be shown to anybody: secrets are kept in [`Secret`](crate::config::Secret).
pub trait Provider: Debug + Send + Sync {
    /// Do several changes at one owner become visible together? If not, they are made in the order in which they are given.
    fn changes_at_once(&self) -> bool;

    /// Can it edit at any owner, rather than only where port, protocol and domain lead?
    fn edits_any_owner(&self) -> bool {
        true
    }

    /// Providers are asked side by side; those of one lane one after the other, since they must not be at work together (they write
    /// the same file, say). `None`: nobody minds.
    fn lane(&self) -> Option<&str> {
        None
    }

    /// Carries out `changes` and says what became of each: as many outcomes as changes, in the same order. Touches nothing else in
    /// the zone. Whatever it waits for has a time limit, and "not known" is [`Outcome::Temporary`] or [`Outcome::Failed`], never `Done`.
    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome>;

    /// Does it know when a change has been made? If not, only name servers can tell.
    fn knows_when_done(&self) -> bool {
        true
    }

    /// What somebody has to do by hand for this change; `None` where the provider does all of it.
    fn by_hand(&self, _change: &Change) -> Option<String> {
        None
    }
}

/// Reads the words after the scheme; the first argument is the scheme itself, for complaints about the line as a whole.
pub(crate) type Reader = fn(&Word, &[Word], &Scene) -> Result<Box<dyn Provider>, Fault>;

/// The providers that there are, by the first word of their `api` lines.
pub(crate) const PROVIDERS: &[(&str, Reader)] = &[
    ("exec", exec::read),
    ("binary", exec::read_binary),
    ("exec-json", exec_json::read),
    ("rfc2136", rfc2136::read),
    ("cloudflare", cloudflare::read),
    ("cloudflare4", cloudflare::read_with_zone),
    ("powerdns", powerdns::read),
    ("zonefile", zonefile::read),
    ("manual", manual::read),
];

/// The DNS services that the cargo feature `providers` brings, as the package daneroll-providers is built.
pub(crate) const SERVICES: &[&str] = &[
    "arvancloud",
    "autodns",
    "bunny",
    "cloudns",
    "desec",
    "dnsimple",
    "dynu",
    "gandi",
    "gcore",
    "google",
    "hetzner",
    "hostingde",
    "hostinger",
    "infomaniak",
    "inwx",
    "luadns",
    "mythicbeasts",
    "netcup",
    "ns1",
    "ovh",
    "porkbun",
    "route53",
    "scaleway",
    "simply",
    "spaceship",
    "transip",
    "ultradns",
    "zoneeu",
];

/// The search path of programs that a provider starts.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What reads the lines of one of [`SERVICES`], if this build has them.
pub(crate) fn service() -> Option<Reader> {
    #[cfg(feature = "providers")]
    return Some(service::read);
    #[cfg(not(feature = "providers"))]
    None
}

/// Facts older than this are not acted upon.
pub const FRESH: Duration = Duration::from_secs(60);

/// Is it so long since `began` that nothing may be deleted on the facts of that time? A change that was to be deleted is settled then.
pub(crate) fn late(env: &dyn Env, began: &Boot) -> Option<Outcome> {
    let now = env.boot();
    let late = now.id != began.id || u128::from(now.millis.saturating_sub(began.millis)) > FRESH.as_millis();
    late.then(|| Outcome::NotYet("the last look at the name servers is too long ago by now".into()))
}

/// Why this change may no longer be made: a delete rests on facts, and they grow old.
fn too_late(env: &dyn Env, began: &Boot, change: &Change) -> Option<Outcome> {
    if change.operation == Operation::Delete { late(env, began) } else { None }
}

/// Makes changes one at a time, in order. Deletes are made only while the facts that they rest on are fresh. After a change at an owner
/// has failed, nothing more is done there: the order is what keeps every step matching.
fn in_order(env: &dyn Env, changes: &[Change], one: impl FnMut(&Change) -> Outcome) -> Vec<Outcome> {
    steps(env, &env.boot(), changes.iter(), one)
}

/// The same, with so many owners at once: the order counts at each of them only.
fn by_owner(
    env: &dyn Env,
    changes: &[Change],
    at_once: usize,
    one: impl Fn(&dyn Env, &Change) -> Outcome + Sync,
) -> Vec<Outcome> {
    if at_once <= 1 {
        return in_order(env, changes, |change| one(env, change));
    }
    let mut owners: BTreeMap<&DnsName, Part> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        owners.entry(&change.owner).or_default().0.push((at, change));
    }
    let mut parts: Vec<Part> = owners.into_values().collect();
    let (began, one) = (&env.boot(), &one);
    env.side_by_side(parts.iter_mut().map(|part| part_job(part, began, one)).collect(), at_once);
    let settled = parts.into_iter().flat_map(|(placed, outcomes)| placed.into_iter().zip(outcomes));
    let settled: BTreeMap<usize, Outcome> = settled.map(|((at, _), outcome)| (at, outcome)).collect();
    settled.into_values().collect()
}

/// Changes with their places, and what became of them.
type Part<'a> = (Vec<(usize, &'a Change)>, Vec<Outcome>);

fn part_job<'a>(
    (placed, outcomes): &'a mut Part<'_>,
    began: &'a Boot,
    one: &'a (impl Fn(&dyn Env, &Change) -> Outcome + Sync),
) -> Job<'a> {
    Box::new(move |env| {
        *outcomes = steps(env, began, placed.iter().map(|(_, change)| *change), |change| one(env, change))
    })
}

fn steps<'a>(
    env: &dyn Env,
    began: &Boot,
    changes: impl Iterator<Item = &'a Change>,
    mut one: impl FnMut(&Change) -> Outcome,
) -> Vec<Outcome> {
    let mut failed = BTreeSet::new();
    let outcome = |change: &Change| {
        if let Some(outcome) = too_late(env, began, change) {
            return outcome;
        }
        if failed.contains(&change.owner) {
            return Outcome::Temporary("an earlier step at this owner has to succeed first".into());
        }
        let outcome = one(change);
        if !matches!(outcome, Outcome::Done | Outcome::Already) {
            failed.insert(change.owner.clone());
        }
        outcome
    };
    changes.map(outcome).collect()
}

/// The record of a change as a line of a zone file. What is to be removed may have any TTL there.
pub(crate) fn line(change: &Change) -> String {
    match change.operation {
        Operation::Add => format!("{} {} IN TLSA {}", change.owner, change.ttl, change.record),
        Operation::Delete => format!("{} IN TLSA {}", change.owner, change.record),
    }
}

/// A line of what others say, safe for a log and a terminal, and not too long for either.
fn printable(line: &str) -> String {
    let plain =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
    line.trim().chars().take(500).map(plain).collect()
}

/// The last thing that a program said, after a colon; nothing if it said nothing.
fn last_words(output: &str) -> String {
    let said = output.lines().rev().map(printable).find(|line| !line.is_empty());
    said.map_or(String::new(), |line| format!(": {line}"))
}
