//! The production checker with plans that were made from better facts: it drops exactly the steps that became unsafe.

use super::{
    Tally,
    letters::{Cert, Record, Set},
    world::{Asked, Bases, Earlier, HOLD, Look, Phase, Presents, Says, World},
};
use crate::scene::Scene;
use daneroll::plan::{Action, Plan, check::check};

/// What was worse than the planner knew.
pub const KINDS: [&str; 7] = [
    "spoiled: a server lacks it",
    "spoiled: a younger answer",
    "spoiled: another is presented",
    "spoiled: the old one is presented",
    "spoiled: silence",
    "spoiled: bogus",
    "spoiled: nobody asked",
];

fn spoiled(world: &World, kind: &str) -> Option<World> {
    let mut world = world.clone();
    match kind {
        "spoiled: a server lacks it" => world.servers.push(Says::Shows(Set::from(Record::X))),
        "spoiled: a younger answer" => {
            world.earlier = Some(Earlier { shown: Some(Set::default()), ttl: 3600, gone: 10 })
        }
        "spoiled: another is presented" => match &mut world.look {
            Look::At(addresses) => addresses.push(Presents(&[Cert::D], false)),
            _ => return None,
        },
        "spoiled: the old one is presented" => match &mut world.phase {
            Phase::Reloaded(ago) => *ago = HOLD - 1,
            _ => return None,
        },
        "spoiled: silence" => world.servers.push(Says::Silence),
        "spoiled: bogus" => world.servers.push(Says::Bogus),
        _ => world.asked = Asked::NotThisTime,
    }
    Some(world)
}

/// A delete after services were looked at: there are few.
pub fn is_rare(world: &World, made: &Plan) -> bool {
    matches!(world.look, Look::At(_)) && made.actions.iter().any(|action| matches!(action, Action::Delete(_)))
}

/// Examines the plan in each world that is worse.
pub fn judge(world: &World, made: &Plan, tally: &mut Tally) -> Result<(), String> {
    let weighty = |action: &Action| matches!(action, Action::Switch { .. } | Action::Delete(_) | Action::Add(_));
    if !made.actions.iter().any(weighty) {
        return Ok(());
    }
    for kind in KINDS {
        let Some(worse) = spoiled(world, kind) else { continue };
        let scene = worse.scene(&mut Bases::default());
        compare(&worse, &scene, made, kind, tally).map_err(|why| format!("{kind}: {why}"))?;
    }
    Ok(())
}

fn compare(worse: &World, scene: &Scene, made: &Plan, kind: &'static str, tally: &mut Tally) -> Result<(), String> {
    let left = check(scene.input(), made.clone());
    let mut gone = Set::default();
    let mut added = Set::default();
    for action in &made.actions {
        let safe = match action {
            Action::Switch { to, .. } => worse.may_present(Cert::of(to)),
            Action::Delete(edit) => {
                let record = Record::known(&edit.record);
                let safe = worse.may_delete(record, gone);
                gone = gone.with(Set::from(record));
                safe
            }
            Action::Add(edit) if !worse.is_probed() => {
                let record = Record::known(&edit.record);
                let safe = !worse.answers().is_empty() && worse.may_add(record, added);
                added = added.with(Set::from(record));
                safe
            }
            _ => continue,
        };
        if left.actions.contains(action) != safe {
            return Err(format!(
                "the checker does {} it, and it is {safe} that this is safe: {action:?}",
                if safe { "not keep" } else { "keep" }
            ));
        }
        *tally.entry(kind).or_default() += usize::from(!safe);
    }
    Ok(())
}
