//! Files that are read, one by one or ten thousand at a time.

use super::files::{print_of, wrong};
use crate::env::{LONGEST_FILE, Print};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;
use std::{
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

/// So many files are worth a thread that reads while what it has read is looked at.
const MANY: usize = 200;
/// Files that are handed over together.
const AT_ONCE: usize = 32;
/// So often it may be ahead.
const AHEAD: usize = 4;

type Bytes = io::Result<Vec<u8>>;

/// The whole file, and its print.
pub(super) fn printed(path: &Path) -> io::Result<(Vec<u8>, Option<Print>)> {
    // A pipe or terminal in the place of a file must not hold up the run.
    let file = fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return Err(wrong(path, "is not a regular file"));
    }
    // What the system says of its size is no more than a hint.
    let size = usize::try_from(metadata.size()).unwrap_or(LONGEST_FILE).min(LONGEST_FILE);
    let mut bytes = Vec::with_capacity(size + 1);
    file.take(LONGEST_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST_FILE {
        return Err(wrong(path, "is longer than 32 MiB and so cannot be what it should be"));
    }
    Ok((bytes, print_of(&metadata)))
}

fn whole(path: &Path) -> Bytes {
    printed(path).map(|(bytes, _)| bytes)
}

/// Reads all of these, and gives each to `take` in their order.
pub(super) fn each(paths: &[PathBuf], take: &mut dyn FnMut(usize, Bytes)) {
    let mut read = 0;
    if paths.len() >= MANY {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            // Where the system gives no thread, and where one ends early, the rest is read here.
            let started = thread::Builder::new().spawn_scoped(scope, move || send_each(paths, &sender));
            for bytes in started.iter().flat_map(|_| receiver.iter()).flatten() {
                take(read, bytes);
                read += 1;
            }
        });
    }
    for (place, path) in paths.iter().enumerate().skip(read) {
        take(place, whole(path));
    }
}

fn send_each(paths: &[PathBuf], to: &SyncSender<Vec<Bytes>>) {
    for paths in paths.chunks(AT_ONCE) {
        if to.send(paths.iter().map(|path| whole(path)).collect()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        for number in [0, 1, MANY - 1, MANY, MANY + AT_ONCE * AHEAD + 1] {
            let path = |n: usize| dir.path().join(n.to_string());
            let paths: Vec<PathBuf> = (0..number).map(path).collect();
            paths.iter().enumerate().filter(|(n, _)| n % 7 != 3).for_each(|(n, path)| {
                std::fs::write(path, n.to_string()).unwrap();
            });
            let mut told = Vec::new();
            each(&paths, &mut |place, bytes| told.push((place, bytes.map(|bytes| String::from_utf8(bytes).unwrap()))));
            assert_eq!(told.len(), number);
            for (n, (place, text)) in told.into_iter().enumerate() {
                let expected = (n % 7 != 3).then(|| n.to_string());
                assert_eq!((place, text.ok()), (n, expected));
            }
        }
    }
}
