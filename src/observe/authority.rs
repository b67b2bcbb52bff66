//! The authority view: what each address of each authoritative server says about our owners.

use super::{
    discover::{Authorities, Lost, Resolver},
    dns::Said,
    dnssec::worse,
    hear::{Heard, Voice, Wish, hear},
};
use crate::{
    config::Dnssec,
    env::Env,
    facts::{OwnerView, Security, ServerView, names_of},
    name::DnsName,
    small::Map,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    rc::Rc,
};

/// How often a CNAME may lead to another zone.
const MOST_ZONES: usize = 4;
/// Of more names than this a few are asked for first. The keys of their zones are then there to judge most of the others by.
const MANY: usize = 256;
const SAMPLE: usize = 32;

/// One TLSA query name to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The operator's list of servers; empty to find them.
    pub nameservers: Vec<SocketAddr>,
    /// Addresses that were servers of the zone not long ago, with their names.
    pub remembered: Map<SocketAddr, String>,
}

/// Where a look stands: the names still to ask, each for a query name.
struct Step<'a> {
    query: DnsName,
    wanted: &'a Wanted,
    at: DnsName,
    ttl: u64,
    silent: Map<SocketAddr, ServerView>,
    /// Servers of aliases, which said where they lead.
    passed: BTreeSet<SocketAddr>,
    /// Of the chain so far.
    security: Security,
}

impl<'a> Step<'a> {
    fn new((query, wanted): (&DnsName, &'a Wanted)) -> Step<'a> {
        let security = Security::Secure;
        Step {
            query: query.clone(),
            wanted,
            at: query.clone(),
            ttl: 0,
            silent: Map::new(),
            passed: BTreeSet::new(),
            security,
        }
    }

    /// The servers that the operator names.
    fn named(&self) -> Option<&'a Vec<SocketAddr>> {
        Some(&self.wanted.nameservers).filter(|servers| !servers.is_empty())
    }
}

/// Looks at all of `wanted` side by side. `known` keeps the servers that were found, for the next look.
pub fn views(
    env: &dyn Env,
    resolver: &Resolver<'_>,
    known: &mut BTreeMap<DnsName, Rc<Authorities>>,
    wanted: &BTreeMap<DnsName, Wanted>,
) -> BTreeMap<DnsName, OwnerView> {
    let words = match resolver.validator.mode() {
        Dnssec::Validate => BTreeMap::new(),
        Dnssec::Resolver => resolver.words(&wanted.keys().cloned().collect()),
    };
    let mut steps: Vec<Step<'_>> = wanted.iter().map(Step::new).collect();
    let mut views = BTreeMap::new();
    for _ in 0..MOST_ZONES {
        let rest = if steps.len() > MANY { steps.split_off(SAMPLE) } else { Vec::new() };
        let mut further = Vec::new();
        for steps in [steps, rest].into_iter().filter(|steps| !steps.is_empty()) {
            let found = authorities(resolver, known, &steps);
            let heard = hear(env, resolver, &words, wishes(&steps, &found));
            for ((step, authorities), heard) in steps.into_iter().zip(found).zip(heard) {
                let query = step.query.clone();
                match authorities.map(|authorities| judge(env, step, &authorities, heard)) {
                    Ok(Judged::View(view)) => drop(views.insert(query, view)),
                    Ok(Judged::Further(step)) => further.push(step),
                    Err(lost) => drop(views.insert(query.clone(), without_servers(query, lost, &words))),
                }
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
fn authorities<'a>(
    resolver: &Resolver<'_>,
    known: &mut BTreeMap<DnsName, Rc<Authorities>>,
    steps: &[Step<'a>],
) -> Vec<Result<Rc<Authorities>, Lost>> {
    let open = steps.iter().filter(|step| step.named().is_none() && !known.contains_key(&step.at));
    let open: BTreeSet<DnsName> = open.map(|step| step.at.clone()).collect();
    let mut failed = BTreeMap::new();
    for (name, found) in resolver.authorities(&open) {
        match found {
            Ok(authorities) => drop(known.insert(name, authorities)),
            Err(why) => drop(failed.insert(name, why)),
        }
    }
    let mut of_operator: BTreeMap<&Vec<SocketAddr>, Rc<Authorities>> = BTreeMap::new();
    let mut by_operator = |servers| of_operator.entry(servers).or_insert_with(|| by_hand(servers)).clone();
    let of_step = |step: &Step<'a>| match step.named().map(&mut by_operator).or_else(|| known.get(&step.at).cloned()) {
        Some(authorities) => Ok(authorities),
        None => Err(failed.get(&step.at).cloned().unwrap_or_else(|| "its servers are not known".to_string().into())),
    };
    steps.iter().map(of_step).collect()
}

/// The servers that the operator names, of whatever zone.
fn by_hand(servers: &[SocketAddr]) -> Rc<Authorities> {
    let servers = servers.iter().map(|server| (*server, server.to_string())).collect();
    Rc::new(Authorities { apex: None, servers, ns_ttl: 0 })
}

/// What to ask for: the servers of the zone, and those that were not long ago.
fn wishes(steps: &[Step<'_>], found: &[Result<Rc<Authorities>, Lost>]) -> Vec<Wish> {
    let wish = |(step, found): (&Step<'_>, &Result<Rc<Authorities>, Lost>)| {
        let Ok(authorities) = found else {
            return Wish { query: step.query.clone(), at: step.at.clone(), apex: None, servers: Vec::new() };
        };
        let listed = authorities.servers.iter().map(|(address, name)| (*address, name.clone(), true));
        let left = step.wanted.remembered.iter().filter(|(address, _)| !authorities.servers.contains_key(address));
        let servers = listed.chain(left.map(|(address, name)| (*address, name.clone(), false))).collect();
        Wish { query: step.query.clone(), at: step.at.clone(), apex: authorities.apex.clone(), servers }
    };
    steps.iter().zip(found).map(wish).collect()
}

/// What an address said, if it counts; whether it is bogus.
fn counted(said: Result<Said, String>, security: &Security) -> Result<Said, (String, bool)> {
    let said = said.map_err(|why| (why, false))?;
    match security {
        Security::Secure | Security::Insecure => Ok(said),
        Security::Bogus(why) => Err((format!("its answer is BOGUS: {why}"), true)),
        Security::Unknown(why) => Err((format!("its answer cannot be validated: {why}"), false)),
    }
}

enum Judged<'a> {
    View(OwnerView),
    Further(Step<'a>),
}

/// What the answers of one zone's servers add up to.
fn judge<'a>(env: &dyn Env, step: Step<'a>, authorities: &Authorities, heard: Heard) -> Judged<'a> {
    let Heard { apex, voices, .. } = heard;
    let mut servers = step.silent;
    let mut security = step.security;
    let mut ends = BTreeSet::new();
    let mut elsewhere = None;
    let (mut passed, mut told) = (step.passed, BTreeSet::new());
    // One that served an alias may be remembered, and has nothing to say of what it leads to.
    for Voice { address, name, listed, said, security: worth, serial } in voices {
        if !listed && passed.contains(&address) {
            continue;
        }
        let counted = counted(said, &worth);
        if counted.is_ok() {
            security = worse(security, worth);
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
                passed.insert(address);
                told.extend(names_of(&name).map(str::to_owned));
                continue;
            }
            Err((why, bogus)) => (Err(why), bogus),
        };
        let no_route = answer.is_err() && !env.has_route(address.ip());
        let ns_ttl = authorities.ns_ttl;
        let view = ServerView { name, answer, bogus, serial, listed, ns_ttl, no_route };
        servers.entry(address).or_insert(view);
    }
    let Step { query, wanted, .. } = step;
    match (ends.len(), elsewhere) {
        (0 | 1, None) => {
            let target = ends.pop_first().unwrap_or(step.at);
            let security = overall(security, &servers);
            Judged::View(OwnerView { target, zone: apex, servers: Ok(servers), by_provider: false, security })
        }
        (1, Some((to, ttl))) => {
            // Where there is no route to one of a server's addresses, another of them has told where the alias leads.
            let told = |server: &ServerView| server.no_route && server.names().any(|name| told.contains(name));
            passed.extend(servers.iter().filter(|(_, server)| told(server)).map(|(address, _)| *address));
            // Remembered addresses that are none of this zone's may be those of the next.
            servers.retain(|address, server| server.listed && !passed.contains(address));
            Judged::Further(Step { query, wanted, at: to, ttl: step.ttl + ttl, silent: servers, passed, security })
        }
        _ => {
            let names: Vec<String> = ends.iter().map(DnsName::to_string).collect();
            let why = format!("its servers disagree where {query} leads: to {}", names.join(" or "));
            Judged::View(unknown(query, why))
        }
    }
}

/// Bogus if any answer is, unknown if none counts, else what those that count are worth.
fn overall(of_answers: Security, servers: &Map<SocketAddr, ServerView>) -> Security {
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
