//! From facts, journal and plan to what is told. Pure.

use super::{
    Configured, Dane, DaneState, LastRun, Lineage, Record, RecordState, Status, Time, VERSION, awaits,
    certificates::generations,
    hosts::looked_up,
    owners,
    phase::Scene,
    planned::{self, Planned},
};
use crate::{
    facts::{LineageFacts, Served},
    idna,
    journal::clock::Stamp,
    plan::{Input, Plan, model::Model},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// What a status is made from.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// Facts and journal.
    pub input: Input<'a>,
    /// What a run would do now.
    pub plan: &'a Plan,
    /// Were name servers asked?
    pub live: bool,
    /// The lineages to tell of, with their files.
    pub files: BTreeMap<String, Cow<'a, LineageFacts>>,
    /// Those that no run has looked at.
    pub fresh: BTreeSet<String>,
    /// No part of the journal could be read.
    pub blind: bool,
    /// Lineages in `live/` that no section is for.
    pub unconfigured: Vec<String>,
    /// What could not be read.
    pub problems: Vec<String>,
    /// How the last run ended.
    pub last_run: Option<LastRun>,
}

/// Puts it together.
pub fn make(sources: Sources<'_>) -> Status {
    let model = Model::new(sources.input);
    let planned = planned::by_lineage(sources.plan);
    let none = Planned::default();
    let of = |name: &str| planned.get(name).unwrap_or(&none);
    let lineages = sources.files.iter().map(|(name, files)| lineage(&sources, &model, of(name), name, files)).collect();
    let next_run = next_run(&sources);
    let Sources { input, live, unconfigured, problems, last_run, .. } = sources;
    Status {
        version: VERSION,
        time: input.facts.wall,
        live,
        configuration: input.config.path.display().to_string(),
        problems,
        last_run,
        next_run,
        lineages,
        unconfigured,
    }
}

/// The moment of a stamp on the journal's clock.
pub fn time(input: Input<'_>, at: Stamp) -> Time {
    in_seconds(input, at.until(input.facts.now))
}

fn in_seconds(input: Input<'_>, seconds_left: u64) -> Time {
    Time { at: input.facts.wall.saturating_add_unsigned(seconds_left), seconds_left }
}

/// Now, if there is something to do or no run has told; else when the last run said.
fn next_run(sources: &Sources<'_>) -> Option<Time> {
    let input = sources.input;
    if input.config.sections.is_empty() {
        return None;
    }
    let due = match &sources.last_run {
        Some(last) if sources.plan.actions.is_empty() => last.ended.saturating_add_unsigned(last.next_in),
        _ => input.facts.wall,
    };
    Some(in_seconds(input, u64::try_from(due.saturating_sub(input.facts.wall)).unwrap_or(0)))
}

fn lineage(
    sources: &Sources<'_>,
    model: &Model<'_>,
    planned: &Planned<'_>,
    name: &str,
    files: &LineageFacts,
) -> Lineage {
    let input = sources.input;
    let known = model.lineages.get(name);
    let mut troubles: Vec<String> = planned.troubles.iter().map(|trouble| trouble.text.clone()).collect();
    let section = configured(input, name);
    let owners = owners::owners(model, known, name);
    let unshown = |record: &Record| matches!(record.state, RecordState::Publishing | RecordState::Missing);
    let scene = Scene {
        name,
        section,
        lineage: known,
        files,
        model,
        planned,
        fresh: sources.fresh.contains(name),
        blind: sources.blind,
        troubled: !troubles.is_empty(),
        unshown: owners.iter().flat_map(|owner| &owner.records).any(unshown),
    };
    let phase = scene.phase();
    let before = sources.last_run.iter().flat_map(|last| &last.troubles);
    let before = before.filter(|trouble| trouble.lineage.as_deref() == Some(name) && !troubles.contains(&trouble.text));
    let before: Vec<String> = before.map(|trouble| format!("in the last run: {}", trouble.text)).collect();
    troubles.extend(before);
    let later = sources.last_run.iter().flat_map(|last| last.later_of(name)).map(str::to_owned).collect();
    let owes = known.map(|lineage| {
        let left = lineage.doc.presented.iter().filter_map(|presented| presented.left);
        let owed = left.flat_map(|left| lineage.undeployed(left).chain(lineage.owed(left)));
        let owed: BTreeSet<String> = owed.map(|words| words.join(" ")).collect();
        owed.into_iter().collect()
    });
    let hosts = known.and_then(|lineage| Some(looked_up(lineage.section?, lineage)));
    Lineage {
        name: name.into(),
        section,
        phase,
        says: phase.says().into(),
        dane: dane(files),
        generations: generations(input, known, files),
        hosts: hosts.unwrap_or_default(),
        owners,
        awaits: planned.waits.iter().map(|wait| awaits::told(input, wait)).collect(),
        owes: owes.unwrap_or_default(),
        by_hand: super::by_hand(model, planned, name),
        next: planned.actions.iter().map(ToString::to_string).collect(),
        troubles,
        later,
        barred: known.and_then(|lineage| lineage.doc.barred.clone()),
    }
}

fn configured(input: Input<'_>, name: &str) -> Configured {
    let sound = input.sections.contains_key(name) || input.config.sections.iter().any(|section| section.name == name);
    if sound {
        return Configured::Sound;
    }
    match input.config.broken.iter().any(|broken| idna::same(broken, name)) {
        true => Configured::Broken,
        false => Configured::Missing,
    }
}

fn dane(files: &LineageFacts) -> Dane {
    let (state, generation, why) = match &files.served {
        Served::Live => (DaneState::FollowsLive, None, None),
        Served::Pinned(generation) => (DaneState::Pinned, Some(generation.id.clone()), None),
        Served::Damaged { pinned, shows } => {
            let why = match shows {
                Ok(shows) => format!("it shows generation {}", shows.id),
                Err(why) => why.clone(),
            };
            (DaneState::Damaged, Some(pinned.clone()), Some(why))
        }
        Served::Foreign(generation) => (DaneState::Foreign, Some(generation.id.clone()), None),
        Served::Missing => (DaneState::Missing, None, None),
        Served::Unknown(why) => (DaneState::Unknown, None, Some(why.clone())),
    };
    Dane { state, generation, why, held: files.held }
}
