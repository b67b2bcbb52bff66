//! Going back to the generation that was served before, and on again.

use super::{Run, look::Known, rounds::Summary};
use crate::{
    act::Came,
    journal::{Presented, store::Store},
    lineage::GenerationId,
    plan::{
        Action, Cause, Input, Plan, Trouble,
        check::check,
        gate,
        model::{Lineage, Model},
    },
};

impl Run<'_> {
    /// Puts the generation back that was served before, if every client matches it by now, and bars the one that is served: it
    /// is no candidate again before `live/` shows another, or the operator says so.
    pub(super) fn rollback(&self, store: &mut Store, lineage: &str) -> Summary {
        let fails = |text: String| Summary { troubles: vec![Trouble::of(lineage, text)], ..Summary::default() };
        let facts = self.look(store.edit(), &mut Known::default());
        let input = Input { config: self.config, sections: &self.sections, facts: &facts, journal: store.journal() };
        let (from, to, actions) = match back(input, lineage) {
            Ok(steps) => steps,
            Err(text) => return fails(text),
        };
        if let Some(doc) = store.edit().lineages.get_mut(lineage) {
            doc.waiting.retain(|waiting| *waiting != from);
            doc.barred = Some(from.clone());
        }
        tracing::warn!(lineage, %from, %to, "going back; the newer generation is barred until `live/` shows another");
        let came = self.actor().carry_out(&actions, &facts, store);
        let trouble = match came {
            Ok(came) => came.into_iter().find_map(|came| match came {
                Came::Done => None,
                Came::Failed(trouble) => Some(trouble),
                other => Some(Trouble::of(lineage, format!("not gone back, something changed meanwhile: {other:?}"))),
            }),
            Err(error) => Some(Trouble::of(lineage, format!("the journal cannot be written: {error}"))),
        };
        if let (Some(_), Some(doc)) = (&trouble, store.edit().lineages.get_mut(lineage)) {
            doc.barred = None;
        }
        let mut summary = self.rounds(store);
        summary.troubles.splice(0..0, trouble);
        summary
    }

    /// Lets a lineage go on to the generation that the operator went back from, through all gates.
    pub(super) fn unbar(&self, store: &mut Store, lineage: &str) -> Summary {
        let barred = store.edit().lineages.get_mut(lineage).and_then(|doc| doc.barred.take());
        let Some(generation) = barred else {
            let text = "nothing keeps it from switching as soon as that is safe, and plain runs do it then; to force it \
                        now, whatever clients hold: `daneroll switch --now --accept-mismatch LINEAGE`";
            return Summary { troubles: vec![Trouble::of(lineage, text)], ..Summary::default() };
        };
        tracing::info!(lineage, %generation, "no longer barred");
        self.rounds(store)
    }
}

/// From where to where, and the steps: the checker of plans has nothing against them.
fn back(input: Input<'_>, lineage: &str) -> Result<(GenerationId, GenerationId, Vec<Action>), String> {
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
