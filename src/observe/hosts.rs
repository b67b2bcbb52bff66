//! The hosts of `tlsa` lines that do not name them: mail hosts by their MX records, names of certificates.
//!
//! **Unknown is not absent**: where a lookup fails, or tells of no hosts, those of before stay. What an MX answer says counts only
//! if DNSSEC proves it: no sender goes by TLSA records of hosts that an insecure answer names, and whoever can forge such an answer
//! must not choose where we publish.

use super::{discover::Resolver, dns};
use crate::{
    config::Section,
    facts::{Facts, LineageFacts, MailHosts, NoHosts, Security},
    hosts::{Hosts, of_certificate},
    journal::{HostDoc, Journal, LineageDoc, clock::Stamp},
    lineage::GenerationId,
    name::{DnsName, host},
};
use hickory_resolver::proto::rr::RecordType;
use std::collections::{BTreeMap, BTreeSet};

/// The hosts of one line, with what is known of each.
type Found = BTreeMap<DnsName, HostDoc>;

/// The mail hosts of each of these domains.
pub fn mail(resolver: &Resolver<'_>, domains: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<MailHosts, NoHosts>> {
    let questions: Vec<_> = domains.iter().map(|domain| (domain.clone(), RecordType::MX)).collect();
    let answers = resolver.validated(&questions);
    let found = |(domain, answer): (&DnsName, super::discover::Validated)| {
        let found = match answer {
            Ok((message, security)) => judge(domain, dns::mail_hosts(&Ok(message), domain), &security),
            Err(why) => Err(passes(domain, &why)),
        };
        if let Err(none) = &found {
            tracing::warn!("mx:{}: {}", domain.without_dot(), none.why);
        }
        (domain.clone(), found)
    };
    domains.iter().zip(answers).map(found).collect()
}

fn passes(domain: &DnsName, why: &str) -> NoHosts {
    NoHosts { why: format!("the MX records of {} cannot be looked up: {why}", domain.without_dot()), lasting: false }
}

/// What an answer says, if it counts.
fn judge(
    domain: &DnsName,
    said: Result<(BTreeSet<DnsName>, u64), String>,
    security: &Security,
) -> Result<MailHosts, NoHosts> {
    let name = domain.without_dot();
    let lasting = |why: String| NoHosts { why, lasting: true };
    let instead = "write the hosts into `tlsa` lines of their own instead";
    let (hosts, ttl) = said.map_err(|why| passes(domain, &why))?;
    match security {
        Security::Secure => {}
        Security::Insecure => {
            return Err(lasting(format!(
                "the MX records of {name} are not signed, so they do not count here, and mail servers that go by TLSA \
                 records do not trust them either: sign {name}, or {instead}"
            )));
        }
        Security::Bogus(why) => {
            return Err(lasting(format!("the MX records of {name} are BOGUS: {why}; mend the zone's signatures")));
        }
        Security::Unknown(why) => return Err(passes(domain, &format!("the answer cannot be validated: {why}"))),
    }
    if hosts.is_empty() {
        return Err(lasting(format!("{name} has no MX records: publish some, or {instead}")));
    }
    let (hosts, odd): (BTreeSet<DnsName>, BTreeSet<DnsName>) =
        hosts.into_iter().partition(|exchange| host(exchange.as_str()).is_ok_and(|host| host == *exchange));
    if hosts.is_empty() && odd.iter().all(|odd| odd.as_str() == ".") {
        return Err(lasting(format!(
            "{name} wants no mail (its MX record is \".\", RFC 7505): publish others, or {instead}"
        )));
    }
    for odd in odd {
        tracing::warn!("mx:{name}: {odd} in its MX records is no name that a host can have");
    }
    match hosts.is_empty() {
        true => Err(lasting(format!("the MX records of {name} name no host: correct them, or {instead}"))),
        false => Ok(MailHosts { hosts, ttl }),
    }
}

/// The hosts of all lines of each section, with what this round has told. Pure. `floor`: least time in seconds for which a host
/// that is gone stays.
pub fn found(
    journal: &Journal,
    facts: &Facts,
    sections: &BTreeMap<String, Section>,
    floor: u64,
) -> BTreeMap<String, BTreeMap<Hosts, Found>> {
    let of_section = |(name, section): (&String, &Section)| {
        let (doc, files) = (journal.lineages.get(name), facts.lineages.get(name));
        let of_source = |hosts: &Hosts| {
            let before = doc.and_then(|doc| doc.hosts.get(hosts)).cloned().unwrap_or_default();
            let now = match hosts {
                Hosts::Mx(domain) => match facts.mail.get(domain) {
                    Some(Ok(mail)) => with_answer(before, mail, facts.now, floor),
                    _ => before,
                },
                Hosts::San => names(before, doc, files),
            };
            (hosts.clone(), now)
        };
        (name.clone(), section.wanted.iter().map(|wanted| of_source(&wanted.hosts)).collect())
    };
    sections.iter().map(of_section).collect()
}

/// A host that the answer does not name any more stays until no cache holds an answer that does: until then mail comes to it by
/// that answer, and without its records anybody could read that mail.
fn with_answer(mut hosts: Found, mail: &MailHosts, now: Stamp, floor: u64) -> Found {
    for (name, doc) in &mut hosts {
        if !mail.hosts.contains(name) {
            doc.gone.get_or_insert(now);
        }
    }
    hosts.retain(|_, doc| doc.forgotten(floor).is_none_or(|end| end > now));
    for name in &mail.hosts {
        let doc = hosts.entry(name.clone()).or_default();
        // A resolver counts down: the longest TTL that it told is nearest to the truth.
        *doc = HostDoc { ttl: doc.ttl.max(mail.ttl), gone: None };
    }
    hosts
}

/// The names of all certificates that are served, live or waiting, or that a process may present. Where one of them cannot be read,
/// what was there before stays.
fn names(before: Found, doc: Option<&LineageDoc>, files: Option<&LineageFacts>) -> Found {
    let Some(files) = files else { return before };
    let presented = doc.into_iter().flat_map(|doc| doc.presented.iter().map(|presented| &presented.generation));
    let ids: Vec<&GenerationId> = presented.chain(doc.into_iter().flat_map(|doc| &doc.waiting)).collect();
    let known = ids.iter().filter_map(|id| files.generation(id));
    let chains: Vec<_> = files.served().into_iter().chain(files.live.as_ref().ok()).chain(known).collect();
    let complete = files.live.is_ok() && ids.iter().all(|id| files.generation(id).is_some());
    let mut found: Found = if complete { Found::new() } else { before.clone() };
    let names = chains.iter().flat_map(|generation| of_certificate(&generation.chain.names).0);
    found.extend(names.map(|name| (name, HostDoc::default())));
    if found.is_empty() { before } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(hosts: &str) -> BTreeSet<DnsName> {
        hosts.split_whitespace().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn answers() {
        let domain: DnsName = "example.com".parse().unwrap();
        let forged = Security::Bogus("forged".into());
        let unknown = Security::Unknown("no answer".into());
        for (hosts, security, expected) in [
            (Ok("mx1.a. mx2.b."), &Security::Secure, Ok("mx1.a. mx2.b.")),
            (Ok("mx1.a."), &Security::Insecure, Err((true, "not signed"))),
            (Ok("mx1.a."), &forged, Err((true, "BOGUS: forged"))),
            (Ok("mx1.a."), &unknown, Err((false, "cannot be validated: no answer"))),
            (Err("it answers SERVFAIL"), &Security::Secure, Err((false, "SERVFAIL"))),
            (Ok(""), &Security::Secure, Err((true, "has no MX records"))),
            (Ok("."), &Security::Secure, Err((true, "wants no mail"))),
            (Ok(". mx1.a."), &Security::Secure, Ok("mx1.a.")),
            (Ok("192.0.2.1."), &Security::Secure, Err((true, "name no host"))),
            (Ok("192.0.2.1. mx1.a."), &Security::Secure, Ok("mx1.a.")),
        ] {
            let said = hosts.map(|hosts| (set(hosts), 60)).map_err(str::to_owned);
            match (judge(&domain, said, security), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.hosts, set(expected)),
                (Err(none), Err((lasting, part))) => {
                    assert!(none.lasting == lasting && none.why.contains(part), "{none:?}");
                }
                other => panic!("{hosts:?} {security:?}: {other:?}"),
            }
        }
    }

    /// When a host came and went, and who is there at last: moment, answer, TTL.
    #[test]
    fn a_host_that_is_gone_stays_while_caches_name_it() {
        for (answers, end) in [
            (&[(0, "a. b.", 300)][..], "a. b."),
            (&[(0, "a. b.", 300), (10, "a.", 300)], "a. b."),
            (&[(0, "a. b.", 300), (10, "a.", 300), (609, "a.", 300)], "a. b."),
            (&[(0, "a. b.", 300), (10, "a.", 300), (610, "a.", 300)], "a."),
            (&[(0, "a. b.", 3), (10, "a.", 3), (109, "a.", 3)], "a. b."), // never before the floor
            (&[(0, "a. b.", 3), (10, "a.", 3), (110, "a.", 3)], "a."),
            (&[(0, "a. b.", 300), (10, "a. b.", 7), (20, "a.", 7), (600, "a.", 7)], "a. b."), // a resolver counts down
            (&[(0, "a. b.", 300), (10, "a.", 300), (500, "a. b.", 300), (700, "a.", 300)], "a. b."), // and back again
        ] {
            let mut hosts = Found::new();
            for (at, names, ttl) in answers {
                let mail = MailHosts { hosts: set(names), ttl: *ttl };
                hosts = with_answer(hosts, &mail, Stamp(at * 1000), 100);
            }
            assert_eq!(hosts.into_keys().collect::<BTreeSet<_>>(), set(end), "{answers:?}");
        }
    }
}
