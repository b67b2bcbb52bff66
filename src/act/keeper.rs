//! Keeps generations in our store and leads the dane directory: each change is one rename, done under the lineage's lock after
//! looking once more at what is there.

use super::Came;
use crate::{
    env::{Env, Kind, Lock, Stat},
    journal::store::lineage_file,
    lineage::{
        BUNDLE, Generation, GenerationId,
        certbot::read_set,
        layout::{GENERATION, KEPT, Places, SERVED, in_the_way, pinned_to},
        set::Set,
    },
    plan::Goal,
};
use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

/// How long to wait for a lineage's lock; it is only ever held for a few renames.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// A folder of the store that is being made has this before its generation's name.
pub(super) const HALF: &str = ".half-";

/// Where files go, and how.
#[derive(Clone, Copy)]
pub struct Keeper<'a> {
    /// The world.
    pub env: &'a dyn Env,
    /// The directories.
    pub places: &'a Places,
    /// Mode of the dane directory and the folders in it.
    pub mode: u32,
    /// Group that may read keys; the store then holds copies.
    pub group: Option<u32>,
}

impl Keeper<'_> {
    /// Takes the lineage's lock.
    pub fn lock(&self, lineage: &str) -> Result<Lock, String> {
        let path = lineage_file(&self.places.state, lineage, "lock");
        if let Some(folder) = path.parent() {
            self.env.make_dir(folder, 0o700).map_err(|error| error.to_string())?;
        }
        match self.env.lock(&path, LOCK_WAIT) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(format!("another run has held {} for {} s", path.display(), LOCK_WAIT.as_secs())),
            Err(error) => Err(format!("cannot take the lock: {error}")),
        }
    }

    /// What a client has that overwrites its files, if it is still this generation.
    pub(super) fn overwritten(&self, lineage: &str, id: &GenerationId) -> Result<Set, String> {
        let source = self.places.sources.get(lineage).ok_or("it has no files any more")?;
        let set = source.read(self.env, lineage)?;
        match set.generation.id == *id {
            true => Ok(set),
            false => Err(format!("generation {id} was overwritten")),
        }
    }

    /// Puts a generation into the store, if it is not there. The lineage's lock is held.
    pub fn keep(&self, lineage: &str, generation: &Generation) -> Result<(), String> {
        let mut unsynced = Vec::new();
        if !self.half(lineage, generation, &mut unsynced)? {
            return Ok(());
        }
        self.env.sync(&unsynced).map_err(|error| self.not_kept(lineage, generation, &error))?;
        unsynced.clear();
        self.place(lineage, generation, &mut unsynced)?;
        self.env.sync(&unsynced).map_err(|error| not_kept(generation, &error))
    }

    /// What was made of it until then helps nobody.
    pub(super) fn not_kept(&self, lineage: &str, generation: &Generation, error: &io::Error) -> String {
        let _ = self.clear(&self.half_of(lineage, generation));
        not_kept(generation, error)
    }

    pub(super) fn half_of(&self, lineage: &str, generation: &Generation) -> PathBuf {
        self.places.store(lineage).join(format!("{HALF}{}", generation.id))
    }

    /// Builds the store's folder for a generation, under another name, unless it is there: `false`. The folders that are
    /// `unsynced` after it have to be on disk before [`Keeper::place`].
    pub fn half(&self, lineage: &str, generation: &Generation, unsynced: &mut Vec<PathBuf>) -> Result<bool, String> {
        let folder = self.places.store(lineage);
        let (to, half) = (folder.join(generation.id.as_str()), self.half_of(lineage, generation));
        if read_set(self.env, &to).is_ok_and(|kept| kept.id == generation.id) {
            return Ok(false);
        }
        let overwritten = match generation.files.is_empty() {
            true => Some(self.overwritten(lineage, &generation.id)?),
            false => None,
        };
        let mut put = || -> io::Result<()> {
            self.make_dir(&folder, unsynced)?;
            self.clear(&half)?;
            self.make_dir(&half, unsynced)?;
            for (name, path) in &generation.files {
                let stays = !self.places.is_in_place(lineage) && !self.is_in_live(lineage, name, path);
                self.put(path, &half.join(name), stays, unsynced)?;
            }
            for (name, bytes) in overwritten.iter().flat_map(Set::contents) {
                self.write(&half.join(name), &bytes)?;
            }
            unsynced.push(half.clone());
            Ok(())
        };
        put().map(|()| true).map_err(|error| {
            // What was made until then helps nobody, least of all on a full disk; the first error is the one to tell.
            let _ = self.clear(&half);
            not_kept(generation, &error)
        })
    }

    /// Gives that folder its name, with which it counts as kept.
    pub fn place(&self, lineage: &str, generation: &Generation, unsynced: &mut Vec<PathBuf>) -> Result<(), String> {
        let folder = self.places.store(lineage);
        let (to, half) = (folder.join(generation.id.as_str()), self.half_of(lineage, generation));
        match read_set(self.env, &half) {
            Ok(made) if made.id == generation.id => {}
            Ok(_) => return Err(format!("generation {} changed while it was being kept", generation.id)),
            Err(why) => return Err(not_kept(generation, &why)),
        }
        // What was there was no good, or could not be read just now; only a whole set takes its place.
        let placed = self.clear(&to).and_then(|()| self.env.rename(&half, &to));
        unsynced.push(folder);
        placed.map_err(|error| not_kept(generation, &error))
    }

    /// A hard link to what `stays` as it is, where that can be, or a copy.
    fn put(&self, from: &Path, to: &Path, stays: bool, unsynced: &mut Vec<PathBuf>) -> io::Result<()> {
        if stays && self.group.is_none() && self.env.hard_link(from, to).is_ok() {
            // Its client may have left it to the kernel to bring the bytes to disk.
            unsynced.push(to.to_owned());
            return Ok(());
        }
        self.write(to, &Zeroizing::new(self.env.read(from)?))
    }

    /// Is a file in `live/` itself, and not in an archive to which there is a link? The next renewal may overwrite it.
    pub(super) fn is_in_live(&self, lineage: &str, name: &str, file: &Path) -> bool {
        let number = |path: &Path| self.env.stat(path, true).ok().map(|stat| (stat.device, stat.inode));
        // In certbot's archive names have a number.
        let may_be = file.file_name() == Some(name.as_ref());
        may_be && file.parent().and_then(number) == number(&self.places.live.join(lineage))
    }

    /// Writes a file that only its readers can read.
    fn write(&self, to: &Path, bytes: &[u8]) -> io::Result<()> {
        let mode = if self.group.is_some() { 0o640 } else { 0o600 };
        self.env.write(to, bytes, mode)?;
        match self.group {
            Some(_) => self.env.set_mode(to, mode, self.group),
            None => Ok(()),
        }
    }

    /// Leads the dane directory to what the client has, whatever it shows now: to `live/`, or a copy of what is overwritten.
    pub fn follow_live(&self, lineage: &str, bundle: bool) -> Result<(), String> {
        let _lock = self.lock(lineage)?;
        if !self.places.is_in_place(lineage) {
            return self.lead(lineage, &Goal::Live, false);
        }
        let live = self.places.live(self.env, lineage)?;
        self.keep(lineage, &live)?;
        self.lead(lineage, &Goal::Generation(live.id), bundle)
    }

    /// What services read now.
    pub(super) fn shown(&self, lineage: &str) -> Option<GenerationId> {
        let dane = self.places.dane(lineage);
        let through = dane.join(SERVED);
        let at = if self.env.target(&through).is_ok() { through } else { dane };
        read_set(self.env, &at).ok().map(|set| set.id)
    }

    pub(super) fn is_pinned(&self, lineage: &str) -> bool {
        let target = self.env.target(&self.places.dane(lineage).join(SERVED));
        target.is_ok_and(|target| pinned_to(&target).is_some())
    }

    /// One rename of `.served`; then the links that services open, which lead through it. The lineage's lock is held.
    pub fn lead(&self, lineage: &str, goal: &Goal, bundle: bool) -> Result<(), String> {
        let mut unsynced = Vec::new();
        let target = self.way(lineage, goal, bundle, &mut unsynced)?;
        let cannot = |error| self.cannot_lead(lineage, goal, &error);
        self.env.sync(&unsynced).map_err(cannot)?;
        unsynced.clear();
        self.turn(lineage, goal, &target, bundle, &mut unsynced)?;
        self.env.sync(&unsynced).map_err(cannot)
    }

    pub(super) fn cannot_lead(&self, lineage: &str, goal: &Goal, error: &io::Error) -> String {
        format!("cannot lead {} to {}: {error}", self.places.dane(lineage).display(), goal_text(goal))
    }

    /// Leads `.served` to `target`, in one rename, and the names that services open through it. Where something that is not ours
    /// has one of these names, services are left with what they read.
    pub fn turn(
        &self,
        lineage: &str,
        goal: &Goal,
        target: &Path,
        bundle: bool,
        unsynced: &mut Vec<PathBuf>,
    ) -> Result<(), String> {
        let dane = self.places.dane(lineage);
        let turn = || -> io::Result<Vec<String>> {
            if in_the_way(self.env, &dane.join(SERVED)) {
                return Ok(vec![SERVED.into()]);
            }
            let way = dane.join(target);
            let mut names = names(self.env, &way)?;
            let leads_somewhere =
                |name: &String| self.env.stat(&way.join(name), true).is_ok_and(|stat| stat.kind == Kind::File);
            names.retain(|name| (name != BUNDLE || bundle) && leads_somewhere(name));
            let (in_the_way, names): (Vec<String>, Vec<String>) =
                names.into_iter().partition(|name| in_the_way(self.env, &dane.join(name)));
            // Nor if they would go on reading a part of what they do; but what cannot be read is mended, whatever is in the way.
            let goes_on = |shown| {
                let pinned = self.env.target(&dane.join(SERVED)).ok().and_then(|target| pinned_to(&target));
                read_set(self.env, &way).is_ok_and(|set| set.id == shown || Some(set.id) == pinned)
            };
            if !in_the_way.is_empty() && !self.shown(lineage).is_none_or(goes_on) {
                return Ok(in_the_way);
            }
            self.env.point(&dane.join(SERVED), target)?;
            for name in names {
                let (link, target) = (dane.join(&name), Path::new(SERVED).join(&name));
                if !self.env.target(&link).is_ok_and(|there| there == target) {
                    self.env.point(&link, &target)?;
                }
            }
            Ok(in_the_way)
        };
        let turned = turn();
        unsynced.push(dane.clone());
        match turned {
            Ok(names) if names.is_empty() => Ok(()),
            Ok(names) => {
                let text = "is not ours and in the way of a link: move it elsewhere";
                Err(format!("{} {text}", dane.join(names.join(", ")).display()))
            }
            Err(error) => Err(self.cannot_lead(lineage, goal, &error)),
        }
    }

    /// Removes a generation's files, from the store and its folders of links, unless something shows it by now.
    pub fn forget(&self, lineage: &str, id: &GenerationId) -> Result<Came, String> {
        let _lock = self.lock(lineage)?;
        let live = self.places.live(self.env, lineage).ok().map(|live| live.id);
        if live.as_ref() == Some(id) || self.shown(lineage).as_ref() == Some(id) {
            return Ok(Came::Stale);
        }
        let dane = self.places.dane(lineage);
        let folders = [dane.join(format!("{GENERATION}{id}")), dane.join(format!("{GENERATION}{id}{KEPT}"))];
        let mut folders = folders.into_iter().chain([self.places.store(lineage).join(id.as_str())]);
        let cleared = folders.try_for_each(|folder| self.clear(&folder));
        cleared.map(|()| Came::Done).map_err(|error| format!("cannot forget generation {id}: {error}"))
    }

    /// Removes a folder of files and links, if it is there.
    pub(super) fn clear(&self, folder: &Path) -> io::Result<()> {
        let names = match self.env.list(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in names {
            self.env.remove(&folder.join(name))?;
        }
        self.env.remove_dir(folder)
    }

    /// Makes a folder that is missing, and those above it. The entries in `unsynced` are not on disk yet.
    pub(super) fn make_dir(&self, folder: &Path, unsynced: &mut Vec<PathBuf>) -> io::Result<()> {
        if let Some(stat) = self.env.stat(folder, true).ok().filter(|stat| stat.kind == Kind::Dir) {
            return self.open_up(folder, &stat);
        }
        if let Some(above) = folder.parent().filter(|above| above.starts_with(&self.places.dane)) {
            self.make_dir(above, unsynced)?;
        }
        self.env.make_dir(folder, self.mode)?;
        if self.group.is_some() {
            self.env.set_mode(folder, self.mode, self.group)?;
        }
        unsynced.extend(folder.parent().map(Path::to_owned));
        Ok(())
    }

    /// A run that ended between making a folder and giving it its mode and group left it for root alone. One that has been in use
    /// may be as the operator wants it.
    fn open_up(&self, folder: &Path, stat: &Stat) -> io::Result<()> {
        let as_made = stat.mode == self.mode & 0o700 || stat.mode == self.mode;
        let differs = stat.mode != self.mode || self.group.is_some_and(|group| stat.gid != group);
        let is_ours = || self.env.stat(folder, false).is_ok_and(|stat| stat.kind == Kind::Dir);
        let is_unused = || {
            let names = self.env.list(folder).unwrap_or_default();
            let in_use = |name: &OsString| name == SERVED || !name.as_encoded_bytes().starts_with(b".");
            !names.iter().any(in_use)
        };
        match as_made && differs && is_ours() && is_unused() {
            true => self.env.set_mode(folder, self.mode, self.group),
            false => Ok(()),
        }
    }
}

fn not_kept(generation: &Generation, why: &impl std::fmt::Display) -> String {
    format!("cannot keep generation {}: {why}", generation.id)
}

fn goal_text(goal: &Goal) -> String {
    match goal {
        Goal::Live => "live/".into(),
        Goal::Generation(id) => format!("generation {id}"),
    }
}

/// Names in a folder that can be links of ours: no dot files, and no README.
pub(super) fn names(env: &dyn Env, folder: &Path) -> io::Result<Vec<String>> {
    let names = env.list(folder)?.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.') && name != "README").collect())
}

/// The way from one folder to a path, both real and absolute.
pub(super) fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    up.chain(to[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::{Files, real::Real},
        lineage::{FULLCHAIN, PRIVKEY},
    };
    use std::{collections::BTreeMap, fs};

    const LINEAGE: &str = "mx.example.com";

    /// A set in `live/`, and what becomes of it after `happens`: the error, and the paths of the store.
    fn keeping(happens: impl Fn(&Path)) -> (Option<String>, Vec<String>) {
        let (dir, data) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"));
        let live = dir.path().join("live").join(LINEAGE);
        fs::create_dir_all(&live).unwrap();
        for (name, from) in [(FULLCHAIN, "ecdsa-fullchain.pem"), (PRIVKEY, "ecdsa.key")] {
            fs::copy(data.join(from), live.join(name)).unwrap();
        }
        let real = Real::new("/nonexistent".into());
        let generation = read_set(&real, &live).unwrap();
        let places = Places {
            live: dir.path().join("live"),
            dane: dir.path().into(),
            state: dir.path().join("state"),
            sources: BTreeMap::new(),
        };
        let keeper = Keeper { env: &real, places: &places, mode: 0o700, group: None };
        let kept = places.store(LINEAGE).join(generation.id.as_str());
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join(PRIVKEY), "of a set that is not whole").unwrap();
        happens(&live);
        let error = keeper.keep(LINEAGE, &generation).err();
        // Such files are overwritten in place by the next renewal, and no archive has them.
        fs::write(live.join(FULLCHAIN), "the next").unwrap();
        assert!(error.is_some() || read_set(&real, &kept).is_ok_and(|kept| kept.id == generation.id));
        let names = real.list(&kept).unwrap().into_iter().map(|name| name.into_string().unwrap());
        (error, names.collect())
    }

    #[test]
    fn what_cannot_be_kept_is_told_and_costs_nothing() {
        assert_eq!(keeping(|_| ()), (None, vec![FULLCHAIN.into(), PRIVKEY.into()]));
        let (error, left) = keeping(|live| fs::remove_file(live.join(PRIVKEY)).unwrap());
        assert!(error.is_some_and(|why| why.contains("live/mx.example.com/privkey.pem")));
        assert_eq!(left, [PRIVKEY]);
        let (error, left) = keeping(|live| fs::write(live.join(PRIVKEY), "torn").unwrap());
        assert!(error.is_some_and(|why| why.contains("/privkey.pem: no private key in it")));
        assert_eq!(left, [PRIVKEY]);
    }

    #[test]
    fn the_way_between_folders() {
        for (from, to, way) in [
            ("/etc/daneroll/dane/a", "/etc/letsencrypt/live/a", "../../../letsencrypt/live/a"),
            ("/a/b", "/a/b/c", "c"),
            ("/a/b/c", "/a", "../.."),
            ("/x", "/y/z", "../y/z"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(way), "{from} → {to}");
        }
    }
}
