//! Asks the server and looks at the service all the time, as fast clients would; the oracle judges what was seen.

use crate::{
    lab::{Lab, SERVER, spki_sha256},
    namespace::Namespace,
    oracle::{Presented, Shown, violations},
};
use hickory_resolver::proto::{
    op::{Message, Query},
    rr::{RData, Record, RecordType},
};
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    net::UdpSocket,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Answers by owner, and looks at the service.
type Log = (Vec<Vec<Shown>>, Vec<Presented>);

pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Log>>,
}

impl Watch {
    /// `smtp`: looks at port 25 with openssl; else at the file that stands for the service.
    pub fn start(lab: &Lab, owners: &[&'static str], smtp: bool) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let socket = thread::scope(|scope| scope.spawn(|| inside(lab)).join()).unwrap().unwrap();
        let look: Box<dyn Fn() -> Result<Vec<u8>, String> + Send> = match smtp {
            true => {
                let mut command = s_client(lab.namespace());
                let run = std::sync::Mutex::new(move || certificate(&mut command));
                Box::new(move || run.lock().unwrap()())
            }
            false => {
                let file = lab.path("presented.pem");
                Box::new(move || fs::read(&file).map_err(|error| error.to_string()))
            }
        };
        let (stopped, copy, owners) = (stop.clone(), lab.path("sampled.pem"), owners.to_vec());
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            let (mut log, mut keys): (Log, _) = ((vec![Vec::new(); owners.len()], Vec::new()), HashMap::new());
            while !stopped.load(Ordering::Relaxed) {
                for (at, owner) in owners.iter().enumerate() {
                    log.0[at].extend(ask(&socket, owner, begun));
                }
                let from = begun.elapsed();
                let seen = look();
                let until = begun.elapsed();
                let key = seen.map(|pem| keys.entry(pem).or_insert_with_key(|pem| key(pem, &copy)).clone());
                log.1.push(Presented { by: "the service", from, until, key });
                thread::sleep(Duration::from_millis(40));
            }
            log
        });
        Watch { stop, thread: Some(thread) }
    }

    /// No client with whatever cache saw a certificate that its records did not match. Without records there is no DANE.
    pub fn expect_peace(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let (shown, presented) = self.thread.take().unwrap().join().unwrap();
        let seen: Vec<Presented> = presented.iter().filter(|look| look.key.is_ok()).cloned().collect();
        assert!(
            seen.len() > 20 && seen.len() * 10 > presented.len() * 9,
            "{} of {} looks",
            seen.len(),
            presented.len()
        );
        for answers in shown {
            assert!(answers.len() > 20);
            let dane: Vec<Shown> = answers.into_iter().filter(|shown| !shown.records.is_empty()).collect();
            let found = violations(&dane, &seen, BTreeSet::contains);
            assert!(found.is_empty(), "{} mismatches, the first: {}", found.len(), found[0]);
        }
    }
}

impl Drop for Watch {
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

fn ask(socket: &UdpSocket, owner: &str, begun: Instant) -> Option<Shown> {
    let mut question = Message::query();
    question.add_query(Query::query(owner.parse().ok()?, RecordType::TLSA));
    let asked = begun.elapsed();
    socket.send_to(&question.to_vec().ok()?, (SERVER, 53)).ok()?;
    let mut buffer = [0; 4096];
    let answer = loop {
        let length = socket.recv(&mut buffer).ok()?;
        let answer = Message::from_vec(&buffer[..length]).ok()?;
        if answer.metadata.id == question.metadata.id {
            break answer;
        }
    };
    let records = answer.answers.iter().filter_map(association).collect();
    let ttl = answer.answers.iter().map(|record| record.ttl).max().unwrap_or(0);
    let answered = begun.elapsed();
    answer.metadata.authoritative.then_some(Shown {
        server: 0,
        asked,
        answered,
        ttl: Duration::from_secs(ttl.into()),
        records,
    })
}

/// The association data of a 3 1 1 record.
fn association(record: &Record) -> Option<String> {
    let RData::TLSA(tlsa) = &record.data else { return None };
    let parameters = (u8::from(tlsa.cert_usage), u8::from(tlsa.selector), u8::from(tlsa.matching));
    (parameters == (3, 1, 1)).then(|| data_encoding::HEXLOWER.encode(&tlsa.cert_data))
}

fn key(pem: &[u8], copy: &PathBuf) -> String {
    fs::write(copy, pem).unwrap();
    spki_sha256(copy)
}

fn s_client(namespace: &Namespace) -> Command {
    let mut command = namespace.command("timeout");
    command.args(["5", "openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:25"]);
    command.args(["-no_ign_eof"]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn certificate(command: &mut Command) -> Result<Vec<u8>, String> {
    let said = command.output().map_err(|error| error.to_string())?.stdout;
    let text = String::from_utf8_lossy(&said);
    let (begin, end) = (text.find("-----BEGIN CERT"), text.find("-----END CERTIFICATE-----"));
    match (begin, end) {
        (Some(begin), Some(end)) if begin < end => {
            Ok(format!("{}-----END CERTIFICATE-----\n", &text[begin..end]).into())
        }
        _ => Err(format!("no certificate: {text}")),
    }
}

/// The certificate that Postfix presents now.
pub fn over_smtp(namespace: &Namespace) -> Result<Vec<u8>, String> {
    certificate(&mut s_client(namespace))
}
