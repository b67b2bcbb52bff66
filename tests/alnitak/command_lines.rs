//! `INPUT` is the state of the host, a colon, and the command line; `EXPECTED` the exit code.

use crate::{
    cases::Case,
    world::{Program, World},
};
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{self, File};

pub fn play(program: &Program, case: &Case) -> String {
    let (state, line) = case.input.split_once(':').unwrap();
    let world = World::new(program, case.dialect);
    world.renew("a.example");
    world.publish_first("a.example", "311");
    world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n");
    assert_eq!(world.mode("reset", None).code, 0);
    let _held = prepare(&world, state);
    let words: Vec<&str> = line.split_whitespace().collect();
    world.run(&words, None).code.to_string()
}

fn prepare(world: &World, state: &str) -> Option<File> {
    match state {
        "good" => {}
        "broken" => world.configure("api = {api}\n[a.example]\ntlsa = 911 25\n"),
        "missing" => fs::remove_file(world.path("conf")).unwrap(),
        "failing" => {
            world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n[gone.example]\ntlsa = 311 25\n");
            fs::remove_dir_all(world.path("dane/a.example")).unwrap();
            world.write("dane/a.example", "in the way");
        }
        "unlockable" => {
            let place = if matches!(world.program, Program::Ours) { "state" } else { "lock" };
            fs::remove_dir_all(world.path(place)).unwrap();
            world.write(place, "in the way");
        }
        "busy" => return Some(lock(world)),
        other => panic!("no state {other}"),
    }
    None
}

/// Each program has a lock of its own kind.
fn lock(world: &World) -> File {
    if matches!(world.program, Program::Ours) {
        let file = File::create(world.path("state/lock")).unwrap();
        file.try_lock().unwrap();
        return file;
    }
    let file = File::create(world.path("lock/alnitak.lock")).unwrap();
    let whole = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&whole)).unwrap();
    file
}
