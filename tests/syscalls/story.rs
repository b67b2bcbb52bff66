//! A rollover from the first use to the end, with something that goes wrong in one of its calls.

use crate::{
    dns_server::DnsServer,
    lab::{LINEAGE, Run},
    oracle::Watcher,
    supervisor,
    trace::{self, Call, Fault},
    world::{Generations, Left, Variant, World, hex},
};
use std::{collections::BTreeSet, fs, path::Path, thread, time::Duration};

/// How many calls of the program a rollover takes.
pub const STEPS: usize = 5;
/// The one before the renewal.
const PRE: usize = 2;
/// Afterwards it must not take more plain runs than this until nothing is left to do.
const MOST_RUNS: usize = 6;
/// What the program may end with when a call fails: failure, configuration, lock, and log.
const CODES: [i32; 8] = [0, 1, 3, 4, 16, 17, 19, 20];

/// What goes wrong, and where.
#[derive(Clone, Debug)]
pub struct Hurt {
    pub step: usize,
    pub call: Call,
    pub fault: Fault,
    /// Not the program itself, but the process that watches over the command of which it writes with its so-manieth `write`.
    pub supervisor: Option<usize>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Played {
    /// The call that was hurt; `None` if the run did not come to it.
    pub hit: Option<Call>,
    /// What the run ended with; -1: by the signal.
    pub code: i32,
    /// Plain runs until nothing was left to do.
    pub runs: usize,
    /// How often somebody looked at what is presented.
    pub looks: usize,
    /// What was left at the end.
    pub left: Left,
}

/// The words of each call.
pub fn word(variant: &Variant, step: usize) -> &'static str {
    [variant.first[0], variant.first[1], "--pre", "--post", ""][step]
}

/// Every call that each step's processes make.
pub fn record(variant: &Variant, server: &DnsServer, generations: &Generations) -> (Vec<Vec<Vec<Call>>>, Played) {
    let mut calls = Vec::new();
    let mut step = |world: &World<'_>, word: &str| {
        let trace = world.lab.path("trace");
        let run = crate::lab::run(&mut trace::recording(&world.command(word), &trace));
        assert!(run.code == 0 && run.errors().is_empty(), "{word}: {run:#?} {}", world.lab.read("log"));
        calls.push(trace::read(&trace));
        None
    };
    let played = play(&World::new(variant, server, generations), &mut |world, _, word| step(world, word));
    (calls, played)
}

/// The same with something that goes wrong; what is left must be what is left without.
pub fn suffer(world: &World<'_>, hurt: &Hurt, expected: &Left) -> Played {
    let played = play(world, &mut |world, step, word| (step == hurt.step).then(|| hurt.strike(world, word)));
    assert_same(&played.left, expected);
    played
}

type Strike<'a> = &'a mut dyn FnMut(&World<'_>, usize, &str) -> Option<(Option<Call>, i32)>;

/// Plays the story. `strike` may take a step over; else it is called and must succeed.
fn play(world: &World<'_>, strike: Strike<'_>) -> Played {
    let watcher = Watcher::start(world);
    let mut played = Played::default();
    for step in 0..STEPS {
        let word = word(world.variant, step);
        if step + 1 == STEPS {
            thread::sleep(Duration::from_millis(2100 * u64::from(world.variant.ttl)));
        }
        let struck = strike(world, step, word);
        let failed = struck.as_ref().is_some_and(|(_, code)| *code != 0);
        match struck {
            Some((hit, code)) => (played.hit, played.code) = (hit, code),
            None if played.left.is_empty() => {
                world.call(word);
            }
            None => {}
        }
        world.start_service();
        if step == PRE {
            if failed && !world.variant.always {
                // A client whose hook failed renews all the same; only `pin = always` survives that (README).
                world.call("--pre");
            }
            world.issue(1);
        }
    }
    played.runs = settle(world);
    if world.lab.path(&format!("state/pins/{LINEAGE}.held")).exists() {
        world.call("--post");
        played.runs = played.runs.max(settle(world));
    }
    assert_done(world);
    let (wrong, looks) = watcher.judge(world);
    assert!(wrong.is_empty(), "mismatch: {wrong:#?}\n{}", world.lab.read("log"));
    (played.looks, played.left) = (looks, world.left());
    played
}

/// Plain runs until one changes nothing and waits for nothing.
fn settle(world: &World<'_>) -> usize {
    for runs in 1.. {
        let before = world.left();
        world.call("");
        let last: serde_json::Value = serde_json::from_str(&world.lab.read("state/run.json")).unwrap();
        let nothing = |key: &str| last[key].as_array().unwrap().is_empty();
        if nothing("waits") && nothing("done") && nothing("later") && world.left() == before {
            return runs - 1;
        }
        assert!(
            runs <= MOST_RUNS + 6 * world.variant.ttl as usize,
            "does not settle: {last:#}\n{}",
            world.lab.read("log")
        );
        thread::sleep(Duration::from_millis(500 * u64::from(world.variant.ttl)));
    }
    unreachable!()
}

/// The new certificate is read and presented, its record is the only one, and nobody is left.
fn assert_done(world: &World<'_>) {
    let new = &world.generations.0[1];
    let chain = format!("{}{}", new.cert, new.chain);
    assert_eq!(world.lab.read(&format!("dane/{LINEAGE}/fullchain.pem")), chain, "the new certificate is not served");
    assert_eq!(world.lab.read("memory"), chain, "the service was not reloaded");
    assert_eq!(world.shown(), BTreeSet::from([hex(&world.generations.record(1))]), "{}", world.lab.read("log"));
    assert!(!world.lab.read("log").contains("panicked"), "{}", world.lab.read("log"));
    assert_eq!(world.processes(), [] as [i32; 0], "processes live on");
}

fn assert_same(left: &Left, expected: &Left) {
    let paths: BTreeSet<_> = left.keys().chain(expected.keys()).collect();
    let differ: Vec<_> = paths
        .into_iter()
        .filter(|path| left.get(*path) != expected.get(*path))
        .map(|path| {
            format!("{}: {} instead of {}", path.display(), shortly(left.get(path)), shortly(expected.get(path)))
        })
        .collect();
    assert!(differ.is_empty(), "left over, missing or different:\n{}", differ.join("\n"));
}

/// What is at a path, without the white space of documents.
fn shortly(entry: Option<&(u32, String)>) -> String {
    let words = |text: &str| text.split_whitespace().collect::<String>();
    entry.map_or("nothing".into(), |(mode, text)| format!("{mode:o} {}", words(text)))
}

impl Hurt {
    /// Makes the call with the fault.
    fn strike(&self, world: &World<'_>, word: &str) -> (Option<Call>, i32) {
        let trace = world.lab.path("trace");
        let run = match self.supervisor {
            Some(job) => supervisor::strike(world, &world.command(word), job, &self.call, self.fault),
            None => crate::lab::run(&mut trace::hurting(&world.command(word), &trace, &self.call, self.fault)),
        };
        let hit = trace::hit(&trace, self.fault);
        let _ = fs::remove_file(trace);
        let code = run.code;
        match (&hit, self.fault) {
            (None, _) => assert_eq!(code, 0, "nothing was wrong: {run:#?}"),
            (Some(_), Fault::Kill) if self.supervisor.is_some() => {
                // It may have said everything by then.
                assert!(code == 0 || (code == 1 && run.err.contains("signal 9")), "{run:#?}");
            }
            (Some(_), Fault::Kill) => assert_eq!(code, -1, "killed, and yet: {run:#?}"),
            (Some(call), Fault::Error(_)) => self.is_told(call, run, &world.lab.path("")),
        }
        assert_eq!(world.processes(), [] as [i32; 0], "processes of the killed run live on");
        (hit, code)
    }

    /// A call that failed may fail the run, in its own words.
    fn is_told(&self, call: &Call, run: Run, dir: &Path) {
        // The runtime wakes itself through a file of its own, which never fails, and gives up if it does.
        if run.err.contains("failed to wake I/O driver") {
            return;
        }
        assert!(CODES.contains(&run.code), "{run:#?}");
        let run = run.speaks_plainly();
        if run.code == 0 {
            return;
        }
        // By which name the program came to the file is not told by the call: there are links.
        let named = |error: &&str| error.contains(dir.to_str().unwrap());
        assert!(run.errors().iter().any(named), "no path is named, {}: {run:#?}", call.text);
    }
}
