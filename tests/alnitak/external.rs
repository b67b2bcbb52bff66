//! `INPUT` is what an external program is asked for and how it ends then; `EXPECTED` the exit code of the run, and whether the next run
//! asks again. With `environment` before it, what the program finds in its environment.

use crate::{
    cases::Case,
    world::{Program, World},
};

const NAME: &str = "a.example";

pub fn play(program: &Program, case: &Case) -> String {
    let (shows, input) = match case.input.strip_prefix("environment ") {
        Some(input) => (true, input),
        None => (false, case.input.as_str()),
    };
    let (operation, code) = input.split_once(' ').unwrap();
    let world = World::new(program, case.dialect);
    world.renew(NAME);
    world.publish_first(NAME, "311");
    world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n");
    for mode in ["reset", "", "pre"] {
        assert_eq!(world.mode(mode, None).code, 0, "{mode}");
    }
    world.renew(NAME);
    world.ends_with(operation, code);
    let mut ended = world.mode("post", Some(NAME));
    if operation == "delete" {
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended = world.mode("", None);
    }
    let before = world.calls(operation);
    assert!(before > 0, "{}{}{}", ended.out, ended.err, world.read("log"));
    if shows {
        return environment(&world, operation);
    }
    world.ends_with(operation, "");
    world.mode("", None);
    format!("exit {}, {}", ended.code, if world.calls(operation) > before { "asks again" } else { "done" })
}

/// The variables in alphabetical order, with the generations in place of their records; without those that a shell makes for itself.
fn environment(world: &World, operation: &str) -> String {
    let text = world.read(&format!("environment-{operation}"));
    let by_shell = |line: &&str| ["_=", "PWD=", "OLDPWD=", "SHLVL="].iter().any(|name| line.starts_with(name));
    let mut lines: Vec<String> =
        text.split('\0').filter(|line| !line.is_empty() && !by_shell(line)).map(str::to_owned).collect();
    lines.sort();
    let mut told = format!("{:?}", lines).replace(&world.filled("{dir}"), "{dir}");
    for (number, hash) in world.hashes(NAME, "311") {
        told = told.replace(&hash, &format!("<{number}>"));
    }
    told
}
