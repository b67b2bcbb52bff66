//! Probes: which endpoints to look at, what that tells about generations, and what of it speaks against a step.

use super::{
    Input, Plan, Reason, Step,
    model::{Lineage, Model, Owner},
    presence::Presence,
};
use crate::{
    config::{Probe, Section, TlsaLine},
    facts::{AddressView, Endpoint, EndpointView},
    journal::{OwnerDoc, Presented, clock::Stamp},
    lineage::GenerationId,
    name::DnsName,
    probe::Protocol,
    tlsa::{Chain, Mismatch},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// While records are held after a reload, endpoints are looked at so often, seconds: who never presents the new certificate is
/// told of early.
const WHILE_HELD: u64 = 600;
/// Where no reload is configured, so often.
const WITHOUT_RELOAD: u64 = 3600;

/// The endpoints that a plan would have looked at: those that hold up a step, and those of services that were just reloaded.
/// Only a plain run (`deletes`) cares about more than what publishing needs.
pub fn wanted(model: &Model<'_>, plan: &Plan, deletes: bool) -> BTreeMap<DnsName, Endpoint> {
    let publishes = |step: &Step| matches!(step, Step::Publish(_));
    let waits = plan.waits.iter().filter(|wait| deletes || publishes(&wait.step));
    let due = |reason: &Reason| match reason {
        Reason::NotProbed { owner, due } if due.is_none_or(|due| due <= model.now()) => Some(owner.clone()),
        _ => None,
    };
    let mut queries: BTreeSet<DnsName> = waits.flat_map(|wait| &wait.reasons).filter_map(due).collect();
    if deletes {
        let held = model.lineages.values().filter(|lineage| is_held(model, lineage));
        let owners = held.flat_map(|lineage| model.owners_of(lineage.name));
        let long_ago = |owner: &&Owner<'_>| looked_at(owner, WHILE_HELD).is_none_or(|due| due <= model.now());
        queries.extend(owners.filter(long_ago).map(|owner| owner.query.clone()));
    }
    let endpoint = |query: DnsName| Some((query.clone(), model.owners.get(&query)?.endpoint.clone()?));
    queries.into_iter().filter_map(endpoint).collect()
}

/// Was a service of the lineage reloaded that may present an old certificate for a while?
fn is_held(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    let presence = |presented: &Presented| lineage.presence(presented, model.now(), model.wall());
    lineage.doc.presented.iter().any(|presented| matches!(presence(presented), Presence::UntilHold(_)))
}

/// When an endpoint is to be looked at again; `None` if it never was.
fn looked_at(owner: &Owner<'_>, every: u64) -> Option<Stamp> {
    Some(owner.doc.probed?.after(every))
}

/// What probes of this round say about a generation that the dane directory does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Of this lineage.
    pub lineage: String,
    /// This generation.
    pub generation: GenerationId,
    /// End of validity of its leaf, Unix seconds.
    pub not_after: i64,
    /// Where it was presented; empty if no address of any of the lineage's endpoints presents it.
    pub places: BTreeSet<SocketAddr>,
}

/// What the round's views say about generations.
pub fn sightings(model: &Model<'_>) -> Vec<Sighting> {
    model.lineages.values().flat_map(|lineage| sightings_of(model, lineage)).collect()
}

fn sightings_of(model: &Model<'_>, lineage: &Lineage<'_>) -> Vec<Sighting> {
    let Some(served) = lineage.facts.served() else { return Vec::new() };
    let endpoints = || model.owners_of(lineage.name).filter(|owner| owner.endpoint.is_some());
    let views = || endpoints().filter_map(|owner| owner.presents);
    let known = |chain: &Chain| lineage.identify(chain).filter(|generation| generation.id != served.id);
    let mut found: BTreeMap<GenerationId, (i64, BTreeSet<SocketAddr>)> = BTreeMap::new();
    for (address, generation) in views().flat_map(chains).filter_map(|(address, chain)| Some((address, known(chain)?)))
    {
        let new = || (generation.chain.not_after(), BTreeSet::new());
        found.entry(generation.id.clone()).or_insert_with(new).1.insert(*address);
    }
    let complete = |owner: &Owner<'_>| owner.presents.is_some_and(is_complete);
    if endpoints().next().is_some() && endpoints().all(complete) {
        for left in lineage.doc.presented.iter().filter(|presented| presented.left.is_some()) {
            found.entry(left.generation.clone()).or_insert((left.not_after, BTreeSet::new()));
        }
    }
    let sighting =
        |(generation, (not_after, places))| Sighting { lineage: lineage.name.into(), generation, not_after, places };
    found.into_iter().map(sighting).collect()
}

/// Was the generation that the dane directory shows seen at every address of every endpoint, and nothing else?
pub fn sees_served(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    let Some(served) = lineage.facts.served() else { return false };
    let mut endpoints = model.owners_of(lineage.name).filter(|owner| owner.endpoint.is_some()).peekable();
    let shows = |owner: &Owner<'_>| {
        let is_its = |chain: &Chain| lineage.identify(chain).is_some_and(|known| known.id == served.id);
        owner.presents.is_some_and(|view| is_complete(view) && chains(view).all(|(_, chain)| is_its(chain)))
    };
    endpoints.peek().is_some() && endpoints.all(shows)
}

/// Every chain that was seen, with its address.
pub fn chains(view: &EndpointView) -> impl Iterator<Item = (&SocketAddr, &Chain)> {
    let addresses = view.addresses.iter().flatten();
    addresses.flat_map(|(address, seen)| seen.chains.iter().map(move |chain| (address, chain)))
}

/// Did every session at every address come to its end?
fn is_complete(view: &EndpointView) -> bool {
    let known = |seen: &AddressView| seen.unknown.is_none();
    view.addresses.as_ref().is_ok_and(|addresses| !addresses.is_empty() && addresses.values().all(known))
}

/// What probes say against a step after which clients may see the sets of records that `fits` judges.
pub fn blockers(owner: &Owner<'_>, fits: impl Fn(&Chain) -> Result<(), Mismatch>) -> Vec<Reason> {
    let Some(view) = owner.presents else {
        return vec![Reason::NotProbed { owner: owner.query.clone(), due: None }];
    };
    let mut reasons = doubts(owner, view);
    for (address, chain) in chains(view) {
        if let Err(mismatch) = fits(chain) {
            let (owner, certificate) = (owner.query.clone(), describe(chain));
            reasons.push(Reason::Presents { owner, address: *address, certificate, mismatch });
        }
    }
    reasons
}

/// What could not be looked at.
fn doubts(owner: &Owner<'_>, view: &EndpointView) -> Vec<Reason> {
    let unprobed = |address, why: &String| Reason::Unprobed { owner: owner.query.clone(), address, why: why.clone() };
    match &view.addresses {
        Err(why) => vec![unprobed(None, why)],
        Ok(addresses) => {
            let unknown = |(address, seen): (&SocketAddr, &AddressView)| {
                seen.unknown.as_ref().map(|why| unprobed(Some(*address), why))
            };
            addresses.iter().filter_map(unknown).collect()
        }
    }
}

/// Why nobody can tell yet that no process presents a generation any more.
pub fn unsure(model: &Model<'_>, lineage: &Lineage<'_>, presence: Presence) -> Vec<Reason> {
    let endpoints = model.owners_of(lineage.name).filter(|owner| owner.endpoint.is_some());
    let of_endpoint = |owner: &Owner<'_>| match owner.presents {
        Some(view) => doubts(owner, view),
        None => {
            let rest = matches!(presence, Presence::UntilAgreed(_)).then(|| looked_at(owner, WITHOUT_RELOAD)).flatten();
            let due = rest.filter(|rest| *rest > model.now());
            vec![Reason::NotProbed { owner: owner.query.clone(), due }]
        }
    };
    let mut reasons: Vec<Reason> = endpoints.flat_map(of_endpoint).collect();
    // Once the week is over, another look is all that is missing.
    let is_over = |until: Option<Stamp>| until.is_some_and(|until| until <= model.now()) && !reasons.is_empty();
    match presence {
        Presence::UntilAgreed(until) if !is_over(until) => reasons.push(Reason::Unseen { until }),
        _ => {}
    }
    reasons
}

/// A certificate from a service, in a few words.
pub fn describe(chain: &Chain) -> String {
    let name = chain.names.first().map_or("no name", String::as_str);
    format!("{} for {}", GenerationId::of(chain), name.escape_debug())
}

/// How to look at an owner's endpoint; `None` where that is off, or cannot be done.
pub fn endpoint(query: &DnsName, doc: &OwnerDoc, input: Input<'_>, lines: &[(&str, &TlsaLine)]) -> Option<Endpoint> {
    let (port, transport, base) = super::model::endpoint(query);
    let ways = ways(doc, input, lines);
    let protocol = way(port, ways.iter().map(|(_, probe)| *probe)).filter(|_| transport == "tcp")?;
    // Each section means its own services.
    let meant = || ways.iter().filter(|(_, probe)| *probe != Probe::Off).map(|(section, _)| &section.probe_address);
    let by_name = meant().any(Vec::is_empty);
    let at: BTreeSet<_> = meant().flatten().copied().collect();
    Some(Endpoint { base, port, protocol, by_name, at: at.into_iter().collect() })
}

/// The sections that know the endpoint, each with its `probe`: those with a line for it, else those of lineages that we published
/// for here.
fn ways<'a>(doc: &OwnerDoc, input: Input<'a>, lines: &[(&'a str, &TlsaLine)]) -> Vec<(&'a Section, Probe)> {
    let section = |name: &str| input.sections.get(name);
    let with_line = lines.iter().filter_map(|(name, line)| {
        let section = section(name)?;
        Some((section, line.probe.unwrap_or(section.probe)))
    });
    let ways: Vec<_> = with_line.collect();
    match ways.is_empty() {
        true => doc.lineages.iter().filter_map(|name| section(name)).map(|section| (section, section.probe)).collect(),
        false => ways,
    }
}

/// What to speak there: off only if all say so.
fn way(port: u16, ways: impl Iterator<Item = Probe>) -> Option<Protocol> {
    // A protocol that was written down comes before a guess.
    let mut ways: Vec<Probe> = ways.collect();
    ways.sort_by_key(|probe| !matches!(probe, Probe::Protocol(_)));
    ways.into_iter().find_map(|probe| probe.protocol(port))
}
