//! The process that watches over commands. So that strace can be attached to it before the first of them, the program is held up when
//! it wants to tell what to do.

use crate::{
    lab::{self, Run},
    trace::{self, Call, Fault},
    world::{World, processes_of},
};
use daneroll::env::supervise::ARGUMENT;
use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// So long the program is held up, microseconds, at each of a few calls.
const HOLD: u32 = 120_000;
/// Who is still there after this time is being held up.
const STILL: Duration = Duration::from_millis(30);

/// A process that watches over commands: with which `write` the program told it of the first, and its calls after that.
pub struct Supervisor {
    pub job: usize,
    pub calls: Vec<Call>,
}

/// The first supervisor among the processes of a call, the first of which is the program. It takes all commands, for none of them
/// leaves anything behind.
pub fn among(processes: &[Vec<Call>]) -> Option<Supervisor> {
    let is_job = |call: &&Call| call.name == "write" && call.text.contains("{\\\"argv\\\"");
    let mut jobs = processes[0].iter().filter(is_job);
    let is_one = |calls: &&Vec<Call>| calls.iter().any(|call| call.name == "execve" && call.text.contains(ARGUMENT));
    let mut supervisors = processes.iter().filter(is_one);
    let (job, calls) = (jobs.next()?.nth, supervisors.next().unwrap());
    let reports = calls.iter().filter(|call| call.name == "write" && call.text.starts_with("write(1<pipe"));
    assert_eq!((supervisors.count(), reports.count()), (0, jobs.count() + 1), "not each command has one of its own");
    let told = calls.iter().position(|call| call.name == "read" && call.text.starts_with("read(0<pipe")).unwrap();
    let before = |name: &str| calls[..=told].iter().filter(|call| call.name == name).count();
    // Who is attached to sees the call that it is in begin anew.
    let again = |name: &str| usize::from(name == "read");
    let counted = |call: &Call| Call { nth: call.nth - before(&call.name) + again(&call.name), ..call.clone() };
    Some(Supervisor { job, calls: calls[told + 1..].iter().map(counted).collect() })
}

/// Makes the call of the program, and hurts the supervisor that hears of its first command with this `write`.
pub fn strike(world: &World<'_>, command: &Command, job: usize, call: &Call, fault: Fault) -> Run {
    let trace = world.lab.path("trace");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let hurt = scope.spawn(|| attach(world, call, fault, &done));
        let run = lab::run(&mut trace::holding(command, &world.lab.path("held-up"), job, HOLD));
        done.store(true, Relaxed);
        if let Some(mut strace) = hurt.join().unwrap() {
            strace.wait().unwrap();
        }
        fs::remove_file(world.lab.path("held-up")).unwrap();
        assert!(run.code >= 0, "only the supervisor was to be hurt: {run:#?} {}", trace.display());
        run
    })
}

/// Attaches strace to the supervisor that stays, if one does.
fn attach(world: &World<'_>, call: &Call, fault: Fault, done: &AtomicBool) -> Option<Child> {
    while !done.load(Relaxed) {
        let first = supervisor(world);
        thread::sleep(STILL);
        if let Some(pid) = first.filter(|_| supervisor(world) == first) {
            let mut strace = trace::attaching(pid, &world.lab.path("trace"), call, fault);
            return Some(strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
    }
    None
}

fn supervisor(world: &World<'_>) -> Option<i32> {
    let is_one = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1) == Some(ARGUMENT.as_bytes())
    };
    processes_of(&world.lab.path("")).into_iter().find(is_one)
}
