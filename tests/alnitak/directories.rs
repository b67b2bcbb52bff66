//! `INPUT` is what the host has beside two lineages, of which one is configured, and the mode that is called; `EXPECTED` the exit code and
//! which files of each lineage can be read in the dane directory, with the generation they are of, and who may enter it.

use crate::{
    cases::Case,
    world::{Program, World},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

pub fn play(program: &Program, case: &Case) -> String {
    let (before, mode) = case.input.split_once(':').unwrap();
    let world = World::new(program, case.dialect);
    for lineage in ["a.example", "b.example"] {
        world.renew(lineage);
    }
    world.publish_first("a.example", "311");
    world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n");
    fs::create_dir(world.path("dane")).unwrap();
    fs::set_permissions(world.path("dane"), fs::Permissions::from_mode(0o700)).unwrap();
    before.split(',').map(str::trim).for_each(|what| prepare(&world, what));
    let mode = ["reset", "pre", "post"].into_iter().find(|known| *known == mode.trim()).unwrap_or("");
    let ended = world.mode(mode, None);
    let shown = ["a.example", "b.example", "gone.example"].map(|lineage| shown(&world, lineage)).join("; ");
    let mode = fs::metadata(world.path("dane")).map(|folder| folder.permissions().mode() & 0o777);
    format!("{}; {shown}; {:o}", ended.code, mode.unwrap_or(0))
}

fn prepare(world: &World, what: &str) {
    let live = world.path("le/live/a.example");
    match what {
        "nothing" => {}
        "laid out" => assert_eq!(world.mode("reset", None).code, 0),
        "extra link" => symlink("../../archive/a.example/cert1.pem", live.join("extra.pem")).unwrap(),
        "readme" => fs::write(live.join("README"), "not a link").unwrap(),
        "broken link" => symlink("../../archive/a.example/no.pem", live.join("broken.pem")).unwrap(),
        "file in live" => fs::write(world.path("le/live/README"), "not a folder").unwrap(),
        "open dane directory" => {
            fs::set_permissions(world.path("dane"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        "foreign file beside" | "foreign file in the way" | "foreign folder in the way" => {
            let dane = world.path("dane/a.example");
            fs::create_dir_all(&dane).unwrap();
            match what {
                "foreign file beside" => fs::write(dane.join("notes.txt"), "mine").unwrap(),
                "foreign file in the way" => {
                    let _ = fs::remove_file(dane.join("cert.pem"));
                    fs::write(dane.join("cert.pem"), "mine").unwrap();
                }
                _ => {
                    let _ = fs::remove_file(dane.join("cert.pem"));
                    fs::create_dir(dane.join("cert.pem")).unwrap();
                }
            }
        }
        "removed lineage" => {
            let gone = world.path("dane/gone.example");
            fs::create_dir_all(&gone).unwrap();
            fs::write(gone.join("cert.pem"), "of a lineage that is gone").unwrap();
        }
        "lineage not there" => {
            world.configure("ttl = 0\napi = {api}\n[a.example]\ntlsa = 311 25\n[missing.example]\ntlsa = 311 25\n");
        }
        other => panic!("no state {other}"),
    }
}

/// The names that lead to files, grouped by what they show.
fn shown(world: &World, lineage: &str) -> String {
    let dane = world.path("dane").join(lineage);
    let Ok(entries) = fs::read_dir(&dane) else { return "none".into() };
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| !name.starts_with('.'))
    {
        let path = dane.join(&name);
        let real = fs::canonicalize(&path).ok().filter(|real| real.starts_with(world.path("le/archive")));
        let store = fs::read(&path).is_ok() && fs::symlink_metadata(&path).unwrap().is_symlink();
        let of = match (real, store) {
            (Some(_), _) | (None, true) => "ours",
            _ if path.is_dir() => "a folder",
            _ => "foreign",
        };
        shown.entry(of.into()).or_default().push(name);
    }
    let told = |(of, mut names): (String, Vec<String>)| {
        names.sort();
        format!("{of} {}", names.join(" "))
    };
    if shown.is_empty() { "empty".into() } else { shown.into_iter().map(told).collect::<Vec<_>>().join(", ") }
}
