//! DANE clients: Postfix' posttls-finger, through each of the caches, at one endpoint after the other.

use crate::{
    enclosure::resolve_at,
    look::{Before, Kind},
    network::CACHES,
    watch::{Endpoint, Log},
};
use std::{
    fs, io,
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
        // A server of another kind says nothing that it understands, but only after TLS.
        command.args(["-w", "-T", "1"]);
    }
    match endpoint.kind {
        Kind::Any => {}
        Kind::Rsa => _ = command.args(["-p", "TLSv1.2", "-o", "tls_medium_cipherlist=aRSA"]),
        Kind::Ecdsa => _ = command.args(["-p", "TLSv1.2", "-o", "tls_medium_cipherlist=aECDSA"]),
    }
    let destination = format!("[{}]:{}", endpoint.host, endpoint.address.port());
    match command.arg(destination).stdin(Stdio::null()).output() {
        Ok(output) => read(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat())),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// What posttls-finger says comes to.
fn read(said: &str) -> Outcome {
    if said.contains("Verified TLS connection established") {
        Outcome::Verified
    } else if said.contains("no TLSA records found") {
        Outcome::NoDane
    } else {
        Outcome::Failed(said.lines().collect::<Vec<_>>().join(" | "))
    }
}
