//! The real world: this machine's clocks, files, network and programs.

mod command;
pub mod confine;
mod dns;
mod files;
mod flight;
mod hostname;
mod http;
mod line;
mod lock;
mod patience;
pub mod probe;
mod read;
mod resolvers;
mod side;
mod tcp;
mod verdict;
mod visit;
mod ways;
mod write;

pub use dns::answer;
pub use files::stat_of;
pub use resolvers::nameservers;

use super::{
    Answered, Ask, Boot, Command, Ended, Env, HttpRequest, HttpResponse, Job, Status, Unanswered, Visit, Visited,
};
use nix::time::ClockId;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};
use tokio::runtime::{Builder, Runtime};

/// This machine.
pub struct Real {
    commands: command::Commands,
    /// Built at the first network question or command: most runs have neither.
    runtime: OnceLock<Result<Runtime, String>>,
    http: http::Http,
    connections: tcp::Connections,
    ways: ways::Ways,
    began: Instant,
    /// No process outlives a boot.
    boot_id: OnceLock<Option<String>>,
    patience: Option<patience::Patience>,
}

impl Real {
    /// `supervisor` is the program that watches over commands: started with
    /// [`supervise::ARGUMENT`](super::supervise::ARGUMENT) it must call [`supervise::main`](super::supervise::main).
    pub fn new(supervisor: PathBuf) -> Real {
        Real {
            commands: command::Commands::new(supervisor),
            runtime: OnceLock::new(),
            http: http::Http::default(),
            connections: tcp::Connections::default(),
            ways: ways::Ways::default(),
            began: Instant::now(),
            boot_id: OnceLock::new(),
            patience: None,
        }
    }

    /// The same for a program that stays: SIGTERM and SIGINT end it between two runs, or a moment later at any rate. While it
    /// waits it says what for, if `shows` and a terminal is there. To be called before there is any other thread.
    pub fn staying(mut self, shows: bool) -> Real {
        self.patience = patience::Patience::new(shows);
        self
    }

    fn runtime(&self) -> Result<&Runtime, String> {
        let build = || Builder::new_current_thread().enable_all().build();
        self.runtime
            .get_or_init(|| build().map_err(|error| format!("cannot prepare for network input and output: {error}")))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Without /proc each process counts as a boot of its own: waits then start anew instead of ending early.
    fn boot_of_process(&self) -> Boot {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let id = format!("process-{}-{}", std::process::id(), (since_epoch - self.began.elapsed()).as_secs());
        Boot { id, millis: millis(self.began.elapsed()) }
    }
}

impl Drop for Real {
    /// Waits for nobody: the system's look-up of a host name may take long, and cannot be stopped.
    fn drop(&mut self) {
        self.commands.rest();
        if let Some(Ok(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Env for Real {
    fn boot(&self) -> Boot {
        let read = || fs_err::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned());
        match (self.boot_id.get_or_init(read), ClockId::CLOCK_BOOTTIME.now()) {
            (Some(id), Ok(time)) => Boot { id: id.clone(), millis: millis(Duration::from(time)) },
            _ => self.boot_of_process(),
        }
    }

    fn up(&self) -> u64 {
        let began = fs_err::read_to_string("/proc/1/stat").ok().as_deref().and_then(start_of);
        began.map_or(0, |began| self.boot().millis.saturating_sub(began))
    }

    fn wall(&self) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => seconds(after),
            Err(before) => -seconds(before.duration()),
        }
    }

    fn sleep(&self, how_long: Duration) {
        std::thread::sleep(how_long);
    }

    fn pause(&self, how_long: Duration, what: &str) -> Option<u8> {
        self.commands.rest();
        match &self.patience {
            Some(patience) => patience.pause(how_long, what),
            None => {
                self.sleep(how_long);
                None
            }
        }
    }

    fn ask(&self, asks: &[Ask]) -> Vec<Answered> {
        let mut answers = vec![Err(String::new()); asks.len()];
        self.ask_each(asks, &mut |place, answered| answers[place] = answered);
        answers
    }

    fn ask_each(&self, asks: &[Ask], take: &mut dyn FnMut(usize, Answered)) {
        match self.runtime() {
            Ok(runtime) => runtime.block_on(flight::ask_each(asks, take)),
            Err(error) => (0..asks.len()).for_each(|place| take(place, Err(error.clone()))),
        }
    }

    fn ask_within(&self, asks: &[Ask], limit: Duration) -> Vec<Answered> {
        match self.runtime() {
            Ok(runtime) => runtime.block_on(flight::ask_within(asks, limit)),
            Err(error) => vec![Err(error); asks.len()],
        }
    }

    fn visit(&self, visits: &[Visit]) -> Vec<Visited> {
        match self.runtime() {
            Ok(runtime) => runtime.block_on(visit::visit_all(visits)),
            Err(error) => vec![Visited { chains: Vec::new(), unknown: Some(error) }; visits.len()],
        }
    }

    fn exchange(&self, server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
        self.runtime()?.block_on(self.connections.exchange(server, message, tcp::UPDATE))
    }

    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
        self.runtime().map_err(Unanswered::unsent)?.block_on(self.http.send(request))
    }

    fn resolvers(&self) -> Result<Vec<SocketAddr>, String> {
        resolvers::read("/etc/resolv.conf".as_ref())
    }

    fn has_route(&self, to: IpAddr) -> bool {
        let any: IpAddr = match to {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket looks up the route and sends nothing.
        UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((to, 53))).is_ok()
    }

    fn run(&self, command: &Command) -> Ended {
        let not_started = |why| Ended { status: Status::NotStarted(why), output: String::new() };
        match self.runtime() {
            Ok(runtime) => runtime.block_on(self.commands.run(command)).unwrap_or_else(not_started),
            Err(error) => not_started(error),
        }
    }

    fn side_by_side(&self, jobs: Vec<Job<'_>>, at_once: usize) {
        side::side_by_side(self, jobs, at_once);
    }
}

/// When a process began, milliseconds on the boot clock: the 22nd word of its `stat`, in hundredths of a second. Its name, the
/// second, can hold anything.
fn start_of(stat: &str) -> Option<u64> {
    let (_, words) = stat.rsplit_once(')')?;
    words.split_whitespace().nth(19)?.parse::<u64>().ok()?.checked_mul(10)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
