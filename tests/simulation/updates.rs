//! Dynamic updates: what a primary checks, what it does, what it ignores (RFC 2136).

use crate::lab::{APEX, Lab};
use daneroll::{
    env::{
        Env,
        sim::zone::{address, alias, name, tlsa},
    },
    tlsa::Association,
};
use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode, UpdateMessage},
    rr::{DNSClass, RData, Record, RecordType},
};

const OWNER: &str = "_25._tcp.mx.example.com";
const NONE: &str = "_26._tcp.mx.example.com";
const NS1: &str = "192.0.2.1:53";

fn record(data: u8) -> Association {
    Association { usage: 3, selector: 1, matching: 1, data: vec![data; 32] }
}

/// A record of that class; without data if there is none.
fn rr(class: DNSClass, owner: &str, kind: RecordType, data: Option<u8>) -> Record {
    let owner = name(owner).to_name();
    let mut rr = match data {
        Some(data) => Record::from_rdata(owner, if class == DNSClass::IN { 600 } else { 0 }, tlsa(&record(data))),
        None => Record::from_rdata(owner, 0, RData::Update0(kind)),
    };
    rr.dns_class = class;
    rr
}

fn send(lab: &Lab, server: &str, zone: &str, prerequisites: Vec<Record>, updates: Vec<Record>) -> ResponseCode {
    let mut message = Message::new(1, MessageType::Query, OpCode::Update);
    message.add_zone(Query::query(name(zone).to_name(), RecordType::SOA));
    message.add_pre_requisites(prerequisites);
    message.add_updates(updates);
    let answer = lab.world.exchange(server.parse().unwrap(), &message.to_vec().unwrap()).unwrap();
    Message::from_vec(&answer).unwrap().metadata.response_code
}

/// A zone with the records 1 and 2 at `OWNER`, TTL 1800.
fn lab() -> Lab {
    let lab = Lab::with("mx.example.com", "311 25").secondary("ns2", 60).start();
    [1, 2].into_iter().for_each(|data| lab.publish(OWNER, 1800, &record(data)));
    lab
}

fn data(lab: &Lab) -> Vec<u8> {
    lab.published(OWNER).iter().map(|record| record.data[0]).collect()
}

#[test]
fn prerequisites() {
    use DNSClass::{ANY, IN, NONE as NO};
    use ResponseCode::{NXDomain, NXRRSet, NoError, YXDomain, YXRRSet};
    let (any, kind) = (RecordType::ANY, RecordType::TLSA);
    let has = |data: &[u8]| data.iter().map(|data| rr(IN, OWNER, kind, Some(*data))).collect::<Vec<_>>();
    let cases = [
        ("nothing", vec![], NoError),
        ("name in use", vec![rr(ANY, OWNER, any, None)], NoError),
        ("name in use", vec![rr(ANY, NONE, any, None)], NXDomain),
        ("name not in use", vec![rr(NO, NONE, any, None)], NoError),
        ("name not in use", vec![rr(NO, OWNER, any, None)], YXDomain),
        ("RRset exists", vec![rr(ANY, OWNER, kind, None)], NoError),
        ("RRset exists", vec![rr(ANY, OWNER, RecordType::A, None)], NXRRSet),
        ("RRset does not exist", vec![rr(NO, OWNER, RecordType::A, None)], NoError),
        ("RRset does not exist", vec![rr(NO, OWNER, kind, None)], YXRRSet),
        ("RRset has these", has(&[2, 1]), NoError),
        ("RRset has these", has(&[1]), NXRRSet),
        ("RRset has these", has(&[1, 2, 3]), NXRRSet),
        ("RRset has these", has(&[1, 3]), NXRRSet),
        ("the second fails", vec![rr(ANY, OWNER, any, None), rr(NO, OWNER, kind, None)], YXRRSet),
    ];
    for (what, prerequisites, code) in cases {
        let lab = lab();
        let update = vec![rr(IN, OWNER, kind, Some(9))];
        assert_eq!(send(&lab, NS1, APEX, prerequisites, update), code, "{what}");
        assert_eq!(data(&lab).contains(&9), code == NoError, "{what}");
    }
}

#[test]
fn changes() {
    use DNSClass::{ANY, IN, NONE as NO};
    let kind = RecordType::TLSA;
    let cases = [
        ("add", vec![rr(IN, OWNER, kind, Some(3))], vec![1, 2, 3], 1),
        ("add two", vec![rr(IN, OWNER, kind, Some(3)), rr(IN, OWNER, kind, Some(4))], vec![1, 2, 3, 4], 1),
        ("delete", vec![rr(NO, OWNER, kind, Some(1))], vec![2], 1),
        ("delete what is not there", vec![rr(NO, OWNER, kind, Some(9))], vec![1, 2], 0),
        ("delete, then add", vec![rr(NO, OWNER, kind, Some(1)), rr(IN, OWNER, kind, Some(3))], vec![2, 3], 1),
        ("delete the RRset", vec![rr(ANY, OWNER, kind, None)], vec![], 1),
        ("delete the name", vec![rr(ANY, OWNER, RecordType::ANY, None)], vec![], 1),
        ("the apex keeps its NS", vec![rr(ANY, APEX, RecordType::NS, None)], vec![1, 2], 0),
    ];
    for (what, updates, left, serials) in cases {
        let lab = lab();
        let before = lab.serial();
        assert_eq!(send(&lab, NS1, APEX, vec![], updates), ResponseCode::NoError, "{what}");
        assert_eq!((data(&lab), lab.serial() - before), (left, serials), "{what}");
    }
}

/// An addition sets the TTL of the whole RRset.
#[test]
fn ttl() {
    let lab = lab();
    send(&lab, NS1, APEX, vec![], vec![rr(DNSClass::IN, OWNER, RecordType::TLSA, Some(3))]);
    lab.world.look(|state| {
        assert_eq!(state.dns.zone(&name(APEX)).set(&name(OWNER), RecordType::TLSA).unwrap().ttl, 600);
    });
}

#[test]
fn accepted_without_effect() {
    let lab = lab();
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(NONE), 60, alias(OWNER)));
    let add = rr(DNSClass::IN, NONE, RecordType::TLSA, Some(3));
    let before = lab.serial();
    assert_eq!(send(&lab, NS1, APEX, vec![], vec![add]), ResponseCode::NoError);
    assert_eq!((lab.serial(), lab.is_published(NONE)), (before, false), "there is a CNAME");
    let beside = Record::from_rdata(name(OWNER).to_name(), 60, alias(NONE));
    assert_eq!(send(&lab, NS1, APEX, vec![], vec![beside]), ResponseCode::NoError);
    assert_eq!(lab.serial(), before, "there is other data");
}

#[test]
fn refusals() {
    let lab = lab();
    let add = |owner: &str| vec![rr(DNSClass::IN, owner, RecordType::TLSA, Some(3))];
    for (server, zone, owner, code) in [
        (NS1, APEX, OWNER, ResponseCode::NoError),
        ("192.0.2.2:53", APEX, OWNER, ResponseCode::Refused),
        (NS1, "example.org", "a.example.org", ResponseCode::NotAuth),
        (NS1, "mx.example.com", OWNER, ResponseCode::NotAuth),
        (NS1, APEX, "_25._tcp.example.org", ResponseCode::NotZone),
    ] {
        assert_eq!(send(&lab, server, zone, vec![], add(owner)), code, "{server} {zone} {owner}");
    }
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name("x.example.com"), 60, address([192, 0, 2, 9].into())));
    let mut question = Message::new(7, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(name("x.example.com").to_name(), RecordType::A));
    let answer = lab.world.exchange(NS1.parse().unwrap(), &question.to_vec().unwrap()).unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!((answer.metadata.id, answer.answers.len()), (7, 2), "a question, over TCP");
}
