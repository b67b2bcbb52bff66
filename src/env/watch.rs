//! A world that takes down which files were looked at, so that a later run can see whether any of them has changed.

use super::{
    Answered, Ask, Below, Boot, Command, Ended, Env, Files, HttpRequest, HttpResponse, Job, Kind, Lock, Print, Stat,
    Unanswered, Visit, Visited,
};
use crate::small::Map;
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
    ffi::{OsStr, OsString},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    ops::Bound,
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// Links that lead to links; more is a loop.
const MOST_LINKS: usize = 40;

/// The world `env`, and what was looked at in it.
pub(crate) struct Watch<'a> {
    env: &'a dyn Env,
    /// By folder the names that were looked at, and whether more than the way there was; without a name the folder itself.
    /// Nothing, once something was changed: whoever has something to do has nothing to go by.
    seen: RefCell<Option<HashMap<OsString, Map<OsString, bool>>>>,
}

impl<'a> Watch<'a> {
    /// Nothing was looked at yet.
    pub fn new(env: &'a dyn Env) -> Watch<'a> {
        Watch { env, seen: RefCell::new(Some(HashMap::new())) }
    }

    /// The world itself: a look at it is not taken down.
    pub fn unseen(&self) -> &'a dyn Env {
        self.env
    }

    fn saw(&self, path: &Path) {
        self.take_down(path, true);
    }

    fn take_down(&self, path: &Path, more: bool) {
        let mut seen = self.seen.borrow_mut();
        let Some(seen) = &mut *seen else { return };
        let (folder, name) = path.parent().zip(path.file_name()).unwrap_or((path, OsStr::new("")));
        // Bytes are found in less time than the parts of a path.
        match seen.get_mut(folder.as_os_str()) {
            Some(names) => match names.get_mut(name) {
                Some(known) => *known |= more,
                None => drop(names.insert(name.to_owned(), more)),
            },
            None => drop(seen.insert(folder.into(), Map::from([(name.to_owned(), more)]))),
        }
    }

    /// The next run will find something to do, or what this one changes: nothing need be taken down any more.
    pub fn stop(&self) {
        *self.seen.borrow_mut() = None;
    }

    /// Paths such that, while a stat of each of them gives the same as now, all that was looked at is as it was: a folder for its
    /// entries and the links in it, a file for its bytes, and what is not there. `None` if that cannot be told.
    pub fn essence(&self) -> Option<BTreeSet<PathBuf>> {
        let mut trails = Trails { env: self.env, real: HashMap::new(), found: BTreeSet::new() };
        let mut passed = Vec::new();
        let seen = self.seen.borrow();
        let names = seen.as_ref()?.iter().flat_map(|(folder, names)| names.iter().map(move |name| (folder, name)));
        for (folder, (name, more)) in names {
            let folder = Path::new(folder);
            let path = if name.is_empty() { folder.to_owned() } else { folder.join(name) };
            match more {
                true => drop(trails.follow(&path).ok()?),
                false => passed.push(trails.step(&path, 0).ok()?),
            }
        }
        let Trails { mut found, .. } = trails;
        // Where only the way was looked for, what is at its end tells that it is still there.
        let is_on_the_way = |found: &BTreeSet<PathBuf>, folder: &Path| {
            let behind = (Bound::Excluded(folder), Bound::Unbounded);
            found.range::<Path, _>(behind).next().is_some_and(|next| next.starts_with(folder))
        };
        for path in passed {
            if !is_on_the_way(&found, &path) {
                found.insert(path);
            }
        }
        // What a folder among them holds, or lacks, needs no look of its own, nor does a file that has a name elsewhere.
        let listed = |path: &Path| path.parent().is_some_and(|parent| found.contains(parent));
        let (in_folders, others): (Vec<&PathBuf>, Vec<&PathBuf>) = found.iter().partition(|path| listed(path));
        let stat = |path: &Path| self.env.stat(path, true);
        let number = |stat: Stat| (stat.kind == Kind::File).then_some((stat.device, stat.inode));
        let mut files: HashSet<(u64, u64)> =
            others.iter().filter_map(|path| stat(path).ok().and_then(number)).collect();
        let mut kept: BTreeSet<PathBuf> = others.into_iter().cloned().collect();
        for path in in_folders {
            let counts = match stat(path) {
                Ok(stat) => number(stat).is_none_or(|number| files.insert(number)),
                Err(error) => error.kind() != ErrorKind::NotFound,
            };
            kept.extend(counts.then(|| path.clone()));
        }
        Some(kept)
    }
}

/// Follows paths through links to what they name.
struct Trails<'a> {
    env: &'a dyn Env,
    /// Folders by the names they were reached by.
    real: HashMap<PathBuf, PathBuf>,
    found: BTreeSet<PathBuf>,
}

impl Trails<'_> {
    /// Where a path leads. Takes down what it leads to, and the folder of each link on the way.
    fn follow(&mut self, path: &Path) -> io::Result<PathBuf> {
        let end = self.step(path, 0)?;
        self.found.insert(end.clone());
        Ok(end)
    }

    fn step(&mut self, path: &Path, links: usize) -> io::Result<PathBuf> {
        if let Some(real) = self.real.get(path) {
            return Ok(real.clone());
        }
        if links > MOST_LINKS {
            return Err(io::Error::other("too many links"));
        }
        let (Some(above), Some(last)) = (path.parent(), path.components().next_back()) else { return Ok("/".into()) };
        let above = self.step(above, links)?;
        let Component::Normal(name) = last else {
            let up = above.parent().map_or(above.clone(), Path::to_owned);
            return Ok(if last == Component::ParentDir { up } else { above });
        };
        let here = above.join(name);
        let real = match self.env.stat(&here, false) {
            Ok(stat) if stat.kind == Kind::Link => {
                let target = above.join(self.env.target(&here)?);
                self.found.insert(above);
                self.step(&target, links + 1)?
            }
            Ok(stat) if stat.kind == Kind::Dir => here,
            Ok(_) => return Ok(here),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(here),
            Err(error) => return Err(error),
        };
        self.real.insert(path.to_owned(), real.clone());
        Ok(real)
    }
}

impl Files for Watch<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.saw(path);
        self.env.read(path)
    }

    fn read_printed(&self, path: &Path) -> io::Result<(Vec<u8>, Option<Print>)> {
        self.saw(path);
        self.env.read_printed(path)
    }

    fn read_each(&self, paths: &[PathBuf], take: &mut dyn FnMut(usize, io::Result<Vec<u8>>)) {
        paths.iter().for_each(|path| self.saw(path));
        self.env.read_each(paths, take);
    }

    fn stat(&self, path: &Path, follow: bool) -> io::Result<Stat> {
        self.saw(path);
        self.env.stat(path, follow)
    }

    fn below<'b>(&'b self, dir: &Path) -> Below<'b> {
        let (below, dir) = (self.env.below(dir), dir.to_owned());
        Box::new(move |path| {
            self.saw(&dir.join(path));
            below(path)
        })
    }

    fn target(&self, path: &Path) -> io::Result<PathBuf> {
        self.saw(path);
        self.env.target(path)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.take_down(path, false);
        self.env.real_path(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.saw(dir);
        self.env.list(dir)
    }

    fn make_dir(&self, dir: &Path, mode: u32) -> io::Result<()> {
        self.env.make_dir(dir, mode)
    }

    fn set_mode(&self, path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
        self.env.set_mode(path, mode, group)
    }

    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.env.set_owner(path, uid, gid)
    }

    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.env.write(path, bytes, mode)
    }

    fn note(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.env.note(path, bytes, mode)
    }

    fn write_all(&self, files: &[(PathBuf, Vec<u8>)], mode: u32) -> io::Result<()> {
        self.env.write_all(files, mode)
    }

    fn write_each(&self, files: &mut dyn Iterator<Item = (PathBuf, Vec<u8>)>, mode: u32) -> io::Result<()> {
        self.env.write_each(files, mode)
    }

    fn point(&self, link: &Path, target: &Path) -> io::Result<()> {
        self.stop();
        self.env.point(link, target)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.stop();
        self.env.hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.env.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.env.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.env.remove_dir(path)
    }

    fn sync(&self, dirs: &[PathBuf]) -> io::Result<()> {
        self.env.sync(dirs)
    }

    fn locks_at_once(&self) -> usize {
        self.env.locks_at_once()
    }

    fn lock(&self, path: &Path, wait: Duration) -> io::Result<Option<Lock>> {
        self.env.lock(path, wait)
    }
}

impl Env for Watch<'_> {
    fn boot(&self) -> Boot {
        self.env.boot()
    }

    fn up(&self) -> u64 {
        self.env.up()
    }

    fn wall(&self) -> i64 {
        self.env.wall()
    }

    fn sleep(&self, how_long: Duration) {
        self.env.sleep(how_long);
    }

    fn ask(&self, asks: &[Ask]) -> Vec<Answered> {
        self.env.ask(asks)
    }

    fn ask_each(&self, asks: &[Ask], take: &mut dyn FnMut(usize, Answered)) {
        self.env.ask_each(asks, take);
    }

    fn ask_within(&self, asks: &[Ask], limit: Duration) -> Vec<Answered> {
        self.env.ask_within(asks, limit)
    }

    fn visit(&self, visits: &[Visit]) -> Vec<Visited> {
        self.env.visit(visits)
    }

    fn exchange(&self, server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
        self.env.exchange(server, message)
    }

    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
        self.env.http(request)
    }

    fn resolvers(&self) -> Result<Vec<SocketAddr>, String> {
        self.env.resolvers()
    }

    fn has_route(&self, to: IpAddr) -> bool {
        self.env.has_route(to)
    }

    fn run(&self, command: &Command) -> Ended {
        self.env.run(command)
    }

    fn side_by_side(&self, jobs: Vec<Job<'_>>, at_once: usize) {
        self.stop();
        self.env.side_by_side(jobs, at_once);
    }
}
