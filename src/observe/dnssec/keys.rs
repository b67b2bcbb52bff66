//! The keys of a zone: those that a trust anchor or the parent's DS records vouch for, and all that they sign (RFC 4035 section 5.2).

use super::links::{Link, signatures};
use crate::{config::AnchorKey, name::DnsName};
use hickory_resolver::proto::{
    dnssec::{
        DigestType, PublicKey, TrustAnchors, Verifier,
        rdata::{DNSKEY, DNSSECRData, DS, RRSIG},
    },
    op::{Message, OpCode, Query},
    rr::{DNSClass, RData, Record, RecordType, SerialNumber},
};

/// A zone has a handful; more is an attack on those who verify.
const MOST_KEYS: usize = 64;
/// Signatures over one RRset that are looked at.
pub(super) const MOST_SIGNATURES: usize = 8;

/// A zone whose keys are proved.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// Its apex.
    pub name: DnsName,
    keys: Vec<DNSKEY>,
    /// Of each key: to find it takes as long as to read an answer.
    tags: Vec<Option<u16>>,
}

impl Zone {
    fn new(name: &DnsName, keys: Vec<DNSKEY>) -> Zone {
        let tags = keys.iter().map(|key| key.calculate_key_tag().ok()).collect();
        Zone { name: name.clone(), keys, tags }
    }

    /// Those of its keys that a signature says to be made with.
    pub fn keys_of<'a>(&'a self, signature: &'a RRSIG) -> impl Iterator<Item = &'a DNSKEY> {
        let input = signature.input();
        let fits = |(key, tag): &(&DNSKEY, &Option<u16>)| {
            **tag == Some(input.key_tag) && key.public_key().algorithm() == input.algorithm
        };
        self.keys.iter().zip(&self.tags).filter(fits).map(|(key, _)| key)
    }

    /// Its keys, as trust anchors.
    pub fn anchors(&self) -> TrustAnchors {
        let mut anchors = TrustAnchors::empty();
        for key in &self.keys {
            anchors.insert_with_name(key.public_key(), self.name.to_name().into());
        }
        anchors
    }

    /// Its keys, as the answer to a DNSKEY question. They need no signature: each is a trust anchor.
    pub fn message(&self) -> Message {
        let mut message = Message::response(0, OpCode::Query);
        message.add_query(Query::query(self.name.to_name(), RecordType::DNSKEY));
        let record = |key: &DNSKEY| {
            let data = RData::DNSSEC(DNSSECRData::DNSKEY(key.clone()));
            Record::from_rdata(self.name.to_name(), 0, data)
        };
        message.answers = self.keys.iter().map(record).collect();
        message
    }
}

/// Does a DS record that we can check name this key?
pub(super) fn is_named(keys: &[DS], zone: &DnsName, key: &DNSKEY) -> bool {
    // SHA-1 counts only where there is nothing better (RFC 4509 section 3).
    let better = keys.iter().any(|ds| is_known(ds) && ds.digest_type() != DigestType::SHA1);
    let tag = key.calculate_key_tag().ok();
    keys.iter().filter(|ds| is_known(ds) && !(better && ds.digest_type() == DigestType::SHA1)).any(|ds| {
        ds.algorithm() == key.public_key().algorithm()
            && Some(ds.key_tag()) == tag
            && ds.covers(&zone.to_name(), key).unwrap_or(false)
    })
}

/// Can we check it? A zone with no such DS record counts as unsigned (RFC 4035 section 5.2).
pub(super) fn is_known(ds: &DS) -> bool {
    ds.algorithm().is_supported() && ds.digest_type().is_supported()
}

/// Is this key one of the trust anchors of its zone, or named by one?
pub(super) fn is_anchor(anchors: &[AnchorKey], zone: &DnsName, key: &DNSKEY) -> bool {
    anchors.iter().any(|anchor| match anchor {
        AnchorKey::Key(anchor) => anchor.public_key() == key.public_key(),
        AnchorKey::Digest(ds) => is_named(std::slice::from_ref(ds), zone, key),
    })
}

/// The zone `name`, if `message` holds its keys, signed by one that is `trusted`; else why not.
pub(super) fn proved(
    message: &Message,
    name: &DnsName,
    trusted: impl Fn(&DNSKEY) -> bool,
    now: i64,
) -> Result<Zone, String> {
    let is_key = |record: &&Record| {
        record.record_type() == RecordType::DNSKEY && record.dns_class == DNSClass::IN && name.is(&record.name)
    };
    let records: Vec<&Record> = message.answers.iter().filter(is_key).collect();
    if records.is_empty() || records.len() > MOST_KEYS {
        return Err(format!("{} DNSKEY records of {name} are in the answer", records.len()));
    }
    let keys = records.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) if key.zone_key() && !key.revoke() => Some(key),
        _ => None,
    });
    let keys: Vec<DNSKEY> = keys.cloned().collect();
    let vouched: Vec<&DNSKEY> = keys.iter().filter(|key| trusted(key)).collect();
    if vouched.is_empty() {
        return Err(format!("none of the DNSKEY records of {name} is the one to be trusted"));
    }
    let over_keys = |(record, signature): &(&Record, &RRSIG)| {
        let input = signature.input();
        input.type_covered == RecordType::DNSKEY && name.is(&record.name) && name.is(&input.signer_name)
    };
    let found: Vec<&RRSIG> = signatures(&message.answers).filter(over_keys).map(|(_, signature)| signature).collect();
    let verifies = |signature: &&RRSIG| {
        let fits = |key: &&&DNSKEY| key.calculate_key_tag().is_ok_and(|tag| tag == signature.input().key_tag);
        let verify = |key: &&DNSKEY| {
            let records = records.iter().copied();
            key.verify_rrsig(&name.to_name(), DNSClass::IN, signature, records).is_ok()
        };
        untimely(signature, now).is_none() && vouched.iter().filter(fits).any(verify)
    };
    match found.iter().take(MOST_SIGNATURES).any(verifies) {
        true => Ok(Zone::new(name, keys)),
        false => {
            let vouched: Vec<DNSKEY> = vouched.into_iter().cloned().collect();
            Err(why(&found, &vouched, &format!("the DNSKEY records of {name}"), name, now))
        }
    }
}

/// Why a link does not hold under the keys of its zone, in words.
pub(super) fn reason(link: &Link, zone: &Zone, now: i64) -> String {
    let all = signatures(&link.message.answers).chain(signatures(&link.message.authorities));
    let found: Vec<&RRSIG> = all.map(|(_, signature)| signature).collect();
    let why = why(&found, &zone.keys, &link.words(), &zone.name, now);
    match link.holds {
        None if why.ends_with("do not verify") => format!("{} is not proved", link.words()),
        _ => why,
    }
}

/// What is wrong with signatures that did not help: the first thing that an operator would look at.
fn why(found: &[&RRSIG], keys: &[DNSKEY], what: &str, zone: &DnsName, now: i64) -> String {
    if found.is_empty() {
        return format!("{what} are not signed, and the zone {zone} is");
    }
    let Some(own) = found.iter().find(|signature| zone.is(&signature.input().signer_name)) else {
        return format!("{what} are not signed by the zone {zone}");
    };
    if let Some(why) = found.iter().find_map(|signature| untimely(signature, now)) {
        return format!("the signature over {what} {why}");
    }
    let tag = own.input().key_tag;
    match keys.iter().any(|key| key.calculate_key_tag().is_ok_and(|other| other == tag)) {
        true => format!("the signatures over {what} do not verify"),
        false => format!("{what} are signed with key {tag}, which the zone {zone} does not have"),
    }
}

/// Why a signature does not count now (RFC 4034 section 3.1.5, serial number arithmetic).
pub(super) fn untimely(signature: &RRSIG, now: i64) -> Option<String> {
    let input = signature.input();
    // The low 32 bits, as in the signature.
    let clock = now.rem_euclid(1 << 32) as u32;
    let now = SerialNumber::from(clock);
    if now > input.sig_expiration {
        let ago = clock.wrapping_sub(input.sig_expiration.get());
        return Some(format!("expired {ago} s ago"));
    }
    (now < input.sig_inception).then(|| {
        let ahead = input.sig_inception.get().wrapping_sub(clock);
        format!("is valid only in {ahead} s; is the clock right?")
    })
}
