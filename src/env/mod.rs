//! The world: everything the program reads from it and does to it goes through [`Env`], so that the same
//! [`run`](crate::run) drives real servers and the simulator of the tests.

mod http;
pub mod real;
pub mod sim;
pub mod supervise;
pub(crate) mod watch;

pub(crate) use http::is_loopback;
pub use http::{HttpRequest, HttpResponse, Lost, Method, Unanswered};

use crate::{name::DnsName, probe::Protocol};
use hickory_resolver::proto::{op::Message, rr::RecordType};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// What the boot clock shows: it never jumps, counts suspended time, and starts anew at each boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Boot {
    /// The kernel's random name for this boot.
    pub id: String,
    /// Milliseconds since it began.
    pub millis: u64,
}

/// One DNS question to one address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Whom to ask, over UDP, and over TCP when the answer is truncated.
    pub server: SocketAddr,
    /// The query name.
    pub name: DnsName,
    /// The query type.
    pub kind: RecordType,
    /// RD: set for a recursive resolver, clear for an authoritative server.
    pub recursion: bool,
    /// CD: a validating resolver is to answer also what does not validate, for we do that ourselves (RFC 4035 section 3.2.2).
    pub checking_disabled: bool,
}

/// What came back: the parsed message, whose id and question fit what was asked, or why there is none.
pub type Answered = Result<Message, String>;

/// One address of a TLS service to look at, in several fresh sessions side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Where to connect.
    pub address: SocketAddr,
    /// SNI: the base domain.
    pub server_name: DnsName,
    /// What it speaks before TLS.
    pub protocol: Protocol,
    /// For all of it, connecting and handshakes.
    pub limit: Duration,
}

/// What a service presented at one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Each different chain that it presented, RSA and ECDSA alike: certificates in DER as they were sent, the leaf first. Its
    /// server has proved that it has the leaf's key; nothing else was verified.
    pub chains: Vec<Vec<Vec<u8>>>,
    /// Why there may be more: what failed in one session at least, in words.
    pub unknown: Option<String>,
}

/// A program to start, without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; the program is looked up in the `PATH` of `vars` unless it has a slash.
    pub argv: Vec<String>,
    /// The whole environment of the child; nothing is inherited.
    pub vars: Vec<(String, String)>,
    /// What it reads from standard input; nothing, not even an open pipe, if empty.
    pub input: String,
    /// Run as this user with all its groups and umask 027.
    pub user: Option<User>,
    /// After this long the whole process group is killed.
    pub limit: Duration,
}

/// A local user whose privileges an external program gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name; empty for a uid without an entry in the password database.
    pub name: String,
    /// Numeric user id.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

/// How a command ended, and what it printed (standard output and error together, cut after 64 KiB).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// What it printed; bytes that are not UTF-8 are replaced.
    pub output: String,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It ran into its time limit, and its process group was killed.
    TimedOut,
    /// It could not be started: why.
    NotStarted(String),
}

/// What kind of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link (only when it was not followed).
    Link,
    /// A socket, a pipe, a device.
    Other,
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// File, directory, link.
    pub kind: Kind,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When the file itself or anything about it was last changed: seconds and nanoseconds of Unix time. A folder's tells of its
    /// entries. `None` in worlds that keep no such times.
    pub changed: Option<(i64, i64)>,
    /// What tells a file's bytes from all others, if that can be told without reading them.
    pub print: Option<Print>,
}

/// Two files with the same print hold the same bytes; a second name of a file is one with the same print. There is none of a file
/// that was written to so shortly ago that one more change might bear the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// When bytes of it were last changed: seconds and nanoseconds of Unix time.
    pub modified: (i64, i64),
}

/// A lock that is given up when this value is dropped, or the process ends.
pub struct Lock(#[allow(dead_code)] Box<dyn Send>);

impl Lock {
    /// Wraps what holds the lock.
    pub fn new(holder: impl Send + 'static) -> Lock {
        Lock(Box::new(holder))
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

/// Temporary names begin so: a file that bears one when nobody can be writing it was left behind by an interrupted run.
pub const TEMPORARY: &str = ".daneroll-tmp-";

/// No file that is read is longer, bytes: what a run of ten thousand lineages tells is eight million.
pub const LONGEST_FILE: usize = 32 << 20;

/// Looks at what is below a folder.
pub type Below<'a> = Box<dyn Fn(&Path) -> io::Result<Stat> + 'a>;

/// Files and directories. Every error of the real world names the path.
pub trait Files {
    /// The whole file, an error if it is longer than [`LONGEST_FILE`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The same, and the print of the file that was read, if there is one.
    fn read_printed(&self, path: &Path) -> io::Result<(Vec<u8>, Option<Print>)> {
        Ok((self.read(path)?, None))
    }
    /// Reads many files: what each of them holds is given to `take` with its place, in their order.
    fn read_each(&self, paths: &[PathBuf], take: &mut dyn FnMut(usize, io::Result<Vec<u8>>)) {
        paths.iter().enumerate().for_each(|(place, path)| take(place, self.read(path)));
    }
    /// What `path` names, the link itself unless `follow`.
    fn stat(&self, path: &Path, follow: bool) -> io::Result<Stat>;
    /// What is below `dir`, by the way from there, links followed: for many looks at one folder.
    fn below<'a>(&'a self, dir: &Path) -> Below<'a> {
        let dir = dir.to_owned();
        Box::new(move |path| self.stat(&dir.join(path), true))
    }
    /// Where the symbolic link `path` points, as written in it.
    fn target(&self, path: &Path) -> io::Result<PathBuf>;
    /// `path` without links and dots.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// The names of the directories in a directory, links followed, sorted.
    fn folders(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names = self.list(dir)?;
        let below = self.below(dir);
        names.retain(|name| below(Path::new(name)).is_ok_and(|stat| stat.kind == Kind::Dir));
        Ok(names)
    }
    /// Makes a directory and its missing parents with `mode`; one that is there already is left as it is.
    fn make_dir(&self, dir: &Path, mode: u32) -> io::Result<()>;
    /// Sets permission bits and, if given, the group. Does not follow a link.
    fn set_mode(&self, path: &Path, mode: u32, group: Option<u32>) -> io::Result<()>;
    /// Sets owner and group. Does not follow a link.
    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()>;
    /// Replaces `path` by a file with these bytes in one rename; the bytes are on disk before it.
    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Replaces many files, each in one rename; the bytes of all are on disk before the first rename, the folders after
    /// the last. One file that fails is reported and the others are still written.
    fn write_all(&self, files: &[(PathBuf, Vec<u8>)], mode: u32) -> io::Result<()> {
        let mut first = Ok(());
        for (path, bytes) in files {
            let done = self.write(path, bytes, mode);
            first = first.and(done);
        }
        let mut dirs: Vec<PathBuf> = files.iter().filter_map(|(path, _)| path.parent().map(Path::to_owned)).collect();
        dirs.dedup();
        first.and(self.sync(&dirs))
    }
    /// The same with bytes that are made one after the other, so that not those of all have to be kept.
    fn write_each(&self, files: &mut dyn Iterator<Item = (PathBuf, Vec<u8>)>, mode: u32) -> io::Result<()> {
        self.write_all(&files.collect::<Vec<_>>(), mode)
    }
    /// Replaces `path` by a file with these bytes in one rename, and waits for no disk: after a loss of power it may be as it was, or
    /// empty. For what nothing hangs on.
    fn note(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.write(path, bytes, mode)
    }
    /// Makes `link` a symbolic link to `target`, replacing another link in one rename.
    fn point(&self, link: &Path, target: &Path) -> io::Result<()>;
    /// Makes `to` a second name of the file `from`; `to` must not exist.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames; replaces a file or link at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or link.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Sees to it that the entries of these directories, and the bytes of these files, are on disk.
    fn sync(&self, paths: &[PathBuf]) -> io::Result<()>;
    /// So many locks can be held at once.
    fn locks_at_once(&self) -> usize {
        400
    }
    /// Takes an exclusive lock on `path`, made if missing; `None` if another process still holds it after `wait`.
    fn lock(&self, path: &Path, wait: Duration) -> io::Result<Option<Lock>>;
}

/// Work that runs beside other work, in a world that it must use for everything.
pub type Job<'a> = Box<dyn FnOnce(&dyn Env) + Send + 'a>;

/// The world.
pub trait Env: Files {
    /// The boot clock.
    fn boot(&self) -> Boot;
    /// Milliseconds since the first process that can be seen from here began. In a container the boot clock may be that of the
    /// host, which has long been up, while each start of the container has a boot's name of its own.
    fn up(&self) -> u64;
    /// Unix time, for the dates in certificates and for people; no wait is measured with it.
    fn wall(&self) -> i64;
    /// Does nothing for a while.
    fn sleep(&self, how_long: Duration);
    /// Waits for a while between two runs, and shows on a terminal what for. The number of the signal, if somebody ends the
    /// program meanwhile, or has asked for it before.
    fn pause(&self, how_long: Duration, _what: &str) -> Option<u8> {
        self.sleep(how_long);
        None
    }
    /// Asks all of these side by side (a bounded number in flight, seconds at most for each); answers in the same order.
    fn ask(&self, asks: &[Ask]) -> Vec<Answered>;
    /// The same for many: each answer is given to `take` with the place of its question as it comes, in any order, so that not all
    /// of them have to be kept. `take` must ask nothing.
    fn ask_each(&self, asks: &[Ask], take: &mut dyn FnMut(usize, Answered)) {
        self.ask(asks).into_iter().enumerate().for_each(|(place, answered)| take(place, answered));
    }
    /// The same, for whoever has less time: what has not been answered within `limit` is given up.
    fn ask_within(&self, asks: &[Ask], limit: Duration) -> Vec<Answered>;
    /// Looks at all of these side by side (a bounded number of connections); what was seen, in the same order.
    fn visit(&self, visits: &[Visit]) -> Vec<Visited>;
    /// Sends one message over TCP and returns the answer, both without the length prefix. Time limit: 15 s. It may be sent twice, if the
    /// server closes a connection that served for another message before.
    fn exchange(&self, server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String>;
    /// Sends one HTTP request and returns the answer, whatever its status. Follows no redirect; what is to go to this host itself
    /// goes through no proxy.
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, Unanswered>;
    /// The system's recursive resolvers.
    fn resolvers(&self) -> Result<Vec<SocketAddr>, String>;
    /// Has this host a route to addresses of that family at all?
    fn has_route(&self, to: IpAddr) -> bool;
    /// Runs a command to its end or time limit.
    fn run(&self, command: &Command) -> Ended;
    /// Does all of this, so many jobs at once at most, and comes back when the last has ended. One that takes long holds up none
    /// of the others while there are fewer such than `at_once`. Jobs begin in their order.
    fn side_by_side(&self, jobs: Vec<Job<'_>>, at_once: usize);
}
