//! Going back to the generation that was served before, and on again.

use super::{Run, look::Known, rounds::Summary};
use crate::{
    act::Came,
    journal::store::Store,
    lineage::GenerationId,
    plan::{Input, Trouble, back},
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
        let mut before = None;
        if let Some(doc) = store.edit().lineages.get_mut(lineage) {
            doc.waiting.retain(|waiting| *waiting != from);
            before = doc.barred.replace(from.clone());
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
            doc.barred = before;
        }
        let mut summary = self.rounds(store);
        summary.troubles.splice(0..0, trouble);
        summary
    }

    /// Lets a lineage go on to the generation that the operator went back from, through all gates.
    pub(super) fn unbar(&self, store: &mut Store, lineage: &str) -> Summary {
        match let_go(store, lineage) {
            Ok(generation) => tracing::info!(lineage, %generation, "no longer barred"),
            Err(trouble) => return Summary { troubles: vec![trouble], ..Summary::default() },
        }
        self.rounds(store)
    }
}

/// Takes down that the generation which the operator went back from is a candidate again.
pub(super) fn let_go(store: &mut Store, lineage: &str) -> Result<GenerationId, Trouble> {
    let barred = store.edit().lineages.get_mut(lineage).and_then(|doc| doc.barred.take());
    barred.ok_or_else(|| {
        let text = "nothing keeps it from switching as soon as that is safe, and plain runs do it then; to force it \
                    now, whatever clients hold: `daneroll switch --now --accept-mismatch LINEAGE`";
        Trouble::of(lineage, text)
    })
}
