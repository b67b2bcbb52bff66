//! `--dry-run`: what a command would do now. Nothing is written: what the command notes first is noted in a copy of the journal.

use super::{FAILED, Report, Run, commands::forced, look::Known, rollback::let_go, rounds::in_words};
use crate::{
    cli::Command,
    journal::store::Store,
    plan::{Input, Plan, Trouble, back, check::check, plan},
};
use std::collections::BTreeSet;

impl Run<'_> {
    /// Says what the command would do now. `known`: the lineages that the journal knows.
    pub(super) fn dry_run(&self, known: &BTreeSet<String>) -> Report {
        let mut store = match Store::look(self.env, &self.places.state) {
            Ok(store) => store,
            Err(error) => {
                tracing::error!("cannot read the journal: {error}");
                return Report::exit(FAILED);
            }
        };
        let noted = self.note_only(&mut store, known);
        let facts = self.look(store.edit(), &mut Known::default());
        let asked = noted.and_then(|()| {
            let input =
                Input { config: self.config, sections: &self.sections, facts: &facts, journal: store.journal() };
            match &self.arguments.command {
                Command::Rollback { lineage } => {
                    let lineage = self.spelt(lineage, known);
                    back(input, &lineage).map(|(.., actions)| actions).map_err(|why| Trouble::of(&lineage, why))
                }
                Command::Switch { lineage, now: true, accept_mismatch: true } => {
                    forced(&store, &facts, &self.spelt(lineage, known)).map(|(_, actions)| actions)
                }
                _ => Ok(Vec::new()),
            }
        });
        let plan = match asked {
            Ok(asked) if asked.is_empty() => self.foreseen(Input {
                config: self.config,
                sections: &self.sections,
                facts: &facts,
                journal: store.journal(),
            }),
            // What follows from these steps is not in any plan yet.
            Ok(actions) => Plan { actions, ..Plan::default() },
            Err(trouble) => Plan { troubles: vec![trouble], ..Plan::default() },
        };
        let text = match self.arguments.json {
            true => serde_json::to_string_pretty(&plan).unwrap_or_default() + "\n",
            false => in_words(&plan, facts.now),
        };
        let exit = if plan.troubles.is_empty() { 0 } else { FAILED };
        match self.left_by_alnitak() {
            // It comes first, and what follows from it is not in the plan yet.
            Some(file) if !self.arguments.json => {
                let import = self.would_import(&file);
                Report { text: import.text + &text, ..Report::exit(exit.max(import.exit)) }
            }
            _ => Report { text, ..Report::exit(exit) },
        }
    }

    /// Notes in the copy what the command notes before it looks.
    fn note_only(&self, store: &mut Store, known: &BTreeSet<String>) -> Result<(), Trouble> {
        match &self.arguments.command {
            Command::Withdraw { lineage } => self.leave(store, &self.spelt(lineage, known)),
            Command::Switch { now: true, accept_mismatch: true, .. } => Ok(()),
            Command::Switch { lineage, .. } => let_go(store, &self.spelt(lineage, known)).map(drop),
            _ => Ok(()),
        }
    }

    /// The plan, as far as the command takes it.
    fn foreseen(&self, input: Input<'_>) -> Plan {
        let mut plan = check(input, plan(input));
        plan.retain(|action| self.is_for(action));
        plan
    }
}
