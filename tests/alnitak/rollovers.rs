//! `INPUT` is the parameters, the lineages, and after a colon what happens, step by step; `EXPECTED` the exit codes of the program's runs
//! and what there is in the end.
//!
//! | step | |
//! |---|---|
//! | `pre`, `post [A…]`, `run`, `reset` | the program; with `post` certbot says that these were renewed |
//! | `renew A` | a new certificate |
//! | `wait` | until `ttl` is over |
//! | `days N` | N times: wait, then a plain run |
//! | `publish CODE`, `delete CODE` | the external program ends so from now on; `ok`: it does its work |

use crate::{
    cases::Case,
    world::{Program, World},
};
use ring::digest::{SHA256, digest};
use std::{fs, thread::sleep, time::Duration};

/// With `ttl = 1`, and clocks that know whole seconds only.
const TTL: Duration = Duration::from_millis(1200);

pub fn play(program: &Program, case: &Case) -> String {
    let script = Script::read(&case.input);
    let mut world = script.world(program, case);
    let mut codes = Vec::new();
    script.steps.iter().for_each(|step| codes.extend(take(&mut world, step)));
    format!("{}; {}", codes.join(" "), script.end(&world))
}

pub struct Script {
    param: String,
    lineages: Vec<String>,
    pub steps: Vec<String>,
}

impl Script {
    pub fn read(text: &str) -> Script {
        let (head, steps) = text.split_once(':').unwrap();
        let mut words = head.split_whitespace().map(str::to_owned);
        let mut all = Vec::new();
        for step in steps.split(',').map(str::trim) {
            match step.strip_prefix("days ") {
                Some(days) => {
                    (0..days.parse().unwrap()).for_each(|_| all.extend(["wait".to_owned(), "run".to_owned()]))
                }
                None => all.push(step.to_owned()),
            }
        }
        Script { param: words.next().unwrap(), lineages: words.collect(), steps: all }
    }

    /// The host before the first step: a first certificate for each lineage, its record published, the dane directory laid out.
    pub fn world(&self, program: &Program, case: &Case) -> World {
        let world = World::new(program, case.dialect);
        self.configure(&world);
        for lineage in &self.lineages {
            world.renew(&full(lineage));
            world.publish_first(&full(lineage), &self.param);
        }
        for mode in ["reset", ""] {
            assert_eq!(world.mode(mode, None).code, 0, "{mode}");
        }
        world
    }

    pub fn configure(&self, world: &World) {
        let section = |lineage: &String| format!("[{}]\ntlsa = {} 25\n", full(lineage), self.param);
        let sections: String = self.lineages.iter().map(section).collect();
        world.configure(&format!("ttl = 1\napi = {{api}}\n{sections}"));
    }

    /// For each lineage the generation that services read, those with a record, and whether it ever lost the record of what services
    /// were reading.
    pub fn end(&self, world: &World) -> String {
        let told = |lineage: &String| {
            let name = full(lineage);
            let shown = world.shown(&name).map_or("?".into(), |number| number.to_string());
            let lost = if self.lost(world, &name) { ", lost its record" } else { "" };
            format!("{lineage} shows {shown}, zone {}{lost}", world.zone(&name, &self.param).join(" "))
        };
        self.lineages.iter().map(told).collect::<Vec<_>>().join("; ")
    }

    /// Was the program told to delete the record of a certificate while services were reading just that?
    fn lost(&self, world: &World, name: &str) -> bool {
        let param = self.param.parse().unwrap();
        let calls = world.read("calls");
        let deletes = calls.lines().filter_map(|line| line.strip_prefix("delete ")?.split_once(' '));
        deletes.into_iter().any(|(record, served)| {
            (1..20).any(|number| {
                let file = |kind: &str| fs::read(world.path(&format!("le/archive/{name}/{kind}{number}.pem")));
                let (Ok(cert), Ok(fullchain)) = (file("cert"), file("fullchain")) else { return false };
                let sum = data_encoding::HEXLOWER.encode(digest(&SHA256, &cert).as_ref());
                let chain = daneroll::lineage::pem::chain(&fullchain).unwrap();
                served.starts_with(&sum) && record.ends_with(&chain.association(param).unwrap().hex())
            })
        })
    }
}

/// Takes a step; the exit code, if it was one of the program.
pub fn take(world: &mut World, step: &str) -> Option<String> {
    let mut words = step.split_whitespace();
    let word = words.next().unwrap();
    let names: Vec<String> = words.clone().map(full).collect();
    match word {
        "wait" => sleep(TTL),
        "renew" => names.iter().for_each(|name| world.renew(name)),
        "publish" | "delete" => {
            let code = words.next().unwrap();
            world.ends_with(word, if code == "ok" { "" } else { code });
        }
        _ => {
            let mode = match word {
                "pre" => "pre",
                "post" => "post",
                "reset" => "reset",
                "run" => "",
                other => panic!("no step {other}"),
            };
            let renewed = names.join(" ");
            let renewed = (word == "post").then_some(renewed.as_str());
            return Some(world.mode(mode, renewed).code.to_string());
        }
    }
    None
}

fn full(lineage: impl AsRef<str>) -> String {
    format!("{}.example", lineage.as_ref())
}
