//! Which lineages may switch, and whom a reload is owed.

use super::{
    Action, Cause, Plan, Trouble, Wait, gate,
    model::{Lineage, Model, Owner},
    reason::{Reason, Step, span},
};
use crate::{config::Section, facts::Served, lineage::GenerationId, name::DnsName, small::Set, tlsa::Association};
use std::collections::{BTreeMap, BTreeSet};

/// A rollover that is still blocked so long before the certificate expires is a failure, seconds.
const LAST_DAY: i64 = 86_400;

/// Plans the switches.
pub fn switch(model: &Model<'_>, plan: &mut Plan) {
    let can = |lineage: &&Lineage<'_>| lineage.section.is_some() && !lineage.doc.withdrawn;
    for lineage in model.lineages.values().filter(can) {
        if let Served::Unknown(_) = lineage.facts.served {
            continue; // told with the files
        }
        if !lineage.is_installed() {
            install(model, lineage, plan);
        } else if is_broken(model, lineage) {
            mend(model, lineage, plan);
        } else if let Some(generation) = is_stale(model, lineage).then(|| open(model, lineage)).flatten() {
            let text = "caches may hold TLSA records that the certificate that is served does not match";
            plan.actions.push(step(lineage, generation, Cause::Broken));
            plan.troubles
                .push(Trouble::of(lineage.name, format!("{text}: going to generation {generation}, which all match")));
        } else {
            pursue(model, lineage, plan);
        }
    }
}

/// Has the first certificate installed, when no answer that a client may hold speaks against it: what services present now is
/// known from looks alone.
fn install(model: &Model<'_>, lineage: &Lineage<'_>, plan: &mut Plan) {
    let (Some(section), Some(served)) = (lineage.section, lineage.facts.served()) else { return };
    let mut reasons = gate::blockers(model, lineage, &served.id);
    let unseen = |owner: &&Owner<'_>| owner.endpoint.is_some() && owner.presents.is_none();
    let unseen = model.owners_of(lineage.name).filter(unseen);
    reasons.extend(unseen.map(|owner| Reason::NotProbed { owner: owner.query.clone(), due: None }));
    if reasons.is_empty() {
        plan.actions.extend(section.deploy.iter().map(|command| deploys(lineage, section, &served.id, command)));
    } else {
        plan.waits.push(Wait { lineage: lineage.name.into(), step: Step::Install(served.id.clone()), reasons });
    }
}

fn deploys(lineage: &Lineage<'_>, section: &Section, generation: &GenerationId, command: &[String]) -> Action {
    let (lineage, generation) = (lineage.name.to_string(), generation.clone());
    Action::Deploy { lineage, generation, command: command.to_vec(), timeout: section.timeout }
}

/// Switches to the newest generation whose gate is open, and tells what the others wait for.
fn pursue(model: &Model<'_>, lineage: &Lineage<'_>, plan: &mut Plan) {
    for generation in lineage.doc.waiting.iter().rev() {
        if !lineage.facts.stored.contains_key(generation) {
            continue;
        }
        let reasons = gate::blockers(model, lineage, generation);
        if reasons.is_empty() {
            plan.actions.push(step(lineage, generation, Cause::Ready));
            return;
        }
        plan.troubles.extend(expires(model, lineage, &reasons));
        plan.waits.push(Wait { lineage: lineage.name.into(), step: Step::Switch(generation.clone()), reasons });
    }
}

/// Blocked with less than the wait and a day left (DESIGN: "Expiry opens no other gate").
fn expires(model: &Model<'_>, lineage: &Lineage<'_>, reasons: &[Reason]) -> Option<Trouble> {
    let left = lineage.facts.served()?.chain.not_after() - model.wall();
    let wait = needed(model, lineage) as i64;
    let text = match left {
        ..=0 => "the served certificate has EXPIRED".to_string(),
        left => format!("the served certificate expires in {}", span(left as u64)),
    };
    let why: Vec<String> = reasons.iter().map(|reason| reason.text(model.now())).collect();
    (left < wait.saturating_add(LAST_DAY)).then(|| {
        let cure = format!("`daneroll switch --now --accept-mismatch {}` overrides this gate", lineage.name);
        Trouble::of(lineage.name, format!("{text} and the switch is blocked: {}; {cure}", why.join("; ")))
    })
}

/// The wait that a switch of the lineage needs, seconds.
pub(super) fn needed(model: &Model<'_>, lineage: &Lineage<'_>) -> u64 {
    let floor = model.floor(lineage);
    model.owners_of(lineage.name).map(|owner| owner.doc.wait(floor)).max().unwrap_or(floor)
}

fn step(lineage: &Lineage<'_>, to: &GenerationId, cause: Cause) -> Action {
    let from = lineage.facts.served().map(|served| served.id.clone());
    Action::Switch { lineage: lineage.name.into(), from, to: to.clone(), cause }
}

/// Does what is served match nothing that some server shows?
pub fn is_broken(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    if !lineage.is_installed() {
        return false;
    }
    let Some(served) = lineage.facts.served() else { return false };
    let breaks = |owner: &Owner<'_>| {
        let configured = owner.configured.contains(lineage.name);
        let ours = owner.ours();
        let fails = |records: &Set<_>| owner.tolerates(records, &served.chain, model.wall()).is_err();
        let is_ours = |record: &Association| ours.contains(&record.group());
        configured && owner.answers().iter().any(|(_, _, records)| records.iter().any(is_ours) && fails(records))
    };
    model.owners_of(lineage.name).any(breaks)
}

/// Is it so, and is there no other generation to go to?
pub fn is_broken_for_good(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    is_broken(model, lineage) && open(model, lineage).is_none()
}

/// May caches hold an answer that what is served does not match, although all servers show its records by now?
fn is_stale(model: &Model<'_>, lineage: &Lineage<'_>) -> bool {
    let Some(served) = lineage.facts.served() else { return false };
    gate::blockers(model, lineage, &served.id).iter().any(|reason| matches!(reason, Reason::Cached { .. }))
}

/// Another generation that all answers match and that is aged, unless the operator forced the one that is served.
fn open<'a>(model: &Model<'_>, lineage: &Lineage<'a>) -> Option<&'a GenerationId> {
    let served = &lineage.facts.served()?.id;
    let presented = lineage.doc.presented.iter().rev().map(|presented| &presented.generation);
    let mut options = lineage
        .doc
        .waiting
        .iter()
        .rev()
        .chain(presented)
        .filter(|id| *id != served && Some(*id) != lineage.doc.barred.as_ref());
    // What is broken cannot wait for what may never come; and a certificate that has expired mends nothing.
    let is_open = |id: &GenerationId| {
        gate::blockers(model, lineage, id).iter().all(|reason| matches!(reason, Reason::OnItsWay { .. }))
    };
    let lives = |id: &GenerationId| lineage.chain(id).is_some_and(|chain| chain.not_after() > model.wall());
    let open = |id: &&GenerationId| lineage.facts.stored.contains_key(*id) && lives(id) && is_open(id);
    let overridden = lineage.doc.overrides.last().is_some_and(|last| last.generation == *served);
    options.find(open).filter(|_| !overridden)
}

/// Switches at once to a generation that all answers match, if there is one; else the served chain's records are being
/// published, and that is told.
fn mend(model: &Model<'_>, lineage: &Lineage<'_>, plan: &mut Plan) {
    let text = "the certificate that is served matches no TLSA record that some name server shows";
    match open(model, lineage) {
        Some(generation) => {
            plan.actions.push(step(lineage, generation, Cause::Broken));
            plan.troubles
                .push(Trouble::of(lineage.name, format!("{text}: going to generation {generation}, which all match")));
        }
        None => plan.troubles.push(Trouble::of(lineage.name, format!("{text}: its records are being published"))),
    }
}

/// Moves switches, deploys and reloads before the additions of others: what needs no provider does not wait for one that takes its time. A
/// lineage at whose owners something is added keeps the order of the plan.
pub fn before_others(model: &Model<'_>, plan: &mut Plan) {
    let is_addition = |action: &Action| matches!(action, Action::Add(_));
    let Some(first) = plan.actions.iter().position(is_addition) else { return };
    let added = plan.actions.iter().filter_map(|action| match action {
        Action::Add(edit) => model.owners.get(&edit.query),
        _ => None,
    });
    let targets: BTreeSet<&DnsName> = added.map(|owner| &owner.doc.target).collect();
    let concerned = |name: &String| model.owners_of(name).any(|owner| targets.contains(&owner.doc.target));
    let moves = |action: &Action| match action {
        Action::Switch { lineage, .. } | Action::Deploy { lineage, .. } => !concerned(lineage),
        Action::Reload { lineages, .. } => !lineages.iter().any(concerned),
        _ => false,
    };
    let (moved, rest): (Vec<_>, Vec<_>) = plan.actions.split_off(first).into_iter().partition(moves);
    plan.actions.extend(moved);
    plan.actions.extend(rest);
}

/// Plans the deploys that are owed, of what the dane directory shows and goes on showing.
pub fn deploy(model: &Model<'_>, plan: &mut Plan) {
    let switched = plan.switched();
    let stays = |lineage: &&Lineage<'_>| lineage.is_installed() && !switched.contains(lineage.name);
    for lineage in model.lineages.values().filter(stays) {
        let (Some(section), Some(served)) = (lineage.section, lineage.facts.served()) else { continue };
        let owed = section.deploy.iter().filter(|command| is_undeployed(lineage, command));
        plan.actions.extend(owed.map(|command| deploys(lineage, section, &served.id, command)));
    }
}

/// Is this command owed because of any generation that was left?
fn is_undeployed(lineage: &Lineage<'_>, command: &Vec<String>) -> bool {
    let left = lineage.doc.presented.iter().filter_map(|presented| presented.left);
    left.into_iter().any(|left| lineage.undeployed(left).any(|owed| owed == command))
}

/// Plans the reloads that are owed: each command once. Lineages that have yet to be deployed wait: a service on another host that
/// is reloaded before it has the files goes on with the old certificate, and its reload must not count.
pub fn reload(model: &Model<'_>, plan: &mut Plan) {
    let mut owed: BTreeMap<&Vec<String>, (BTreeSet<String>, u64)> = BTreeMap::new();
    for lineage in model.lineages.values() {
        let timeout = lineage.section.map_or(0, |section| section.timeout);
        let left = lineage.doc.presented.iter().filter_map(|presented| presented.left);
        if left.clone().any(|left| lineage.undeployed(left).next().is_some()) {
            continue;
        }
        for left in left {
            for command in lineage.owed(left) {
                let (lineages, limit) = owed.entry(command).or_default();
                lineages.insert(lineage.name.into());
                *limit = timeout.max(*limit);
            }
        }
    }
    let in_order = model.input.config.sections.iter().flat_map(|section| section.reload.iter());
    let mut done = BTreeSet::new();
    for command in in_order.filter(|command| done.insert(*command)) {
        if let Some((lineages, timeout)) = owed.remove(command) {
            plan.actions.push(Action::Reload { command: command.clone(), lineages, timeout });
        }
    }
}
