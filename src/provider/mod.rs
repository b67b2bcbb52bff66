//! What edits the zone. A provider knows nothing of rollovers: it adds and deletes the single records that it is told,
//! touches nothing else, and says what became of each.

pub mod exec;
pub mod rfc2136;

use crate::{config::Api, env::Env, name::DnsName, tlsa::Association};
use std::time::Duration;

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

/// Carries out `changes`, all for one `api` line, in their order, and says what became of each: as many outcomes as
/// changes, in the same order.
pub fn apply(env: &dyn Env, api: &Api, context: &Context, changes: &[Change]) -> Vec<Outcome> {
    match api {
        Api::Exec(exec) => exec::apply(env, exec, context, changes),
        Api::Rfc2136(server) => rfc2136::apply(env, server, context, changes),
    }
}
