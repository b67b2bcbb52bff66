//! Starts the command of a job: as which user, which program, with what.

use super::{
    super::{User, real::stat_of},
    Job,
};
use crate::trust::{self, Use};
use nix::{
    sys::stat::{Mode, umask},
    unistd::{
        AccessFlags, Gid, Uid, access, getegid, geteuid, getresgid, getresuid, initgroups, setgid, setgroups, setuid,
    },
};
use std::{
    ffi::CString,
    fs,
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};
use zeroize::Zeroizing;

/// Takes on the job's user, if it has one.
pub(super) fn become_user(job: &Job) -> Result<(), String> {
    let Some((name, uid, gid)) = &job.user else { return Ok(()) };
    let user = User { name: name.clone(), uid: *uid, gid: *gid };
    irrevocably_become(&user).map_err(|why| format!("cannot run as user {}: {why}", label(&user)))
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

/// Starts it; its standard input, if there is something for it, is yet to be written.
pub(super) fn start(job: &Job) -> Result<Child, String> {
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
pub(super) fn feed(child: &mut Child, input: &str) -> Result<(), String> {
    let Some(mut pipe) = child.stdin.take() else { return Ok(()) };
    let input = Zeroizing::new(input.to_owned());
    let started = thread::Builder::new().spawn(move || drop(pipe.write_all(input.as_bytes())));
    started.map(drop).map_err(|error| format!("nobody can write to its standard input: {error}"))
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
