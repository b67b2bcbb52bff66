//! The facts and the journal, put together by lineage and by owner.

use super::{Input, hosts, presence::Presence, probe, sharing};
use crate::{
    config::{Pin, Section, TlsaLine, Verify},
    facts::{Endpoint, EndpointView, LineageFacts, OwnerView, ServerView},
    journal::{LineageDoc, Origin, OwnerDoc, Presented, Shown, clock::Stamp},
    lineage::{Generation, GenerationId},
    name::DnsName,
    small::{Map, Set},
    tlsa::{Association, Chain, Group, Mismatch, NoIssuer, Param, satisfied},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// Least wait before a switch where `ttl` is not set, seconds.
const FLOOR: u64 = 3600;
/// The same with `verify = provider`.
const FLOOR_BY_PROVIDER: u64 = 86_400;

/// Everything about all lineages and owners.
pub struct Model<'a> {
    /// What it was made from.
    pub input: Input<'a>,
    /// Lineages with files, by name.
    pub lineages: BTreeMap<&'a str, Lineage<'a>>,
    /// Owners by query name.
    pub owners: BTreeMap<&'a DnsName, Owner<'a>>,
    owned: BTreeMap<&'a str, Set<&'a DnsName>>,
    /// Query names of the `tlsa` lines of each section, also of one that is withdrawn.
    lined: Lined<'a>,
    /// Query names by where they lead.
    pub(super) targets: BTreeMap<&'a DnsName, Vec<&'a DnsName>>,
}

/// The lines of each section.
type Lines<'a> = BTreeMap<&'a str, Cow<'a, [TlsaLine]>>;
/// The lineages with a `tlsa` line for each query name, and the lines.
type ByQuery<'a, 'b> = BTreeMap<DnsName, Vec<(&'a str, &'b TlsaLine)>>;
/// The query names of each lineage's lines.
type Lined<'a> = BTreeMap<&'a str, Set<DnsName>>;

fn by_query<'a, 'b>(lines: &'b Lines<'a>) -> (ByQuery<'a, 'b>, Lined<'a>) {
    let (mut found, mut lined) = (ByQuery::new(), Lined::new());
    for (name, lines) in lines {
        let queries = lines.iter().filter_map(|line| Some((line.query_name().ok()?, line)));
        let of_lineage = queries.map(|(query, line)| {
            found.entry(query.clone()).or_default().push((*name, line));
            query
        });
        lined.insert(*name, of_lineage.collect());
    }
    (found, lined)
}

/// A lineage.
#[derive(Clone, Copy)]
pub struct Lineage<'a> {
    /// Its name in `live/`.
    pub name: &'a str,
    /// Its section, unless it left the configuration or has errors there.
    pub section: Option<&'a Section>,
    /// Its files.
    pub facts: &'a LineageFacts,
    /// What we remember.
    pub doc: &'a LineageDoc,
    /// Can probes tell what is presented at one of its owners at least?
    pub probed: bool,
}

/// An owner.
pub struct Owner<'a> {
    /// The TLSA query name.
    pub query: &'a DnsName,
    /// What we remember.
    pub doc: &'a OwnerDoc,
    /// What was seen in this round.
    pub view: Option<&'a OwnerView>,
    /// How to look at its endpoint; `None` where that is off, or cannot be done.
    pub endpoint: Option<Endpoint>,
    /// What its endpoint presented in this round.
    pub presents: Option<&'a EndpointView>,
    /// Lineages with a `tlsa` line for it.
    pub configured: Set<&'a str>,
    /// Base domain that clients connect to.
    pub base: DnsName,
    /// The parameters to publish for every chain: those of all lines for this owner, since a chain must match in every group.
    pub params: Set<Param>,
    /// Our records that are on their way out; they count as absent.
    pub going: Set<Association>,
    /// Groups that are ours where its name leads, because of other query names that lead there.
    pub(super) beside: Set<Group>,
}

impl<'a> Model<'a> {
    /// Puts it together.
    pub fn new(input: Input<'a>) -> Model<'a> {
        let Input { sections, facts, journal, .. } = input;
        let lineage = |(name, facts): (&'a String, &'a LineageFacts)| {
            let doc = journal.lineages.get(name)?;
            Some((name.as_str(), Lineage { name, section: sections.get(name), facts, doc, probed: false }))
        };
        let mut lineages: BTreeMap<&str, Lineage<'_>> = facts.lineages.iter().filter_map(lineage).collect();
        let expanded = hosts::expanded(sections, facts, journal);
        let (lines, lined) = by_query(&expanded);
        let owner = |(query, doc): (&'a DnsName, &'a OwnerDoc)| {
            let lines = lines.get(query).map_or(&[][..], Vec::as_slice);
            (query, Owner::new(query, doc, input, lines))
        };
        let mut owners: BTreeMap<&DnsName, Owner<'_>> = journal.owners.iter().map(owner).collect();
        let targets = sharing::targets(&owners);
        targets.values().for_each(|queries| sharing::share(&mut owners, queries));
        let mut owned: BTreeMap<&str, Set<&DnsName>> = BTreeMap::new();
        for owner in owners.values().filter(|owner| owner.doc.left_behind.is_none()) {
            for lineage in owner.concerned() {
                owned.entry(lineage).or_default().insert(owner.query);
            }
        }
        for (name, lineage) in &mut lineages {
            let mut owners = owned.get(name).into_iter().flatten().filter_map(|query| owners.get(query));
            lineage.probed = owners.any(|owner| owner.endpoint.is_some());
        }
        Model { input, lineages, owners, owned, lined, targets }
    }

    /// The moment of the facts.
    pub fn now(&self) -> Stamp {
        self.input.facts.now
    }

    /// Unix time of the facts.
    pub fn wall(&self) -> i64 {
        self.input.facts.wall
    }

    /// The owners whose answers must match before the lineage switches: those of its section, and those at which we ever
    /// published for it.
    pub fn owners_of(&self, lineage: &str) -> impl Iterator<Item = &Owner<'a>> {
        self.owned.get(lineage).into_iter().flatten().filter_map(|query| self.owners.get(query))
    }

    /// The owners that still have a say before a withdrawn lineage goes back to `live/`: those of its `tlsa` lines, where `live/` shows
    /// another generation than services read. That we know of no record there (the journal may be lost) does not mean that
    /// there is none.
    pub fn parting(&self, lineage: &Lineage<'a>) -> impl Iterator<Item = &Owner<'a>> {
        let queries = self.lined.get(lineage.name).filter(|_| lineage.parts());
        queries.into_iter().flatten().filter_map(|query| self.owners.get(query))
    }

    /// The generations that may be presented at an owner, with their lineage; the chain is missing where it cannot be read.
    /// Lineages that leave DANE count as well: they are presented all the same.
    pub fn presented_at(&self, owner: &Owner<'a>) -> Vec<(Lineage<'a>, &'a Presented, Option<&'a Chain>)> {
        let mut found = Vec::new();
        for lineage in owner.concerned().iter().filter_map(|name| self.lineages.get(name)) {
            let may =
                lineage.doc.presented.iter().filter(|p| lineage.presence(p, self.now(), self.wall()) != Presence::Gone);
            found.extend(may.map(|p| (*lineage, p, lineage.chain(&p.generation))));
        }
        found
    }

    /// Least wait before a switch of the lineage, seconds.
    pub fn floor(&self, lineage: &Lineage<'_>) -> u64 {
        floor(self.input.config.ttl, lineage.section)
    }
}

/// Least wait before a switch, seconds: the operator's `ttl`, else by who says that records are up.
pub fn floor(ttl: Option<u64>, section: Option<&Section>) -> u64 {
    let by_provider = section.is_some_and(|section| section.verify == Verify::Provider);
    ttl.unwrap_or(if by_provider { FLOOR_BY_PROVIDER } else { FLOOR })
}

impl<'a> Lineage<'a> {
    /// The chain of a generation that can still be read.
    pub fn chain(&self, id: &GenerationId) -> Option<&'a Chain> {
        self.facts.generation(id).map(|generation| &generation.chain)
    }

    /// Does its provider make several changes at one owner visible together? Not known without a section.
    pub fn changes_at_once(&self) -> bool {
        self.section.is_some_and(|section| section.api.changes_at_once())
    }

    /// Does it leave DANE, and is another certificate presented when it has?
    pub fn parts(&self) -> bool {
        let served = self.facts.served().map(|served| &served.id);
        let live = self.facts.live.as_ref().ok().map(|live| &live.id);
        self.section.is_some() && self.doc.withdrawn && served.is_some() && served != live
    }

    /// Is a rollover under way, or is anything else of it left?
    pub fn is_settled(&self) -> bool {
        self.doc.is_settled()
    }

    /// Is its dane directory to stay on a generation also when idle? A lineage without a section stays where it is.
    pub fn stays_pinned(&self, dane_group: bool) -> bool {
        match self.section {
            None => true,
            Some(section) => section.pin == Pin::Always || section.bundle || dane_group,
        }
    }

    /// The generation that a chain from a service belongs to: the served one, or another whose files are known.
    pub fn identify(&self, chain: &Chain) -> Option<&'a Generation> {
        let leaf = |generation: &&Generation| generation.chain.certificates[0].der == chain.certificates[0].der;
        let known = self.facts.served().into_iter().chain(self.facts.live.as_ref().ok());
        known.chain(self.facts.stored.values()).find(leaf)
    }
}

impl<'a> Owner<'a> {
    fn new(query: &'a DnsName, doc: &'a OwnerDoc, input: Input<'a>, lines: &[(&'a str, &TlsaLine)]) -> Owner<'a> {
        let Input { facts, journal, .. } = input;
        let active = |name: &str| !journal.lineages.get(name).is_some_and(|doc| doc.withdrawn);
        let (_, _, base) = endpoint(query);
        let endpoint = probe::endpoint(query, doc, input, lines);
        let lines = lines.iter().filter(|(name, _)| active(name));
        let configured: Set<&str> = lines.clone().map(|(name, _)| *name).collect();
        let params: Set<Param> = lines.map(|(_, line)| line.param).collect();
        let (view, presents) = (facts.owners.get(query), facts.endpoints.get(query));
        let going = doc.going();
        let mut owner =
            Owner { query, doc, view, endpoint, presents, configured, base, params, going, beside: Set::new() };
        owner.params.extend(owner.foreign_types());
        owner
    }

    /// Further digest types that others put into one of our groups: a client that knows them would ignore ours. Records that
    /// we found are theirs in this, for they stay.
    fn foreign_types(&self) -> Vec<Param> {
        let foreign = self.doc.servers.values().filter_map(|server| server.now.as_ref()?.records.as_ref()).flatten();
        let published =
            |record: &Association| self.doc.records.get(record).is_some_and(|doc| doc.origin == Origin::Published);
        let foreign = foreign.filter(|record| !published(record));
        let kinds: BTreeSet<(Group, u8)> = foreign.map(|record| (record.group(), record.matching)).collect();
        let further = |param: &Param| {
            let matching = kinds.iter().filter(|(group, _)| *group == param.group()).map(|(_, matching)| *matching);
            matching.filter_map(|matching| param.with_matching(matching)).collect::<Vec<_>>()
        };
        self.params.iter().flat_map(further).collect()
    }

    /// The lineages for which it must match before they switch.
    pub fn concerned(&self) -> Set<&'a str> {
        let published = self.doc.lineages.iter().map(String::as_str);
        published.chain(self.configured.iter().copied()).collect()
    }

    /// The groups in which a chain must have a record here.
    pub fn required(&self) -> Set<Group> {
        self.params.iter().map(|param| param.group()).collect()
    }

    /// The groups that are ours here: required ones, and those of our records, also of deleted ones while caches hold them.
    pub fn ours(&self) -> Set<Group> {
        let published = self.doc.records.keys().map(Association::group);
        let kept = self.doc.groups.iter().chain(&self.beside).copied();
        self.required().into_iter().chain(published).chain(kept).collect()
    }

    /// Does an answer match a chain, with a record for every one of the parameters? What is not there yet can come at any
    /// moment, for another chain first.
    pub fn matches(&self, records: &Set<Association>, chain: &Chain, wall: i64) -> Result<(), Mismatch> {
        satisfied(records, chain, &self.base, wall, &self.required(), &self.ours())?;
        let lacks = |param: &&Param| records.iter().all(|record| record.kind() != (param.group(), param.matching()));
        match self.params.iter().find(lacks) {
            Some(param) => Err(Mismatch::Wrong(param.group(), param.matching())),
            None => Ok(()),
        }
    }

    /// Does an answer match a chain as far as it has records of ours at all?
    pub fn tolerates(&self, records: &Set<Association>, chain: &Chain, wall: i64) -> Result<(), Mismatch> {
        satisfied(records, chain, &self.base, wall, &Set::new(), &self.ours())
    }

    /// Does an answer match a chain in every group that it has, whosever they are?
    pub fn matches_all_groups(&self, records: &Set<Association>, chain: &Chain, wall: i64) -> Result<(), Mismatch> {
        let groups = records.iter().map(Association::group).collect();
        satisfied(records, chain, &self.base, wall, &Set::new(), &groups)
    }

    /// What a chain publishes here.
    pub fn associations(&self, chain: &Chain) -> impl Iterator<Item = (Param, Result<Association, NoIssuer>)> {
        self.params.iter().map(|param| (*param, chain.association(*param)))
    }

    /// The addresses, if they could be found.
    pub fn servers(&self) -> Option<&'a Map<SocketAddr, ServerView>> {
        self.view?.servers.as_ref().ok()
    }

    /// The records that each answering address shows.
    pub fn shown(&self) -> impl Iterator<Item = (SocketAddr, &'a ServerView, &'a Set<Association>)> {
        let servers = self.servers().into_iter().flatten();
        servers.filter_map(|(address, server)| match &server.answer {
            Ok(Shown { records: Some(records), .. }) => Some((*address, server, records)),
            _ => None,
        })
    }

    /// The same without those on their way out.
    pub fn answers(&self) -> Vec<(SocketAddr, &'a ServerView, Cow<'a, Set<Association>>)> {
        let staying = |records: &'a Set<Association>| match self.going.is_empty() {
            true => Cow::Borrowed(records),
            false => Cow::Owned(records.difference(&self.going).cloned().collect()),
        };
        self.shown().map(|(address, server, records)| (address, server, staying(records))).collect()
    }

    /// The addresses whose answer is unknown, with the reason.
    pub fn silent(&self) -> Vec<(SocketAddr, &'a ServerView, &'a str)> {
        let servers = self.servers().into_iter().flatten();
        let why = |(address, server): (&SocketAddr, &'a ServerView)| match &server.answer {
            Err(why) => Some((*address, server, why.as_str())),
            Ok(Shown { records: None, .. }) => Some((*address, server, "its answer is not known")),
            Ok(_) => None,
        };
        servers.filter_map(why).collect()
    }
}

/// Port, protocol and base domain of a TLSA query name (RFC 6698 section 3).
pub fn endpoint(query: &DnsName) -> (u16, String, DnsName) {
    let mut labels = query.as_str().splitn(3, '.');
    let mut label = || labels.next().unwrap_or_default();
    let (port, protocol, base) = (label(), label(), label());
    let port = port.trim_start_matches('_').parse().unwrap_or(0);
    (port, protocol.trim_start_matches('_').to_string(), base.parse().unwrap_or_else(|_| query.clone()))
}
