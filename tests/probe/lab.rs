//! A network namespace for one real server, on its usual ports.

use crate::{
    namespace::{self, Namespace, must},
    see,
};
use daneroll::{env::Visited, probe::Protocol};
use nix::unistd::{Uid, User, chown, geteuid};
use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

/// The namespace, and what is in it.
pub struct Lab {
    namespace: Namespace,
}

impl Lab {
    /// `None` if this machine lacks something; then the test is skipped, and says why. With `CI=true` that is a failure.
    pub fn start(test: &str, programs: &[&str]) -> Option<Lab> {
        static SWEPT: Once = Once::new();
        if let Err(why) = prerequisites(programs) {
            skip(test, &why);
            return None;
        }
        SWEPT.call_once(namespace::sweep);
        let namespace = Namespace::new(&[], "127.0.0.1").unwrap();
        Some(Lab { namespace })
    }

    /// Does this among the servers: on a thread of its own, since what a thread starts later belongs where it is.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let visitor = || {
            self.namespace.enter().unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(visitor).join().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.namespace.dir().join(name)
    }

    /// Writes a file; `@DIR@` in it is the directory of the laboratory.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text.replace("@DIR@", self.namespace.dir().to_str().unwrap())).unwrap();
    }

    /// Writes a file that nobody but this user can read.
    pub fn write_for(&self, user: &str, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        self.give(user, name);
    }

    /// A directory of that user's.
    pub fn make_dir(&self, user: &str, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
        self.give(user, name);
    }

    pub fn give(&self, user: &str, name: &str) {
        chown(&self.path(name), Some(uid(user)), None).unwrap();
    }

    /// Starts a server; in a command, too, `@DIR@` is the directory, and `@SPACE@` a space within a word.
    pub fn serve(&self, label: &str, command: &str) {
        let words = self.words(command);
        self.namespace.serve(label, &words.iter().map(String::as_str).collect::<Vec<_>>(), &[]).unwrap();
    }

    /// Runs a command to its end, which must be a good one.
    pub fn run(&self, command: &str) -> String {
        self.try_to_run(command).unwrap()
    }

    /// The same, but it may fail.
    pub fn try_to_run(&self, command: &str) -> io::Result<String> {
        let words = self.words(command);
        must(self.namespace.command(&words[0]).args(&words[1..]))
    }

    fn words(&self, command: &str) -> Vec<String> {
        let dir = self.namespace.dir().to_str().unwrap();
        command.split(' ').map(|word| word.replace("@DIR@", dir).replace("@SPACE@", " ")).collect()
    }

    /// A connection to a server that may still be starting.
    pub fn connect(&self, port: u16) -> TcpStream {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.inside(|| TcpStream::connect(address(port))) {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}\n{}", self.logs()),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn see(&self, protocol: Protocol, port: u16) -> Visited {
        self.inside(|| see::one(protocol, address(port)))
    }

    /// What is seen once this is true of it; that must come about within ten seconds, as after a reload.
    pub fn see_until(&self, protocol: Protocol, port: u16, is: impl Fn(&Visited) -> bool) -> Visited {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let seen = self.see(protocol, port);
            if is(&seen) || Instant::now() > deadline {
                return seen;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The end of every log.
    pub fn logs(&self) -> String {
        let files = fs::read_dir(self.namespace.dir()).unwrap().flatten().map(|entry| entry.path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| fs::read_to_string(&path).unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn uid(user: &str) -> Uid {
    User::from_name(user).unwrap().unwrap_or_else(|| panic!("no user {user}")).uid
}

fn prerequisites(programs: &[&str]) -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("needs root, for a network namespace and ports".to_owned());
    }
    let missing: Vec<_> = ["ip", "setpriv"].iter().chain(programs).filter(|name| !is_there(name)).copied().collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {}; tests/install does it", missing.join(" ")));
    }
    let made = Command::new("unshare").args(["-n", "true"]).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("no network namespace can be made here".to_owned());
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]).any(|dir| dir.join(program).is_file())
}

fn skip(test: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true nothing may be skipped: {why}");
    let _ = writeln!(std::io::stderr(), "probe {test}: skipped: {why}");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        // One write, since other tests append at the same time.
        list.write_all(format!("probe test {test}: {why}\n").as_bytes()).unwrap();
    }
}
