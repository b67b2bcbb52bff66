//! What `daneroll status` tells, as one value: [`text`] renders it, and serde makes the document of daneroll-status(5) of it.
//! What is told comes from the plan that a run would make now.

mod awaits;
mod by_hand;
mod certificates;
mod detail;
mod hosts;
mod make;
mod owners;
mod phase;
mod planned;
mod table;
pub mod text;

pub use by_hand::by_hand;
pub use make::{Sources, make};
pub use phase::Phase;
pub use planned::Planned;

use crate::{lineage::GenerationId, name::DnsName, tlsa::Association};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Version of the document. Within a version fields are only added.
pub const VERSION: u32 = 1;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// When it was made, Unix seconds.
    pub time: i64,
    /// Were name servers asked for it? Else it tells what the last runs saw.
    pub live: bool,
    /// The configuration file.
    pub configuration: String,
    /// What could not be read, so that something may be missing here.
    pub problems: Vec<String>,
    /// The last run.
    pub last_run: Option<LastRun>,
    /// When it is worth running again, if a lineage is configured.
    pub next_run: Option<Time>,
    /// The lineages asked for, by name: those with a section, and those that are remembered.
    pub lineages: Vec<Lineage>,
    /// Lineages in `live/` that no section is for.
    pub unconfigured: Vec<String>,
}

/// A moment to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Time {
    /// Unix seconds.
    pub at: i64,
    /// Seconds from now on; 0 if it has come.
    pub seconds_left: u64,
}

/// How the last run ended; the part of `run.json` that is told on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastRun {
    /// Unix seconds.
    pub ended: i64,
    /// Its exit code.
    pub exit: u8,
    /// Seconds from its end until it was worth running again.
    pub next_in: u64,
    /// What was wrong.
    #[serde(default)]
    pub troubles: Vec<ToldTrouble>,
    /// What passes by itself.
    #[serde(default)]
    pub later: Vec<String>,
    /// What somebody has to do by hand.
    #[serde(default, skip_serializing)]
    pub by_hand: Vec<String>,
}

impl LastRun {
    /// What passes by itself and is a lineage's, without its name.
    pub fn later_of<'a>(&'a self, lineage: &'a str) -> impl Iterator<Item = &'a str> {
        self.later.iter().filter_map(move |text| text.strip_prefix(lineage)?.strip_prefix(": "))
    }
}

/// What was wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldTrouble {
    /// Which lineage, if it is one's.
    pub lineage: Option<String>,
    /// What is wrong, why, and what to do.
    pub text: String,
}

/// What the configuration says of a lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Configured {
    /// There is a section without errors.
    Sound,
    /// Its section has errors.
    Broken,
    /// There is no section.
    Missing,
}

/// A lineage.
#[derive(Clone, Debug, Serialize)]
pub struct Lineage {
    /// Its name in `live/`.
    pub name: String,
    /// What the configuration says.
    pub section: Configured,
    /// What is awaited, in a word.
    pub phase: Phase,
    /// The same in sentences.
    pub says: String,
    /// Where the dane directory leads.
    pub dane: Dane,
    /// What is known of its certificates: the served one first, then candidates, then the rest.
    pub generations: Vec<Generation>,
    /// What the lines stand for whose hosts are looked up.
    pub hosts: Vec<LookedUp>,
    /// Where its records are.
    pub owners: Vec<Owner>,
    /// What may not happen yet.
    pub awaits: Vec<Await>,
    /// Deploy and reload commands that have not succeeded since the last switch.
    pub owes: Vec<String>,
    /// What somebody has to do by hand.
    pub by_hand: Vec<ByHand>,
    /// What a run would do now.
    pub next: Vec<String>,
    /// What is wrong.
    pub troubles: Vec<String>,
    /// What the last run could not do for a reason that passes.
    pub later: Vec<String>,
    /// The generation that the operator went back from.
    pub barred: Option<GenerationId>,
}

/// The hosts of a `tlsa` line that does not name them.
#[derive(Clone, Debug, Serialize)]
pub struct LookedUp {
    /// `mx:DOMAIN` or `san`.
    pub from: String,
    /// Those found last; none if nobody knows them yet.
    pub hosts: Vec<DnsName>,
    /// Those that were found before, and keep their records while caches may name them.
    pub leaving: Vec<DnsName>,
    /// Names of the certificate that no host can have.
    pub left_out: Vec<String>,
}

/// A record that somebody has to publish or remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// `add` or `remove`.
    pub operation: &'static str,
    /// Where.
    pub owner: DnsName,
    /// The line as a zone file has it; one to remove may be written in another way there.
    pub line: String,
    /// What there is to do.
    pub says: String,
}

/// Where the dane directory leads.
#[derive(Clone, Debug, Serialize)]
pub struct Dane {
    /// In a word.
    pub state: DaneState,
    /// The generation that it is pinned to.
    pub generation: Option<GenerationId>,
    /// Why that cannot be told, or what is damaged.
    pub why: Option<String>,
    /// Pinned by `--pre`; `--post` has not released it.
    pub held: bool,
}

/// Where the dane directory leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DaneState {
    /// To `live/`, whatever that shows.
    FollowsLive,
    /// To one generation.
    Pinned,
    /// To files that were pruned or replaced.
    Damaged,
    /// Somebody else made it.
    Foreign,
    /// There is none.
    Missing,
    /// It cannot be told.
    Unknown,
}

/// What a generation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Services read it.
    Served,
    /// It waits for the switch.
    Candidate,
    /// `live/` shows it.
    Live,
    /// It is no longer served, and a process may still present it.
    Old,
    /// The operator went back from it.
    Barred,
}

/// A generation of a lineage.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    /// Its name.
    pub id: GenerationId,
    /// What it is; never empty.
    pub roles: Vec<Role>,
    /// The DNS names that it is valid for; none if it cannot be read.
    pub names: Vec<String>,
    /// Kind of its key; nothing if it cannot be read.
    pub key: Option<String>,
    /// Start of validity, Unix seconds.
    pub not_before: Option<i64>,
    /// End of validity, Unix seconds.
    pub not_after: Option<i64>,
    /// Seconds until then, negative after it.
    pub seconds_left: Option<i64>,
}

/// A TLSA RRset.
#[derive(Clone, Debug, Serialize)]
pub struct Owner {
    /// The query name.
    pub owner: DnsName,
    /// Where a CNAME there leads.
    pub target: Option<DnsName>,
    /// The zone that holds it.
    pub zone: Option<DnsName>,
    /// Has the lineage's section a `tlsa` line for it?
    pub configured: bool,
    /// Seconds since its servers were last asked.
    pub asked: Option<u64>,
    /// Why its servers are not known.
    pub why: Option<String>,
    /// What DNSSEC says, where it was asked now.
    pub dnssec: Dnssec,
    /// The addresses of its authoritative servers.
    pub servers: Vec<Server>,
    /// What is there, and what ought to be.
    pub records: Vec<Record>,
    /// What the service presented, where it was looked at now.
    pub presents: Vec<Presents>,
}

/// What DNSSEC says of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dnssec {
    /// `secure`, `insecure`, `bogus`, `unknown`.
    pub state: &'static str,
    /// Why it is bogus or unknown.
    pub why: Option<String>,
}

/// One address of an authoritative server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Host name.
    pub name: String,
    /// Address; null for the word of a provider.
    pub address: Option<SocketAddr>,
    /// Serial of the zone there.
    pub serial: Option<u32>,
    /// TTL of its answer, seconds.
    pub ttl: Option<u64>,
    /// Why its answer is unknown.
    pub why: Option<String>,
}

/// What is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordState {
    /// Ours.
    Published,
    /// It was there when we first needed it.
    Found,
    /// Ours, and not shown by every server yet.
    Publishing,
    /// It ought to be there, and no server shows it.
    Missing,
    /// Ours, and on its way out.
    Deleting,
    /// Somebody else's.
    Foreign,
}

/// A TLSA record.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// RDATA as in a zone file.
    pub record: Association,
    /// What is known of it.
    pub state: RecordState,
    /// How many addresses show it.
    pub shown_by: usize,
    /// The generations of this lineage that it matches.
    pub generations: Vec<GenerationId>,
    /// The lineages that need or needed it, as far as it is ours.
    pub lineages: Vec<String>,
}

/// What a service presented at one address.
#[derive(Clone, Debug, Serialize)]
pub struct Presents {
    /// Address and port; null if the addresses are not known.
    pub address: Option<SocketAddr>,
    /// Generations of this lineage.
    pub generations: Vec<GenerationId>,
    /// Certificates that are none of this lineage's.
    pub others: usize,
    /// Why that may not be all.
    pub why: Option<String>,
}

/// Something that may not happen yet.
#[derive(Clone, Debug, Serialize)]
pub struct Await {
    /// `switch`, `publish`, `delete`, `retire`, `leave`.
    pub step: String,
    /// In words.
    pub text: String,
    /// The generation that it is about.
    pub generation: Option<GenerationId>,
    /// The owner that it is about.
    pub owner: Option<DnsName>,
    /// The record that it is about.
    pub record: Option<Association>,
    /// Not before then, if that is known.
    pub until: Option<Time>,
    /// Does it pass by itself?
    pub passes: bool,
    /// Why; never empty.
    pub reasons: Vec<Why>,
}

/// Why something may not happen yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Its kind.
    pub reason: String,
    /// In words.
    pub text: String,
    /// Not before then, if that is known.
    pub until: Option<Time>,
}
