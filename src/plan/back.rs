//! Going back to the generation that was served before (DESIGN: "Switch", `rollback`).

use super::{
    Action, Cause, Input, Plan,
    check::check,
    gate,
    model::{Lineage, Model},
};
use crate::{journal::Presented, lineage::GenerationId};

/// From where to where, and the steps: the checker of plans has nothing against them.
pub fn back(input: Input<'_>, lineage: &str) -> Result<(GenerationId, GenerationId, Vec<Action>), String> {
    let model = Model::new(input);
    let of = model.lineages.get(lineage).ok_or("it is not known: nothing was ever done for it")?;
    if of.section.is_none() || of.doc.withdrawn {
        return Err("it has no sound section, or leaves DANE: nothing is switched".into());
    }
    let from = of.facts.served().ok_or("what services read cannot be told")?.id.clone();
    let to = previous(of, &from)
        .ok_or("there is no generation to go back to: the one before has been forgotten, since its records are gone")?;
    let reasons = gate::blockers(&model, of, &to);
    if !reasons.is_empty() {
        let texts: Vec<String> = reasons.iter().map(|reason| reason.text(model.now())).collect();
        return Err(format!("going back to generation {to} is not safe: {}", texts.join("; ")));
    }
    let step =
        Action::Switch { lineage: lineage.into(), from: Some(from.clone()), to: to.clone(), cause: Cause::Ready };
    let plan = check(input, Plan { actions: vec![step], ..Plan::default() });
    match plan.troubles.first() {
        Some(trouble) => Err(trouble.text.clone()),
        None => Ok((from, to, plan.actions)),
    }
}

/// The generation that was served last before `served`, if its files are still kept.
fn previous(lineage: &Lineage<'_>, served: &GenerationId) -> Option<GenerationId> {
    let left = lineage.doc.presented.iter().filter(|presented| presented.left.is_some());
    let barred = |left: &&Presented| lineage.doc.barred.as_ref() == Some(&left.generation);
    let kept = left.filter(|left| left.generation != *served && lineage.facts.stored.contains_key(&left.generation));
    let kept = kept.filter(|left| !barred(left));
    kept.max_by_key(|presented| presented.left).map(|presented| presented.generation.clone())
}
