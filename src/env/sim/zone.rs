//! The content of a zone.

use super::keys;
use crate::{name::DnsName, tlsa::Association};
use hickory_resolver::proto::{
    dnssec::{DigestType, rdata::DNSSECRData},
    rr::{
        Name, RData, RecordType,
        rdata::{A, AAAA, CNAME, MX, NS, SOA, TLSA},
    },
};
use std::{collections::BTreeMap, net::IpAddr, rc::Rc};

/// All records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    /// Owner; may be a wildcard.
    pub name: Name,
    /// TTL in seconds.
    pub ttl: u32,
    /// The records, never none, in the order in which they came.
    pub data: Vec<RData>,
}

/// One version of a zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub apex: DnsName,
    /// Are there signatures?
    pub signed: bool,
    /// What is wrong with them.
    pub flaw: Option<Flaw>,
    /// SOA serial.
    pub serial: u32,
    /// SOA MINIMUM, seconds.
    pub minimum: u32,
    /// TTL of the SOA record, seconds.
    pub soa_ttl: u32,
    sets: BTreeMap<DnsName, BTreeMap<u16, Rc<RrSet>>>,
}

/// What can be wrong with the signatures of a zone: validators refuse all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// They do not fit the records.
    Forged,
    /// They expired a day ago.
    Expired,
    /// There are none, though the parent has a DS record.
    Missing,
}

/// A DNS name from its text, absolute with or without the final dot.
///
/// # Panics
/// If it is none: the test is wrong.
pub fn name(text: &str) -> DnsName {
    text.parse().unwrap_or_else(|why| panic!("{text:?} is not a DNS name: {why}"))
}

/// Is `name` the zone `apex` or below it? By text, which is much faster than [`DnsName::is_within`].
pub fn within(name: &DnsName, apex: &DnsName) -> bool {
    let (name, apex) = (name.as_str(), apex.as_str());
    apex == "." || name.strip_suffix(apex).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The name without its first label, by text.
pub fn parent(name: &DnsName) -> Option<DnsName> {
    let (_, rest) = name.as_str().split_once('.')?;
    (name.as_str() != ".").then(|| crate::env::sim::zone::name(if rest.is_empty() { "." } else { rest }))
}

/// RDATA of an address record.
pub fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// RDATA of a CNAME.
pub fn alias(target: &str) -> RData {
    RData::CNAME(CNAME(name(target).to_name()))
}

/// RDATA of an MX record.
pub fn mail(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, name(host).to_name()))
}

/// RDATA of a TLSA record.
pub fn tlsa(record: &Association) -> RData {
    let Association { usage, selector, matching, data } = record;
    RData::TLSA(TLSA::new((*usage).into(), (*selector).into(), (*matching).into(), data.clone()))
}

/// The TLSA record in this RDATA, if it is one.
pub fn association(data: &RData) -> Option<Association> {
    let RData::TLSA(tlsa) = data else { return None };
    let (usage, selector, matching) = (tlsa.cert_usage.into(), tlsa.selector.into(), tlsa.matching.into());
    Some(Association { usage, selector, matching, data: tlsa.cert_data.clone() })
}

impl Zone {
    /// A zone with a SOA record, serial 1, MINIMUM 300, SOA TTL 3600, and these name servers with TTL 86400.
    pub fn new(apex: &str, signed: bool, name_servers: &[&str]) -> Zone {
        let apex = name(apex);
        let mut zone = Zone {
            apex: apex.clone(),
            signed,
            flaw: None,
            serial: 1,
            minimum: 300,
            soa_ttl: 3600,
            sets: BTreeMap::new(),
        };
        for server in name_servers {
            zone.add(&apex, 86_400, RData::NS(NS(name(server).to_name())));
        }
        if signed {
            zone.sign();
        }
        zone.write_soa();
        zone
    }

    /// Signs the zone from now on: its key appears.
    pub fn sign(&mut self) {
        self.signed = true;
        let apex = self.apex.clone();
        self.add(&apex, 3600, RData::DNSSEC(DNSSECRData::DNSKEY(keys::public())));
    }

    /// Signs it no longer.
    pub fn unsign(&mut self) {
        self.signed = false;
        let apex = self.apex.clone();
        self.delete_set(&apex, RecordType::DNSKEY);
    }

    /// DS data that a parent holds for a signed zone.
    pub fn delegation_signer(child: &str) -> RData {
        RData::DNSSEC(DNSSECRData::DS(keys::delegation_signer(&name(child), DigestType::SHA256)))
    }

    /// Sets SOA MINIMUM and the SOA record's TTL, seconds.
    pub fn negative(mut self, minimum: u32, soa_ttl: u32) -> Zone {
        (self.minimum, self.soa_ttl) = (minimum, soa_ttl);
        self.write_soa();
        self
    }

    /// The RRset of that name and type.
    pub fn set(&self, owner: &DnsName, kind: RecordType) -> Option<&Rc<RrSet>> {
        self.sets.get(owner)?.get(&kind.into())
    }

    /// Is there anything at this name or below it?
    pub fn exists(&self, owner: &DnsName) -> bool {
        self.sets.contains_key(owner) || self.sets.keys().any(|name| within(name, owner))
    }

    /// All names with records, each with the types it has.
    pub fn names(&self) -> impl Iterator<Item = (&DnsName, &Name, impl Iterator<Item = RecordType>)> {
        self.sets.iter().filter_map(|(owner, sets)| {
            let kinds = sets.keys().map(|kind| RecordType::from(*kind));
            Some((owner, &sets.values().next()?.name, kinds))
        })
    }

    /// Are there records at just this name?
    pub fn has(&self, owner: &DnsName) -> bool {
        self.sets.contains_key(owner)
    }

    /// The TLSA records at a name.
    pub fn associations(&self, owner: &DnsName) -> Vec<Association> {
        let set = self.set(owner, RecordType::TLSA);
        set.map(|set| set.data.iter().filter_map(association).collect()).unwrap_or_default()
    }

    /// Adds a record; false if it is there with this TTL already. The TTL becomes that of the whole RRset.
    pub fn add(&mut self, owner: &DnsName, ttl: u32, data: RData) -> bool {
        let sets = self.sets.entry(owner.clone()).or_default();
        let new = || Rc::new(RrSet { name: owner.to_name(), ttl, data: Vec::new() });
        let set = Rc::make_mut(sets.entry(data.record_type().into()).or_insert_with(new));
        let known = set.data.contains(&data);
        if known && set.ttl == ttl {
            return false;
        }
        set.ttl = ttl;
        if !known {
            set.data.push(data);
        }
        true
    }

    /// Deletes one record; false if it is not there.
    pub fn delete(&mut self, owner: &DnsName, data: &RData) -> bool {
        let kind = data.record_type();
        let Some(set) = self.sets.get_mut(owner).and_then(|sets| sets.get_mut(&kind.into())) else { return false };
        if !set.data.contains(data) {
            return false;
        }
        let set = Rc::make_mut(set);
        set.data.retain(|other| other != data);
        if set.data.is_empty() {
            self.delete_set(owner, kind);
        }
        true
    }

    /// Deletes an RRset; false if there is none.
    pub fn delete_set(&mut self, owner: &DnsName, kind: RecordType) -> bool {
        let Some(sets) = self.sets.get_mut(owner) else { return false };
        let gone = sets.remove(&kind.into()).is_some();
        if sets.is_empty() {
            self.sets.remove(owner);
        }
        gone
    }

    /// Makes the serial one higher.
    pub fn bump(&mut self) {
        self.serial = self.serial.wrapping_add(1);
        self.write_soa();
    }

    fn write_soa(&mut self) {
        let apex = self.apex.clone();
        let origin = apex.to_name();
        let primary = match self.set(&apex, RecordType::NS).and_then(|set| set.data.first()) {
            Some(RData::NS(NS(server))) => server.clone(),
            _ => origin.clone(),
        };
        let soa = SOA::new(primary, origin, self.serial, 7200, 900, 1_209_600, self.minimum);
        self.delete_set(&apex, RecordType::SOA);
        self.add(&apex, self.soa_ttl, RData::SOA(soa));
    }
}
