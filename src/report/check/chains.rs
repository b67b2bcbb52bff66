//! What addresses present, judged: whether it was seen, and whether the records match it.

use super::{
    Kind,
    Severity::{Ok as Fine, Warning},
    matching::Match,
    owner::{Found, Subject, answers, some_of, union},
};
use crate::{
    facts::OwnerView,
    name::DnsName,
    observe::audit::{Endpoint, Seen},
    small::Set,
    tlsa::{Association, Chain},
};
use std::collections::BTreeMap;

/// Each different chain with the places where it is: addresses, else what the dane directory shows.
pub(super) fn chains<'a>(subject: &'a Subject, endpoint: &'a Endpoint) -> Vec<(&'a Chain, Vec<String>)> {
    let mut chains: Vec<(&Chain, Vec<String>)> = Vec::new();
    let mut note = |chain: &'a Chain, place: String| match chains.iter_mut().find(|(known, _)| *known == chain) {
        Some((_, places)) => places.push(place),
        None => chains.push((chain, vec![place])),
    };
    let views = match endpoint {
        Endpoint::Visited(view, _) => view.addresses.as_ref().ok(),
        Endpoint::NotVisited(_) => None,
    };
    for (address, view) in views.into_iter().flatten() {
        view.chains.iter().for_each(|chain| note(chain, address.to_string()));
    }
    if chains.is_empty() {
        let files = subject.files.iter();
        return files.map(|(lineage, chain)| (chain, vec![format!("the dane directory of {lineage}")])).collect();
    }
    chains
}

impl Found<'_> {
    /// Every address was seen.
    pub(super) fn endpoint(&mut self, endpoint: &Endpoint) {
        let (view, far) = match endpoint {
            Endpoint::NotVisited(why) => {
                return self.note(Fine, Kind::NotChecked, format!("what it presents was not looked at: {why}"));
            }
            Endpoint::Visited(view, far) => (view, far),
        };
        let addresses = match &view.addresses {
            Ok(addresses) => addresses,
            Err(why) => return self.unknown(Kind::NotSeen, &format!("what it presents could not be seen: {why}")),
        };
        for (address, view) in addresses {
            if let Some(why) = &view.unknown {
                let more = if view.chains.is_empty() { "" } else { " in one session at least" };
                self.unknown(Kind::NotSeen, &format!("{address} was not seen{more}: {why}"));
            }
        }
        for address in far {
            let text = format!("{address}: this host has no route to it");
            match addresses.is_empty() {
                true => self.unknown(Kind::NotSeen, &text),
                false => self.note(Fine, Kind::NotChecked, text),
            }
        }
    }

    /// Matches a chain against what each server answers.
    pub(super) fn matches(&mut self, at: &DnsName, view: &OwnerView, chain: &Chain, place: &str, wall: i64) {
        let mut shown: BTreeMap<&Set<Association>, Vec<String>> = BTreeMap::new();
        let mut all = 0;
        for (server, answer) in answers(view) {
            let Some(records) = &answer.records else { continue };
            shown.entry(records).or_default().push(server);
            all += 1;
        }
        for (records, servers) in &shown {
            let from = match servers.len() == all {
                true => String::new(),
                false => format!(" among what {} shows", some_of(servers)),
            };
            let owner = if *at == self.subject.query { String::new() } else { format!(" at {}", at.without_dot()) };
            let flaws = Match::new(records, chain, &self.subject.base, wall, &self.subject.groups).flaws();
            for (severity, kind, text) in flaws {
                self.note(severity, kind, format!("{place}: {text}{owner}{from}"));
            }
        }
    }

    /// An alias: clients look at the end of the chain first, and only without records there at the base domain.
    pub(super) fn alias(&mut self, seen: &Seen, chains: &[(&Chain, Vec<String>)], wall: i64) {
        let Some((query, view)) = &seen.alias else { return };
        if view.servers.is_err() || answers(view).next().is_none() {
            let text = format!("its name is an alias, and what {query} has is unknown");
            return self.unknown(Kind::NoServers, &text);
        }
        if union(view).is_empty() {
            let text = format!(
                "its name is an alias, and clients look for records at {} first, where there are none (RFC 7671 \
                 section 7)",
                query.without_dot()
            );
            return self.note(Warning, Kind::Alias, text);
        }
        for (chain, places) in chains {
            self.matches(query, view, chain, &some_of(places), wall);
        }
    }
}
