//! A thread that asks both servers and reads the dane directory about twenty times a second, as fast clients would.

use crate::{
    lab::{Lab, OWNER, SERVERS},
    oracle::{Presented, Shown},
    questions::Questions,
    servers::spki_sha256,
};
use hickory_resolver::proto::rr::rdata::TLSA;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A running sampler.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Log>>,
}

/// What was seen.
#[derive(Default)]
pub struct Log {
    /// Answers of both servers.
    pub shown: Vec<Shown>,
    /// Looks at the certificate files.
    pub presented: Vec<Presented>,
    /// Questions without an answer.
    pub unanswered: usize,
}

impl Sampler {
    /// Starts; each file is looked at as the certificate that NAME presents.
    pub fn start(lab: &Lab, files: Vec<(&'static str, PathBuf)>) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, copy) = (stop.clone(), lab.path("sampled.pem"));
        let questions = thread::scope(|scope| scope.spawn(|| inside(lab)).join()).unwrap().unwrap();
        let thread = thread::spawn(move || {
            let mut eye = Eye { questions, copy, keys: HashMap::new(), log: Log::default() };
            while !stopped.load(Ordering::Relaxed) {
                eye.look(&files);
                thread::sleep(Duration::from_millis(40));
            }
            eye.log
        });
        Sampler { stop, thread: Some(thread) }
    }

    /// Stops and hands over what was seen.
    pub fn stop(mut self) -> Log {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A socket in the namespace of the laboratory; it stays there when another thread uses it.
fn inside(lab: &Lab) -> io::Result<Questions> {
    lab.namespace().enter()?;
    Questions::new(Instant::now())
}

struct Eye {
    questions: Questions,
    copy: PathBuf,
    keys: HashMap<Vec<u8>, Result<String, String>>,
    log: Log,
}

impl Eye {
    fn look(&mut self, files: &[(&'static str, PathBuf)]) {
        for (server, address) in SERVERS.iter().enumerate() {
            match self.questions.ask(server, (*address, 53), OWNER) {
                Ok(Shown { server, asked, answered, ttl, records }) => {
                    let records = records.iter().filter_map(association).collect();
                    self.log.shown.push(Shown { server, asked, answered, ttl, records });
                }
                Err(_) => self.log.unanswered += 1,
            }
        }
        for (by, file) in files {
            let from = self.questions.begun.elapsed();
            let content = fs::read(file);
            let until = self.questions.begun.elapsed();
            let key = content.map_err(|e| e.to_string()).and_then(|pem| self.key(pem));
            self.log.presented.push(Presented { by, from, until, key });
        }
    }

    /// The key in a PEM file's first certificate; openssl is asked once for each content.
    fn key(&mut self, pem: Vec<u8>) -> Result<String, String> {
        let copy: &Path = &self.copy;
        let compute = |pem: &Vec<u8>| fs::write(copy, pem).and_then(|()| spki_sha256(copy)).map_err(|e| e.to_string());
        self.keys.entry(pem).or_insert_with_key(compute).clone()
    }
}

/// The association data of a 3 1 1 record.
fn association(tlsa: &TLSA) -> Option<String> {
    let parameters = (u8::from(tlsa.cert_usage), u8::from(tlsa.selector), u8::from(tlsa.matching));
    (parameters == (3, 1, 1)).then(|| data_encoding::HEXLOWER.encode(&tlsa.cert_data))
}
