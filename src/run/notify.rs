//! Telling news to the command of `notify`: once, and again only what it said it did not take.

use super::{CONFIGURATION, Run, rounds::Summary};
use crate::{
    act::reload::PATH,
    env::{Command, Status},
    journal::clock::Stamp,
    plan::Trouble,
    report::notify::{Document, Memory, Seen, VERSION, body, subject},
};
use std::{io::ErrorKind, path::PathBuf, time::Duration};

/// So long the command may take, seconds.
const LIMIT: u64 = 60;

impl Run<'_> {
    /// Finds what is new, and tells it. What goes wrong with that fails the run as anything else does.
    pub(super) fn notify(&self, summary: &Summary, now: Stamp, epoch: &str) -> Option<Trouble> {
        if self.config.notify.is_empty() {
            return None;
        }
        let before = self.told_before();
        let mut memory = before.clone();
        let mut troubles = summary.troubles.clone();
        troubles.extend(self.flawed.then(|| Trouble {
            lineage: None,
            text: format!(
                "the configuration has errors (exit code {CONFIGURATION}), and sections with errors stand still: run \
                 `daneroll --config-test`"
            ),
        }));
        let news = memory.news(&Seen {
            now,
            epoch,
            wall: self.env.wall(),
            standings: summary.standings.as_ref(),
            troubles: &troubles,
            later: &summary.later,
            stuck: self.config.stuck,
        });
        memory.owe(news);
        let told = match memory.owed.is_empty() {
            true if memory == before => Ok(()),
            true => self.remember_told(&memory),
            false => self.tell_news(&mut memory),
        };
        told.err().map(|text| Trouble { lineage: None, text })
    }

    /// Writes down that it begins, so that a run which dies in its midst does not tell it twice.
    fn tell_news(&self, memory: &mut Memory) -> Result<(), String> {
        memory.telling = true;
        self.remember_told(memory)?;
        let taken = self.call_notify(memory);
        memory.telling = false;
        if !matches!(taken, Err(Refused { again: true, .. })) {
            memory.owed.clear();
        }
        self.remember_told(memory)?;
        taken.map_err(|refused| refused.why)
    }

    fn call_notify(&self, memory: &Memory) -> Result<(), Refused> {
        let words = &self.config.notify;
        let text = words.join(" ");
        for news in &memory.owed {
            tracing::info!(lineage = news.lineage, event = ?news.event, "telling `{text}`");
        }
        let document = Document { version: VERSION, news: &memory.owed };
        let ended = self.env.run(&Command {
            argv: words.clone(),
            vars: vec![
                ("PATH".into(), PATH.into()),
                ("LC_ALL".into(), "C".into()),
                ("DANEROLL_SUBJECT".into(), subject(&memory.owed)),
                ("DANEROLL_TEXT".into(), body(&memory.owed)),
            ],
            user: None,
            input: serde_json::to_string(&document).unwrap_or_default() + "\n",
            limit: Duration::from_secs(LIMIT),
        });
        let last = ended.output.lines().last().map(|line| format!(": {}", line.escape_debug())).unwrap_or_default();
        let (why, again) = match ended.status {
            Status::Exited(0) => return Ok(()),
            Status::Exited(code) => (format!("exited {code}{last}"), true),
            Status::NotStarted(why) => (format!("could not be started: {why}"), true),
            // Nobody knows how far it got.
            Status::Signalled(signal) => (format!("was ended by signal {signal}{last}"), false),
            Status::TimedOut => (format!("was still running after {LIMIT} s and was ended{last}"), false),
        };
        let then = if again { "the news is told again in the next run" } else { "the news is not told again" };
        Err(Refused { why: format!("notify `{text}` {why}; {then}"), again })
    }

    /// A memory that is lost or damaged makes old news new.
    fn told_before(&self) -> Memory {
        let path = self.memory_of_news();
        let bytes = match self.env.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Memory::default(),
            Err(error) => {
                tracing::warn!("cannot tell which news was told before, so it is told anew: {error}");
                return Memory::default();
            }
        };
        let mut memory = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{} is damaged ({error}), so news is told anew", path.display());
            Memory::default()
        });
        if std::mem::take(&mut memory.telling) {
            let text =
                "an earlier run ended while it told news, so nobody knows whether that arrived; it is not told again";
            memory.owed.iter().for_each(|news| tracing::warn!(lineage = news.lineage, "{text}: {}", news.text));
            memory.owed.clear();
        }
        memory
    }

    fn remember_told(&self, memory: &Memory) -> Result<(), String> {
        let text = serde_json::to_string_pretty(memory).unwrap_or_default() + "\n";
        let written = self.env.write_all(&[(self.memory_of_news(), text.into())], 0o600);
        written.map_err(|error| format!("it cannot be written down what was told, so nothing was: {error}"))
    }

    fn memory_of_news(&self) -> PathBuf {
        self.places.state.join("notify.json")
    }
}

/// The command did not take the news.
struct Refused {
    why: String,
    /// It will next time, maybe.
    again: bool,
}
