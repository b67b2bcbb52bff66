//! strace: which calls a program makes, and how one of them goes wrong.
//!
//! `when=N` counts the calls of one name in one process. The program itself has a single thread and is traced without `-f`, so the
//! N-th call is the N-th of that process and of nobody else; with `-f` a child would count for itself, and could be hit too.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// A call that a process made.
#[derive(Clone, Debug)]
pub struct Call {
    /// `openat`.
    pub name: String,
    /// It was the process's so-manieth of that name.
    pub nth: usize,
    /// The line: arguments and result; file descriptors with their paths.
    pub text: String,
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL instead of it.
    Kill,
    /// This error instead of it.
    Error(&'static str),
}

/// Calls by which something outside of the process changes, is sent, started, locked or signalled.
const CHANGES: [&str; 46] = [
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "syncfs",
    "truncate",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "flock",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "connect",
    "shutdown",
    "clone",
    "clone3",
    "fork",
    "vfork",
    "kill",
    "tgkill",
    "copy_file_range",
    "utimensat",
];

/// Calls that look at files, beside `openat`.
const LOOKS: [&str; 14] = [
    "read",
    "pread64",
    "readv",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "readlink",
    "readlinkat",
    "getdents64",
    "lseek",
    "access",
    "faccessat2",
];

impl Call {
    /// Does it change, send, lock, start or signal anything?
    pub fn changes(&self) -> bool {
        let locks = self.name == "fcntl" && self.text.contains("LK");
        // Wakes only itself.
        let counter = self.text.contains("anon_inode");
        (CHANGES.contains(&self.name.as_str()) && !counter) || locks || self.creates()
    }

    /// Does it open a file to write?
    pub fn creates(&self) -> bool {
        self.name.starts_with("open") && self.text.contains("O_CREAT")
    }

    /// Is it about a file, one of those below `dir`?
    pub fn is_about_files(&self, dir: &Path) -> bool {
        let name = self.name.as_str();
        let file = name.starts_with("open") || LOOKS.contains(&name) || self.changes();
        let pipe = self.text.contains("<pipe:") || self.text.contains("<UNIX");
        file && !pipe && self.text.contains(dir.to_str().unwrap())
    }
}

/// Is strace there, and may it trace?
pub fn is_possible() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "-e", "trace=none", "/bin/true"]).output();
    traced.is_ok_and(|output| output.status.success())
}

/// `command`, every call of which, and of its children, is written to `to`.
pub fn recording(command: &Command, to: &Path) -> Command {
    under(command, to, &["-f".into(), "-y".into(), "-s".into(), "300".into()])
}

/// `command` with one call hurt; the lines of its name are written to `to`.
pub fn hurting(command: &Command, to: &Path, call: &Call, fault: Fault) -> Command {
    under(command, to, &options(call, fault))
}

/// For a process that is there already.
pub fn attaching(pid: i32, to: &Path, call: &Call, fault: Fault) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-p", &pid.to_string(), "-o"]).arg(to).args(options(call, fault));
    strace
}

/// `command`, which is held up for so many microseconds at its so-manieth `write` and at those around it.
pub fn holding(command: &Command, to: &Path, write: usize, hold: u32) -> Command {
    let inject = format!("inject=write:delay_enter={hold}:when={}..{}", write.saturating_sub(1).max(1), write + 1);
    under(command, to, &["-e".into(), "trace=write".into(), "-e".into(), inject])
}

fn options(Call { name, nth, .. }: &Call, fault: Fault) -> [String; 5] {
    let how = match fault {
        Fault::Kill => "signal=KILL".into(),
        Fault::Error(errno) => format!("error={errno}"),
    };
    let inject = format!("inject={name}:{how}:when={nth}");
    ["-y".into(), "-e".into(), format!("trace={name}"), "-e".into(), inject]
}

/// What hangs is ended: it must not hang the tests.
fn under(command: &Command, to: &Path, options: &[String]) -> Command {
    let mut strace = Command::new("timeout");
    strace.args(["--signal=KILL", "20", "strace", "-qq", "-o"]).arg(to).args(options);
    strace.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
    strace.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            strace.env(name, value);
        }
    }
    strace
}

/// The calls of each process, the first one's first.
pub fn read(trace: &Path) -> Vec<Vec<Call>> {
    let mut processes: Vec<(String, Vec<Call>, BTreeMap<String, usize>)> = Vec::new();
    for line in fs::read_to_string(trace).unwrap().lines() {
        let Some((pid, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        let name = text.split('(').next().unwrap_or_default();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            // The other half of a call, a signal, the end.
            continue;
        }
        let at = processes.iter().position(|(known, ..)| known == pid).unwrap_or_else(|| {
            processes.push((pid.into(), Vec::new(), BTreeMap::new()));
            processes.len() - 1
        });
        let (_, calls, counts) = &mut processes[at];
        let nth = counts.entry(name.into()).or_insert(0);
        *nth += 1;
        calls.push(Call { name: name.into(), nth: *nth, text: text.into() });
    }
    processes.into_iter().map(|(_, calls, _)| calls).collect()
}

/// The call that was hurt, if one was.
pub fn hit(trace: &Path, fault: Fault) -> Option<Call> {
    let text = fs::read_to_string(trace).unwrap_or_default();
    let mut lines = text.lines().rev();
    let line = match fault {
        Fault::Kill => text.contains("+++ killed by SIGKILL +++").then(|| lines.nth(1).unwrap_or_default()),
        Fault::Error(_) => lines.find(|line| line.contains("(INJECTED)")),
    }?;
    let name = line.split('(').next().unwrap_or_default();
    Some(Call { name: name.into(), nth: 0, text: line.into() })
}
