//! External commands, under a supervisor that takes one after the other (see [`supervise`](crate::env::supervise)).

use crate::env::{
    Command, Ended, Status,
    supervise::{ARGUMENT, Job, Report, Told},
};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::{self, Pid},
};
use std::{
    future::{Future, poll_fn},
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    pin::pin,
    process::{Child, Command as Process, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe::{Receiver, Sender},
    time::{error::Elapsed, timeout},
};

/// How much of the output is kept.
const KEPT: usize = 64 << 10;
/// How much longer than the command's limit the supervisor may take.
const BACKSTOP: Duration = Duration::from_secs(10);
/// The command has ended; a child that it left behind may hold its output open, so this silence counts as the end.
const SILENCE: Duration = Duration::from_millis(100);
/// And a child that never stops printing is listened to no longer than this.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// No pipe holds more than so many buffers of ours.
const MOST_READS: usize = 4096;

/// Runs commands, one at a time.
pub(super) struct Commands {
    /// The program that supervises.
    program: PathBuf,
    /// The supervisor that waits for the next one.
    idle: Mutex<Option<Supervisor>>,
}

impl Commands {
    pub(super) fn new(program: PathBuf) -> Commands {
        Commands { program, idle: Mutex::new(None) }
    }

    /// Who supervises.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `command` to its end. Errors: the supervisor could not be started.
    pub(super) async fn run(&self, command: &Command) -> Result<Ended, String> {
        // Who has become another user can become nobody else.
        let idle = if command.user.is_none() { self.take() } else { None };
        let supervisor = match idle.and_then(Supervisor::alive) {
            Some(supervisor) => supervisor,
            None => Supervisor::start(&self.program)?,
        };
        let (ended, supervisor) = supervisor.run(command).await;
        if supervisor.is_some() {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = supervisor;
        }
        Ok(ended)
    }

    /// Nobody waits for a command any more. The next one costs a little more again.
    pub(super) fn rest(&self) {
        if let Some(mut supervisor) = self.take() {
            supervisor.end_group();
            let _ = supervisor.lost();
        }
    }

    fn take(&self) -> Option<Supervisor> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.rest();
    }
}

/// The process that watches over a command, or waits for one.
struct Supervisor {
    child: Child,
    /// Open for as long as we live: its end tells the supervisor that we died.
    lifeline: Sender,
    reports: Receiver,
    output: Receiver,
}

impl Supervisor {
    fn start(program: &Path) -> Result<Supervisor, String> {
        let mut child = Process::new(program)
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at a terminal ends us; the supervisor must outlive us for a moment to end the command.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("the supervisor `{}` cannot be started: {error}", program.display()))?;
        match pipes(&mut child) {
            Ok((lifeline, reports, output)) => Ok(Supervisor { child, lifeline, reports, output }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("no pipes to the supervisor: {error}"))
            }
        }
    }

    /// Itself, unless somebody has ended it.
    fn alive(mut self) -> Option<Supervisor> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    /// Runs a command. The supervisor is there for the next one if this one has left nothing behind.
    async fn run(mut self, command: &Command) -> (Ended, Option<Supervisor>) {
        let mut kept = Vec::new();
        let told = self.follow(command, &mut kept).await;
        let stays = matches!(told, Ok(Some(Told { last: false, .. })));
        let status = match told {
            Ok(Some(Told { report: Report::Exited(code), .. })) => Some(Status::Exited(code)),
            Ok(Some(Told { report: Report::Signalled(signal), .. })) => Some(Status::Signalled(signal)),
            Ok(Some(Told { report: Report::NotStarted(why), .. })) => Some(Status::NotStarted(why)),
            Ok(Some(Told { report: Report::TimedOut, .. })) | Err(_) => Some(Status::TimedOut),
            Ok(None) => None,
        };
        let ended = |status, kept: &[u8]| Ended { status, output: String::from_utf8_lossy(kept).into_owned() };
        match status {
            Some(status @ (Status::Exited(_) | Status::Signalled(_))) => {
                if stays && self.empties_output(&mut kept) {
                    return (ended(status, &kept), Some(self));
                }
                let _ = timeout(LAST_WORDS, rest(&mut self.output, &mut kept)).await;
                // It has nothing left to do. What the command left behind lives on.
                let _ = self.child.kill();
                let _ = self.child.wait();
                (ended(status, &kept), None)
            }
            status => {
                let _ = timeout(LAST_WORDS, rest(&mut self.output, &mut kept)).await;
                self.end_group();
                let lost = self.lost();
                (ended(status.unwrap_or(lost), &kept), None)
            }
        }
    }

    /// How the command ended, if the supervisor says so, and its output until then.
    async fn follow(&mut self, command: &Command, kept: &mut Vec<u8>) -> Result<Option<Told>, Elapsed> {
        let told = timeout(command.limit.saturating_add(BACKSTOP), async {
            // A supervisor that is gone already shows in its missing report.
            let _ = self.lifeline.write_all(line(command).as_bytes()).await;
            report(&mut self.reports).await
        });
        alongside(told, drain(&mut self.output, kept)).await
    }

    /// Reads what is in the pipe. Nobody is left who writes to it, so the next command has it to itself; else `false`.
    fn empties_output(&self, kept: &mut Vec<u8>) -> bool {
        let mut buffer = [0; 4096];
        for _ in 0..MOST_READS {
            match unistd::read(&self.output, &mut buffer) {
                Ok(length @ 1..) => kept.extend_from_slice(&buffer[..length.min(KEPT - kept.len())]),
                Ok(_) => return false,
                Err(Errno::EAGAIN) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Ends the command and all that it left running. The group has the supervisor's process id for name, which nobody else can
    /// get while the supervisor has not been waited for.
    fn end_group(&self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    /// What became of it, in the place of what it did not say.
    fn lost(&mut self) -> Status {
        match self.child.wait() {
            Ok(ended) => ended.signal().map_or_else(
                || Status::NotStarted(format!("the supervisor ended without a word ({ended})")),
                Status::Signalled,
            ),
            Err(error) => Status::NotStarted(format!("lost sight of the supervisor: {error}")),
        }
    }
}

fn pipes(child: &mut Child) -> io::Result<(Sender, Receiver, Receiver)> {
    let missing = || io::Error::other("missing");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    Ok((
        Sender::from_owned_fd(OwnedFd::from(stdin))?,
        Receiver::from_owned_fd(OwnedFd::from(stdout))?,
        Receiver::from_owned_fd(OwnedFd::from(stderr))?,
    ))
}

/// The command as the supervisor reads it. It goes through a pipe, since arguments and environment can be seen by others.
fn line(command: &Command) -> String {
    let Command { argv, vars, input, user, limit } = command.clone();
    let user = user.map(|user| (user.name, user.uid, user.gid));
    // Strings and numbers can always be written; an empty line would be refused by the supervisor.
    let line = serde_json::to_string(&Job { argv, vars, input, user, limit }).unwrap_or_default();
    line + "\n"
}

/// The supervisor's report; `None` if it never comes.
async fn report(reports: &mut Receiver) -> Option<Told> {
    let mut line = String::new();
    BufReader::new(reports.take(KEPT as u64)).read_line(&mut line).await.ok()?;
    serde_json::from_str(&line).ok()
}

/// Keeps the beginning of the output and throws away the rest, so that the command never waits for us.
async fn drain(output: &mut Receiver, kept: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..length.min(KEPT - kept.len())]);
    }
}

/// Reads what is in the pipe now that the command has ended.
async fn rest(output: &mut Receiver, kept: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) = timeout(SILENCE, output.read(&mut buffer)).await {
        kept.extend_from_slice(&buffer[..length.min(KEPT - kept.len())]);
    }
}

/// The outcome of `work`, with `other` going on meanwhile for as long as it has something to do.
async fn alongside<T>(work: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let (mut work, mut other) = (pin!(work), pin!(other));
    let mut other_is_done = false;
    poll_fn(|context| {
        other_is_done = other_is_done || other.as_mut().poll(context).is_ready();
        work.as_mut().poll(context)
    })
    .await
}
