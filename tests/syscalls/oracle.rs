//! The judge: somebody who reads the dane directory all the time, a service that has in memory what it read at the last reload,
//! and what was shown in the DNS. Each look at a certificate must match every RRset that a cache could hold during all of it.

use crate::{
    lab::LINEAGE,
    world::{World, hex, owner},
};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A look at what is presented: by whom, from when until when, and which generation.
type Look = (&'static str, Instant, Instant, Result<usize, String>);
/// An RRset, from when it was shown until no cache could hold it.
type Shown = (Instant, Instant, BTreeSet<String>);

/// Looks until it is asked what it saw.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Vec<Look>, Vec<Shown>)>,
}

/// What a watcher knows of the world.
struct Eyes {
    dane: PathBuf,
    memory: PathBuf,
    zone: PathBuf,
    bundle: bool,
    /// Full chain and key of each generation.
    pairs: Vec<(String, String)>,
}

impl Watcher {
    pub fn start(world: &World<'_>) -> Watcher {
        let eyes = Eyes {
            dane: world.lab.path("dane").join(LINEAGE),
            memory: world.lab.path("memory"),
            zone: world.lab.path("zone"),
            bundle: world.variant.bundle,
            pairs: world.generations.0.iter().map(|g| (format!("{}{}", g.cert, g.chain), g.key.clone())).collect(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let ends = stop.clone();
        let thread = thread::spawn(move || {
            let (mut looks, mut shown) = (Vec::new(), Vec::new());
            while !ends.load(Relaxed) {
                eyes.look(&mut looks, &mut shown);
                thread::sleep(Duration::from_micros(500));
            }
            eyes.look(&mut looks, &mut shown);
            (looks, shown)
        });
        Watcher { stop, thread }
    }

    /// Everything that was wrong, in words; how often was looked.
    pub fn judge(self, world: &World<'_>) -> (Vec<String>, usize) {
        self.stop.store(true, Relaxed);
        let (looks, of_folder) = self.thread.join().unwrap();
        let shown = if world.variant.update { history(world) } else { of_folder };
        let records: Vec<String> = (0..2).map(|generation| hex(&world.generations.record(generation))).collect();
        let wrong = looks.iter().filter_map(|look| mismatch(look, &shown, &records)).take(5).collect();
        (wrong, looks.len())
    }
}

/// What the server showed, from the first record on: before it there was no DANE.
fn history(world: &World<'_>) -> Vec<Shown> {
    let state = world.server.state();
    let of = |at: usize| state.history[at].1.get(&owner()).cloned().unwrap_or_default();
    let first = (0..state.history.len()).find(|at| !of(*at).1.is_empty()).unwrap_or(state.history.len());
    let shown = |at: usize| {
        let (ttl, records) = of(at);
        let end = state.history.get(at + 1).map_or_else(Instant::now, |(next, _)| *next);
        (state.history[at].0, end + Duration::from_secs(ttl.into()), records.iter().map(hex).collect())
    };
    (first..state.history.len()).map(shown).collect()
}

fn mismatch((by, from, until, seen): &Look, shown: &[Shown], records: &[String]) -> Option<String> {
    let generation = match seen {
        Ok(generation) => *generation,
        Err(why) => return Some(format!("{by}: {why}")),
    };
    let fails = |(start, end, rrset): &&Shown| start <= from && until <= end && !rrset.contains(&records[generation]);
    let (start, end, rrset) = shown.iter().find(fails)?;
    let after = from.duration_since(*start);
    Some(format!("{by} presents generation {generation} {after:?} after {rrset:?} came, held for {:?}", *end - *start))
}

impl Eyes {
    /// One look with each eye. What has never been there is not missing.
    fn look(&self, looks: &mut Vec<Look>, shown: &mut Vec<Shown>) {
        let before = self.zone();
        let start = Instant::now();
        let mut note = |by, read: &dyn Fn() -> io::Result<Result<usize, String>>| {
            let from = Instant::now();
            // A folder can go between the opening and the reading; who comes again finds the next one.
            let seen = read().or_else(|_| read()).or_else(|_| read()).unwrap_or_else(|error| Err(error.to_string()));
            if seen.is_ok() || looks.iter().any(|look: &Look| look.0 == by) {
                looks.push((by, from, Instant::now(), seen));
            }
        };
        note("a handshake", &|| self.pair());
        note("a reader by name", &|| Ok(self.of_chain(&fs::read_to_string(self.dane.join("fullchain.pem"))?)));
        note("the service", &|| Ok(self.of_chain(&fs::read_to_string(&self.memory)?)));
        if self.bundle {
            note("a reader of the bundle", &|| Ok(self.of_bundle(&fs::read_to_string(self.dane.join("bundle.pem"))?)));
        }
        let end = Instant::now();
        if before == self.zone() && !(shown.is_empty() && before.is_empty()) {
            match shown.last_mut() {
                Some(last) if last.2 == before => last.1 = end,
                _ => shown.push((start, end, before)),
            }
        }
    }

    fn zone(&self) -> BTreeSet<String> {
        let names = fs::read_dir(&self.zone).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Certificate and key through one open of the directory. Who opened `live/` itself, and was so slow that the program pinned
    /// and the client renewed meanwhile, saw the client's work.
    fn pair(&self) -> io::Result<Result<usize, String>> {
        let folder = fs::File::open(self.dane.join(".served"))?;
        let inside = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        let (chain, key) = (read(&inside.join("fullchain.pem"))?, read(&inside.join("privkey.pem"))?);
        let opened = fs::read_link(&inside)?;
        let is_live = opened.parent().is_some_and(|above| above.ends_with("live"));
        if is_live && fs::canonicalize(self.dane.join(".served"))? != opened {
            return Err(io::Error::other("pinned while it was read"));
        }
        Ok(match self.of_chain(&chain) {
            Ok(generation) if self.pairs[generation].1 == key => Ok(generation),
            Ok(generation) => Err(format!("the key beside the chain of generation {generation} is another's")),
            Err(why) => Err(why),
        })
    }

    fn of_chain(&self, chain: &str) -> Result<usize, String> {
        self.find(|pair| pair.0 == chain)
    }

    fn of_bundle(&self, text: &str) -> Result<usize, String> {
        self.find(|(chain, key)| text.strip_prefix(key.as_str()).is_some_and(|rest| rest == chain))
    }

    fn find(&self, is_it: impl Fn(&(String, String)) -> bool) -> Result<usize, String> {
        self.pairs.iter().position(is_it).ok_or_else(|| "the chain of no generation".into())
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}
