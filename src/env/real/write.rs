//! Files that are replaced in one rename, one by one or a thousand at a time.

use super::files::failed;
use crate::env::TEMPORARY;
use nix::unistd::syncfs;
use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile};

/// Up to here an fsync for each file costs less than writing out the whole file system.
const FEW: usize = 8;

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
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    };
    make().map_err(|error| failed("write", path, &error))
}

/// Gives the temporary file its name.
pub(super) fn persist<T>(temporary: NamedTempFile<T>, path: &Path) -> io::Result<()> {
    temporary.persist(path).map(drop).map_err(|error| failed("put a new file in place of", path, &error.error))
}

/// Replaces each file; the first error is returned after all others have been written.
pub(super) fn replace_all(files: &[(PathBuf, Vec<u8>)], mode: u32) -> io::Result<()> {
    let mut first = Ok(());
    let mut note = |result: io::Result<()>| {
        if first.is_ok() {
            first = result;
        }
    };
    let mut written = Vec::new();
    for (path, bytes) in files {
        match temporary(path, bytes, mode) {
            Ok(temporary) => written.push((temporary, path)),
            Err(error) => note(Err(error)),
        }
    }
    for (result, path) in on_disk(written) {
        note(result.and_then(|temporary| persist(temporary, path)));
    }
    first
}

type Written<'a> = (io::Result<NamedTempFile>, &'a Path);

/// Sees to it that the bytes of these files are on disk, and gives back those of which that is sure.
fn on_disk<'a>(written: Vec<(NamedTempFile, &'a PathBuf)>) -> Vec<Written<'a>> {
    let few = written.len() <= FEW;
    let mut systems = BTreeMap::new();
    let mut sync = |file: &File| match few {
        true => file.sync_all(),
        false => {
            let device = file.metadata()?.dev();
            let synced = systems.entry(device).or_insert_with(|| syncfs(file));
            synced.map_err(io::Error::from)
        }
    };
    let each = written.into_iter().map(|(temporary, path)| {
        let synced = sync(temporary.as_file()).map_err(|error| failed("write", path, &error));
        (synced.map(|()| temporary), path.as_path())
    });
    each.collect()
}
