//! `INPUT` is what is said about the log; `EXPECTED` where information goes and where errors go.

use crate::{
    cases::Case,
    world::{Program, World},
};

pub fn play(program: &Program, case: &Case) -> String {
    let world = World::new(program, case.dialect);
    world.renew("a.example");
    world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n[b.example]\ntlsa = 311 25\nfrobnicate = 1\n");
    std::fs::create_dir(world.path("named")).unwrap();
    let words: Vec<&str> = ["-c", "{conf}"].into_iter().chain(case.input.split_whitespace()).collect();
    let ended = world.run(&words, None);
    let named = world.read("named/log") + &world.read("named/daneroll.log") + &world.read("named/alnitak.log");
    let places = [("log", world.read("log") + &named), ("stdout", ended.out), ("stderr", ended.err)];
    // One line each that either program tells in any case.
    let information = if matches!(program, Program::Ours) { "published" } else { "reading config file" };
    let holding = |word: &str| -> String {
        let places: Vec<&str> =
            places.iter().filter(|(_, text)| text.contains(word)).map(|(place, _)| *place).collect();
        if places.is_empty() { "nowhere".into() } else { places.join(" ") }
    };
    format!("information {}, errors {}", holding(information), holding("frobnicate"))
}
