//! One host: certificates from certbot, services that read the dane directory, daneroll between them, and its timer.

use crate::{
    clients::{Record, record_of},
    fingers::Fingers,
    look::{Before, Kind},
    namespace::must,
    network::{Network, PDNS, Place, Zone},
    program::{Daneroll, Timer},
    questions::Questions,
    renewer::Renewer,
    servers::{files_below, last_lines},
    watch::{Endpoint, Subject, Verdicts, Watch},
};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

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
    pub renewer: Renewer,
    /// Postfix is at 25 on each.
    pub ports: Vec<u16>,
    title: &'static str,
    begun: Instant,
    watch: RefCell<Option<Watch>>,
}

/// What a run that has nothing to do must leave alone: links, what servers show, how often Postfix was reloaded.
type Picture = (Vec<(PathBuf, PathBuf)>, Vec<Shown>, usize);
/// What each server shows, if it answers.
type Shown = Vec<Option<BTreeSet<Record>>>;

impl<'a> Host<'a> {
    /// A host with one lineage named like it, `3 1 1` at port 25.
    pub fn new(network: &'a Network, place: Place, title: &'static str) -> Host<'a> {
        let lineage = Lineage { name: place.name(), parameters: &[[3, 1, 1]], kind: Kind::Any };
        let (begun, watch) = (Instant::now(), RefCell::default());
        // certbot would make it for root alone.
        fs::create_dir(network.path(&format!("mx{}", place.number))).unwrap();
        Host {
            network,
            place,
            lineages: vec![lineage],
            renewer: Renewer::Certbot,
            ports: vec![25],
            title,
            begun,
            watch,
        }
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
        Daneroll::new(self.path("daneroll.conf"))
    }

    pub fn timer(&self) -> Timer {
        Timer::start(self.daneroll(), self.watch.borrow().as_ref().unwrap().runs_begin())
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
            if self.renewer == Renewer::Lego {
                text += &format!("source = lego {home}/lego\n");
            }
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
        let served = |lineage: &Lineage| self.path(&format!("dane/{}/fullchain.pem", lineage.name));
        let lineages = self.lineages.iter().map(|lineage| [self.live(lineage, "fullchain"), served(lineage)]).collect();
        self.watch_files(lineages, fingers);
    }

    /// The same where services read what the client writes.
    pub fn watch_live(&self, fingers: &Fingers) {
        let live = |lineage: &Lineage| self.live(lineage, "fullchain");
        self.watch_files(self.lineages.iter().map(|lineage| [live(lineage), live(lineage)]).collect(), fingers);
    }

    fn watch_files(&self, lineages: Vec<[PathBuf; 2]>, fingers: &Fingers) {
        let subject = Subject { servers: self.place.zone.servers(), endpoints: self.endpoints(), lineages };
        *self.watch.borrow_mut() = Some(Watch::start(subject, fingers));
    }

    /// What every server has to show at 25 when all is done: the records of what is live, and nothing else.
    pub fn wanted(&self) -> BTreeSet<Record> {
        let mut wanted = BTreeSet::new();
        for lineage in &self.lineages {
            let pem = fs::read(self.live(lineage, "fullchain")).unwrap();
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
    fn shown(&self, owner: &str) -> Shown {
        let questions = Questions::new(Instant::now()).unwrap();
        let ask = |(server, address): (usize, &&str)| {
            let shown = questions.ask(server, (*address, 53), owner).ok()?;
            Some(shown.records.iter().map(Record::from).collect())
        };
        self.place.zone.servers().iter().enumerate().map(ask).collect()
    }

    /// Waits until everything that is live is served, and its records are the only ones.
    pub fn until_done(&self) {
        self.until("the switch", || self.lineages.iter().all(|lineage| self.is_current(lineage)));
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
            assert!(self.is_current(lineage), "what is served is not what is live");
            let served = fs::canonicalize(self.path(&format!("dane/{}/.served", lineage.name))).unwrap();
            let live = self.live(lineage, "fullchain");
            let leads_to_live = served == fs::canonicalize(live.parent().unwrap()).unwrap();
            assert_eq!(leads_to_live, !always_pinned, "{} leads to {}", lineage.name, served.display());
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

    fn picture(&self) -> Picture {
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
        last_lines(&self.path(file), 40)
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            for (what, file, lines) in [
                ("runs of daneroll", self.path("runs.log"), 60),
                ("hooks", self.path("daneroll.log"), 20),
                ("Postfix", self.path("mail.log"), 15),
                ("named", self.network.path("named.log"), 10),
                ("knot", self.network.path("knot.log"), 10),
                ("nsd", self.network.path("nsd.log"), 10),
            ] {
                let _ = writeln!(std::io::stderr(), "--- {}: {what}\n{}", self.title, last_lines(&file, lines));
            }
        }
        let _ = self.network.namespace().signal(&format!("postfix-{}", self.place.name()), nix::sys::signal::SIGTERM);
    }
}

/// Writes a program.
pub fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    must(Command::new("chmod").arg("755").arg(path)).unwrap();
}
