//! A run that found nothing to do writes down what that rests on: a digest of the stat of each file and folder that it looked at, and
//! how long nothing becomes due. While both hold, the next plain run has nothing to do either, and need not read anything.
//!
//! That is a cache, and can be deleted at any time. All that it can do is to keep a run from looking: for an hour at most, and
//! no command but the plain run goes by it. What was changed after the run had begun, or so shortly before that its time may not
//! tell, is not written down; the next run looks again.

use super::{PLAIN_WAIT, Report, Run, rounds::Summary, take_lock};
use crate::{
    cli::{Arguments, Command},
    config::Loaded,
    env::{Boot, Env, Files, watch::Watch},
    hosts::Hosts,
    journal::{OwnerDoc, clock::Stamp, store::Store},
};
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::ErrorKind,
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
    /// Over the paths, and the stat of each.
    digest: String,
}

/// Can this call do with a look at what has changed? It must have no errors to tell, and nothing to print.
pub(super) fn may_rest(arguments: &Arguments, loaded: &Loaded) -> bool {
    let Arguments { command, dry_run, wait, json, .. } = arguments;
    // Metrics tell the age of everything.
    let tells = *json || loaded.config.prometheus_file.is_some() || !loaded.errors.is_empty();
    *command == Command::Run && !dry_run && !wait && !tells
}

/// The report of a run that has nothing to do, if that can be told without a look at anything.
pub(super) fn rest(env: &dyn Env, arguments: &Arguments, loaded: &Loaded) -> Option<Report> {
    let state = &loaded.config.state_directory;
    let header: Header = serde_json::from_slice(&env.read(&file(state, 0)).ok()?).ok()?;
    let Boot { id, millis } = env.boot();
    let lasts = header.boot.id == id && (header.boot.millis..header.until).contains(&millis);
    let bounded = header.until.saturating_sub(header.boot.millis) <= LONGEST * 1000;
    if !lasts || !bounded || header.about != about(arguments, loaded) {
        return None;
    }
    let parts: Option<Vec<Vec<u8>>> = (1..=header.parts).map(|part| env.read(&file(state, part)).ok()).collect();
    let paths = parts?.concat();
    let all = digest(env, &header, &paths, None)?;
    if all != header.digest {
        return None;
    }
    let _lock = match take_lock(env, state, PLAIN_WAIT) {
        Ok(lock) => lock,
        Err(report) => return Some(report),
    };
    let told = env.read(&state.join("run.json")).ok()?;
    let mut told: Value = serde_json::from_slice(&told).ok()?;
    let next_in = (header.until - millis).div_ceil(1000);
    for (key, value) in [("ended", json!(env.wall())), ("next_in", json!(next_in))] {
        *told.get_mut(key)? = value;
    }
    let text = serde_json::to_string_pretty(&told).ok()? + "\n";
    env.note(&state.join("run.json"), text.as_bytes(), 0o600).ok()?;
    tracing::debug!("nothing has changed since the last look, and nothing is due");
    Some(Report::exit(0))
}

/// Writes down that nothing is to be done for so many seconds. `began`: Unix time before the first look.
pub(super) fn write_down(watch: &Watch<'_>, arguments: &Arguments, loaded: &Loaded, began: i64, seconds: u64) {
    let state = &loaded.config.state_directory;
    let boot = watch.boot();
    let until = boot.millis + seconds.min(LONGEST) * 1000;
    let Some(essence) = watch.essence() else { return };
    let mut paths = coded(essence.iter().filter(|path| counts(path, state)).chain([&loaded.config.path]));
    paths.shrink_to_fit();
    let parts = paths.len().div_ceil(PART);
    let mut header = Header { about: about(arguments, loaded), boot, until, parts, digest: String::new() };
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

fn file(state: &Path, part: usize) -> PathBuf {
    state.join("quiet").join(part.to_string())
}

/// What must be the same beside the files.
fn about(arguments: &Arguments, loaded: &Loaded) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{version} {:?} {}", arguments.overrides, loaded.config.path.display())
}

/// Of the state directory only the folders count whose files are replaced by renames: each run writes the rest.
fn counts(path: &Path, state: &Path) -> bool {
    match path.strip_prefix(state) {
        Err(_) => true,
        Ok(within) => ["lineages", "owners", "pins"].iter().any(|folder| within == Path::new(folder)),
    }
}

/// Paths one after the other, each as the length of what it has in common with the one before it, and the rest.
fn coded<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<u8> {
    let (mut coded, mut before) = (Vec::new(), &b""[..]);
    for path in paths.collect::<BTreeSet<_>>() {
        let bytes = path.as_os_str().as_encoded_bytes();
        let same = before.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        coded.extend_from_slice(format!("{same} ").as_bytes());
        coded.extend_from_slice(&bytes[same..]);
        coded.push(0);
        before = bytes;
    }
    coded
}

/// A digest over the paths, what the header says, and the stat of each. `None` if something cannot be looked at, or was changed
/// at `latest` or after.
fn digest(env: &dyn Env, header: &Header, paths: &[u8], latest: Option<i64>) -> Option<String> {
    let mut context = Context::new(&SHA256);
    context.update(format!("{} {} {:?} ", header.about, header.until, header.boot).as_bytes());
    context.update(paths);
    let mut path = String::new();
    for entry in std::str::from_utf8(paths).ok()?.split_terminator('\0') {
        let (same, rest) = entry.split_once(' ')?;
        let same: usize = same.parse().ok()?;
        if !path.is_char_boundary(same) {
            return None;
        }
        path.truncate(same);
        path.push_str(rest);
        match env.stat(Path::new(&path), true) {
            Ok(stat) => {
                let (seconds, nanos) = stat.changed?;
                if latest.is_some_and(|latest| seconds >= latest) {
                    return None;
                }
                for number in [stat.device, stat.inode, stat.size, seconds as u64, nanos as u64] {
                    context.update(&number.to_le_bytes());
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => context.update(b"none"),
            Err(_) => return None,
        }
    }
    Some(HEXLOWER.encode(context.finish().as_ref()))
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
