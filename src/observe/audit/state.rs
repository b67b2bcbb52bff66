//! What the state directory tells about rollovers: the journal, and the report of the last run.

use crate::{
    env::Env,
    journal::{Journal, RecordState, clock::Stamp, store::Store},
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, io::ErrorKind, path::Path};

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By lineage.
    pub rollovers: BTreeMap<String, Rollover>,
    /// The last run; `None` if there was none.
    pub last: Option<LastRun>,
    /// What could not be read.
    pub unreadable: Vec<String>,
}

/// What is remembered of a lineage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollover {
    /// Does a generation wait for the switch?
    pub waiting: bool,
    /// Seconds since the newest of its records was published.
    pub published_for: Option<u64>,
    /// What a switch needs now, seconds.
    pub wait: u64,
    /// End of validity of the certificate that is served, Unix seconds.
    pub not_after: Option<i64>,
}

/// The report of the last run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct LastRun {
    /// Its exit code.
    pub exit: u8,
    /// Unix seconds.
    pub ended: i64,
    /// Seconds after which another was worth while.
    pub next_in: u64,
    /// What it waited for.
    #[serde(default)]
    pub waits: Vec<Pending>,
    /// What was wrong.
    #[serde(default)]
    pub troubles: Vec<Told>,
}

/// Something that a run waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Pending {
    /// For this lineage.
    pub lineage: String,
    step: Value,
    #[serde(default)]
    reasons: Vec<Value>,
    /// The reasons in words.
    #[serde(default)]
    pub texts: Vec<String>,
    /// Seconds until its moment, as far as one is known; 0 if that is over.
    #[serde(skip)]
    pub left: Option<u64>,
}

/// Trouble in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// Which lineage, if it is one's.
    pub lineage: Option<String>,
    /// What is wrong.
    pub text: String,
}

impl Pending {
    /// `switch`, `publish`, `delete`, `retire`, `leave`, `find`.
    pub fn step(&self) -> &str {
        match &self.step {
            Value::Object(step) => step.keys().next().map_or("", String::as_str),
            step => step.as_str().unwrap_or_default(),
        }
    }

    /// The last moment among its reasons.
    fn until(&self) -> Option<Stamp> {
        self.reasons.iter().filter_map(|reason| reason.get("until")?.as_u64().map(Stamp)).max()
    }
}

/// Reads what is remembered. `floor` is the least wait of a lineage, seconds.
pub fn read(env: &dyn Env, directory: &Path, floor: &dyn Fn(&str) -> u64) -> State {
    let mut state = State::default();
    if let Err(error) = env.stat(directory, true) {
        state.unreadable.push(format!("the journal: {error}"));
        return state;
    }
    let mut now = None;
    match Store::look(env, directory) {
        Ok(mut store) => {
            now = Some(store.edit().clock.read(env.boot()));
            state.rollovers = rollovers(store.journal(), floor);
            state.unreadable.append(&mut store.damaged);
        }
        Err(error) => state.unreadable.push(format!("the journal: {error}")),
    }
    match env.read(&directory.join("run.json")) {
        Ok(bytes) => match serde_json::from_slice::<LastRun>(&bytes) {
            Ok(last) => state.last = Some(last),
            Err(error) => state.unreadable.push(format!("{}: {error}", directory.join("run.json").display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => state.unreadable.push(format!("the report of the last run: {error}")),
    }
    for pending in state.last.iter_mut().flat_map(|last| &mut last.waits) {
        pending.left = pending.until().zip(now).map(|(until, now)| until.until(now));
    }
    state
}

fn rollovers(journal: &Journal, floor: &dyn Fn(&str) -> u64) -> BTreeMap<String, Rollover> {
    let now = Stamp(journal.clock.total);
    let of_lineage = |(name, doc): (&String, &crate::journal::LineageDoc)| {
        let floor = floor(name);
        let owners = || journal.owners.values().filter(|owner| owner.lineages.contains(name));
        let records = owners().flat_map(|owner| owner.records.values());
        let here = records.filter(|record| record.lineages.contains(name) && record.state == RecordState::Published);
        let rollover = Rollover {
            waiting: !doc.waiting.is_empty(),
            published_for: here.map(|record| record.since.elapsed(now)).min(),
            wait: owners().map(|owner| owner.wait(floor)).max().unwrap_or(floor),
            not_after: doc.presented.iter().find(|presented| presented.left.is_none()).map(|p| p.not_after),
        };
        (name.clone(), rollover)
    };
    journal.lineages.iter().map(of_lineage).collect()
}
