//! What is to be done about files that changes nothing for clients: keep generations, lead links, forget.

use super::{
    Action, Goal, Plan, Reason, Trouble, Wait,
    delete::held,
    gate::owner_blockers,
    hosts,
    model::{Lineage, Model},
    presence::Presence,
    reason::{Step, span},
};
use crate::{
    facts::Served,
    journal::{Origin, Unfinished},
    lineage::{Generation, GenerationId},
};

/// What a client has been writing for so long is not being written, seconds.
pub(super) const LASTING: u64 = 900;

/// Keeps what is served and what waits in our store, where no client can prune it.
pub fn store(model: &Model<'_>, plan: &mut Plan) {
    for lineage in model.lineages.values() {
        let before = plan.actions.len();
        let live = lineage.facts.live.as_ref().ok().filter(|live| lineage.doc.waiting.contains(&live.id));
        let first = lineage.facts.live.as_ref().ok().filter(|_| is_first_copy(lineage));
        for generation in lineage.facts.served().into_iter().chain(live).chain(first).chain(lost(lineage)) {
            let action = Action::Store { lineage: lineage.name.into(), generation: generation.id.clone() };
            if !lineage.facts.stored.contains_key(&generation.id) && !plan.actions[before..].contains(&action) {
                plan.actions.push(action);
            }
        }
    }
}

/// What services were pinned to, and can read no more, where `live/` has it still.
fn lost<'a>(lineage: &Lineage<'a>) -> Option<&'a Generation> {
    let Served::Damaged { pinned, shows: Err(_) } = &lineage.facts.served else { return None };
    lineage.facts.live.as_ref().ok().filter(|live| live.id == *pinned && !lineage.facts.stored.contains_key(pinned))
}

/// Is there nothing that services read, and can what there is to read only be a copy?
fn is_first_copy(lineage: &Lineage<'_>) -> bool {
    let known = lineage.doc.served.as_ref().is_some_and(|id| lineage.facts.stored.contains_key(id));
    lineage.facts.in_place && lineage.section.is_some() && lineage.facts.served == Served::Missing && !known
}

/// Lays out the dane directory, leads links that were lost to the store, pins and releases.
pub fn arrange(model: &Model<'_>, plan: &mut Plan) {
    for lineage in model.lineages.values() {
        if let Err(why) = &lineage.facts.live
            && lineage.section.is_some()
        {
            incomplete(model, lineage, why, plan);
        }
        let pin = match lineage.doc.withdrawn && !lineage.facts.in_place {
            true => is_leaving(model, lineage),
            false => lineage.stays_pinned(model.input.config.dane_group.is_some()),
        };
        match goal(lineage, pin) {
            Ok(Some((goal, serving))) => {
                plan.actions.push(Action::Arrange { lineage: lineage.name.into(), goal, serving });
            }
            Ok(None) => {}
            // An idle dane directory shows what `live/` shows: one reason is told once.
            Err(text) if lineage.facts.live.as_ref().is_err_and(|why| text.ends_with(why.as_str())) => {}
            Err(text) => plan.troubles.push(Trouble::of(lineage.name, text)),
        }
    }
}

/// Files that a client overwrites are half of something now and then; what lasts is trouble.
fn incomplete(model: &Model<'_>, lineage: &Lineage<'_>, why: &str, plan: &mut Plan) {
    if !lineage.facts.in_place {
        return plan.troubles.push(Trouble::of(lineage.name, format!("no complete generation in live/: {why}")));
    }
    let since = lineage.doc.unfinished.as_ref().map_or(model.now(), |unfinished| unfinished.since);
    let doubted = lineage.doc.unfinished.as_ref().filter(|unfinished| unfinished.generation.is_some());
    let until = doubted.map(Unfinished::believed);
    if until.is_none() && since.elapsed(model.now()) >= LASTING {
        let text = format!("no complete set for {}: {why}", span(since.elapsed(model.now())));
        return plan.troubles.push(Trouble::of(lineage.name, text));
    }
    let reasons = vec![Reason::Unfinished { why: why.into(), until }];
    plan.waits.push(Wait { lineage: lineage.name.into(), step: Step::Copy, reasons });
}

/// Where the dane directory is to lead, if not where it does, and what services read meanwhile.
fn goal(lineage: &Lineage<'_>, pin: bool) -> Result<Option<(Goal, Option<GenerationId>)>, String> {
    let facts = lineage.facts;
    let serving = facts.served().map(|generation| generation.id.clone());
    let kept = |id: &GenerationId| facts.stored.contains_key(id);
    match &facts.served {
        Served::Unknown(_) if left_broken(lineage).is_some() => {
            Ok(left_broken(lineage).map(|id| (Goal::Generation(id.clone()), None)))
        }
        Served::Unknown(why) => Err(format!("what services read cannot be told: {why}")),
        Served::Damaged { pinned, .. } if kept(pinned) => Ok(Some((Goal::Generation(pinned.clone()), serving))),
        Served::Damaged { .. } if lost(lineage).is_some() => Ok(None),
        Served::Damaged { pinned, shows } => Err(match shows {
            Ok(shows) => format!("pinned to generation {pinned}, which is lost, and shows {}", shows.id),
            Err(why) => {
                format!("pinned to generation {pinned}, which is lost: {why}; `daneroll --reset --force` starts anew")
            }
        }),
        Served::Missing if facts.in_place => Ok(lay_out_copy(lineage)),
        Served::Missing => Ok(lay_out_again(lineage)),
        Served::Live if pin => Ok(serving.map(|id| (Goal::Generation(id.clone()), Some(id)))),
        Served::Live => Ok((!facts.unlinked.is_empty()).then_some((Goal::Live, serving))),
        Served::Foreign(generation) => {
            let live = facts.live.as_ref().is_ok_and(|live| live.id == generation.id) && !pin;
            let goal = if live { Goal::Live } else { Goal::Generation(generation.id.clone()) };
            Ok(Some((goal, serving)))
        }
        Served::Pinned(_) if may_release(lineage, pin) => Ok(Some((Goal::Live, serving))),
        // Once the client has gone on, it prunes what it has in its archive.
        Served::Pinned(generation) if !facts.linked_to_store && kept(&generation.id) && moved_on(lineage) => {
            Ok(Some((Goal::Generation(generation.id.clone()), serving)))
        }
        Served::Pinned(generation) => {
            Ok((!facts.unlinked.is_empty()).then_some((Goal::Generation(generation.id.clone()), serving)))
        }
    }
}

/// Does `live/` show another generation than services read, or half of one?
fn moved_on(lineage: &Lineage<'_>) -> bool {
    match (&lineage.facts.live, lineage.facts.served()) {
        (Ok(live), Some(served)) => live.id != served.id,
        (Err(_), served) => served.is_some(),
        (Ok(_), None) => false,
    }
}

/// The generation that services read before a renewal without hooks broke off in the middle, or `live/` was deleted.
fn left_broken<'a>(lineage: &Lineage<'a>) -> Option<&'a GenerationId> {
    let broken = lineage.facts.live.is_err() || lineage.facts.in_place;
    let kept = |id: &&GenerationId| broken && lineage.facts.stored.contains_key(*id);
    lineage.doc.served.as_ref().filter(kept).filter(|_| lineage.section.is_some())
}

/// There is no dane directory of the lineage: it follows `live/`, unless it is known to have shown another generation, whose
/// records are published.
fn lay_out_again(lineage: &Lineage<'_>) -> Option<(Goal, Option<GenerationId>)> {
    let live = lineage.facts.live.as_ref().ok().map(|live| &live.id);
    let shown = lineage.doc.served.as_ref().filter(|id| Some(*id) != live && lineage.facts.stored.contains_key(id));
    match (lineage.section, shown, live) {
        (None, ..) | (_, None, None) => None,
        (_, Some(shown), _) => Some((Goal::Generation(shown.clone()), None)),
        (_, None, Some(_)) => Some((Goal::Live, None)),
    }
}

/// The same where nothing can be followed: it leads to what it is known to have shown, or to the first copy.
fn lay_out_copy(lineage: &Lineage<'_>) -> Option<(Goal, Option<GenerationId>)> {
    let live = lineage.facts.live.as_ref().ok().map(|live| &live.id);
    let mut options = lineage.doc.served.iter().chain(live).filter(|id| lineage.facts.stored.contains_key(*id));
    lineage.section.and(options.next()).map(|id| (Goal::Generation(id.clone()), None))
}

/// The links go back to `live/` when it shows what is served, nothing is under way, and `--post` has released the pin.
fn may_release(lineage: &Lineage<'_>, pin: bool) -> bool {
    let at_live = match (&lineage.facts.live, lineage.facts.served()) {
        (Ok(live), Some(served)) => live.id == served.id,
        _ => false,
    };
    at_live && !pin && !lineage.facts.in_place && !lineage.facts.held && lineage.is_settled()
}

/// Forgets generations that nobody can present any more, and lineages that have left DANE. Tells what is still held.
pub fn forget(model: &Model<'_>, plan: &mut Plan) {
    let switched = plan.switched();
    for lineage in model.lineages.values() {
        for presented in &lineage.doc.presented {
            let presence = lineage.presence(presented, model.now(), model.wall());
            if !matches!(presence, Presence::Served | Presence::Gone) {
                let reasons = held(model, lineage, presented, presence);
                let step = Step::Retire(presented.generation.clone());
                plan.waits.push(Wait { lineage: lineage.name.into(), step, reasons });
            }
        }
        if !switched.contains(lineage.name) {
            plan.actions.extend(forgotten(model, lineage));
        }
        if lineage.doc.withdrawn && !is_leaving(model, lineage) && !has_left(model, lineage) {
            let held = lineage.facts.held.then_some(Reason::Held);
            match held.into_iter().chain(parting(model, lineage)).collect::<Vec<_>>() {
                reasons if reasons.is_empty() => plan.actions.push(Action::Leave { lineage: lineage.name.into() }),
                reasons => plan.waits.push(Wait { lineage: lineage.name.into(), step: Step::Leave, reasons }),
            }
        }
    }
}

/// Does a server or a cache still hold records of a lineage that is withdrawn?
fn is_leaving(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    model.owners_of(lineage.name).any(|owner| owner.doc.lineages.contains(lineage.name))
}

/// What speaks against presenting what `live/` shows, once nothing of ours is left: records of others, or such as we forgot.
fn parting(model: &Model<'_>, lineage: &Lineage<'_>) -> Vec<Reason> {
    let Ok(live) = &lineage.facts.live else { return Vec::new() };
    let mut reasons = if lineage.parts() { hosts::unknown(model, lineage) } else { Vec::new() };
    reasons.extend(model.parting(lineage).flat_map(|owner| owner_blockers(model, lineage, owner, &live.chain)));
    reasons
}

/// Does a withdrawn lineage follow `live/` already, and is it remembered only because it is still configured?
fn has_left(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    let configured = lineage.section.is_some() || model.input.config.broken.contains(lineage.name);
    let at_live = match (&lineage.facts.served, &lineage.facts.live) {
        (Served::Live, _) => true,
        (Served::Pinned(served), Ok(live)) => lineage.facts.in_place && served.id == live.id,
        _ => false,
    };
    configured && at_live && lineage.is_settled()
}

/// Forgets what is not needed; the files of the newest of them stay, so many as `keep` says. A lineage without a section is not pruned.
fn forgotten(model: &Model<'_>, lineage: &Lineage<'_>) -> Vec<Action> {
    let ids = forgettable(model, lineage);
    let keep = lineage.section.map_or(usize::MAX, |section| section.keep);
    let mut stored: Vec<&GenerationId> = ids.iter().filter(|id| lineage.facts.stored.contains_key(*id)).collect();
    stored.sort_by_key(|id| std::cmp::Reverse(lineage.chain(id).map(|chain| (chain.not_before(), chain.not_after()))));
    stored.truncate(keep);
    let remembered = |id: &GenerationId| lineage.doc.presented.iter().any(|presented| presented.generation == *id);
    let forget = |id: &GenerationId| {
        let keep = stored.contains(&id);
        let action = Action::Forget { lineage: lineage.name.into(), generation: id.clone(), keep };
        (!keep || remembered(id)).then_some(action)
    };
    ids.iter().filter_map(forget).collect()
}

/// Generations that are neither served nor live nor waiting, that no process can present, and whose records are gone.
fn forgettable(model: &Model<'_>, lineage: &Lineage<'_>) -> Vec<GenerationId> {
    let doc = lineage.doc;
    let serves = lineage.facts.served().map(|served| served.id.clone());
    let live = lineage.facts.live.as_ref().ok().map(|live| live.id.clone());
    if serves.is_none() || live.is_none() {
        return Vec::new();
    }
    let may_be_presented = |id: &GenerationId| {
        let mut presented = doc.presented.iter().filter(|presented| presented.generation == *id);
        presented.any(|presented| lineage.presence(presented, model.now(), model.wall()) != Presence::Gone)
    };
    let known = lineage.facts.stored.keys().chain(doc.presented.iter().map(|presented| &presented.generation));
    let mut ids: Vec<GenerationId> = known
        .filter(|id| Some(*id) != serves.as_ref() && Some(*id) != live.as_ref())
        .filter(|id| !doc.waiting.contains(id) && !may_be_presented(id) && !has_records(model, lineage, id))
        .cloned()
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Is a record of ours left that this generation matches and the served one does not? Those that may never be deleted (found
/// there, or shared with other hosts) do not count: their generation can be forgotten all the same.
fn has_records(model: &Model<'_>, lineage: &Lineage<'_>, id: &GenerationId) -> bool {
    let (Some(chain), Some(served)) = (lineage.chain(id), lineage.facts.served()) else { return false };
    model.owners_of(lineage.name).any(|owner| {
        let fits = |chain: &crate::tlsa::Chain, record| chain.matches(record, &owner.base, model.wall());
        let shared = lineage.section.is_some_and(|section| section.shared);
        let ours = owner.doc.records.iter().filter(|(_, doc)| doc.origin == Origin::Published && !shared);
        ours.into_iter().any(|(record, _)| fits(chain, record) && !fits(&served.chain, record))
    })
}
