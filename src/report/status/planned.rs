//! What a plan holds for each lineage: taken apart once, for there may be thousands of both.

use crate::plan::{Action, Plan, Trouble, Wait};
use std::collections::BTreeMap;

/// What a plan holds for one lineage, in the plan's order.
#[derive(Debug, Default)]
pub struct Planned<'a> {
    /// What a run would do now.
    pub actions: Vec<&'a Action>,
    /// What it would wait for.
    pub waits: Vec<&'a Wait>,
    /// What is wrong.
    pub troubles: Vec<&'a Trouble>,
}

/// By the names of the lineages; those for which the plan holds nothing are missing.
pub fn by_lineage(plan: &Plan) -> BTreeMap<&str, Planned<'_>> {
    let mut planned: BTreeMap<&str, Planned<'_>> = BTreeMap::new();
    for action in &plan.actions {
        let reloaded = match action {
            Action::Reload { lineages, .. } => Some(lineages),
            _ => None,
        };
        for name in reloaded.into_iter().flatten().map(String::as_str).chain(action.lineage()) {
            planned.entry(name).or_default().actions.push(action);
        }
    }
    for wait in &plan.waits {
        planned.entry(&wait.lineage).or_default().waits.push(wait);
    }
    for trouble in &plan.troubles {
        if let Some(name) = &trouble.lineage {
            planned.entry(name).or_default().troubles.push(trouble);
        }
    }
    planned
}
