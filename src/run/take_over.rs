//! A rollover that Alnitak left under way: its file is read, what it pinned and published becomes ours, and the file is kept aside
//! once our journal has it all. No wait is shortened by what it says.

use super::{FAILED, Mode, Report, Run, rounds::Summary};
use crate::{
    cli::Command,
    journal::{
        Origin, OwnerDoc, RecordDoc, RecordState,
        alnitak::{self, Left, LeftRecord, LeftState},
        clock::Stamp,
        store::Store,
    },
    name::DnsName,
    observe::files,
    plan::Trouble,
    tlsa::Association,
};
use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
};

/// Copies of the file that are kept; nobody changes over more often.
const COPIES: u32 = 1000;

/// What is to be done about something that Alnitak left.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A renewal has begun: the links stay as they are until `--post`.
    Pin(String),
    /// A record is ours from now on.
    Adopt { lineage: String, query: DnsName, record: Association, state: RecordState, why: &'static str },
    /// Nothing, and why.
    Leave { line: usize, why: String },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Pin(lineage) => write!(f, "keep {lineage} pinned until the post hook"),
            Step::Adopt { lineage, query, record, why, .. } => {
                write!(f, "adopt for {lineage}: {query} {record}, {why}")
            }
            Step::Leave { line, why } => write!(f, "leave alone what line {line} tells: {why}"),
        }
    }
}

impl Run<'_> {
    /// The file to take over without being asked: Alnitak's own, where we run in its place.
    pub(super) fn left_by_alnitak(&self) -> Option<PathBuf> {
        let data = PathBuf::from(alnitak::DATA);
        let asked = matches!(self.arguments.command, Command::ImportAlnitak { .. });
        let stands_in = self.arguments.overrides.alnitak && !asked;
        (stands_in && self.env.stat(&data, true).is_ok()).then_some(data)
    }

    /// `import-alnitak`: what is taken over, in words.
    pub(super) fn import(&self, store: &mut Store, file: &Path) -> Summary {
        Summary { troubles: self.take_over(store, file), ..Summary::default() }
    }

    /// `import-alnitak --dry-run`.
    pub(super) fn would_import(&self, file: &Path) -> Report {
        let left = match self.env.read(file) {
            Ok(bytes) => alnitak::parse(&bytes),
            Err(error) => {
                tracing::error!("cannot read what Alnitak left: {error}");
                return Report::exit(FAILED);
            }
        };
        let steps = self.steps(&left);
        let damaged = damaged(file, &left);
        damaged.iter().for_each(|trouble| tracing::error!("{trouble}"));
        let text = match self.arguments.json {
            true => {
                let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
                let damaged: Vec<String> = damaged.iter().map(Trouble::to_string).collect();
                serde_json::json!({ "version": 1, "steps": steps, "damaged": damaged }).to_string() + "\n"
            }
            false if steps.is_empty() => format!("nothing to take over from {}\n", file.display()),
            false => steps.iter().map(|step| format!("would {step}\n")).collect(),
        };
        Report { text, ..Report::exit(if damaged.is_empty() { 0 } else { FAILED }) }
    }

    /// Takes over what stands in `file`, under the run lock. Once all of it is in the journal, the file gets another name.
    pub(super) fn take_over(&self, store: &mut Store, file: &Path) -> Vec<Trouble> {
        let trouble = |text: String| Trouble { lineage: None, text };
        let left = match self.env.read(file) {
            Ok(bytes) => alnitak::parse(&bytes),
            Err(error) => return vec![trouble(format!("cannot read what Alnitak left: {error}"))],
        };
        tracing::info!("taking over what Alnitak left in {}", file.display());
        let mut troubles = damaged(file, &left);
        let now = Stamp(store.journal().clock.total);
        for step in self.steps(&left) {
            tracing::info!("will {step}");
            match step {
                Step::Pin(lineage) => troubles.extend(self.keep_pinned(store, &lineage).err()),
                Step::Adopt { lineage, query, record, state, .. } => adopt(store, now, lineage, &query, record, state),
                Step::Leave { line, why } => tracing::warn!("{}:{line}: {why}", file.display()),
            }
        }
        match store.commit(self.env).and_then(|()| self.keep_aside(file)) {
            Ok(aside) => tracing::info!("{} is kept as {}", file.display(), aside.display()),
            Err(error) => troubles.push(trouble(format!("what Alnitak left could not be taken over: {error}"))),
        }
        troubles
    }

    /// What follows from the file. Reads nothing but the lineages' files.
    fn steps(&self, left: &Left) -> Vec<Step> {
        let mut steps = Vec::new();
        for (name, pin) in &left.pins {
            match self.lineage_of(name) {
                Err(why) => steps.push(Step::Leave { line: pin.line, why }),
                Ok(lineage) if !pin.links.iter().any(|link| self.is_ours(lineage, link)) => {
                    let dane = self.places.dane.display();
                    let why = format!("its links are not in our dane directory {dane} (dane_directory)");
                    steps.push(Step::Leave { line: pin.line, why });
                }
                // After the renewal the new generation waits, and that is reason enough to stay pinned.
                Ok(lineage) if !pin.renewed && self.mode != Mode::Post => steps.push(Step::Pin(lineage.into())),
                Ok(_) => {}
            }
        }
        for record in &left.records {
            match self.lineage_of(&record.lineage) {
                Err(why) => steps.push(Step::Leave { line: record.line, why }),
                Ok(lineage) => steps.extend(self.of_record(lineage, record)),
            }
        }
        let mut seen = BTreeSet::new();
        steps.retain(|step| seen.insert(step.to_string()));
        steps
    }

    /// A record, and with one that is new that of the certificate which services read: Alnitak meant to delete it.
    fn of_record(&self, lineage: &str, left: &LeftRecord) -> Vec<Step> {
        let adopt = |record: Association, state, why| Step::Adopt {
            lineage: lineage.into(),
            query: left.query.clone(),
            record,
            state,
            why,
        };
        if left.state == LeftState::Owed {
            let why = "to be deleted when nothing needs it";
            return vec![adopt(left.record.clone(), RecordState::Published, why)];
        }
        let facts = files::lineage(self.env, &self.places, lineage, false);
        let of = |generation: Option<&crate::lineage::Generation>| generation?.chain.association(left.param).ok();
        let (served, live) = (of(facts.served()), of(facts.live.as_ref().ok()));
        let known = [&served, &live].contains(&&Some(left.record.clone()));
        let mut steps = Vec::new();
        // An intent without outcome: the next look shows whether it is there, and if not, it is published.
        if left.state == LeftState::Published || known {
            let why = match left.state {
                LeftState::Published => "published for the renewed certificate",
                _ => "to be published for the renewed certificate",
            };
            let state = if known { RecordState::Publishing } else { RecordState::Published };
            steps.push(adopt(left.record.clone(), state, why));
        } else {
            let why = format!("{} {} is of no certificate here, and was not published", left.query, left.record);
            steps.push(Step::Leave { line: left.line, why });
        }
        let old = served.filter(|served| *served != left.record);
        steps.extend(old.map(|old| adopt(old, RecordState::Publishing, "of the certificate that is served")));
        steps
    }

    /// The lineage that Alnitak's section of this name is about.
    fn lineage_of(&self, name: &str) -> Result<&str, String> {
        let mut names = self.sections.keys().chain(&self.live);
        let found = names.find(|known| known.eq_ignore_ascii_case(name)).map(String::as_str);
        found.ok_or_else(|| format!("there is no lineage and no section {name:?}"))
    }

    fn is_ours(&self, lineage: &str, link: &Path) -> bool {
        let real = |path: &Path| self.env.real_path(path).unwrap_or_else(|_| path.to_owned());
        link.parent().is_some_and(|folder| real(folder) == real(&self.places.dane(lineage)))
    }

    fn keep_pinned(&self, store: &mut Store, lineage: &str) -> Result<(), Trouble> {
        self.keeper().pin(lineage, self.bundle(lineage))?;
        // Without a section nothing else would tell of it.
        if !self.sections.contains_key(lineage) {
            store.edit().lineages.entry(lineage.into()).or_default();
        }
        Ok(())
    }

    /// Gives the file a name under which nobody looks for it.
    fn keep_aside(&self, file: &Path) -> io::Result<PathBuf> {
        let aside = |number| {
            let mut name = file.as_os_str().to_owned();
            name.push(if number == 1 { ".taken-over".into() } else { format!(".taken-over-{number}") });
            PathBuf::from(name)
        };
        let free = (1..COPIES).map(aside).find(|path| self.env.stat(path, false).is_err());
        let aside = free.ok_or_else(|| io::Error::other(format!("too many copies of {}", file.display())))?;
        self.env.rename(file, &aside)?;
        self.env.sync(&file.parent().map(Path::to_owned).into_iter().collect::<Vec<_>>())?;
        Ok(aside)
    }
}

/// A record is ours; what the journal knows of it already is newer.
fn adopt(store: &mut Store, now: Stamp, lineage: String, query: &DnsName, record: Association, state: RecordState) {
    let owners = &mut store.edit().owners;
    let owner = owners.entry(query.clone()).or_insert_with(|| OwnerDoc::new(query.clone()));
    owner.lineages.insert(lineage.clone());
    let new = || RecordDoc::new(Origin::Published, state, now);
    let doc = owner.records.entry(record).or_insert_with(new);
    doc.origin = Origin::Published;
    doc.lineages.insert(lineage);
}

fn damaged(file: &Path, left: &Left) -> Vec<Trouble> {
    let told = |(line, why): &(usize, String)| {
        let text = format!("{}:{line}: {why}; what the line told is not taken over", file.display());
        Trouble { lineage: None, text }
    };
    left.damaged.iter().map(told).collect()
}
