//! What follows from the facts. [`plan`] is pure and deterministic: the same facts give the same plan, and making one
//! changes nothing. Each action leaves whoever carries it out nothing to choose.

mod alarm;
mod back;
pub mod check;
mod delete;
mod effect;
mod files;
pub mod gate;
pub mod hosts;
pub mod model;
pub mod presence;
pub mod probe;
mod publish;
mod reason;
mod sharing;
pub mod standing;
mod switch;

pub use back::back;
pub use publish::desired_records;
pub use reason::{Reason, Step, Trouble, Wait, span};
pub use switch::is_broken;

use crate::{
    config::{Config, Section},
    facts::Facts,
    journal::Journal,
    lineage::GenerationId,
    name::DnsName,
    tlsa::Association,
};
use model::Model;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The sections by the name of their lineage in `live/`.
    pub sections: &'a BTreeMap<String, Section>,
    /// What was seen.
    pub facts: &'a Facts,
    /// What is remembered, the facts included.
    pub journal: &'a Journal,
}

/// What is to be done now, what has to wait, and what is wrong.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// What may not happen yet, and why.
    pub waits: Vec<Wait>,
    /// What is wrong and makes the run fail.
    pub troubles: Vec<Trouble>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Keep a generation in our store, from what `live/` or the dane directory shows.
    Store {
        /// Of this lineage.
        lineage: String,
        /// This generation.
        generation: GenerationId,
    },
    /// Lead the dane directory elsewhere without changing the certificate that services read.
    Arrange {
        /// Of this lineage.
        lineage: String,
        /// Where to.
        goal: Goal,
        /// What services read now and go on reading; `None` where there is nothing to read yet.
        serving: Option<GenerationId>,
    },
    /// Take down a note that a record which we need is there already, or that another lineage needs it as well.
    Adopt {
        /// At this query name.
        query: DnsName,
        /// This record.
        record: Association,
        /// For this lineage.
        lineage: String,
    },
    /// Publish a record.
    Add(Edit),
    /// Switch the dane directory to another generation.
    Switch {
        /// Of this lineage.
        lineage: String,
        /// What services read now.
        from: Option<GenerationId>,
        /// What they are to read.
        to: GenerationId,
        /// What the switch rests on.
        cause: Cause,
    },
    /// Run a deploy command for a lineage.
    Deploy {
        /// This one.
        lineage: String,
        /// What the dane directory shows.
        generation: GenerationId,
        /// Words of the command.
        command: Vec<String>,
        /// Time limit, seconds.
        timeout: u64,
    },
    /// Run a reload command for all these lineages.
    Reload {
        /// Words of the command.
        command: Vec<String>,
        /// Whom it is owed.
        lineages: BTreeSet<String>,
        /// Time limit, seconds.
        timeout: u64,
    },
    /// Delete a record.
    Delete(Edit),
    /// Forget a generation that nothing needs any more.
    Forget {
        /// Of this lineage.
        lineage: String,
        /// This generation.
        generation: GenerationId,
        /// Its files stay (`keep`).
        keep: bool,
    },
    /// Forget a lineage that has left DANE.
    Leave {
        /// This one.
        lineage: String,
    },
}

/// Where the dane directory leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// To `live/`.
    Live,
    /// To this generation.
    Generation(GenerationId),
}

/// What a switch rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Every gate is open.
    Ready,
    /// Every gate is open, and what is served now matches nothing that is published.
    Broken,
    /// The operator's word (`switch --now --accept-mismatch`, `reset --force`).
    Forced,
}

/// A record to publish or delete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edit {
    /// At this query name.
    pub query: DnsName,
    /// The record.
    pub record: Association,
    /// TTL for a new RRset, seconds.
    pub ttl: u32,
    /// The lineage whose section says who edits the zone.
    pub lineage: String,
    /// For a delete: the record of the same parameters that stays.
    pub live: Option<Association>,
}

impl Plan {
    /// Leaves out the steps that are not to be `kept`. An addition goes with one before it at the same owner: the plan was
    /// judged with that in place, and its order is what keeps every chain matched.
    pub fn retain(&mut self, kept: impl Fn(&Action) -> bool) {
        let mut held = BTreeSet::new();
        self.actions.retain(|action| match action {
            Action::Add(edit) if held.contains(&edit.query) => false,
            action if kept(action) => true,
            Action::Add(edit) => {
                held.insert(edit.query.clone());
                false
            }
            _ => false,
        });
    }

    /// The lineages that the plan leads to another generation: by a switch, or back to what they are pinned to. What their chains
    /// need is judged anew after that, and nothing is deleted before.
    fn switched(&self) -> BTreeSet<String> {
        let leads_elsewhere = |action: &&Action| match action {
            Action::Switch { .. } => true,
            Action::Arrange { goal: Goal::Generation(to), serving: Some(serving), .. } => to != serving,
            _ => false,
        };
        let led = self.actions.iter().filter(leads_elsewhere);
        led.filter_map(Action::lineage).map(str::to_owned).collect()
    }
}

impl Action {
    /// The lineage that the action is for; `None` for a reload, which can serve several.
    pub fn lineage(&self) -> Option<&str> {
        match self {
            Action::Store { lineage, .. }
            | Action::Arrange { lineage, .. }
            | Action::Adopt { lineage, .. }
            | Action::Switch { lineage, .. }
            | Action::Deploy { lineage, .. }
            | Action::Forget { lineage, .. }
            | Action::Leave { lineage } => Some(lineage),
            Action::Add(edit) | Action::Delete(edit) => Some(&edit.lineage),
            Action::Reload { .. } => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Store { lineage, generation } => {
                write!(f, "keep generation {generation} of {lineage} in the store")
            }
            Action::Arrange { lineage, goal: Goal::Live, .. } => write!(f, "let {lineage} follow live/"),
            Action::Arrange { lineage, goal: Goal::Generation(id), .. } => {
                write!(f, "pin {lineage} to generation {id}")
            }
            Action::Adopt { query, record, .. } => write!(f, "take note of {query} TLSA {record}, which is there"),
            Action::Add(edit) => write!(f, "publish {} TLSA {}", edit.query, edit.record),
            Action::Switch { lineage, to, .. } => write!(f, "switch {lineage} to generation {to}"),
            Action::Deploy { lineage, command, .. } => write!(f, "run `{}` for {lineage}", command.join(" ")),
            Action::Reload { command, .. } => write!(f, "run `{}`", command.join(" ")),
            Action::Delete(edit) => write!(f, "delete {} TLSA {}", edit.query, edit.record),
            Action::Forget { lineage, generation, keep: true } => {
                write!(f, "let generation {generation} of {lineage} rest in the store")
            }
            Action::Forget { lineage, generation, keep: false } => {
                write!(f, "forget generation {generation} of {lineage}")
            }
            Action::Leave { lineage } => write!(f, "let {lineage} go"),
        }
    }
}

/// Makes a plan.
pub fn plan(input: Input<'_>) -> Plan {
    of_model(&Model::new(input))
}

/// Makes a plan from what was put together before.
pub fn of_model(model: &Model<'_>) -> Plan {
    let mut plan = Plan::default();
    files::store(model, &mut plan);
    files::arrange(model, &mut plan);
    publish::publish(model, &mut plan);
    switch::switch(model, &mut plan);
    switch::deploy(model, &mut plan);
    switch::reload(model, &mut plan);
    delete::delete(model, &mut plan);
    files::forget(model, &mut plan);
    hosts::tell(model, &mut plan);
    effect::read_back(model, &mut plan);
    alarm::raise(model, &mut plan);
    switch::before_others(model, &mut plan);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(owner: &str, lineage: &str, data: u8) -> Action {
        let record = Association { usage: 3, selector: 1, matching: 1, data: vec![data] };
        let query = owner.parse().unwrap();
        Action::Add(Edit { query, record, ttl: 60, lineage: lineage.into(), live: None })
    }

    #[test]
    fn an_addition_goes_with_the_one_before_it() {
        let all = [add("a.", "rsa", 1), add("a.", "ecdsa", 2), add("b.", "rsa", 3), add("b.", "rsa", 4)];
        for (left_out, kept) in [
            (vec![], vec![0, 1, 2, 3]),
            (vec![0], vec![2, 3]), // nothing at its owner without it
            (vec![1], vec![0, 2, 3]),
            (vec![2], vec![0, 1]),
            (vec![3], vec![0, 1, 2]),
        ] {
            let mut plan = Plan { actions: all.to_vec(), ..Plan::default() };
            plan.retain(|action| !left_out.iter().any(|at| all[*at] == *action));
            let expected: Vec<Action> = kept.iter().map(|at: &usize| all[*at].clone()).collect();
            assert_eq!(plan.actions, expected, "{left_out:?}");
        }
    }
}
