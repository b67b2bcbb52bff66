//! Reloads: a command without a shell, owed until it succeeds.

use super::{Actor, Came};
use crate::{
    env::{Command, Ended, Status},
    journal::{Reloaded, clock::Stamp, store::Store},
    plan::Trouble,
};
use std::{collections::BTreeSet, time::Duration};

/// The search path of external programs.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment that every command of ours begins with; nothing is inherited.
pub(super) fn plain() -> Vec<(String, String)> {
    vec![("PATH".into(), PATH.into()), ("LC_ALL".into(), "C".into())]
}

impl Actor<'_> {
    /// Runs a reload command for all these lineages, and takes down when it began if it succeeded.
    pub(super) fn reload(&self, words: &[String], lineages: &BTreeSet<String>, limit: u64, store: &mut Store) -> Came {
        let text = words.join(" ");
        for lineage in lineages {
            tracing::info!(lineage, phase = "reload", command = text, "reloading");
        }
        match self.ran(words, plain(), limit, store) {
            Ok((began, ended)) => {
                for lineage in lineages {
                    if let Some(doc) = store.edit().lineages.get_mut(lineage) {
                        doc.forget_reloads(words);
                        doc.reloads.push(Reloaded { command: words.to_vec(), began, ended });
                    }
                }
                Came::Done
            }
            Err(why) => {
                let names: Vec<&str> = lineages.iter().map(String::as_str).collect();
                let text = format!(
                    "reload `{text}` {why}; it is tried again at the next run, and old records stay until it succeeds"
                );
                Came::Failed(Trouble::of(&names.join(", "), text))
            }
        }
    }

    /// Runs a command: when it began and had ended, or what went wrong.
    pub(super) fn ran(
        &self,
        words: &[String],
        vars: Vec<(String, String)>,
        limit: u64,
        store: &mut Store,
    ) -> Result<(Stamp, Stamp), String> {
        let command =
            Command { argv: words.to_vec(), vars, user: None, input: String::new(), limit: Duration::from_secs(limit) };
        let began = store.edit().clock.read(self.env.boot());
        let Ended { status, output } = self.env.run(&command);
        let text = words.join(" ");
        for line in output.lines() {
            tracing::debug!(command = text, "{}", line.escape_debug());
        }
        let last = output.lines().last().map(|line| format!(": {}", line.escape_debug())).unwrap_or_default();
        match status {
            Status::Exited(0) => Ok((began, store.edit().clock.read(self.env.boot()))),
            Status::Exited(code) => Err(format!("exited {code}{last}")),
            Status::Signalled(signal) => Err(format!("was ended by signal {signal}{last}")),
            Status::TimedOut => Err(format!("ran into its time limit of {limit} s (`timeout`) and was ended{last}")),
            Status::NotStarted(why) => Err(format!("could not be started: {why}")),
        }
    }
}
