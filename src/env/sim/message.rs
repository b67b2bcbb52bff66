//! Messages as real servers make them: flags, sections, signatures, denials.

use super::{
    answer::{End, Lookup, Shown},
    dns::{Dns, Mode, ns_name},
    zone::{RrSet, Zone, address},
};
use crate::{env::Ask, name::DnsName};
use hickory_resolver::proto::{
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, NSEC, RRSIG, sig::SigInput},
    },
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, SerialNumber},
};

fn blank(ask: &Ask, code: ResponseCode, recursive: bool) -> Message {
    let mut message = Message::new(1, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = ask.recursion;
    message.metadata.recursion_available = recursive;
    message.metadata.response_code = code;
    message.add_query(Query::query(ask.name.to_name(), ask.kind));
    message
}

/// An answer that is only a code.
pub fn refusal(ask: &Ask, code: ResponseCode, recursive: bool) -> Message {
    blank(ask, code, recursive)
}

/// The answer of a server, or of a resolver.
pub fn reply(dns: &Dns, ask: &Ask, lookup: &Lookup, mode: Mode, recursive: bool, wall: i64) -> Message {
    let mut message = blank(ask, code(lookup), recursive);
    let referral = matches!(lookup.end, End::Referral(..)) && lookup.answers.is_empty();
    message.metadata.authoritative = !recursive && !referral && mode != Mode::Lame;
    message.metadata.authentic_data =
        recursive && lookup.zone.signed && lookup.answers.iter().all(|shown| shown.zone.signed);
    for shown in &lookup.answers {
        add(&mut message.answers, &shown.set, &shown.owner, shown.set.ttl, &shown.zone, wall);
    }
    let authority = &mut message.authorities;
    match &lookup.end {
        End::Found | End::Elsewhere(_) => {}
        End::NoData(name) => deny(authority, &lookup.zone, name, false, wall),
        End::NxDomain(name) => deny(authority, &lookup.zone, name, true, wall),
        End::Referral(_, cut) => refer(dns, &mut message, &lookup.zone, cut, wall),
    }
    if let Some(Shown { set, owner, zone }) = lookup.answers.last()
        && set.name != *owner
        && zone.signed
    {
        // A name made from a wildcard comes with the proof that it is not there itself (RFC 4035 section 3.1.3.3).
        cover(&mut message.authorities, zone, &DnsName::from(owner), wall);
    }
    message
}

fn code(lookup: &Lookup) -> ResponseCode {
    match lookup.end {
        End::NxDomain(_) => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    }
}

/// Adds an RRset under `owner`, and its signature in a signed zone.
fn add(section: &mut Vec<Record>, set: &RrSet, owner: &Name, ttl: u32, zone: &Zone, wall: i64) {
    section.extend(set.data.iter().map(|data| Record::from_rdata(owner.clone(), ttl, data.clone())));
    let Some(kind) = set.data.first().map(RData::record_type).filter(|_| zone.signed) else { return };
    let input = SigInput {
        type_covered: kind,
        algorithm: Algorithm::ECDSAP256SHA256,
        num_labels: set.name.num_labels(),
        original_ttl: set.ttl,
        sig_expiration: SerialNumber::from((wall + 14 * 86_400) as u32),
        sig_inception: SerialNumber::from((wall - 3600) as u32),
        key_tag: 7,
        signer_name: zone.apex.to_name(),
    };
    let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![7; 64])));
    section.push(Record::from_rdata(owner.clone(), ttl, signature));
}

/// SOA with the negative TTL (RFC 2308 section 3), and in a signed zone the NSEC records that prove it.
fn deny(section: &mut Vec<Record>, zone: &Zone, name: &DnsName, nxdomain: bool, wall: i64) {
    let Some(soa) = zone.set(&zone.apex, RecordType::SOA) else { return };
    add(section, soa, &soa.name, soa.ttl.min(zone.minimum), zone, wall);
    if !zone.signed {
        return;
    }
    cover(section, zone, name, wall);
    if nxdomain {
        cover(section, zone, &zone.apex, wall);
    }
}

/// The NSEC record at this name, or the one of the name before it.
fn cover(section: &mut Vec<Record>, zone: &Zone, name: &DnsName, wall: i64) {
    let wanted = name.to_name();
    let mut names: Vec<(&Name, Vec<RecordType>)> =
        zone.names().map(|(_, name, kinds)| (name, kinds.collect())).collect();
    names.sort_by(|one, other| one.0.cmp(other.0));
    let at = names.iter().rposition(|(name, _)| **name <= wanted).unwrap_or(names.len() - 1);
    let next = names[(at + 1) % names.len()].0.clone();
    let (owner, kinds) = &names[at];
    let nsec = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, kinds.iter().copied())));
    let ttl = zone.minimum.min(zone.soa_ttl);
    let set = RrSet { name: (*owner).clone(), ttl, data: vec![nsec] };
    if !section.iter().any(|record| record.name == **owner && record.record_type() == RecordType::NSEC) {
        add(section, &set, owner, ttl, zone, wall);
    }
}

/// NS of the child unsigned, DS signed, addresses of its servers as glue.
fn refer(dns: &Dns, message: &mut Message, zone: &Zone, cut: &RrSet, wall: i64) {
    let records = cut.data.iter().map(|data| Record::from_rdata(cut.name.clone(), cut.ttl, data.clone()));
    message.authorities.extend(records);
    let child = DnsName::from(&cut.name);
    if let Some(signer) = zone.set(&child, RecordType::DS) {
        add(&mut message.authorities, signer, &signer.name, signer.ttl, zone, wall);
    }
    for server in cut.data.iter().filter_map(ns_name) {
        let addresses = dns.servers.get(&server).map(|server| server.addresses.as_slice()).unwrap_or_default();
        let glue = addresses.iter().map(|ip| Record::from_rdata(server.to_name(), cut.ttl, address(*ip)));
        message.additionals.extend(glue);
    }
}
