//! One message, taken apart: each link of a CNAME chain, and what stands at its end, becomes a message of its own.
//!
//! Validators that take such a message as a whole trip over it: the denial at the end of a chain is about another name than the
//! question, and a server may have put together RRsets of several zones.

use super::{MOST_LINKS, MOST_RECORDS};
use crate::name::DnsName;
use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, RRSIG},
    op::{Message, OpCode, Query, ResponseCode},
    rr::{DNSClass, RData, Record, RecordType},
};

/// An RRset or a denial, as the answer to a question for just it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The query name.
    pub name: DnsName,
    /// The query type, also where a CNAME stands in its place.
    pub kind: RecordType,
    /// The type of the RRset; `None` for a denial.
    pub holds: Option<RecordType>,
    /// The answer, nothing in it that does not belong to it.
    pub message: Message,
}

impl Link {
    /// Who says to have signed it: of several the lowest zone that can hold the name.
    pub fn signer(&self) -> Option<DnsName> {
        let all = signatures(&self.message.answers).chain(signatures(&self.message.authorities));
        let signers = all.map(|(_, signature)| DnsName::from(&signature.input().signer_name));
        signers.filter(|signer| self.name.is_within(signer)).max_by_key(DnsName::labels)
    }

    /// What it is, in words.
    pub fn words(&self) -> String {
        match self.holds {
            Some(kind) => format!("the {kind} records of {}", self.name),
            None => format!("the denial of {} records of {}", self.kind, self.name),
        }
    }
}

/// The links of the chain that begins at `query`, in their order; the last one may be missing where other servers have it.
pub(super) fn links(message: &Message, query: &DnsName, kind: RecordType) -> Result<Vec<Link>, String> {
    let all = message.answers.iter().chain(&message.authorities);
    if let Some(odd) = all.into_iter().find(|record| record.dns_class != DNSClass::IN) {
        return Err(format!("it holds a record of class {}", odd.dns_class));
    }
    let (mut links, mut at) = (Vec::new(), query.clone());
    for _ in 0..MOST_LINKS {
        if let Some(target) = alias(message, &at) {
            links.push(positive(message, &at, kind, RecordType::CNAME)?);
            at = target;
            continue;
        }
        let holds = message.answers.iter().any(|record| is(record, &at, kind));
        if holds {
            links.push(positive(message, &at, kind, kind)?);
        } else if at == *query || denies(message, &at) {
            links.push(denial(message, &at, kind)?);
        }
        return Ok(links);
    }
    Err(format!("its CNAME chain from {query} does not end"))
}

/// Is it of that name and type?
pub(super) fn is(record: &Record, name: &DnsName, kind: RecordType) -> bool {
    record.record_type() == kind && name.is(&record.name)
}

fn alias(message: &Message, at: &DnsName) -> Option<DnsName> {
    message.answers.iter().filter(|record| is(record, at, RecordType::CNAME)).find_map(|record| match &record.data {
        RData::CNAME(target) => Some(DnsName::from(&target.0)),
        _ => None,
    })
}

fn denies(message: &Message, at: &DnsName) -> bool {
    let soa = message.authorities.iter().filter(|record| record.record_type() == RecordType::SOA);
    soa.into_iter().any(|record| at.is_within(&DnsName::from(&record.name)))
}

/// The signatures among some records.
pub(super) fn signatures(records: &[Record]) -> impl Iterator<Item = (&Record, &RRSIG)> {
    records.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some((record, signature)),
        _ => None,
    })
}

fn blank(name: &DnsName, kind: RecordType, code: ResponseCode) -> Message {
    let mut message = Message::response(0, OpCode::Query);
    message.metadata.response_code = code;
    message.add_query(Query::query(name.to_name(), kind));
    message
}

/// An RRset and its signatures; with one that was made from a wildcard the proof that the name itself is not there.
fn positive(message: &Message, name: &DnsName, kind: RecordType, holds: RecordType) -> Result<Link, String> {
    let mut link = blank(name, kind, ResponseCode::NoError);
    let belongs = |record: &&Record| is(record, name, holds) || (covers(record, holds) && name.is(&record.name));
    link.answers = message.answers.iter().filter(belongs).cloned().collect();
    if signatures(&link.answers).any(|(_, signature)| signature.input().num_labels < name.labels()) {
        link.authorities = proofs(message)?;
    }
    Ok(Link { name: name.clone(), kind, holds: Some(holds), message: link })
}

/// Is this a signature over an RRset of that type?
fn covers(record: &Record, kind: RecordType) -> bool {
    matches!(&record.data, RData::DNSSEC(DNSSECRData::RRSIG(signature)) if signature.input().type_covered == kind)
}

fn denial(message: &Message, name: &DnsName, kind: RecordType) -> Result<Link, String> {
    let mut link = blank(name, kind, message.metadata.response_code);
    link.authorities = proofs(message)?;
    Ok(Link { name: name.clone(), kind, holds: None, message: link })
}

/// What proves that something is not there: SOA, NSEC, NSEC3 and their signatures.
fn proofs(message: &Message) -> Result<Vec<Record>, String> {
    let kinds = [RecordType::SOA, RecordType::NSEC, RecordType::NSEC3];
    let belongs =
        |record: &&Record| kinds.contains(&record.record_type()) || kinds.iter().any(|kind| covers(record, *kind));
    let found: Vec<Record> = message.authorities.iter().filter(belongs).cloned().collect();
    match found.len() > MOST_RECORDS {
        true => Err(format!("its denial holds {} records", found.len())),
        false => Ok(found),
    }
}
