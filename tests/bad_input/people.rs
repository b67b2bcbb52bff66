//! Users, and file systems of a thread's own.

use crate::lab::Lab;
use nix::sched::{CloneFlags, unshare};
use std::{fs, os::unix::fs::lchown, path::Path, process::Command, thread};

const NOBODY: u32 = 65534;

/// Makes `nobody` the owner of everything below.
pub fn give_away(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give_away(&entry.unwrap().path()));
    }
}

/// Runs `work` in a thread whose mounts nobody else sees and that end with it, before the world is cleared away.
pub fn with_mounts(work: impl FnOnce(&Lab) + Send) {
    let lab = &Lab::new();
    thread::scope(|scope| {
        let alone = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            must("mount", &["--make-rprivate", "/"]);
            work(lab);
        });
        if let Err(panic) = alone.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// An empty file system of this size at `path`.
pub fn mount(path: &Path, size: &str) {
    fs::create_dir_all(path).unwrap();
    must("mount", &["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "daneroll-test", path.to_str().unwrap()]);
}

/// From now on nothing can be written there.
pub fn make_read_only(path: &Path) {
    must("mount", &["-o", "remount,ro", path.to_str().unwrap()]);
}

fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
