//! DANE clients: Postfix' posttls-finger, through each of the caches, at one endpoint after the other.

use crate::{
    enclosure::resolve_at,
    look::{Before, Kind},
    network::CACHES,
    watch::{Endpoint, Log},
};
use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How one client fared. The exit status of posttls-finger is always 0: its words count.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Duration,
    pub until: Duration,
    pub cache: usize,
    pub endpoint: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Verified,
    /// It found no TLSA records, or none that are signed.
    NoDane,
    Failed(String),
}

impl Sample {
    /// What went wrong, if from then on clients have to find a record.
    pub fn failure(&self, strict: Duration) -> Option<String> {
        let what = match &self.outcome {
            Outcome::Verified => return None,
            Outcome::NoDane if self.at < strict => return None,
            Outcome::NoDane => "no TLSA records",
            Outcome::Failed(said) => said,
        };
        let (at, until) = (self.at.as_secs_f64(), self.until.as_secs_f64());
        Some(format!("{at:.3}-{until:.3} s: {} through cache {}: {what}", self.endpoint, self.cache))
    }
}

struct Target {
    endpoint: Endpoint,
    begun: Instant,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Log>>,
}

/// The clients, as long as the laboratory is there.
#[derive(Clone, Default)]
pub struct Fingers {
    targets: Arc<Mutex<Vec<Arc<Target>>>>,
}

/// Between two clients of one cache, so that there are some twenty a second in all.
const PAUSE: Duration = Duration::from_millis(200);

impl Fingers {
    /// Starts a thread for each cache.
    pub fn start(dir: &Path) -> io::Result<Fingers> {
        let fingers = Fingers::default();
        fs::create_dir(dir)?;
        fs::write(dir.join("main.cf"), "compatibility_level = 3.6\nmyhostname = client.test\n")?;
        for (cache, address) in CACHES.into_iter().enumerate() {
            let (fingers, dir) = (fingers.clone(), dir.to_owned());
            thread::spawn(move || {
                resolve_at(address).unwrap();
                // Out of phase from the first question on.
                thread::sleep(PAUSE / 5 * cache as u32);
                fingers.keep_on(cache, &dir);
            });
        }
        Ok(fingers)
    }

    /// Visits this one, too, until it is told to stop.
    pub fn add(&self, endpoint: &Endpoint, begun: Instant, stop: Arc<AtomicBool>, log: Arc<Mutex<Log>>) {
        let target = Target { endpoint: endpoint.clone(), begun, stop, log };
        self.targets.lock().unwrap().push(Arc::new(target));
    }

    fn keep_on(&self, cache: usize, conf: &Path) {
        let mut turn = cache;
        loop {
            let next = Instant::now() + PAUSE;
            let target = {
                let mut targets = self.targets.lock().unwrap();
                targets.retain(|target| !target.stop.load(Ordering::Relaxed));
                turn += 1;
                targets.get(turn % targets.len().max(1)).cloned()
            };
            if let Some(target) = target {
                let at = target.begun.elapsed();
                let outcome = visit(&target.endpoint, conf);
                let (until, endpoint) = (target.begun.elapsed(), target.endpoint.owner());
                // What is being stopped is no longer judged.
                if !target.stop.load(Ordering::Relaxed) {
                    target.log.lock().unwrap().samples.push(Sample { at, until, cache, endpoint, outcome });
                }
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

fn visit(endpoint: &Endpoint, conf: &Path) -> Outcome {
    let mut command = Command::new("posttls-finger");
    command.args("-c -l dane-only -L summary,verbose -t 10 -T 10 -m 1".split(' ')).env("MAIL_CONFIG", conf);
    if endpoint.before == Before::Nothing {
        command.arg("-w");
    }
    match endpoint.kind {
        Kind::Any => {}
        Kind::Rsa => _ = command.args(["-p", "TLSv1.2", "-o", "tls_medium_cipherlist=aRSA"]),
        Kind::Ecdsa => _ = command.args(["-p", "TLSv1.2", "-o", "tls_medium_cipherlist=aECDSA"]),
    }
    command.arg(format!("[{}]:{}", endpoint.host, endpoint.address.port()));
    // After TLS a server of another kind says nothing that it understands, and it would wait.
    run(command, endpoint.before == Before::Nothing).unwrap_or_else(|error| Outcome::Failed(error.to_string()))
}

/// Reads what it says, to the end or to the verdict.
fn run(mut command: Command, to_the_verdict: bool) -> io::Result<Outcome> {
    let (reader, writer) = io::pipe()?;
    let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
    drop(command);
    let mut outcome = Outcome::Failed("it said nothing".to_owned());
    let mut said = String::new();
    for line in BufReader::new(reader).lines() {
        said += &format!("{} | ", line?);
        outcome = read(&said);
        if to_the_verdict && !matches!(outcome, Outcome::Failed(_)) {
            child.kill()?;
        }
    }
    child.wait()?;
    Ok(outcome)
}

/// What posttls-finger says comes to.
fn read(said: &str) -> Outcome {
    if said.contains("Verified TLS connection established") {
        Outcome::Verified
    } else if said.contains("no TLSA records found") {
        Outcome::NoDane
    } else {
        Outcome::Failed(said.to_owned())
    }
}
