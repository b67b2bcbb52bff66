//! A run that found nothing to do writes down what that rests on: a digest of the stat of each file and folder that it looked at, and
//! how long nothing becomes due. While both hold, the next plain run has nothing to do either, and need not read anything.
//!
//! That is a cache, and can be deleted at any time. All that it can do is to keep a run from looking: for an hour at most, and
//! no command but the plain run goes by it. What was changed after the run had begun, or so shortly before that its time may not
//! tell, is not written down; the next run looks again.

use super::{PLAIN_WAIT, Report, Run, rounds::Summary, take_lock};
use crate::{
    cli::{Arguments, Command},
    config::{self, Config, Defaults, Loaded, LogFormat, LogLevel, Lookups, System},
    env::{Boot, Env, Files, Kind, Stat, User, watch::Watch},
    hosts::Hosts,
    journal::{OwnerDoc, clock::Stamp, store::Store},
};
use data_encoding::HEXLOWER;
use nix::unistd::{getegid, geteuid};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// So long at most nobody looks, seconds: whatever a stat does not show waits no longer.
const LONGEST: u64 = 3600;
/// For less it is not worth writing down what a run looked at, seconds: no run comes so soon.
const SHORTEST: u64 = 10;
/// A change so shortly before a look may bear the time of the one before it, seconds.
const RACY: i64 = 2;
/// Paths are kept in files of this size; larger ones are not read.
const PART: usize = 512 << 10;

/// Folders below which so many paths are looked at are opened.
const MANY: usize = 32;

/// What stands before the paths.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Of the program, its arguments and the kernel.
    about: String,
    boot: Boot,
    /// Milliseconds on the boot clock at which something becomes due.
    until: u64,
    /// How many files hold the paths.
    parts: usize,
    /// Where the configuration itself need not be read.
    settings: Option<Settings>,
    /// Over all above, the paths, and the stat of each.
    digest: String,
}

/// What a run with nothing to do needs of a configuration that holds no error and nothing to warn of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// `log`.
    pub log: Option<PathBuf>,
    /// `log_level`.
    pub log_level: Option<LogLevel>,
    /// `log_format`.
    pub log_format: Option<LogFormat>,
    /// Folders that decide by owner and mode alone whether the configuration can be trusted.
    above: BTreeSet<PathBuf>,
}

/// A run that has found out that it has nothing to do.
pub struct Rest {
    /// What it needs of the configuration.
    pub settings: Settings,
    state: PathBuf,
    /// Seconds until something becomes due.
    next_in: u64,
}

/// Can this call do with a look at what has changed? It must have no errors to tell, and nothing to print.
pub(super) fn may_rest(arguments: &Arguments, loaded: &Loaded) -> bool {
    // Metrics tell the age of everything.
    is_plain(arguments) && loaded.config.prometheus_file.is_none() && loaded.errors.is_empty()
}

fn is_plain(arguments: &Arguments) -> bool {
    let Arguments { command, dry_run, wait, json, .. } = arguments;
    *command == Command::Run && !dry_run && !wait && !json
}

/// Has the run nothing to do, as far as that can be told without reading the configuration?
pub fn resting(env: &dyn Env, arguments: &Arguments) -> Option<Rest> {
    if !is_plain(arguments) {
        return None;
    }
    let state = likely_state(env, arguments)?;
    let (header, next_in) = unchanged(env, arguments, &state)?;
    Some(Rest { settings: header.settings?, state, next_in })
}

impl Rest {
    /// The report of a run that has nothing to do; `None` if that cannot be written down.
    pub fn report(&self, env: &dyn Env) -> Option<Report> {
        tracing::debug!("the configuration need not be read");
        told(env, &self.state, self.next_in)
    }
}

/// Where the state directory may be. What is found there tells whether it is the one; so a guess can do no harm, and another
/// spelling only takes the longer way.
fn likely_state(env: &dyn Env, arguments: &Arguments) -> Option<PathBuf> {
    if let Some(over) = &arguments.overrides.state_directory {
        return std::path::absolute(over).ok();
    }
    let text = String::from_utf8(env.read(&arguments.config).ok()?).ok()?;
    let Some(at) = text.find("state_directory") else { return Some(Defaults::STATE_DIRECTORY.into()) };
    let line = text[at..].lines().next()?;
    line.split_once('=').map(|(_, value)| PathBuf::from(value.trim())).filter(|path| path.is_absolute())
}

/// The report of a run that has nothing to do, if that can be told without a look at anything.
pub(super) fn rest(env: &dyn Env, arguments: &Arguments, loaded: &Loaded) -> Option<Report> {
    let state = &loaded.config.state_directory;
    told(env, state, unchanged(env, arguments, state)?.1)
}

/// What the last run wrote down, if all that it rests on is as it was, and for how many seconds that lasts.
fn unchanged(env: &dyn Env, arguments: &Arguments, state: &Path) -> Option<(Header, u64)> {
    let header: Header = serde_json::from_slice(&env.read(&file(state, 0)).ok()?).ok()?;
    let Boot { id, millis } = env.boot();
    let lasts = header.boot.id == id && (header.boot.millis..header.until).contains(&millis);
    let bounded = header.until.saturating_sub(header.boot.millis) <= LONGEST * 1000;
    if !lasts || !bounded || header.about != about(arguments, state) {
        return None;
    }
    let mut paths = Vec::new();
    for part in 1..=header.parts {
        paths.extend(env.read(&file(state, part)).ok()?);
    }
    let next_in = header.until.saturating_sub(millis).div_ceil(1000);
    (digest(env, &header, &paths, None)? == header.digest).then_some((header, next_in))
}

/// Takes down that a run has ended.
fn told(env: &dyn Env, state: &Path, next_in: u64) -> Option<Report> {
    let _lock = match take_lock(env, state, PLAIN_WAIT) {
        Ok(lock) => lock,
        Err(report) => return Some(report),
    };
    let path = state.join("run.json");
    let mut told: Value = serde_json::from_slice(&env.read(&path).ok()?).ok()?;
    for (key, value) in [("ended", json!(env.wall())), ("next_in", json!(next_in))] {
        *told.get_mut(key)? = value;
    }
    let text = serde_json::to_string_pretty(&told).ok()? + "\n";
    env.note(&path, text.as_bytes(), 0o600).ok()?;
    tracing::debug!("nothing has changed since the last look, and nothing is due");
    Some(Report::exit(0))
}

/// Writes down that nothing is to be done for so many seconds. `began`: Unix time before the first look.
pub(super) fn write_down(watch: &Watch<'_>, arguments: &Arguments, loaded: &Loaded, began: i64, seconds: u64) {
    let state = &loaded.config.state_directory;
    let boot = watch.boot();
    let until = boot.millis + seconds.min(LONGEST) * 1000;
    let (settings, said) = settings(watch.unseen(), arguments, loaded).unzip();
    let Some(essence) = watch.essence() else { return };
    let said = said.iter().flatten().chain([&loaded.config.path]);
    let mut paths = coded(essence.iter().filter(|path| counts(path, state)).chain(said));
    paths.shrink_to_fit();
    let parts = paths.len().div_ceil(PART);
    let mut header = Header { about: about(arguments, state), boot, until, parts, settings, digest: String::new() };
    let Some(digest) = digest(watch, &header, &paths, Some(began - RACY)) else { return };
    header.digest = digest;
    let Ok(text) = serde_json::to_vec(&header) else { return };
    let chunks = paths.chunks(PART).enumerate().map(|(at, bytes)| (at + 1, bytes));
    let mut written = watch.make_dir(&state.join("quiet"), 0o700);
    for (part, bytes) in chunks.chain([(0, &text[..])]) {
        written = written.and_then(|()| watch.note(&file(state, part), bytes, 0o600));
    }
    if let Err(error) = written {
        tracing::debug!("what the next run could go by was not written down: {error}");
    }
}

/// What a run needs of the configuration that has nothing to do, if what the configuration says hangs on files alone and there is
/// nothing to tell of it; and those files. It is read once more, to see what it hangs on.
fn settings(env: &dyn Env, arguments: &Arguments, loaded: &Loaded) -> Option<(Settings, BTreeSet<PathBuf>)> {
    let watch = Watch::new(env);
    let lookups = Noted { watch: &watch, above: RefCell::default(), asked: Cell::new(false) };
    let again = config::load_from(&lookups, &arguments.config, &arguments.overrides).ok()?;
    let is_plain = loaded.errors.is_empty() && loaded.warnings.is_empty() && !lookups.asked.get();
    let above = lookups.above.into_inner();
    let (files, state) = (watch.essence()?, &loaded.config.state_directory);
    // What lies there changes with each run.
    let states = [Some(state.clone()), env.real_path(state).ok()];
    let in_state = |path: &PathBuf| states.iter().flatten().any(|state| path.starts_with(state));
    if again != *loaded || !is_plain || files.iter().any(in_state) {
        return None;
    }
    let Config { log, log_level, log_format, .. } = again.config;
    Some((Settings { log, log_level, log_format, above }, files))
}

/// Lookups that take down what the configuration hangs on.
struct Noted<'a> {
    watch: &'a Watch<'a>,
    above: RefCell<BTreeSet<PathBuf>>,
    /// Users or groups were asked for: nobody sees those change.
    asked: Cell<bool>,
}

impl Lookups for Noted<'_> {
    fn user(&self, name: &str) -> Result<Option<User>, String> {
        self.asked.set(true);
        System(self.watch).user(name)
    }

    fn group(&self, name: &str) -> Result<Option<(String, u32)>, String> {
        self.asked.set(true);
        System(self.watch).group(name)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        match self.watch.unseen().stat(path, true) {
            Ok(stat) if stat.kind == Kind::Dir => {
                self.above.borrow_mut().insert(path.to_owned());
                Ok(stat)
            }
            _ => self.watch.stat(path, true),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.watch.read(path)
    }
}

fn file(state: &Path, part: usize) -> PathBuf {
    state.join("quiet").join(part.to_string())
}

/// What must be the same beside the files.
fn about(arguments: &Arguments, state: &Path) -> String {
    let (version, us) = (env!("CARGO_PKG_VERSION"), (geteuid(), getegid()));
    format!("{version} {us:?} {:?} {} {}", arguments.overrides, arguments.config.display(), state.display())
}

/// Of the state directory only the folders count whose files are replaced by renames: each run writes the rest.
fn counts(path: &Path, state: &Path) -> bool {
    match path.strip_prefix(state) {
        Err(_) => true,
        Ok(within) => ["lineages", "owners", "pins"].iter().any(|folder| within == Path::new(folder)),
    }
}

/// Paths below folders: after the name of a folder those below it, each as the length of what it has in common with the one before
/// it, and the rest.
fn coded<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<u8> {
    let paths: BTreeSet<&Path> = paths.map(PathBuf::as_path).collect();
    let mut counts: HashMap<&Path, usize> = HashMap::new();
    for above in paths.iter().flat_map(|path| path.ancestors().skip(1)) {
        *counts.entry(above).or_default() += 1;
    }
    let mut folders: BTreeMap<&Path, Vec<&[u8]>> = BTreeMap::new();
    for path in paths {
        let many = path.ancestors().skip(1).find(|above| counts.get(above).is_some_and(|count| *count >= MANY));
        let folder = many.unwrap_or(Path::new("/"));
        let rest = path.strip_prefix(folder).unwrap_or(path);
        folders.entry(folder).or_default().push(rest.as_os_str().as_encoded_bytes());
    }
    let mut coded = Vec::new();
    for (folder, rests) in folders {
        coded.push(FOLDER);
        coded.extend_from_slice(folder.as_os_str().as_encoded_bytes());
        coded.push(0);
        let mut before = &b""[..];
        for rest in rests {
            let same = before.iter().zip(rest).take_while(|(a, b)| a == b).count();
            coded.extend_from_slice(format!("{same} ").as_bytes());
            coded.extend_from_slice(&rest[same..]);
            coded.push(0);
            before = rest;
        }
    }
    coded
}

/// Stands before the name of a folder.
const FOLDER: u8 = b'>';

/// A digest over the paths, what the header says, and the stat of each. `None` if something cannot be looked at, or was changed
/// at `latest` or after.
fn digest(env: &dyn Env, header: &Header, paths: &[u8], latest: Option<i64>) -> Option<String> {
    let mut context = Context::new(&SHA256);
    let Header { about, until, boot, settings, .. } = header;
    context.update(format!("{about} {until} {boot:?} {settings:?} ").as_bytes());
    for above in settings.iter().flat_map(|settings| &settings.above) {
        let Stat { device, inode, mode, uid, gid, .. } = env.stat(above, true).ok()?;
        context.update(format!("{device} {inode} {mode} {uid} {gid} ").as_bytes());
    }
    context.update(paths);
    let (mut below, mut path) = (None, String::new());
    for entry in std::str::from_utf8(paths).ok()?.split_terminator('\0') {
        if let Some(folder) = entry.strip_prefix(char::from(FOLDER)) {
            below = Some(env.below(Path::new(folder)));
            path.clear();
            continue;
        }
        let (same, rest) = entry.split_once(' ')?;
        let same: usize = same.parse().ok()?;
        if !path.is_char_boundary(same) {
            return None;
        }
        path.truncate(same);
        path.push_str(rest);
        match below.as_ref()?(Path::new(&path)) {
            Ok(stat) => context.update(&numbers(&stat, latest)?),
            Err(error) if error.kind() == ErrorKind::NotFound => context.update(b"none"),
            Err(_) => return None,
        }
    }
    Some(HEXLOWER.encode(context.finish().as_ref()))
}

/// What changes with whatever is changed about a file. `None` if it was changed at `latest` or after.
fn numbers(stat: &Stat, latest: Option<i64>) -> Option<[u8; 40]> {
    let (seconds, nanos) = stat.changed?;
    if latest.is_some_and(|latest| seconds >= latest) {
        return None;
    }
    let mut bytes = [0; 40];
    let numbers = [stat.device, stat.inode, stat.size, seconds as u64, nanos as u64];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    Some(bytes)
}

impl Run<'_> {
    /// For how many seconds there is nothing to do, after a run that ended so; `None` if it did not.
    pub(super) fn rests_for(&self, summary: &Summary, now: Stamp, store: &Store) -> Option<u64> {
        let Summary { done, waits, later, by_hand, troubles, .. } = summary;
        let looks_up = |hosts: &Hosts| matches!(hosts, Hosts::Mx(_));
        if store.journal().owners.values().any(OwnerDoc::has_unseen) {
            return None;
        }
        let mut wanted = self.sections.values().flat_map(|section| &section.wanted);
        // Mail hosts are asked for in each run, and what is half written is believed or told by and by.
        if !(done.is_empty() && waits.is_empty() && later.is_empty() && by_hand.is_empty() && troubles.is_empty())
            || wanted.any(|wanted| looks_up(&wanted.hosts))
            || store.journal().lineages.values().any(|doc| doc.unfinished.is_some())
        {
            return None;
        }
        let recheck = self.sections.values().map(|section| section.recheck).filter(|recheck| *recheck > 0).min();
        let Some(recheck) = recheck else { return Some(LONGEST) };
        let owners = store.journal().owners.values().filter_map(|owner| owner.asked);
        owners
            .map(|asked| asked.after(recheck).until(now))
            .chain([LONGEST])
            .min()
            .filter(|seconds| *seconds >= SHORTEST)
    }
}
