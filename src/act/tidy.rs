//! Sweeps away what interrupted runs left behind: temporary files, and folders of the store that were never completed.
//!
//! Whoever makes such a thing holds a lock, and so does whoever takes it away: the run's for the journal, the lineage's for its
//! folders. What cannot be removed harms nobody; it is told, and the next run tries again.

use super::keeper::{HALF, Keeper};
use crate::{env::TEMPORARY, lineage::layout::GENERATION};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

impl Keeper<'_> {
    /// Sweeps the journal and the folders of these lineages. The run lock is held.
    pub fn tidy<'a>(&self, lineages: impl Iterator<Item = &'a String>) {
        for folder in [self.places.state.clone(), self.places.state.join("lineages"), self.places.state.join("owners")]
        {
            self.remove_all(self.temporary(&folder));
        }
        self.tidy_marks();
        for lineage in lineages.collect::<BTreeSet<_>>() {
            if self.left(lineage) == Left::default() {
                continue;
            }
            match self.lock(lineage) {
                Ok(_lock) => self.sweep(lineage),
                Err(why) => tracing::warn!(lineage, "what an interrupted run left behind stays: {why}"),
            }
        }
    }

    /// Sweeps a lineage's folders. Its lock is held.
    pub fn sweep(&self, lineage: &str) {
        let Left { halves, temporary } = self.left(lineage);
        for half in halves {
            warn(&half, self.clear(&half));
        }
        self.remove_all(temporary.into_iter());
    }

    /// The marks of `--pre`: each is written under the lock of its lineage, which a temporary name does not tell. What was
    /// there before every one of the locks was free is nobody's.
    fn tidy_marks(&self) {
        let folder = self.places.state.join("pins");
        let left: Vec<PathBuf> = self.temporary(&folder).collect();
        if left.is_empty() {
            return;
        }
        let locks = self.named(&folder, |name| name.ends_with(".lock"));
        let is_free = |lock: &PathBuf| matches!(self.env.lock(lock, Duration::ZERO), Ok(Some(_)));
        if locks.iter().all(is_free) {
            self.remove_all(left.into_iter());
        }
    }

    /// What is left in a lineage's folders.
    fn left(&self, lineage: &str) -> Left {
        let mut left = Left::default();
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned).unwrap_or_default();
        for path in self.named(&self.places.dane(lineage), |name| name.starts_with('.')) {
            match name(&path) {
                name if name.starts_with(TEMPORARY) => left.temporary.push(path),
                name if name.starts_with(GENERATION) => left.temporary.extend(self.temporary(&path)),
                _ => {}
            }
        }
        for path in self.named(&self.places.store(lineage), |_| true) {
            match name(&path) {
                name if name.starts_with(HALF) => left.halves.push(path),
                name if !name.starts_with('.') => left.temporary.extend(self.temporary(&path)),
                _ => {}
            }
        }
        left
    }

    fn temporary(&self, folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
        self.named(folder, |name| name.starts_with(TEMPORARY)).into_iter()
    }

    /// The entries of a folder with such names; none if it is not there.
    fn named(&self, folder: &Path, is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let names = self.env.list(folder).unwrap_or_default();
        names.iter().filter(|name| name.to_str().is_some_and(&is_it)).map(|name| folder.join(name)).collect()
    }

    fn remove_all(&self, paths: impl Iterator<Item = PathBuf>) {
        for path in paths {
            warn(&path, self.env.remove(&path));
        }
    }
}

/// What an interrupted run left of a lineage.
#[derive(Default, PartialEq, Eq)]
struct Left {
    /// Folders of the store that are not complete.
    halves: Vec<PathBuf>,
    /// Temporary files.
    temporary: Vec<PathBuf>,
}

fn warn(path: &Path, removed: io::Result<()>) {
    match removed {
        Ok(()) => tracing::debug!("removed what an interrupted run left behind: {}", path.display()),
        Err(why) => tracing::warn!("what an interrupted run left behind stays: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::{Files, real::Real},
        lineage::layout::Places,
    };
    use std::{collections::BTreeMap, fs};

    const LINEAGE: &str = "mx.example.com";

    /// A world of files with these; those that are left after tidying.
    fn left(files: &[&str], locked: bool) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for file in files {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), "").unwrap();
        }
        let real = Real::new("/nonexistent".into());
        let places = Places { live: at("live"), dane: at("dane"), state: at("state"), sources: BTreeMap::new() };
        let lock = locked.then(|| real.lock(&at("state/pins/mx.example.com.lock"), Duration::ZERO).unwrap().unwrap());
        Keeper { env: &real, places: &places, mode: 0o700, group: None }.tidy([LINEAGE.to_owned()].iter());
        drop(lock);
        files.iter().filter(|file| at(file).exists()).map(|file| (*file).to_owned()).collect()
    }

    #[test]
    fn only_what_was_left_behind_goes() {
        let stays = [
            "dane/mx.example.com/.generation-0123456789abcdef/cert.pem",
            "dane/mx.example.com/.mine",
            "dane/.store/mx.example.com/0123456789abcdef/cert.pem",
            "dane/other.example.com/.daneroll-tmp-1",
            "state/clock.json",
            "state/lineages/mx.example.com.json",
            "state/pins/mx.example.com.held",
            "state/pins/mx.example.com.lock",
        ];
        let goes = [
            "dane/mx.example.com/.daneroll-tmp-1",
            "dane/mx.example.com/.generation-0123456789abcdef/.daneroll-tmp-1",
            "dane/.store/mx.example.com/0123456789abcdef/.daneroll-tmp-1",
            "dane/.store/mx.example.com/.half-0123456789abcdef/cert.pem",
            "state/.daneroll-tmp-1",
            "state/lineages/.daneroll-tmp-1",
            "state/owners/.daneroll-tmp-1",
            "state/pins/.daneroll-tmp-1",
        ];
        assert_eq!(left(&[&stays[..], &goes[..]].concat(), false), stays);
        assert_eq!(left(&stays, false), stays);
    }

    #[test]
    fn what_another_run_may_be_writing_stays() {
        let mark = ["state/pins/.daneroll-tmp-1", "state/pins/mx.example.com.lock"];
        assert_eq!(left(&mark, true), mark);
        assert_eq!(left(&mark, false), mark[1..]);
    }
}
