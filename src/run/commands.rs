//! The commands beside the plain run.

use super::{FAILED, Report, Run, look::Known, rounds::Summary};
use crate::{
    act::keeper::Keeper,
    cli::{Arguments, Command},
    config::{Config, Defaults, Unreadable},
    env::Env,
    facts::{Facts, Served},
    idna,
    journal::{
        Override,
        clock::Stamp,
        store::{Store, lineage_file},
    },
    lineage::{
        GenerationId,
        layout::{Places, has_bundle},
    },
    observe::files,
    plan::{Action, Cause, Trouble},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

impl Run<'_> {
    /// Pins every lineage that has a section, sound or not, and every one that we know: the ACME client renews regardless.
    pub(super) fn pre(&self, known: &BTreeSet<String>) -> Report {
        let keeper = self.keeper();
        let broken = self.live.iter().filter(|name| self.config.broken.iter().any(|b| idna::same(b, name)));
        let names: BTreeSet<&String> = self.sections.keys().chain(broken).chain(known).collect();
        if self.arguments.dry_run {
            let text = match self.arguments.json {
                true => serde_json::json!({ "pin": names }).to_string() + "\n",
                false => names.iter().map(|name| format!("would pin {name}\n")).collect(),
            };
            return Report { text, ..Report::exit(0) };
        }
        let report = pin_all(&keeper, names.into_iter().map(|name| (name, self.bundle(name))));
        self.keep_sets();
        let mut mirrored = Summary::default();
        if !self.flawed {
            self.mirror(&mut mirrored);
        }
        mirrored.troubles.iter().for_each(|trouble| tracing::error!("{trouble}"));
        Report { exit: if mirrored.troubles.is_empty() { report.exit } else { FAILED }, ..report }
    }

    /// Builds or rebuilds the dane directory. A pin that a rollover needs is dropped only by force.
    pub(super) fn reset(&self, store: &mut Store, force: bool) -> Summary {
        let keeper = self.keeper();
        let mut refused = Vec::new();
        for (name, section) in &self.sections {
            let facts = files::lineage(self.env, &self.places, name, section.bundle);
            let same = matches!((facts.served(), &facts.live), (Some(served), Ok(live)) if served.id == live.id);
            let free = matches!(facts.served, Served::Live | Served::Missing);
            let rolls = store.journal().lineages.get(name).is_some_and(|doc| !doc.waiting.is_empty());
            if free || (same && !rolls) {
                continue;
            }
            // The plan tells what is wrong there.
            let unknown = matches!(facts.served, Served::Unknown(_));
            if unknown && !force {
                continue;
            }
            if !force {
                let text = "pinned, and a rollover needs that: --force drops the pin, and clients fail until the new records are known";
                refused.push(Trouble::of(name, text));
                continue;
            }
            tracing::warn!(lineage = name, "dropping the pin by force");
            let mark = lineage_file(&self.places.state, name, "held");
            let released = self.env.stat(&mark, false).map_or(Ok(()), |_| keeper.release(name));
            let led =
                released.and_then(|()| keeper.follow_live(name, section.bundle).map_err(|why| Trouble::of(name, why)));
            refused.extend(led.err());
        }
        let mut summary = self.rounds(store);
        summary.troubles.splice(0..0, refused);
        summary
    }

    /// Leaves DANE for a lineage: its records are deleted by this and later runs, then its links follow `live/`.
    pub(super) fn withdraw(&self, store: &mut Store, lineage: &str) -> Summary {
        if let Err(trouble) = self.leave(store, lineage) {
            return Summary { troubles: vec![trouble], ..Summary::default() };
        }
        tracing::warn!(
            lineage,
            "leaving DANE: its records are deleted, and it stays pinned until caches have forgotten them"
        );
        self.rounds(store)
    }

    /// Takes down that a lineage leaves DANE.
    pub(super) fn leave(&self, store: &mut Store, lineage: &str) -> Result<(), Trouble> {
        if !self.sections.contains_key(lineage) {
            let text =
                "has no sound section, and it takes one to delete its records: put it (back) into the configuration";
            return Err(Trouble::of(lineage, text));
        }
        let Some(doc) = store.edit().lineages.get_mut(lineage) else {
            return Err(Trouble::of(lineage, "is not known: nothing was ever done for it"));
        };
        doc.withdrawn = true;
        doc.waiting.clear();
        Ok(())
    }

    /// The one override: switches to the newest generation whatever clients may hold.
    pub(super) fn force(&self, store: &mut Store, lineage: &str) -> Summary {
        let Command::Switch { now: true, accept_mismatch: true, .. } = self.arguments.command else {
            return self.unbar(store, lineage);
        };
        let facts = self.look(store.edit(), &mut Known::default());
        let (to, actions) = match forced(store, &facts, lineage) {
            Ok(steps) => steps,
            Err(trouble) => return Summary { troubles: vec![trouble], ..Summary::default() },
        };
        let at = Stamp(store.journal().clock.total);
        let wall = self.env.wall();
        if let Some(doc) = store.edit().lineages.get_mut(lineage) {
            doc.overrides.push(Override { generation: to.clone(), at, wall });
        }
        tracing::warn!(lineage, generation = %to, "switching by force: clients may find no matching record");
        let came = self.actor().carry_out(&actions, &facts, store);
        let mut troubles = Vec::new();
        match came {
            Ok(came) => troubles.extend(came.into_iter().filter_map(|came| match came {
                crate::act::Came::Done => None,
                crate::act::Came::Failed(trouble) => Some(trouble),
                other => Some(Trouble::of(lineage, format!("not switched, something changed meanwhile: {other:?}"))),
            })),
            Err(error) => troubles.push(Trouble::of(lineage, format!("the journal cannot be written: {error}"))),
        }
        let mut summary = self.rounds(store);
        summary.troubles.splice(0..0, troubles);
        summary
    }
}

/// The steps to the newest generation, through no gate.
pub(super) fn forced(store: &Store, facts: &Facts, lineage: &str) -> Result<(GenerationId, Vec<Action>), Trouble> {
    let newest = store.journal().lineages.get(lineage).and_then(|doc| doc.waiting.last().cloned());
    let to = newest.ok_or_else(|| Trouble::of(lineage, "no generation waits for a switch"))?;
    let from = facts.lineages.get(lineage).and_then(|facts| facts.served()).map(|served| served.id.clone());
    let name = lineage.to_string();
    let actions = vec![
        Action::Store { lineage: name.clone(), generation: to.clone() },
        Action::Switch { lineage: name, from, to: to.clone(), cause: Cause::Forced },
    ];
    Ok((to, actions))
}

/// What `--config-test` says beside errors and warnings.
pub(super) fn config_test(env: &dyn Env, config: &Config, unmatched: &[String]) -> Report {
    let mut text = String::new();
    for why in unmatched {
        text += &format!("warning: {why}\n");
    }
    text += &super::check::warnings_of_services(env, config);
    if config.broken.is_empty() {
        let count = config.sections.len();
        text += &format!(
            "{}: {count} section{}, no errors in them\n",
            config.path.display(),
            if count == 1 { "" } else { "s" }
        );
    }
    Report { text, ..Report::default() }
}

/// The configuration cannot be read. `--pre` then pins whatever the dane directory or the journal knows.
pub(super) fn without_configuration(env: &dyn Env, arguments: &Arguments, error: &Unreadable) -> Report {
    tracing::error!("{error}");
    if arguments.command != Command::Pre || arguments.dry_run {
        return Report::exit(FAILED);
    }
    let or = |path: &Option<PathBuf>, default: &str| path.clone().unwrap_or_else(|| default.into());
    let overrides = &arguments.overrides;
    let places = Places {
        live: or(&overrides.letsencrypt_directory, Defaults::LETSENCRYPT_DIRECTORY).join("live"),
        dane: or(&overrides.dane_directory, Defaults::of(overrides.alnitak).dane_directory),
        state: or(&overrides.state_directory, Defaults::STATE_DIRECTORY),
        sources: BTreeMap::new(),
    };
    let known = super::lineages_on_record(env, &places.state);
    let keeper = Keeper { env, places: &places, mode: 0o700, group: None };
    let bundle = |name: &String| has_bundle(env, &places.dane(name), None);
    let report = pin_all(&keeper, known.iter().map(|name| (name, bundle(name))));
    Report { exit: report.exit.max(FAILED), ..report }
}

fn pin_all<'a>(keeper: &Keeper<'_>, names: impl Iterator<Item = (&'a String, bool)>) -> Report {
    let troubles = keeper.pin_all(&names.map(|(name, bundle)| (name.as_str(), bundle)).collect::<Vec<_>>());
    troubles.iter().for_each(|trouble| tracing::error!("{trouble}"));
    Report::exit(if troubles.is_empty() { 0 } else { FAILED })
}
