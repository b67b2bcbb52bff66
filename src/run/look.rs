//! One look at the world, as far as something hangs on it.

use super::{Mode, Run};
use crate::{
    config::{Section, Verify, Wanted as Line},
    facts::{
        Endpoint, EndpointView, Facts, LineageFacts, MailHosts, NoHosts, OwnerView, PROVIDER, Security, Served,
        ServerView,
    },
    hosts::Hosts,
    journal::{Journal, Presented, RecordState, Shown, clock::Stamp},
    lineage::layout::has_bundle,
    name::DnsName,
    observe::{
        authority::{self, Wanted},
        discover::{Authorities, Resolver},
        dnssec::{Memory, Validator},
        endpoints, files, hosts, in_place,
        remember::{Configured, remember},
    },
    plan::{
        self, Input, Plan,
        hosts::expanded,
        model::{Model, Owner, floor},
        probe::{self, Sighting},
    },
    small::{Map, Set},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

/// Found servers are looked up again after this many seconds.
const SERVERS_FRESH: u64 = 60;

/// For all sessions at one address of a service.
const PROBE_LIMIT: Duration = Duration::from_secs(30);
/// A view of a service is good for so long within a run, unless something was reloaded meanwhile, seconds.
const VIEWS_FRESH: u64 = 20;
/// Files are good for so long from one step of a run to the next, unless it changed them itself, seconds: a run that stays sees
/// renewals. Each step about files looks at what it is about to replace once more, under the lineage's lock.
const FILES_FRESH: u64 = 20;

type Views = BTreeMap<DnsName, OwnerView>;

/// What one run has found out about name servers and services.
#[derive(Default)]
pub struct Known {
    /// Views of endpoints, each with its time.
    pub endpoints: BTreeMap<DnsName, (Stamp, EndpointView)>,
    /// What follows from the last look, where that was worked out at its end.
    pub planned: Option<Plan>,
    /// The files of lineages that are as they were, and when the first of them were looked at.
    files: Option<(Stamp, BTreeMap<String, LineageFacts>)>,
    servers: BTreeMap<DnsName, Rc<Authorities>>,
    mail: BTreeMap<DnsName, Result<MailHosts, NoHosts>>,
    validator: Option<Rc<Validator>>,
    pub(super) verified: Option<Rc<Memory>>,
    since: Option<Stamp>,
}

impl Known {
    /// Keeps what was seen of files for the next look, but for these lineages, which a step was about. What a client is writing, or
    /// has not finished, and what is not as it ought to be, is looked at each time.
    pub(super) fn keep_files(&mut self, mut lineages: BTreeMap<String, LineageFacts>, changed: &BTreeSet<&str>) {
        let is_plain = |facts: &LineageFacts| {
            let stands = matches!(facts.served, Served::Live | Served::Pinned(_));
            stands && facts.live.is_ok() && !facts.in_place && facts.unlinked.is_empty()
        };
        lineages.retain(|name, facts| !changed.contains(name.as_str()) && is_plain(facts));
        if let Some((_, kept)) = &mut self.files {
            *kept = lineages;
        }
    }
}

impl Run<'_> {
    /// Looks at files, then at the name servers of those owners on which something hangs, and takes it all into the journal.
    pub(super) fn look(&self, journal: &mut Journal, known: &mut Known) -> Facts {
        let now = journal.clock.read(self.env.boot());
        let lineages = self.all_files(journal, known, now);
        known.planned = None;
        let mut facts = Facts { now, wall: self.env.wall(), lineages, ..Facts::empty() };
        if known.since.is_none_or(|since| since.elapsed(now) >= SERVERS_FRESH) {
            let (endpoints, verified) = (std::mem::take(&mut known.endpoints), known.verified.take());
            let files = known.files.take();
            *known = Known { endpoints, verified, files, since: Some(now), ..Known::default() };
        }
        facts.mail = self.mail(known);
        self.remember(journal, &facts);
        let due = self.due(journal, &facts);
        facts.owners = self.ask(journal, &facts, &due, known);
        facts.now = journal.clock.read(self.env.boot());
        facts.wall = self.env.wall();
        self.remember(journal, &facts);
        self.probe(journal, &mut facts, known);
        facts
    }

    /// The files of all lineages, as far as they are not known from a look shortly before.
    fn all_files(&self, journal: &Journal, known: &mut Known, now: Stamp) -> BTreeMap<String, LineageFacts> {
        let names: BTreeSet<&String> = self.sections.keys().chain(journal.lineages.keys()).collect();
        let fresh = known.files.take().filter(|(since, _)| since.elapsed(now) < FILES_FRESH);
        let (since, mut before) = fresh.unwrap_or((now, BTreeMap::new()));
        known.files = Some((since, BTreeMap::new()));
        let look = |name: &String| files::lineage(self.env, &self.places, name, self.bundle(name));
        let lineage = |name: &String| (name.clone(), before.remove(name).unwrap_or_else(|| look(name)));
        let mut lineages = names.into_iter().map(lineage).collect();
        in_place::look_again(self.env, &self.places, &mut lineages, |name| self.bundle(name));
        in_place::believe(&mut lineages, journal, now);
        lineages
    }

    /// Looks at the services that a step waits for. The facts keep the time of the answers, which are the older part.
    fn probe(&self, journal: &mut Journal, facts: &mut Facts, known: &mut Known) {
        let deletes = match self.mode {
            Mode::Plain => true,
            Mode::Post | Mode::Deploy(_) => false,
            Mode::Reset => return,
        };
        // Where nothing was asked, nothing is under way.
        if facts.owners.is_empty() {
            return;
        }
        known.endpoints.retain(|_, (at, _)| at.elapsed(facts.now) < VIEWS_FRESH);
        facts.endpoints = known.endpoints.iter().map(|(query, (_, view))| (query.clone(), view.clone())).collect();
        let (wanted, plan) = {
            let model = Model::new(Input { config: self.config, sections: &self.sections, facts, journal });
            let plan = plan::of_model(&model);
            (probe::wanted(&model, &plan, deletes), plan)
        };
        // Where nothing more is looked at, no other plan follows.
        known.planned = wanted.is_empty().then_some(plan);
        self.visit(journal, facts, known, &wanted);
    }

    /// Looks at these endpoints, and takes down what that tells.
    pub(super) fn visit(
        &self,
        journal: &mut Journal,
        facts: &mut Facts,
        known: &mut Known,
        wanted: &BTreeMap<DnsName, Endpoint>,
    ) {
        if wanted.is_empty() {
            return;
        }
        tracing::info!(endpoints = wanted.len(), "looking at what services present");
        let views = endpoints::views(self.env, &self.resolver(known), wanted, PROBE_LIMIT);
        let at = journal.clock.read(self.env.boot());
        for (query, view) in views {
            if let Some(owner) = journal.owners.get_mut(&query) {
                owner.probed = Some(at);
            }
            known.endpoints.insert(query.clone(), (at, view.clone()));
            facts.endpoints.insert(query, view);
        }
        // That a generation was not seen holds from the oldest of the views on.
        let oldest = known.endpoints.values().map(|(at, _)| *at).min().unwrap_or(at);
        let (sightings, installed): (_, Vec<String>) = {
            let model = Model::new(Input { config: self.config, sections: &self.sections, facts, journal });
            let seen = model.lineages.values().filter(|lineage| probe::sees_served(&model, lineage));
            (probe::sightings(&model), seen.map(|lineage| lineage.name.to_owned()).collect())
        };
        sightings.into_iter().for_each(|sighting| take_down(journal, sighting, at, oldest));
        for name in installed {
            journal.lineages.entry(name).and_modify(|doc| doc.uninstalled = None);
        }
    }

    /// The configured resolvers, or the system's, and who judges what they say.
    fn resolver(&self, known: &mut Known) -> Resolver<'_> {
        let resolvers = self.config.resolvers_or_system(self.env).unwrap_or_else(|why| {
            tracing::warn!("no resolver: {why}");
            Vec::new()
        });
        let Known { validator, verified, .. } = known;
        let read = || Rc::new(Memory::read(&self.env.read(&self.verified()).unwrap_or_default()));
        let new = || {
            let validator = Validator::new(self.config.dnssec, self.config.trust_anchor.as_ref());
            Rc::new(validator.remembering(verified.get_or_insert_with(read).clone()))
        };
        Resolver::new(self.env, resolvers).judging(validator.get_or_insert_with(new).clone())
    }

    /// The mail hosts of all domains that a `tlsa` line names so.
    fn mail(&self, known: &mut Known) -> BTreeMap<DnsName, Result<MailHosts, NoHosts>> {
        let wanted = self.sections.values().flat_map(|section| &section.wanted);
        let domain = |wanted: &Line| match &wanted.hosts {
            Hosts::Mx(domain) => Some(domain.clone()),
            Hosts::San => None,
        };
        let domains: BTreeSet<DnsName> = wanted.filter_map(domain).filter(|d| !known.mail.contains_key(d)).collect();
        if !domains.is_empty() {
            let found = hosts::mail(&self.resolver(known), &domains);
            known.mail.extend(found);
        }
        known.mail.clone()
    }

    /// Is there to be a bundle for the lineage?
    pub(super) fn bundle(&self, lineage: &str) -> bool {
        let section = self.sections.get(lineage).map(|section| section.bundle);
        has_bundle(self.env, &self.places.dane(lineage), section)
    }

    /// Takes facts into the journal.
    pub(super) fn remember(&self, journal: &mut Journal, facts: &Facts) {
        let floors = self.sections.values().map(|section| floor(self.config.ttl, Some(section)));
        let floor = floors.max().unwrap_or_else(|| floor(self.config.ttl, None));
        let found = hosts::found(journal, facts, &self.sections, floor);
        let mut configured = Configured::new();
        let mut known = Cow::Borrowed(&*journal);
        for (name, found) in found.iter().filter(|(_, found)| !found.is_empty()) {
            // A copy: what is remembered of a lineage has to begin with its files.
            known.to_mut().lineages.entry(name.clone()).or_default().hosts.clone_from(found);
        }
        for (name, lines) in expanded(&self.sections, facts, &known) {
            for query in lines.iter().filter_map(|line| line.query_name().ok()) {
                configured.entry(query).or_default().insert(name.to_owned());
            }
        }
        let hooks = self.sections.iter().filter(|(_, section)| section.hook.is_some());
        let fresh: Vec<String> =
            hooks.clone().map(|(name, _)| name.clone()).filter(|name| !journal.lineages.contains_key(name)).collect();
        let unseen = hooks.filter_map(|(_, section)| Some(section.hook.as_ref()?.unseen_ttl)).max();
        remember(journal, facts, unseen.or(self.config.ttl), floor, &configured);
        for name in fresh {
            journal.lineages.entry(name).and_modify(|doc| doc.uninstalled = Some(facts.now));
        }
        for (name, found) in found {
            if let Some(doc) = journal.lineages.get_mut(&name) {
                doc.hosts = found;
            }
        }
    }

    /// The owners to ask for now: those that are part of something under way, and those not looked at for long.
    fn due(&self, journal: &Journal, facts: &Facts) -> BTreeSet<DnsName> {
        let input = Input { config: self.config, sections: &self.sections, facts, journal };
        let model = Model::new(input);
        let parting: BTreeSet<&DnsName> =
            model.lineages.values().flat_map(|lineage| model.parting(lineage)).map(|owner| owner.query).collect();
        let is_due = |owner: &&Owner<'_>| {
            let lineages = owner.configured.iter().copied().chain(owner.doc.lineages.iter().map(String::as_str));
            let mut lineages = lineages.filter_map(|name| model.lineages.get(name));
            let recheck = owner.configured.iter().filter_map(|name| self.sections.get(*name)?.recheck.into()).min();
            let long_ago = owner.doc.asked.is_none_or(|asked| {
                recheck.is_some_and(|recheck| recheck > 0 && asked.elapsed(model.now()) >= recheck)
            });
            long_ago
                || parting.contains(owner.query)
                || lineages.any(|lineage| !lineage.is_settled() || !lineage.is_installed() || lineage.doc.withdrawn)
                || differs(&model, owner)
        };
        let due = model.owners.values().filter(is_due);
        // What is done for one name that leads to an RRset concerns all that do.
        due.flat_map(|owner| model.sharing(owner)).map(|owner| owner.query.clone()).collect()
    }

    /// Asks for these owners: the name servers, or the journal where the provider's word is taken.
    fn ask(&self, journal: &Journal, facts: &Facts, due: &BTreeSet<DnsName>, known: &mut Known) -> Views {
        let mut views = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        let mut concerned: BTreeMap<DnsName, Vec<&Section>> = BTreeMap::new();
        for (name, lines) in expanded(&self.sections, facts, journal) {
            for query in lines.iter().filter_map(|line| line.query_name().ok()) {
                concerned.entry(query).or_default().extend(self.sections.get(name));
            }
        }
        for query in due {
            let sections = || concerned.get(query).into_iter().flatten().copied();
            // One that has the name servers asked is not to go by less because another does.
            if sections().next().is_some() && sections().all(|section| section.verify == Verify::Provider) {
                views.insert(query.clone(), providers_word(journal, query));
                continue;
            }
            let nameservers: BTreeSet<_> = sections().flat_map(|section| &section.nameservers).cloned().collect();
            let now = Stamp(journal.clock.total);
            let servers = journal.owners.get(query).into_iter().flat_map(|owner| &owner.servers);
            let servers = servers.filter(|(_, server)| !server.has_left(now));
            let remembered = servers.map(|(address, server)| (*address, server.name.clone())).collect();
            wanted.insert(query.clone(), Wanted { nameservers: nameservers.into_iter().collect(), remembered });
        }
        if wanted.is_empty() {
            return views;
        }
        tracing::debug!(owners = wanted.len(), "asking the name servers");
        views.extend(authority::views(self.env, &self.resolver(known), &mut known.servers, &wanted));
        views
    }
}

/// Takes down what a probe told about a generation.
fn take_down(journal: &mut Journal, sighting: Sighting, at: Stamp, oldest: Stamp) {
    let Sighting { lineage, generation, not_after, places } = sighting;
    let Some(doc) = journal.lineages.get_mut(&lineage) else { return };
    let known = doc.presented.iter().position(|presented| presented.generation == generation);
    let place = match known {
        Some(place) => place,
        None => {
            // Not known to have been served: it is presented all the same, so its records are needed.
            doc.presented.insert(0, Presented::new(generation, not_after, Some(at), 0));
            0
        }
    };
    match places.is_empty() {
        true => doc.presented[place].no_sight(oldest),
        false => doc.presented[place].sight(at, places),
    }
}

/// Are our records others than those that ought to be there, or is one of them on its way, or yet to be seen?
fn differs(model: &Model<'_>, owner: &Owner<'_>) -> bool {
    let desired: Set<_> = crate::plan::desired_records(model, owner);
    let ours: Set<_> = owner.doc.records.keys().cloned().collect();
    desired != ours || owner.doc.records.values().any(|doc| doc.state != RecordState::Published || doc.is_unseen())
}

/// With `verify = provider`: what the provider said it published is there.
pub(super) fn providers_word(journal: &Journal, query: &DnsName) -> OwnerView {
    let docs = journal.owners.get(query).into_iter().flat_map(|owner| &owner.records);
    let up = docs.filter(|(_, doc)| doc.state == RecordState::Published).map(|(record, _)| record.clone());
    let answer = Ok(Shown { records: Some(up.collect()), ttl: 0 });
    let name = "the provider's word".to_string();
    let server = ServerView { name, answer, bogus: false, serial: None, listed: true, ns_ttl: 0, no_route: false };
    let servers = Ok(Map::from([(PROVIDER, server)]));
    let security = Security::Unknown("no name server was asked".into());
    OwnerView { target: query.clone(), zone: None, servers, by_provider: true, security }
}
