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
    os::{fd::OwnedFd, unix::process::CommandExt},
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

/// Runs `command` to its end. Errors: the supervisor could not be started, or ended before it started the command.
pub(super) async fn run(supervisor: &Path, command: &Command) -> Result<Ended, String> {
    let mut child = start(supervisor)?;
    let ended = match Pipes::of(&mut child) {
        Ok(pipes) => pipes.follow(command).await,
        Err(error) => Err(format!("no pipes to the supervisor: {error}")),
    };
    // It ends by itself after its last report; after the backstop or without pipes it may not.
    if !matches!(ended, Ok((_, true))) {
        let _ = child.kill();
    }
    let status = child.wait();
    match (ended, status) {
        (Ok((ended, _)), _) => Ok(ended),
        (Err(why), Ok(status)) => Err(format!("{why} ({status})")),
        (Err(why), Err(_)) => Err(why),
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

    /// How the command ended, and whether the supervisor said so itself.
    async fn follow(self, command: &Command) -> Result<(Ended, bool), String> {
        let Pipes { mut lifeline, reports, mut output } = self;
        let job = line(command)?;
        let (mut started, mut kept) = (None, Vec::new());
        let told = timeout(command.limit.saturating_add(BACKSTOP), async {
            // A supervisor that is gone already shows in its missing report.
            let _ = lifeline.write_all(job.as_bytes()).await;
            last_report(reports, &mut started).await
        });
        let told = alongside(told, drain(&mut output, &mut kept)).await;
        let orderly = matches!(told, Ok(Some(_)));
        if let (Some(group), false) = (started, orderly) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let status = match told {
            Ok(Some(Report::Exited(code))) => Status::Exited(code),
            Ok(Some(Report::Signalled(signal))) => Status::Signalled(signal),
            Ok(Some(Report::NotStarted(why))) => Status::NotStarted(why),
            Ok(Some(Report::TimedOut | Report::Started(_))) | Err(_) => Status::TimedOut,
            Ok(None) if started.is_some() => Status::Signalled(Signal::SIGKILL as i32),
            Ok(None) => return Err("the supervisor ended without a word".to_owned()),
        };
        let _ = timeout(LAST_WORDS, rest(&mut output, &mut kept)).await;
        Ok((Ended { status, output: String::from_utf8_lossy(&kept).into_owned() }, orderly))
    }
}

/// The command as the supervisor reads it. It goes through a pipe, since arguments and environment can be seen by others.
fn line(command: &Command) -> Result<String, String> {
    let Command { argv, vars, user, limit } = command.clone();
    let user = user.map(|user| (user.name, user.uid, user.gid));
    let mut line = serde_json::to_string(&Job { argv, vars, user, limit }).map_err(|error| error.to_string())?;
    line.push('\n');
    Ok(line)
}

/// Reads until the report that tells how the command ended; `None` if it never comes.
async fn last_report(reports: Receiver, started: &mut Option<i32>) -> Option<Report> {
    let mut lines = BufReader::new(reports.take(KEPT as u64)).lines();
    loop {
        match serde_json::from_str(&lines.next_line().await.ok()??).ok()? {
            Report::Started(group) => *started = Some(group),
            last => return Some(last),
        }
    }
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
