//! What every server showed and when: all that any cache may hold.

use super::{
    answer::End,
    dns::{Dns, Server},
    zone::RrSet,
};
use crate::name::DnsName;
use hickory_resolver::proto::rr::{RData, RecordType, rdata::CNAME};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// What a server says to a TLSA question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records.
    Records(Rc<RrSet>),
    /// No such name, or no TLSA record there.
    Denied,
    /// Look there instead; that name is watched as well.
    Alias(DnsName),
}

/// An answer and when a server gave it, in milliseconds since the world began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The server.
    pub server: DnsName,
    /// The first moment.
    pub from: u64,
    /// The moment of another answer, or of none; `None` if it is shown now.
    pub until: Option<u64>,
    /// No NS record names the server any more, so from this moment on nobody asks it.
    pub unlisted: Option<u64>,
    /// The answer.
    pub answer: Answer,
    /// Seconds that a cache may keep it: TTL of the RRset, or the lower of the SOA record's TTL and MINIMUM.
    pub ttl: u32,
}

impl Entry {
    /// May a cache hold this answer at that moment?
    pub fn is_cached(&self, now: u64) -> bool {
        let last = self.until.into_iter().chain(self.unlisted).min();
        last.is_none_or(|last| last + u64::from(self.ttl) * 1000 > now)
    }
}

/// The answers to the TLSA questions for the watched names.
#[derive(Clone, Debug, Default)]
pub struct History {
    watched: BTreeSet<DnsName>,
    entries: BTreeMap<DnsName, Vec<Entry>>,
    /// When the last client forgets a server that is not listed any more, by query name and server.
    leaving: BTreeMap<(DnsName, DnsName), u64>,
}

impl History {
    pub(super) fn watch(&mut self, owner: DnsName) {
        self.watched.insert(owner);
    }

    /// Everything that was ever shown for a name.
    pub fn entries(&self, owner: &DnsName) -> &[Entry] {
        self.entries.get(owner).map(Vec::as_slice).unwrap_or_default()
    }

    /// What caches may hold for a name at a moment that is not past.
    pub fn cached<'a>(&'a self, owner: &DnsName, now: u64) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.entries(owner).iter().filter(move |entry| entry.is_cached(now))
    }

    /// Takes down what the servers show now; true if any shows something else than before.
    pub(super) fn update(&mut self, dns: &Dns, now: u64) -> bool {
        let mut changed = false;
        let mut todo: Vec<DnsName> = self.watched.iter().cloned().collect();
        while let Some(owner) = todo.pop() {
            for (name, server) in &dns.servers {
                let shown = view(dns, name, server, &owner);
                if let View::Shows(Answer::Alias(target), ..) = &shown
                    && self.watched.insert(target.clone())
                {
                    todo.push(target.clone());
                }
                changed |= self.note(&owner, name, shown, now);
            }
        }
        changed
    }

    fn note(&mut self, owner: &DnsName, server: &DnsName, shown: View, now: u64) -> bool {
        let key = (owner.clone(), server.clone());
        let entries = self.entries.entry(owner.clone()).or_default();
        let last = entries.iter_mut().rev().find(|entry| entry.server == *server && entry.until.is_none());
        let unlisted = match shown {
            // A hidden primary was never listed.
            View::Shows(.., Some(_)) if last.is_none() && !self.leaving.contains_key(&key) => return false,
            View::Shows(.., Some(grace)) => Some(*self.leaving.entry(key).or_insert(now + u64::from(grace) * 1000)),
            View::Shows(.., None) => {
                self.leaving.remove(&key);
                None
            }
            View::Nothing => None,
        };
        match (last, shown) {
            (None, View::Nothing) => false,
            (Some(last), View::Shows(answer, ttl, _)) if last.answer == answer && last.ttl == ttl => {
                last.unlisted = unlisted;
                false
            }
            (last, shown) => {
                if let Some(last) = last {
                    last.until = Some(now);
                }
                if let View::Shows(answer, ttl, _) = shown {
                    entries.push(Entry { server: server.clone(), from: now, until: None, unlisted, answer, ttl });
                }
                true
            }
        }
    }
}

/// What clients get from a server.
enum View {
    /// An answer and its TTL; and if no NS record names the server any more, how long such records stay in caches, seconds.
    Shows(Answer, u32, Option<u32>),
    /// No answer that counts.
    Nothing,
}

fn view(dns: &Dns, name: &DnsName, server: &Server, owner: &DnsName) -> View {
    if !server.is_believed() {
        return View::Nothing;
    }
    let Some(lookup) = server.lookup(owner, RecordType::TLSA) else { return View::Nothing };
    let first = lookup.answers.first();
    let apex = first.map_or(&lookup.zone.apex, |shown| &shown.zone.apex);
    let listed = dns.name_servers(apex).contains(name);
    let grace = || dns.zone(apex).set(apex, RecordType::NS).map_or(86_400, |set| set.ttl);
    let unlisted = (!listed).then(grace);
    match (first.map(|shown| &shown.set), &lookup.end) {
        (Some(set), _) => match set.data.first() {
            Some(RData::CNAME(CNAME(target))) => View::Shows(Answer::Alias(DnsName::from(target)), set.ttl, unlisted),
            _ => View::Shows(Answer::Records(set.clone()), set.ttl, unlisted),
        },
        (None, End::NoData(_) | End::NxDomain(_)) => {
            View::Shows(Answer::Denied, lookup.zone.soa_ttl.min(lookup.zone.minimum), unlisted)
        }
        (None, _) => View::Nothing,
    }
}
