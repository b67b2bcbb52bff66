//! One use of the interface: its questions, its one way to write, and its refusals in plain words.

use super::{
    PowerDns,
    answer::{Zone, is_name},
    work::Work,
};
use crate::{
    env::{Env, HttpRequest, HttpResponse, Lost, Method},
    name::DnsName,
    provider::{
        Change, Outcome,
        http::{self, about, is_identifier, said, said_in},
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{collections::BTreeMap, fmt, time::Duration};

/// The longest answer: old versions tell the whole zone.
const LARGEST: usize = 32 << 20;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No use in asking anything else.
    All(Outcome),
    /// Another request may do better.
    One(Outcome),
    /// Whether it has taken effect is not known; the outcome if it has not.
    Lost(Outcome),
}

/// One use of the interface.
pub(super) struct Session<'a> {
    env: &'a dyn Env,
    config: &'a PowerDns,
    /// For one request.
    limit: Duration,
    /// Why nothing more is asked.
    stopped: Option<Outcome>,
    /// Identifiers of zones, `None` for names that are none here.
    zones: BTreeMap<DnsName, Option<String>>,
}

impl fmt::Display for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.base.fmt(f)
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(env: &'a dyn Env, config: &'a PowerDns, limit: Duration) -> Session<'a> {
        Session { env, config, limit, stopped: None, zones: BTreeMap::new() }
    }

    /// The outcome for what met this trouble, and for everything after it if there is no use in going on.
    pub(super) fn note(&mut self, trouble: Trouble) -> Outcome {
        match trouble {
            Trouble::One(outcome) | Trouble::Lost(outcome) => outcome,
            Trouble::All(outcome) => {
                self.stopped.get_or_insert_with(|| about("not tried: ", outcome.clone()));
                outcome
            }
        }
    }

    pub(super) fn pause(&self, how_long: Duration) {
        if !how_long.is_zero() {
            self.env.sleep(how_long);
        }
    }

    /// The zone of a change, by the server's identifier.
    pub(super) fn zone(&mut self, change: &Change) -> Result<String, Trouble> {
        let candidates = match (&self.config.zone, &change.zone) {
            (Some(name), _) if !change.owner.is_within(name) => {
                let why = format!("{} is not in zone {name}: correct `zone:` in the `api` line", change.owner);
                return Err(Trouble::One(Outcome::Failed(why)));
            }
            (Some(name), _) | (None, Some(name)) => vec![name.clone()],
            (None, None) => std::iter::successors(Some(change.owner.clone()), DnsName::parent).collect(),
        };
        for name in &candidates {
            if !self.zones.contains_key(name) {
                let found = self.zone_named(name)?;
                self.zones.insert(name.clone(), found);
            }
            if let Some(Some(id)) = self.zones.get(name) {
                return Ok(id.clone());
            }
        }
        let names = match candidates.as_slice() {
            [name] => format!("the zone {name}"),
            _ => format!("a zone for {}", change.owner),
        };
        Err(Trouble::One(Outcome::Failed(format!(
            "{self} does not have {names}: is this the primary server, and `server:` right?"
        ))))
    }

    fn zone_named(&self, name: &DnsName) -> Result<Option<String>, Trouble> {
        let zones: Vec<Zone> = self.get(&["zones"], &[("zone", name.as_str())])?;
        let Some(zone) = zones.into_iter().find(|zone| is_name(&zone.name, name)) else { return Ok(None) };
        if ["slave", "secondary", "consumer"].contains(&zone.kind.to_ascii_lowercase().as_str()) {
            let why = format!("{self} is only a secondary for {name}: name the primary server in the `api` line");
            return Err(Trouble::One(Outcome::Failed(why)));
        }
        match is_identifier(&zone.id) {
            true => Ok(Some(zone.id)),
            false => Err(Trouble::All(Outcome::Failed(format!("{self} gives {name} an identifier that is none")))),
        }
    }

    /// All of the zone. Asked for one RRset only (`rrset_name`) the server leaves out records that are switched off, and we would
    /// delete them by writing back the others.
    pub(super) fn read(&self, zone: &str) -> Result<Zone, Trouble> {
        self.get(&["zones", zone], &[])
    }

    /// Writes all these RRsets; all of them are, or none.
    pub(super) fn write(&self, zone: &str, works: &[Work]) -> Result<(), Trouble> {
        let body = json!({ "rrsets": works.iter().map(Work::patch).collect::<Vec<_>>() });
        let response = self.call(Method::Patch, &["zones", zone], &[], Some(body.to_string()))?;
        match response.status {
            200 | 204 => Ok(()),
            _ => Err(self.refused(&response)),
        }
    }

    /// Is there what we wrote? `serial` is the zone's from before. If nobody can be asked, the server's word for it has to do.
    pub(super) fn confirms(&self, id: &str, works: &[Work], serial: Option<u32>) -> bool {
        let Ok(now) = self.read(id) else { return true };
        if !works.iter().all(|work| work.is_there(now.tlsa(work.owner))) {
            return false;
        }
        // One step is ours; many are another day's first number.
        if let (Some(before), Some(after)) = (serial, now.edited_serial)
            && (2..20).contains(&after.wrapping_sub(before))
        {
            let name = http::conceal(&said(&now.name), [&self.config.key]);
            tracing::warn!(
                "{self}: somebody else changed zone {name} while we did; if that was a TLSA record of the same name, see that \
                 it is there"
            );
        }
        true
    }

    fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Trouble> {
        let outage = |trouble| match trouble {
            Trouble::Lost(outcome) => Trouble::All(outcome),
            other => other,
        };
        let response = self.call(Method::Get, path, query, None).map_err(outage)?;
        if response.status != 200 {
            return Err(outage(self.refused(&response)));
        }
        serde_json::from_slice(&response.body).map_err(|_| Trouble::All(Outcome::Failed(self.no_answer(&response))))
    }

    fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<HttpResponse, Trouble> {
        if let Some(outcome) = &self.stopped {
            return Err(Trouble::All(outcome.clone()));
        }
        let path = [&["api", "v1", "servers", self.config.server.as_str()], path].concat();
        let request = HttpRequest {
            method,
            url: self.config.base.url(&path, query),
            headers: vec![("x-api-key", self.config.key.clone())],
            body,
            limit: self.limit,
            largest: LARGEST,
        };
        let response = self.env.http(&request).map_err(|unanswered| {
            let hint = " (does its `webserver-allow-from` name this host?)";
            let outcome = http::unanswered(self, &unanswered, hint);
            if unanswered.how == Lost::Unanswered { Trouble::Lost(outcome) } else { Trouble::All(outcome) }
        })?;
        tracing::debug!("{method} {}: {}", request.url, response.status);
        Ok(response)
    }

    fn refused(&self, response: &HttpResponse) -> Trouble {
        #[derive(Deserialize)]
        struct Complaint {
            error: String,
        }
        let complaint = serde_json::from_slice::<Complaint>(&response.body);
        let said = complaint.map_or_else(|_| said_in(&response.body), |complaint| said(&complaint.error));
        let (status, source) = (response.status, &self.config.source);
        match status {
            401 | 403 => Trouble::All(Outcome::Failed(format!(
                "{self} does not accept the key in {source} ({status} {said}): compare it with the server's `api-key`"
            ))),
            404 => Trouble::One(Outcome::Failed(format!(
                "{self} does not know what we asked for (404): is it PowerDNS with `api=yes`, and are `server:` and `zone:` right?"
            ))),
            422 => Trouble::One(Outcome::Failed(format!("{self} refuses: {said}"))),
            429 | 500..=599 => {
                Trouble::Lost(Outcome::Temporary(format!("{self} has trouble of its own (status {status}: {said})")))
            }
            300..=399 => Trouble::All(Outcome::Failed(format!(
                "{self} sends us elsewhere (status {status}), where the key does not go: correct the address"
            ))),
            _ => Trouble::All(Outcome::Failed(self.no_answer(response))),
        }
    }

    fn no_answer(&self, response: &HttpResponse) -> String {
        let said = said_in(&response.body);
        let status = response.status;
        format!(
            "{self} answers with status {status} and {said}, which is not what PowerDNS says: is the address right?"
        )
    }
}
