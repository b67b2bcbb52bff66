//! What is made of DNS messages: each counts only for the very question that was asked.
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use daneroll::{
    name::DnsName,
    observe::dns::{Said, said},
};
use hickory_resolver::proto::{
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, NSEC, RRSIG, sig::SigInput},
    },
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType, SerialNumber,
        rdata::{
            CNAME, NS, SOA, TLSA,
            tlsa::{CertUsage, Matching, Selector},
        },
    },
};

const QUERY: &str = "_25._tcp.mx.example.com.";

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// `OWNER TTL TLSA HEX`, `OWNER TTL CNAME TARGET`, `OWNER TTL NS HOST`, `OWNER TTL SOA MINIMUM`, `OWNER TTL NSEC NEXT`,
/// `OWNER TTL SIG TYPE ORIGINAL-TTL LABELS`; `@` is the query name.
fn record(text: &str) -> Record {
    let words: Vec<&str> = text.split(' ').collect();
    let owner = name(if words[0] == "@" { QUERY } else { words[0] });
    let data = match words[2] {
        "TLSA" => {
            let data = words[3].as_bytes().to_vec();
            RData::TLSA(TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, data))
        }
        "CNAME" => RData::CNAME(CNAME(name(words[3]))),
        "NS" => RData::NS(NS(name(words[3]))),
        "NSEC" => RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(name(words[3]), [RecordType::A]))),
        "SIG" => {
            let input = SigInput {
                type_covered: words[3].parse().unwrap(),
                algorithm: Algorithm::ECDSAP256SHA256,
                original_ttl: words[4].parse().unwrap(),
                num_labels: words[5].parse().unwrap(),
                sig_expiration: SerialNumber::from(2u32),
                sig_inception: SerialNumber::from(1u32),
                key_tag: 1,
                signer_name: name("example.com."),
            };
            RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![7; 64])))
        }
        _ => RData::SOA(SOA::new(name("ns."), name("root."), 1, 60, 60, 60, words[3].parse().unwrap())),
    };
    Record::from_rdata(owner, words[1].parse().unwrap(), data)
}

/// A message: `FLAGS | ANSWERS | AUTHORITY`, records divided by commas. Flags: `aa`, `nx`, `refused`, `servfail`.
fn message(text: &str) -> Message {
    let mut parts = text.split('|').map(str::trim);
    let mut message = Message::query();
    for flag in parts.next().unwrap().split(' ') {
        match flag {
            "aa" => message.metadata.authoritative = true,
            "nx" => message.metadata.response_code = ResponseCode::NXDomain,
            "refused" => message.metadata.response_code = ResponseCode::Refused,
            "servfail" => message.metadata.response_code = ResponseCode::ServFail,
            _ => {}
        }
    }
    let mut records = || -> Vec<Record> {
        let part = parts.next().unwrap_or_default();
        part.split(',').map(str::trim).filter(|text| !text.is_empty()).map(record).collect()
    };
    message.answers = records();
    message.authorities = records();
    message
}

/// `NAME records TTL`, `NAME -> TTL` for one that leads elsewhere, or `?` and why.
fn told(message: Message) -> String {
    told_by(message, None)
}

/// The same of a server that was asked as one of a zone's.
fn told_by(message: Message, zone: Option<&str>) -> String {
    let query: DnsName = QUERY.parse().unwrap();
    match said(&Ok(message), &query, zone.map(|zone| zone.parse().unwrap()).as_ref()) {
        Ok(Said::Answer { at, shown }) => {
            let at = if at == query { "@".to_owned() } else { at.to_string() };
            let texts = shown.records.unwrap().into_iter().map(|record| String::from_utf8(record.data).unwrap());
            format!("{at} [{}] {}", texts.collect::<Vec<_>>().join(" "), shown.ttl)
        }
        Ok(Said::Elsewhere { to, ttl }) => format!("-> {to} {ttl}"),
        Err(why) => format!("? {why}"),
    }
}

#[test]
fn answers_and_denials() {
    for (text, expected) in [
        ("aa | @ 300 TLSA a", "@ [a] 300"),
        ("aa | @ 300 TLSA a, @ 300 TLSA b", "@ [a b] 300"),
        ("aa | @ 300 TLSA a, @ 900 TLSA b", "@ [a b] 900"), // of different TTLs the longest
        ("aa | _25._TCP.MX.example.COM. 300 TLSA a", "@ [a] 300"),
        ("aa | other. 300 TLSA a | example.com. 60 SOA 30", "@ [] 60"), // another name's record is no answer
        ("aa | | example.com. 60 SOA 3600", "@ [] 3600"),
        ("aa nx | | example.com. 7200 SOA 3600", "@ [] 7200"),
        ("aa | | other. 60 SOA 60", "? it answers without records and without SOA"),
        ("aa |", "? it answers without records and without SOA"),
        ("aa nx |", "? it answers without records and without SOA"),
        ("| @ 300 TLSA a", "? it is not authoritative for the zone (lame)"),
        ("| | example.com. 60 NS ns.", "? it is not authoritative for the zone (lame)"),
        ("refused |", "? it answers REFUSED"),
        ("servfail aa |", "? it answers SERVFAIL"),
        ("aa | @ 4294967295 TLSA a", "@ [a] 2147483647"),
    ] {
        assert_eq!(told(message(text)), expected, "{text}");
    }
}

/// A validating cache may keep an RRset for its original TTL (RFC 4035 section 5.3.3), and knows one that was made from a
/// wildcard by the labels its signature counts; a denial lives as long as the longest of SOA and NSEC.
#[test]
fn signed() {
    for (text, expected) in [
        ("aa | @ 60 TLSA a, @ 60 SIG TLSA 3600 5", "@ [a] 3600"),
        ("aa | @ 3600 TLSA a, @ 60 SIG TLSA 60 5", "@ [a] 3600"),
        ("aa | @ 60 TLSA a, @ 60 SIG CNAME 3600 5", "@ [a] 60"), // of another RRset
        ("aa | @ 60 TLSA a, other. 60 SIG TLSA 3600 1", "@ [a] 60"),
        ("aa | @ 60 CNAME b., @ 60 SIG CNAME 100 5, b. 1 TLSA a, b. 1 SIG TLSA 20 1", "b. [a] 120"),
        ("aa | @ 60 TLSA a, @ 60 SIG TLSA 60 3", "@ [] 60"), // from a wildcard: it counts as not there
        ("aa | | example.com. 60 SOA 30, mx.example.com. 900 NSEC www.example.com.", "@ [] 900"),
        ("aa | | example.com. 60 SOA 30, mx.example.com. 5 NSEC www.example.com.", "@ [] 60"),
    ] {
        assert_eq!(told(message(text)), expected, "{text}");
    }
}

#[test]
fn cnames() {
    for (text, expected) in [
        ("aa | @ 60 CNAME d.example.com., d.example.com. 300 TLSA a", "d.example.com. [a] 360"),
        ("aa | d.example.com. 300 TLSA a, @ 60 CNAME d.example.com.", "d.example.com. [a] 360"),
        ("aa | @ 60 CNAME b., b. 5 CNAME c., c. 300 TLSA a", "c. [a] 365"),
        ("aa | @ 60 CNAME d.other.", "-> d.other. 60"),
        ("aa | @ 60 CNAME d.example.com. | example.com. 30 SOA 10", "d.example.com. [] 90"),
        ("aa | @ 60 CNAME d.other. | example.com. 30 SOA 10", "-> d.other. 60"),
        ("aa | @ 60 CNAME d.other. | other. 30 NS ns.", "-> d.other. 60"),
        ("aa | b. 60 CNAME c., c. 300 TLSA a | example.com. 30 SOA 10", "@ [] 30"), // not ours
    ] {
        assert_eq!(told(message(text)), expected, "{text}");
    }
    for text in ["aa | @ 60 CNAME _25._tcp.mx.example.com.", "aa | @ 60 CNAME b., b. 60 CNAME _25._tcp.mx.example.com."]
    {
        assert!(told(message(text)).contains("does not end"), "{text}");
    }
}

/// A server of the alias' zone may have another zone as well, or an old copy of it: resolvers ask that zone's own servers.
#[test]
fn cnames_into_other_zones() {
    for (text, expected) in [
        ("aa | @ 60 CNAME d.example.com., d.example.com. 300 TLSA a", "d.example.com. [a] 360"),
        ("aa | @ 60 CNAME d.other., d.other. 300 TLSA a", "-> d.other. 60"),
        ("aa | @ 60 CNAME d.other. | other. 30 SOA 10", "-> d.other. 60"),
        (
            "aa | @ 60 CNAME b.example.com., b.example.com. 5 CNAME d.other., d.other. 9 CNAME d.example.com.",
            "-> d.other. 65",
        ),
        ("aa | @ 300 TLSA a", "@ [a] 300"),
    ] {
        assert_eq!(told_by(message(text), Some("example.com")), expected, "{text}");
    }
}

#[test]
fn hostile_sizes() {
    let many = |count: usize| {
        let records: Vec<String> = (0..count).map(|number| format!("@ 300 TLSA {number}")).collect();
        told(message(&format!("aa | {}", records.join(", "))))
    };
    assert!(many(100).starts_with("@ ["));
    assert_eq!(many(101), "? 101 records in one RRset");
    let chain: Vec<String> = (0..50).map(|number| format!("n{number}. 60 CNAME n{}.", number + 1)).collect();
    let long = message(&format!("aa | @ 60 CNAME n0., {}, n50. 60 TLSA a", chain.join(", ")));
    assert!(told(long).contains("does not end"));
}
