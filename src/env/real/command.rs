//! External commands, each under a supervisor of its own (see [`supervise`](crate::env::supervise)).

use crate::env::{
    Command, Ended, Status,
    supervise::{ARGUMENT, Job, Report},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    future::{Future, poll_fn},
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    pin::pin,
    process::{Child, Command as Process, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe::{Receiver, Sender},
    time::timeout,
};

/// How much of the output is kept.
const KEPT: usize = 64 << 10;
/// How much longer than the command's limit the supervisor may take.
const BACKSTOP: Duration = Duration::from_secs(10);
/// The command has ended; a child that it left behind may hold its output open, so this silence counts as the end.
const SILENCE: Duration = Duration::from_millis(100);
/// And a child that never stops printing is listened to no longer than this.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs `command` to its end. Errors: the supervisor could not be started.
pub(super) async fn run(supervisor: &Path, command: &Command) -> Result<Ended, String> {
    let mut child = start(supervisor)?;
    let (status, output) = match Pipes::of(&mut child) {
        Ok(pipes) => pipes.follow(command).await,
        Err(error) => (Some(Status::NotStarted(format!("no pipes to the supervisor: {error}"))), String::new()),
    };
    if !matches!(status, Some(Status::Exited(_) | Status::Signalled(_))) {
        end_group(&child);
    }
    let supervisor = child.wait();
    let status = status.unwrap_or_else(|| match supervisor {
        Ok(ended) => ended.signal().map_or_else(
            || Status::NotStarted(format!("the supervisor ended without a word ({ended})")),
            Status::Signalled,
        ),
        Err(error) => Status::NotStarted(format!("lost sight of the supervisor: {error}")),
    });
    Ok(Ended { status, output })
}

/// Ends the command and all that it left running. The group has the supervisor's process id for name, which nobody else can
/// get while the supervisor has not been waited for.
fn end_group(supervisor: &Child) {
    if let Ok(group) = i32::try_from(supervisor.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

fn start(supervisor: &Path) -> Result<Child, String> {
    Process::new(supervisor)
        .arg(ARGUMENT)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C at a terminal ends us; the supervisor must outlive us for a moment to end the command.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("the supervisor `{}` cannot be started: {error}", supervisor.display()))
}

struct Pipes {
    /// Open for as long as we live: its end tells the supervisor that we died.
    lifeline: Sender,
    reports: Receiver,
    output: Receiver,
}

impl Pipes {
    fn of(child: &mut Child) -> io::Result<Pipes> {
        let missing = || io::Error::other("missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        Ok(Pipes {
            lifeline: Sender::from_owned_fd(OwnedFd::from(stdin))?,
            reports: Receiver::from_owned_fd(OwnedFd::from(stdout))?,
            output: Receiver::from_owned_fd(OwnedFd::from(stderr))?,
        })
    }

    /// How the command ended, if the supervisor says so, and its output.
    async fn follow(self, command: &Command) -> (Option<Status>, String) {
        let Pipes { mut lifeline, reports, mut output } = self;
        let mut kept = Vec::new();
        let told = timeout(command.limit.saturating_add(BACKSTOP), async {
            // A supervisor that is gone already shows in its missing report.
            let _ = lifeline.write_all(line(command).as_bytes()).await;
            report(reports).await
        });
        let status = match alongside(told, drain(&mut output, &mut kept)).await {
            Ok(Some(Report::Exited(code))) => Some(Status::Exited(code)),
            Ok(Some(Report::Signalled(signal))) => Some(Status::Signalled(signal)),
            Ok(Some(Report::NotStarted(why))) => Some(Status::NotStarted(why)),
            Ok(Some(Report::TimedOut)) | Err(_) => Some(Status::TimedOut),
            Ok(None) => None,
        };
        let _ = timeout(LAST_WORDS, rest(&mut output, &mut kept)).await;
        (status, String::from_utf8_lossy(&kept).into_owned())
    }
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
async fn report(reports: Receiver) -> Option<Report> {
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
