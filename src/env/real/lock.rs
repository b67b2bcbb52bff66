//! Exclusive file locks that go away with the process.

use super::files::{failed, with_cure};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::{
    fcntl::OFlag,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

/// How often a lock that another process holds is tried again.
const POLL: Duration = Duration::from_millis(50);

/// More open files than this nobody needs, whatever the system allows.
const MOST_FILES: u64 = 8192;

/// How many locks can be held: each is an open file, and the system may allow more of them than it gives a process at first.
pub(super) fn at_once() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let wished = soft.max(hard.min(MOST_FILES));
    let granted = setrlimit(Resource::RLIMIT_NOFILE, wished, hard).map_or(soft, |()| wished);
    usize::try_from(granted / 2).unwrap_or(usize::MAX).clamp(50, 4000)
}

/// Locks `path`, made if missing; `None` if another process still holds it after `wait`.
pub(super) fn take(path: &Path, wait: Duration) -> io::Result<Option<File>> {
    let began = Instant::now();
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if names(path, &file)? => return Ok(Some(file)),
            // Somebody removed or replaced the file meanwhile: what we hold locks nobody out.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if began.elapsed() >= wait => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL.min(wait.saturating_sub(began.elapsed()))),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path, &error)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // A link could make us create a file anywhere.
    let opened = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).map_err(with_cure)?;
    Ok(opened.into_parts().0)
}

/// Does `path` still name the file that is locked?
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let locked = file.metadata().map_err(|error| failed("look at", path, &error))?;
    match fs::symlink_metadata(path) {
        Ok(now) => Ok((now.dev(), now.ino()) == (locked.dev(), locked.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
