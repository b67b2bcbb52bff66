//! `INPUT` is what an external program is asked for and how it ends then; `EXPECTED` the exit code of the run, and whether the next run
//! asks again.

use crate::{
    cases::Case,
    world::{Program, World},
};

const NAME: &str = "a.example";

pub fn play(program: &Program, case: &Case) -> String {
    let (operation, code) = case.input.split_once(' ').unwrap();
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
    world.ends_with(operation, "");
    world.mode("", None);
    format!("exit {}, {}", ended.code, if world.calls(operation) > before { "asks again" } else { "done" })
}
