//! Any bytes as the answer of a name server.

use super::{
    words::check_name,
    world::{self, QUERY},
};
use daneroll::{
    config::Dnssec,
    env::{Ask, Env, real, sim::World},
    facts::OwnerView,
    name::DnsName,
    observe::{
        authority::{Wanted, views},
        discover::Resolver,
        dns::{Said, addresses, apex, name_servers, said, serial},
        dnssec::Validator,
    },
};
use hickory_resolver::proto::{
    op::{Message, Query, ResponseCode},
    rr::{RData, RecordType},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

const KINDS: [RecordType; 7] = [
    RecordType::TLSA,
    RecordType::SOA,
    RecordType::NS,
    RecordType::A,
    RecordType::AAAA,
    RecordType::DS,
    RecordType::DNSKEY,
];

/// The first byte tells the question, the rest came over the wire.
pub fn answer(data: &[u8]) {
    let Some((pick, bytes)) = data.split_first() else { return };
    let kind = KINDS[usize::from(*pick) % KINDS.len()];
    let name: DnsName = if kind == RecordType::TLSA { QUERY } else { "example.com." }.parse().unwrap();
    let ask = Ask { server: world::resolvers()[0], name, kind, recursion: false, checking_disabled: false };
    let [high, low, ..] = *bytes else { return };
    let id = u16::from_be_bytes([high, low]);
    assert!(real::answer(&ask, id ^ 1, bytes).is_none(), "the answer to another question");
    let Some(Ok(message)) = real::answer(&ask, id, bytes) else { return };
    let other = Ask { name: "other.example.com.".parse().unwrap(), ..ask.clone() };
    assert!(!matches!(real::answer(&other, id, bytes), Some(Ok(_))), "the answer to a question about another name");
    facts(&ask, &message);
    everywhere(&message, if pick & 0x80 == 0 { Dnssec::Validate } else { Dnssec::Resolver });
}

/// What is read from it.
fn facts(ask: &Ask, message: &Message) {
    let sound = matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    let answered = Ok(message.clone());
    if let Ok(Said::Answer { at, shown }) = said(&answered, &ask.name, None) {
        assert!(message.metadata.authoritative && sound);
        let records = shown.records.unwrap();
        let at_name = |record: &&_| holds(record, &at);
        assert!(records.len() <= message.answers.iter().filter(at_name).count(), "records from nowhere");
        assert!(shown.ttl < 10 << 31);
        check_name(&at);
    }
    if let Ok((apex, _)) = apex(&answered, &ask.name) {
        assert!(sound && ask.name.is_within(&apex), "{apex} is no zone of {}", ask.name);
        check_name(&apex);
    }
    if let Ok((servers, ttl)) = name_servers(&answered, &ask.name) {
        assert!(!servers.is_empty() && servers.len() <= 100 && ttl <= 1 << 31);
        servers.iter().for_each(check_name);
    }
    if serial(&answered, &ask.name).is_some() || addresses(&answered).is_ok() {
        assert!(sound);
    }
}

fn holds(record: &hickory_resolver::proto::rr::Record, at: &DnsName) -> bool {
    matches!(record.data, RData::TLSA(_)) && DnsName::from(&record.name) == *at
}

/// Every server answers every question with it.
fn everywhere(message: &Message, mode: Dnssec) {
    let world = World::new();
    world::add_dns(&world, false);
    let message = message.clone();
    world.change(|state| {
        state.dns.tamper = Some(Rc::new(move |ask: &Ask, answer: &mut Message| {
            *answer = message.clone();
            answer.queries = vec![Query::query(ask.name.to_name(), ask.kind)];
        }));
    });
    look(&world, Validator::new(mode, None), QUERY);
}

/// Looks at one owner, as a run does.
pub fn look(world: &World, validator: Validator, query: &str) -> OwnerView {
    let resolver = Resolver::new(world, world.resolvers().unwrap()).judging(Rc::new(validator));
    let query: DnsName = query.parse().unwrap();
    let wanted = BTreeMap::from([(query.clone(), Wanted::default())]);
    let _ = resolver.addresses(&BTreeSet::from([query.clone()]));
    views(world, &resolver, &mut BTreeMap::new(), &wanted).remove(&query).unwrap()
}
