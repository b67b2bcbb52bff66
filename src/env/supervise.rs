//! Runs one external command on behalf of a parent that may be killed at any moment.
//!
//! The program starts itself anew with [`ARGUMENT`] for each command. The job comes as one line of JSON on standard input;
//! while the parent lives it keeps that pipe open, so that its end, even by SIGKILL, is seen as the end of the input. What
//! becomes of the command is told as one line of JSON, a [`Report`], on standard output. The command itself gets neither of
//! these pipes: it reads what the job holds for it, if anything, and prints to what is standard error here.
//!
//! Supervisor and command share a process group that is named after the supervisor. So the parent, too, can end the command at
//! any moment, and as long as it has not reaped the supervisor the name means this group and no other.

use super::{User, real::stat_of};
use crate::trust::{self, Use};
use nix::{
    sys::{
        signal::{SigSet, Signal, killpg},
        stat::{Mode, umask},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{
        AccessFlags, Gid, Pid, Uid, access, getegid, geteuid, getpgrp, getpid, getresgid, getresuid, initgroups,
        setgid, setgroups, setpgid, setuid,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{CString, OsString},
    fs,
    io::{self, BufRead, Read, Write},
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

/// The first argument that makes the program a supervisor.
pub const ARGUMENT: &str = "__supervise";

/// Between SIGTERM and SIGKILL when the time limit has passed.
const GRACE: Duration = Duration::from_secs(2);

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

/// How the command ended.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    Exited(i32),
    Signalled(i32),
    TimedOut,
    NotStarted(String),
}

enum Event {
    Ended,
    ParentGone,
}

/// Supervises the command that the parent describes on standard input. `args` is what follows [`ARGUMENT`]; nothing does.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut line = String::new();
    let job = io::stdin().lock().read_line(&mut line).ok().and_then(|_| serde_json::from_str::<Job>(&line).ok());
    let Some(job) = job.filter(|_| args.into_iter().next().is_none()) else {
        tell(&Report::NotStarted(format!("`{ARGUMENT}` is for daneroll's own use")));
        return ExitCode::from(2);
    };
    let ended = supervise(&job).unwrap_or_else(Report::NotStarted);
    tell(&ended);
    ExitCode::SUCCESS
}

/// Writes a line to the parent. When nobody reads it any more there is nothing to be done.
fn tell(report: &Report) {
    let mut line = serde_json::to_string(report).unwrap_or_default();
    line.push('\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn supervise(job: &Job) -> Result<Report, String> {
    lead_group().map_err(|errno| format!("it cannot get a process group: {errno}"))?;
    if let Some((name, uid, gid)) = &job.user {
        let user = User { name: name.clone(), uid: *uid, gid: *gid };
        irrevocably_become(&user).map_err(|why| format!("cannot run as user {}: {why}", label(&user)))?;
    }
    let mut child = start(job)?;
    // Signals to the whole group, of which we are one, are for the command. It would inherit the mask, hence only now; one that
    // signals its group in its first millisecond ends us too, which the parent reports as its end by that signal.
    // All threads come after it, for they take the mask over.
    SigSet::all().thread_block().map_err(|errno| format!("signals cannot be blocked: {errno}"))?;
    feed(&mut child, job.input.clone())?;
    watch(job.limit, &events(&child)?);
    let status = child.wait().map_err(|error| format!("lost sight of it: {error}"))?;
    Ok(report(status))
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

fn label(user: &User) -> String {
    if user.name.is_empty() { user.uid.to_string() } else { user.name.clone() }
}

/// Takes on the user's groups, gid and uid for good, and makes sure that there is no way back.
fn irrevocably_become(user: &User) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    umask(Mode::from_bits_truncate(0o027));
    let become_user = || {
        match CString::new(user.name.as_str()) {
            Ok(name) if !user.name.is_empty() => initgroups(&name, gid)?,
            _ => setgroups(&[gid])?,
        }
        setgid(gid)?;
        setuid(uid)
    };
    become_user().map_err(|errno| format!("{errno} (daneroll must run as root for `uid:`)"))?;
    let uids = getresuid().map_err(|errno| errno.to_string())?;
    let gids = getresgid().map_err(|errno| errno.to_string())?;
    let all_changed = [uids.real, uids.effective, uids.saved] == [uid; 3]
        && [gids.real, gids.effective, gids.saved] == [gid; 3]
        && (uid.is_root() || setuid(Uid::from_raw(0)).is_err());
    all_changed.then_some(()).ok_or_else(|| "the change of user did not take effect".to_owned())
}

fn start(job: &Job) -> Result<Child, String> {
    let Some((name, arguments)) = job.argv.split_first() else {
        return Err("no command is given".to_owned());
    };
    let program = look_up(name, &job.vars)?;
    is_trusted(&program)?;
    let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let streams = output().and_then(|out| Ok((out, output()?)));
    let (out, err) = streams.map_err(|error| format!("its output cannot be captured: {error}"))?;
    Command::new(&program)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(job.vars.iter().map(|(key, value)| (key, value)))
        .stdin(if job.input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|error| why_not(&program, &error))
}

/// Writes to the command's standard input, and closes it. One that reads nothing loses nothing but that.
fn feed(child: &mut Child, input: String) -> Result<(), String> {
    match child.stdin.take() {
        None => Ok(()),
        Some(mut pipe) => look_out(move || drop(pipe.write_all(input.as_bytes()))),
    }
}

/// Finds the program as execvp(3) would, but in the `PATH` that the program itself gets.
fn look_up(name: &str, vars: &[(String, String)]) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = vars.iter().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value.as_str());
    let found = |dir: &str| Path::new(dir).join(name);
    let runs = |file: &PathBuf| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    let mut places = path.split(':').filter(|dir| !dir.is_empty()).map(found);
    places.find(runs).ok_or_else(|| match path.split(':').map(found).find(|file| file.is_file()) {
        Some(file) => format!("`{}` is not executable (chmod +x)", file.display()),
        None => format!("there is no program `{name}` in PATH ({path})"),
    })
}

/// Nobody may have written it but root and the user that runs it; else whoever did would get that user's rights.
fn is_trusted(program: &Path) -> Result<(), String> {
    // What is missing or no file is told when it cannot be started.
    let Ok(stat) = fs::metadata(program) else { return Ok(()) };
    if !stat.is_file() {
        return Ok(());
    }
    let us = (geteuid().as_raw(), getegid().as_raw());
    let at = |path: &Path| fs::metadata(path).ok().map(|stat| stat_of(&stat));
    let judged = trust::file(Use::Program, program, &stat_of(&stat), us);
    judged.and_then(|()| trust::above(program, at)).map_err(|broken| match broken.hint {
        Some(hint) => format!("{}: {hint}", broken.message),
        None => broken.message,
    })
}

fn why_not(program: &Path, error: &io::Error) -> String {
    let shown = program.display();
    match error.kind() {
        io::ErrorKind::NotFound if program.exists() => format!("the interpreter that `{shown}` names (#!) is missing"),
        io::ErrorKind::NotFound => format!("`{shown}` does not exist"),
        io::ErrorKind::PermissionDenied if program.is_dir() => format!("`{shown}` is a directory"),
        io::ErrorKind::PermissionDenied => format!("`{shown}` is not executable (chmod +x, also for its directories)"),
        _ if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => {
            format!("`{shown}` is neither a program nor a script that begins with #!")
        }
        _ => format!("`{shown}`: {error}"),
    }
}

/// Reports the end of the command and the end of the parent, whichever come.
fn events(child: &Child) -> Result<Receiver<Event>, String> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|_| "its process id is out of range".to_owned())?);
    let (sender, events) = mpsc::channel();
    let parent = sender.clone();
    look_out(move || {
        let mut input = io::stdin().lock();
        while matches!(input.read(&mut [0; 64]), Ok(1..)) {}
        let _ = parent.send(Event::ParentGone);
    })?;
    look_out(move || {
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let _ = sender.send(Event::Ended);
    })?;
    Ok(events)
}

/// A thread of its own. Where there can be none the command cannot be watched, and the parent ends it.
fn look_out(work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = thread::Builder::new().spawn(work);
    started.map(drop).map_err(|error| format!("it cannot be watched: {error}"))
}

/// Returns when the command has ended by itself; else ends the whole process group, and this process with it.
fn watch(limit: Duration, events: &Receiver<Event>) {
    match events.recv_timeout(limit) {
        Ok(Event::Ended) => return,
        Ok(Event::ParentGone) | Err(RecvTimeoutError::Disconnected) => {}
        Err(RecvTimeoutError::Timeout) => {
            kill_group(Signal::SIGTERM);
            let _ = events.recv_timeout(GRACE);
            tell(&Report::TimedOut);
        }
    }
    // Also after a prompt end: the command's children may have ignored the first signal.
    kill_group(Signal::SIGKILL);
}

fn kill_group(signal: Signal) {
    let own = Pid::from_raw(0);
    // Fails only if the group has no member, and we are one.
    let _ = killpg(own, signal);
}
