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
    /// None if this process is in it already.
    name: Option<String>,
    dir: PathBuf,
    servers: Mutex<Vec<(String, Child)>>,
}

impl Namespace {
    /// A new one with these loopback addresses beside 127.0.0.1; `resolver` goes into its `resolv.conf`.
    pub fn new(addresses: &[&str], resolver: &str) -> io::Result<Namespace> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        let begun = start_time(pid).ok_or_else(|| io::Error::other("this process is not in /proc"))?;
        let name = format!("{PREFIX}-{pid}-{begun}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        // `ip netns exec` puts the files of this directory over those of /etc.
        let etc = etc(&name);
        let dir = std::env::temp_dir().join(&name);
        let namespace = Namespace { dir, name: Some(name.clone()), servers: Mutex::default() };
        fs::create_dir(&namespace.dir)?;
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("resolv.conf"), format!("nameserver {resolver}\n"))?;
        must(Command::new("ip").args(["netns", "add", &name]))?;
        namespace.bring_up(addresses)?;
        Ok(namespace)
    }

    /// The one that this process is in already, with this directory. Who made it sees to its end.
    pub fn around(dir: &Path, addresses: &[&str]) -> io::Result<Namespace> {
        let namespace = Namespace { name: None, dir: dir.to_owned(), servers: Mutex::default() };
        namespace.bring_up(addresses)?;
        Ok(namespace)
    }

    fn bring_up(&self, addresses: &[&str]) -> io::Result<()> {
        must(self.command("ip").args(["link", "set", "lo", "up"]))?;
        for address in addresses {
            // All of 127/8 works without, but BIND listens only on addresses that an interface carries.
            must(self.command("ip").args(["address", "add", &format!("{address}/32"), "dev", "lo"]))?;
        }
        Ok(())
    }

    /// Where everything of this namespace is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(if self.name.is_some() { "ip" } else { program });
        if let Some(name) = &self.name {
            command.args(["netns", "exec", name, program]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts a server inside, with its output in `LABEL.log`. In a namespace that we made it dies with the thread that
    /// started it.
    pub fn serve(&self, label: &str, argv: &[&str], vars: &[(&str, &str)]) -> io::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join(format!("{label}.log")))?;
        let signal = if self.name.is_some() { "KILL" } else { "keep" };
        let mut command = self.command("setpriv");
        command.args(["--pdeathsig", signal, "--"]).args(argv).envs(vars.iter().copied());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        self.servers.lock().unwrap().push((label.to_owned(), child));
        Ok(())
    }

    /// Sends a signal to a server; after the one that ends it, this waits for the end.
    pub fn signal(&self, label: &str, signal: Signal) -> io::Result<()> {
        let mut servers = self.servers.lock().unwrap();
        let place = servers.iter().rposition(|(name, _)| name == label);
        let place = place.ok_or_else(|| io::Error::other(format!("{label} was not started")))?;
        kill(Pid::from_raw(servers[place].1.id() as i32), signal)?;
        if signal == Signal::SIGKILL {
            servers.remove(place).1.wait()?;
        }
        Ok(())
    }

    /// Moves the calling thread inside, for sockets of our own.
    pub fn enter(&self) -> io::Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        Ok(setns(fs::File::open(format!("/run/netns/{name}"))?, CloneFlags::CLONE_NEWNET)?)
    }
}

fn etc(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        remove(name);
        for (_, child) in self.servers.lock().unwrap().iter_mut() {
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
    let _ = fs::remove_dir_all(etc(name));
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
