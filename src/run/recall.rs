//! What the last runs saw of name servers, put together from memory: nobody is asked.

use super::{Run, look::providers_word};
use crate::{
    facts::{OwnerView, PROVIDER, Security, ServerView},
    journal::{Journal, OwnerDoc, ServerDoc, clock::Stamp},
    name::DnsName,
    report::status::LastRun,
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
    /// Why the servers of an owner were unknown.
    lost: BTreeMap<DnsName, String>,
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
        let (Some(owner), Some(why)) = (text("owner").and_then(|owner| owner.parse::<DnsName>().ok()), text("why"))
        else {
            return;
        };
        match (text("reason"), text("address").and_then(|address| address.parse().ok())) {
            (Some("unknown"), Some(address)) => drop(self.silent.insert((owner, address), why.into())),
            (Some("no-servers"), _) => drop(self.lost.insert(owner, why.into())),
            _ => {}
        }
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

fn shown(
    target: &DnsName,
    zone: Option<DnsName>,
    servers: Result<BTreeMap<SocketAddr, ServerView>, String>,
) -> OwnerView {
    let security = Security::Unknown("no name server was asked now".into());
    OwnerView { target: target.clone(), zone, servers, by_provider: false, security }
}
