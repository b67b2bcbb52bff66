//! Answers look like those of real servers.

use crate::lab::{APEX, DAY, Lab, RESOLVER};
use daneroll::{
    env::{
        Ask, Env,
        sim::{
            World,
            dns::Mode,
            history::Answer,
            zone::{RrSet, Zone, alias, name, tlsa},
        },
    },
    tlsa::Association,
};
use hickory_resolver::proto::{
    dnssec::rdata::DNSSECRData,
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType, rdata::NS},
};

const OWNER: &str = "_25._tcp.mx.example.com";
const NS1: &str = "192.0.2.1";
const NS2: &str = "192.0.2.2";
const GTLD: &str = "192.5.6.30";

fn record(data: u8) -> Association {
    Association { usage: 3, selector: 1, matching: 1, data: vec![data; 32] }
}

/// A zone with a TLSA RRset, a CNAME within it and one out of it, a wildcard, an empty non-terminal, a child zone.
fn lab() -> Lab {
    let lab = Lab::with("mx.example.com", "311 25").secondary("ns2", 60).start();
    lab.world.change(|state| {
        state.dns.add_server("ns.child.example.com", &["192.0.2.77"]);
        let mut child = Zone::new("child.example.com", false, &["ns.child.example.com"]);
        child.add(&name("_25._tcp.child.example.com"), 300, tlsa(&record(3)));
        state.dns.add_zone(child, &["ns.child.example.com"]);
    });
    lab.world.edit_zone(&name(APEX), |zone| {
        let aliases = [("in", OWNER), ("out", "_25._tcp.child.example.com"), ("round", "round.example.com")];
        for (label, target) in aliases {
            zone.add(&name(&format!("{label}.example.com")), 900, alias(target));
        }
        zone.add(&name("a.b.example.com"), 60, tlsa(&record(4)));
        zone.add(&name("*.wild.example.com"), 60, tlsa(&record(2)));
        zone.add(&name("child.example.com"), 7200, RData::NS(NS(name("ns.child.example.com").to_name())));
        zone.add(&name(OWNER), 1800, tlsa(&record(1)))
    });
    lab.pass(60);
    lab
}

fn ask(world: &World, server: &str, owner: &str, kind: RecordType) -> Result<Message, String> {
    let recursion = server == RESOLVER;
    let server = (server.parse::<std::net::IpAddr>().unwrap(), 53).into();
    let ask = Ask { server, name: name(owner), kind, recursion, checking_disabled: false };
    world.ask(&[ask]).remove(0)
}

/// A section in short: type, and for signatures the type covered with original TTL and labels.
fn short(records: &[Record]) -> String {
    let one = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => {
            let input = rrsig.input();
            format!("({} {} {})", input.type_covered, input.original_ttl, input.num_labels)
        }
        _ => format!("{}/{}", record.record_type(), record.ttl),
    };
    records.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn messages() {
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    let lab = lab();
    let tlsa = RecordType::TLSA;
    let no = "SOA/300 (SOA 3600 2) NSEC/300 (NSEC 300";
    type Case<'a> = (&'a str, &'a str, RecordType, ResponseCode, &'a str, &'a str, String);
    let none = String::new;
    let cases: &[Case] = &[
        (NS1, OWNER, tlsa, NoError, "aa", "TLSA/1800 (TLSA 1800 5)", none()),
        (NS2, OWNER, tlsa, NoError, "aa", "TLSA/1800 (TLSA 1800 5)", none()),
        (NS1, "in.example.com", tlsa, NoError, "aa", "CNAME/900 (CNAME 900 3) TLSA/1800 (TLSA 1800 5)", none()),
        (NS1, "in.example.com", RecordType::CNAME, NoError, "aa", "CNAME/900 (CNAME 900 3)", none()),
        (NS1, "out.example.com", tlsa, NoError, "aa", "CNAME/900 (CNAME 900 3)", "NS/7200".into()),
        (RESOLVER, "out.example.com", tlsa, NoError, "ra", "CNAME/900 (CNAME 900 3) TLSA/300", none()),
        (RESOLVER, OWNER, tlsa, NoError, "ra ad", "TLSA/1800 (TLSA 1800 5)", none()),
        (RESOLVER, "round.example.com", tlsa, ServFail, "ra", "", none()),
        (NS1, "x.wild.example.com", tlsa, NoError, "aa", "TLSA/60 (TLSA 60 3)", "NSEC/300 (NSEC 300 3)".into()),
        (NS1, "mx.example.com", tlsa, NoError, "aa", "", format!("{no} 3)")),
        (NS1, "b.example.com", tlsa, NoError, "aa", "", format!("{no} 2)")),
        (NS1, "zz.example.com", tlsa, NXDomain, "aa", "", format!("{no} 3) NSEC/300 (NSEC 300 2)")),
        (RESOLVER, "zz.example.com", tlsa, NXDomain, "ra ad", "", format!("{no} 3) NSEC/300 (NSEC 300 2)")),
        (NS1, "_25._tcp.child.example.com", tlsa, NoError, "", "", "NS/7200".into()),
        (RESOLVER, "zz.child.example.com", tlsa, NXDomain, "ra", "", "SOA/300".into()),
        (GTLD, OWNER, tlsa, NoError, "", "", "NS/172800 NS/172800 DS/86400 (DS 86400 2)".into()),
        (GTLD, APEX, RecordType::DS, NoError, "aa", "DS/86400 (DS 86400 2)", none()),
        (RESOLVER, APEX, RecordType::DS, NoError, "ra ad", "DS/86400 (DS 86400 2)", none()),
        (NS1, APEX, RecordType::SOA, NoError, "aa", "SOA/3600 (SOA 3600 2)", none()),
        (NS1, APEX, RecordType::NS, NoError, "aa", "NS/86400 NS/86400 (NS 86400 2)", none()),
        (NS1, "example.org", tlsa, Refused, "", "", none()),
        (RESOLVER, "ns2.example.com", RecordType::A, NoError, "ra ad", "A/86400 (A 86400 3)", none()),
        (RESOLVER, "ns2.example.com", RecordType::SOA, NoError, "ra ad", "", format!("{no} 3)")),
    ];
    for (server, owner, kind, code, flags, answers, authority) in cases {
        let message = ask(&lab.world, server, owner, *kind).unwrap();
        let meta = &message.metadata;
        let set = [(meta.authoritative, "aa"), (meta.recursion_available, "ra"), (meta.authentic_data, "ad")];
        let set: Vec<&str> = set.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
        let what = format!("{server} {owner} {kind}");
        assert_eq!(meta.response_code, *code, "{what}");
        assert_eq!(set.join(" "), *flags, "{what}");
        assert_eq!(short(&message.answers), *answers, "{what}");
        assert_eq!(short(&message.authorities), *authority, "{what}");
        assert_eq!(
            Message::from_vec(&message.to_vec().unwrap()).unwrap().answers.len(),
            message.answers.len(),
            "{what}"
        );
    }
}

#[test]
fn a_referral_has_glue() {
    let message = ask(&lab().world, GTLD, OWNER, RecordType::TLSA).unwrap();
    assert_eq!(short(&message.additionals), "A/172800 A/172800");
}

#[test]
fn server_modes() {
    let lab = lab();
    for (mode, wanted) in [
        (Mode::Answers, Ok((ResponseCode::NoError, true, 2))),
        (Mode::Lame, Ok((ResponseCode::NoError, false, 2))),
        (Mode::Refuses, Ok((ResponseCode::Refused, false, 0))),
        (Mode::ServFail, Ok((ResponseCode::ServFail, false, 0))),
        (Mode::Down, Err(())),
    ] {
        lab.world.set_server("ns2.example.com", |server| server.mode = mode);
        let got = ask(&lab.world, NS2, OWNER, RecordType::TLSA);
        let got = got.map(|m| (m.metadata.response_code, m.metadata.authoritative, m.answers.len())).map_err(drop);
        assert_eq!(got, wanted, "{mode:?}");
    }
    lab.world.change(|state| {
        let server = state.dns.add_server("ns2.example.com", &[NS2, "192.0.2.99"]);
        server.mode = Mode::Answers;
        server.silent.insert(NS2.parse().unwrap());
    });
    let answers = |address| ask(&lab.world, address, OWNER, RecordType::TLSA).is_ok();
    assert_eq!((answers(NS2), answers("192.0.2.99")), (false, true));
    lab.world.change(|state| state.routes.1 = false);
    assert!(!lab.world.has_route("2001:db8::1".parse().unwrap()));
    assert!(ask(&lab.world, "2001:db8::1", OWNER, RecordType::TLSA).unwrap_err().contains("unreachable"));
}

/// What a server shows at a moment: number of TLSA records.
fn shown(lab: &Lab, server: &str) -> usize {
    let message = ask(&lab.world, server, OWNER, RecordType::TLSA).unwrap();
    message.answers.iter().filter(|record| record.record_type() == RecordType::TLSA).count()
}

#[test]
fn transfers() {
    let lab = lab();
    let old = lab.world.look(|state| state.dns.zone(&name(APEX)).clone());
    lab.publish(OWNER, 1800, &record(9));
    assert_eq!((shown(&lab, NS1), shown(&lab, NS2)), (2, 1));
    lab.pass(58);
    assert_eq!(shown(&lab, NS2), 1);
    lab.pass(2);
    assert_eq!(shown(&lab, NS2), 2);
    lab.world.set_server("ns2.example.com", |server| server.frozen = true);
    lab.unpublish(OWNER, &record(1));
    lab.pass(DAY);
    assert_eq!((shown(&lab, NS1), shown(&lab, NS2)), (1, 2), "frozen");
    lab.world.set_server("ns2.example.com", |server| server.frozen = false);
    lab.pass(61);
    assert_eq!(shown(&lab, NS2), 1, "thawed");
    lab.world.change(|state| {
        state.dns.server("ns2.example.com").zones.insert(name(APEX), old);
    });
    let soa = ask(&lab.world, NS2, APEX, RecordType::SOA).unwrap();
    let RData::SOA(soa) = &soa.answers[0].data else { panic!("no SOA") };
    assert!(soa.serial < lab.serial(), "an older copy came back");
    let odd =
        RrSet { name: name(OWNER).to_name(), ttl: 5, data: vec![tlsa(&record(1)), tlsa(&record(2)), tlsa(&record(3))] };
    lab.world.set_server("ns2.example.com", |server| server.show(&name(OWNER), RecordType::TLSA, Some(odd)));
    assert_eq!((shown(&lab, NS1), shown(&lab, NS2)), (1, 3), "split brain");
    lab.world.set_server("ns2.example.com", |server| server.show(&name(OWNER), RecordType::TLSA, None));
    assert_eq!(shown(&lab, NS2), 0);
}

/// What caches may hold, by server: how many records, and -1 for a denial.
fn cached(lab: &Lab) -> Vec<(String, i32)> {
    lab.world.look(|state| {
        let entries = state.dns.history.cached(&name(OWNER), state.now());
        let size = |answer: &Answer| if let Answer::Records(set) = answer { set.data.len() as i32 } else { -1 };
        entries.map(|entry| (entry.server.as_str()[..3].to_owned(), size(&entry.answer))).collect()
    })
}

#[test]
fn history() {
    let lab = Lab::with("mx.example.com", "311 25").secondary("ns2", 100).start();
    lab.world.change(|state| state.dns.watch(name(OWNER)));
    let is = |what: &str, wanted: &[(&str, i32)]| {
        let wanted: Vec<(String, i32)> = wanted.iter().map(|(server, size)| ((*server).to_owned(), *size)).collect();
        assert_eq!(cached(&lab), wanted, "{what}");
    };
    is("nothing there", &[("ns1", -1), ("ns2", -1)]);
    lab.publish(OWNER, 50, &record(1));
    is("published", &[("ns1", -1), ("ns2", -1), ("ns1", 1)]);
    lab.pass(100);
    is("transferred", &[("ns1", -1), ("ns2", -1), ("ns1", 1), ("ns2", 1)]);
    lab.pass(200);
    is("the first denial is forgotten", &[("ns2", -1), ("ns1", 1), ("ns2", 1)]);
    lab.pass(100);
    is("the second too", &[("ns1", 1), ("ns2", 1)]);
    lab.world.set_server("ns2.example.com", |server| server.mode = Mode::Down);
    lab.pass(49);
    is("a server that is down is remembered", &[("ns1", 1), ("ns2", 1)]);
    lab.pass(1);
    is("for its TTL", &[("ns1", 1)]);
    lab.world.set_server("ns2.example.com", |server| server.mode = Mode::Answers);
    is("it is back", &[("ns1", 1), ("ns2", 1)]);
    lab.pass(100);
    let gone = RData::NS(NS(name("ns2.example.com").to_name()));
    lab.world.edit_zone(&name(APEX), |zone| zone.delete(&name(APEX), &gone));
    lab.publish(OWNER, 50, &record(2));
    lab.pass(60);
    is("still in the delegation", &[("ns2", 1), ("ns1", 2)]);
    lab.world.edit_zone(&name("com"), |zone| zone.delete(&name(APEX), &gone));
    lab.pass(DAY - 1);
    is("not listed any more, for the TTL of the NS records", &[("ns1", 2), ("ns2", 2)]);
    lab.world.edit_zone(&name(APEX), |zone| zone.delete(&name(OWNER), &tlsa(&record(1))));
    is("it changes even so", &[("ns1", 2), ("ns2", 2), ("ns1", 1)]);
    lab.pass(60);
    is("and of the answer", &[("ns1", 1)]);
}

#[test]
fn a_hidden_primary_has_no_clients() {
    let lab = Lab::with("mx.example.com", "311 25").secondary("ns2", 100).hidden_primary().start();
    lab.world.change(|state| state.dns.watch(name(OWNER)));
    lab.publish(OWNER, 50, &record(1));
    assert_eq!(cached(&lab), [("ns2".to_owned(), -1)]);
    assert_eq!(short(&ask(&lab.world, RESOLVER, OWNER, RecordType::TLSA).unwrap().answers), "");
    lab.pass(100);
    assert_eq!(cached(&lab), [("ns2".to_owned(), -1), ("ns2".to_owned(), 1)]);
}

#[test]
fn history_follows_aliases() {
    let lab = Lab::with("mx.example.com", "311 25").start();
    let target = name("tlsa.example.com");
    lab.world.change(|state| state.dns.watch(name(OWNER)));
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OWNER), 60, alias("tlsa.example.com")));
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&target, 60, tlsa(&record(1))));
    lab.world.look(|state| {
        let last = |owner: &str| state.dns.history.entries(&name(owner)).last().unwrap().answer.clone();
        assert_eq!(last(OWNER), Answer::Alias(target.clone()));
        assert!(matches!(last(target.as_str()), Answer::Records(_)));
    });
}
