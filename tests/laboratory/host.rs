//! One host: certificates from certbot, services that read the dane directory, daneroll between them, and its timer.

use crate::{
    clients::{Record, record_of},
    fingers::Fingers,
    look::{Before, Kind, look},
    namespace::must,
    network::{ACME, Network, PDNS, Place, Zone},
    questions::Questions,
    watch::{Endpoint, Subject, Verdicts, Watch},
};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Between two plain runs.
pub const RUN_EVERY: Duration = Duration::from_secs(1);
/// What each wait is given; a rollover takes about seven seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(90);

/// A certificate of the host.
#[derive(Clone, Debug)]
pub struct Lineage {
    pub name: String,
    /// Usage, selector and matching type of each record.
    pub parameters: &'static [[u8; 3]],
    pub kind: Kind,
}

/// The host, until it is dropped.
pub struct Host<'a> {
    pub network: &'a Network,
    pub place: Place,
    pub lineages: Vec<Lineage>,
    /// Postfix is at 25 on each.
    pub ports: Vec<u16>,
    title: &'static str,
    begun: Instant,
    watch: RefCell<Option<Watch>>,
}

/// How a run of daneroll ended, and what it said.
#[derive(Clone, Debug)]
pub struct Run {
    /// Exit code; -1 after a signal.
    pub code: i32,
    pub said: String,
}

/// daneroll with a configuration.
#[derive(Clone, Debug)]
pub struct Daneroll {
    conf: PathBuf,
}

impl Daneroll {
    /// The program under test; `DANEROLL` names another one, such as that of an installed package.
    pub fn program() -> String {
        std::env::var("DANEROLL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_daneroll").to_owned())
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(Daneroll::program());
        command.arg("-c").arg(&self.conf).arg("-l-").stdin(Stdio::null());
        command
    }

    /// A run to its end, a minute at most.
    pub fn run(&self, options: &[&str]) -> Run {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60", &Daneroll::program(), "-l-", "-c"]).arg(&self.conf).args(options);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Run { code: output.status.code().unwrap_or(-1), said: String::from_utf8_lossy(&said).into_owned() }
    }
}

/// A timer that lets daneroll run again and again.
pub struct Timer {
    stop: Arc<AtomicBool>,
    runs: Arc<Mutex<Vec<Run>>>,
    thread: JoinHandle<()>,
}

impl Timer {
    fn start(daneroll: Daneroll) -> Timer {
        let (stop, runs) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Run>>>::default());
        let (stopped, log) = (stop.clone(), runs.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let next = Instant::now() + RUN_EVERY;
                let run = daneroll.run(&[]);
                log.lock().unwrap().push(run);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Timer { stop, runs, thread }
    }

    /// What the runs have said until now.
    pub fn runs(&self) -> Vec<Run> {
        self.runs.lock().unwrap().clone()
    }

    /// Stops it; every run was a good one, or met another one.
    pub fn stop(self) -> Vec<Run> {
        let runs = self.halt();
        for run in &runs {
            assert!(matches!(run.code, 0 | 32), "daneroll ended with {}:\n{}", run.code, run.said);
        }
        runs
    }

    /// Stops it, however the runs ended.
    pub fn halt(self) -> Vec<Run> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut *self.runs.lock().unwrap())
    }
}

impl<'a> Host<'a> {
    /// A host with one lineage named like it, `3 1 1` at port 25.
    pub fn new(network: &'a Network, place: Place, title: &'static str) -> Host<'a> {
        let lineage = Lineage { name: place.name(), parameters: &[[3, 1, 1]], kind: Kind::Any };
        let (begun, watch) = (Instant::now(), RefCell::default());
        // certbot would make it for root alone.
        fs::create_dir(network.path(&format!("mx{}", place.number))).unwrap();
        Host { network, place, lineages: vec![lineage], ports: vec![25], title, begun, watch }
    }

    /// Issues, configures with these lines before the first section, starts Postfix, publishes the first record, and looks
    /// from then on.
    pub fn begin(&self, lines: &str, fingers: &Fingers) {
        self.issue(&[]);
        self.configure(lines);
        self.daneroll().run(&["--reset"]).expect(0);
        self.start_postfix("dane");
        self.watch(fingers);
        self.publish_first();
    }

    /// The first record, and when every cache knows it clients have no excuse any more.
    pub fn publish_first(&self) {
        let run = self.daneroll().run(&[]);
        run.expect(0);
        self.until("the first record", || self.records_are(&self.wanted()));
        self.be_strict();
        self.tell("first record published");
    }

    /// From now on a client that finds no record has failed. What caches know from before has ended.
    pub fn be_strict(&self) {
        thread::sleep(Duration::from_millis(2500));
        self.watch.borrow().as_ref().unwrap().be_strict();
    }

    pub fn tell(&self, what: &str) {
        let (number, title, time) = (self.place.number, self.title, self.begun.elapsed().as_secs_f64());
        let _ = writeln!(std::io::stderr(), "laboratory {number:2} {title}: {time:5.1} s  {what}");
    }

    pub fn home(&self) -> String {
        format!("mx{}", self.place.number)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.network.path(&self.home()).join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn daneroll(&self) -> Daneroll {
        Daneroll { conf: self.path("daneroll.conf") }
    }

    pub fn timer(&self) -> Timer {
        Timer::start(self.daneroll())
    }

    /// The first certificates.
    pub fn issue(&self, options: &[&str]) {
        for lineage in &self.lineages {
            let (name, address) = (self.place.name(), self.place.address());
            let mut args: Vec<&str> = "certonly --standalone --http-01-port 5002 --agree-tos".split(' ').collect();
            args.extend(["--register-unsafely-without-email", "--http-01-address", &address]);
            args.extend(["--server", ACME[0], "-d", &name, "--cert-name", &lineage.name, "--key-type"]);
            args.push(if lineage.kind == Kind::Rsa { "rsa" } else { "ecdsa" });
            self.certbot(&[&args, options].concat());
        }
        self.tell("certificate issued");
    }

    pub fn certbot(&self, args: &[&str]) -> String {
        let said = self.network.certbot(&format!("{}/le", self.home()), args);
        said.unwrap_or_else(|error| panic!("{error}\npebble:\n{}", self.network.tail("pebble")))
    }

    /// Renews every lineage with certbot, daneroll being its pre and post hook.
    pub fn renew(&self, options: &[&str]) {
        let said = self.renew_whatever(options);
        // certbot only reports a hook that fails and goes on.
        assert!(!said.contains("error code"), "a hook failed:\n{said}\n{}", self.tail("daneroll.log"));
    }

    /// The same, and hooks may fail.
    pub fn renew_whatever(&self, options: &[&str]) -> String {
        let hook = |word: &str| format!("{} -c {} {word}", Daneroll::program(), self.text("daneroll.conf"));
        let (pre, post) = (hook("--pre"), hook("--post"));
        self.renew_without_hooks(&[&["--pre-hook", &pre, "--post-hook", &post], options].concat())
    }

    pub fn renew_without_hooks(&self, options: &[&str]) -> String {
        let said = self.certbot(&[&["renew", "--force-renewal", "--no-random-sleep-on-renew"], options].concat());
        self.tell("renewed");
        said
    }

    /// Writes the configuration; `lines` come before the sections.
    pub fn configure(&self, lines: &str) {
        let dir = self.network.text("");
        let api = match self.place.zone {
            Zone::Pdns => format!("powerdns {PDNS} key:{dir}powerdns.key"),
            zone => format!("rfc2136 {}:53 key:{dir}tsig.key", zone.servers()[0]),
        };
        let home = self.text("");
        let home = home.trim_end_matches('/');
        let mut text = format!(
            "letsencrypt_directory = {home}/le\ndane_directory = {home}/dane\nstate_directory = {home}/state\n\
             log = {home}/daneroll.log\nresolver = 127.0.0.53\ntrust_anchor = {dir}anchor.key\napi = {api}\n"
        );
        let defaults = "ttl = 0\nsettle = 20\nhold = 1\nrecord_ttl = 2\nreload = postfix -c @HOME@/etc reload\n";
        let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let other = |line: &&str| !lines.lines().any(|ours| key(ours) == key(line));
        for line in defaults.lines().filter(other).chain(lines.lines()) {
            text += &format!("{}\n", line.replace("@HOME@", home));
        }
        for lineage in &self.lineages {
            text += &format!("[{}]\n", lineage.name);
            for ([usage, selector, matching], port) in self.kinds(lineage) {
                text += &format!("tlsa = {usage}{selector}{matching} {port} {}\n", self.place.name());
            }
        }
        fs::write(self.path("daneroll.conf"), text).unwrap();
        let run = self.daneroll().run(&["--config-test"]);
        run.expect(0);
        assert!(!run.said.contains("warning"), "{}", run.said);
    }

    fn kinds(&self, lineage: &Lineage) -> impl Iterator<Item = ([u8; 3], u16)> {
        self.ports.iter().flat_map(|port| lineage.parameters.iter().map(|parameters| (*parameters, *port)))
    }

    /// Starts Postfix; it reads `dane` or `le/live`.
    pub fn start_postfix(&self, from: &str) {
        let chain = |lineage: &Lineage| {
            let dir = self.text(&format!("{from}/{}", lineage.name));
            format!("{dir}/privkey.pem, {dir}/fullchain.pem")
        };
        let chains: Vec<String> = self.lineages.iter().map(chain).collect();
        self.network
            .start_postfix(&self.home(), &self.place.name(), &self.place.address(), &chains.join(", "))
            .unwrap();
        self.until("Postfix", || {
            let endpoint = &self.endpoints()[0];
            look(endpoint.address, &endpoint.host, Before::Smtp, Kind::Any).is_ok()
        });
    }

    pub fn reload_postfix(&self) {
        must(Command::new("postfix").args(["-c", &self.text("etc"), "reload"])).unwrap();
    }

    /// Starts dovecot at 993 and nginx at 443.
    pub fn start_others(&self) {
        let home = self.text("");
        let home = home.trim_end_matches('/');
        for (name, text) in [
            ("dovecot.conf", include_str!("../system/etc/laboratory/dovecot.conf")),
            ("nginx.conf", include_str!("../system/etc/laboratory/nginx.conf")),
        ] {
            let text = text.replace("@HOME@", home).replace("@ADDRESS@", &self.place.address());
            fs::write(self.path(name), text.replace("@HOST@", &self.place.name())).unwrap();
        }
        let serve = |argv: &[&str]| self.network.namespace().serve(&format!("{}-{}", argv[0], self.home()), argv, &[]);
        serve(&["dovecot", "-F", "-c", &format!("{home}/dovecot.conf")]).unwrap();
        serve(&["nginx", "-p", home, "-c", &format!("{home}/nginx.conf")]).unwrap();
        for Endpoint { host, address, before, kind } in self.endpoints() {
            self.until("dovecot and nginx", || look(address, &host, before, kind).is_ok());
        }
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        for port in &self.ports {
            for lineage in &self.lineages {
                let address = format!("{}:{port}", self.place.address()).parse().unwrap();
                let before = if *port == 25 { Before::Smtp } else { Before::Nothing };
                endpoints.push(Endpoint { host: self.place.name(), address, before, kind: lineage.kind });
            }
        }
        endpoints
    }

    /// Looks from now on.
    pub fn watch(&self, fingers: &Fingers) {
        self.watch_services_of(fingers, "dane");
    }

    /// The same where services read this directory.
    pub fn watch_services_of(&self, fingers: &Fingers, from: &str) {
        let files = |lineage: &Lineage| {
            [self.live(&lineage.name), format!("{from}/{}", lineage.name)]
                .map(|dir| self.path(&dir).join("fullchain.pem"))
        };
        let lineages = self.lineages.iter().map(files).collect();
        let subject = Subject { servers: self.place.zone.servers(), endpoints: self.endpoints(), lineages };
        *self.watch.borrow_mut() = Some(Watch::start(subject, fingers));
    }

    fn live(&self, lineage: &str) -> String {
        format!("le/live/{lineage}")
    }

    /// A file of certbot's archive.
    fn archived(&self, lineage: &str, file: &str, number: usize) -> PathBuf {
        self.path(&format!("le/archive/{lineage}/{file}{number}.pem"))
    }

    /// The newest number of a lineage.
    pub fn newest(&self, lineage: &str) -> usize {
        let names = fs::read_dir(self.path(&format!("le/archive/{lineage}"))).unwrap();
        let number = |name: String| name.strip_prefix("cert")?.strip_suffix(".pem")?.parse().ok();
        names.flatten().filter_map(|entry| number(entry.file_name().into_string().ok()?)).max().unwrap()
    }

    /// Which number of the lineage the dane directory shows, if all four files are of the same.
    pub fn served(&self, lineage: &str) -> Option<usize> {
        let is = |&number: &usize| {
            ["cert", "chain", "fullchain", "privkey"].iter().all(|file| {
                let shown = fs::read(self.path(&format!("dane/{lineage}/{file}.pem")));
                shown.is_ok_and(|shown| fs::read(self.archived(lineage, file, number)).is_ok_and(|kept| kept == shown))
            })
        };
        (1..=self.newest(lineage)).rev().find(is)
    }

    /// What every server has to show at 25 when all is done: the records of what is live, and nothing else.
    pub fn wanted(&self) -> BTreeSet<Record> {
        let mut wanted = BTreeSet::new();
        for lineage in &self.lineages {
            let pem = fs::read(self.path(&self.live(&lineage.name)).join("fullchain.pem")).unwrap();
            wanted.extend(lineage.parameters.iter().map(|&parameters| {
                let daneroll::tlsa::Association { usage, selector, matching, data } = record_of(&pem, parameters);
                Record { usage, selector, matching, data }
            }));
        }
        wanted
    }

    /// Does every server show exactly these, at every port?
    pub fn records_are(&self, wanted: &BTreeSet<Record>) -> bool {
        self.owners().iter().all(|owner| self.shown(owner).iter().all(|shown| shown.as_ref() == Some(wanted)))
    }

    fn owners(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("_{port}._tcp.{}.", self.place.name())).collect()
    }

    /// What each server shows.
    pub fn shown(&self, owner: &str) -> Vec<Option<BTreeSet<Record>>> {
        let questions = Questions::new(Instant::now()).unwrap();
        let ask = |(server, address): (usize, &&str)| {
            let shown = questions.ask(server, (*address, 53), owner).ok()?;
            Some(shown.records.iter().map(Record::from).collect())
        };
        self.place.zone.servers().iter().enumerate().map(ask).collect()
    }

    /// Waits until everything that is live is served, and its records are the only ones.
    pub fn until_done(&self) {
        let newest = |lineage: &Lineage| self.served(&lineage.name) == Some(self.newest(&lineage.name));
        self.until("the switch", || self.lineages.iter().all(newest));
        self.tell("switched");
        self.until("the old records to go", || self.records_are(&self.wanted()));
    }

    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_so() {
            if Instant::now() > deadline {
                let shown: Vec<_> = self.owners().iter().map(|owner| self.shown(owner)).collect();
                panic!("{what}: not within {LIMIT:?}; the servers show {shown:?}, wanted {:?}", self.wanted());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Links are where they belong, nothing is pending, and a further run changes nothing.
    pub fn expect_rest(&self, always_pinned: bool) {
        // The run that sees the old record gone may still note it.
        self.daneroll().run(&[]).expect(0);
        let before = self.picture();
        self.daneroll().run(&[]).expect(0);
        assert_eq!(self.picture(), before, "a run with nothing to do changed something");
        for lineage in &self.lineages {
            assert_eq!(self.served(&lineage.name), Some(self.newest(&lineage.name)), "what is served");
            let served = fs::canonicalize(self.path(&format!("dane/{}/.served", lineage.name))).unwrap();
            let live = fs::canonicalize(self.path(&self.live(&lineage.name))).unwrap();
            assert_eq!(served != live, always_pinned, "{} leads to {}", lineage.name, served.display());
        }
        let status = self.daneroll().run(&["status", "--json"]);
        status.expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.said).unwrap();
        assert_eq!(status["problems"].as_array().map(Vec::len), Some(0), "{status:#}");
        for file in files_below(&self.path("state")).iter().filter(|file| file.extension().is_some_and(|e| e == "json"))
        {
            let text = fs::read_to_string(file).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
    }

    fn picture(&self) -> (Vec<(PathBuf, PathBuf)>, Vec<Vec<Option<BTreeSet<Record>>>>, usize) {
        let link = |path: PathBuf| fs::read_link(&path).ok().map(|target| (path, target));
        let links = files_below(&self.path("dane")).into_iter().filter_map(link).collect();
        let reloads = fs::read_to_string(self.path("mail.log")).unwrap_or_default().matches("reload --").count();
        (links, self.owners().iter().map(|owner| self.shown(owner)).collect(), reloads)
    }

    /// Looks into what was seen until now.
    pub fn see<T>(&self, see: impl FnOnce(&crate::watch::Log) -> T) -> T {
        self.watch.borrow().as_ref().unwrap().with(see)
    }

    /// Looks no more; what it came to.
    pub fn stop(&self) -> Verdicts {
        self.watch.borrow_mut().take().unwrap().stop().judge()
    }

    pub fn tail(&self, file: &str) -> String {
        tail(&self.path(file), 40)
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            for (what, file, lines) in [
                ("daneroll", self.path("daneroll.log"), 60),
                ("Postfix", self.path("mail.log"), 15),
                ("named", self.network.path("named.log"), 10),
                ("knot", self.network.path("knot.log"), 10),
                ("nsd", self.network.path("nsd.log"), 10),
            ] {
                let _ = writeln!(std::io::stderr(), "--- {}: {what}\n{}", self.title, tail(&file, lines));
            }
        }
        let _ = self.network.namespace().signal(&format!("postfix-{}", self.place.name()), nix::sys::signal::SIGTERM);
    }
}

impl Run {
    /// Panics with everything that was said unless the exit code is this one.
    pub fn expect(&self, code: i32) {
        assert_eq!(self.code, code, "daneroll said:\n{}", self.said);
    }
}

fn tail(file: &Path, count: usize) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// All files and links below a directory, links not followed.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Writes a program.
pub fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    must(Command::new("chmod").arg("755").arg(path)).unwrap();
}
