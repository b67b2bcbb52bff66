//! Update messages (RFC 2136 section 2). hickory's own builders panic for a name outside the zone and know no update of
//! several owners.

use super::work::Work;
use crate::{name::DnsName, tlsa::Association};
use hickory_resolver::proto::{
    op::{Message, OpCode, Query},
    rr::{DNSClass, RData, Record, RecordType, rdata::TLSA},
};

/// Where a message is cut in two. 64 KiB is the limit of TCP; the zone and the signature need some of it.
const LARGEST: usize = 60_000;

/// The owners in portions that fit into one message each.
pub(super) fn parts(works: Vec<Work>) -> Vec<Vec<Work>> {
    let mut parts: Vec<Vec<Work>> = Vec::new();
    let mut room = 0;
    for work in works {
        let size = size(&work);
        match parts.last_mut() {
            Some(part) if size <= room => part.push(work),
            _ => {
                parts.push(vec![work]);
                room = LARGEST;
            }
        }
        room = room.saturating_sub(size);
    }
    parts
}

/// What the records of one owner need at most, without compression.
fn size(work: &Work) -> usize {
    let records = work.view.records.iter().chain(work.adds.iter().copied()).chain(work.deletes.iter().copied());
    let fixed = work.owner.as_str().len() + 1 + 10;
    records.map(|record| fixed + 3 + record.data.len()).sum::<usize>() + 2 * fixed
}

/// One update for all these owners.
pub(super) fn update(zone: &DnsName, works: &[Work]) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.add_query(Query::query(zone.to_name(), RecordType::SOA));
    for work in works {
        // The sections of an update stand where a query has answers and authorities.
        message.add_answers(prerequisites(work));
        message.add_authorities(work.adds.iter().map(|record| value(work.owner, record, DNSClass::IN, work.ttl)));
    }
    for work in works {
        message.add_authorities(work.deletes.iter().map(|record| value(work.owner, record, DNSClass::NONE, 0)));
    }
    message
}

/// The RRset is just what we saw, or is not there as we saw (RFC 2136 sections 2.4.2 and 2.4.3), and the owner is no alias.
fn prerequisites(work: &Work) -> Vec<Record> {
    let absent = |kind| bare(work.owner, kind, DNSClass::NONE);
    let mut records: Vec<_> =
        work.view.records.iter().map(|record| value(work.owner, record, DNSClass::IN, 0)).collect();
    if records.is_empty() {
        records.push(absent(RecordType::TLSA));
    }
    records.push(absent(RecordType::CNAME));
    records
}

fn value(owner: &DnsName, record: &Association, class: DNSClass, ttl: u32) -> Record {
    let Association { usage, selector, matching, data } = record.clone();
    let data = TLSA::new(usage.into(), selector.into(), matching.into(), data);
    let mut record = Record::from_rdata(owner.to_name(), ttl, RData::TLSA(data));
    record.dns_class = class;
    record
}

fn bare(owner: &DnsName, kind: RecordType, class: DNSClass) -> Record {
    let mut record = Record::update0(owner.to_name(), 0, kind);
    record.dns_class = class;
    record
}
