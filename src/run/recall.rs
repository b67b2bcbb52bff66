//! What the last runs saw of name servers, put together from memory: nobody is asked.

use super::{Run, look::providers_word};
use crate::{
    facts::{AddressView, EndpointView, MailHosts, NoHosts, OwnerView, PROVIDER, Security, ServerView},
    hosts::Hosts,
    journal::{Journal, OwnerDoc, ServerDoc, clock::Stamp},
    name::DnsName,
    report::status::LastRun,
    small::Map,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
};

/// The later version of `run.json` is not read.
const VERSION: u32 = 1;

/// `run.json`, as far as it is told on.
#[derive(Deserialize)]
struct RunFile {
    version: u32,
    #[serde(flatten)]
    last: LastRun,
    #[serde(default)]
    waits: Vec<ToldWait>,
}

#[derive(Deserialize)]
struct ToldWait {
    #[serde(default)]
    reasons: Vec<Value>,
}

/// What the last run left behind: how it ended, and who did not answer it, which the journal does not keep.
#[derive(Default)]
pub struct Recalled {
    /// How it ended.
    pub last_run: Option<LastRun>,
    /// Why the answer of an address was unknown.
    silent: BTreeMap<(DnsName, SocketAddr), String>,
    /// Why the mail hosts of a domain were unknown.
    mail: BTreeMap<DnsName, String>,
    /// Why the servers of an owner were unknown.
    lost: BTreeMap<DnsName, String>,
    /// Why it was unknown what the services of an owner present, by address, or at all.
    unprobed: BTreeMap<DnsName, BTreeMap<Option<SocketAddr>, String>>,
}

impl Run<'_> {
    /// Reads `run.json`; none is no error.
    pub(super) fn recall(&self) -> Result<Recalled, String> {
        let path = self.places.state.join("run.json");
        let bytes = match self.env.read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Recalled::default()),
            read => read.map_err(|error| format!("cannot tell how the last run ended: {error}"))?,
        };
        let file: RunFile = serde_json::from_slice(&bytes).map_err(|error| {
            format!(
                "cannot tell how the last run ended: {} is damaged ({error}); the next run writes it anew",
                path.display()
            )
        })?;
        if file.version > VERSION {
            return Err(format!("{} was written by a later version of daneroll", path.display()));
        }
        let mut recalled = Recalled { last_run: Some(file.last), ..Recalled::default() };
        file.waits.iter().flat_map(|wait| &wait.reasons).for_each(|reason| recalled.note(reason));
        Ok(recalled)
    }
}

impl Recalled {
    fn note(&mut self, reason: &Value) {
        let text = |key: &str| reason.get(key).and_then(Value::as_str);
        if let (Some("hosts-unknown"), Some(Hosts::Mx(domain)), Some(why)) =
            (text("reason"), text("hosts").and_then(|hosts| Hosts::try_from(hosts.to_owned()).ok()), text("why"))
        {
            self.mail.insert(domain, why.into());
        }
        let (Some(owner), Some(why)) = (text("owner").and_then(|owner| owner.parse::<DnsName>().ok()), text("why"))
        else {
            return;
        };
        match (text("reason"), text("address").and_then(|address| address.parse().ok())) {
            (Some("unknown"), Some(address)) => drop(self.silent.insert((owner, address), why.into())),
            (Some("no-servers"), _) => drop(self.lost.insert(owner, why.into())),
            (Some("unprobed"), address) => drop(self.unprobed.entry(owner).or_default().insert(address, why.into())),
            _ => {}
        }
    }

    /// Why the mail hosts of domains could not be told.
    pub fn mail(&self) -> BTreeMap<DnsName, Result<MailHosts, NoHosts>> {
        let none = |why: &String| Err(NoHosts { why: why.clone(), lasting: false });
        self.mail.iter().map(|(domain, why)| (domain.clone(), none(why))).collect()
    }

    /// What each owner showed that was ever asked. `has_route`: can this host reach such addresses at all?
    pub fn views(&self, journal: &Journal, has_route: impl Fn(IpAddr) -> bool) -> BTreeMap<DnsName, OwnerView> {
        let now = Stamp(journal.clock.total);
        let asked = journal.owners.values().filter(|owner| !owner.servers.is_empty());
        let view = |owner: &OwnerDoc| match owner.servers.get(&PROVIDER) {
            Some(provider) if provider.left.is_none() => providers_word(journal, &owner.query),
            _ => self.view(owner, now, &has_route),
        };
        let lost = self.lost.iter().filter(|(owner, _)| journal.owners.contains_key(*owner));
        let unknown = lost.map(|(owner, why)| (owner.clone(), shown(owner, None, Err(why.clone()))));
        asked.map(|owner| (owner.query.clone(), view(owner))).chain(unknown).collect()
    }

    /// The services that the last run could not see.
    pub fn endpoints(&self) -> BTreeMap<DnsName, EndpointView> {
        let unknown = |why: &String| AddressView { chains: Vec::new(), unknown: Some(why.clone()) };
        let view = |addresses: &BTreeMap<Option<SocketAddr>, String>| match addresses.get(&None) {
            Some(why) => EndpointView { addresses: Err(why.clone()) },
            None => {
                let known = addresses.iter().filter_map(|(address, why)| Some(((*address)?, unknown(why))));
                EndpointView { addresses: Ok(known.collect()) }
            }
        };
        self.unprobed.iter().map(|(owner, addresses)| (owner.clone(), view(addresses))).collect()
    }

    fn view(&self, owner: &OwnerDoc, now: Stamp, has_route: &impl Fn(IpAddr) -> bool) -> OwnerView {
        let asked = owner.servers.iter().filter(|(address, server)| **address != PROVIDER && !server.has_left(now));
        let server = |(address, server): (&SocketAddr, &ServerDoc)| {
            let why = self.silent.get(&(owner.query.clone(), *address));
            let unknown = || why.cloned().unwrap_or_else(|| "it has not answered yet".into());
            let answer = server.now.clone().filter(|_| why.is_none()).ok_or_else(unknown);
            let no_route = answer.is_err() && !has_route(address.ip());
            let (name, serial, ns_ttl) = (server.name.clone(), server.serial, server.ns_ttl);
            let listed = server.left.is_none();
            (*address, ServerView { name, answer, bogus: false, serial, listed, ns_ttl, no_route })
        };
        shown(&owner.target, owner.zone.clone(), Ok(asked.map(server).collect()))
    }
}

fn shown(target: &DnsName, zone: Option<DnsName>, servers: Result<Map<SocketAddr, ServerView>, String>) -> OwnerView {
    let security = Security::Unknown("no name server was asked now".into());
    OwnerView { target: target.clone(), zone, servers, by_provider: false, security }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small::Set;
    use crate::{env::Boot, journal::Shown, journal::clock::Clock};

    const OWNER: &str = "_25._tcp.mx.example.com.";

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 53).into()
    }

    /// Two servers, one that left long ago, and one that never answered.
    fn journal() -> Journal {
        let clock = Clock { total: 1_000_000, ..Clock::start(Boot { id: "a".into(), millis: 0 }) };
        let mut journal = Journal { clock, lineages: BTreeMap::new(), owners: BTreeMap::new() };
        let owner: DnsName = OWNER.parse().unwrap();
        let mut doc = OwnerDoc::new(owner.clone());
        let now = Some(Shown { records: Some(Set::new()), ttl: 60 });
        for (last, left) in [(1, None), (2, None), (3, Some(Stamp(0)))] {
            let server = ServerDoc { name: format!("ns{last}"), now: now.clone(), left, ..ServerDoc::default() };
            doc.servers.insert(address(last), server);
        }
        doc.servers.insert(address(4), ServerDoc::default());
        journal.owners.insert(owner, doc);
        journal
    }

    fn recalled(reasons: Value) -> Recalled {
        let mut recalled = Recalled::default();
        reasons.as_array().unwrap().iter().for_each(|reason| recalled.note(reason));
        recalled
    }

    #[test]
    fn answers_are_those_of_the_last_runs() {
        let silent = serde_json::json!([
            { "reason": "unknown", "owner": OWNER, "address": "192.0.2.2:53", "why": "timed out" },
            { "reason": "unknown", "owner": "_25._tcp.other.", "address": "192.0.2.1:53", "why": "timed out" },
            { "reason": "cached", "owner": OWNER, "ttl": 60 },
            { "reason": "no-servers", "owner": "_25._tcp.other.", "why": "no NS" },
            {}, "odd", 7
        ]);
        let views = recalled(silent).views(&journal(), |_| false);
        assert_eq!(views.len(), 1, "nothing is known of owners that are not in the journal");
        let servers = views.values().next().unwrap().servers.as_ref().unwrap();
        let told: Vec<_> =
            servers.iter().map(|(address, server)| (*address, server.answer.clone().err(), server.no_route)).collect();
        let (timed_out, never) = (Some("timed out".into()), Some("it has not answered yet".into()));
        let expected = [(address(1), None, false), (address(2), timed_out, true), (address(4), never, true)];
        assert_eq!(told, expected);
    }

    #[test]
    fn servers_that_nobody_found() {
        let lost = serde_json::json!([{ "reason": "no-servers", "owner": OWNER, "why": "no NS" }]);
        let views = recalled(lost).views(&journal(), |_| true);
        assert_eq!(views.values().next().unwrap().servers, Err("no NS".into()));
    }
}
