//! The command that makes the name server read its files again, owed until it succeeds.

use super::ZoneFile;
use crate::{
    env::{Command, Env, Status},
    name::DnsName,
    provider::{Context, Outcome, PATH, last_words, printable},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, ErrorKind},
    path::PathBuf,
};

/// A file may have changed without its name server having been told: kept in `refresh/ZONE.json` in the state directory.
#[derive(Serialize, Deserialize)]
struct Debt {
    version: u32,
    /// Since when, Unix seconds.
    since: i64,
}

/// The debt of one zone.
pub(super) struct Owed<'a> {
    env: &'a dyn Env,
    path: PathBuf,
    /// Since when, Unix seconds, if it is owed.
    pub since: Option<i64>,
}

impl<'a> Owed<'a> {
    /// Looks whether something is owed to a zone. A note that cannot be read counts as one.
    pub fn look(env: &'a dyn Env, context: &Context, zone: Option<&DnsName>) -> Result<Owed<'a>, Outcome> {
        let name = zone.map_or("-", DnsName::without_dot);
        let path = context.state_directory.join("refresh").join(format!("{name}.json"));
        let since = match env.read(&path) {
            Ok(bytes) => Some(serde_json::from_slice::<Debt>(&bytes).map_or(env.wall(), |debt| debt.since)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Outcome::Failed(error.to_string())),
        };
        Ok(Owed { env, path, since })
    }

    /// Takes the debt down. It is on disk before anything that causes it.
    pub fn owe(&self) -> Result<(), Outcome> {
        if self.since.is_some() {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            let debt = Debt { version: 1, since: self.env.wall() };
            let mut bytes = serde_json::to_vec(&debt)?;
            bytes.push(b'\n');
            let dir = self.path.parent().unwrap_or(&self.path).to_owned();
            let above = dir.parent().unwrap_or(&dir).to_owned();
            self.env.make_dir(&dir, 0o700)?;
            self.env.write(&self.path, &bytes, 0o600)?;
            self.env.sync(&[dir, above])
        };
        write().map_err(|error| Outcome::Failed(format!("cannot take down that a refresh is owed: {error}")))
    }

    /// It has been paid. One that stays on disk costs another refresh.
    pub fn paid(&self) {
        match self.env.remove(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => tracing::warn!("a paid refresh stays noted: {error}"),
            _ => {}
        }
    }
}

/// Runs the command once; what it failed with.
pub(super) fn run(env: &dyn Env, context: &Context, argv: &[String], since: Option<i64>) -> Result<(), Outcome> {
    let text = argv.join(" ");
    let command = Command {
        argv: argv.to_vec(),
        vars: vec![("PATH".into(), PATH.into()), ("LC_ALL".into(), "C".into())],
        limit: context.timeout,
        ..Command::default()
    };
    tracing::info!(command = text, "having the name server read its files");
    let ended = env.run(&command);
    for line in ended.output.lines() {
        tracing::debug!(command = text, "{}", printable(line));
    }
    let said = last_words(&ended.output);
    let what = match &ended.status {
        Status::Exited(0) => return Ok(()),
        Status::Exited(code) => format!("exited {code}{said}"),
        Status::Signalled(signal) => format!("was ended by signal {signal}{said}"),
        Status::TimedOut => {
            format!("ran into its time limit of {} s (`timeout`) and was ended{said}", context.timeout.as_secs())
        }
        Status::NotStarted(why) => format!("could not be started: {why}"),
    };
    let since = since.map_or(String::new(), |since| format!(" (owed for {})", age(env.wall().saturating_sub(since))));
    Err(Outcome::Temporary(format!(
        "the file has it, and `{}` {what}; each run tries it again{since}",
        printable(&text)
    )))
}

fn age(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl ZoneFile {
    /// The words of the command for a zone.
    pub(super) fn command(&self, zone: Option<&DnsName>) -> Vec<String> {
        let name = zone.map_or("", DnsName::without_dot);
        self.refresh.iter().map(|word| word.replace(super::line::ZONE, name)).collect()
    }
}
