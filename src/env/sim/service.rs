//! TLS services: which chains they may present, and when they read their files. `/sim/reload NAME` reloads one.

use super::{State, World, disk::Disk, pair};
use crate::{
    env::{Command, Ended, Status, Visit, Visited},
    name::DnsName,
};
use std::{
    cell::RefCell,
    net::IpAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

/// Where a service has key and chain from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From two files.
    Pair {
        /// `fullchain.pem`
        chain: PathBuf,
        /// `privkey.pem`
        key: PathBuf,
    },
    /// From one file with both, `bundle.pem`.
    Bundle(PathBuf),
}

/// When a service reads its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// At start and reload; dovecot.
    #[default]
    OnReload,
    /// Processes that start at any time read the files as they are then, the others keep what they have until a reload;
    /// Postfix.
    Anytime,
}

/// What a reload does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reload {
    /// It works, exit 0. Files that do not fit break TLS.
    #[default]
    Works,
    /// It works, but with files that do not fit it exits 1 and the old ones stay in use; nginx.
    Checks,
    /// It does nothing and exits with this code.
    Fails(i32),
    /// It does nothing and exits 0.
    DoesNothing,
    /// It works after that many seconds.
    Takes(u64),
    /// It works for so many of the processes, exit 0.
    Reaches(usize),
}

/// A moment at which a service had nothing to present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Milliseconds since the world began.
    pub at: u64,
    /// Why.
    pub why: String,
}

/// A full chain in PEM, or why there is none.
type Loaded = Result<Rc<[u8]>, String>;
/// The bytes of chain and key, and what came of them.
type Examined = (Rc<[u8]>, Rc<[u8]>, Loaded);

/// A TLS service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name for `/sim/reload`.
    pub name: String,
    /// The host name that clients connect to.
    pub base: DnsName,
    /// TCP port.
    pub port: u16,
    /// Its files.
    pub source: Source,
    /// When it reads them.
    pub reads: Reads,
    /// What a reload does.
    pub reload: Reload,
    /// Its only address; `None`: every one that its host name has.
    pub at: Option<IpAddr>,
    /// Visitors get no further than this.
    pub refuses: Option<String>,
    /// Every failure to read a key and a chain that fit.
    pub outages: Vec<Outage>,
    /// How often a reload was asked for and did something else than [`Reload::Works`].
    pub failed_reloads: usize,
    processes: usize,
    memory: Vec<Loaded>,
    fresh: Option<Loaded>,
    /// The files that were read last, by their bytes in memory, and what came of it.
    examined: RefCell<Option<Examined>>,
}

impl Service {
    /// A service of one process that reads `fullchain.pem` and `privkey.pem` from a directory, and again on reload.
    pub fn new(name: &str, base: &str, port: u16, directory: impl AsRef<Path>) -> Service {
        let directory = directory.as_ref();
        let source = Source::Pair { chain: directory.join("fullchain.pem"), key: directory.join("privkey.pem") };
        Service {
            name: name.to_owned(),
            base: super::zone::name(base),
            port,
            source,
            reads: Reads::default(),
            reload: Reload::default(),
            at: None,
            refuses: None,
            outages: Vec::new(),
            failed_reloads: 0,
            processes: 1,
            memory: Vec::new(),
            fresh: None,
            examined: RefCell::default(),
        }
    }

    /// The same, reading both from one file.
    pub fn bundle(mut self, file: impl Into<PathBuf>) -> Service {
        self.source = Source::Bundle(file.into());
        self
    }

    /// The same, reading at these moments.
    pub fn reads(mut self, reads: Reads) -> Service {
        self.reads = reads;
        self
    }

    /// The same with a reload that does this.
    pub fn reload(mut self, reload: Reload) -> Service {
        self.reload = reload;
        self
    }

    /// The same with so many processes, each of which has a chain in memory.
    pub fn processes(mut self, processes: usize) -> Service {
        self.processes = processes;
        self
    }

    /// The name of its TLSA RRset.
    pub fn query_name(&self) -> DnsName {
        super::zone::name(&format!("_{}._tcp.{}", self.port, self.base))
    }

    /// Every chain that it may present now, PEM. Empty if TLS is broken.
    pub fn presented(&self) -> Vec<Rc<[u8]>> {
        let mut chains: Vec<Rc<[u8]>> = Vec::new();
        for chain in self.memory.iter().chain(&self.fresh).flatten() {
            if !chains.iter().any(|known| Rc::ptr_eq(known, chain) || known == chain) {
                chains.push(chain.clone());
            }
        }
        chains
    }

    /// Reads the files into the first `reached` processes. False if they do not fit.
    fn load(&mut self, disk: &Disk, now: u64, reached: usize, keep: bool) -> bool {
        let loaded = self.read(disk);
        if let Err(why) = &loaded {
            if keep && !self.memory.is_empty() {
                return false;
            }
            self.outages.push(Outage { at: now, why: why.clone() });
        }
        let kept = self.memory.split_off(self.memory.len().min(reached));
        self.memory = vec![loaded.clone(); reached.min(self.processes)];
        self.memory.extend(kept);
        self.fresh = (self.reads == Reads::Anytime).then_some(loaded.clone());
        loaded.is_ok()
    }

    /// New processes read the files as they are now; those that are there keep what they have.
    fn spawn(&mut self, disk: &Disk, now: u64) -> bool {
        let loaded = self.read(disk);
        if self.fresh.as_ref() == Some(&loaded) {
            return false;
        }
        if let Err(why) = &loaded {
            self.outages.push(Outage { at: now, why: why.clone() });
        }
        self.memory.extend(self.fresh.replace(loaded));
        true
    }

    fn read(&self, disk: &Disk) -> Loaded {
        let file = |path: &Path| disk.read(path).map_err(|errno| format!("{}: {}", path.display(), errno.desc()));
        let (chain, key) = match &self.source {
            Source::Pair { chain, key } => (file(chain)?, file(key)?),
            Source::Bundle(path) => (file(path)?, file(path)?),
        };
        if let Some((known, its, loaded)) = &*self.examined.borrow()
            && (Rc::ptr_eq(known, &chain), Rc::ptr_eq(its, &key)) == (true, true)
        {
            return loaded.clone();
        }
        let loaded = pair::fits(&chain, &key).map(|()| match &self.source {
            Source::Pair { .. } => chain.clone(),
            Source::Bundle(_) => pair::certificates(&chain).into(),
        });
        self.examined.replace(Some((chain, key, loaded.clone())));
        loaded
    }
}

impl State {
    /// What a visitor sees: every chain that the services at that address may present now.
    pub(super) fn visit(&self, visit: &Visit) -> Visited {
        let is_there = |service: &&Service| {
            service.port == visit.address.port()
                && service.base == visit.server_name
                && service.at.is_none_or(|at| at == visit.address.ip())
        };
        let mut seen = Visited { unknown: Some("refused the connection".into()), ..Visited::default() };
        for service in self.services.values().filter(is_there) {
            let broken = service.presented().is_empty().then(|| "TLS is broken".to_owned());
            seen.unknown = service.refuses.clone().or(broken);
            if service.refuses.is_none() {
                seen.chains.extend(service.presented().iter().map(|pem| pair::ders(pem)));
            }
        }
        seen
    }

    /// Every service starts anew.
    pub(super) fn restart_services(&mut self) {
        let names: Vec<String> = self.services.keys().cloned().collect();
        names.iter().for_each(|name| self.restart_service(name));
    }

    /// A service starts: all its processes read the files.
    pub fn restart_service(&mut self, name: &str) {
        let now = self.clock.now;
        if let Some(service) = self.services.get_mut(name) {
            service.memory.clear();
            service.load(&self.disk, now, service.processes, false);
            self.changes += 1;
        }
    }

    /// Has services that read at any time see what changed in the files.
    pub(super) fn look_at_files(&mut self) {
        if self.disk_seen == self.disk.changes {
            return;
        }
        self.disk_seen = self.disk.changes;
        let now = self.clock.now;
        for service in self.services.values_mut().filter(|service| service.reads == Reads::Anytime) {
            self.changes += u64::from(service.spawn(&self.disk, now));
        }
    }

    fn reload_service(&mut self, name: &str, reached: usize, keep: bool) -> bool {
        let now = self.clock.now;
        self.changes += 1;
        self.services.get_mut(name).is_some_and(|service| service.load(&self.disk, now, reached, keep))
    }
}

/// `/sim/reload NAME`.
pub(super) fn reload(world: &World, command: &Command) -> Ended {
    let ended = |code| Ended { status: Status::Exited(code), output: String::new() };
    let name = command.argv.get(1).map(String::as_str).unwrap_or_default();
    let Some(mode) = world.look(|state| state.services.get(name).map(|service| service.reload)) else {
        return Ended { status: Status::Exited(1), output: format!("no service {name:?}") };
    };
    if mode != Reload::Works {
        let count = |service: &mut Service| service.failed_reloads += 1;
        world.change(|state| state.services.get_mut(name).map(count));
    }
    let load = |reached, keep| world.change(|state| state.reload_service(name, reached, keep));
    match mode {
        Reload::Works => drop(load(usize::MAX, false)),
        Reload::Checks => return ended(if load(usize::MAX, true) { 0 } else { 1 }),
        Reload::Fails(code) => return ended(code),
        Reload::DoesNothing => {}
        Reload::Takes(seconds) if Duration::from_secs(seconds) > command.limit => {
            world.pass(command.limit);
            return Ended { status: Status::TimedOut, output: String::new() };
        }
        Reload::Takes(seconds) => {
            world.pass(Duration::from_secs(seconds));
            load(usize::MAX, false);
        }
        Reload::Reaches(processes) => drop(load(processes, false)),
    }
    ended(0)
}
