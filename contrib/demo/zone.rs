//! The zone `example.test`: its records, and every version it had, each signed. A name server shows the version of some
//! seconds ago, so a secondary that lags needs no zone transfer.

use crate::{Fallible, keys::KeyId, locked};
use hickory_resolver::proto::{
    dnssec::{Algorithm, DnssecSigner, SigningKey, crypto::EcdsaSigningKey, rdata::DNSKEY},
    op::ResponseCode,
    rr::{
        Name, RData, Record,
        rdata::{
            A, NS, SOA,
            tlsa::{CertUsage, Matching, Selector, TLSA},
        },
    },
};
use hickory_server::{
    dnssec::NxProofKind,
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    str::FromStr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// The apex.
pub const APEX: &str = "example.test.";
/// TTL of every record, seconds; short, so that the demo is.
pub const TTL: u32 = 2;

const SIGNED_FOR: Duration = Duration::from_secs(86_400);

/// A signed zone and its past.
pub struct Zone {
    key: PrivatePkcs8KeyDer<'static>,
    versions: Mutex<Vec<Version>>,
}

struct Version {
    since: Instant,
    records: Vec<Record>,
    signed: Arc<Catalog>,
}

impl Zone {
    /// SOA, two name servers, and the host `host`, all on loopback.
    pub fn new(host: &str) -> Fallible<Zone> {
        let key = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256)?;
        let zone = Zone { key, versions: Mutex::default() };
        let records = first_records(host)?;
        let signed = zone.sign(&records, 1)?;
        locked(&zone.versions).push(Version { since: Instant::now(), records, signed });
        Ok(zone)
    }

    /// The public key that validates the zone: its trust anchor.
    pub fn trust_anchor(&self) -> Fallible<DNSKEY> {
        Ok(DNSKEY::from_key(&self.signing_key()?.to_public_key()?))
    }

    /// What a server that lags behind by `lag` answers with now.
    pub fn signed(&self, lag: Duration) -> Arc<Catalog> {
        self.version(lag, |version| version.signed.clone())
    }

    /// The keys in the TLSA records that such a server shows now.
    pub fn keys(&self, lag: Duration) -> BTreeSet<KeyId> {
        self.version(lag, |version| version.records.iter().filter_map(key_of).collect())
    }

    /// Edits the records; the result is signed and becomes the newest version. An error leaves the zone as it was.
    pub fn edit(&self, change: impl FnOnce(&mut Vec<Record>) -> Result<(), ResponseCode>) -> Result<(), ResponseCode> {
        let mut versions = locked(&self.versions);
        let mut records = versions.last().map(|newest| newest.records.clone()).unwrap_or_default();
        let before = records.clone();
        change(&mut records)?;
        if records != before {
            // Signing raises the serial by one, so every version gets two.
            let serial = 2 * versions.len() as u32 + 1;
            let signed = self.sign(&records, serial).map_err(|_| ResponseCode::ServFail)?;
            versions.push(Version { since: Instant::now(), records, signed });
        }
        Ok(())
    }

    fn version<T>(&self, lag: Duration, look: impl Fn(&Version) -> T) -> T {
        let versions = locked(&self.versions);
        let shown = versions.iter().rev().find(|version| version.since.elapsed() >= lag);
        look(shown.unwrap_or(&versions[0]))
    }

    fn signing_key(&self) -> Fallible<EcdsaSigningKey> {
        Ok(EcdsaSigningKey::from_pkcs8(&self.key, Algorithm::ECDSAP256SHA256)?)
    }

    fn sign(&self, records: &[Record], serial: u32) -> Fallible<Arc<Catalog>> {
        let apex = Name::from_str(APEX)?;
        let mut zone =
            <InMemoryZoneHandler>::empty(apex.clone(), ZoneType::Primary, AxfrPolicy::Deny, Some(NxProofKind::Nsec));
        zone.upsert_mut(soa(serial)?, serial);
        for record in records {
            zone.upsert_mut(record.clone(), serial);
        }
        let key = Box::new(self.signing_key()?);
        zone.add_zone_signing_key_mut(DnssecSigner::new(self.trust_anchor()?, key, apex.clone(), SIGNED_FOR))?;
        zone.secure_zone_mut()?;
        let mut catalog = Catalog::new();
        catalog.upsert(apex.into(), vec![Arc::new(zone)]);
        Ok(Arc::new(catalog))
    }
}

fn first_records(host: &str) -> Fallible<Vec<Record>> {
    let apex = Name::from_str(APEX)?;
    let servers = [apex.prepend_label("ns1")?, apex.prepend_label("ns2")?];
    let mut records: Vec<Record> =
        servers.iter().map(|server| Record::from_rdata(apex.clone(), TTL, RData::NS(NS(server.clone())))).collect();
    for name in servers.into_iter().chain([Name::from_str(host)?]) {
        records.push(Record::from_rdata(name, TTL, RData::A(A(Ipv4Addr::LOCALHOST))));
    }
    Ok(records)
}

fn soa(serial: u32) -> Fallible<Record> {
    let apex = Name::from_str(APEX)?;
    let (mname, rname) = (apex.prepend_label("ns1")?, apex.prepend_label("hostmaster")?);
    Ok(Record::from_rdata(apex, TTL, RData::SOA(SOA::new(mname, rname, serial, 60, 60, 3600, TTL))))
}

/// The record that an operator who knows only DANE-EE would write: `3 1 1` and the hash of the key.
pub fn tlsa(owner: &Name, key: KeyId) -> Record {
    let data = TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, key.0.to_vec());
    Record::from_rdata(owner.clone(), TTL, RData::TLSA(data))
}

/// The key that a `3 1 1` record names.
pub fn key_of(record: &Record) -> Option<KeyId> {
    match &record.data {
        RData::TLSA(tlsa) => tlsa.cert_data.as_slice().try_into().ok().map(KeyId),
        _ => None,
    }
}
