//! The rules that each plan is judged by. What is safe comes from `gates`, and never from the planner.

use super::{
    letters::{Cert, Record, Set},
    world::{Asked, Beside, Files, HOLD, Phase, Says, State, World},
};
use crate::scene::NOW;
use daneroll::{
    lineage::GenerationId,
    plan::{Action, Cause, Edit, Goal, Plan, Reason, Step},
};

type Verdict = Result<(), String>;

/// All rules.
pub fn judge(world: &World, plan: &Plan) -> Verdict {
    switches(world, plan)?;
    deletes(world, plan)?;
    additions(world, plan)?;
    files(world, plan)?;
    memory(world, plan)?;
    reloads(world, plan)?;
    waits(world, plan)?;
    troubles(plan)
}

fn holds(sound: bool, why: impl FnOnce() -> String) -> Verdict {
    if sound { Ok(()) } else { Err(why()) }
}

fn is_mx(lineage: &str) -> bool {
    lineage == "mx"
}

/// The switch that the world allows, if any: forward to what waits, and to whatever matches where clients are turned away.
fn allowed_switch(world: &World) -> Option<(Cert, Cause)> {
    let other = world.other();
    let able = world.is_configured() && world.phase != Phase::Withdrawn && world.files != Files::Unknown;
    let ready = able && world.stored().contains(&other) && world.may_present(other);
    let known = world.reads().is_some();
    match known && (world.is_broken() || world.is_stale()) {
        true => {
            (ready && (world.waits() || world.left()) && world.phase != Phase::Barred).then_some((other, Cause::Broken))
        }
        false => (ready && world.waits() && world.may_present_whatever_comes(other)).then_some((other, Cause::Ready)),
    }
}

/// It switches when that is safe, and only then.
fn switches(world: &World, plan: &Plan) -> Verdict {
    let planned = plan.actions.iter().filter_map(|action| match action {
        Action::Switch { lineage, to, cause, from } => Some((lineage.as_str(), from, Cert::of(to), *cause)),
        _ => None,
    });
    let planned: Vec<_> = planned.collect();
    holds(
        planned.iter().all(|(lineage, from, ..)| is_mx(lineage) && from.as_ref().map(Cert::of) == world.reads()),
        || format!("a switch from elsewhere: {planned:?}"),
    )?;
    let planned: Vec<_> = planned.into_iter().map(|(_, _, to, cause)| (to, cause)).collect();
    let allowed: Vec<_> = allowed_switch(world).into_iter().collect();
    holds(planned == allowed, || format!("switches {planned:?} and not {allowed:?}"))?;
    let told = |wait: &daneroll::plan::Wait| matches!(&wait.step, Step::Switch(to) if Cert::of(to) == world.other());
    let due = world.waits()
        && world.stored().contains(&world.other())
        && world.is_configured()
        && world.files != Files::Unknown
        && allowed.is_empty()
        && !(world.reads().is_some() && world.is_broken());
    holds(plan.waits.iter().any(told) == due, || format!("a switch waits: {due}"))
}

fn edit_of<'a>(world: &World, edit: &'a Edit) -> Result<(Record, &'a Edit), String> {
    let record = Record::known(&edit.record);
    let ok = edit.query == crate::scene::query(25) && (is_mx(&edit.lineage) || world.beside != Beside::Nobody);
    holds(ok, || format!("an edit elsewhere: {edit:?}"))?;
    holds(!record.is_foreign(), || format!("it touches what is foreign: {edit:?}"))?;
    Ok((record, edit))
}

/// Does the plan lead services to another certificate? Nothing is deleted or forgotten before that has been seen.
fn moves(world: &World, plan: &Plan) -> bool {
    plan.actions.iter().any(|action| match action {
        Action::Switch { .. } => true,
        Action::Arrange { goal: Goal::Generation(id), .. } => world.reads().is_some_and(|now| now != Cert::of(id)),
        _ => false,
    })
}

/// It deletes whatever of ours is safe to delete, one after the other, and nothing else; each of the others waits.
fn deletes(world: &World, plan: &Plan) -> Verdict {
    let mut gone = Set::default();
    let needed = world.needed();
    for action in &plan.actions {
        let Action::Delete(edit) = action else { continue };
        let (record, _) = edit_of(world, edit)?;
        let sound = !needed.has(record) && !moves(world, plan) && world.may_delete(record, gone);
        holds(sound, || format!("deletes {record:?}"))?;
        gone = gone.with(Set::from(record));
    }
    if moves(world, plan) {
        return Ok(());
    }
    let waits = |record: Record| {
        let is_its = |step: &Step| matches!(step, Step::Delete(_, its) if Record::known(its) == record);
        plan.waits.iter().any(|wait| is_its(&wait.step))
    };
    for record in world.journal().into_keys().filter(|record| !gone.has(*record)) {
        let old = !needed.has(record);
        // One that only the deletes after it make safe waits for the next round.
        let safe = world.may_delete(record, Set::default()) && world.may_delete(record, gone);
        holds(!old || !safe, || format!("does not delete {record:?}"))?;
        holds(waits(record) == old, || format!("{record:?} is not told, or ought not to be"))?;
    }
    Ok(())
}

/// Records are added for what is or will be presented, so that no step of it turns anybody away; those that are missing are
/// added at once, or it is told why not.
fn additions(world: &World, plan: &Plan) -> Verdict {
    let (mut added, needed) = (Set::default(), world.needed());
    let adopted = plan.actions.iter().filter_map(|action| match action {
        Action::Adopt { record, .. } => Some(Record::known(record)),
        _ => None,
    });
    let adopted: Set = adopted.collect();
    for action in &plan.actions {
        let Action::Add(edit) = action else { continue };
        let (record, edit) = edit_of(world, edit)?;
        holds(needed.has(record) && edit.ttl == 300, || format!("adds {record:?}, which nobody needs"))?;
        holds(!world.answers().is_empty() && world.may_turn_on(), || format!("turns DANE on with {record:?}"))?;
        holds(world.may_add(record, added), || format!("{record:?} turns somebody away"))?;
        added = added.with(Set::from(record));
    }
    let shown = |record: Record| world.answers().iter().any(|answer| answer.has(record));
    for record in adopted.iter() {
        holds(needed.has(record) && (shown(record) || world.journal().contains_key(&record)), || {
            format!("adopts {record:?}")
        })?;
    }
    let published = |record: &Record| {
        let state = world.journal().get(record).copied();
        let patient = match state {
            Some(State::OursFor(ago)) if ago < 60 => true,
            Some(State::OursFor(_) | State::Ours | State::Found) => shown(*record),
            _ => false,
        };
        patient || added.has(*record)
    };
    let waits = plan.waits.iter().any(|wait| matches!(wait.step, Step::Publish(_)));
    let done = needed.iter().all(|record| published(&record));
    let unheard = world.asked == Asked::NotThisTime || world.answers().is_empty();
    holds(done || waits || !adopted.is_empty() || unheard, || "a record is missing, and nothing is said".into())
}

/// Arrangements leave services what they read; what is served or waits is kept in the store.
fn files(world: &World, plan: &Plan) -> Verdict {
    for action in &plan.actions {
        match action {
            Action::Store { lineage, generation } => {
                let cert = Cert::of(generation);
                let lost = world.files == Files::Damaged(cert, None) && world.live == Some(cert);
                let due = world.reads() == Some(cert) || (world.waits() && world.live == Some(cert)) || lost;
                holds(is_mx(lineage) && due && !world.stored().contains(&cert), || format!("stores {cert:?}"))?;
            }
            Action::Arrange { lineage, goal, serving } => {
                let goal = if let Goal::Generation(id) = goal { Some(Cert::of(id)) } else { None };
                let said = serving.as_ref().map(Cert::of) == world.reads();
                let sound = is_mx(lineage) && said && arranges(world, goal);
                holds(sound, || format!("leads the dane directory to {goal:?}"))?;
            }
            _ => {}
        }
    }
    let stores = |cert: Cert| {
        plan.actions.iter().any(|a| matches!(a, Action::Store { generation, .. } if Cert::of(generation) == cert))
    };
    let kept = |cert: Cert| world.stored().contains(&cert) || stores(cert);
    holds(world.reads().is_none_or(kept), || "what is served is not kept".into())
}

/// May the dane directory lead there (`None`: to `live/`)?
fn arranges(world: &World, goal: Option<Cert>) -> bool {
    let kept = |cert: Cert| world.stored().contains(&cert);
    match (world.files, goal) {
        (Files::Damaged(pinned, _), Some(cert)) => cert == pinned && kept(cert),
        // Nothing is read now: on with what was.
        (Files::Missing, Some(cert)) => cert == world.now() && kept(cert),
        (Files::Unknown, Some(cert)) => cert == world.now() && kept(cert) && world.live.is_none(),
        (Files::Missing, None) => world.live.is_some_and(|live| live == world.now() || !kept(world.now())),
        (_, Some(cert)) => world.reads() == Some(cert),
        (_, None) => world.reads().is_some() && world.reads() == world.live && !is_busy(world),
    }
}

/// Is the pin needed for more than what is read now? What somebody else laid out is taken over at once.
fn is_busy(world: &World) -> bool {
    matches!(world.files, Files::Pinned(_)) && (world.held || world.left() || world.waits())
}

/// Nothing is forgotten that is in use, or that a record of ours is there for; a lineage goes when its records have gone.
fn memory(world: &World, plan: &Plan) -> Verdict {
    for action in &plan.actions {
        match action {
            Action::Forget { lineage, generation, .. } => {
                let sound = is_mx(lineage) && may_forget(world, generation) && !moves(world, plan);
                holds(sound, || format!("forgets {:?}", Cert::of(generation)))?;
            }
            Action::Leave { lineage } => {
                let sound = is_mx(lineage) && world.phase == Phase::Withdrawn && world.records.is_empty();
                holds(sound, || format!("lets {lineage} go"))?;
            }
            _ => {}
        }
    }
    let retires = plan.waits.iter().any(|wait| matches!(wait.step, Step::Retire(_)));
    holds(retires == (world.left() && world.other_lingers()), || "who lingers is not told".into())
}

fn may_forget(world: &World, generation: &GenerationId) -> bool {
    let cert = Cert::of(generation);
    let Some((reads, live)) = world.reads().zip(world.live) else { return false };
    let lingers = world.left() && world.other_lingers();
    let published = |state: &State| *state != State::Found && !world.shared;
    let records = world.journal().into_iter().filter(|(_, state)| published(state));
    let needs = records.into_iter().any(|(record, _)| record.matches(cert) && !record.matches(reads));
    cert == world.other() && cert != live && !world.waits() && !lingers && !(needs && world.is_readable(cert))
}

/// A deploy or reload is run when it is owed, and only then; no reload before the deploy.
fn reloads(world: &World, plan: &Plan) -> Verdict {
    let planned = plan.actions.iter().any(|action| matches!(action, Action::Reload { .. }));
    let owed = matches!(world.phase, Phase::Owed | Phase::Early | Phase::Deployed | Phase::Barred);
    holds(planned == owed, || format!("reloads: {planned}"))?;
    let deploys = plan.actions.iter().filter_map(|action| match action {
        Action::Deploy { lineage, generation, .. } => Some((is_mx(lineage), Cert::of(generation))),
        _ => None,
    });
    let due: Vec<_> = world
        .reads()
        .filter(|_| world.phase == Phase::Undeployed && !moves(world, plan))
        .map(|now| (true, now))
        .into_iter()
        .collect();
    holds(deploys.eq(due), || "deploys something else".into())
}

/// Every wait says what it waits for: in a sentence, and with a time to come unless that is for others to say.
fn waits(world: &World, plan: &Plan) -> Verdict {
    for wait in &plan.waits {
        holds(!wait.reasons.is_empty(), || format!("{:?} waits for nothing", wait.step))?;
        sentence(&wait.step.to_string())?;
        for reason in &wait.reasons {
            sentence(&reason.text(NOW))?;
            holds(reason.until().is_none_or(|until| until > NOW), || format!("it waited already: {reason:?}"))?;
            reasons(world, reason)?;
        }
    }
    Ok(())
}

/// What a reason says is so in the world.
fn reasons(world: &World, reason: &Reason) -> Verdict {
    let silent = |says: &Says| !matches!(says, Says::Shows(_));
    let fits = match reason {
        Reason::NotAsked { .. } => world.asked == Asked::NotThisTime,
        Reason::NoServers { .. } => world.asked == Asked::Lost || world.servers.is_empty(),
        Reason::Unknown { .. } => world.servers.iter().any(silent),
        Reason::Cached { .. } => world.earlier.is_some(),
        Reason::DeployOwed { .. } => world.phase == Phase::Undeployed,
        Reason::ReloadOwed { .. } => {
            matches!(world.phase, Phase::Owed | Phase::Early | Phase::Deployed | Phase::Barred)
        }
        Reason::Hold { until } | Reason::Seen { until, .. } => until.until(NOW) <= HOLD,
        Reason::NoReload { .. } | Reason::Unseen { .. } => world.phase == Phase::NoReload,
        _ => true,
    };
    holds(fits, || format!("that is not so: {reason:?}"))
}

/// Words for people: no empty ones, and nothing that only a programmer can read.
fn sentence(text: &str) -> Verdict {
    let odd = ["Some(", "None", "Ok(", "Err(", "Stamp", "{", "}", "[", "::", "\"", "\n", "  ", " 0 s more", " in 0 s"];
    holds(!text.trim().is_empty() && !odd.iter().any(|part| text.contains(part)), || format!("no sentence: {text:?}"))
}

fn troubles(plan: &Plan) -> Verdict {
    plan.troubles.iter().try_for_each(|trouble| sentence(&trouble.to_string()))
}
