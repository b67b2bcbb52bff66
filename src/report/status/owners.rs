//! The owners of a lineage: what is there, what ought to be, and whose it is.

use super::{Dnssec, Owner, Presents, Record, RecordState, Server};
use crate::{
    facts::{AddressView, PROVIDER, Security, ServerView},
    journal::{Origin, RecordDoc, RecordState as Done, Shown},
    lineage::GenerationId,
    plan::{
        desired_records,
        model::{self, Lineage, Model},
    },
    small::Set,
    tlsa::{Association, Chain},
};
use std::{collections::BTreeSet, net::SocketAddr};

/// After so many seconds a published record that nobody shows counts as lost.
const LOST: u64 = 60;

/// The owners at which a lineage publishes or published.
pub fn owners(model: &Model<'_>, lineage: Option<&Lineage<'_>>, name: &str) -> Vec<Owner> {
    let mut owners: Vec<Owner> = model.owners_of(name).map(|at| owner(model, lineage, name, at)).collect();
    owners.shrink_to_fit();
    owners
}

fn owner(model: &Model<'_>, lineage: Option<&Lineage<'_>>, name: &str, at: &model::Owner<'_>) -> Owner {
    let chains = chains(lineage);
    let why = at.view.and_then(|view| view.servers.as_ref().err().cloned());
    // Collected from the map itself, which knows how many there are: room for more adds up.
    let servers = at.servers().map(|servers| servers.iter().map(|(address, server)| told_server(*address, server)));
    Owner {
        owner: at.query.clone(),
        target: (at.doc.target != *at.query).then(|| at.doc.target.clone()),
        zone: at.doc.zone.clone(),
        configured: at.configured.contains(name),
        asked: at.doc.asked.map(|asked| asked.elapsed(model.now())),
        why,
        dnssec: dnssec(at.view.map(|view| &view.security)),
        servers: servers.map(Iterator::collect).unwrap_or_default(),
        records: records(model, at, &chains),
        presents: presents(model, at, &chains),
    }
}

/// The generations that can be read: the served one, those that wait, those that may be presented.
fn chains<'a>(lineage: Option<&Lineage<'a>>) -> Vec<(GenerationId, &'a Chain)> {
    let Some(lineage) = lineage else { return Vec::new() };
    let served = lineage.facts.served().map(|generation| &generation.id);
    let live = lineage.facts.live.as_ref().ok().map(|generation| &generation.id);
    let presented = lineage.doc.presented.iter().rev().map(|presented| &presented.generation);
    let all = served.into_iter().chain(lineage.doc.waiting.iter().rev()).chain(live).chain(presented);
    let mut told = BTreeSet::new();
    let ids = all.filter(|id| told.insert((*id).clone()));
    ids.filter_map(|id| Some((id.clone(), lineage.chain(id)?))).collect()
}

fn told_server(address: SocketAddr, server: &ServerView) -> Server {
    let why = match &server.answer {
        Ok(Shown { records: Some(_), .. }) => None,
        Ok(_) => Some("its answer is not known".to_string()),
        Err(why) => Some(why.clone()),
    };
    Server {
        name: server.name.clone(),
        address: (address != PROVIDER).then_some(address),
        serial: server.serial,
        ttl: server.answer.as_ref().ok().map(|shown| shown.ttl),
        why,
    }
}

fn dnssec(security: Option<&Security>) -> Dnssec {
    let (state, why) = match security {
        Some(Security::Secure) => ("secure", None),
        Some(Security::Insecure) => ("insecure", None),
        Some(Security::Bogus(why)) => ("bogus", Some(why.clone())),
        Some(Security::Unknown(why)) => ("unknown", Some(why.clone())),
        None => ("unknown", None),
    };
    Dnssec { state, why }
}

fn records(model: &Model<'_>, at: &model::Owner<'_>, chains: &[(GenerationId, &Chain)]) -> Vec<Record> {
    let shown = |server: &ServerView| server.answer.as_ref().ok().and_then(|shown| shown.records.clone());
    let answers: Vec<Set<Association>> =
        at.servers().into_iter().flatten().filter_map(|(_, server)| shown(server)).collect();
    let desired = desired_records(model, at);
    let all: BTreeSet<&Association> =
        at.doc.records.keys().chain(&desired).chain(answers.iter().flatten()).collect::<BTreeSet<_>>();
    let record = |record: &Association| {
        let doc = at.doc.records.get(record);
        let shown_by = answers.iter().filter(|answer| answer.contains(record)).count();
        let lost = doc.is_some_and(|doc| doc.since.elapsed(model.now()) >= LOST);
        let matching = chains.iter().filter(|(_, chain)| chain.matches(record, &at.base, model.wall()));
        Record {
            record: record.clone(),
            state: state(doc, shown_by, answers.len(), desired.contains(record), lost),
            shown_by,
            generations: matching.map(|(id, _)| id.clone()).collect(),
            lineages: doc.map(|doc| doc.lineages.iter().cloned().collect()).unwrap_or_default(),
        }
    };
    let mut records: Vec<Record> = all.into_iter().map(record).collect();
    records.shrink_to_fit();
    records.sort_by(|a, b| (a.state, &a.record).cmp(&(b.state, &b.record)));
    records
}

/// What is known of a record: `shown_by` of so many `answers`, and `lost` if it should have been there for a while.
fn state(doc: Option<&RecordDoc>, shown_by: usize, answers: usize, desired: bool, lost: bool) -> RecordState {
    match doc {
        None if shown_by > 0 && desired => RecordState::Found,
        None if shown_by > 0 => RecordState::Foreign,
        None => RecordState::Missing,
        Some(doc) if doc.state.going() && !desired => RecordState::Deleting,
        Some(_) if answers > 0 && shown_by == 0 && desired && lost => RecordState::Missing,
        Some(doc) if doc.origin == Origin::Found => RecordState::Found,
        Some(doc) if doc.state == Done::Publishing || shown_by < answers => RecordState::Publishing,
        Some(_) => RecordState::Published,
    }
}

fn presents(model: &Model<'_>, at: &model::Owner<'_>, chains: &[(GenerationId, &Chain)]) -> Vec<Presents> {
    let Some(endpoint) = model.input.facts.endpoints.get(at.query) else { return Vec::new() };
    match &endpoint.addresses {
        Err(why) => vec![Presents { address: None, generations: Vec::new(), others: 0, why: Some(why.clone()) }],
        Ok(addresses) => addresses.iter().map(|(address, view)| presented(*address, view, chains)).collect(),
    }
}

fn presented(address: SocketAddr, view: &AddressView, chains: &[(GenerationId, &Chain)]) -> Presents {
    let leaf = |chain: &Chain| chain.certificates.first().map(|leaf| leaf.der.clone());
    let known = |seen: &Chain| chains.iter().find(|(_, chain)| leaf(chain) == leaf(seen)).map(|(id, _)| id.clone());
    let generations: Vec<GenerationId> = view.chains.iter().filter_map(known).collect();
    let others = view.chains.len() - generations.len();
    Presents { address: Some(address), generations, others, why: view.unknown.clone() }
}
