//! Runs one external command on behalf of a parent that may be killed at any moment.
//!
//! The program starts itself anew with [`ARGUMENT`] for each command. The job comes as one line of JSON on standard input;
//! while the parent lives it keeps that pipe open, so that its end, even by SIGKILL, is seen as the end of the input. What
//! becomes of the command is told as lines of JSON, one [`Report`] each, on standard output. The command itself gets
//! neither of these pipes: it reads nothing, and prints to what is standard error here.

use super::User;
use nix::{
    sys::{
        signal::{Signal, killpg},
        stat::{Mode, umask},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{AccessFlags, Gid, Pid, Uid, access, getresgid, getresuid, initgroups, setgid, setgroups, setuid},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{CString, OsString},
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
    /// Login name (may be empty), uid, gid.
    pub user: Option<(String, u32, u32)>,
    pub limit: Duration,
}

/// What the supervisor tells; exactly one line other than `Started` comes, and it is the last.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    /// The process id of the command, which is also that of its process group.
    Started(i32),
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
    if let Some((name, uid, gid)) = &job.user {
        let user = User { name: name.clone(), uid: *uid, gid: *gid };
        irrevocably_become(&user).map_err(|why| format!("cannot run as user {}: {why}", label(&user)))?;
    }
    let mut child = start(job)?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|_| "its process id is out of range".to_owned())?);
    tell(&Report::Started(pid.as_raw()));
    let timed_out = watch(pid, job.limit, &events(pid));
    // Only now is the process reaped: until here neither it nor its group can be mistaken for another.
    let status = child.wait().map_err(|error| format!("lost sight of it: {error}"))?;
    Ok(if timed_out { Report::TimedOut } else { report(status) })
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
    let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let streams = output().and_then(|out| Ok((out, output()?)));
    let (out, err) = streams.map_err(|error| format!("its output cannot be captured: {error}"))?;
    Command::new(&program)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(job.vars.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(|error| why_not(&program, &error))
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
fn events(pid: Pid) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    let parent = sender.clone();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while matches!(input.read(&mut [0; 64]), Ok(1..)) {}
        parent.send(Event::ParentGone)
    });
    thread::spawn(move || {
        // WNOWAIT leaves the dead process in place, and with it the name of its group.
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        sender.send(Event::Ended)
    });
    events
}

/// Waits until the command has ended by itself, or ends its whole process group. Tells whether its time was up.
fn watch(group: Pid, limit: Duration, events: &Receiver<Event>) -> bool {
    match events.recv_timeout(limit) {
        Ok(Event::Ended) => return false,
        Ok(Event::ParentGone) | Err(RecvTimeoutError::Disconnected) => {
            kill(group, Signal::SIGKILL);
            return false;
        }
        Err(RecvTimeoutError::Timeout) => {}
    }
    kill(group, Signal::SIGTERM);
    let _ = events.recv_timeout(GRACE);
    // Also after a prompt end: its children may have ignored the first signal.
    kill(group, Signal::SIGKILL);
    true
}

/// The group may have no member left, which is what we want.
fn kill(group: Pid, signal: Signal) {
    let _ = killpg(group, signal);
}
