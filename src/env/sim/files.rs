//! The simulated disk as [`Files`].

use super::{
    World,
    disk::{Disk, Done},
};
use crate::env::{Files, Kind, LONGEST_FILE, Lock, Print, Stat};
use nix::errno::Errno;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Who holds the lock of an inode.
pub(super) struct Holder {
    process: u64,
    token: u64,
}

type Locks = Arc<Mutex<BTreeMap<u64, Holder>>>;

/// A lock that is held.
struct Held {
    locks: Locks,
    inode: u64,
    token: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.get(&self.inode).is_some_and(|holder| holder.token == self.token) {
            locks.remove(&self.inode);
        }
    }
}

/// The error of a system call, with the path; its `source` has the number.
#[derive(Debug)]
struct PathError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for PathError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn error(path: &Path, errno: Errno) -> io::Error {
    let source = io::Error::from(errno);
    io::Error::new(source.kind(), PathError { path: path.to_owned(), source })
}

impl World {
    fn reading<T>(&self, path: &Path, read: impl FnOnce(&Disk) -> Done<T>) -> io::Result<T> {
        let mut state = self.state.borrow_mut();
        match state.read_fault(path) {
            Some(errno) => Err(error(path, errno)),
            None => read(&state.disk).map_err(|errno| error(path, errno)),
        }
    }

    fn writing<T>(&self, label: &str, path: &Path, write: impl FnOnce(&mut Disk) -> Done<T>) -> io::Result<T> {
        self.writing_or(label, path, None::<fn(&mut Disk)>, write)
    }

    fn writing_or<T>(
        &self,
        label: &str,
        path: &Path,
        midway: Option<impl FnOnce(&mut Disk)>,
        write: impl FnOnce(&mut Disk) -> Done<T>,
    ) -> io::Result<T> {
        let volatile = self.state.borrow_mut().acting_process() != 0;
        let midway = midway.map(|midway| move |world: &World| world.on_disk(volatile, midway));
        let done = self.effect_or(label, &path.to_string_lossy(), midway, |world| world.on_disk(volatile, write));
        done.and_then(|done| done).map_err(|errno| error(path, errno))
    }

    fn on_disk<T>(&self, volatile: bool, write: impl FnOnce(&mut Disk) -> T) -> T {
        let state = &mut *self.state.borrow_mut();
        state.disk.power.volatile = volatile.then_some(state.clock.now);
        let done = write(&mut state.disk);
        state.disk.power.volatile = None;
        done
    }

    pub(super) fn release_locks(&self, process: u64) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, holder| holder.process != process);
    }

    fn try_lock(&self, path: &Path) -> Done<Option<Held>> {
        let mut state = self.state.borrow_mut();
        let process = state.acting_process();
        let (inode, _) = state.disk.inode(path, true)?;
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.contains_key(&inode) {
            return Ok(None);
        }
        state.clock.tokens += 1;
        let token = state.clock.tokens;
        locks.insert(inode, Holder { process, token });
        Ok(Some(Held { locks: self.locks.clone(), inode, token }))
    }
}

/// The name of the temporary file that a killed `write` leaves behind.
fn temporary(path: &Path) -> PathBuf {
    path.with_file_name(".tmpSIM001")
}

fn make_dirs(disk: &mut Disk, dir: &Path, mode: u32, but: usize) -> Done<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|dir| disk.inode(dir, true).err() == Some(Errno::ENOENT)).collect();
    for dir in missing.iter().rev().take(missing.len().saturating_sub(but)) {
        disk.make_dir(dir, mode)?;
    }
    Ok(())
}

impl Files for World {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_printed(path).map(|(bytes, _)| bytes)
    }

    fn read_printed(&self, path: &Path) -> io::Result<(Vec<u8>, Option<Print>)> {
        self.reading(path, |disk| match disk.read(path)? {
            bytes if bytes.len() > LONGEST_FILE => Err(Errno::EFBIG),
            bytes => Ok((bytes.to_vec(), disk.stat(path, true)?.print)),
        })
    }

    fn stat(&self, path: &Path, follow: bool) -> io::Result<Stat> {
        self.reading(path, |disk| disk.stat(path, follow))
    }

    fn target(&self, path: &Path) -> io::Result<PathBuf> {
        self.reading(path, |disk| disk.target(path))
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.reading(path, |disk| disk.real_path(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.reading(dir, |disk| disk.list(dir))
    }

    fn make_dir(&self, dir: &Path, mode: u32) -> io::Result<()> {
        let midway = |disk: &mut Disk| {
            let _ = make_dirs(disk, dir, mode, 1);
        };
        self.writing_or("make_dir", dir, Some(midway), |disk| {
            make_dirs(disk, dir, mode, 0)?;
            match disk.stat(dir, true)?.kind {
                Kind::Dir => Ok(()),
                _ => Err(Errno::EEXIST),
            }
        })
    }

    fn set_mode(&self, path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
        self.writing("set_mode", path, |disk| disk.change(path, Some(mode), None, group))
    }

    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.writing("set_owner", path, |disk| disk.change(path, None, Some(uid), Some(gid)))
    }

    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let new = temporary(path);
        let midway = |disk: &mut Disk| {
            let _ = disk.create(&new, bytes, mode);
        };
        self.writing_or("write", path, Some(midway), |disk| {
            let _ = disk.remove(&new);
            disk.create(&new, bytes, mode)?;
            let done = disk.rename(&new, path);
            if done.is_err() {
                let _ = disk.remove(&new);
            }
            done
        })
    }

    fn point(&self, link: &Path, target: &Path) -> io::Result<()> {
        let new = temporary(link);
        let midway = |disk: &mut Disk| {
            let _ = disk.symlink(&new, target);
        };
        self.writing_or("point", link, Some(midway), |disk| {
            let _ = disk.remove(&new);
            disk.symlink(&new, target)?;
            let done = disk.rename(&new, link);
            if done.is_err() {
                let _ = disk.remove(&new);
            }
            done
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.writing("hard_link", to, |disk| disk.hard_link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.writing("rename", to, |disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.writing("remove", path, |disk| disk.remove(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.writing("remove_dir", path, |disk| disk.remove_dir(path))
    }

    fn sync(&self, dirs: &[PathBuf]) -> io::Result<()> {
        for dir in dirs {
            self.writing("sync", dir, |disk| disk.sync(dir))?;
        }
        Ok(())
    }

    fn lock(&self, path: &Path, wait: Duration) -> io::Result<Option<Lock>> {
        let limit = self.now() + wait.as_millis() as u64;
        self.writing("lock", path, |disk| match disk.inode(path, true) {
            Ok(_) => disk.read(path).map(drop),
            Err(Errno::ENOENT) => disk.create(path, b"", 0o600),
            Err(errno) => Err(errno),
        })?;
        loop {
            match self.try_lock(path).map_err(|errno| error(path, errno))? {
                Some(held) => return Ok(Some(Lock::new(held))),
                None if self.now() >= limit => return Ok(None),
                None => self.pass_to_event(limit),
            }
        }
    }
}
