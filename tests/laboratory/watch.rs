//! Looks at one host all the time: what every authoritative server shows, what its files hold, what its services present,
//! and how DANE clients fare. [`Log::judge`] says what that means.

use crate::{
    clients::{Client, Record, Verdict, judge},
    fingers::{Fingers, Sample},
    look::{Before, Kind, look},
    network::CACHES,
    oracle::{Presented, Shown, violations},
    questions::Questions,
};
use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// One port of a host, and how to look at it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub host: String,
    pub address: SocketAddr,
    pub before: Before,
    pub kind: Kind,
}

impl Endpoint {
    /// Where its TLSA RRset is.
    pub fn owner(&self) -> String {
        format!("_{}._tcp.{}.", self.address.port(), self.host)
    }
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Subject {
    pub servers: &'static [&'static str],
    pub endpoints: Vec<Endpoint>,
    /// For each lineage what the client left, and what services read.
    pub lineages: Vec<[PathBuf; 2]>,
}

/// What a file held from when on.
pub type Changes = Vec<(Duration, Arc<str>)>;

/// Everything that was seen. Times are counted from the start.
#[derive(Default)]
pub struct Log {
    /// For each owner.
    pub shown: HashMap<String, Vec<Shown<Vec<Record>>>>,
    /// When a question was asked that no answer came to.
    pub unanswered: HashMap<String, Vec<Duration>>,
    /// For each owner.
    pub presented: HashMap<String, Vec<Presented<Arc<str>>>>,
    pub samples: Vec<Sample>,
    /// For each lineage what was live when, and what was served when: each change.
    pub files: Vec<[Changes; 2]>,
    /// From then on every client has to find a record that matches; before, one that finds none is content.
    pub strict: Option<Duration>,
    /// When the timer's runs began.
    pub runs: Vec<Duration>,
}

/// A running watch.
pub struct Watch {
    begun: Instant,
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

const DNS_EVERY: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(400);

impl Watch {
    /// Starts to look, and hands the endpoints to the clients.
    pub fn start(subject: Subject, fingers: &Fingers) -> Watch {
        let (begun, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let files = vec![Default::default(); subject.lineages.len()];
        let log = Arc::new(Mutex::new(Log { files, ..Log::default() }));
        for endpoint in &subject.endpoints {
            fingers.add(endpoint, begun, stop.clone(), log.clone());
        }
        let eye = || Eye { subject: subject.clone(), begun, stop: stop.clone(), log: log.clone() };
        let (dns, services) = (eye(), eye());
        let threads = vec![thread::spawn(move || dns.ask_and_read()), thread::spawn(move || services.visit())];
        Watch { begun, log, stop, threads }
    }

    /// Caches have forgotten by now that there was nothing.
    pub fn be_strict(&self) {
        self.log.lock().unwrap().strict = Some(self.begun.elapsed());
    }

    /// What a timer calls when it starts a run.
    pub fn runs_begin(&self) -> impl Fn() + Send + 'static {
        let (begun, log) = (self.begun, self.log.clone());
        move || log.lock().unwrap().runs.push(begun.elapsed())
    }

    /// Looks into the log.
    pub fn with<T>(&self, see: impl FnOnce(&Log) -> T) -> T {
        see(&self.log.lock().unwrap())
    }

    /// Stops.
    pub fn stop(mut self) -> Log {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Eye {
    subject: Subject,
    begun: Instant,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Log>>,
}

impl Eye {
    fn every(&self, interval: Duration, mut work: impl FnMut()) {
        while !self.stop.load(Ordering::Relaxed) {
            let next = Instant::now() + interval;
            work();
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn owners(&self) -> Vec<String> {
        let mut owners: Vec<_> = self.subject.endpoints.iter().map(Endpoint::owner).collect();
        owners.dedup();
        owners
    }

    fn ask_and_read(&self) {
        let questions = Questions::new(self.begun).unwrap();
        let owners = self.owners();
        let mut round = 0;
        self.every(DNS_EVERY, || {
            for owner in &owners {
                self.ask(&questions, owner);
                // Keeps one cache after the other filled, so that their answers differ in age.
                let _ = questions.send((CACHES[round % CACHES.len()], 53), owner, true);
                self.read(owner);
            }
            round += 1;
        });
    }

    fn ask(&self, questions: &Questions, owner: &str) {
        for (server, address) in self.subject.servers.iter().enumerate() {
            let asked = self.begun.elapsed();
            let answer = questions.ask(server, (*address, 53), owner);
            let mut log = self.log.lock().unwrap();
            match answer {
                Ok(Shown { server, asked, answered, ttl, records }) => {
                    let records = records.iter().map(Record::from).collect();
                    let shown = Shown { server, asked, answered, ttl, records };
                    log.shown.entry(owner.to_owned()).or_default().push(shown);
                }
                Err(_) => log.unanswered.entry(owner.to_owned()).or_default().push(asked),
            }
        }
    }

    /// What a service that starts now would present.
    fn read(&self, owner: &str) {
        for (number, [live, served]) in self.subject.lineages.iter().enumerate() {
            for (place, file) in [live, served].into_iter().enumerate() {
                let from = self.begun.elapsed();
                let content = fs::read_to_string(file);
                let until = self.begun.elapsed();
                let log = &mut *self.log.lock().unwrap();
                let key = content.map(Arc::from).map_err(|error| error.to_string());
                if let Ok(pem) = &key {
                    let changes = &mut log.files[number][place];
                    if changes.last().is_none_or(|(_, last)| last != pem) {
                        // A renewal was when the client wrote the file, a switch when services could see it.
                        let at = if place == 0 { self.written(file).map_or(until, |at| at.min(until)) } else { until };
                        changes.push((at, pem.clone()));
                    }
                }
                // A directory that is not there yet is nobody's.
                if place == 1 && !log.files[number][1].is_empty() {
                    let look = Presented { by: "a service that starts", from, until, key };
                    log.presented.entry(owner.to_owned()).or_default().push(look);
                }
            }
        }
    }

    fn written(&self, file: &Path) -> Option<Duration> {
        let ago = fs::metadata(file).ok()?.modified().ok()?.elapsed().ok()?;
        Some(self.begun.elapsed().saturating_sub(ago))
    }

    fn visit(&self) {
        self.every(LOOK_EVERY, || {
            for Endpoint { host, address, before, kind } in &self.subject.endpoints {
                let from = self.begun.elapsed();
                let key = look(*address, host, *before, *kind).map(Arc::from).map_err(|error| error.to_string());
                let seen = Presented { by: "the service", from, until: self.begun.elapsed(), key };
                let owner = format!("_{}._tcp.{host}.", address.port());
                self.log.lock().unwrap().presented.entry(owner).or_default().push(seen);
            }
        });
    }
}

/// How one switch went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Switch {
    /// Seconds since the renewal.
    pub took: f64,
    /// 2 × TTL after the last server showed the record, and when all servers answered, counted from the renewal, too.
    pub least: f64,
    /// From a run's begin to that of the next one, the longest between that moment and the switch. None if no timer ran then.
    pub interval: Option<f64>,
}

/// What a log amounts to.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// What the DANE clients did, and which of it failed.
    pub samples: usize,
    pub failed: Vec<String>,
    /// Answers, and looks at certificates.
    pub answers: usize,
    pub looks: usize,
    pub unanswered: usize,
    pub violations: Vec<String>,
    pub switches: Vec<Switch>,
}

impl Log {
    /// Both measures.
    pub fn judge(&self) -> Verdicts {
        let mut verdicts = Verdicts { unanswered: self.unanswered.values().map(Vec::len).sum(), ..Verdicts::default() };
        let strict = self.strict.unwrap_or(Duration::MAX);
        verdicts.samples = self.samples.len();
        verdicts.failed = self.samples.iter().filter_map(|sample| sample.failure(strict)).collect();
        for (owner, presented) in &self.presented {
            let shown = self.shown.get(owner).map(Vec::as_slice).unwrap_or_default();
            verdicts.answers += shown.len();
            verdicts.looks += presented.len();
            let (before, after) = presented.split_at(presented.partition_point(|look| look.from < strict));
            let judge = Memory::new(owner);
            verdicts
                .violations
                .extend(violations(shown, before, |records, pem| judge.verdict(records, pem) != Verdict::Fails));
            verdicts
                .violations
                .extend(violations(shown, after, |records, pem| judge.verdict(records, pem) == Verdict::Matches));
        }
        verdicts.switches = self.files.iter().flat_map(|changes| self.switches(changes)).collect();
        verdicts
    }

    /// From when something was first live to when it was first served, for all that was.
    fn switches(&self, [live, served]: &[Changes; 2]) -> Vec<Switch> {
        let switch = |(at, pem): &(Duration, Arc<str>)| {
            let (renewed, _) = live.iter().find(|(from, shown)| shown == pem && from <= at)?;
            let last_without = self.shown.iter().filter_map(|(owner, shown)| {
                let judge = Memory::new(owner);
                let before = shown.iter().filter(|answer| answer.answered <= *at);
                let without = before.filter(|answer| judge.verdict(&answer.records, pem) != Verdict::Matches);
                without.map(|answer| answer.answered + 2 * answer.ttl).max()
            });
            let silent = self.unanswered.values().flatten().filter(|asked| *asked <= at).copied();
            let least = last_without.chain(silent).max().unwrap_or_default().max(*renewed);
            Some(Switch {
                took: (*at - *renewed).as_secs_f64(),
                least: (least - *renewed).as_secs_f64(),
                interval: self.interval(least, *at).map(|interval| interval.as_secs_f64()),
            })
        };
        // What was served at first was not switched to.
        served.iter().skip(1).filter_map(switch).collect()
    }

    /// The longest distance between two runs of the timer of which the first began before `until` and the second after `from`,
    /// if it ran all the time.
    fn interval(&self, from: Duration, until: Duration) -> Option<Duration> {
        let ran = self.runs.first().is_some_and(|first| *first <= from);
        let pairs = self.runs.windows(2).filter(|pair| pair[0] <= until && pair[1] >= from);
        pairs.map(|pair| pair[1] - pair[0]).max().filter(|_| ran)
    }
}

type Known = HashMap<(Vec<Record>, Arc<str>), Verdict>;

/// The matching of one owner's base domain: the same question is answered once.
struct Memory {
    base: daneroll::name::DnsName,
    wall: i64,
    known: RefCell<Known>,
}

impl Memory {
    fn new(owner: &str) -> Memory {
        let base = owner.splitn(3, '.').nth(2).unwrap_or_default().parse().unwrap();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Memory { base, wall: wall as i64, known: RefCell::default() }
    }

    fn verdict(&self, records: &[Record], pem: &Arc<str>) -> Verdict {
        let judge = || judge(records, pem.as_bytes(), &self.base, self.wall, Client::Both);
        *self.known.borrow_mut().entry((records.to_vec(), pem.clone())).or_insert_with(judge)
    }
}
