//! A recursive resolver without a cache: it asks the first server of each zone that answers.

use super::{
    answer::{End, Lookup},
    dns::{Dns, Server},
    zone::parent,
};
use crate::name::DnsName;
use hickory_resolver::proto::rr::RecordType;

const ZONES_VISITED_AT_MOST: usize = 8;

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

    /// The server that is asked for a name.
    fn believed(&self, owner: &DnsName, kind: RecordType) -> Option<&Server> {
        let above = parent(owner).filter(|_| kind == RecordType::DS && self.primaries.contains_key(owner));
        let apex = self.zone_of(above.as_ref().unwrap_or(owner))?;
        let servers = self.name_servers(apex).into_iter().filter_map(|name| self.servers.get(&name));
        servers.into_iter().find(|server| server.is_believed() && server.zones.contains_key(apex))
    }
}
