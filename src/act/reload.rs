//! Reloads: a command without a shell, owed until it succeeds.

use super::{Actor, Came};
use crate::{
    env::{Command, Status},
    journal::{Reloaded, store::Store},
    plan::Trouble,
};
use std::{collections::BTreeSet, time::Duration};

/// The search path of external programs.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Actor<'_> {
    /// Runs a reload command for all these lineages, and takes down when it began if it succeeded.
    pub(super) fn reload(&self, words: &[String], lineages: &BTreeSet<String>, limit: u64, store: &mut Store) -> Came {
        let text = words.join(" ");
        for lineage in lineages {
            tracing::info!(lineage, phase = "reload", command = text, "reloading");
        }
        let command = Command {
            argv: words.to_vec(),
            vars: vec![("PATH".into(), PATH.into()), ("LC_ALL".into(), "C".into())],
            user: None,
            input: String::new(),
            limit: Duration::from_secs(limit),
        };
        let began = store.edit().clock.read(self.env.boot());
        let ended = self.env.run(&command);
        for line in ended.output.lines() {
            tracing::debug!(command = text, "{}", line.escape_debug());
        }
        let last = ended.output.lines().last().map(|line| format!(": {}", line.escape_debug())).unwrap_or_default();
        let why = match &ended.status {
            Status::Exited(0) => {
                let ended = store.edit().clock.read(self.env.boot());
                for lineage in lineages {
                    if let Some(doc) = store.edit().lineages.get_mut(lineage) {
                        doc.forget_reloads(words);
                        doc.reloads.push(Reloaded { command: words.to_vec(), began, ended });
                    }
                }
                return Came::Done;
            }
            Status::Exited(code) => format!("exited {code}{last}"),
            Status::Signalled(signal) => format!("was ended by signal {signal}{last}"),
            Status::TimedOut => format!("ran into its time limit of {limit} s (`timeout`) and was ended{last}"),
            Status::NotStarted(why) => format!("could not be started: {why}"),
        };
        let names: Vec<&str> = lineages.iter().map(String::as_str).collect();
        let text =
            format!("reload `{text}` {why}; it is tried again at the next run, and old records stay until it succeeds");
        Came::Failed(Trouble::of(&names.join(", "), text))
    }
}
