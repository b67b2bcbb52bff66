//! What clients see of our owners: the records at every name server, the chains at every address, the mail domains.

mod bounded;
mod mail;
pub mod state;

pub use bounded::{Bounded, NOT_IN_TIME};
pub use mail::{Cover, MailDomain};

use super::{
    authority::{self, Wanted},
    discover::Resolver,
    endpoints::{address_view, places},
};
use crate::{
    env::{Env, Visit},
    facts::{self, EndpointView, OwnerView, Security},
    name::DnsName,
};
use hickory_resolver::proto::rr::{RData, RecordType};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// For one visit; what is left of the time of all is less, most often.
const VISIT: Duration = Duration::from_secs(60);
/// Longer CNAME chains are loops.
const MOST_LINKS: usize = 8;

/// An owner to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// TCP port, or that of another transport.
    pub port: u16,
    /// The host name that clients connect to.
    pub base: DnsName,
    /// How to see what it presents.
    pub visit: How,
    /// The operator's list of name servers; empty to find them.
    pub nameservers: Vec<SocketAddr>,
}

/// How to see what an endpoint presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Not at all: why.
    Not(String),
    /// As configured, or as told on the command line.
    At(facts::Endpoint),
}

/// What was seen of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What each name server says.
    pub view: OwnerView,
    /// What each address presents.
    pub endpoint: Endpoint,
    /// Where the base domain is another name for, by answers that validate, and what that name's owner yields: clients look there
    /// first (RFC 7671 section 7).
    pub alias: Option<(DnsName, OwnerView)>,
    /// Mail domains that the base domain is a mail host of.
    pub mail: Vec<MailDomain>,
    /// Why there may be more mail domains.
    pub mail_unknown: Vec<String>,
}

/// What an endpoint presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// It was not visited: why.
    NotVisited(String),
    /// It was visited, but for the addresses that this host has no route to.
    Visited(EndpointView, BTreeSet<SocketAddr>),
}

/// Looks at all of them side by side. Visits come last and get the time that is left.
pub fn look(env: &Bounded<'_>, resolver: &Resolver<'_>, wishes: &BTreeMap<DnsName, Wish>) -> BTreeMap<DnsName, Seen> {
    let mut known = BTreeMap::new();
    let wanted = |(query, wish): (&DnsName, &Wish)| {
        (query.clone(), Wanted { nameservers: wish.nameservers.clone(), ..Wanted::default() })
    };
    let mut views = authority::views(env, resolver, &mut known, &wishes.iter().map(wanted).collect());
    let bases: BTreeSet<DnsName> = wishes.values().map(|wish| wish.base.clone()).collect();
    let targets = expanded(resolver, &bases);
    let alias = |(query, wish): (&DnsName, &Wish)| Some((query.clone(), at_target(query, targets.get(&wish.base)?)?));
    let aliases: BTreeMap<DnsName, DnsName> = wishes.iter().filter_map(alias).collect();
    let wanted = aliases.values().map(|query| (query.clone(), Wanted::default())).collect();
    let alias_views = authority::views(env, resolver, &mut known, &wanted);
    let mut mail = mail::look(resolver, wishes, &views);
    let addresses = resolver.addresses(&bases);
    let mut endpoints = visit(env, wishes, &addresses);
    let seen = |query: &DnsName| {
        let (mail, mail_unknown) = mail.remove(query).unwrap_or_default();
        let alias = aliases.get(query).and_then(|at| Some((at.clone(), alias_views.get(at)?.clone())));
        let nothing = || Endpoint::NotVisited("it was not looked at".into());
        let endpoint = endpoints.remove(query).unwrap_or_else(nothing);
        Some((query.clone(), Seen { view: views.remove(query)?, endpoint, alias, mail, mail_unknown }))
    };
    wishes.keys().filter_map(seen).collect()
}

/// Where validating clients are led by a CNAME at each of these names.
fn expanded(resolver: &Resolver<'_>, bases: &BTreeSet<DnsName>) -> BTreeMap<DnsName, DnsName> {
    let questions: Vec<_> = bases.iter().map(|base| (base.clone(), RecordType::A)).collect();
    let answers = resolver.validated(&questions);
    let target = |(base, answer): (&DnsName, Result<(_, Security), String>)| match answer {
        Ok((message, Security::Secure)) => Some((base.clone(), follow(&message, base)?)),
        _ => None,
    };
    bases.iter().zip(answers).filter_map(target).collect()
}

/// The end of the CNAME chain in a message, if there is a chain.
fn follow(message: &hickory_resolver::proto::op::Message, base: &DnsName) -> Option<DnsName> {
    let next = |at: &DnsName| {
        message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if DnsName::from(&record.name) == *at => Some(DnsName::from(&target.0)),
            _ => None,
        })
    };
    std::iter::successors(next(base), next).take(MOST_LINKS).last()
}

/// The query name at the end of a CNAME chain: the port and transport of the first.
fn at_target(query: &DnsName, target: &DnsName) -> Option<DnsName> {
    let labels: Vec<&str> = query.as_str().splitn(3, '.').take(2).collect();
    format!("{}.{target}", labels.join(".")).parse().ok()
}

type Addresses = BTreeMap<DnsName, Result<BTreeSet<IpAddr>, String>>;

fn visit(env: &Bounded<'_>, wishes: &BTreeMap<DnsName, Wish>, addresses: &Addresses) -> BTreeMap<DnsName, Endpoint> {
    let mut endpoints = BTreeMap::new();
    let (mut visits, mut whose) = (Vec::new(), Vec::new());
    for (query, wish) in wishes {
        let endpoint = match &wish.visit {
            How::Not(why) => {
                endpoints.insert(query.clone(), Endpoint::NotVisited(why.clone()));
                continue;
            }
            How::At(endpoint) => endpoint,
        };
        let places = match places(endpoint, addresses.get(&wish.base)) {
            Ok(places) => places,
            Err(why) => {
                let view = EndpointView { addresses: Err(why) };
                endpoints.insert(query.clone(), Endpoint::Visited(view, BTreeSet::new()));
                continue;
            }
        };
        let (near, far): (BTreeSet<SocketAddr>, _) = places.into_iter().partition(|at| env.has_route(at.ip()));
        for address in near {
            whose.push(query);
            visits.push(Visit { address, server_name: wish.base.clone(), protocol: endpoint.protocol, limit: VISIT });
        }
        let view = EndpointView { addresses: Ok(BTreeMap::new()) };
        endpoints.insert(query.clone(), Endpoint::Visited(view, far));
    }
    let visited = if visits.is_empty() { Vec::new() } else { env.visit(&visits) };
    for ((query, visit), visited) in whose.into_iter().zip(&visits).zip(visited) {
        if let Some(Endpoint::Visited(EndpointView { addresses: Ok(seen) }, _)) = endpoints.get_mut(query) {
            seen.insert(visit.address, address_view(visited));
        }
    }
    endpoints
}
