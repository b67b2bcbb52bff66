//! `daneroll status`: looks at files, journal and the last run's report, and writes nothing.

use super::{FAILED, Report, Run, look::Known, recall::Recalled};
use crate::{
    cli::{Arguments, Command, Hints},
    config::{self, System, Unreadable},
    env::Env,
    facts::{Facts, LineageFacts, Served},
    idna,
    journal::{Journal, clock::Clock, store::Store},
    observe::{files, in_place},
    plan::{Input, check::check, model::Model, plan},
    report::status::{Sources, make, text},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    io::ErrorKind,
};

/// The journal as it is now, a copy to think with.
struct Memory {
    journal: Journal,
    /// No part of it could be read.
    blind: bool,
    /// Parts of it could not be read.
    damaged: bool,
}

impl Run<'_> {
    /// What is served, pending and published, and what is awaited.
    pub(super) fn status(&self, wanted: &[String], live: bool) -> Report {
        let mut problems = self.closed_places();
        let Memory { mut journal, blind, damaged } = self.memory(&mut problems);
        let recalled = self.recall().unwrap_or_else(|why| {
            problems.extend((!blind).then_some(why));
            Recalled::default()
        });
        let known: BTreeSet<String> = journal.lineages.keys().cloned().collect();
        let facts = match live {
            true => self.look_at_all(&mut journal),
            false => self.remembered_facts(&mut journal, &recalled),
        };
        let names = self.told(wanted, &known, &mut problems);
        let file = |name: &String| facts.lineages.get(name).map_or_else(|| Cow::Owned(self.files(name)), Cow::Borrowed);
        let input = Input { config: self.config, sections: &self.sections, facts: &facts, journal: &journal };
        let plan = check(input, plan(input));
        for problem in &problems {
            tracing::error!("{problem}");
        }
        let status = make(Sources {
            input,
            plan: &plan,
            live,
            files: names.iter().map(|name| (name.clone(), file(name))).collect(),
            fresh: self.sections.keys().filter(|name| !damaged && !known.contains(*name)).cloned().collect(),
            blind,
            unconfigured: self.unconfigured(&known).cloned().collect(),
            problems,
            last_run: recalled.last_run,
        });
        let exit = if status.problems.is_empty() { 0 } else { FAILED };
        let text = match self.arguments.json {
            true => serde_json::to_string_pretty(&status).unwrap_or_default() + "\n",
            false => text::text(&status, !wanted.is_empty(), text::Paint::for_terminal()),
        };
        Report { text, ..Report::exit(exit) }
    }

    /// Directories that must be readable and are not. One that is not there yet is no matter.
    fn closed_places(&self) -> Vec<String> {
        let closed = |dir| match self.env.list(dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Some(format!("cannot look into {error}")),
            _ => None,
        };
        [&self.places.live, &self.places.dane].into_iter().filter_map(|dir| closed(dir)).collect()
    }

    fn memory(&self, problems: &mut Vec<String>) -> Memory {
        match Store::look(self.env, &self.places.state) {
            Ok(store) => {
                problems.extend_from_slice(&store.damaged);
                Memory { blind: false, damaged: !store.damaged.is_empty(), journal: store.into_journal() }
            }
            Err(error) => {
                problems.push(format!("cannot read the journal: {error}"));
                let clock = Clock::start(self.env.boot());
                let journal = Journal { clock, lineages: BTreeMap::new(), owners: BTreeMap::new() };
                Memory { journal, blind: true, damaged: true }
            }
        }
    }

    /// Files are looked at; of name servers this is what the last runs saw.
    fn remembered_facts(&self, journal: &mut Journal, recalled: &Recalled) -> Facts {
        let now = journal.clock.read(self.env.boot());
        let names: BTreeSet<&String> = self.sections.keys().chain(journal.lineages.keys()).collect();
        let mut lineages = names.into_iter().map(|name| (name.clone(), self.files(name))).collect();
        in_place::believe(&mut lineages, journal, now);
        let mut facts = Facts { now, wall: self.env.wall(), lineages, ..Facts::empty() };
        facts.mail = recalled.mail();
        self.remember(journal, &facts);
        let views = recalled.views(journal, |ip| self.env.has_route(ip));
        // What a provider said last is in the journal itself, and may be news to it.
        facts.owners =
            views.iter().filter(|(_, view)| view.by_provider).map(|(q, view)| (q.clone(), view.clone())).collect();
        let asked: Vec<_> = journal.owners.values().map(|owner| (owner.query.clone(), owner.asked)).collect();
        self.remember(journal, &facts);
        for (query, asked) in asked {
            journal.owners.entry(query).and_modify(|owner| owner.asked = asked);
        }
        (facts.owners, facts.endpoints) = (views, recalled.endpoints());
        facts
    }

    /// Asks for all owners, also for those not due, and looks at all of their services.
    fn look_at_all(&self, journal: &mut Journal) -> Facts {
        journal.owners.values_mut().for_each(|owner| owner.asked = None);
        let mut known = Known::default();
        let mut facts = self.look(journal, &mut known);
        let rest = {
            let input = Input { config: self.config, sections: &self.sections, facts: &facts, journal };
            let model = Model::new(input);
            let unseen = model.owners.values().filter(|owner| owner.presents.is_none());
            unseen.filter_map(|owner| Some((owner.query.clone(), owner.endpoint.clone()?))).collect()
        };
        self.visit(journal, &mut facts, &mut known, &rest);
        for (name, files) in &mut facts.lineages {
            self.see_closed(name, files);
        }
        facts
    }

    fn files(&self, name: &str) -> LineageFacts {
        let bundle = self.sections.get(name).is_some_and(|section| section.bundle);
        let mut files = files::lineage(self.env, &self.places, name, bundle);
        self.see_closed(name, &mut files);
        files
    }

    /// A dane directory that may not be looked into is not one that is missing.
    fn see_closed(&self, name: &str, files: &mut LineageFacts) {
        if files.served == Served::Missing
            && let Err(error) = self.env.stat(&self.places.dane(name), true)
            && error.kind() != ErrorKind::NotFound
        {
            files.served = Served::Unknown(error.to_string());
        }
    }

    /// The lineages to tell of; all that have a section or are remembered, if none is wanted by name.
    fn told(&self, wanted: &[String], known: &BTreeSet<String>, problems: &mut Vec<String>) -> BTreeSet<String> {
        let matched: HashSet<&String> = self.sections.values().map(|section| &section.name).collect();
        let unmatched = self.config.sections.iter().map(|section| &section.name).filter(|name| !matched.contains(name));
        let spelt = |broken: &String| {
            let same = |name: &&String| idna::same(name, broken);
            self.live.iter().chain(known).find(same).unwrap_or(broken).clone()
        };
        let all = self.sections.keys().chain(known).chain(unmatched).cloned();
        let all: BTreeSet<String> = all.chain(self.config.broken.iter().map(spelt)).collect();
        if wanted.is_empty() {
            return all;
        }
        let find = |wanted: &String| {
            let found = all.get(wanted).or_else(|| all.iter().find(|name| idna::same(name, wanted)));
            found.cloned().ok_or_else(|| self.no_such(wanted, &all))
        };
        let (found, unknown): (Vec<_>, Vec<_>) = wanted.iter().map(find).partition(Result::is_ok);
        problems.extend(unknown.into_iter().filter_map(Result::err));
        found.into_iter().flatten().collect()
    }

    fn no_such(&self, wanted: &str, all: &BTreeSet<String>) -> String {
        if self.live.iter().any(|name| name == wanted) {
            let path = self.config.path.display();
            return format!("{wanted} has no section in {path}: services can read it, and nothing is published for it");
        }
        match all.is_empty() {
            true => format!("there is no lineage {wanted:?}, and no other is configured"),
            false => {
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                format!("there is no lineage {wanted:?}; there are {}", all.join(", "))
            }
        }
    }

    /// Lineages in `live/` that nothing is done for but mirroring them.
    fn unconfigured(&self, known: &BTreeSet<String>) -> impl Iterator<Item = &String> {
        let broken = |name: &str| self.config.broken.iter().any(|broken| idna::same(broken, name));
        self.live
            .iter()
            .filter(move |name| !self.sections.contains_key(*name) && !known.contains(*name) && !broken(name))
    }
}

/// Without a configuration `print` still knows certificates by their names and paths, and `status` what is remembered.
pub(super) fn without_configuration(env: &dyn Env, arguments: &Arguments, hints: &Hints, error: &Unreadable) -> Report {
    let names_all = matches!(&arguments.command, Command::Print { what, .. } if !what.is_empty());
    if !names_all {
        tracing::error!("{error}");
    }
    let empty = config::parse(&arguments.config, b"", &arguments.overrides, &System(env));
    let report = Run::new(env, arguments, hints, &empty).command();
    Report { exit: if names_all { report.exit } else { FAILED }, ..report }
}
