//! What edits the zone. A provider knows nothing of rollovers: it adds and deletes the single records that it is told,
//! touches nothing else, and says what became of each.

pub mod exec;
pub mod rfc2136;
#[cfg(feature = "providers")]
pub mod service;

use crate::{
    config::{Fault, Scene, Word},
    env::Env,
    name::DnsName,
    tlsa::Association,
};
use std::{collections::BTreeSet, fmt::Debug, time::Duration};

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
}

/// One way to edit zones, as an `api` line sets it up.
///
/// Its `Debug` form may be shown to anybody: secrets are kept in [`Secret`](crate::config::Secret).
pub trait Provider: Debug + Send + Sync {
    /// Do several changes at one owner become visible together? If not, they are made in the order in which they are given.
    fn changes_at_once(&self) -> bool;

    /// Carries out `changes` and says what became of each: as many outcomes as changes, in the same order. Touches nothing else in
    /// the zone. Whatever it waits for has a time limit, and "not known" is [`Outcome::Temporary`] or [`Outcome::Failed`], never `Done`.
    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome>;
}

/// Reads the words after the scheme; the first argument is the scheme itself, for complaints about the line as a whole.
pub(crate) type Reader = fn(&Word, &[Word], &Scene) -> Result<Box<dyn Provider>, Fault>;

/// The providers that there are, by the first word of their `api` lines.
pub(crate) const PROVIDERS: &[(&str, Reader)] =
    &[("exec", exec::read), ("binary", exec::read_binary), ("rfc2136", rfc2136::read)];

/// Names that an operator may try, and that this version does not have.
pub(crate) const PLANNED: &[&str] = &["cloudflare", "cloudflare4", "zonefile", "powerdns"];

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

/// What reads the lines of one of [`SERVICES`], if this build has them.
pub(crate) fn service() -> Option<Reader> {
    #[cfg(feature = "providers")]
    return Some(service::read);
    #[cfg(not(feature = "providers"))]
    None
}

/// Facts older than this are not acted upon.
pub const FRESH: Duration = Duration::from_secs(60);

/// Makes changes one at a time, in order. Deletes are made only while the facts that they rest on are fresh. After a change at an owner
/// has failed, nothing more is done there: the order is what keeps every step matching.
fn in_order(env: &dyn Env, changes: &[Change], mut one: impl FnMut(&Change) -> Outcome) -> Vec<Outcome> {
    let mut failed = BTreeSet::new();
    let began = env.boot();
    let late = || {
        let now = env.boot();
        now.id != began.id || u128::from(now.millis.saturating_sub(began.millis)) > FRESH.as_millis()
    };
    let outcome = |change: &Change| {
        if change.operation == Operation::Delete && late() {
            return Outcome::NotYet("the last look at the name servers is too long ago by now".into());
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
    changes.iter().map(outcome).collect()
}
