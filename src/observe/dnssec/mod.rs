//! DNSSEC (RFC 4033 to 4035): do answers validate?
//!
//! An answer is judged with what was fetched before; what is lacking is said, fetched for all answers side by side, and the judgement
//! made again. So nothing here waits for anybody, and real and simulated worlds are asked in the same way.

mod chain;
mod evidence;
mod fetch;
mod keys;
mod links;
mod memory;
mod nsec;
mod plain;
mod proof;
mod word;

use evidence::{Lack, Source};
pub use memory::Memory;
pub(in crate::observe) use plain::AtOnce;

use crate::{
    config::{AnchorKey, Dnssec, TrustAnchor},
    env::Answered,
    facts::Security,
    name::DnsName,
};
use chain::{Chain, Halt};
use evidence::Evidence;
use hickory_resolver::proto::{
    dnssec::{TrustAnchors, rdata::DNSKEY},
    op::Message,
    rr::RecordType,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    rc::Rc,
};

/// Longer CNAME chains are loops for all that resolvers care.
const MOST_LINKS: usize = 8;
/// No RRset or denial that a server has to send holds more records.
const MOST_RECORDS: usize = 64;
/// Names between a trust anchor and a TLSA record; more is an attack.
const MOST_LABELS: usize = 24;
/// Verdicts that are remembered.
const MOST_VERDICTS: usize = 10_000;
/// KSK: zone key and secure entry point (RFC 4034 section 2.1.1).
const KSK: u16 = 257;

/// Where trust begins.
#[derive(Clone, Debug)]
pub(super) struct Anchors(BTreeMap<DnsName, Vec<AnchorKey>>);

impl Anchors {
    /// The root's own, built in, and those of the operator, which replace them if there is one for the root.
    fn new(own: Option<&TrustAnchor>) -> Anchors {
        let mut anchors = own.map(|own| own.zones.clone()).unwrap_or_default();
        let built_in = TrustAnchors::default();
        let keys = (0..built_in.len()).filter_map(|at| built_in.get(at));
        let root = keys.map(|key| AnchorKey::Key(DNSKEY::with_flags(KSK, key.clone()))).collect();
        if let Ok(name) = ".".parse() {
            anchors.entry(name).or_insert(root);
        }
        Anchors(anchors)
    }

    /// The nearest one at or above a name.
    fn nearest(&self, name: &DnsName) -> Option<(&DnsName, &Vec<AnchorKey>)> {
        let above = self.0.iter().filter(|(zone, _)| name.is_within(zone));
        above.max_by_key(|(zone, _)| zone.labels())
    }
}

/// Judges answers, and remembers what it was judged by.
pub struct Validator {
    mode: Dnssec,
    anchors: Anchors,
    evidence: RefCell<Evidence>,
    /// By question and message.
    verdicts: RefCell<HashMap<Vec<u8>, Security>>,
    memory: Rc<Memory>,
}

impl Default for Validator {
    /// Validates from the root's built-in trust anchors.
    fn default() -> Validator {
        Validator::new(Dnssec::Validate, None)
    }
}

impl Validator {
    /// As the configuration says. It remembers what it fetched for as long as it lives, which should be a minute at most.
    pub fn new(mode: Dnssec, own: Option<&TrustAnchor>) -> Validator {
        let (evidence, verdicts) = (RefCell::default(), RefCell::default());
        Validator { mode, anchors: Anchors::new(own), evidence, verdicts, memory: Rc::default() }
    }

    /// Has it verify no signature again that is in this memory.
    pub fn remembering(self, memory: Rc<Memory>) -> Validator {
        Validator { memory, ..self }
    }

    /// Who validates.
    pub(super) fn mode(&self) -> Dnssec {
        self.mode
    }

    /// What `message` is worth as the answer to a question, at `now` (Unix time), or what has to be fetched to know.
    pub(super) fn judge(
        &self,
        message: &Message,
        name: &DnsName,
        kind: RecordType,
        now: i64,
    ) -> Result<Security, BTreeSet<Lack>> {
        match self.at_once(message, name, kind, now) {
            AtOnce::Secure(_) => return Ok(Security::Secure),
            AtOnce::Insecure => return Ok(Security::Insecure),
            AtOnce::Later => {}
        }
        let key = fingerprint(message, name, kind);
        let known = key.as_ref().and_then(|key| self.verdicts.borrow().get(key).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let security = self.judge_links(message, name, kind, now)?;
        let mut verdicts = self.verdicts.borrow_mut();
        if let (Some(key), true) = (key, verdicts.len() < MOST_VERDICTS) {
            verdicts.insert(key, security.clone());
        }
        Ok(security)
    }

    /// Every link of its CNAME chain by itself: the worst counts.
    fn judge_links(
        &self,
        message: &Message,
        name: &DnsName,
        kind: RecordType,
        now: i64,
    ) -> Result<Security, BTreeSet<Lack>> {
        let links = match links::links(message, name, kind) {
            Ok(links) => links,
            Err(why) => return Ok(Security::Bogus(why)),
        };
        let (mut security, mut lacks) = (Security::Secure, BTreeSet::new());
        for link in &links {
            let mut evidence = self.evidence.borrow_mut();
            let mut chain = Chain { anchors: &self.anchors, evidence: &mut evidence, now };
            match chain.link(link) {
                Ok(()) => {}
                Err(Halt::Lacks(more)) => lacks.extend(more),
                Err(Halt::Insecure) => security = worse(security, Security::Insecure),
                Err(Halt::Bogus(why)) => security = worse(security, Security::Bogus(why)),
                Err(Halt::Unknown(why)) => security = worse(security, Security::Unknown(why)),
            }
        }
        if lacks.is_empty() { Ok(security) } else { Err(lacks) }
    }

    /// Takes down the resolver's answer to a question that was lacking.
    pub(super) fn resolver_said(&self, lack: &Lack, answer: Answered) {
        let mut evidence = self.evidence.borrow_mut();
        evidence.found.entry((lack.name.clone(), lack.kind)).or_default().resolver = Some(answer);
    }

    /// Takes down what servers of a zone answered; nothing, if none could be found or asked.
    pub(super) fn servers_said(&self, lack: &Lack, answers: Vec<Answered>) {
        let mut evidence = self.evidence.borrow_mut();
        evidence.found.entry((lack.name.clone(), lack.kind)).or_default().servers = Some(answers);
    }

    /// The servers of a zone, if they were found before.
    pub(super) fn servers(&self, zone: &DnsName) -> Option<Vec<SocketAddr>> {
        self.evidence.borrow().servers.get(zone).cloned()
    }

    /// Remembers servers of a zone.
    pub(super) fn remember_servers(&self, zone: &DnsName, servers: Vec<SocketAddr>) {
        self.evidence.borrow_mut().servers.insert(zone.clone(), servers);
    }
}

/// The worse of two: bogus, unknown, insecure, secure.
pub(super) fn worse(one: Security, other: Security) -> Security {
    let rank = |security: &Security| match security {
        Security::Bogus(_) => 3,
        Security::Unknown(_) => 2,
        Security::Insecure => 1,
        Security::Secure => 0,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// What makes a message another one for us; `None` if it cannot be written.
fn fingerprint(message: &Message, name: &DnsName, kind: RecordType) -> Option<Vec<u8>> {
    let mut message = message.clone();
    message.metadata.id = 0;
    message.additionals.clear();
    let mut bytes = message.to_vec().ok()?;
    bytes.extend(name.as_str().as_bytes());
    bytes.extend(u16::from(kind).to_be_bytes());
    Some(bytes)
}
