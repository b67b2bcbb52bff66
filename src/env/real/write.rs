//! Files that are replaced in one rename, one by one or a thousand at a time.

use super::files::failed;
use crate::env::TEMPORARY;
use nix::unistd::syncfs;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile, TempPath};

/// Up to here an fsync for each file costs less than writing out the whole file system.
const FEW: usize = 8;
/// The same of what is there already: after the first of them, hardly anything is left to be written for the rest.
const FEW_THERE: usize = 32;

/// Where the entry `path` is kept.
pub(super) fn dir_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Temporary names that a later run recognizes and sweeps away.
pub(super) fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(TEMPORARY);
    builder
}

/// A file with these bytes beside `path`, complete but not yet on disk.
pub(super) fn temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let make = || {
        let mut file = builder().tempfile_in(dir_of(path))?;
        file.write_all(bytes)?;
        // The mode comes last: until then only we can open the file.
        if mode != 0o600 {
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(file)
    };
    make().map_err(|error| failed("write", path, &error))
}

/// Gives the temporary file its name.
pub(super) fn persist<T>(temporary: NamedTempFile<T>, path: &Path) -> io::Result<()> {
    temporary.persist(path).map(drop).map_err(|error| not_put(path, &error.error))
}

fn not_put(path: &Path, error: &io::Error) -> io::Error {
    failed("put a new file in place of", path, error)
}

/// Replaces each file; the first error is returned after all others have been written. Then their folders are brought to disk.
pub(super) fn replace_all<P: AsRef<Path>, B: AsRef<[u8]>>(
    mut files: impl Iterator<Item = (P, B)>,
    mode: u32,
) -> io::Result<()> {
    let begin: Vec<(P, B)> = files.by_ref().take(FEW + 1).collect();
    let mut first = Ok(());
    let mut note = |result: io::Result<()>| {
        if first.is_ok() {
            first = result;
        }
    };
    let mut disks = Disks { few: begin.len() <= FEW, systems: BTreeMap::new() };
    let (mut written, mut dirs) = (Vec::new(), BTreeSet::new());
    for (path, bytes) in begin.into_iter().chain(files) {
        let dir = dir_of(path.as_ref());
        if !dirs.contains(dir) {
            dirs.insert(dir.to_owned());
        }
        let made = temporary(path.as_ref(), bytes.as_ref(), mode);
        match made.and_then(|temporary| disks.take(temporary, path.as_ref())) {
            Ok(on) => written.push((on, path)),
            Err(error) => note(Err(error)),
        }
    }
    let synced = disks.sync();
    for ((temporary, device), path) in written {
        let safe = match device.and_then(|device| synced.get(&device)) {
            Some(Err(errno)) => Err(failed("write", path.as_ref(), &(*errno).into())),
            _ => Ok(()),
        };
        let named = || temporary.persist(&path).map_err(|error| not_put(path.as_ref(), &error.error));
        note(safe.and_then(|()| named()));
    }
    first.and(sync(&dirs.iter().collect()))
}

/// Sees to it that the entries of these folders, and the bytes of these files, are on disk: one by one, or with all that their
/// file systems hold.
pub(super) fn sync(paths: &BTreeSet<&PathBuf>) -> io::Result<()> {
    let (mut first, mut systems) = (Ok(()), BTreeMap::new());
    for path in paths {
        let synced = match paths.len() <= FEW_THERE {
            true => fs_err::File::open(path).and_then(|file| file.sync_all()),
            false => fs_err::metadata(path).and_then(|found| {
                match systems.entry(found.dev()) {
                    Entry::Occupied(system) => *system.get(),
                    Entry::Vacant(system) => *system.insert(syncfs(fs_err::File::open(path)?.file())),
                }
                .map_err(|errno| failed("write", path, &errno.into()))
            }),
        };
        first = first.and(synced);
    }
    first
}

/// How the bytes of many files come to disk.
struct Disks {
    few: bool,
    /// One open file of each file system that is to be written out: thousands would be more than a process may have.
    systems: BTreeMap<u64, File>,
}

impl Disks {
    /// A file whose bytes are on disk, or will be when the file system of this number was written out.
    fn take(&mut self, temporary: NamedTempFile, path: &Path) -> io::Result<(TempPath, Option<u64>)> {
        let (file, name) = temporary.into_parts();
        let placed = match self.few {
            true => file.sync_all().map(|()| None),
            false => file.metadata().map(|metadata| Some(metadata.dev())),
        };
        let device = placed.map_err(|error| failed("write", path, &error))?;
        if let Some(device) = device {
            self.systems.entry(device).or_insert(file);
        }
        Ok((name, device))
    }

    /// Writes out all file systems.
    fn sync(self) -> BTreeMap<u64, nix::Result<()>> {
        self.systems.into_iter().map(|(device, file)| (device, syncfs(&file))).collect()
    }
}
