//! Which calls are hurt, by two workers, and the table of what came of it.

use crate::{
    dns_server::DnsServer,
    story::{Hurt, record, suffer, word},
    supervisor::{self, Supervisor},
    trace::{Call, Fault},
    world::{Generations, Left, Variant, World},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Mutex,
    thread,
    time::Instant,
};

/// One for each core; more where most of the time is spent waiting.
const WORKERS: [usize; 2] = [2, 8];
/// More than so many histories that went wrong tell nothing new.
const MOST_FAILURES: usize = 12;
/// What comes and goes with the time that things take is tried again so often, in a new world.
const TRIES: usize = 4;
/// A history in which nobody got to look more often proves nothing, and is told again: the machine was busy with something else.
const FEW_LOOKS: usize = 20;

const WRITING: [&str; 4] = ["ENOSPC", "EIO", "EACCES", "EROFS"];
const READING: [&str; 3] = ["EIO", "EACCES", "EMFILE"];
const EVERY: [&str; 5] = ["ENOSPC", "EIO", "EACCES", "EROFS", "EMFILE"];

/// Which calls are hurt, and how.
#[derive(Clone, Copy, Debug)]
pub enum Chosen {
    /// Killed at each call that changes something, or at each so-manieth of them.
    Kills { every: usize },
    /// Killed at each call.
    AllKills,
    /// An error for each call that changes files, and for some that look at them.
    Errors { every: usize },
    /// Each error for each call about files.
    AllErrors,
}

/// What came of a step's histories.
#[derive(Default)]
struct Row {
    made: usize,
    chosen: usize,
    hit: usize,
    killed: usize,
    failed: usize,
    runs: usize,
    looks: usize,
}

struct Tally {
    rows: BTreeMap<usize, Row>,
    missed: Vec<String>,
    failures: Vec<String>,
}

/// Hurts the calls of a rollover one by one.
pub fn sweep(variant: &Variant, chosen: Chosen) {
    let began = Instant::now();
    let generations = Generations::new();
    let (recorded, undisturbed) = record(variant, &DnsServer::start("example.test", None), &generations);
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    let mut jobs = Vec::new();
    for (step, processes) in recorded.iter().enumerate() {
        let mut of_step = hurts(step, &processes[0], chosen);
        of_step.extend(supervisor::among(processes).iter().flat_map(|one| hurts_of_supervisor(step, one, chosen)));
        rows.insert(step, Row { made: processes[0].len(), chosen: of_step.len(), ..Row::default() });
        jobs.extend(of_step);
    }
    let jobs = Mutex::new(jobs.into_iter());
    let tally = Mutex::new(Tally { rows, missed: Vec::new(), failures: Vec::new() });
    thread::scope(|scope| {
        for _ in 0..WORKERS[usize::from(variant.ttl > 0)] {
            scope.spawn(|| work(variant, &generations, &undisturbed.left, &jobs, &tally));
        }
    });
    let tally = tally.into_inner().unwrap();
    let table = tally.table(variant, chosen);
    let _ = writeln!(std::io::stderr(), "{table}  {:.0} s", began.elapsed().as_secs_f64());
    tally.judge();
}

fn work(
    variant: &Variant,
    generations: &Generations,
    expected: &Left,
    jobs: &Mutex<impl Iterator<Item = Hurt>>,
    tally: &Mutex<Tally>,
) {
    let mut server = DnsServer::start("example.test", None);
    loop {
        let next = jobs.lock().unwrap().next();
        let Some(hurt) = next.filter(|_| tally.lock().unwrap().failures.len() < MOST_FAILURES) else { return };
        for attempt in 1..=TRIES {
            let history = || suffer(&World::new(variant, &server, generations), &hurt, expected);
            let played = catch_unwind(AssertUnwindSafe(history));
            let mut tally = tally.lock().unwrap();
            let row = tally.rows.get_mut(&hurt.step).unwrap();
            match played {
                Ok(played) if played.hit.is_some() && played.looks > FEW_LOOKS => {
                    row.hit += 1;
                    row.killed += usize::from(played.code == -1);
                    row.failed += usize::from(played.code > 0);
                    row.runs = row.runs.max(played.runs);
                    row.looks += played.looks;
                    break;
                }
                Ok(_) if attempt == TRIES => tally.missed.push(told(variant, &hurt)),
                Ok(_) => {}
                Err(panic) => {
                    let why = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "?".into());
                    tally.failures.push(format!("{}: {why}", told(variant, &hurt)));
                    server = DnsServer::start("example.test", None);
                    break;
                }
            }
        }
    }
}

fn told(variant: &Variant, Hurt { step, call, fault, supervisor }: &Hurt) -> String {
    let who = if supervisor.is_some() { " (supervisor)" } else { "" };
    format!("{} `{}`{who} {fault:?} at {} {}: {}", variant.name, word(variant, *step), call.name, call.nth, call.text)
}

/// What is done to the calls of a step, one at a time.
fn hurts(step: usize, calls: &[Call], chosen: Chosen) -> Vec<Hurt> {
    // What the loader does before the program begins is not ours. The first of all is the beginning itself.
    let begins = calls.iter().position(|call| call.name.starts_with("open") && call.text.contains("/conf")).unwrap();
    let directory = directory_of(&calls[begins]);
    let ours = &calls[begins..];
    let kill = |call: &Call| Hurt { step, call: call.clone(), fault: Fault::Kill, supervisor: None };
    let error = |call: &Call, errno| Hurt { step, call: call.clone(), fault: Fault::Error(errno), supervisor: None };
    let about_files = |call: &&Call| call.is_about_files(Path::new(&directory));
    match chosen {
        Chosen::AllKills => calls[1..].iter().map(kill).collect(),
        Chosen::Kills { every } => {
            ours.iter().filter(|call| call.changes()).skip(step).step_by(every).map(kill).collect()
        }
        Chosen::AllErrors => {
            let file_calls = ours.iter().filter(about_files);
            file_calls.flat_map(|call| EVERY.map(|errno| error(call, errno))).collect()
        }
        Chosen::Errors { every } => {
            let changes = ours.iter().filter(about_files).filter(|call| call.changes()).enumerate();
            let looks = ours.iter().filter(about_files).filter(|call| !call.changes()).enumerate();
            let changes = changes.map(|(at, call)| error(call, WRITING[(at + step) % 4]));
            let looks = looks.skip(step).step_by(13).map(|(at, call)| error(call, READING[at % 3]));
            changes.chain(looks).step_by(every).collect()
        }
    }
}

/// The same for the process that watches over a command.
fn hurts_of_supervisor(step: usize, Supervisor { job, calls }: &Supervisor, chosen: Chosen) -> Vec<Hurt> {
    let waits = |call: &Call| ["wait4", "waitid", "exit_group"].contains(&call.name.as_str());
    let hurt = |call: &Call, fault| Hurt { step, call: call.clone(), fault, supervisor: Some(*job) };
    let needs = |call: &&Call| call.changes() || call.name == "fcntl" || call.name.starts_with("open");
    let errno = |call: &Call| if call.name.starts_with("clone") { "EAGAIN" } else { "EMFILE" };
    match chosen {
        Chosen::AllKills => calls.iter().map(|call| hurt(call, Fault::Kill)).collect(),
        Chosen::Kills { every } => {
            let kinds = calls.iter().filter(|call| call.changes() || waits(call));
            kinds.step_by(every).map(|call| hurt(call, Fault::Kill)).collect()
        }
        Chosen::Errors { .. } | Chosen::AllErrors => {
            let started = |call: &&Call| needs(call) && !call.name.starts_with("write");
            calls.iter().filter(started).map(|call| hurt(call, Fault::Error(errno(call)))).collect()
        }
    }
}

/// The world's directory, from the call that opens its configuration.
fn directory_of(call: &Call) -> String {
    let text = &call.text[call.text.find("\"/").unwrap() + 1..];
    text[..text.find("/conf").unwrap() + 1].to_owned()
}

impl Tally {
    fn table(&self, variant: &Variant, chosen: Chosen) -> String {
        let mut table = format!("\n{} {chosen:?}\n", variant.name);
        let head = ["step", "calls", "chosen", "hit", "killed", "failed", "runs", "looks"];
        let _ = writeln!(table, "{}", head.map(|word| format!("{word:>9}")).concat());
        for (step, row) in &self.rows {
            let word = if word(variant, *step).is_empty() { "plain" } else { word(variant, *step) };
            let Row { made, chosen, hit, killed, failed, runs, looks } = row;
            let numbers = [made, chosen, hit, killed, failed, runs, looks].map(|n| format!("{n:>9}")).concat();
            let _ = writeln!(table, "{word:>9}{numbers}");
        }
        for missed in &self.missed {
            let _ = writeln!(table, "  never came to: {missed}");
        }
        table
    }

    /// Every history ended well, and every call was met.
    fn judge(&self) {
        assert!(self.failures.is_empty(), "{} histories:\n{}", self.failures.len(), self.failures.join("\n\n"));
        for row in self.rows.values() {
            assert!(row.chosen > 0 && row.looks > FEW_LOOKS * row.chosen);
        }
        let chosen: usize = self.rows.values().map(|row| row.chosen).sum();
        assert!(self.missed.len() * 50 <= chosen, "{} of {chosen} calls were never met", self.missed.len());
    }
}
