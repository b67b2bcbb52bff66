//! How an authoritative server finds the answer to a question (RFC 1034 section 4.3.2, RFC 4592).

use super::{
    dns::Server,
    zone::{RrSet, Zone, parent, within},
};
use crate::name::DnsName;
use hickory_resolver::proto::rr::{Name, RData, RecordType, rdata::CNAME};
use std::rc::Rc;

/// One RRset of an answer.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The records; their owner may be a wildcard.
    pub set: Rc<RrSet>,
    /// The name it is an answer for.
    pub owner: Name,
    /// The zone it comes from.
    pub zone: Rc<Zone>,
}

/// How the search ended.
#[derive(Clone, Debug)]
pub enum End {
    /// With the RRset, the last of the answers.
    Found,
    /// The name has no records of that type.
    NoData(DnsName),
    /// There is no such name.
    NxDomain(DnsName),
    /// A CNAME leads to where this server has nothing to say.
    Elsewhere(DnsName),
    /// The name is in another zone, which begins at the owner of this NS RRset.
    Referral(DnsName, Rc<RrSet>),
}

/// What a server finds.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// CNAMEs and the RRset that they lead to, in their order.
    pub answers: Vec<Shown>,
    /// How the search ended.
    pub end: End,
    /// The zone in which it ended.
    pub zone: Rc<Zone>,
}

const ALIASES_FOLLOWED_AT_MOST: usize = 8;

impl Server {
    /// Looks a question up; `None` if no zone of this server holds the name.
    pub fn lookup(&self, owner: &DnsName, kind: RecordType) -> Option<Lookup> {
        let mut zone = self.closest(owner, kind)?;
        let mut answers = Vec::new();
        let mut owner = owner.clone();
        loop {
            let end = self.look_in(zone, &owner, kind, &mut answers);
            let End::Elsewhere(target) = end else { return Some(Lookup { answers, end, zone: zone.clone() }) };
            match self.closest(&target, kind) {
                Some(next) if answers.len() <= ALIASES_FOLLOWED_AT_MOST => (zone, owner) = (next, target),
                _ => return Some(Lookup { answers, end: End::Elsewhere(target), zone: zone.clone() }),
            }
        }
    }

    /// The closest zone on this server that holds the name; for DS the one above a zone cut.
    fn closest(&self, owner: &DnsName, kind: RecordType) -> Option<&Rc<Zone>> {
        let above = |apex: &DnsName| kind != RecordType::DS || apex != owner || apex.as_str() == ".";
        let holds = |zone: &&Rc<Zone>| within(owner, &zone.apex) && above(&zone.apex);
        self.zones.values().filter(holds).max_by_key(|zone| zone.apex.as_str().len())
    }

    fn set<'a>(&'a self, zone: &'a Zone, owner: &DnsName, kind: RecordType) -> Option<&'a Rc<RrSet>> {
        if self.overrides.is_empty() {
            return zone.set(owner, kind);
        }
        match self.overrides.get(&(owner.clone(), kind.into())) {
            Some(shown) => shown.as_ref(),
            None => zone.set(owner, kind),
        }
    }

    /// One step: what this zone has at this name. A CNAME ends it with `Elsewhere`.
    fn look_in(&self, zone: &Rc<Zone>, owner: &DnsName, kind: RecordType, answers: &mut Vec<Shown>) -> End {
        if let Some(cut) = self.cut(zone, owner, kind) {
            return End::Referral(owner.clone(), cut);
        }
        let exists = zone.exists(owner) || self.overrides.keys().any(|(name, _)| name == owner);
        let source = if exists { Some(owner.clone()) } else { wildcard(zone, owner) };
        let Some(source) = source else { return End::NxDomain(owner.clone()) };
        let mut show = |set: &Rc<RrSet>| {
            answers.push(Shown { set: set.clone(), owner: owner.to_name(), zone: zone.clone() });
        };
        if let Some(set) = self.set(zone, &source, kind) {
            show(set);
            return End::Found;
        }
        let Some(set) = self.set(zone, &source, RecordType::CNAME) else { return End::NoData(owner.clone()) };
        show(set);
        match set.data.first() {
            Some(RData::CNAME(CNAME(target))) => End::Elsewhere(DnsName::from(target)),
            _ => End::NoData(owner.clone()),
        }
    }

    /// The highest delegation between the apex and the name.
    fn cut(&self, zone: &Zone, owner: &DnsName, kind: RecordType) -> Option<Rc<RrSet>> {
        let above = |cut: &&DnsName| within(owner, cut) && **cut != zone.apex;
        let counts = |cut: &&DnsName| kind != RecordType::DS || *cut != owner;
        let cuts = zone.names().map(|(name, ..)| name).filter(above).filter(counts);
        let cuts = cuts.filter_map(|cut| Some((cut.as_str().len(), self.set(zone, cut, RecordType::NS)?)));
        cuts.min_by_key(|(length, _)| *length).map(|(_, set)| set.clone())
    }
}

/// The wildcard that answers for a name that does not exist: directly below its closest encloser (RFC 4592 section 3.3.1).
fn wildcard(zone: &Zone, owner: &DnsName) -> Option<DnsName> {
    let mut encloser = parent(owner)?;
    while !zone.exists(&encloser) {
        encloser = parent(&encloser)?;
    }
    let text = if encloser.as_str() == "." { "*.".to_owned() } else { format!("*.{encloser}") };
    let wildcard: DnsName = text.parse().ok()?;
    zone.has(&wildcard).then_some(wildcard)
}
