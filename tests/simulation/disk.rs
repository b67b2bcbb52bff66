//! The simulated file system against the real one: the same operations, the same outcomes.

use daneroll::env::{
    Files, Kind, LONGEST_FILE,
    sim::{World, disk::Disk},
};
use nix::errno::Errno;
use std::{
    fs, io,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

/// Numbers that look random: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// An outcome without what differs from one file system to another.
type Outcome = Result<String, Errno>;

const PATHS: [&str; 12] = ["a", "b", "c", "a/a", "a/b", "b/c", "a/b/c", "c/../b", "a/../c", "l", "l/a", "missing/a"];

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap())
}

/// One operation on both sides; what each side says.
fn both(disk: &mut Disk, root: &Path, random: &mut Random) -> (String, Outcome, Outcome) {
    let (one, two) = (random.pick(&PATHS), random.pick(&PATHS));
    let (from, to) = (root.join(one), root.join(two));
    let unit = |done: Result<(), Errno>| done.map(|()| String::new());
    let text = |path: PathBuf| path.display().to_string();
    let operation = random.below(10);
    let (simulated, real) = match operation {
        0 | 1 => (unit(disk.make_dir(&from, 0o755)), fs::create_dir(&from).map(|()| String::new())),
        2 => {
            let new = fs::OpenOptions::new().write(true).create_new(true).open(&from);
            (unit(disk.create(&from, b"", 0o644)), new.map(|_| String::new()))
        }
        3 => {
            let target = if random.below(2) == 0 { to.clone() } else { PathBuf::from(two) };
            (unit(disk.symlink(&from, &target)), symlink(&target, &from).map(|()| String::new()))
        }
        4 => (unit(disk.hard_link(&from, &to)), fs::hard_link(&from, &to).map(|()| String::new())),
        5 | 6 => (unit(disk.rename(&from, &to)), fs::rename(&from, &to).map(|()| String::new())),
        7 => (unit(disk.remove(&from)), fs::remove_file(&from).map(|()| String::new())),
        8 => (unit(disk.remove_dir(&from)), fs::remove_dir(&from).map(|()| String::new())),
        _ => (disk.real_path(&from).map(text), fs::canonicalize(&from).map(text)),
    };
    (format!("{operation} {one} {two}"), simulated, real.map_err(errno))
}

/// Everything below a directory: path, kind, links, content.
fn real_tree(dir: &Path, tree: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            tree.push(format!("{} dir", path.display()));
            real_tree(&path, tree);
        } else if meta.is_symlink() {
            tree.push(format!("{} -> {} {}", path.display(), fs::read_link(&path).unwrap().display(), meta.nlink()));
        } else {
            tree.push(format!("{} file {}", path.display(), meta.nlink()));
        }
    }
}

fn simulated_tree(disk: &Disk, dir: &Path, tree: &mut Vec<String>) {
    for name in disk.list(dir).unwrap() {
        let path = dir.join(name);
        let links = disk.inode(&path, false).unwrap().1.links;
        match disk.stat(&path, false).unwrap().kind {
            Kind::Dir => {
                tree.push(format!("{} dir", path.display()));
                simulated_tree(disk, &path, tree);
            }
            Kind::Link => {
                tree.push(format!("{} -> {} {links}", path.display(), disk.target(&path).unwrap().display()));
            }
            _ => tree.push(format!("{} file {links}", path.display())),
        }
    }
}

#[test]
fn the_same_as_the_real_one() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut failures, mut successes) = (0, 0);
    for script in 0..300 {
        let real = tempfile::tempdir().unwrap();
        let root = real.path().canonicalize().unwrap();
        let mut disk = Disk::default();
        let above: Vec<&Path> = root.ancestors().collect();
        above.iter().rev().skip(1).for_each(|dir| disk.make_dir(dir, 0o755).unwrap());
        for _ in 0..30 {
            let (what, simulated, real) = both(&mut disk, &root, &mut random);
            assert_eq!(simulated, real, "script {script}: {what}");
            *if real.is_ok() { &mut successes } else { &mut failures } += 1;
        }
        let (mut simulated, mut there) = (Vec::new(), Vec::new());
        simulated_tree(&disk, &root, &mut simulated);
        real_tree(&root, &mut there);
        there.sort();
        simulated.sort();
        assert_eq!(simulated, there, "script {script}");
    }
    assert!(failures > 1000 && successes > 1000, "{failures} failures, {successes} successes");
}

/// What `Files` adds to system calls.
#[test]
fn files() {
    let world = World::new();
    let path = Path::new;
    world.make_dir(path("/a/b/c"), 0o750).unwrap();
    world.make_dir(path("/a/b"), 0o700).unwrap();
    assert_eq!(world.stat(path("/a/b"), true).unwrap().mode, 0o750);
    world.write(path("/a/f"), b"one", 0o600).unwrap();
    world.hard_link(path("/a/f"), path("/a/g")).unwrap();
    world.write(path("/a/f"), b"two", 0o644).unwrap();
    assert_eq!(world.read(path("/a/g")).unwrap(), b"one");
    assert_eq!(world.read(path("/a/f")).unwrap(), b"two");
    world.point(path("/a/l"), path("g")).unwrap();
    world.point(path("/a/l"), path("../a/f")).unwrap();
    assert_eq!(world.read(path("/a/l")).unwrap(), b"two");
    assert_eq!(world.real_path(path("/a/b/../l")).unwrap(), path("/a/f"));
    assert_eq!(world.target(path("/a/l")).unwrap(), path("../a/f"));
    world.set_mode(path("/a/f"), 0o640, Some(42)).unwrap();
    let stat = world.stat(path("/a/l"), true).unwrap();
    assert_eq!((stat.kind, stat.mode, stat.gid, stat.size), (Kind::File, 0o640, 42, 3));
    assert_eq!(world.list(path("/a")).unwrap(), ["b", "f", "g", "l"]);
    world.change(|state| state.disk.mount(path("/mnt"))).unwrap();
    type Case = (&'static str, io::Result<()>, Errno);
    let cases: [Case; 8] = [
        ("/a/f/x", world.write(path("/a/f/x"), b"", 0o600), Errno::ENOTDIR),
        ("/a/b", world.write(path("/a/b"), b"", 0o600), Errno::EISDIR),
        ("/none/x", world.write(path("/none/x"), b"", 0o600), Errno::ENOENT),
        ("/a/f", world.make_dir(path("/a/f"), 0o700), Errno::EEXIST),
        ("/a/f/x", world.make_dir(path("/a/f/x"), 0o700), Errno::ENOTDIR),
        ("/mnt/f", world.hard_link(path("/a/f"), path("/mnt/f")), Errno::EXDEV),
        ("/mnt/f", world.rename(path("/a/f"), path("/mnt/f")), Errno::EXDEV),
        ("/a/l", world.set_mode(path("/a/l"), 0o600, None), Errno::ELOOP),
    ];
    for (at, outcome, wanted) in cases {
        let error = outcome.expect_err(at);
        assert_eq!(error.kind(), io::Error::from(wanted).kind(), "{at}: {error}");
        assert!(error.to_string().starts_with(at), "{error}");
    }
    world.change(|state| state.disk.create(path("/big"), &vec![0; LONGEST_FILE + 1], 0o600)).unwrap();
    assert_eq!(world.read(path("/big")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn locks() {
    let world = World::new();
    let lock = |world: &World, wait| world.lock(Path::new("/lock"), Duration::from_secs(wait)).unwrap();
    let first = lock(&world, 0).unwrap();
    assert!(lock(&world, 7).is_none());
    assert_eq!(world.now(), 7000);
    let slow = std::cell::Cell::new(Some(first));
    world.after(Duration::from_secs(3), move |_| drop(slow.take()));
    let second = lock(&world, 60).unwrap();
    assert_eq!(world.now(), 10_000);
    drop(second);
    assert!(world.survive(|world| std::mem::forget(lock(world, 0).unwrap())).is_some());
    assert!(lock(&world, 0).is_some(), "a process that has ended holds nothing");
}
