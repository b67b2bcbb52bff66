//! One call of the program: a command, the locks it takes, and what it leaves behind.

mod check;
mod commands;
pub mod danebot;
mod foretell;
mod hinted;
mod look;
mod memory;
mod notify;
mod pin;
mod print;
mod quiet;
mod recall;
mod rollback;
mod rounds;
mod status;
mod stay;
mod take_over;
mod wait;

pub use quiet::resting;

use crate::{
    act::keeper::Keeper,
    cli::{Arguments, Command, Hints},
    config::{Config, Loaded, Section, Unreadable},
    env::{Env, Lock, watch::Watch},
    idna,
    journal::{
        alnitak,
        store::{Store, lineage_file, lineages_of},
    },
    lineage::{certbot, layout::Places, source::Source},
    plan::Trouble,
};
use std::{
    borrow::Cow,
    cell::{Cell, LazyCell},
    collections::{BTreeMap, BTreeSet, HashSet},
    io::ErrorKind,
    ops::Deref,
    path::Path,
    time::Duration,
};

/// What a call ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Exit code, without what the log adds.
    pub exit: u8,
    /// For standard output.
    pub text: String,
    /// Something that time will settle is pending: seconds until it is worth running again.
    pub pending: Option<u64>,
    /// What that is, in words.
    pub awaited: String,
    /// Part of it is a matter of the clock, not of others.
    pub timed: bool,
}

impl Report {
    fn exit(exit: u8) -> Report {
        Report { exit, ..Report::default() }
    }
}

/// Something failed.
const FAILED: u8 = 1;
/// The configuration has errors.
const CONFIGURATION: u8 = 3;
/// The lock file cannot be made.
const LOCK: u8 = 4;
/// Another run holds the lock.
const BUSY: u8 = 32;

/// How long `--post` waits for another run to end.
const POST_WAIT: Duration = Duration::from_secs(900);
/// A plain run gives up at once: the other one does what is due.
const PLAIN_WAIT: Duration = Duration::from_millis(200);

/// Which of a plan's steps a call takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All.
    Plain,
    /// Publish and unpin: what needs the switch is left to plain runs.
    Post,
    /// The same for one lineage (all, if the caller does not tell which), and nothing is unpinned.
    Deploy(Option<String>),
    /// Files only.
    Reset,
}

/// A call under way.
pub struct Run<'a> {
    env: &'a dyn Env,
    config: &'a Config,
    arguments: &'a Arguments,
    hints: &'a Hints,
    sections: BTreeMap<String, Section>,
    live: Vec<String>,
    places: Places,
    mode: Mode,
    /// The configuration has errors.
    flawed: bool,
    /// Takes down what is looked at, for whoever wants to know for how many seconds nothing becomes due.
    rests: Option<(&'a Watch<'a>, &'a Cell<Option<u64>>)>,
}

/// Runs one call of the program with a configuration that was read before.
pub fn run(env: &dyn Env, arguments: &Arguments, hints: &Hints, loaded: &Result<Loaded, Unreadable>) -> Report {
    if let Command::Check(check) = &arguments.command {
        return check::check(env, arguments, check, loaded);
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) if arguments.command.only_looks() => {
            return status::without_configuration(env, arguments, hints, error);
        }
        Err(error) => return commands::without_configuration(env, arguments, error),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for error in &loaded.errors {
        tracing::error!("{error}");
    }
    let once = || Run::new(env, arguments, hints, loaded).command();
    let stays = arguments.wait && arguments.command == Command::Run && !arguments.dry_run;
    let mut report = match quiet::may_rest(arguments, loaded) {
        _ if stays => wait::until_done(env, once),
        true => quiet::rest(env, arguments, loaded).unwrap_or_else(|| watched(env, arguments, hints, loaded)),
        false => once(),
    };
    if !loaded.errors.is_empty() && matches!(report.exit, 0 | FAILED) {
        report.exit = CONFIGURATION;
    }
    report
}

/// A run that writes down what it rests on, if it finds nothing to do.
fn watched(env: &dyn Env, arguments: &Arguments, hints: &Hints, loaded: &Loaded) -> Report {
    let (began, watch, rests) = (env.wall(), Watch::new(env), Cell::new(None));
    let mut run = Run::new(&watch, arguments, hints, loaded);
    run.rests = Some((&watch, &rests));
    let report = run.command();
    if let (0, Some(seconds)) = (report.exit, rests.get()) {
        quiet::write_down(&watch, arguments, loaded, began, seconds);
    }
    report
}

impl<'a> Run<'a> {
    fn new(env: &'a dyn Env, arguments: &'a Arguments, hints: &'a Hints, loaded: &'a Loaded) -> Run<'a> {
        let config = &loaded.config;
        let places = Places {
            live: config.letsencrypt_directory.join("live"),
            dane: config.dane_directory.clone(),
            state: config.state_directory.clone(),
            sources: BTreeMap::new(),
        };
        let mode = match &arguments.command {
            Command::Post => Mode::Post,
            Command::Deploy => Mode::Deploy(None),
            Command::Reset { .. } => Mode::Reset,
            _ => Mode::Plain,
        };
        let of_certbot = |section: &Section| section.source == Source::Certbot;
        let wanted = config.sections.is_empty() || config.sections.iter().any(of_certbot);
        let live = certbot::lineages(env, &places.live).unwrap_or_else(|error| {
            if wanted || error.kind() != ErrorKind::NotFound {
                let live = places.live.display();
                tracing::warn!("cannot list {live}, so there are no certificates (`letsencrypt_directory` says where they are): {error}");
            }
            Vec::new()
        });
        let sections = BTreeMap::new();
        let flawed = !loaded.errors.is_empty();
        Run { env, config, arguments, hints, sections, live, places, mode, flawed, rests: None }
    }

    fn command(mut self) -> Report {
        let (env, state) = (self.env, self.places.state.clone());
        let known = LazyCell::new(|| lineages_on_record(env, &state));
        if self.arguments.command == Command::ConfigTest {
            let unmatched: Vec<String> = self.matched(&known).filter_map(|(_, found)| found.err()).collect();
            return commands::config_test(self.env, self.config, &unmatched);
        }
        // What is written down of a run that rests has it, too.
        let known: &BTreeSet<String> = &known;
        let unmatched = self.match_sections(known);
        if self.arguments.command == Command::Deploy {
            self.mode = Mode::Deploy(self.hinted());
        }
        self.rests = self.rests.filter(|_| unmatched.is_empty());
        for text in &unmatched {
            tracing::warn!("{text}, so there is nothing to do for it yet");
        }
        if !matches!(self.arguments.command, Command::Print { .. }) {
            self.recall_sets();
        }
        if self.arguments.command == Command::Run && self.config.sections.is_empty() && self.config.broken.is_empty() {
            tracing::info!("there is no section in {}, so there is nothing to do", self.config.path.display());
        }
        match &self.arguments.command {
            Command::Status { lineages, live } => self.status(lineages, *live),
            Command::Print { what, zone } => self.print(what, *zone),
            Command::Pre => self.pre(known),
            Command::ImportAlnitak { file } => {
                let file = file.clone().unwrap_or_else(|| alnitak::DATA.into());
                match self.arguments.dry_run {
                    true => self.would_import(&file),
                    false => self.locked(POST_WAIT, Vec::new(), |run, store| run.import(store, &file)),
                }
            }
            _ if self.arguments.dry_run => self.dry_run(known),
            Command::Post | Command::Deploy => {
                let mut troubles = Vec::new();
                if self.mode == Mode::Post {
                    let keeper = self.keeper();
                    let held =
                        |name: &&String| self.env.stat(&lineage_file(&self.places.state, name, "held"), false).is_ok();
                    let names: BTreeSet<&String> = self.live.iter().chain(known).collect();
                    troubles = names.into_iter().filter(held).filter_map(|name| keeper.release(name).err()).collect();
                }
                self.locked(POST_WAIT, troubles, |run, store| run.rounds(store))
            }
            Command::Reset { force } => self.locked(POST_WAIT, Vec::new(), |run, store| run.reset(store, *force)),
            Command::Withdraw { lineage } => {
                let lineage = self.spelt(lineage, known);
                self.locked(POST_WAIT, Vec::new(), |run, store| run.withdraw(store, &lineage))
            }
            Command::Rollback { lineage } => {
                let lineage = self.spelt(lineage, known);
                self.locked(POST_WAIT, Vec::new(), |run, store| run.rollback(store, &lineage))
            }
            Command::Switch { lineage, .. } => {
                let lineage = self.spelt(lineage, known);
                self.locked(POST_WAIT, Vec::new(), |run, store| run.force(store, &lineage))
            }
            _ => self.locked(if self.arguments.wait { POST_WAIT } else { PLAIN_WAIT }, Vec::new(), Run::rounds),
        }
    }

    /// Takes the sections that have a lineage. Says which have none.
    fn match_sections(&mut self, known: &BTreeSet<String>) -> Vec<String> {
        let (mut sections, mut sources, mut unmatched) = (Vec::new(), Vec::new(), Vec::new());
        for (section, found) in self.matched(&known) {
            match found {
                Ok(name) => {
                    sources.extend(section.source.in_place().map(|source| (name.clone().into_owned(), source.clone())));
                    sections.push((name.into_owned(), section.clone()));
                }
                Err(why) => unmatched.push(why),
            }
        }
        self.places.sources.extend(sources);
        self.sections = sections.into_iter().collect();
        unmatched
    }

    /// Finds the lineage of each section: by its exact name, else without regard to case; or says what is missing. `known` are those
    /// that the journal has a file for: who need not know them does not look for them.
    fn matched<'s>(
        &'s self,
        known: &'s impl Deref<Target = BTreeSet<String>>,
    ) -> impl Iterator<Item = (&'s Section, Result<Cow<'s, str>, String>)> {
        let exact: HashSet<&str> = self.live.iter().map(String::as_str).collect();
        let near = LazyCell::new(|| {
            let mut near = idna::Names::default();
            self.live.iter().chain(known.iter()).for_each(|name| near.add(name));
            near
        });
        self.config.sections.iter().map(move |section| {
            let own = section.lineage();
            let found = exact.get(&*own).copied().or_else(|| known.get(&*own).map(String::as_str));
            let found = found.map(Cow::Borrowed).or_else(|| near.find(&own).map(|(_, name)| name.to_owned().into()));
            let lineage = self.lineage_to(section, own, found, known);
            (section, lineage.map_err(|why| format!("section [{}]: {why}", section.name)))
        })
    }

    /// The name of a section's lineage, if it has one; else what is missing.
    fn lineage_to<'s>(
        &self,
        section: &Section,
        own: Cow<'s, str>,
        found: Option<Cow<'s, str>>,
        known: &impl Deref<Target = BTreeSet<String>>,
    ) -> Result<Cow<'s, str>, String> {
        match (section.source.in_place(), found) {
            (None, Some(name)) => Ok(name),
            (None, None) => Err(format!("there is no lineage of that name in {}", self.places.live.display())),
            (Some(_), Some(name)) if known.contains(&*name) => Ok(name),
            (Some(source), found) => {
                let name = found.unwrap_or(own);
                source.is_there(self.env, &name).map(|()| name)
            }
        }
    }

    /// A lineage of the command line as `live/` or the journal spells it: an international name can come in either form.
    fn spelt(&self, lineage: &str, known: &BTreeSet<String>) -> String {
        let mut names = self.sections.keys().chain(known);
        let exact = names.clone().any(|name| name == lineage);
        let found = if exact || lineage.is_ascii() && !lineage.contains("xn--") {
            None
        } else {
            names.find(|name| idna::same(name, lineage))
        };
        found.map_or(lineage, String::as_str).to_owned()
    }

    fn keeper(&self) -> Keeper<'_> {
        let group = self.config.dane_group.as_ref().map(|(_, gid)| *gid);
        Keeper { env: self.env, places: &self.places, mode: self.config.dane_mode, group }
    }

    /// Does something under the run lock, with the journal.
    fn locked(
        &self,
        wait: Duration,
        mut troubles: Vec<Trouble>,
        work: impl FnOnce(&Run<'a>, &mut Store) -> rounds::Summary,
    ) -> Report {
        let _lock = match take_lock(self.env, &self.places.state, wait) {
            Ok(lock) => lock,
            Err(report) => return report,
        };
        let mut store = match Store::open(self.env, &self.places.state) {
            Ok(store) => store,
            Err(error) => {
                tracing::error!("cannot read the journal: {error}");
                return Report::exit(FAILED);
            }
        };
        self.keeper().tidy(self.live.iter().chain(self.sections.keys()).chain(store.journal().lineages.keys()));
        if let Some((watch, _)) = self.rests.filter(|_| !store.journal().is_settled()) {
            watch.stop();
        }
        let damaged = std::mem::take(&mut store.damaged);
        troubles.extend(damaged.into_iter().map(|text| Trouble { lineage: None, text }));
        if let Some(file) = self.left_by_alnitak() {
            troubles.extend(self.take_over(&mut store, &file));
        }
        let mut summary = work(self, &mut store);
        summary.troubles.splice(0..0, troubles);
        if let (Some((_, rests)), Some(now)) = (self.rests, summary.now) {
            rests.set(self.rests_for(&summary, now, &store));
        }
        self.conclude(summary, &mut store)
    }
}

/// Names of lineages that the journal has a file for; readable also when the rest is not.
fn lineages_on_record(env: &dyn Env, state: &Path) -> BTreeSet<String> {
    lineages_of(env, state).unwrap_or_default()
}

fn take_lock(env: &dyn Env, state: &Path, wait: Duration) -> Result<Lock, Report> {
    let path = state.join("lock");
    let taken = env.make_dir(state, 0o700).and_then(|()| env.lock(&path, wait));
    let exit = match taken {
        Ok(Some(lock)) => return Ok(lock),
        Ok(None) => {
            tracing::warn!("another run holds {}: nothing was done", path.display());
            BUSY
        }
        Err(error) => {
            tracing::error!("cannot make the lock file: {error}");
            LOCK
        }
    };
    Err(Report::exit(exit))
}
