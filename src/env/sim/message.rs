//! Messages as real servers make them: flags, sections, signatures, denials.

use super::{
    answer::{End, Lookup, Shown},
    dns::{Dns, Mode, ns_name},
    keys,
    zone::{Flaw, RrSet, Zone, address, parent},
};
use crate::{env::Ask, name::DnsName};
use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, NSEC, RRSIG, sig::SigInput},
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, SerialNumber},
};
use std::iter::successors;

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

/// The time, and whether signatures verify.
#[derive(Clone, Copy)]
struct Pen {
    wall: i64,
    signs: bool,
}

/// The answer of a server, or of a resolver.
pub fn reply(dns: &Dns, ask: &Ask, lookup: &Lookup, mode: Mode, recursive: bool, wall: i64) -> Message {
    let pen = Pen { wall, signs: dns.signs };
    let mut message = blank(ask, code(lookup), recursive);
    let referral = matches!(lookup.end, End::Referral(..)) && lookup.answers.is_empty();
    message.metadata.authoritative = !recursive && !referral && mode != Mode::Lame;
    message.metadata.checking_disabled = ask.checking_disabled;
    message.metadata.authentic_data = recursive && !ask.checking_disabled && dns.is_secure(lookup);
    for shown in &lookup.answers {
        add(&mut message.answers, &shown.set, &shown.owner, shown.set.ttl, &shown.zone, pen);
    }
    let authority = &mut message.authorities;
    match &lookup.end {
        End::Found | End::Elsewhere(_) => {}
        End::NoData(name) => deny(authority, &lookup.zone, name, false, pen),
        End::NxDomain(name) => deny(authority, &lookup.zone, name, true, pen),
        End::Referral(_, cut) => refer(dns, &mut message, &lookup.zone, cut, pen),
    }
    if let Some(Shown { set, owner, zone }) = lookup.answers.last()
        && set.name != *owner
        && zone.signed
    {
        // A name made from a wildcard comes with the proof that it is not there itself (RFC 4035 section 3.1.3.3).
        cover(&mut message.authorities, zone, &DnsName::from(owner), pen);
    }
    message
}

/// What is left of a message without everything that DNSSEC put into it, unless it was asked for.
pub fn stripped(mut message: Message, kind: RecordType) -> Message {
    let kinds = [RecordType::RRSIG, RecordType::NSEC];
    let stays = |record: &Record| record.record_type() == kind || !kinds.contains(&record.record_type());
    message.answers.retain(stays);
    message.authorities.retain(stays);
    message.metadata.authentic_data = false;
    message
}

fn code(lookup: &Lookup) -> ResponseCode {
    match lookup.end {
        End::NxDomain(_) => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    }
}

/// Adds an RRset under `owner`, and its signature in a signed zone.
fn add(section: &mut Vec<Record>, set: &RrSet, owner: &Name, ttl: u32, zone: &Zone, pen: Pen) {
    section.extend(set.data.iter().map(|data| Record::from_rdata(owner.clone(), ttl, data.clone())));
    let signed = zone.signed && zone.flaw != Some(Flaw::Missing);
    let Some(kind) = set.data.first().map(RData::record_type).filter(|_| signed) else { return };
    let until = if zone.flaw == Some(Flaw::Expired) { -86_400 } else { 14 * 86_400 };
    let input = SigInput {
        type_covered: kind,
        algorithm: keys::ALGORITHM,
        num_labels: set.name.num_labels(),
        original_ttl: set.ttl,
        sig_expiration: SerialNumber::from((pen.wall + until) as u32),
        sig_inception: SerialNumber::from((pen.wall - 7 * 86_400) as u32),
        key_tag: keys::tag(),
        signer_name: zone.apex.to_name(),
    };
    let records = set.data.iter().map(|data| Record::from_rdata(set.name.clone(), set.ttl, data.clone()));
    let bytes = match pen.signs && zone.flaw != Some(Flaw::Forged) {
        true => keys::sign(&input, &records.collect::<Vec<_>>()),
        false => vec![7; 64],
    };
    let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, bytes)));
    section.push(Record::from_rdata(owner.clone(), ttl, signature));
}

/// SOA with the negative TTL (RFC 2308 section 3), and in a signed zone the NSEC records that prove it.
fn deny(section: &mut Vec<Record>, zone: &Zone, name: &DnsName, nxdomain: bool, pen: Pen) {
    let Some(soa) = zone.set(&zone.apex, RecordType::SOA) else { return };
    add(section, soa, &soa.name, soa.ttl.min(zone.minimum), zone, pen);
    if !zone.signed {
        return;
    }
    cover(section, zone, name, pen);
    // And there is no wildcard at the closest name that is there (RFC 4035 section 3.1.3.2).
    let closest = successors(parent(name), parent).find(|above| zone.exists(above));
    let wildcard = closest.and_then(|closest| closest.to_name().prepend_label("*").ok());
    if let (true, Some(wildcard)) = (nxdomain, wildcard) {
        cover(section, zone, &DnsName::from(&wildcard), pen);
    }
}

/// The NSEC record at this name, or the one of the name before it.
fn cover(section: &mut Vec<Record>, zone: &Zone, name: &DnsName, pen: Pen) {
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
        add(section, &set, owner, ttl, zone, pen);
    }
}

/// NS of the child unsigned, DS signed, addresses of its servers as glue.
fn refer(dns: &Dns, message: &mut Message, zone: &Zone, cut: &RrSet, pen: Pen) {
    let records = cut.data.iter().map(|data| Record::from_rdata(cut.name.clone(), cut.ttl, data.clone()));
    message.authorities.extend(records);
    let child = DnsName::from(&cut.name);
    if let Some(signer) = zone.set(&child, RecordType::DS) {
        add(&mut message.authorities, signer, &signer.name, signer.ttl, zone, pen);
    }
    for server in cut.data.iter().filter_map(ns_name) {
        let addresses = dns.servers.get(&server).map(|server| server.addresses.as_slice()).unwrap_or_default();
        let glue = addresses.iter().map(|ip| Record::from_rdata(server.to_name(), cut.ttl, address(*ip)));
        message.additionals.extend(glue);
    }
}
