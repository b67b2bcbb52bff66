//! What validation makes of messages: honest ones, and those that somebody on the way has changed.

use crate::lab::{APEX, Lab, RESOLVER};
use daneroll::{
    config::{AnchorKey, Dnssec, TrustAnchor},
    env::{
        Ask,
        sim::{
            keys,
            zone::{Flaw, Zone, alias, name, tlsa},
        },
    },
    facts::Security,
    observe::{
        discover::Resolver,
        dnssec::{Memory, Validator},
    },
    tlsa::Association,
};
use hickory_resolver::proto::{
    dnssec::{
        DigestType,
        rdata::{DNSSECRData, RRSIG},
    },
    op::{Message, ResponseCode},
    rr::{DNSClass, RData, Record, RecordType, rdata::NS},
};
use std::{cell::Cell, collections::BTreeMap, rc::Rc};

pub const OWNER: &str = "_25._tcp.mx.example.com";
pub const TLSA: RecordType = RecordType::TLSA;

pub fn record(data: u8) -> RData {
    tlsa(&Association { usage: 3, selector: 1, matching: 1, data: vec![data; 32] })
}

/// A signed zone with a TLSA RRset, a CNAME to it, a wildcard, an unsigned child.
pub fn lab() -> Lab {
    let lab = Lab::with("mx.example.com", "311 25").validating().start();
    lab.world.change(|state| {
        state.dns.add_server("ns.child.example.com", &["192.0.2.77"]);
        let mut child = Zone::new("child.example.com", false, &["ns.child.example.com"]);
        child.add(&name("_25._tcp.child.example.com"), 300, record(3));
        state.dns.add_zone(child, &["ns.child.example.com"]);
    });
    lab.world.edit_zone(&name(APEX), |zone| {
        zone.add(&name(OWNER), 1800, record(1));
        zone.add(&name("in.example.com"), 900, alias(OWNER));
        zone.add(&name("to.example.com"), 900, alias("zz.example.com"));
        zone.add(&name("*.wild.example.com"), 60, record(2));
        zone.add(&name("child.example.com"), 7200, RData::NS(NS(name("ns.child.example.com").to_name())))
    });
    lab
}

pub fn anchor(zone: &str) -> TrustAnchor {
    let key = AnchorKey::Digest(keys::delegation_signer(&name(zone), DigestType::SHA256));
    TrustAnchor { path: "anchor".into(), zones: BTreeMap::from([(name(zone), vec![key])]) }
}

thread_local! {
    /// All that this test has verified: it must make nothing secure that is not.
    static VERIFIED: Rc<Memory> = Rc::default();
}

/// What the answer to a question is worth, with its reason.
pub fn verdict(lab: &Lab, anchor: &TrustAnchor, owner: &str, kind: RecordType) -> String {
    let validator = Validator::new(Dnssec::Validate, Some(anchor)).remembering(VERIFIED.with(Rc::clone));
    let servers = vec![(RESOLVER.parse::<std::net::IpAddr>().unwrap(), 53).into()];
    let resolver = Resolver::new(&lab.world, servers).judging(Rc::new(validator));
    match resolver.validated(&[(name(owner), kind)]).remove(0) {
        Ok((_, Security::Secure)) => "secure".into(),
        Ok((_, Security::Insecure)) => "insecure".into(),
        Ok((_, Security::Bogus(why))) => format!("bogus: {why}"),
        Ok((_, Security::Unknown(why))) => format!("unknown: {why}"),
        Err(why) => format!("no answer: {why}"),
    }
}

#[test]
fn honest_answers() {
    let lab = lab();
    for (owner, kind, expected) in [
        (OWNER, TLSA, "secure"),
        ("in.example.com", TLSA, "secure"),
        ("to.example.com", TLSA, "secure"),
        ("mx.example.com", RecordType::A, "secure"),
        ("mx.example.com", TLSA, "secure"),
        ("_tcp.mx.example.com", TLSA, "secure"), // an empty non-terminal
        ("zz.example.com", TLSA, "secure"),
        ("a.b.c.zz.example.com", TLSA, "secure"),
        ("x.wild.example.com", TLSA, "secure"), // as an RRset that is not there
        ("x.wild.example.com", RecordType::A, "secure"),
        ("nothing", TLSA, "secure"),
        ("_25._tcp.child.example.com", TLSA, "insecure"),
        ("zz.child.example.com", TLSA, "insecure"),
    ] {
        assert_eq!(verdict(&lab, &anchor("."), owner, kind), expected, "{owner} {kind}");
    }
    for (zone, owner, expected) in [
        (APEX, OWNER, "secure"),
        ("com", OWNER, "secure"),
        (APEX, "_25._tcp.child.example.com", "insecure"),
        (
            "child.example.com",
            "_25._tcp.child.example.com",
            "unknown: the resolver is unfit (0 DNSKEY records of child.example.com.",
        ),
    ] {
        let told = verdict(&lab, &anchor(zone), owner, TLSA);
        assert!(told.starts_with(expected), "{zone} {owner}: {told}");
    }
}

#[test]
fn broken_zones() {
    for (zone, flaw, expected) in [
        (APEX, Flaw::Expired, "bogus: the signature over the DNSKEY records of example.com. expired 86400 s ago"),
        (APEX, Flaw::Forged, "bogus: the signatures over the DNSKEY records of example.com. do not verify"),
        (
            APEX,
            Flaw::Missing,
            "unknown: the resolver may strip signatures: the DNSKEY records of example.com. are not signed",
        ),
        ("com", Flaw::Expired, "bogus: the signature over the DNSKEY records of com. expired"),
        (".", Flaw::Forged, "bogus: the signatures over the DNSKEY records of . do not verify"),
    ] {
        let lab = lab();
        lab.world.edit_zone(&name(zone), |zone| {
            zone.flaw = Some(flaw);
            true
        });
        for owner in [OWNER, "zz.example.com"] {
            let told = verdict(&lab, &anchor("."), owner, TLSA);
            assert!(told.starts_with(expected), "{zone} {flaw:?} {owner}: {told}");
        }
    }
}

fn signature(record: &mut Record, change: impl Fn(&mut hickory_resolver::proto::dnssec::rdata::sig::SigInput)) {
    if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data {
        let mut input = signature.input().clone();
        change(&mut input);
        record.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature.sig().to_vec())));
    }
}

type Change = fn(&mut Message);

/// Answers to one TLSA question, changed on the way.
#[test]
fn changed_answers() {
    let changes: &[(&str, Change, &str, &str)] = &[
        ("nothing", |_| {}, OWNER, "secure"),
        (
            "upper case",
            |m| m.answers.iter_mut().for_each(|r| r.name = r.name.to_ascii().to_uppercase().parse().unwrap()),
            OWNER,
            "secure",
        ),
        ("lower TTL", |m| m.answers.iter_mut().for_each(|r| r.ttl = 1), OWNER, "secure"),
        ("another record", |m| m.answers[0].data = record(9), OWNER, "bogus: the signatures over the TLSA"),
        (
            "one more record",
            |m| m.answers.push(Record::from_rdata(name(OWNER).to_name(), 1800, record(9))),
            OWNER,
            "bogus: the signatures over the TLSA",
        ),
        (
            "no signature",
            |m| m.answers.truncate(1),
            OWNER,
            "unknown: the resolver may strip signatures: the TLSA records",
        ),
        (
            "another signer",
            |m| m.answers.iter_mut().for_each(|r| signature(r, |input| input.signer_name = name("com").to_name())),
            OWNER,
            "bogus: ",
        ),
        (
            "a signer below",
            |m| m.answers.iter_mut().for_each(|r| signature(r, |s| s.signer_name = name("mx.example.com").to_name())),
            OWNER,
            "bogus: the TLSA records of _25._tcp.mx.example.com. are not signed by the zone example.com.",
        ),
        (
            "another key",
            |m| m.answers.iter_mut().for_each(|r| signature(r, |input| input.key_tag ^= 1)),
            OWNER,
            "bogus: the TLSA records of _25._tcp.mx.example.com. are signed with key",
        ),
        (
            "not yet valid",
            |m| m.answers.iter_mut().for_each(|r| signature(r, |s| s.sig_inception = s.sig_expiration)),
            OWNER,
            "bogus: the signature over the TLSA records of _25._tcp.mx.example.com. is valid only in",
        ),
        (
            "longer labels",
            |m| m.answers.iter_mut().for_each(|r| signature(r, |input| input.num_labels = 9)),
            OWNER,
            "bogus: ",
        ),
        (
            "as from a wildcard",
            |m| m.answers.iter_mut().for_each(|r| signature(r, |input| input.num_labels = 2)),
            OWNER,
            "bogus: ",
        ),
        (
            "an empty answer",
            |m| m.answers.clear(),
            OWNER,
            "unknown: the resolver may strip signatures: the denial of TLSA records",
        ),
        ("a name of its own", |m| m.answers[0].dns_class = DNSClass::CH, OWNER, "bogus: it holds a record of class CH"),
        (
            "a denial without proof",
            |m| m.authorities.clear(),
            "zz.example.com",
            "unknown: the resolver may strip signatures: the denial",
        ),
        (
            "a denial without NSEC",
            |m| m.authorities.retain(|r| r.record_type() != RecordType::NSEC),
            "zz.example.com",
            "bogus: the denial of TLSA records of zz.example.com.",
        ),
        (
            "NODATA for NXDOMAIN",
            |m| m.metadata.response_code = ResponseCode::NoError,
            "zz.example.com",
            "bogus: the denial of TLSA records of zz.example.com. is not proved",
        ),
        (
            "SOA that was changed",
            |m| {
                m.authorities.iter_mut().filter(|r| r.record_type() == RecordType::SOA).for_each(|r| {
                    let RData::SOA(soa) = &mut r.data else { return };
                    soa.minimum = 0;
                })
            },
            "mx.example.com",
            "bogus: the denial of TLSA records of mx.example.com. is not proved",
        ),
        (
            "a wildcard without proof", // as an RRset that is not there
            |m| m.authorities.clear(),
            "x.wild.example.com",
            "secure",
        ),
        (
            "unsigned, with a CNAME that is",
            |m| {
                m.answers.retain(
                    |r| !matches!(&r.data, RData::DNSSEC(DNSSECRData::RRSIG(s)) if s.input().type_covered == TLSA),
                )
            },
            "in.example.com",
            "bogus: the TLSA records of _25._tcp.mx.example.com. are not signed",
        ),
        (
            "a loop",
            |m| m.answers = vec![Record::from_rdata(name(OWNER).to_name(), 1, alias(OWNER))],
            OWNER,
            "unknown: the resolver may strip signatures: its CNAME chain from",
        ),
        ("2,000 signatures", |m| m.answers.extend(vec![m.answers[1].clone(); 2000]), OWNER, "secure"),
        (
            "400 denials",
            |m| m.authorities.extend(vec![m.authorities[1].clone(); 400]),
            "zz.example.com",
            "bogus: its denial holds",
        ),
    ];
    let lab = lab();
    for (what, change, owner, expected) in changes {
        let change = *change;
        let tamper = move |ask: &Ask, message: &mut Message| {
            if ask.kind == TLSA {
                change(message);
            }
        };
        lab.world.change(|state| state.dns.tamper = Some(Rc::new(tamper)));
        let told = verdict(&lab, &anchor("."), owner, TLSA);
        assert!(told.starts_with(expected), "{what}: {told}");
    }
}

/// Whom a change hits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Resolver,
    All,
}

/// DS and DNSKEY, changed on the way from the resolver alone or from everybody.
#[test]
fn changed_chains() {
    let unsigned: Change = |m| {
        m.answers.retain(|r| r.record_type() != RecordType::RRSIG);
        m.authorities.retain(|r| r.record_type() != RecordType::RRSIG);
    };
    let empty: Change = |m| m.answers.clear();
    let fails: Change = |m| {
        m.answers.clear();
        m.authorities.clear();
        m.metadata.response_code = ResponseCode::ServFail;
    };
    let (ds, dnskey) = (RecordType::DS, RecordType::DNSKEY);
    for (kind, change, at, expected) in [
        (ds, unsigned, At::Resolver, "secure"),
        (ds, empty, At::Resolver, "secure"),
        (ds, fails, At::Resolver, "secure"),
        (dnskey, unsigned, At::Resolver, "secure"),
        (dnskey, empty, At::Resolver, "secure"),
        (dnskey, fails, At::Resolver, "secure"),
        (ds, unsigned, At::All, "bogus: the DS records of com. are not signed"),
        (ds, empty, At::All, "bogus: the denial of DS records of com."),
        (ds, fails, At::All, "unknown: no DS records of com.: it answers SERVFAIL"),
        (dnskey, unsigned, At::All, "bogus: the DNSKEY records of . are not signed"),
        (dnskey, empty, At::All, "bogus: 0 DNSKEY records of ."),
        (dnskey, fails, At::All, "unknown: no DNSKEY records of .: it answers SERVFAIL"),
    ] {
        let lab = lab();
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        let tamper = move |ask: &Ask, message: &mut Message| {
            count.set(count.get() + 1);
            if ask.kind == kind && (at == At::All || ask.recursion) {
                change(message);
            }
        };
        lab.world.change(|state| state.dns.tamper = Some(Rc::new(tamper)));
        let told = verdict(&lab, &anchor("."), OWNER, TLSA);
        assert!(told.starts_with(expected), "{kind} {at:?}: {told}");
        assert!(asked.get() < 60, "{kind} {at:?}: {} questions", asked.get());
    }
}

/// A chain of the most links, to names of the most labels, each of its own: bounded in questions.
#[test]
fn a_chain_that_asks_for_questions() {
    let lab = lab();
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    let tamper = move |ask: &Ask, message: &mut Message| {
        count.set(count.get() + 1);
        if ask.kind == TLSA {
            let far = |number: usize| format!("{}{number}.example.com", format!("x{number}.").repeat(19));
            let first = [Record::from_rdata(name(OWNER).to_name(), 1, alias(&far(0)))];
            let links = (0..6).map(|n| Record::from_rdata(name(&far(n)).to_name(), 1, alias(&far(n + 1))));
            message.answers = first.into_iter().chain(links).collect();
        }
    };
    lab.world.change(|state| state.dns.tamper = Some(Rc::new(tamper)));
    let told = verdict(&lab, &anchor("."), OWNER, TLSA);
    assert!(told.starts_with("unknown: it takes too many questions"), "{told}");
    assert!(asked.get() < 100, "{} questions", asked.get());
}
