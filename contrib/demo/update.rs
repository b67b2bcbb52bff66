//! Dynamic updates (RFC 2136): prerequisites are checked, single records added and deleted. Only TLSA records may be
//! changed, as a careful operator's `update-policy` says.

use crate::zone::{APEX, Zone};
use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{DNSClass, Name, Record, RecordType},
};
use hickory_server::server::Request;
use std::str::FromStr;

/// Carries out an UPDATE whose signature is already found good.
pub fn apply(zone: &Zone, request: &Request) -> ResponseCode {
    let done = check_zone(request).and_then(|()| {
        zone.edit(|records| {
            check_prerequisites(records, &request.answers)?;
            request.authorities.iter().try_for_each(check_scope)?;
            request.authorities.iter().for_each(|update| apply_one(records, update));
            Ok(())
        })
    });
    done.err().unwrap_or(ResponseCode::NoError)
}

/// Section 3.1: one zone, and it is ours.
fn check_zone(request: &Request) -> Result<(), ResponseCode> {
    match request.queries.queries() {
        [zone] if zone.query_type() != RecordType::SOA => Err(ResponseCode::FormErr),
        [zone] if zone.name().to_string() != APEX => Err(ResponseCode::NotAuth),
        [_] => Ok(()),
        _ => Err(ResponseCode::FormErr),
    }
}

/// Section 3.2: each prerequisite by its class; those of class IN describe whole RRsets.
fn check_prerequisites(records: &[Record], prerequisites: &[Record]) -> Result<(), ResponseCode> {
    for wanted in prerequisites {
        let any_type = wanted.record_type() == RecordType::ANY;
        let name_in_use = records.iter().any(|record| record.name == wanted.name);
        let rrset_exists = records.iter().any(|record| same_rrset(record, wanted));
        match wanted.dns_class {
            DNSClass::ANY if any_type && !name_in_use => return Err(ResponseCode::NXDomain),
            DNSClass::ANY if !any_type && !rrset_exists => return Err(ResponseCode::NXRRSet),
            DNSClass::NONE if any_type && name_in_use => return Err(ResponseCode::YXDomain),
            DNSClass::NONE if !any_type && rrset_exists => return Err(ResponseCode::YXRRSet),
            DNSClass::IN if !same_data(records, prerequisites, wanted) => return Err(ResponseCode::NXRRSet),
            DNSClass::ANY | DNSClass::NONE | DNSClass::IN => {}
            _ => return Err(ResponseCode::FormErr),
        }
    }
    Ok(())
}

/// Is the RRset in the zone, TTL aside, the one that the prerequisites spell out (section 3.2.3)?
fn same_data(records: &[Record], prerequisites: &[Record], wanted: &Record) -> bool {
    let rrset = |all: &'_ [Record], class| -> Vec<Record> {
        all.iter().filter(|record| record.dns_class == class && same_rrset(record, wanted)).cloned().collect()
    };
    let (is, should) = (rrset(records, DNSClass::IN), rrset(prerequisites, DNSClass::IN));
    is.len() == should.len() && is.iter().all(|record| should.iter().any(|other| other.data == record.data))
}

fn check_scope(update: &Record) -> Result<(), ResponseCode> {
    match Name::from_str(APEX) {
        Ok(apex) if !apex.zone_of(&update.name) => Err(ResponseCode::NotZone),
        _ if update.record_type() != RecordType::TLSA => Err(ResponseCode::Refused),
        _ => Ok(()),
    }
}

/// Section 3.4.2: class IN adds, ANY deletes the RRset, NONE deletes one record.
fn apply_one(records: &mut Vec<Record>, update: &Record) {
    match update.dns_class {
        DNSClass::ANY => records.retain(|record| !same_rrset(record, update)),
        DNSClass::NONE => records.retain(|record| !same_rrset(record, update) || record.data != update.data),
        _ => {
            records.retain(|record| !same_rrset(record, update) || record.data != update.data);
            // One TTL for the whole RRset (RFC 2181 section 5.2).
            records.iter_mut().filter(|record| same_rrset(record, update)).for_each(|record| record.ttl = update.ttl);
            records.push(update.clone());
        }
    }
}

fn same_rrset(one: &Record, other: &Record) -> bool {
    one.name == other.name && one.record_type() == other.record_type()
}
