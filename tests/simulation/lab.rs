//! A scenario in a few lines: a mail host with certbot, a zone on some servers, a configuration, and the oracle watching.
//!
//! ```ignore
//! let lab = Lab::with("mx.example.com", "311 25").secondary("ns2", 90).start();
//! lab.first_use();
//! lab.renew("mx.example.com", Renewal::default());
//! lab.cron(HOUR, 2 * DAY);
//! lab.assert_settled("mx.example.com");
//! ```

#[path = "lab/setup.rs"]
mod setup;

pub use setup::Setup;

use crate::{
    certs::{Certbot, Renewal},
    clients::record_of,
    oracle::Oracle,
};
use daneroll::{
    env::sim::{
        World,
        service::{Reads, Service},
        zone::{name, tlsa},
    },
    tlsa::Association,
};
use hickory_resolver::proto::rr::RecordType;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub const MINUTE: u64 = 60;
pub const HOUR: u64 = 3600;
pub const DAY: u64 = 86_400;

pub const CONFIG: &str = "/etc/daneroll/daneroll.conf";
pub const DANE: &str = "/etc/daneroll/dane";
pub const LETSENCRYPT: &str = "/etc/letsencrypt";
pub const STATE: &str = "/var/lib/daneroll";
/// On the host itself, so that its word on DNSSEC can be taken.
pub const RESOLVER: &str = "127.0.0.53";
/// The root's key, where daneroll validates.
pub const ANCHOR: &str = "/etc/daneroll/anchor";
/// What `run` returns for a process that was killed, as a shell would tell it.
pub const KILLED: i32 = 137;
/// The zone's name; its primary is `ns1` in it.
pub const APEX: &str = "example.com";

/// What is run in place of `daneroll`: arguments to exit code.
pub type Engine = Rc<dyn Fn(&World, &[&str]) -> i32>;

thread_local! {
    /// What the last call logged at level INFO and above.
    static TOLD: Arc<Mutex<Vec<u8>>> = Arc::default();
    /// What the ACME client tells the next call.
    static HINTS: RefCell<daneroll::cli::Hints> = RefCell::default();
    static WISH: Cell<u64> = const { Cell::new(HOUR) };
}

/// The one place where the program is called. `DANEROLL_TEST_LOG=1` shows what it logs.
pub fn daneroll(world: &World, args: &[&str]) -> i32 {
    use daneroll::{cli, config};
    let words = std::iter::once("daneroll").chain(args.iter().copied()).map(std::ffi::OsString::from);
    let arguments = cli::parse(words).unwrap_or_else(|exit| panic!("{args:?}: {}", exit.text));
    let hints = HINTS.take();
    let run = || {
        let loaded = config::load(world, &arguments.config, &arguments.overrides);
        daneroll::run(world, &arguments, &hints, &loaded)
    };
    let told = TOLD.with(Arc::clone);
    told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let aloud = std::env::var_os("DANEROLL_TEST_LOG").is_some();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(if aloud { tracing::Level::DEBUG } else { tracing::Level::INFO })
        .with_writer(move || Tee { told: told.clone(), aloud });
    let report = tracing::subscriber::with_default(subscriber.finish(), run);
    WISH.set(report.pending.unwrap_or(HOUR));
    if aloud {
        eprintln!("{:>9} {args:?} exit {}", world.now() / 1000, report.exit);
    }
    i32::from(report.exit)
}

/// The program again, for histories without number: what it is called with and configured with is parsed once and then remembered
/// by its text, and what it logs goes nowhere. (All of that has tests of its own.)
pub fn tireless(world: &World, args: &[&str]) -> i32 {
    use daneroll::{cli, config};
    type Loaded = Result<config::Loaded, config::Unreadable>;
    thread_local! {
        static CALLS: RefCell<HashMap<String, Rc<cli::Arguments>>> = RefCell::default();
        static CONFIGURATIONS: RefCell<HashMap<Rc<[u8]>, Rc<Loaded>>> = RefCell::default();
        static SILENCE: tracing::Dispatch = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    }
    let call = || {
        let words = std::iter::once("daneroll").chain(args.iter().copied()).map(std::ffi::OsString::from);
        Rc::new(cli::parse(words).unwrap_or_else(|exit| panic!("{args:?}: {}", exit.text)))
    };
    let arguments = CALLS.with_borrow_mut(|calls| calls.entry(args.join(" ")).or_insert_with(call).clone());
    let text = world.look(|state| state.disk.read(Path::new(CONFIG))).unwrap();
    let load = || Rc::new(config::load(world, &arguments.config, &arguments.overrides));
    let loaded = CONFIGURATIONS.with_borrow_mut(|known| known.entry(text).or_insert_with(load).clone());
    let hints = HINTS.take();
    let run = || daneroll::run(world, &arguments, &hints, &loaded);
    let report = SILENCE.with(|silence| tracing::dispatcher::with_default(silence, run));
    WISH.set(report.pending.unwrap_or(HOUR));
    i32::from(report.exit)
}

/// In how many seconds the last run of [`tireless`] wanted to be run again.
pub fn last_wish() -> u64 {
    WISH.get()
}

/// A log that can be looked at.
struct Tee {
    told: Arc<Mutex<Vec<u8>>>,
    aloud: bool,
}

impl std::io::Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.aloud {
            eprint!("{}", String::from_utf8_lossy(bytes));
        }
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The name of the service at a port of a domain, for `/sim/reload`.
pub fn service_name(port: u16, domain: &str) -> String {
    format!("{domain}:{port}")
}

/// A laboratory: the world, certbot on its host, the oracle that watches it.
pub struct Lab {
    pub world: World,
    pub certbot: Certbot,
    pub oracle: Oracle,
    pub setup: Setup,
}

impl Lab {
    /// A laboratory with one lineage and one `tlsa` line, to be refined.
    pub fn with(lineage: &str, tlsa: &str) -> Setup {
        let setup = Setup {
            sections: Vec::new(),
            globals: Vec::new(),
            secondaries: Vec::new(),
            signed: true,
            validating: false,
            hidden_primary: false,
            api: "exec /sim/provider".into(),
            valid_days: 90,
            reads: Reads::default(),
            processes: 1,
            bundle: false,
            without_section: false,
            engine: Rc::new(daneroll),
        };
        setup.lineage(lineage).tlsa(tlsa)
    }

    /// Runs the program with these arguments; exit code, or `KILLED`.
    pub fn run(&self, args: &[&str]) -> i32 {
        self.world.survive(|world| (self.setup.engine)(world, args)).unwrap_or(KILLED)
    }

    /// What the last run logged, levels INFO to ERROR.
    pub fn told(&self) -> String {
        TOLD.with(|told| String::from_utf8_lossy(&told.lock().unwrap_or_else(PoisonError::into_inner)).into_owned())
    }

    /// The last run told all of this.
    pub fn assert_told(&self, words: &[&str]) {
        let told = self.told();
        words.iter().for_each(|word| assert!(told.contains(word), "{word:?} is not in: {told}"));
    }

    /// The operator edits the configuration.
    pub fn reconfigure(&mut self, edit: impl FnOnce(Setup) -> Setup) {
        self.setup = edit(self.setup.clone());
        let text = self.setup.config();
        self.world.change(|state| state.disk.overwrite(Path::new(CONFIG), text.as_bytes(), 0o644).unwrap());
    }

    /// certbot's deploy hook for one lineage.
    pub fn deploy(&self, lineage: &str) -> i32 {
        let renewed_lineage = Some(Path::new(LETSENCRYPT).join("live").join(lineage));
        HINTS.set(daneroll::cli::Hints { renewed_lineage, renewed_domains: lineage.to_owned(), certificate: None });
        self.run(&["deploy"])
    }

    /// The hook of any client, which tells this.
    pub fn hinted(&self, hints: daneroll::cli::Hints) -> i32 {
        HINTS.set(hints);
        self.run(&["deploy"])
    }

    /// Archive numbers of a lineage (those that certbot still keeps) which a service may present now.
    pub fn presented(&self, service: &str, lineage: &str) -> Vec<usize> {
        let chains = self.world.look(|state| state.services[service].presented());
        let newest = self.certbot.number(lineage);
        let kept = newest.saturating_sub(4).max(1)..=newest;
        kept.filter(|n| chains.iter().any(|chain| **chain == self.certbot.fullchain(lineage, *n)[..])).collect()
    }

    /// Plain runs every so many seconds until something is so; the moment in seconds. Each run must end with 0.
    ///
    /// # Panics
    /// If it is not so after `limit` seconds.
    pub fn until(&self, every: u64, limit: u64, is_so: impl Fn(&Lab) -> bool) -> u64 {
        let end = self.world.now() / 1000 + limit;
        loop {
            assert_eq!(self.run(&[]), 0, "{}", self.told());
            let now = self.world.now() / 1000;
            if is_so(self) {
                return now;
            }
            assert!(now < end, "still not so after {limit} s: {}", self.told());
            self.pass(every);
        }
    }

    /// Starts the service of every `tlsa` line, reading the dane directory.
    pub fn serve(&self) {
        for section in &self.setup.sections {
            for (port, domain) in &section.ports {
                let directory = Path::new(DANE).join(&section.lineage);
                let service = Service::new(&service_name(*port, domain), domain, *port, &directory);
                let service = service.reads(self.setup.reads).processes(self.setup.processes);
                let bundle = self.setup.bundle;
                self.world.serve(if bundle { service.bundle(directory.join("bundle.pem")) } else { service });
            }
        }
    }

    /// What an operator does first: builds the dane directory, starts the services, and lets plain runs publish.
    pub fn first_use(&self) {
        assert_eq!(self.run(&["--reset"]), 0);
        self.serve();
        self.cron(6 * HOUR, 3 * DAY);
    }

    /// A certbot run with both hooks.
    pub fn renew(&self, lineage: &str, renewal: Renewal) {
        assert_eq!(self.run(&["--pre"]), 0);
        self.certbot.renew(lineage, renewal);
        assert_eq!(self.run(&["--post"]), 0);
    }

    /// A plain run every so many seconds, for so long; each must end with 0.
    pub fn cron(&self, every: u64, how_long: u64) {
        let until = self.world.now() + how_long * 1000;
        while self.world.now() < until {
            assert_eq!(self.run(&[]), 0, "{}", self.told());
            self.pass(every);
        }
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, seconds: u64) {
        self.world.pass(Duration::from_secs(seconds));
    }

    /// The TLSA records at `_25._tcp.…` and so on, as the primary has them.
    pub fn published(&self, owner: &str) -> Vec<Association> {
        self.world.look(|state| state.dns.zone(&name(APEX)).associations(&name(owner)))
    }

    /// Publishes or deletes a record on the primary, by another hand than daneroll's.
    pub fn publish(&self, owner: &str, ttl: u32, record: &Association) {
        self.world.edit_zone(&name(APEX), |zone| zone.add(&name(owner), ttl, tlsa(record)));
    }

    pub fn unpublish(&self, owner: &str, record: &Association) {
        self.world.edit_zone(&name(APEX), |zone| zone.delete(&name(owner), &tlsa(record)));
    }

    /// The record of an archive number of a lineage.
    pub fn record(&self, lineage: &str, number: usize, parameters: [u8; 3]) -> Association {
        record_of(&self.certbot.fullchain(lineage, number), parameters)
    }

    /// No violation yet, and something was checked.
    pub fn assert_clean(&self) {
        self.oracle.assert_clean();
    }

    /// No violation; every service of the lineage presents its newest certificate alone, and just one record a `tlsa` line.
    pub fn assert_settled(&self, lineage: &str) {
        self.assert_clean();
        let newest = self.certbot.fullchain(lineage, self.certbot.number(lineage));
        let section = self.setup.sections.iter().find(|section| section.lineage == lineage).unwrap();
        for (port, domain) in &section.ports {
            let presented = self.world.look(|state| state.services[&service_name(*port, domain)].presented());
            assert!(
                presented.len() == 1 && *presented[0] == newest[..],
                "{domain}:{port} presents {} chains",
                presented.len()
            );
            let owner = format!("_{port}._tcp.{domain}");
            let mut wanted: Vec<Association> =
                section.parameters(*port, domain).map(|p| record_of(&newest, p)).collect();
            let mut published = self.published(&owner);
            wanted.sort();
            published.sort();
            assert_eq!(published, wanted, "{owner}");
        }
    }

    /// How often the primary's zone has changed.
    pub fn serial(&self) -> u32 {
        self.world.look(|state| state.dns.zone(&name(APEX)).serial)
    }

    /// Does the primary have a TLSA RRset there?
    pub fn is_published(&self, owner: &str) -> bool {
        self.world.look(|state| state.dns.zone(&name(APEX)).set(&name(owner), RecordType::TLSA).is_some())
    }
}
