//! Dynamic updates (RFC 2136) as a primary takes them. A TSIG record is neither checked nor answered: configure no key.

use super::{
    World,
    dns::{Mode, Updates},
    zone::Zone,
};
use crate::{env::Ask, name::DnsName};
use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, RData, Record, RecordType},
};
use std::{net::SocketAddr, time::Duration};

const LIMIT: u64 = 15;

/// One message over TCP.
pub fn exchange(world: &World, server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let request = Message::from_vec(bytes).map_err(|why| format!("{server}: not a DNS message: {why}"))?;
    let silence = |world: &World| {
        world.pass(Duration::from_secs(LIMIT));
        Err(format!("{server}: no answer within {LIMIT} s"))
    };
    if request.metadata.op_code != OpCode::Update {
        return query(world, server, &request);
    }
    let mode =
        world.look(|state| state.dns.servers.values().find(|s| s.addresses.contains(&server.ip())).map(|s| s.mode));
    match mode {
        None | Some(Mode::Down) => return silence(world),
        Some(Mode::Refuses) => return reply(&request, ResponseCode::Refused),
        Some(Mode::ServFail) => return reply(&request, ResponseCode::ServFail),
        Some(Mode::Answers | Mode::Lame | Mode::Strips) => {}
    }
    match world.change(|state| state.dns.next_update()) {
        Updates::Work => reply(&request, apply(world, server, &request, true)),
        Updates::NoEffect => reply(&request, apply(world, server, &request, false)),
        Updates::Refuse => reply(&request, ResponseCode::Refused),
        Updates::ServFail | Updates::Exit(_) => reply(&request, ResponseCode::ServFail),
        Updates::Unreachable => Err(format!("{server}: Connection refused (os error 111)")),
        Updates::Silent => silence(world),
        Updates::SilentDone => {
            apply(world, server, &request, true);
            silence(world)
        }
        Updates::SilentLater(seconds) => {
            world.after(Duration::from_secs(seconds), move |world| {
                apply(world, server, &request, true);
            });
            silence(world)
        }
        Updates::Slow(seconds) if seconds > LIMIT => {
            world.after(Duration::from_secs(seconds), move |world| {
                apply(world, server, &request, true);
            });
            silence(world)
        }
        Updates::Slow(seconds) => {
            world.pass(Duration::from_secs(seconds));
            reply(&request, apply(world, server, &request, true))
        }
    }
}

/// An ordinary question over TCP.
fn query(world: &World, server: SocketAddr, request: &Message) -> Result<Vec<u8>, String> {
    let question = request.queries.first().ok_or_else(|| format!("{server}: no question"))?;
    let (recursion, checking_disabled) = (request.metadata.recursion_desired, request.metadata.checking_disabled);
    let (name, kind) = (DnsName::from(question.name()), question.query_type());
    let ask = Ask { server, name, kind, recursion, checking_disabled };
    let mut answer = world.look(|state| state.dns.answer(&ask, state.routes, state.clock.wall()))?;
    answer.metadata.id = request.metadata.id;
    answer.to_vec().map_err(|why| why.to_string())
}

fn reply(request: &Message, code: ResponseCode) -> Result<Vec<u8>, String> {
    let mut message = Message::new(request.metadata.id, MessageType::Response, OpCode::Update);
    message.metadata.response_code = code;
    message.queries = request.queries.clone();
    message.to_vec().map_err(|why| why.to_string())
}

/// Checks an update, and carries it out unless `really` is false.
fn apply(world: &World, server: SocketAddr, request: &Message, really: bool) -> ResponseCode {
    let Some(apex) = request.queries.first().map(|zone: &Query| DnsName::from(zone.name())) else {
        return ResponseCode::FormErr;
    };
    let (holds, is_primary) = world.look(|state| {
        let held = state.dns.servers.iter().find(|(_, s)| s.addresses.contains(&server.ip()));
        let held = held.filter(|(_, held)| held.zones.contains_key(&apex));
        (held.is_some(), held.is_some_and(|(name, _)| state.dns.primaries.get(&apex) == Some(name)))
    });
    if !is_primary {
        return if holds { ResponseCode::Refused } else { ResponseCode::NotAuth };
    }
    let outside = |record: &&Record| !super::zone::within(&DnsName::from(&record.name), &apex);
    if request.answers.iter().chain(&request.authorities).any(|record| outside(&record)) {
        return ResponseCode::NotZone;
    }
    let checked = world.look(|state| check(state.dns.zone(&apex), &request.answers));
    match checked {
        Ok(()) if really => {
            world.edit_zone(&apex, |zone| {
                // All of them, hence no `any`, which would stop at the first.
                request.authorities.iter().filter(|update| carry_out(zone, update)).count() > 0
            });
            ResponseCode::NoError
        }
        Ok(()) => ResponseCode::NoError,
        Err(code) => code,
    }
}

/// The prerequisites (RFC 2136 section 3.2).
fn check(zone: &Zone, prerequisites: &[Record]) -> Result<(), ResponseCode> {
    for record in prerequisites {
        let owner = DnsName::from(&record.name);
        let used = || zone.has(&owner);
        let there = || zone.set(&owner, record.record_type()).is_some();
        match (record.dns_class, record.record_type()) {
            (DNSClass::ANY, RecordType::ANY) if !used() => return Err(ResponseCode::NXDomain),
            (DNSClass::NONE, RecordType::ANY) if used() => return Err(ResponseCode::YXDomain),
            (_, RecordType::ANY) => {}
            (DNSClass::ANY, _) if !there() => return Err(ResponseCode::NXRRSet),
            (DNSClass::NONE, _) if there() => return Err(ResponseCode::YXRRSet),
            (DNSClass::IN, kind) if !same(zone, &owner, kind, prerequisites) => return Err(ResponseCode::NXRRSet),
            _ => {}
        }
    }
    Ok(())
}

/// Is the RRset in the zone exactly the one in the prerequisites?
fn same(zone: &Zone, owner: &DnsName, kind: RecordType, prerequisites: &[Record]) -> bool {
    let wanted = |record: &&Record| {
        record.dns_class == DNSClass::IN && record.record_type() == kind && DnsName::from(&record.name) == *owner
    };
    let wanted: Vec<&RData> = prerequisites.iter().filter(wanted).map(|record| &record.data).collect();
    let present = zone.set(owner, kind).map(|set| set.data.as_slice()).unwrap_or_default();
    present.len() == wanted.len() && present.iter().all(|data| wanted.contains(&data))
}

/// One update (RFC 2136 section 3.4.2); true if it changed anything.
fn carry_out(zone: &mut Zone, update: &Record) -> bool {
    let owner = DnsName::from(&update.name);
    let kind = update.record_type();
    let at_apex = owner == zone.apex;
    let protected = |kind: RecordType| at_apex && matches!(kind, RecordType::SOA | RecordType::NS);
    match update.dns_class {
        DNSClass::ANY => {
            let all = |zone: &Zone| {
                zone.names().filter(|(name, ..)| **name == owner).flat_map(|(_, _, kinds)| kinds).collect()
            };
            let kinds: Vec<RecordType> = if kind == RecordType::ANY { all(zone) } else { vec![kind] };
            kinds.into_iter().filter(|kind| !protected(*kind) && zone.delete_set(&owner, *kind)).count() > 0
        }
        DNSClass::NONE => !protected(kind) && zone.delete(&owner, &update.data),
        _ => {
            // A CNAME and other data exclude each other: such an update is ignored without a word.
            let has_alias = zone.set(&owner, RecordType::CNAME).is_some();
            let has_other = !has_alias && zone.has(&owner);
            let alias = kind == RecordType::CNAME;
            let ignored = kind == RecordType::SOA || (alias && has_other) || (!alias && has_alias);
            !ignored && zone.add(&owner, update.ttl, update.data.clone())
        }
    }
}
