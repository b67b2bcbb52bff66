//! From DNS messages to facts. Every message is hostile: it counts only for the very question that was asked.

use crate::{env::Answered, journal::Shown, name::DnsName, small::Set, tlsa::Association};
use hickory_resolver::proto::{
    dnssec::rdata::DNSSECRData,
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};
use std::{collections::BTreeSet, net::IpAddr};

/// No RRset of TLSA records that anybody could use is larger; more is an attack or a mistake.
const MOST_RECORDS: usize = 100;
/// RFC 2181 section 8.
const MOST_TTL: u32 = i32::MAX as u32;
/// Longer CNAME chains are loops for all that resolvers care.
const MOST_LINKS: usize = 8;

/// What an authoritative server said to a TLSA question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An RRset or a denial at `at`, which is the query name or the end of a CNAME chain; the TTL covers the chain.
    Answer {
        /// The name that holds (or lacks) the RRset.
        at: DnsName,
        /// The RRset or denial.
        shown: Shown,
    },
    /// A CNAME chain that ends at a name this server says nothing about.
    Elsewhere {
        /// Where to go on.
        to: DnsName,
        /// The sum of the TTLs so far, seconds.
        ttl: u64,
    },
}

/// Reads the answer to a TLSA question for `query` that was asked of an authoritative server of `zone`. What it says of names
/// in other zones does not count: resolvers ask those zones' own servers (RFC 2181 section 5.4.1).
pub fn said(answered: &Answered, query: &DnsName, zone: Option<&DnsName>) -> Result<Said, String> {
    let message = authoritative(answered)?;
    let is_foreign = |at: &DnsName| at != query && zone.is_some_and(|zone| !at.is_within(zone));
    let (at, chain_ttl) = follow(message, query, is_foreign)?;
    if is_foreign(&at) {
        return Ok(Said::Elsewhere { to: at, ttl: chain_ttl });
    }
    let records: Vec<&Record> = of(message, &at, RecordType::TLSA).collect();
    if records.len() > MOST_RECORDS {
        return Err(format!("{} records in one RRset", records.len()));
    }
    if records.is_empty() {
        if at != *query && !denies(message, &at) {
            return Ok(Said::Elsewhere { to: at, ttl: chain_ttl });
        }
        let ttl = chain_ttl + u64::from(denial_ttl(message, &at)?);
        return Ok(Said::Answer { at, shown: Shown { records: Some(Set::new()), ttl } });
    }
    let ttl = chain_ttl + u64::from(ttl_of(message, &at, RecordType::TLSA));
    let records = match synthesised(message, &at) {
        true => Set::new(),
        false => records.iter().filter_map(|record| association(record)).collect(),
    };
    Ok(Said::Answer { at, shown: Shown { records: Some(records), ttl } })
}

/// The message, if it is an authoritative answer at all.
fn authoritative(answered: &Answered) -> Result<&Message, String> {
    let message = answered.as_ref().map_err(Clone::clone)?;
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return Err(format!("it answers {}", mnemonic(code))),
    }
    match message.metadata.authoritative {
        true => Ok(message),
        false => Err("it is not authoritative for the zone (lame)".into()),
    }
}

/// Follows the CNAME chain inside the message, up to a name that is foreign: its last name, and the sum of the TTLs.
fn follow(message: &Message, query: &DnsName, is_foreign: impl Fn(&DnsName) -> bool) -> Result<(DnsName, u64), String> {
    let (mut at, mut ttl) = (query.clone(), 0);
    for _ in 0..MOST_LINKS {
        if is_foreign(&at) {
            return Ok((at, ttl));
        }
        let target = of(message, &at, RecordType::CNAME).find_map(|record| match &record.data {
            RData::CNAME(target) => Some(DnsName::from(&target.0)),
            _ => None,
        });
        let Some(target) = target else { return Ok((at, ttl)) };
        ttl += u64::from(ttl_of(message, &at, RecordType::CNAME));
        at = target;
    }
    Err(format!("its CNAME chain from {query} does not end"))
}

fn of<'a>(message: &'a Message, name: &'a DnsName, kind: RecordType) -> impl Iterator<Item = &'a Record> {
    message.answers.iter().filter(move |record| record.record_type() == kind && name.is(&record.name))
}

/// The larger of the TTL received and the original TTL of the signature: what a validating cache may keep (RFC 4035
/// section 5.3.3).
fn ttl_of(message: &Message, name: &DnsName, kind: RecordType) -> u32 {
    let received = of(message, name, kind).map(|record| record.ttl);
    received.chain(signatures(&message.answers, name, kind).map(|(ttl, _)| ttl)).max().unwrap_or(0).min(MOST_TTL)
}

/// Original TTL and label count of the signatures over an RRset.
fn signatures<'a>(records: &'a [Record], name: &'a DnsName, kind: RecordType) -> impl Iterator<Item = (u32, u8)> + 'a {
    records.iter().filter_map(move |record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
            let input = signature.input();
            (input.type_covered == kind && name.is(&record.name)).then_some((input.original_ttl, input.num_labels))
        }
        _ => None,
    })
}

/// Was the RRset made from a wildcard? Its signature then counts fewer labels than its owner has (RFC 4035 section 5.3.4).
fn synthesised(message: &Message, name: &DnsName) -> bool {
    signatures(&message.answers, name, RecordType::TLSA).any(|(_, signed)| signed < name.labels())
}

/// Does the message itself deny the name at the end of a CNAME chain, rather than leave it to other servers?
fn denies(message: &Message, at: &DnsName) -> bool {
    soa(message).any(|(apex, ..)| at.is_within(&apex))
}

/// Apex, TTL and MINIMUM of SOA records in the authority section.
fn soa(message: &Message) -> impl Iterator<Item = (DnsName, u32, u32)> + '_ {
    message.authorities.iter().filter_map(|record| match &record.data {
        RData::SOA(soa) => Some((DnsName::from(&record.name), record.ttl, soa.minimum)),
        _ => None,
    })
}

/// How long a denial may be kept: the larger of the SOA's TTL, its MINIMUM, and the NSEC records' TTL (RFC 2308 section 5,
/// RFC 9077), taken generously.
fn denial_ttl(message: &Message, at: &DnsName) -> Result<u32, String> {
    let soa = soa(message).filter(|(apex, ..)| at.is_within(apex)).flat_map(|(_, ttl, minimum)| [ttl, minimum]).max();
    let soa = soa.ok_or("it answers without records and without SOA")?;
    let is_nsec = |record: &&Record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3);
    let nsec = message.authorities.iter().filter(is_nsec).map(|record| record.ttl).max();
    Ok(soa.max(nsec.unwrap_or(0)).min(MOST_TTL))
}

fn association(record: &Record) -> Option<Association> {
    let RData::TLSA(tlsa) = &record.data else { return None };
    Some(Association {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        data: tlsa.cert_data.clone(),
    })
}

/// The apex and serial of the zone that denies TLSA records at `name`, by the SOA record that a denial brings along.
pub fn denying_zone(message: &Message, name: &DnsName) -> Option<(DnsName, u32)> {
    let found = message.authorities.iter().filter_map(|record| match &record.data {
        RData::SOA(soa) => Some((DnsName::from(&record.name), soa.serial)),
        _ => None,
    });
    let denied = message.answers.is_empty();
    found.filter(|(apex, _)| denied && name.is_within(apex)).max_by_key(|(apex, _)| apex.labels())
}

/// The apex and serial in an answer to a SOA question: from the answer if `name` is an apex, else from the authority section.
pub fn apex(answered: &Answered, name: &DnsName) -> Result<(DnsName, u32), String> {
    let message = answered.as_ref().map_err(Clone::clone)?;
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return Err(code.to_str().to_string()),
    }
    let all = message.answers.iter().chain(&message.authorities);
    let found = all.filter_map(|record| match &record.data {
        RData::SOA(soa) => Some((DnsName::from(&record.name), soa.serial)),
        _ => None,
    });
    let above = found.filter(|(apex, _)| name.is_within(apex));
    above.max_by_key(|(apex, _)| apex.labels()).ok_or_else(|| "no SOA in its answer".into())
}

/// The serial in an authoritative answer to a SOA question for an apex.
pub fn serial(answered: &Answered, apex: &DnsName) -> Option<u32> {
    let message = authoritative(answered).ok()?;
    of(message, apex, RecordType::SOA).find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}

/// The host names of an NS RRset for `apex` and its TTL, from the answer or, in a referral, the authority section.
pub fn name_servers(answered: &Answered, apex: &DnsName) -> Result<(BTreeSet<DnsName>, u32), String> {
    let message = answered.as_ref().map_err(Clone::clone)?;
    let all = message.answers.iter().chain(&message.authorities);
    let found = all.filter_map(|record| match &record.data {
        RData::NS(name) if apex.is(&record.name) => Some((DnsName::from(&name.0), record.ttl)),
        _ => None,
    });
    let found: Vec<(DnsName, u32)> = found.take(MOST_RECORDS).collect();
    let ttl = found.iter().map(|(_, ttl)| *ttl).max().ok_or(format!("no NS records of {apex} in its answer"))?;
    Ok((found.into_iter().map(|(name, _)| name).collect(), ttl.min(MOST_TTL)))
}

/// The hosts in an answer to an MX question to a resolver, and how long it may be kept, CNAMEs included. None are named where
/// there is no MX record; a single host that is the root says that mail is not wanted (RFC 7505).
pub fn mail_hosts(answered: &Answered, domain: &DnsName) -> Result<(BTreeSet<DnsName>, u64), String> {
    let message = answered.as_ref().map_err(Clone::clone)?;
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return Err(format!("it answers {}", mnemonic(code))),
    }
    let (at, ttl) = follow(message, domain, |_| false)?;
    let exchange = |record: &Record| match &record.data {
        RData::MX(mx) => Some(DnsName::from(&mx.exchange)),
        _ => None,
    };
    let hosts: BTreeSet<DnsName> = of(message, &at, RecordType::MX).filter_map(exchange).collect();
    match hosts.len() {
        0..=MOST_RECORDS => Ok((hosts, ttl + u64::from(ttl_of(message, &at, RecordType::MX)))),
        many => Err(format!("{many} hosts in one RRset")),
    }
}

/// A response code as the RFCs and other tools write it: `SERVFAIL`, `REFUSED`.
pub(super) fn mnemonic(code: ResponseCode) -> String {
    format!("{code:?}").to_uppercase()
}

/// The addresses in an answer to an A or AAAA question to a resolver, wherever a CNAME led. A denial is an empty set.
pub fn addresses(answered: &Answered) -> Result<BTreeSet<IpAddr>, String> {
    let message = answered.as_ref().map_err(Clone::clone)?;
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return Err(format!("it answers {}", mnemonic(code))),
    }
    let found = message.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::from(address.0)),
        RData::AAAA(address) => Some(IpAddr::from(address.0)),
        _ => None,
    });
    Ok(found.take(MOST_RECORDS).collect())
}
