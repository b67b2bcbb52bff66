//! A recursive resolver without a cache: it asks the first server of each zone that answers.

use super::{
    answer::{End, Lookup},
    dns::{Dns, Server},
    zone::{Zone, parent},
};
use crate::name::DnsName;
use hickory_resolver::proto::rr::RecordType;
use std::rc::Rc;

const ZONES_VISITED_AT_MOST: usize = 8;

#[derive(PartialEq, Eq)]
enum Standing {
    Secure,
    Insecure,
    Bogus,
}

/// The zones that an answer comes from.
fn zones(lookup: &Lookup) -> impl Iterator<Item = &Rc<Zone>> {
    lookup.answers.iter().map(|shown| &shown.zone).chain([&lookup.zone])
}

impl Dns {
    /// Resolves a question; `None` if it cannot (SERVFAIL).
    pub fn resolve(&self, owner: &DnsName, kind: RecordType) -> Option<Lookup> {
        let mut lookup = self.believed(owner, kind)?.lookup(owner, kind)?;
        for _ in 0..ZONES_VISITED_AT_MOST {
            let (End::Elsewhere(target) | End::Referral(target, _)) = &lookup.end else { return Some(lookup) };
            let mut next = self.believed(target, kind)?.lookup(target, kind)?;
            next.answers.splice(0..0, lookup.answers);
            lookup = next;
        }
        None
    }

    /// Does a validating resolver find all of this secure? Its zones are signed, and so is every zone above.
    pub fn is_secure(&self, lookup: &Lookup) -> bool {
        zones(lookup).all(|zone| self.standing(&zone.apex) == Standing::Secure)
    }

    /// Does a validating resolver refuse it?
    pub fn is_bogus(&self, lookup: &Lookup) -> bool {
        zones(lookup).any(|zone| self.standing(&zone.apex) == Standing::Bogus)
    }

    /// What a validator makes of a zone, from the root down.
    fn standing(&self, apex: &DnsName) -> Standing {
        let zone = self.zone(apex);
        let above = parent(apex).and_then(|above| self.zone_of(&above).cloned());
        let (delegated, over) = match &above {
            Some(above) => (self.zone(above).set(apex, RecordType::DS).is_some(), self.standing(above)),
            None => (zone.signed, Standing::Secure),
        };
        match over {
            Standing::Secure if !delegated => Standing::Insecure,
            Standing::Secure if !zone.signed || zone.flaw.is_some() => Standing::Bogus,
            over => over,
        }
    }

    /// The server that is asked for a name.
    fn believed(&self, owner: &DnsName, kind: RecordType) -> Option<&Server> {
        let above = parent(owner).filter(|_| kind == RecordType::DS && self.primaries.contains_key(owner));
        let apex = self.zone_of(above.as_ref().unwrap_or(owner))?;
        let servers = self.name_servers(apex).into_iter().filter_map(|name| self.servers.get(&name));
        servers.into_iter().find(|server| server.is_believed() && server.zones.contains_key(apex))
    }
}
