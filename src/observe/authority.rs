//! The authority view: what each address of each authoritative server says about our owners.

use super::{
    discover::{Authorities, Lost, Resolver},
    dns::{self, Said},
    dnssec::worse,
};
use crate::{
    config::Dnssec,
    env::{Answered, Ask, Env},
    facts::{OwnerView, Security, ServerView},
    name::DnsName,
};
use hickory_resolver::proto::rr::RecordType;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// How often a CNAME may lead to another zone.
const MOST_ZONES: usize = 4;

/// One TLSA query name to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The operator's list of servers; empty to find them.
    pub nameservers: Vec<SocketAddr>,
    /// Addresses that were servers of the zone not long ago, with their names.
    pub remembered: BTreeMap<SocketAddr, String>,
}

/// Where a look stands: the names still to ask, each for a query name.
struct Step {
    query: DnsName,
    at: DnsName,
    ttl: u64,
    silent: BTreeMap<SocketAddr, ServerView>,
    /// Of the chain so far.
    security: Security,
}

impl Step {
    fn new(query: &DnsName) -> Step {
        let security = Security::Secure;
        Step { query: query.clone(), at: query.clone(), ttl: 0, silent: BTreeMap::new(), security }
    }
}

/// Looks at all of `wanted` side by side. `known` keeps the servers that were found, for the next look.
pub fn views(
    env: &dyn Env,
    resolver: &Resolver<'_>,
    known: &mut BTreeMap<DnsName, Authorities>,
    wanted: &BTreeMap<DnsName, Wanted>,
) -> BTreeMap<DnsName, OwnerView> {
    let words = match resolver.validator.mode() {
        Dnssec::Validate => BTreeMap::new(),
        Dnssec::Resolver => resolver.words(&wanted.keys().cloned().collect()),
    };
    let mut steps: Vec<Step> = wanted.keys().map(Step::new).collect();
    let mut views = BTreeMap::new();
    for _ in 0..MOST_ZONES {
        let found = authorities(resolver, known, wanted, &steps);
        let mut asked = ask(env, wanted, &steps, &found);
        judge_all(resolver, &words, &steps, &found, &mut asked);
        let mut further = Vec::new();
        for ((step, authorities), answers) in steps.into_iter().zip(found).zip(asked) {
            let query = step.query.clone();
            match authorities.map(|authorities| judge(env, step, &authorities, answers)) {
                Ok(Judged::View(view)) => drop(views.insert(query, view)),
                Ok(Judged::Further(step)) => further.push(step),
                Err(lost) => drop(views.insert(query.clone(), without_servers(query, lost, &words))),
            }
        }
        steps = further;
        if steps.is_empty() {
            return views;
        }
    }
    for step in steps {
        let why = format!("the CNAME chain from {} does not end", step.query);
        views.insert(step.query.clone(), unknown(step.query, why));
    }
    views
}

fn unknown(query: DnsName, why: String) -> OwnerView {
    let security = Security::Unknown(why.clone());
    OwnerView { target: query, zone: None, servers: Err(why), by_provider: false, security }
}

/// Nobody can be asked. What the resolver says of the name, where its word is taken, is known all the same.
fn without_servers(query: DnsName, lost: Lost, words: &BTreeMap<DnsName, Security>) -> OwnerView {
    let security = match (lost.bogus, words.get(&query)) {
        (true, _) => Security::Bogus(lost.why.clone()),
        (false, Some(Security::Bogus(why))) => Security::Bogus(why.clone()),
        _ => Security::Unknown(lost.why.clone()),
    };
    OwnerView { security, ..unknown(query, lost.why) }
}

/// The servers to ask for each step.
fn authorities(
    resolver: &Resolver<'_>,
    known: &mut BTreeMap<DnsName, Authorities>,
    wanted: &BTreeMap<DnsName, Wanted>,
    steps: &[Step],
) -> Vec<Result<Authorities, Lost>> {
    let named = |step: &Step| -> Option<Authorities> {
        let servers = &wanted.get(&step.query)?.nameservers;
        let named = servers.iter().map(|server| (*server, server.to_string())).collect();
        (!servers.is_empty()).then_some(Authorities { apex: None, servers: named, ns_ttl: 0 })
    };
    let open = steps.iter().filter(|step| named(step).is_none() && !known.contains_key(&step.at));
    let open: BTreeSet<DnsName> = open.map(|step| step.at.clone()).collect();
    let mut failed = BTreeMap::new();
    for (name, found) in resolver.authorities(&open) {
        match found {
            Ok(authorities) => drop(known.insert(name, authorities)),
            Err(why) => drop(failed.insert(name, why)),
        }
    }
    let of_step = |step: &Step| match named(step).or_else(|| known.get(&step.at).cloned()) {
        Some(authorities) => Ok(authorities),
        None => Err(failed.get(&step.at).cloned().unwrap_or_else(|| "its servers are not known".to_string().into())),
    };
    steps.iter().map(of_step).collect()
}

/// One address, and what it said to the TLSA and the SOA question.
struct Heard {
    address: SocketAddr,
    name: String,
    listed: bool,
    tlsa: Answered,
    soa: Answered,
    /// What the answer to the TLSA question is worth.
    security: Security,
}

fn ask(
    env: &dyn Env,
    wanted: &BTreeMap<DnsName, Wanted>,
    steps: &[Step],
    found: &[Result<Authorities, Lost>],
) -> Vec<Vec<Heard>> {
    let mut asks = Vec::new();
    let mut whom = Vec::new();
    for (step, authorities) in steps.iter().zip(found) {
        let Ok(authorities) = authorities else {
            whom.push(Vec::new());
            continue;
        };
        let mut servers: Vec<(SocketAddr, String, bool)> =
            authorities.servers.iter().map(|(address, name)| (*address, name.clone(), true)).collect();
        let remembered = wanted.get(&step.query).into_iter().flat_map(|wanted| &wanted.remembered);
        let left = remembered.filter(|(address, _)| !authorities.servers.contains_key(address));
        servers.extend(left.map(|(address, name)| (*address, name.clone(), false)));
        let apex = authorities.apex.clone().unwrap_or_else(|| step.at.clone());
        for (server, ..) in &servers {
            let (name, kind) = (step.at.clone(), RecordType::TLSA);
            let tlsa = Ask { server: *server, name, kind, recursion: false, checking_disabled: false };
            let soa = Ask { name: apex.clone(), kind: RecordType::SOA, ..tlsa.clone() };
            asks.extend([tlsa, soa]);
        }
        whom.push(servers);
    }
    let mut answers = env.ask(&asks).into_iter();
    let mut hear = |(address, name, listed): (SocketAddr, String, bool)| {
        let mut next = || answers.next().unwrap_or_else(|| Err("it was not asked".into()));
        Heard { address, name, listed, tlsa: next(), soa: next(), security: Security::Insecure }
    };
    whom.into_iter().map(|servers| servers.into_iter().map(&mut hear).collect()).collect()
}

/// The zone: as it was found, or as its servers tell.
fn apex(step: &Step, authorities: &Authorities, heard: &[Heard]) -> Option<DnsName> {
    authorities.apex.clone().or_else(|| heard.iter().find_map(|h| Some(dns::apex(&h.soa, &step.at).ok()?.0)))
}

/// Has all that was heard judged, side by side.
fn judge_all(
    resolver: &Resolver<'_>,
    words: &BTreeMap<DnsName, Security>,
    steps: &[Step],
    found: &[Result<Authorities, Lost>],
    asked: &mut [Vec<Heard>],
) {
    if resolver.validator.mode() == Dnssec::Resolver {
        for (step, heard) in steps.iter().zip(asked) {
            let word = words.get(&step.query).cloned().unwrap_or(Security::Insecure);
            heard.iter_mut().for_each(|heard| heard.security = word.clone());
        }
        return;
    }
    for ((step, found), heard) in steps.iter().zip(found).zip(asked.iter()) {
        let Ok(authorities) = found else { continue };
        if let Some(apex) = apex(step, authorities, heard) {
            resolver.validator.remember_servers(&apex, authorities.servers.keys().copied().collect());
        }
    }
    let said = |step: &Step, heard: &Heard| dns::said(&heard.tlsa, &step.at).is_ok();
    let all = || steps.iter().zip(asked.iter()).flat_map(|(step, heard)| heard.iter().map(move |heard| (step, heard)));
    let items = all().filter(|(step, heard)| said(step, heard));
    let items = items.filter_map(|(step, h)| Some((h.tlsa.as_ref().ok()?, step.at.clone(), RecordType::TLSA)));
    let mut judged = resolver.judge(&items.collect::<Vec<_>>()).into_iter();
    for (step, heard) in steps.iter().zip(asked) {
        for heard in heard.iter_mut().filter(|heard| said(step, heard)) {
            heard.security = judged.next().unwrap_or_else(|| Security::Unknown("it was not judged".into()));
        }
    }
}

/// What an address said, if it counts; whether it is bogus.
fn counted(heard: &Heard, at: &DnsName) -> Result<Said, (String, bool)> {
    let said = dns::said(&heard.tlsa, at).map_err(|why| (why, false))?;
    match &heard.security {
        Security::Secure | Security::Insecure => Ok(said),
        Security::Bogus(why) => Err((format!("its answer is BOGUS: {why}"), true)),
        Security::Unknown(why) => Err((format!("its answer cannot be validated: {why}"), false)),
    }
}

enum Judged {
    View(OwnerView),
    Further(Step),
}

/// What the answers of one zone's servers add up to.
fn judge(env: &dyn Env, step: Step, authorities: &Authorities, heard: Vec<Heard>) -> Judged {
    let apex = apex(&step, authorities, &heard);
    let mut servers = step.silent;
    let mut security = step.security;
    let mut ends = BTreeSet::new();
    let mut elsewhere = None;
    for heard in heard {
        let counted = counted(&heard, &step.at);
        if counted.is_ok() {
            security = worse(security, heard.security.clone());
        }
        let (answer, bogus) = match counted {
            Ok(Said::Answer { at, mut shown }) => {
                shown.ttl += step.ttl;
                ends.insert(at);
                (Ok(shown), false)
            }
            Ok(Said::Elsewhere { to, ttl }) => {
                ends.insert(to.clone());
                let longest = elsewhere.take().map_or(ttl, |(_, before): (DnsName, u64)| before.max(ttl));
                elsewhere = Some((to, longest));
                continue;
            }
            Err((why, bogus)) => (Err(why), bogus),
        };
        let serial = apex.as_ref().and_then(|apex| dns::serial(&heard.soa, apex));
        let no_route = answer.is_err() && !env.has_route(heard.address.ip());
        let Heard { address, name, listed, .. } = heard;
        let ns_ttl = authorities.ns_ttl;
        let view = ServerView { name, answer, bogus, serial, listed, ns_ttl, no_route };
        servers.entry(address).or_insert(view);
    }
    let query = step.query;
    match (ends.len(), elsewhere) {
        (0 | 1, None) => {
            let target = ends.pop_first().unwrap_or(step.at);
            let security = overall(security, &servers);
            Judged::View(OwnerView { target, zone: apex, servers: Ok(servers), by_provider: false, security })
        }
        (1, Some((to, ttl))) => {
            // Remembered addresses that are none of this zone's may be those of the next.
            servers.retain(|_, server| server.listed);
            Judged::Further(Step { query, at: to, ttl: step.ttl + ttl, silent: servers, security })
        }
        _ => {
            let names: Vec<String> = ends.iter().map(DnsName::to_string).collect();
            let why = format!("its servers disagree where {query} leads: to {}", names.join(" or "));
            Judged::View(unknown(query, why))
        }
    }
}

/// Bogus if any answer is, unknown if none counts, else what those that count are worth.
fn overall(of_answers: Security, servers: &BTreeMap<SocketAddr, ServerView>) -> Security {
    let errors = |bogus: bool| {
        let wanted = servers.values().filter(move |server| server.bogus == bogus);
        wanted.filter_map(|server| Some(format!("{}: {}", server.name, server.answer.as_ref().err()?)))
    };
    if let Some(why) = errors(true).next() {
        return Security::Bogus(why);
    }
    match servers.values().any(|server| server.answer.is_ok()) {
        true => of_answers,
        false => Security::Unknown(errors(false).next().unwrap_or_else(|| "there is nobody to ask".into())),
    }
}
