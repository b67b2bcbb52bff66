//! Where each lineage stands, and how long its steps may take: what notification goes by.

use super::{
    Reason, Step, Wait,
    files::LASTING,
    model::{Lineage, Model},
    presence::AGREED,
    switch::needed,
};
use crate::{journal::clock::Stamp, lineage::GenerationId};
use std::collections::BTreeMap;

/// Where a lineage stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What services read.
    pub served: Option<GenerationId>,
    /// The newest generation that waits for the switch.
    pub candidate: Option<GenerationId>,
    /// When its gate opens, once nothing but caches is waited for.
    pub switches: Option<Stamp>,
    /// No rollover is under way, and nothing is left of the last one.
    pub settled: bool,
    /// The life of the served certificate; `None` where nobody looks after it any more.
    pub life: Option<Life>,
    /// The wait that a switch needs, seconds.
    pub needed: u64,
    /// What may not happen yet.
    pub waits: Vec<Lasting>,
}

/// How long a certificate lives, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// From its first moment to its last.
    pub whole: u64,
    /// From now on.
    pub left: u64,
}

/// A wait, and how long it may last from its first moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// The step that waits, which names the wait.
    pub step: String,
    /// Seconds.
    pub planned: u64,
    /// What it waits for, in words.
    pub reasons: Vec<String>,
}

/// Where every lineage stands.
pub fn standings(model: &Model<'_>, waits: &[Wait]) -> BTreeMap<String, Standing> {
    let standing = |lineage: &Lineage<'_>| (lineage.name.to_owned(), standing(model, lineage, waits));
    model.lineages.values().map(standing).collect()
}

fn standing(model: &Model<'_>, lineage: &Lineage<'_>, waits: &[Wait]) -> Standing {
    let its: Vec<&Wait> = waits.iter().filter(|wait| wait.lineage == lineage.name).collect();
    let candidate = lineage.doc.waiting.last().filter(|_| !lineage.doc.withdrawn).cloned();
    let switch = its.iter().find(|wait| matches!(&wait.step, Step::Switch(to) if Some(to) == candidate.as_ref()));
    let needed = needed(model, lineage);
    let served = lineage.facts.served();
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
    let life = served.filter(|_| !lineage.doc.withdrawn).map(|served| {
        let (start, end) = (served.chain.not_before(), served.chain.not_after());
        Life { whole: seconds(end - start), left: seconds(end - model.wall()) }
    });
    let passes = |wait: &&Wait| wait.reasons.iter().any(Reason::passes);
    Standing {
        served: served.map(|served| served.id.clone()),
        switches: switch.and_then(|wait| end(wait)),
        settled: lineage.is_settled() && !its.iter().any(passes),
        life,
        needed,
        waits: its.iter().map(|wait| lasting(model, lineage, wait, needed)).collect(),
        candidate,
    }
}

/// When a wait is over, if time is all that it takes.
fn end(wait: &Wait) -> Option<Stamp> {
    let only_caches = wait.reasons.iter().all(|reason| matches!(reason, Reason::Cached { .. }));
    wait.reasons.iter().filter_map(Reason::until).max().filter(|_| only_caches)
}

fn lasting(model: &Model<'_>, lineage: &Lineage<'_>, wait: &Wait, needed: u64) -> Lasting {
    let holds = lineage.doc.presented.iter().map(|presented| lineage.hold(presented));
    let hold = holds.max().unwrap_or(0);
    let unseen = wait.reasons.iter().any(|reason| matches!(reason, Reason::Unseen { .. }));
    // As long as the certificate lives: the operator wanted it so.
    let expiry = wait.reasons.iter().filter_map(|reason| match reason {
        Reason::NoReload { not_after } => u64::try_from(not_after - model.wall()).ok(),
        _ => None,
    });
    let planned = match &wait.step {
        Step::Publish(_) | Step::Find(_) => 0,
        Step::Copy => LASTING,
        Step::Install(_) | Step::Switch(_) | Step::Leave => needed,
        Step::Delete(..) | Step::Retire(_) if unseen => needed.max(hold).max(AGREED),
        Step::Delete(..) | Step::Retire(_) => expiry.max().unwrap_or(0).max(needed).max(hold),
    };
    let mut reasons: Vec<String> = wait.reasons.iter().map(|reason| reason.text(model.now())).collect();
    reasons.dedup();
    Lasting { step: wait.step.to_string(), planned, reasons }
}
