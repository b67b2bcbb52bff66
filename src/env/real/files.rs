//! Files of this machine.

use super::{Real, lock, read, write};
use crate::env::{Below, Files, Kind, Lock, Print, Stat};
use fs_err as fs;
use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag, open},
    sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat},
    unistd::{Gid, Uid, fchownat},
};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{Metadata, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

impl Files for Real {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_printed(path).map(|(bytes, _)| bytes)
    }

    fn read_printed(&self, path: &Path) -> io::Result<(Vec<u8>, Option<Print>)> {
        read::printed(path)
    }

    fn read_each(&self, paths: &[PathBuf], take: &mut dyn FnMut(usize, io::Result<Vec<u8>>)) {
        read::each(paths, take);
    }

    fn stat(&self, path: &Path, follow: bool) -> io::Result<Stat> {
        let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        metadata.map(|metadata| stat_of(&metadata))
    }

    fn below<'a>(&'a self, dir: &Path) -> Below<'a> {
        let dir = dir.to_owned();
        match open(&dir, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(folder) => Box::new(move |path| match fstatat(&folder, path, AtFlags::empty()) {
                Ok(stat) => Ok(stat_of_system(&stat)),
                Err(errno) => Err(failed("look at", &dir.join(path), &errno.into())),
            }),
            // Who has no such folder hears why.
            Err(_) => Box::new(move |path| self.stat(&dir.join(path), true)),
        }
    }

    fn target(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.ways.real_path(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let is_folder = |entry: &fs::DirEntry| match entry.file_type() {
            // Most file systems tell it with the name. Only behind a link is it worth a look.
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => std::fs::metadata(entry.path()).is_ok_and(|found| found.is_dir()),
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            names.extend(is_folder(&entry).then(|| entry.file_name()));
        }
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, dir: &Path, mode: u32) -> io::Result<()> {
        if dir.as_os_str().is_empty() || fs::metadata(dir).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        let make = || std::fs::DirBuilder::new().mode(mode & 0o700).create(dir);
        let made = match (make(), dir.parent()) {
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                self.make_dir(parent, mode)?;
                make()
            }
            (made, _) => made,
        };
        match made {
            // The mode is set by hand because the umask takes bits away from the one above, and the folder above may add one.
            Ok(()) if fs::metadata(dir)?.mode() & 0o7777 == mode => Ok(()),
            Ok(()) => fs::set_permissions(dir, Permissions::from_mode(mode)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            Err(error) => Err(failed("make directory", dir, &error)),
        }
    }

    fn set_mode(&self, path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
        let set = || {
            if let Some(group) = group {
                // First the group: changing it clears the set-id bits.
                fchownat(AT_FDCWD, path, None, Some(Gid::from_raw(group)), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            }
            fchmodat(AT_FDCWD, path, Mode::from_bits_truncate(mode), FchmodatFlags::NoFollowSymlink)
        };
        set().map_err(|errno| failed("set owner and mode of", path, &errno.into()))
    }

    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let set = fchownat(AT_FDCWD, path, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
        set.map_err(|errno| failed("set owner and group of", path, &errno.into()))
    }

    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let temporary = write::temporary(path, bytes, mode)?;
        temporary.as_file().sync_all().map_err(|error| failed("write", path, &error))?;
        write::persist(temporary, path)
    }

    fn note(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        write::persist(write::temporary(path, bytes, mode)?, path)
    }

    fn write_all(&self, files: &[(PathBuf, Vec<u8>)], mode: u32) -> io::Result<()> {
        write::replace_all(files.iter().map(|(path, bytes)| (path, bytes)), mode)
    }

    fn write_each(&self, files: &mut dyn Iterator<Item = (PathBuf, Vec<u8>)>, mode: u32) -> io::Result<()> {
        write::replace_all(files, mode)
    }

    fn point(&self, link: &Path, target: &Path) -> io::Result<()> {
        // Where nothing is to be replaced, there is no need of a rename.
        if std::os::unix::fs::symlink(target, link).is_ok() {
            return Ok(());
        }
        let made =
            write::builder().make_in(write::dir_of(link), |temporary| std::os::unix::fs::symlink(target, temporary));
        write::persist(made.map_err(|error| failed("make link", link, &error))?, link)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to).map_err(with_cure)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(with_cure)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(with_cure)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync(&self, paths: &[PathBuf]) -> io::Result<()> {
        write::sync(&BTreeSet::from_iter(paths))
    }

    fn locks_at_once(&self) -> usize {
        lock::at_once()
    }

    fn lock(&self, path: &Path, wait: Duration) -> io::Result<Option<Lock>> {
        Ok(lock::take(path, wait)?.map(Lock::new))
    }
}

/// `error` with what was being done to `path` before it; its kind stays.
pub(super) fn failed(action: &str, path: &Path, error: &io::Error) -> io::Error {
    with_cure(io::Error::new(error.kind(), format!("cannot {action} `{}`: {error}", path.display())))
}

/// In a unit of systemd a read-only file system is its sandbox, more often than not.
pub(super) fn with_cure(error: io::Error) -> io::Error {
    let in_unit = std::env::var_os("INVOCATION_ID").is_some();
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem if in_unit => io::Error::new(error.kind(), format!("{error}; {TOO_TIGHT}")),
        _ => error,
    }
}

const TOO_TIGHT: &str = "if that is the sandbox of the unit, run \"systemctl edit daneroll.service\" and add \"[Service]\" and \
                         \"ReadWritePaths=\" with the directory";

pub(super) fn wrong(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {what}", path.display()))
}

/// The same without a print.
fn stat_of_system(stat: &FileStat) -> Stat {
    let kind = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Dir,
        SFlag::S_IFLNK => Kind::Link,
        _ => Kind::Other,
    };
    Stat {
        kind,
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size as u64,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        changed: Some((stat.st_ctime, stat.st_ctime_nsec)),
        print: None,
    }
}

/// What the system tells of a file, as [`Stat`].
pub fn stat_of(metadata: &Metadata) -> Stat {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Dir,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    };
    Stat {
        kind,
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        changed: Some((metadata.ctime(), metadata.ctime_nsec())),
        print: print_of(metadata),
    }
}

/// Changes that follow one another within this time may bear the same, on file systems that count in whole seconds.
const RACY: Duration = Duration::from_secs(2);

pub(super) fn print_of(metadata: &Metadata) -> Option<Print> {
    let settled = || metadata.modified().ok()?.elapsed().ok().filter(|age| *age > RACY);
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let print = Print { device: metadata.dev(), inode: metadata.ino(), size: metadata.size(), modified };
    (metadata.is_file() && settled().is_some()).then_some(print)
}
