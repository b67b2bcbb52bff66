//! A dane directory that Alnitak laid out is taken over by renames: whoever reads as fast as it can meets every file at all times, and
//! never another certificate.

use crate::{
    cases::Dialect,
    world::{Program, World},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

const NAME: &str = "a.example";
const KINDS: [&str; 4] = ["cert", "chain", "fullchain", "privkey"];

/// Alnitak's links: into `live/`, or into `archive/` when it has pinned.
fn lay_out(world: &World, pinned: bool) {
    let dane = world.path("dane").join(NAME);
    fs::create_dir_all(&dane).unwrap();
    for kind in KINDS {
        let target = match pinned {
            true => format!("../../le/archive/{NAME}/{kind}1.pem"),
            false => format!("../../le/live/{NAME}/{kind}.pem"),
        };
        symlink(target, dane.join(format!("{kind}.pem"))).unwrap();
    }
}

/// Reads all files again and again while `work` is done: how often, and the first surprise.
fn watched(world: &World, work: impl FnOnce()) -> (usize, Option<String>) {
    let files: Vec<PathBuf> =
        KINDS.iter().map(|kind| world.path("dane").join(NAME).join(format!("{kind}.pem"))).collect();
    let expected: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let watch = || {
        while !done.load(Relaxed) {
            for (file, expected) in files.iter().zip(&expected) {
                match fs::read(file) {
                    Ok(read) if read == *expected => drop(count.fetch_add(1, Relaxed)),
                    Ok(_) => return Some(format!("{} was another", file.display())),
                    Err(error) => return Some(format!("{}: {error}", file.display())),
                }
            }
        }
        None
    };
    let surprise = std::thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        while count.load(Relaxed) < KINDS.len() && !watcher.is_finished() {
            std::thread::yield_now();
        }
        work();
        done.store(true, Relaxed);
        watcher.join().unwrap()
    });
    (count.into_inner(), surprise)
}

fn taken_over(world: &World) -> bool {
    let target = fs::read_link(world.path("dane").join(NAME).join("cert.pem"));
    target.is_ok_and(|target| target.starts_with(".served"))
}

#[test]
fn nobody_misses_a_file_while_alnitaks_directory_is_taken_over() {
    let mut reads = 0;
    for pinned in [false, true] {
        for modes in [&["reset"][..], &[""], &["pre"], &["post"], &["pre", "post", "", "pre"]] {
            for _ in 0..8 {
                let world = World::new(&Program::Ours, Dialect::New);
                world.renew(NAME);
                world.publish_first(NAME, "311");
                world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n");
                lay_out(&world, pinned);
                let run = || {
                    for mode in modes {
                        assert_eq!(world.mode(mode, None).code, 0, "{mode}");
                    }
                };
                let (count, surprise) = watched(&world, run);
                assert_eq!(surprise, None, "{modes:?}, pinned {pinned}");
                assert!(taken_over(&world), "{modes:?}, pinned {pinned}");
                reads += count;
            }
        }
    }
    assert!(reads > 1000, "only {reads} reads");
}

/// The watcher is no fool: with Alnitak's own way, each link removed and made again, it is surprised.
#[test]
fn the_watcher_sees_what_alnitak_does() {
    let world = World::new(&Program::Ours, Dialect::New);
    world.renew(NAME);
    lay_out(&world, false);
    let (_, surprise) = watched(&world, || {
        for _ in 0..300 {
            for kind in KINDS {
                let link = world.path("dane").join(NAME).join(format!("{kind}.pem"));
                fs::remove_file(&link).unwrap();
                std::thread::yield_now();
                symlink(format!("../../le/archive/{NAME}/{kind}1.pem"), &link).unwrap();
            }
        }
    });
    assert!(surprise.is_some_and(|what| what.contains("No such file")));
}
