//! A network namespace with a temporary directory: whatever is started in it is stopped when it is dropped, also after
//! a panic, and what a killed test run left behind is removed by the next one.

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const PREFIX: &str = "daneroll-test";

/// The namespace, its directory, and the servers that run in it.
pub struct Namespace {
    name: String,
    dir: PathBuf,
    servers: Mutex<Vec<Child>>,
}

impl Namespace {
    /// A new one with these loopback addresses beside 127.0.0.1; `resolver` goes into its `resolv.conf`.
    pub fn new(addresses: &[&str], resolver: &str) -> io::Result<Namespace> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        let begun = start_time(pid).ok_or_else(|| io::Error::other("this process is not in /proc"))?;
        let name = format!("{PREFIX}-{pid}-{begun}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace { dir: std::env::temp_dir().join(&name), name, servers: Mutex::default() };
        fs::create_dir(&namespace.dir)?;
        // `ip netns exec` puts the files of this directory over those of /etc.
        fs::create_dir_all(namespace.etc())?;
        fs::write(namespace.etc().join("resolv.conf"), format!("nameserver {resolver}\n"))?;
        must(Command::new("ip").args(["netns", "add", &namespace.name]))?;
        must(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        for address in addresses {
            // All of 127/8 works without, but BIND listens only on addresses that an interface carries.
            must(namespace.command("ip").args(["address", "add", &format!("{address}/32"), "dev", "lo"]))?;
        }
        Ok(namespace)
    }

    /// Where everything of this namespace is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).stdin(Stdio::null());
        command
    }

    /// Starts a server inside, with its output in `LABEL.log`. It dies with the thread that started it.
    pub fn serve(&self, label: &str, argv: &[&str], vars: &[(&str, &str)]) -> io::Result<()> {
        let log = fs::File::create(self.dir.join(format!("{label}.log")))?;
        let mut command = self.command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(argv).envs(vars.iter().copied());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        self.servers.lock().unwrap().push(child);
        Ok(())
    }

    /// Moves the calling thread inside, for sockets of our own.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(fs::File::open(format!("/run/netns/{}", self.name))?, CloneFlags::CLONE_NEWNET)?)
    }

    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
        for child in self.servers.lock().unwrap().iter_mut() {
            let _ = child.wait();
        }
    }
}

/// Removes the namespaces and directories of earlier test processes that ended without doing so.
pub fn sweep() {
    let mut names = Vec::new();
    for dir in [Path::new("/run/netns"), Path::new("/etc/netns"), &std::env::temp_dir()] {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        names.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()));
    }
    names.sort();
    names.dedup();
    names.iter().filter(|name| orphaned(name)).for_each(|name| remove(name));
}

/// Is this a name of ours, of a test process that is no more? A pid may be in use again: the start time tells.
fn orphaned(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let numbers: Vec<u64> = rest.split('-').map_while(|number| number.parse().ok()).collect();
    let &[pid, begun, _] = numbers.as_slice() else { return false };
    u32::try_from(pid).is_ok_and(|pid| start_time(pid) != Some(begun))
}

/// Kills what runs in the namespace, removes it and its directories.
fn remove(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let pids = pids(name);
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
    let _ = fs::remove_dir_all(Path::new("/etc/netns").join(name));
    let _ = fs::remove_dir_all(std::env::temp_dir().join(name));
}

/// The processes in a namespace that still run.
fn pids(name: &str) -> Vec<i32> {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).stderr(Stdio::null()).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Does this process still run? One that only waits for its parent's attention does not.
pub fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

/// When a process began, in clock ticks since boot: field 22 of its `stat`, counted after the name in parentheses.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Runs a command to its end; anything but success is an error that holds what it printed.
pub fn must(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}\n{said}", output.status)));
    }
    Ok(said)
}
