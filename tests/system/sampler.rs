//! A thread that asks both servers and reads the dane directory about twenty times a second, as fast clients would.

use crate::{
    lab::{Lab, OWNER, SERVERS},
    oracle::{Presented, Shown},
    servers::spki_sha256,
};
use hickory_resolver::proto::{
    op::{Message, Query},
    rr::{RData, Record, RecordType},
};
use std::{
    collections::HashMap,
    fs, io,
    net::UdpSocket,
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
        let socket = thread::scope(|scope| scope.spawn(|| inside(lab)).join()).unwrap().unwrap();
        let thread = thread::spawn(move || {
            let mut eye = Eye { begun: Instant::now(), socket, copy, keys: HashMap::new(), log: Log::default() };
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
fn inside(lab: &Lab) -> io::Result<UdpSocket> {
    lab.namespace().enter()?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok(socket)
}

struct Eye {
    begun: Instant,
    socket: UdpSocket,
    copy: PathBuf,
    keys: HashMap<Vec<u8>, Result<String, String>>,
    log: Log,
}

impl Eye {
    fn look(&mut self, files: &[(&'static str, PathBuf)]) {
        for (server, address) in SERVERS.iter().enumerate() {
            match self.ask(server, address) {
                Ok(shown) => self.log.shown.push(shown),
                Err(_) => self.log.unanswered += 1,
            }
        }
        for (by, file) in files {
            let from = self.begun.elapsed();
            let content = fs::read(file);
            let until = self.begun.elapsed();
            let key = content.map_err(|e| e.to_string()).and_then(|pem| self.key(pem));
            self.log.presented.push(Presented { by, from, until, key });
        }
    }

    fn ask(&mut self, server: usize, address: &str) -> io::Result<Shown> {
        let mut question = Message::query();
        question.add_query(Query::query(OWNER.parse().map_err(io::Error::other)?, RecordType::TLSA));
        let asked = self.begun.elapsed();
        self.socket.send_to(&question.to_vec().map_err(io::Error::other)?, (address, 53))?;
        let answer = self.receive(question.metadata.id)?;
        let answered = self.begun.elapsed();
        if !answer.metadata.authoritative {
            return Err(io::Error::other("not authoritative"));
        }
        let records = answer.answers.iter().filter_map(association).collect();
        // A denial is kept as long as its SOA and NSEC records say.
        let lasting = if answer.answers.is_empty() { &answer.authorities } else { &answer.answers };
        let ttl = lasting.iter().map(|record| record.ttl).max().unwrap_or(0);
        Ok(Shown { server, asked, answered, ttl: Duration::from_secs(ttl.into()), records })
    }

    /// The answer with this id; a late one to an earlier question is passed over.
    fn receive(&self, id: u16) -> io::Result<Message> {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer)?;
            let message = Message::from_vec(&buffer[..length]).map_err(io::Error::other)?;
            if message.metadata.id == id {
                return Ok(message);
            }
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
fn association(record: &Record) -> Option<String> {
    let RData::TLSA(tlsa) = &record.data else { return None };
    let parameters = (u8::from(tlsa.cert_usage), u8::from(tlsa.selector), u8::from(tlsa.matching));
    (parameters == (3, 1, 1)).then(|| data_encoding::HEXLOWER.encode(&tlsa.cert_data))
}
