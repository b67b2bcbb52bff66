//! Runs external commands, one after the other, on behalf of a parent that may be killed at any moment.
//!
//! The program starts itself anew with [`ARGUMENT`]. Each job comes as one line of JSON on standard input; while the parent
//! lives it keeps that pipe open, so that its end, even by SIGKILL, is seen as the end of the input. What becomes of the command
//! is told as one line of JSON, [`Told`], on standard output. The command itself gets neither of these pipes: it reads what
//! the job holds for it, if anything, and prints to what is standard error here.
//!
//! Supervisor and command share a process group that is named after the supervisor. So the parent, too, can end the command at
//! any moment, and as long as it has not reaped the supervisor the name means this group and no other.
//!
//! No command shares a group with what another one left behind: whatever it has started that is still there when it has ended
//! is a child of the supervisor then (who is a reaper, see prctl(2)), and a supervisor that has any ends, and says so. The next
//! command gets a new one. So does one that runs as another user, for there is no way back.

mod start;

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal, killpg},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpgrp, getpid, setpgid},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    io::{self, BufRead, Read, StdinLock, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::{Child, ExitCode, ExitStatus},
    time::{Duration, Instant},
};
use zeroize::{Zeroize, Zeroizing};

/// The first argument that makes the program a supervisor.
pub const ARGUMENT: &str = "__supervise";

/// Between SIGTERM and SIGKILL when the time limit has passed.
const GRACE: Duration = Duration::from_secs(2);
/// That a command has ended is told by a signal, and looked for so often besides.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What to run: [`env::Command`](super::Command), as it goes through the pipe.
#[derive(Serialize, Deserialize)]
pub(super) struct Job {
    pub argv: Vec<String>,
    pub vars: Vec<(String, String)>,
    /// For its standard input.
    #[serde(default)]
    pub input: String,
    /// Login name (may be empty), uid, gid.
    pub user: Option<(String, u32, u32)>,
    pub limit: Duration,
}

impl Drop for Job {
    /// The next command has nothing to do with the secrets of this one.
    fn drop(&mut self) {
        self.vars.iter_mut().for_each(|(_, value)| value.zeroize());
        self.input.zeroize();
    }
}

/// How the command ended.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    Exited(i32),
    Signalled(i32),
    TimedOut,
    NotStarted(String),
}

/// What the supervisor says after a command.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    pub report: Report,
    /// It takes no further job: the command may have left something behind.
    pub last: bool,
}

/// What ends the wait for a command.
enum End {
    Command(Report),
    ParentGone,
    TimeLimit,
}

/// Supervises the commands that the parent describes on standard input. `args` is what follows [`ARGUMENT`]; nothing does.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut input = io::stdin().lock();
    let mut supervisor: Option<Result<Supervisor, String>> = None;
    let strange = args.into_iter().next().is_some();
    loop {
        let mut line = Zeroizing::new(String::new());
        let read = input.read_line(&mut line);
        if supervisor.is_some() && matches!(read, Ok(0)) {
            return ExitCode::SUCCESS;
        }
        let Some(job) = read.ok().filter(|_| !strange).and_then(|_| serde_json::from_str::<Job>(&line).ok()) else {
            tell(Report::NotStarted(format!("`{ARGUMENT}` is for daneroll's own use")), true);
            return ExitCode::from(2);
        };
        let ran = supervisor.get_or_insert_with(Supervisor::new).as_mut().map_err(|why| why.clone());
        let (report, last) =
            ran.and_then(|it| it.run(&job, &mut input)).unwrap_or_else(|why| (Report::NotStarted(why), true));
        tell(report, last);
        if last {
            return ExitCode::SUCCESS;
        }
    }
}

/// Writes a line to the parent. When nobody reads it any more there is nothing to be done.
fn tell(report: Report, last: bool) {
    let mut line = serde_json::to_string(&Told { report, last }).unwrap_or_default();
    line.push('\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// The leader of the group.
struct Supervisor {
    /// The signals that came, of which none does anything while a command runs.
    signals: SignalFd,
    /// Does it get to know what a command leaves behind?
    reaps: bool,
}

impl Supervisor {
    fn new() -> Result<Supervisor, String> {
        lead_group().map_err(|errno| format!("it cannot get a process group: {errno}"))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&SigSet::all(), flags);
        let signals = signals.map_err(|errno| format!("signals cannot be heard: {errno}"))?;
        Ok(Supervisor { signals, reaps: prctl::set_child_subreaper(true).is_ok() })
    }

    /// Runs a command: how it ended, and whether it is the last one.
    fn run(&self, job: &Job, input: &mut StdinLock<'_>) -> Result<(Report, bool), String> {
        start::become_user(job)?;
        let mut child = self.start(job)?;
        start::feed(&mut child, &job.input)?;
        let report = match self.watch(&mut child, job.limit, input)? {
            End::Command(report) => report,
            End::ParentGone => return Err(end_all("the parent is gone")),
            End::TimeLimit => {
                kill_group(Signal::SIGTERM);
                let _ = self.watch(&mut child, GRACE, input);
                tell(Report::TimedOut, true);
                // Also after a prompt end: the command's children may have ignored the first signal.
                return Err(end_all("it ran into its time limit"));
            }
        };
        Ok((report, !self.reaps || job.user.is_some() || leaves_something()))
    }

    /// Starts it with no signal blocked, as anybody would.
    fn start(&self, job: &Job) -> Result<Child, String> {
        let cannot = |errno| format!("signals cannot be blocked: {errno}");
        // Those that an earlier command sent to its group must not reach us now.
        self.hush();
        SigSet::empty().thread_set_mask().map_err(cannot)?;
        let started = start::start(job);
        // Signals to the whole group, of which we are one, are for the command. It would inherit the mask, hence only now; one that
        // signals its group in its first millisecond ends us too, which the parent reports as its end by that signal.
        // A thread that feeds it comes after it, for it takes the mask over.
        SigSet::all().thread_set_mask().map_err(cannot)?;
        started
    }

    /// Forgets the signals that came.
    fn hush(&self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
    }

    /// Returns when the command or the parent has ended, or the time limit has passed.
    fn watch(&self, command: &mut Child, limit: Duration, input: &mut StdinLock<'_>) -> Result<End, String> {
        let began = Instant::now();
        loop {
            if let Some(status) = command.try_wait().map_err(|error| format!("lost sight of it: {error}"))? {
                return Ok(End::Command(report(status)));
            }
            let left = limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(End::TimeLimit);
            }
            // Rounded up, or the last millisecond would be spent asking.
            let left = left.min(LOOK_AGAIN) + Duration::from_micros(999);
            let stdin = io::stdin();
            let from_parent = {
                let of = |fd| PollFd::new(fd, PollFlags::POLLIN);
                let mut fds = [of(stdin.as_fd()), of(self.signals.as_fd())];
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                match poll(&mut fds, timeout) {
                    Ok(_) | Err(Errno::EINTR) => fds[0].any().unwrap_or(true),
                    Err(errno) => return Err(format!("it cannot be watched: {errno}")),
                }
            };
            // The parent says nothing more while a command runs.
            if from_parent && !matches!(input.read(&mut [0; 64]), Ok(1..)) {
                return Ok(End::ParentGone);
            }
            self.hush();
        }
    }
}

/// Makes a process group, unless the parent has done so.
fn lead_group() -> nix::Result<()> {
    if getpgrp() == getpid() { Ok(()) } else { setpgid(Pid::from_raw(0), Pid::from_raw(0)) }
}

fn report(status: ExitStatus) -> Report {
    match (status.code(), status.signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        (None, None) => Report::NotStarted(format!("it ended with {status}")),
    }
}

/// Now that the command has ended: is anything there that it started? Whoever lost his parent is a child of ours; the dead among them
/// are buried.
fn leaves_something() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return false,
            Ok(WaitStatus::StillAlive) => return true,
            // Also one that was ended by a signal without a name.
            Ok(_) | Err(Errno::EINTR | Errno::EINVAL) => {}
            Err(_) => return true,
        }
    }
}

fn kill_group(signal: Signal) {
    let own = Pid::from_raw(0);
    // Fails only if the group has no member, and we are one.
    let _ = killpg(own, signal);
}

/// Ends the whole process group, and this process with it.
fn end_all(why: &str) -> String {
    kill_group(Signal::SIGKILL);
    why.to_owned()
}
