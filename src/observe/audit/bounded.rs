//! A world that may be looked at for so long, and not changed.

use crate::env::{
    Answered, Ask, Boot, Command, Ended, Env, Files, HttpRequest, HttpResponse, Job, Lock, Print, Stat, Status,
    Unanswered, Visit, Visited,
};
use std::{
    ffi::OsString,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// Part of the reason why something was not seen: there was no time left for it.
pub const NOT_IN_TIME: &str = "not checked in time";
/// No round of questions takes more than this part of what is left, so that one dead server leaves time for the others.
const SHARE: u32 = 3;
/// Kept for judging and printing.
const MARGIN: Duration = Duration::from_millis(250);

/// The world with a time limit for all questions and visits together.
pub struct Bounded<'a> {
    env: &'a dyn Env,
    began: u64,
    limit: Duration,
}

impl<'a> Bounded<'a> {
    /// The time runs from now on.
    pub fn new(env: &'a dyn Env, limit: Duration) -> Bounded<'a> {
        Bounded { env, began: env.boot().millis, limit }
    }

    /// Time since the beginning.
    pub fn used(&self) -> Duration {
        Duration::from_millis(self.env.boot().millis.saturating_sub(self.began))
    }

    /// Time for network steps that is left; `None` if it is not worth beginning another.
    fn left(&self) -> Option<Duration> {
        let left = self.limit.saturating_sub(MARGIN).saturating_sub(self.used());
        (left > Duration::from_millis(50)).then_some(left)
    }
}

fn refuse<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "looking must not change anything"))
}

impl Files for Bounded<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.env.read(path)
    }
    fn read_printed(&self, path: &Path) -> io::Result<(Vec<u8>, Option<Print>)> {
        self.env.read_printed(path)
    }
    fn stat(&self, path: &Path, follow: bool) -> io::Result<Stat> {
        self.env.stat(path, follow)
    }
    fn target(&self, path: &Path) -> io::Result<PathBuf> {
        self.env.target(path)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.env.real_path(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.env.list(dir)
    }
    fn make_dir(&self, _: &Path, _: u32) -> io::Result<()> {
        refuse()
    }
    fn set_mode(&self, _: &Path, _: u32, _: Option<u32>) -> io::Result<()> {
        refuse()
    }
    fn set_owner(&self, _: &Path, _: u32, _: u32) -> io::Result<()> {
        refuse()
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> io::Result<()> {
        refuse()
    }
    fn point(&self, _: &Path, _: &Path) -> io::Result<()> {
        refuse()
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        refuse()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refuse()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        refuse()
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        refuse()
    }
    fn sync(&self, _: &[PathBuf]) -> io::Result<()> {
        refuse()
    }
    fn lock(&self, _: &Path, _: Duration) -> io::Result<Option<Lock>> {
        refuse()
    }
}

impl Env for Bounded<'_> {
    fn boot(&self) -> Boot {
        self.env.boot()
    }

    fn up(&self) -> u64 {
        self.env.up()
    }

    fn wall(&self) -> i64 {
        self.env.wall()
    }

    fn sleep(&self, how_long: Duration) {
        self.env.sleep(how_long.min(self.left().unwrap_or_default()));
    }

    fn ask(&self, asks: &[Ask]) -> Vec<Answered> {
        self.ask_within(asks, self.limit)
    }

    fn ask_within(&self, asks: &[Ask], limit: Duration) -> Vec<Answered> {
        match self.left() {
            _ if asks.is_empty() => Vec::new(),
            Some(left) => self.env.ask_within(asks, limit.min(left / SHARE)),
            None => vec![Err(NOT_IN_TIME.to_owned()); asks.len()],
        }
    }

    fn visit(&self, visits: &[Visit]) -> Vec<Visited> {
        let Some(left) = self.left() else {
            let late = Visited { chains: Vec::new(), unknown: Some(NOT_IN_TIME.to_owned()) };
            return vec![late; visits.len()];
        };
        let shorter = |visit: &Visit| Visit { limit: visit.limit.min(left), ..visit.clone() };
        self.env.visit(&visits.iter().map(shorter).collect::<Vec<_>>())
    }

    fn exchange(&self, _: SocketAddr, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("looking must not change anything".into())
    }

    fn http(&self, _: &HttpRequest) -> Result<HttpResponse, Unanswered> {
        Err(Unanswered::unsent("is not asked: looking must not change anything"))
    }

    fn resolvers(&self) -> Result<Vec<SocketAddr>, String> {
        self.env.resolvers()
    }

    fn has_route(&self, to: IpAddr) -> bool {
        self.env.has_route(to)
    }

    fn run(&self, _: &Command) -> Ended {
        let why = "looking must not change anything".to_owned();
        Ended { status: Status::NotStarted(why), output: String::new() }
    }

    fn side_by_side(&self, jobs: Vec<Job<'_>>, _: usize) {
        jobs.into_iter().for_each(|job| job(self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim::World;
    use hickory_resolver::proto::rr::RecordType;

    #[test]
    fn one_silent_server_takes_a_share_and_none_takes_more_than_the_limit() {
        let world = World::new();
        let bounded = Bounded::new(&world, Duration::from_secs(10));
        let server = "192.0.2.1:53".parse().unwrap();
        let ask = Ask {
            server,
            name: "example.com".parse().unwrap(),
            kind: RecordType::A,
            recursion: true,
            checking_disabled: false,
        };
        let mut told = bounded.ask(std::slice::from_ref(&ask));
        assert_eq!(world.now(), 3_250, "a third of what was left");
        while told[0] != Err(NOT_IN_TIME.to_owned()) {
            told = bounded.ask(std::slice::from_ref(&ask));
        }
        assert!(world.now() < 10_000);
        assert!(bounded.write(Path::new("/x"), b"", 0o600).is_err() && world.stat(Path::new("/x"), true).is_err());
    }
}
