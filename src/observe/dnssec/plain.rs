//! The plain case, which nearly all answers are: an RRset at the very name that was asked for, signed by its zone. It is told as soon as
//! the keys of the zone are there. Whatever is not as plain, or does not hold, is left to the long way (`chain`, `proof`).

use super::{
    MOST_RECORDS, Validator,
    chain::{Chain, Halt},
    keys::{MOST_SIGNATURES, Zone, untimely},
    links::{is, signatures},
    memory::Memory,
};
use crate::name::DnsName;
use hickory_resolver::proto::{
    dnssec::{TBS, rdata::RRSIG},
    op::Message,
    rr::{DNSClass, Record, RecordType},
};

/// Keys of one tag that are tried; a zone that has more of them wants to keep us busy.
const MOST_ALIKE: usize = 4;

/// What can be told of an answer at once.
pub(in crate::observe) enum AtOnce {
    /// It is secure, signed by this zone.
    Secure(DnsName),
    /// Its zone is not signed.
    Insecure,
    /// Nothing.
    Later,
}

impl Validator {
    /// What `message` is worth as the answer to a question at `now` (Unix time), if it says nothing but an RRset at the very name,
    /// and what was fetched before tells.
    pub(in crate::observe) fn at_once(&self, message: &Message, name: &DnsName, kind: RecordType, now: i64) -> AtOnce {
        let Some((records, signatures)) = plain(message, name, kind) else { return AtOnce::Later };
        let signer = signatures.first().map(|signature| DnsName::from(&signature.input().signer_name));
        let alike = |signer: &DnsName| signatures.iter().all(|signature| signer.is(&signature.input().signer_name));
        if signer.as_ref().is_some_and(|signer| !name.is_within(signer) || !alike(signer)) {
            return AtOnce::Later;
        }
        let mut evidence = self.evidence.borrow_mut();
        let mut chain = Chain { anchors: &self.anchors, evidence: &mut evidence, now };
        match (chain.zone(name, signer.as_ref()), signer) {
            (Err(Halt::Insecure), _) => AtOnce::Insecure,
            (Ok(zone), Some(signer)) if zone.name == signer => {
                let holds = |signature: &&RRSIG| holds(&zone, &records, signature, now, &self.memory);
                if signatures.iter().any(holds) { AtOnce::Secure(signer) } else { AtOnce::Later }
            }
            _ => AtOnce::Later,
        }
    }
}

/// The RRset and the signatures over it, if that is all there is: no alias, no wildcard, no more than anybody sends.
fn plain<'a>(message: &'a Message, name: &DnsName, kind: RecordType) -> Option<(Vec<&'a Record>, Vec<&'a RRSIG>)> {
    let mut all = message.answers.iter().chain(&message.authorities);
    if !all.all(|record| record.dns_class == DNSClass::IN) {
        return None;
    }
    let at = |wanted| message.answers.iter().filter(move |record| is(record, name, wanted));
    let records: Vec<&Record> = at(kind).collect();
    let over = signatures(&message.answers)
        .filter(|(record, signature)| signature.input().type_covered == kind && name.is(&record.name));
    let over: Vec<&RRSIG> = over.map(|(_, signature)| signature).take(MOST_SIGNATURES + 1).collect();
    let is_plain = at(RecordType::CNAME).next().is_none()
        && (1..=MOST_RECORDS).contains(&records.len())
        && over.len() <= MOST_SIGNATURES
        && over.iter().all(|signature| signature.input().num_labels == name.labels());
    is_plain.then_some((records, over))
}

/// Does a signature of the zone over these records, which have one name and type, hold (RFC 4035 section 5.3)?
fn holds(zone: &Zone, records: &[&Record], signature: &RRSIG, now: i64, memory: &Memory) -> bool {
    let (input, Some(first)) = (signature.input(), records.first()) else { return false };
    if untimely(signature, now).is_some() {
        return false;
    }
    let all = records.iter().copied();
    let Ok(signed) = TBS::from_input(&first.name, DNSClass::IN, input, all) else { return false };
    zone.keys_of(signature).take(MOST_ALIKE).any(|key| memory.verifies(key, signed.as_ref(), signature.sig()))
}
