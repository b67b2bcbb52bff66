//! What somebody has to do, where no provider does it: what a run would ask for now, and what was asked for and does not show yet.

use super::{ByHand, planned::Planned};
use crate::{
    act::edits::{change, edit_of},
    journal::RecordState,
    plan::{
        Edit,
        model::{Model, Owner},
    },
    provider::{Operation, line},
    small::Set,
    tlsa::Association,
};

/// For one lineage.
pub fn by_hand(model: &Model<'_>, planned: &Planned<'_>, name: &str) -> Vec<ByHand> {
    let Some(section) = model.input.sections.get(name) else { return Vec::new() };
    let planned = planned.actions.iter().copied().filter_map(edit_of);
    let mut edits: Vec<(Operation, Edit)> = planned.map(|(operation, edit)| (operation, edit.clone())).collect();
    for owner in model.owners_of(name) {
        for (operation, record) in asked_for(owner, name) {
            let known = |(other, edit): &(Operation, Edit)| {
                (*other, &edit.query, &edit.record) == (operation, owner.query, &record)
            };
            if !edits.iter().any(known) {
                let (query, lineage, ttl) = (owner.query.clone(), name.to_owned(), section.record_ttl);
                edits.push((operation, Edit { query, record, ttl, lineage, live: None }));
            }
        }
    }
    edits.sort_by_key(|(operation, _)| *operation);
    let told = |(operation, edit): (Operation, Edit)| {
        let change = change((operation, &edit), model.input.journal);
        let says = section.api.provider().by_hand(&change)?;
        let word = match operation {
            Operation::Add => "add",
            Operation::Delete => "remove",
        };
        Some(ByHand { operation: word, owner: change.owner.clone(), line: line(&change), says })
    };
    edits.into_iter().filter_map(told).collect()
}

/// What was asked for at an owner, for this lineage, and cannot be seen everywhere yet.
fn asked_for(owner: &Owner<'_>, name: &str) -> Vec<(Operation, Association)> {
    // As they are: for the planner a record that is on its way out is not there any more.
    let shown = owner.servers().into_iter().flatten().filter_map(|(_, server)| server.answer.as_ref().ok());
    let answers: Vec<&Set<Association>> = shown.filter_map(|shown| shown.records.as_ref()).collect();
    let shown = |record: &Association| answers.iter().filter(|records| records.contains(record)).count();
    let asked = owner.doc.records.iter().filter(|(_, doc)| doc.lineages.contains(name));
    let asked = asked.filter_map(|(record, doc)| match doc.state {
        RecordState::Publishing if shown(record) < answers.len() || answers.is_empty() => {
            Some((Operation::Add, record))
        }
        RecordState::Deleting | RecordState::Deleted if shown(record) > 0 => Some((Operation::Delete, record)),
        _ => None,
    });
    asked.map(|(operation, record)| (operation, record.clone())).collect()
}
