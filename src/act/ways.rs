//! The folders of links that lead services to a generation.

use super::keeper::{Keeper, names, relative};
use crate::{
    env::{Kind, Stat},
    lineage::{
        BUNDLE, FULLCHAIN, Generation, GenerationId, PRIVKEY,
        certbot::read_set,
        layout::{GENERATION, KEPT},
    },
    plan::Goal,
};
use std::{
    io,
    path::{Path, PathBuf},
};

impl Keeper<'_> {
    /// Where `.served` is to lead: the folder is made, and has to be on disk with all that is `unsynced` before [`Keeper::turn`].
    pub fn way(
        &self,
        lineage: &str,
        goal: &Goal,
        bundle: bool,
        unsynced: &mut Vec<PathBuf>,
    ) -> Result<PathBuf, String> {
        let dane = self.places.dane(lineage);
        let mut find = || -> io::Result<PathBuf> {
            self.make_dir(&dane, unsynced)?;
            match goal {
                Goal::Live => {
                    let live = self.env.real_path(&self.places.live.join(lineage))?;
                    Ok(relative(&self.env.real_path(&dane)?, &live))
                }
                Goal::Generation(id) => self.lay_out(lineage, id, bundle, unsynced),
            }
        };
        find().map_err(|error| self.cannot_lead(lineage, goal, &error))
    }

    /// The same for a generation that lies in the store or, if it `is_new`, half made beside it, as far as its links lead to the
    /// client's archive: these can be laid out before it has its place. `None` if they lead to the store.
    pub fn way_ahead(
        &self,
        lineage: &str,
        generation: &Generation,
        is_new: bool,
        live: Option<&Generation>,
        unsynced: &mut Vec<PathBuf>,
    ) -> Result<Option<PathBuf>, String> {
        let Some(live) = live.filter(|live| live.id == generation.id && self.links_to_archive(lineage)) else {
            return Ok(None);
        };
        let at = match is_new {
            true => self.half_of(lineage, generation),
            false => self.places.store(lineage).join(generation.id.as_str()),
        };
        // Whoever gives it its place tells what is wrong with it.
        let Ok(kept) = read_set(self.env, &at) else { return Ok(None) };
        let Some(files) = self.archive(lineage, &kept, live).filter(|_| kept.id == generation.id) else {
            return Ok(None);
        };
        let dane = self.places.dane(lineage);
        let name = format!("{GENERATION}{}", generation.id);
        let laid = self.make_dir(&dane, unsynced).and_then(|()| self.make_links(&dane.join(&name), &files, unsynced));
        let goal = Goal::Generation(generation.id.clone());
        laid.map(|()| Some(name.into())).map_err(|error| self.cannot_lead(lineage, &goal, &error))
    }

    fn links_to_archive(&self, lineage: &str) -> bool {
        self.group.is_none() && !self.places.is_in_place(lineage)
    }

    /// Makes the folder with the links of a generation, to the client's archive if `live/` shows it and the archive has these
    /// very files, else to the store: what the client has gone on from, it prunes. Returns the folder's name.
    fn lay_out(
        &self,
        lineage: &str,
        id: &GenerationId,
        bundle: bool,
        unsynced: &mut Vec<PathBuf>,
    ) -> io::Result<PathBuf> {
        let store = self.places.store(lineage).join(id.as_str());
        let kept = read_set(self.env, &store).map_err(io::Error::other)?;
        if bundle {
            self.make_bundle(&store)?;
        }
        let live = || self.places.live(self.env, lineage).ok().filter(|live| live.id == *id);
        let archive = match self.links_to_archive(lineage) {
            true => live().and_then(|live| self.archive(lineage, &kept, &live)),
            false => None,
        };
        let name = match archive {
            Some(_) => format!("{GENERATION}{id}"),
            None => format!("{GENERATION}{id}{KEPT}"),
        };
        let mut files = archive.unwrap_or(kept.files);
        if bundle {
            files.push((BUNDLE.into(), self.env.real_path(&store)?.join(BUNDLE)));
        }
        self.make_links(&self.places.dane(lineage).join(&name), &files, unsynced)?;
        // A bundle is made long after the rest of its set was brought to disk.
        unsynced.extend(bundle.then_some(store));
        Ok(name.into())
    }

    /// Makes a folder of links to these files.
    fn make_links(&self, folder: &Path, files: &[(String, PathBuf)], unsynced: &mut Vec<PathBuf>) -> io::Result<()> {
        self.make_dir(folder, unsynced)?;
        let real = self.env.real_path(folder)?;
        for (name, path) in files {
            let (link, target) = (folder.join(name), relative(&real, path));
            if !self.env.target(&link).is_ok_and(|there| there == target) {
                self.env.point(&link, &target)?;
            }
        }
        unsynced.push(folder.to_owned());
        Ok(())
    }

    /// Key and full chain in one file.
    fn make_bundle(&self, store: &Path) -> io::Result<()> {
        let mut bytes = self.env.read(&store.join(PRIVKEY))?;
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend(self.env.read(&store.join(FULLCHAIN))?);
        let bundle = store.join(BUNDLE);
        let mode = if self.group.is_some() { 0o640 } else { 0o600 };
        if !self.env.read(&bundle).is_ok_and(|there| there == bytes) {
            self.env.write(&bundle, &bytes, mode)?;
        }
        // A run may have ended before this.
        let stat = self.env.stat(&bundle, false)?;
        match stat.mode == mode && self.group.is_none_or(|group| stat.gid == group) {
            true => Ok(()),
            false => self.env.set_mode(&bundle, mode, self.group),
        }
    }

    /// The archive's names for the files of a kept generation, which `live/` shows: those that are the very same file, or the
    /// same bytes where the store is on another file system.
    fn archive(&self, lineage: &str, kept: &Generation, live: &Generation) -> Option<Vec<(String, PathBuf)>> {
        let stat = |path: &Path| self.env.stat(path, false).ok().filter(|stat| stat.kind == Kind::File);
        let shown = |name: &String| live.files.iter().find(|(known, _)| known == name).map(|(_, path)| path);
        // What is in `live/` itself is overwritten by the next renewal.
        let stays = |(name, path): &&(String, PathBuf)| !self.is_in_live(lineage, name, path);
        let folder = live.files.iter().find(stays).and_then(|(_, path)| path.parent())?;
        let others = || names(self.env, folder).unwrap_or_default().into_iter().map(|name| folder.join(name));
        let in_store = |name: &String| {
            let store = self.env.real_path(&self.places.store(lineage)).ok()?;
            Some(store.join(kept.id.as_str()).join(name))
        };
        let same = |(name, path): &(String, PathBuf)| {
            let stat_here = stat(path)?;
            let is_it =
                |other: &PathBuf| stat(other).is_some_and(|there| self.is_same((path, stat_here), (other, there)));
            let found = match shown(name).filter(|shown| self.is_in_live(lineage, name, shown)) {
                Some(_) => in_store(name),
                None => shown(name).filter(|path| is_it(path)).cloned().or_else(|| others().find(is_it)),
            };
            found.map(|found| (name.clone(), found))
        };
        kept.files.iter().map(same).collect()
    }

    fn is_same(&self, (one, stat): (&Path, Stat), (other, there): (&Path, Stat)) -> bool {
        match stat.device == there.device {
            true => stat.inode == there.inode,
            false => stat.size == there.size && self.same_bytes(one, other),
        }
    }

    fn same_bytes(&self, one: &Path, other: &Path) -> bool {
        matches!((self.env.read(one), self.env.read(other)), (Ok(one), Ok(other)) if one == other)
    }
}
