//! Answers of a signed zone that somebody on the way changes. He has no key, so nothing but the truth may come through.

use super::{
    dns::look,
    world::{self, A, CONFIG, QUERY},
};
use daneroll::{
    config::{Dnssec, Overrides, System, TrustAnchor, parse},
    env::{Ask, sim::World},
    facts::Security,
    observe::dnssec::Validator,
    small::Set,
    tlsa::Association,
};
use hickory_resolver::proto::{
    dnssec::{
        Nsec3HashAlgorithm,
        rdata::{DNSSECRData, NSEC3},
    },
    op::{Message, ResponseCode},
    rr::{Name, RData, Record},
};
use std::{cell::RefCell, path::Path, rc::Rc};

/// The query names, where each leads, and what is there.
const OWNERS: [(&str, &str); 3] =
    [(QUERY, QUERY), ("_443._tcp.mx.example.com.", QUERY), ("_587._tcp.mx.example.com.", "_587._tcp.mx.example.com.")];
/// The TTL of the RRset and of the alias, seconds; of a denial what the SOA record says is more than 300.
const TTL: u64 = 3600;

thread_local! {
    /// Signing takes time: the zones are the same in all worlds.
    static WORLD: (World, TrustAnchor) = signed_world();
}

fn signed_world() -> (World, TrustAnchor) {
    let world = World::new();
    world::add_dns(&world, true);
    world.change(|state| {
        world::parents(&mut state.disk, Path::new(CONFIG));
        let file = Path::new(CONFIG).with_file_name("anchor");
        state.disk.create(&file, world::anchor().as_bytes(), 0o644).unwrap();
    });
    let text = b"trust_anchor = anchor\n";
    let loaded = parse(Path::new(CONFIG), text, &Overrides::default(), &System(&world));
    (world, loaded.config.trust_anchor.unwrap())
}

/// The first byte tells the owner, each four bytes after it are a change to one of the answers.
pub fn tampered(data: &[u8]) {
    let Some((pick, rest)) = data.split_first() else { return };
    let (query, target) = OWNERS[usize::from(*pick) % OWNERS.len()];
    let edits: Vec<[u8; 4]> = rest.chunks_exact(4).take(64).map(|edit| edit.try_into().unwrap()).collect();
    let view = WORLD.with(|(world, anchor)| {
        let state = RefCell::new((0, Vec::new()));
        let edits = edits.clone();
        world.change(|world| {
            world.dns.tamper = Some(Rc::new(move |_: &Ask, answer: &mut Message| {
                let (asked, seen): &mut (u8, Vec<Message>) = &mut state.borrow_mut();
                seen.push(answer.clone());
                let here = edits.iter().filter(|[which, ..]| which == asked);
                here.for_each(|[_, op, x, y]| edit(answer, *op, *x, *y, seen));
                *asked = asked.wrapping_add(1);
            }));
        });
        look(world, Validator::new(Dnssec::Validate, Some(anchor)), query)
    });
    assert!(view.security != Security::Insecure, "a signed zone was made to look unsigned");
    assert!(!edits.is_empty() || view.security == Security::Secure, "the truth is {:?}", view.security);
    let truth: Set<Association> = if target == QUERY { Set::from([world::record(&A)]) } else { Set::new() };
    for server in view.servers.iter().flat_map(|servers| servers.values()) {
        let Ok(shown) = &server.answer else { continue };
        assert_eq!(shown.records.as_ref(), Some(&truth), "a forged answer counts ({:?})", view.security);
        assert_eq!(view.target.as_str(), target);
        let least = if query != target {
            2 * TTL
        } else if truth.is_empty() {
            0
        } else {
            TTL
        };
        assert!(shown.ttl >= least, "{} s, and caches keep it {least} s", shown.ttl);
    }
}

fn edit(message: &mut Message, op: u8, x: u8, y: u8, seen: &[Message]) {
    let at = usize::from(x);
    match op % 12 {
        0 => flip(message, at, y),
        1 => flip(message, 256 + at, y),
        2 => drop(remove(&mut message.answers, at)),
        3 => drop(remove(&mut message.authorities, at)),
        4 => message.answers.extend(remove(&mut message.authorities, at)),
        5 => message.authorities.extend(remove(&mut message.answers, at)),
        6 => message.answers.extend(seen.get(at).into_iter().flat_map(|other| pick(&other.answers, y))),
        7 => message.authorities.extend(seen.get(at).into_iter().flat_map(|other| pick(&other.authorities, y))),
        8 => message.metadata.response_code = ResponseCode::from(0, x % 12),
        9 => rename(message, at, y),
        10 => message.answers.iter_mut().chain(&mut message.authorities).for_each(|r| r.ttl = u32::from(x) << (y % 32)),
        _ => message.authorities.push(nsec3(x, y)),
    }
}

/// Changes a byte of the message on the wire.
fn flip(message: &mut Message, at: usize, with: u8) {
    let Ok(mut bytes) = message.to_vec() else { return };
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= with;
    }
    if let Ok(mut changed) = Message::from_vec(&bytes) {
        changed.queries = std::mem::take(&mut message.queries);
        *message = changed;
    }
}

fn remove(records: &mut Vec<Record>, at: usize) -> Option<Record> {
    (at < records.len()).then(|| records.remove(at))
}

/// One record of a section, or all of them.
fn pick(records: &[Record], which: u8) -> Vec<Record> {
    match records.get(usize::from(which)) {
        Some(record) => vec![record.clone()],
        None => records.to_vec(),
    }
}

/// Gives a record another owner.
fn rename(message: &mut Message, at: usize, to: u8) {
    let names =
        [QUERY, "mx.example.com.", "example.com.", "com.", ".", "*.mx.example.com.", "_443._tcp.mx.example.com."];
    let to = Name::from_ascii(names[usize::from(to) % names.len()]).unwrap();
    let mut records = message.answers.iter_mut().chain(&mut message.authorities);
    records.nth(at).into_iter().for_each(|record| record.name = to.clone());
}

/// A record that says "unsigned below here", with as many iterations as one likes.
fn nsec3(iterations: u8, owner: u8) -> Record {
    let owner =
        Name::from_ascii(format!("{}.{}", "0".repeat(32), ["example.com.", "com.", ""][usize::from(owner) % 3]));
    let iterations = u16::from(iterations) << 4;
    let data = NSEC3::new(Nsec3HashAlgorithm::SHA1, true, iterations, Vec::new(), vec![0xff; 20], []);
    Record::from_rdata(owner.unwrap(), 3600, RData::DNSSEC(DNSSECRData::NSEC3(data)))
}
