//! Why nothing happens, as values with their numbers.

use crate::{
    hosts::Hosts,
    journal::clock::Stamp,
    lineage::GenerationId,
    name::DnsName,
    tlsa::{Association, Mismatch},
};
use serde::Serialize;
use std::{fmt, net::SocketAddr};

/// Something that may not happen yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// For this lineage.
    pub lineage: String,
    /// What is to happen.
    pub step: Step,
    /// What it waits for: never empty.
    pub reasons: Vec<Reason>,
}

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The first time that services are given this generation.
    Install(GenerationId),
    /// The switch to this generation.
    Switch(GenerationId),
    /// Publishing.
    Publish(DnsName),
    /// Deleting this record.
    Delete(DnsName, Association),
    /// The end of the time in which processes may present this generation.
    Retire(GenerationId),
    /// Leaving DANE.
    Leave,
    /// Finding the hosts of a `tlsa` line.
    Find(Hosts),
    /// Copying what a client has that overwrites its files.
    Copy,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// The owner's servers were not asked in this round.
    NotAsked {
        /// Of this owner.
        owner: DnsName,
    },
    /// The owner's servers cannot be found.
    NoServers {
        /// Of this owner.
        owner: DnsName,
        /// Why.
        why: String,
    },
    /// A server's answer is unknown.
    Unknown {
        /// Of this owner.
        owner: DnsName,
        /// Host name.
        server: String,
        /// Address.
        address: SocketAddr,
        /// Why.
        why: String,
        /// When it may be left out, if other conditions hold by then too.
        patience: Option<Stamp>,
    },
    /// A server does not show what is needed yet.
    NotShown {
        /// Of this owner.
        owner: DnsName,
        /// Host name.
        server: String,
        /// Address.
        address: SocketAddr,
        /// What is missing or wrong there.
        mismatch: Mismatch,
    },
    /// Caches may still hold an answer that does not match.
    Cached {
        /// Of this owner.
        owner: DnsName,
        /// Host name of the server that gave it.
        server: String,
        /// Its TTL, seconds.
        ttl: u64,
        /// When no cache can hold it any more.
        until: Stamp,
    },
    /// Nobody knows what services present before the certificate is installed for the first time.
    NotInstalled {
        /// Of this lineage.
        lineage: String,
    },
    /// A deploy has not succeeded since the switch.
    DeployOwed {
        /// The command.
        command: String,
    },
    /// A reload has not succeeded since the switch.
    ReloadOwed {
        /// The command.
        command: String,
    },
    /// Processes may still present the old certificate.
    Hold {
        /// Until then.
        until: Stamp,
    },
    /// No reload is configured and probes are off, so the old certificate may be presented until it has expired.
    NoReload {
        /// Unix seconds.
        not_after: i64,
    },
    /// What is there was found rather than published, or others use it too: only a probe of every address could tell that it is
    /// not needed, and probing is off.
    NeedsProbe,
    /// Its services have not been looked at in this round.
    NotProbed {
        /// Of this owner.
        owner: DnsName,
        /// They will be from then on; `None`: now.
        due: Option<Stamp>,
    },
    /// What a service presents is unknown.
    Unprobed {
        /// Of this owner.
        owner: DnsName,
        /// At this address; `None` if none could be found.
        address: Option<SocketAddr>,
        /// Why.
        why: String,
    },
    /// A service presents a certificate that the records which are to be there do not match.
    Presents {
        /// Of this owner.
        owner: DnsName,
        /// At this address.
        address: SocketAddr,
        /// The certificate, in a few words.
        certificate: String,
        /// What is missing or wrong.
        mismatch: Mismatch,
    },
    /// A service presented the old certificate not long ago.
    Seen {
        /// That was when it was last seen.
        seen: Stamp,
        /// Its records are held until then.
        until: Stamp,
    },
    /// No reload is configured: services must be seen without the old certificate for a week.
    Unseen {
        /// Until then, if nobody sees it again; `None` while no look at all of them has succeeded.
        until: Option<Stamp>,
    },
    /// What would remain does not match a chain that may be presented.
    Needed {
        /// At this owner.
        owner: DnsName,
        /// What would not match.
        mismatch: Mismatch,
    },
    /// A chain that may be presented cannot be read, so nobody knows what it needs.
    Unreadable {
        /// Of this lineage.
        lineage: String,
        /// This generation.
        generation: GenerationId,
    },
    /// A lineage that needed the record has no (sound) section in the configuration.
    Unconfigured {
        /// This one.
        lineage: String,
    },
    /// Nobody knows yet which hosts a `tlsa` line means.
    HostsUnknown {
        /// `mx:DOMAIN` or `san`.
        hosts: Hosts,
        /// Why.
        why: String,
    },
    /// What a client has that overwrites its files is not, or may not be, a complete set.
    Unfinished {
        /// What is missing or does not fit.
        why: String,
        /// It is believed then, if it stays as it is; `None` if it cannot be.
        until: Option<Stamp>,
    },
    /// A CNAME led here and does so no longer.
    LeftBehind {
        /// What was published here goes.
        owner: DnsName,
        /// Then, when no cache follows the old CNAME; `None`: the provider cannot name it.
        until: Option<Stamp>,
    },
    /// Nobody knows what became of the last call that was to publish it: it can come yet, and would come back after a delete.
    MayCome {
        /// It is deleted then, if it has not come.
        until: Stamp,
    },
    /// `--pre` holds it for a renewal that has not ended.
    Held,
    /// Nobody knows what became of a call that was to publish another record: were it to come, it could turn clients away.
    OnItsWay {
        /// Of this owner.
        owner: DnsName,
        /// The record.
        record: Association,
        /// It is no longer expected then.
        until: Stamp,
    },
    /// The provider said that it is done, and the servers have yet to show it.
    NotVisible {
        /// Of this owner.
        owner: DnsName,
    },
    /// The provider said long ago that a change is made, and it does not show.
    WithoutEffect {
        /// At this owner.
        owner: DnsName,
        /// This record.
        record: Association,
        /// Was it to be published, rather than deleted?
        publishes: bool,
        /// Name servers that do not show the change, with their addresses; never empty.
        servers: Vec<String>,
        /// Those are all that answer.
        nowhere: bool,
        /// When the provider said so first.
        accepted: Stamp,
    },
}

impl Reason {
    /// When it is worth looking again, if that is known.
    pub fn until(&self) -> Option<Stamp> {
        match self {
            Reason::Cached { until, .. }
            | Reason::Hold { until }
            | Reason::Seen { until, .. }
            | Reason::OnItsWay { until, .. }
            | Reason::MayCome { until } => Some(*until),
            Reason::LeftBehind { until, .. }
            | Reason::NotProbed { due: until, .. }
            | Reason::Unseen { until }
            | Reason::Unfinished { until, .. } => *until,
            _ => None,
        }
    }

    /// Does it end by itself within days, rather than by an operator's hand or a certificate's end?
    pub fn passes(&self) -> bool {
        !matches!(
            self,
            Reason::NoReload { .. }
                | Reason::Held
                | Reason::NeedsProbe
                | Reason::Unconfigured { .. }
                | Reason::Presents { .. }
                | Reason::LeftBehind { until: None, .. }
        )
    }

    /// Does it end by itself soon, once servers show what was published?
    pub fn settles(&self) -> bool {
        matches!(self, Reason::NotShown { .. } | Reason::NotVisible { .. } | Reason::NotAsked { .. })
    }

    /// The reason in words, with the time from `now` on.
    pub fn text(&self, now: Stamp) -> String {
        match self {
            Reason::NotAsked { owner } => format!("{owner} has not been looked at in this run"),
            Reason::NoServers { owner, why } => format!("the servers of {owner} are unknown: {why}"),
            Reason::Unknown { owner, server, address, why, patience } => {
                let patience = left_out(*patience, now);
                format!("waiting for name server {server} ({address}) to answer for {owner}: {why}{patience}")
            }
            Reason::NotShown { owner, server, address, mismatch } => {
                format!("name server {server} ({address}) does not show it for {owner} yet: {mismatch}")
            }
            Reason::Cached { owner, server, ttl, until } => {
                let left = span(until.until(now));
                format!("caches may hold an earlier answer of {server} for {owner} (TTL {ttl}) for {left} more")
            }
            Reason::NotInstalled { lineage } => {
                format!("there is no record yet, and none is published before {lineage} is installed")
            }
            Reason::DeployOwed { command } => format!("`{command}` (deploy) has not succeeded since the switch"),
            Reason::ReloadOwed { command } => format!("`{command}` has not succeeded since the switch"),
            Reason::Hold { until } => {
                format!(
                    "processes may still present the old certificate: kept for {} more (hold)",
                    span(until.until(now))
                )
            }
            Reason::NoReload { not_after } => format!(
                "no `reload` is configured and probes are off, so the old certificate may be presented until it \
                 expires (Unix time {not_after})"
            ),
            Reason::NeedsProbe => NEEDS_PROBE.into(),
            Reason::NotProbed { owner, due: None } => {
                format!("the services at {owner} have not been looked at in this run")
            }
            Reason::NotProbed { owner, due: Some(due) } => {
                format!("the services at {owner} are looked at again in {}", span(due.until(now)))
            }
            Reason::Unprobed { owner, address: None, why } => {
                format!("what the services at {owner} present is unknown: {why}")
            }
            Reason::Unprobed { owner, address: Some(address), why } => {
                format!("what {address} presents for {owner} is unknown: {why}")
            }
            Reason::Presents { owner, address, certificate, mismatch } => {
                format!("{address} presents certificate {certificate}, for which there would be {mismatch} at {owner}")
            }
            Reason::Seen { seen, until } => format!(
                "a service presented the old certificate {} ago: its records are kept for {} more",
                span(seen.elapsed(now)),
                span(until.until(now))
            ),
            Reason::Unseen { until: Some(until) } => format!(
                "no `reload` is configured: services must be seen without the old certificate for {} more",
                span(until.until(now))
            ),
            Reason::Unseen { until: None } => {
                "no `reload` is configured: services must be seen without the old certificate for 7 d".into()
            }
            Reason::Needed { owner, mismatch } => {
                format!("what would remain at {owner} does not match a certificate that may be presented: {mismatch}")
            }
            Reason::Unreadable { lineage, generation } => {
                format!("generation {generation} of {lineage} may be presented and cannot be read")
            }
            Reason::Unconfigured { lineage } => {
                format!(
                    "{lineage} needed it and has no sound section; `daneroll withdraw {lineage}` leaves DANE safely"
                )
            }
            Reason::HostsUnknown { hosts, why } => format!("the hosts of \"{hosts}\" are not known yet: {why}"),
            Reason::Unfinished { why, until: None } => format!("no complete set there: {why}"),
            Reason::Unfinished { why, until: Some(until) } => {
                format!("{why} (in {}, if it is the same then)", span(until.until(now)))
            }
            Reason::LeftBehind { owner, until: Some(until) } => format!(
                "a CNAME led to {owner} until not long ago, and caches may follow it for {} more",
                span(until.until(now))
            ),
            Reason::LeftBehind { owner, until: None } => format!(
                "a CNAME led to {owner} and does so no longer; a program cannot be told to delete there (the name is \
                 not made of port, protocol and domain), so delete it by hand"
            ),
            Reason::MayCome { until } => format!(
                "what became of a call that was to publish it is not known, and it may come yet: kept for {} more",
                span(until.until(now))
            ),
            Reason::Held => "`--pre` holds it for a renewal; if that is over, `daneroll --post` says so".into(),
            Reason::OnItsWay { owner, record, until } => format!(
                "what became of a call that was to publish {record} at {owner} is not known, and were it to come, some clients would \
                 go by it alone: it is no longer expected after {} more",
                span(until.until(now))
            ),
            Reason::NotVisible { owner } => format!("the name servers of {owner} have yet to show that it is gone"),
            Reason::WithoutEffect { owner, record, publishes, servers, nowhere, accepted } => {
                let (done, lacks) = if *publishes { ("published", "not show") } else { ("deleted", "still show") };
                format!(
                    "the provider said {} ago that it {done} {record} at {owner}, and name servers do {lacks} it: {}; {}; it \
                     is tried again",
                    span(accepted.elapsed(now)),
                    first_two(servers),
                    if *nowhere { ELSEWHERE } else { LAGS }
                )
            }
        }
    }
}

/// When a silent server may be left out, if that is not yet.
fn left_out(patience: Option<Stamp>, now: Stamp) -> String {
    let until = patience.filter(|until| *until > now).map(|until| span(until.until(now)));
    until.map_or_else(String::new, |until| format!(" (it may be left out in {until} at the earliest)"))
}

/// Two of the servers, and how many more there are.
fn first_two(servers: &[String]) -> String {
    let more = servers.len().saturating_sub(2);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    servers.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(", ") + &more
}

/// Nobody can see who needs a record.
const NEEDS_PROBE: &str = "it was there before us or others use it: it is deleted only when probes of every address show that nobody \
                           needs it, and probes are off here; delete it by hand if you know";
/// What may be the matter if no server shows a change.
const ELSEWHERE: &str = "does `api` edit the zone that they serve, and not another view, account or copy of it, or one below or above \
                         it; does a hidden primary hand it on; is the name an alias there";
/// The same if some do.
const LAGS: &str = "do they hear of changes (NOTIFY), and may they transfer the zone";

/// Seconds in words: `90 s`, `15 min`, `5 h`, `3 d`, rounded up.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..=7_200 => format!("{} min", seconds.div_ceil(60)),
        7_201..=172_800 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} d", seconds.div_ceil(86_400)),
    }
}

/// Something that is wrong and makes the run fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Which lineage, if it is one's.
    pub lineage: Option<String>,
    /// What is wrong, why, and what to do.
    pub text: String,
}

impl Trouble {
    /// Trouble of one lineage.
    pub fn of(lineage: &str, text: impl Into<String>) -> Trouble {
        Trouble { lineage: Some(lineage.into()), text: text.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lineage {
            Some(lineage) => write!(f, "{lineage}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Step {
    /// What a rollover is at, in a word for logs.
    pub fn phase(&self) -> &'static str {
        match self {
            Step::Copy => "copy",
            Step::Install(_) => "install",
            Step::Switch(_) => "switch",
            Step::Publish(_) => "publish",
            Step::Delete(..) => "delete",
            Step::Retire(_) => "hold",
            Step::Leave => "leave",
            Step::Find(_) => "find",
        }
    }

    /// The owner that it is about, if it is about one.
    pub fn owner(&self) -> Option<&DnsName> {
        match self {
            Step::Publish(owner) | Step::Delete(owner, _) => Some(owner),
            Step::Copy | Step::Install(_) | Step::Switch(_) | Step::Retire(_) | Step::Leave | Step::Find(_) => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Install(generation) => write!(f, "install generation {generation}"),
            Step::Switch(generation) => write!(f, "switch to generation {generation}"),
            Step::Publish(owner) => write!(f, "publish at {owner}"),
            Step::Delete(owner, record) => write!(f, "delete {record} at {owner}"),
            Step::Retire(generation) => write!(f, "retire generation {generation}"),
            Step::Find(hosts) => write!(f, "find the hosts of \"{hosts}\""),
            Step::Copy => f.write_str("copy what the client has"),
            Step::Leave => f.write_str("leave DANE"),
        }
    }
}
