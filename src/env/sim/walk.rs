//! Where paths lead in the simulated file system, and what is remembered of that: the same few paths are walked again and again.

use super::disk::{Disk, Done, Node, ROOT};
use nix::errno::Errno;
use std::{
    cell::RefMut,
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::{Component, Path, PathBuf},
};

/// Where a path leads: the directory, the last name in it, and what has that name.
pub(super) struct Place {
    pub dir: u64,
    pub name: OsString,
    pub inode: Option<u64>,
}

/// The same on the way.
struct At<'a> {
    dir: u64,
    name: &'a OsStr,
    inode: Option<u64>,
}

/// Where paths led, as long as no directory and no link has gone from its place. The same few are walked again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct Walked {
    moves: u64,
    /// Without and with following a link at the end.
    places: [HashMap<OsString, Known<Found>>; 2],
    real: HashMap<OsString, Known<PathBuf>>,
}

/// The directory that a path leads to, and what is there under its last name.
pub(super) type Found = (u64, Option<u64>);

/// What a walk has found. Names that come and go matter only in the directory where it ended; where it met an error, any change may.
#[derive(Clone, Debug)]
pub(super) struct Known<T> {
    found: Done<T>,
    dir: Option<u64>,
    /// The change after which that directory, or everything, was as it was then.
    seen: u64,
}

const NAME_MAX: usize = 255;
const LINKS_FOLLOWED_AT_MOST: usize = 40;

impl Disk {
    /// The path without links and dots.
    pub fn real_path(&self, path: &Path) -> Done<PathBuf> {
        if let Some(known) = self.walked().real.get(path.as_os_str()).filter(|known| self.holds(known)) {
            return known.found.clone();
        }
        let real = self.find_real_path(path);
        let dir = self.walk(path, true).ok().filter(|_| real.is_ok()).map(|(dir, _)| dir);
        self.walked().real.insert(path.into(), self.known(real.clone(), dir));
        real
    }

    fn find_real_path(&self, path: &Path) -> Done<PathBuf> {
        let at = self.walk_from(ROOT, path, true, &mut { LINKS_FOLLOWED_AT_MOST })?;
        let mut number = at.inode.ok_or(Errno::ENOENT)?;
        let mut names = Vec::new();
        if !matches!(self.node(number)?.node, Node::Dir(_)) {
            names.push(at.name.to_owned());
            number = at.dir;
        }
        while number != ROOT {
            let parent = self.node(number)?.parent;
            let name = self.names(parent)?.iter().find(|(_, child)| **child == number).map(|(name, _)| name.clone());
            names.push(name.ok_or(Errno::ENOENT)?);
            number = parent;
        }
        Ok(Path::new("/").join(names.iter().rev().collect::<PathBuf>()))
    }

    /// Follows `path` from the root, which is the working directory too.
    pub(super) fn walk(&self, path: &Path, follow: bool) -> Done<Found> {
        if path.as_os_str().is_empty() {
            return Err(Errno::ENOENT);
        }
        let known = |walked: &Walked| {
            let known = walked.places[usize::from(follow)].get(path.as_os_str());
            known.filter(|known| self.holds(known)).map(|known| known.found)
        };
        if let Some(found) = known(&self.walked()) {
            return found;
        }
        let at = self.walk_from(ROOT, path, follow, &mut { LINKS_FOLLOWED_AT_MOST });
        let found = at.map(|at| (at.dir, at.inode));
        let dir = found.ok().map(|(dir, _)| dir);
        self.walked().places[usize::from(follow)].insert(path.into(), self.known(found, dir));
        found
    }

    /// The same without following a link at the end, with the last name: what is to be changed.
    pub(super) fn place(&self, path: &Path) -> Done<Place> {
        let (dir, inode) = self.walk(path, false)?;
        let name = match path.components().next_back() {
            Some(Component::Normal(name)) => name.to_owned(),
            _ => OsString::from("."),
        };
        Ok(Place { dir, name, inode })
    }

    /// What is known of paths as things are now.
    fn walked(&self) -> RefMut<'_, Walked> {
        let mut walked = self.walked.borrow_mut();
        if walked.moves != self.moves {
            *walked = Walked { moves: self.moves, ..Walked::default() };
        }
        walked
    }

    fn known<T>(&self, found: Done<T>, dir: Option<u64>) -> Known<T> {
        Known { found, dir, seen: self.names_since(dir) }
    }

    fn holds<T>(&self, known: &Known<T>) -> bool {
        known.seen == self.names_since(known.dir)
    }

    fn names_since(&self, dir: Option<u64>) -> u64 {
        dir.and_then(|dir| self.nodes.get(&dir)).map_or(self.changes, |inode| inode.named)
    }

    fn walk_from<'a>(&'a self, start: u64, path: &'a Path, follow: bool, budget: &mut usize) -> Done<At<'a>> {
        let mut at = dot(start);
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let here = at.inode.ok_or(Errno::ENOENT)?;
            let last = components.peek().is_none();
            at = match component {
                Component::RootDir | Component::Prefix(_) => dot(ROOT),
                Component::CurDir => dot(here),
                Component::ParentDir => {
                    self.names(here)?;
                    dot(self.node(here)?.parent)
                }
                Component::Normal(name) => self.step(here, name, follow || !last, budget)?,
            };
        }
        Ok(at)
    }

    fn step<'a>(&'a self, dir: u64, name: &'a OsStr, follow: bool, budget: &mut usize) -> Done<At<'a>> {
        let names = self.names(dir)?;
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let inode = names.get(name).copied();
        match inode.map(|number| self.node(number)).transpose()?.map(|inode| &inode.node) {
            Some(Node::Link(target)) if follow => {
                *budget = budget.checked_sub(1).ok_or(Errno::ELOOP)?;
                self.walk_from(dir, target, true, budget)
            }
            _ => Ok(At { dir, name, inode }),
        }
    }
}

/// A directory reached by no name of its own.
fn dot<'a>(dir: u64) -> At<'a> {
    At { dir, name: OsStr::new("."), inode: Some(dir) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 12] =
        ["/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/a/a", "/b/a/b", "/a/../b", "/b/./a", "/b/a/..", "/a/b/"];

    type Step = (usize, usize, usize, bool);

    fn carry_out(disk: &mut Disk, (what, one, other, flag): Step) -> Done<()> {
        let (one, other) = (Path::new(NAMES[one]), Path::new(NAMES[other]));
        match what {
            0 => disk.make_dir(one, 0o755),
            1 => disk.create(one, b"text", 0o644),
            2 => disk.symlink(one, other),
            3 => disk.symlink(one, Path::new("../a")),
            4 => disk.hard_link(one, other),
            5 | 6 => disk.rename(one, other),
            7 => disk.remove(one),
            8 => disk.remove_dir(one),
            9 => disk.sync(one),
            10 => disk.overwrite(one, b"other", 0o600),
            _ => {
                disk.lose_power(0, || flag);
                Ok(())
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]
        /// What is remembered is what a walk would find, whatever has changed.
        #[test]
        fn nothing_remembered_is_stale(
            steps in prop::collection::vec((0..12_usize, 0..NAMES.len(), 0..NAMES.len(), any::<bool>()), 1..40),
        ) {
            let mut disk = Disk::default();
            for step in steps {
                disk.power.volatile = Some(0);
                let _ = carry_out(&mut disk, step);
                for path in NAMES.map(Path::new) {
                    for follow in [false, true] {
                        let walked = disk.walk_from(ROOT, path, follow, &mut { LINKS_FOLLOWED_AT_MOST });
                        let anew = walked.map(|at| (at.dir, at.inode));
                        prop_assert_eq!(disk.walk(path, follow), anew, "{:?} {}: {:?}", path, follow, step);
                    }
                    prop_assert_eq!(disk.real_path(path), disk.find_real_path(path), "{:?}: {:?}", path, step);
                }
            }
        }
    }
}
