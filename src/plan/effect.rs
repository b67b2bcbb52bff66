//! Read-back: what a provider says that it did, against what the name servers show. Its word is never counted; here it is told where
//! it differs for long.

use super::{
    Plan, Reason, Trouble, Wait,
    model::{Model, Owner},
    publish::desired_records,
    reason::{Step, span},
};
use crate::{
    journal::{RecordDoc, RecordState},
    tlsa::Association,
};

/// A change that does not show is named after so many seconds: servers sign, and tell each other.
const NAMED: u64 = 120;
/// And the run fails after so many if no server at all shows it.
const FAILS: u64 = 3600;
/// What ought to pass and has kept a change for so many seconds fails the run as well.
const PASSES: u64 = 86_400;

/// Names what was accepted and does not show, and what has been tried for long.
pub fn read_back(model: &Model<'_>, plan: &mut Plan) {
    let is_open = |doc: &RecordDoc| doc.accepted.is_some() || doc.tried.is_some();
    for owner in model.owners.values().filter(|owner| owner.doc.records.values().any(is_open)) {
        if owner.answers().is_empty() {
            continue;
        }
        let desired = desired_records(model, owner);
        for (record, doc) in &owner.doc.records {
            let publishes = !doc.state.going();
            if publishes == desired.contains(record) {
                let lineage = doc.lineages.first().cloned().unwrap_or_default();
                plan.troubles.extend(tried(model, owner, record, doc).map(|text| Trouble::of(&lineage, text)));
                let Some(reason) = without_effect(model, owner, record, doc) else { continue };
                if let Reason::WithoutEffect { accepted, nowhere: true, .. } = &reason
                    && accepted.elapsed(model.now()) >= FAILS
                {
                    plan.troubles.push(Trouble::of(&lineage, reason.text(model.now())));
                }
                let step = match publishes {
                    true => Step::Publish(owner.query.clone()),
                    false => Step::Delete(owner.query.clone(), record.clone()),
                };
                plan.waits.push(Wait { lineage, step, reasons: vec![reason] });
            }
        }
    }
}

/// The provider said long ago that it is done, and some server that answers shows the contrary.
fn without_effect(model: &Model<'_>, owner: &Owner<'_>, record: &Association, doc: &RecordDoc) -> Option<Reason> {
    let accepted = doc.accepted.filter(|accepted| accepted.elapsed(model.now()) >= NAMED)?;
    let publishes = doc.state == RecordState::Published;
    let contrary = owner.shown().filter(|(_, _, records)| records.contains(record) != publishes);
    let servers: Vec<String> = contrary.map(|(address, server, _)| format!("{} ({address})", server.name)).collect();
    let nowhere = servers.len() == owner.shown().count();
    let (owner, record) = (owner.query.clone(), record.clone());
    (!servers.is_empty()).then_some(Reason::WithoutEffect { owner, record, publishes, servers, nowhere, accepted })
}

/// The provider has been asked for long, and each time there was something that ought to pass.
fn tried(model: &Model<'_>, owner: &Owner<'_>, record: &Association, doc: &RecordDoc) -> Option<String> {
    let since = doc.tried.filter(|since| since.elapsed(model.now()) >= PASSES)?;
    let verb = if doc.state.going() { "delete" } else { "publish" };
    let time = span(since.elapsed(model.now()));
    Some(format!("for {time} each run has tried to {verb} {record} at {} and could not: see what it says", owner.query))
}
