//! Facts: what was seen of files and name servers. What cannot be told is `Unknown` with the reason, never "absent".

use crate::{
    journal::{Shown, clock::Stamp},
    lineage::{Generation, GenerationId},
    name::DnsName,
    probe::Protocol,
    small::Map,
    tlsa::Chain,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// What was seen, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The end of the round, on the journal's clock.
    pub now: Stamp,
    /// Unix time then.
    pub wall: i64,
    /// By lineage name as in `live/`: those with a section, and those that the journal knows.
    pub lineages: BTreeMap<String, LineageFacts>,
    /// By TLSA query name: those that were asked for in this round.
    pub owners: BTreeMap<DnsName, OwnerView>,
    /// By TLSA query name: what the endpoints presented that were looked at for this round.
    pub endpoints: BTreeMap<DnsName, EndpointView>,
    /// By mail domain: its mail hosts, where they were looked up for this round.
    pub mail: BTreeMap<DnsName, Result<MailHosts, NoHosts>>,
}

impl Facts {
    /// Nothing was seen.
    pub fn empty() -> Facts {
        let (lineages, owners) = (BTreeMap::new(), BTreeMap::new());
        Facts { now: Stamp(0), wall: 0, lineages, owners, endpoints: BTreeMap::new(), mail: BTreeMap::new() }
    }
}

/// The hosts that the MX records of a domain name, whatever their preferences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailHosts {
    /// Never none.
    pub hosts: BTreeSet<DnsName>,
    /// How long a cache may keep the answer, seconds.
    pub ttl: u64,
}

/// Why there is no set of hosts to go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoHosts {
    /// In words; what to do, too, if only an operator can.
    pub why: String,
    /// It does not pass by itself.
    pub lasting: bool,
}

/// The files of a lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageFacts {
    /// What `live/` shows, or the files of another client; the reason if that is no complete generation.
    pub live: Result<Generation, String>,
    /// Its client overwrites what it has: services read copies, never those files.
    pub in_place: bool,
    /// A set there that is complete as far as it goes, and may yet be cut short: no candidate unless it stays as it is for a while.
    pub doubted: Option<Generation>,
    /// What the dane directory shows to services.
    pub served: Served,
    /// Complete generations in our store.
    pub stored: Map<GenerationId, Generation>,
    /// Do the links of the pinned generation lead to our store, not to the client's archive?
    pub linked_to_store: bool,
    /// Is it pinned by `--pre` and not yet released by `--post`?
    pub held: bool,
    /// Links of the dane directory that are missing or lead elsewhere: names in the set.
    pub unlinked: Vec<String>,
}

/// Where the dane directory leads, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// There is no dane directory for this lineage yet.
    Missing,
    /// It follows `live/`.
    Live,
    /// It is pinned to this generation.
    Pinned(Generation),
    /// It was pinned to a generation, and shows another or nothing: the files it leads to were pruned or replaced.
    Damaged {
        /// The generation it was pinned to.
        pinned: GenerationId,
        /// What it shows.
        shows: Result<Generation, String>,
    },
    /// It shows this generation in a way of somebody else's (Alnitak's links, a directory of files).
    Foreign(Generation),
    /// It cannot be told, or is broken: why.
    Unknown(String),
}

impl LineageFacts {
    /// The generation that services read, if it can be told.
    pub fn served(&self) -> Option<&Generation> {
        match &self.served {
            Served::Live => self.live.as_ref().ok(),
            Served::Pinned(generation) | Served::Foreign(generation) => Some(generation),
            Served::Damaged { shows, .. } => shows.as_ref().ok(),
            Served::Missing | Served::Unknown(_) => None,
        }
    }

    /// A generation by its name, wherever it can still be read.
    pub fn generation(&self, id: &GenerationId) -> Option<&Generation> {
        let seen = [self.served(), self.live.as_ref().ok(), self.stored.get(id)];
        seen.into_iter().flatten().find(|generation| generation.id == *id)
    }
}

/// What a TLSA query name yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerView {
    /// Where the RRset is, after following a CNAME.
    pub target: DnsName,
    /// The zone that holds it; unknown with `nameservers` and a server that does not tell.
    pub zone: Option<DnsName>,
    /// Each address of each authoritative server; or why they could not be found.
    pub servers: Result<Map<SocketAddr, ServerView>, String>,
    /// The provider's word was taken instead (`verify = provider`); the one address is then [`PROVIDER`].
    pub by_provider: bool,
    /// Do the answers validate?
    pub security: Security,
}

/// What DNSSEC says about answers (RFC 4033 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Each of them is signed, all the way from a trust anchor.
    Secure,
    /// The zone is proved to be unsigned, or no trust anchor covers it: clients make no use of its TLSA records.
    Insecure,
    /// One at least is forged, expired or wrongly signed: clients refuse it. Why.
    Bogus(String),
    /// Nobody answered, or nobody could tell: why.
    Unknown(String),
}

/// Stands for the provider's word among the addresses.
pub const PROVIDER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// What one address said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// The server's host names, divided by commas, or the address where it has none.
    pub name: String,
    /// What it showed, or why that is unknown.
    pub answer: Result<Shown, String>,
    /// Is the answer unknown because it is bogus?
    pub bogus: bool,
    /// The zone's serial there.
    pub serial: Option<u32>,
    /// Is it among the zone's servers now (and not just remembered)?
    pub listed: bool,
    /// TTL of the NS RRset, seconds.
    pub ns_ttl: u32,
    /// This host has no route to addresses of this family.
    pub no_route: bool,
}

/// The host names of a server, of which an address may have several.
pub fn names_of(name: &str) -> impl Iterator<Item = &str> {
    name.split(", ")
}

impl ServerView {
    /// The host names that have the address.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        names_of(&self.name)
    }

    /// Is this an address of the same server?
    pub fn is_at(&self, other: &ServerView) -> bool {
        self.names().any(|name| other.names().any(|its| its == name))
    }
}

/// An endpoint, and how to look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Base domain: the host name that clients connect to.
    pub base: DnsName,
    /// Its port.
    pub port: u16,
    /// What it speaks before TLS.
    pub protocol: Protocol,
    /// Are the base domain's addresses to be looked at?
    pub by_name: bool,
    /// What is to be looked at beside or instead (`probe_address`), with a port where it is another.
    pub at: Vec<(IpAddr, Option<u16>)>,
}

/// What an endpoint (base domain, port, transport) presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// Each of its addresses; or why they could not be found.
    pub addresses: Result<BTreeMap<SocketAddr, AddressView>, String>,
}

/// What a service presented at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressView {
    /// Each different chain, as sent.
    pub chains: Vec<Chain>,
    /// Why it may present more: a session at least came to nothing.
    pub unknown: Option<String>,
}
