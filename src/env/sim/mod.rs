//! A simulated world: a host with its files and clock, name servers, resolvers, services, all in memory and in one thread,
//! so that the real [`run`](crate::run) can be taken through a rollover of days in microseconds.
//!
//! What it assumes, and leaves out:
//!
//! - Time is simulated, in milliseconds since the world began, and passes only when somebody sleeps or a process causes an
//!   effect (a few milliseconds each, [`State::cost`]) or asks a server. Scheduled events happen in their order while it passes.
//! - A process under test runs inside [`World::survive`]. Only there are effects counted, do they cost time, and do faults hit.
//!   Everything else (a test, an event, a program that was started) is the world itself: what it does happens at once.
//! - A kill unwinds the process at an effect. What it had renamed or sent stays; its locks are given up; memory is lost.
//! - A power loss also takes entries of directories that a process changed within a minute and did not sync, directory by directory: even a
//!   rename from one to another can be half lost, which journaling file systems prevent.
//!   Bytes of files, modes and owners are never lost, and nothing that anybody but a process under test did.
//! - One address of a name server is one content. Caches are not modelled: [`history`] keeps what every server showed, and any
//!   cache may hold anything that was shown within its TTL. No cache keeps anything longer, and none is asked by the process.
//! - Signatures look right (type, TTL, labels, signer, key tag) and verify only where [`dns::Dns::signs`] is set. NSEC only, no NSEC3. Names
//!   with escaped dots do not occur.
//! - TCP, truncation, EDNS and message ids do not occur, apart from the bytes of an UPDATE.
//! - Services read key and chain in one instant.
//! - What runs side by side in the real world runs here one after the other, and the time that it takes adds up.

pub mod answer;
mod clock;
pub mod disk;
pub mod dns;
mod files;
pub mod history;
pub mod keys;
mod message;
mod pair;
mod power;
mod process;
mod provider;
pub mod resolver;
pub mod service;
mod update;
mod walk;
pub mod zone;

pub use process::{Killed, When};

use super::{
    Answered, Ask, Boot, Command, Ended, Env, HttpRequest, HttpResponse, Job, Lost, Status, Unanswered, Visit, Visited,
};
use clock::Clock;
use disk::Disk;
use dns::Dns;
use process::Processes;
use service::Service;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A program of the simulated host. What it does happens in the world; time passes only if it calls [`World::pass`].
pub type Program = Rc<dyn Fn(&World, &Command) -> Ended>;

/// Something that happens at some moment.
pub type Event = Box<dyn FnOnce(&World)>;

/// Who is told after every effect and every event.
pub type Observer = Rc<dyn Fn(&World)>;

/// The simulated world. Clones share everything.
#[derive(Clone, Default)]
pub struct World {
    state: Rc<RefCell<State>>,
    observers: Rc<RefCell<Vec<Observer>>>,
    locks: Arc<Mutex<BTreeMap<u64, files::Holder>>>,
}

/// Everything there is.
pub struct State {
    /// The files.
    pub disk: Disk,
    /// Name servers and zones.
    pub dns: Dns,
    /// TLS services, by name.
    pub services: BTreeMap<String, Service>,
    /// What one effect of a process costs, milliseconds; 3 at first.
    pub cost: u64,
    /// Has the host a route to IPv4 and IPv6 addresses?
    pub routes: (bool, bool),
    /// The recursive resolvers of the host, as in `resolv.conf`; an error if it cannot be read.
    pub resolvers: Result<Vec<SocketAddr>, String>,
    /// How many changes there were in what clients may see: answers, chains, outages.
    pub changes: u64,
    clock: Clock,
    processes: Processes,
    programs: BTreeMap<String, Program>,
    disk_seen: u64,
}

impl Default for State {
    fn default() -> State {
        State {
            disk: Disk::default(),
            dns: Dns::default(),
            services: BTreeMap::new(),
            cost: 3,
            routes: (true, true),
            resolvers: Ok(Vec::new()),
            changes: 0,
            clock: Clock::default(),
            processes: Processes::default(),
            programs: BTreeMap::new(),
            disk_seen: 0,
        }
    }
}

impl State {
    /// Milliseconds since the world began.
    pub fn now(&self) -> u64 {
        self.clock.now
    }

    /// The wall clock, Unix seconds.
    pub fn wall(&self) -> i64 {
        self.clock.wall()
    }
}

impl World {
    /// An empty world: a root directory, nothing else.
    pub fn new() -> World {
        World::default()
    }

    /// Looks at the state of things.
    pub fn look<R>(&self, with: impl FnOnce(&State) -> R) -> R {
        with(&self.state.borrow())
    }

    /// Changes the state of things at once; services, history and observers take notice.
    pub fn change<R>(&self, with: impl FnOnce(&mut State) -> R) -> R {
        let result = with(&mut self.state.borrow_mut());
        self.notice();
        result
    }

    /// Installs a program under its path, `argv[0]` of the commands that start it.
    pub fn program(&self, path: &str, program: impl Fn(&World, &Command) -> Ended + 'static) {
        self.state.borrow_mut().programs.insert(path.to_owned(), Rc::new(program));
    }

    /// Has `observer` called after every effect and every event, with everything up to date. It may look, and not change.
    pub fn on_step(&self, observer: impl Fn(&World) + 'static) {
        self.observers.borrow_mut().push(Rc::new(observer));
    }

    /// Sets a service up, which reads its files now.
    pub fn serve(&self, service: Service) {
        self.change(|state| {
            let name = service.name.clone();
            state.dns.watch(service.query_name());
            state.services.insert(name.clone(), service);
            state.restart_service(&name);
        });
    }

    /// Lets services, history and observers see what changed.
    fn notice(&self) {
        {
            let mut state = self.state.borrow_mut();
            let now = state.clock.now;
            state.look_at_files();
            let shown = state.dns.remember(now);
            state.changes += u64::from(shown);
        }
        let observers = self.observers.borrow().clone();
        observers.iter().for_each(|observer| observer(self));
    }

    fn start(&self, command: &Command) -> Ended {
        let program = command.argv.first().map(String::as_str).unwrap_or_default();
        match program {
            "/sim/provider" => provider::run(self, command),
            "/sim/reload" => service::reload(self, command),
            _ => match self.look(|state| state.programs.get(program).cloned()) {
                Some(run) => run(self, command),
                None => {
                    let status = Status::NotStarted(format!("{program}: No such file or directory (os error 2)"));
                    Ended { status, output: String::new() }
                }
            },
        }
    }
}

impl Env for World {
    fn boot(&self) -> Boot {
        self.look(|state| state.clock.boot())
    }

    fn up(&self) -> u64 {
        self.look(|state| state.clock.now - state.clock.began)
    }

    fn wall(&self) -> i64 {
        self.look(|state| state.clock.wall())
    }

    fn sleep(&self, how_long: Duration) {
        self.pass(how_long);
    }

    fn ask(&self, asks: &[Ask]) -> Vec<Answered> {
        self.ask_within(asks, dns::PATIENCE)
    }

    fn ask_within(&self, asks: &[Ask], limit: Duration) -> Vec<Answered> {
        let answers: Vec<Answered> = {
            let state = self.state.borrow();
            asks.iter().map(|ask| state.dns.answer(ask, state.routes, state.clock.wall())).collect()
        };
        let silent = answers.iter().any(Result::is_err);
        self.pass(if silent { dns::PATIENCE.min(limit) } else { dns::ROUND_TRIP });
        answers
    }

    fn visit(&self, visits: &[Visit]) -> Vec<Visited> {
        let seen: Vec<Visited> = visits.iter().map(|visit| self.look(|state| state.visit(visit))).collect();
        let late = seen.iter().any(|visited| visited.unknown.is_some());
        let limit = visits.iter().map(|visit| visit.limit).max().unwrap_or_default();
        self.pass(if late { limit } else { dns::ROUND_TRIP });
        seen
    }

    fn exchange(&self, server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
        self.effect("exchange", &server.to_string(), |world| update::exchange(world, server, message))
            .unwrap_or_else(|error| Err(format!("{server}: {}", error.desc())))
    }

    /// Nobody speaks HTTP here.
    fn http(&self, _: &HttpRequest) -> Result<HttpResponse, Unanswered> {
        Err(Unanswered { why: "cannot be reached: refused the connection".into(), how: Lost::Unreached })
    }

    fn resolvers(&self) -> Result<Vec<SocketAddr>, String> {
        self.look(|state| state.resolvers.clone())
    }

    fn has_route(&self, to: IpAddr) -> bool {
        self.look(|state| if to.is_ipv4() { state.routes.0 } else { state.routes.1 })
    }

    fn run(&self, command: &Command) -> Ended {
        let label = command.argv.join(" ");
        self.effect("run", &label, |world| {
            let began = world.now();
            let ended = world.start(command);
            let late = world.now() - began > command.limit.as_millis() as u64;
            if late { Ended { status: Status::TimedOut, ..ended } } else { ended }
        })
        .unwrap_or_else(|error| Ended { status: Status::NotStarted(error.desc().into()), output: String::new() })
    }

    /// One after the other: each job finds the time that the others took.
    fn side_by_side(&self, jobs: Vec<Job<'_>>, _: usize) {
        jobs.into_iter().for_each(|job| job(self));
    }
}
