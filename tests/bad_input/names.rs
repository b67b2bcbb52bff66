//! Name servers that do not do what they should.

use crate::lab::{LINEAGE, Lab};
use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{CNAME, SOA, TLSA},
    },
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// What comes back for a question; nothing: no answer over UDP, and over TCP the connection is closed.
pub type Answer = dyn Fn(&Message, bool) -> Option<Vec<u8>> + Send + Sync;

/// A name server that answers as it is told, over UDP and TCP.
pub struct Server {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    pub fn silent() -> Server {
        Server::start(|_, _| None)
    }

    /// The answer is made from the question, and from whether it came over TCP.
    pub fn start(answer: impl Fn(&Message, bool) -> Option<Vec<u8>> + Send + Sync + 'static) -> Server {
        let (listener, socket) = sockets();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, count): (Arc<Answer>, _) = (Arc::new(answer), asked.clone());
        let over_tcp = answer.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                count.fetch_add(1, Relaxed);
                if let Some(bytes) = answer(&Message::from_vec(&buffer[..length]).unwrap(), false) {
                    // A datagram that is too long for UDP cannot be sent by anybody.
                    let _ = socket.send_to(&bytes, from);
                }
            }
        });
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                if let Some(bytes) = over_tcp(&Message::from_vec(&question).unwrap(), true) {
                    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
                    let _ = stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat());
                }
            }
        });
        Server { address, asked }
    }

    /// Questions over UDP until now.
    pub fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, socket);
        }
    }
}

/// An authoritative answer without records.
fn reply(question: &Message) -> Message {
    let mut reply = Message::response(question.id, OpCode::Query);
    reply.add_query(question.queries[0].clone());
    reply.metadata.authoritative = true;
    reply
}

/// The usual denial.
fn denial(question: &Message) -> Message {
    let zone = Name::from_ascii("example.test.").unwrap();
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 60, 60);
    let mut reply = reply(question);
    reply.add_authority(Record::from_rdata(zone, 60, RData::SOA(soa)));
    reply
}

fn bytes(message: &Message) -> Option<Vec<u8>> {
    Some(message.to_vec().unwrap())
}

fn with_code(code: ResponseCode) -> Box<Answer> {
    Box::new(move |question, _| {
        let mut reply = reply(question);
        reply.metadata.response_code = code;
        bytes(&reply)
    })
}

/// Truncated over UDP; over TCP as told.
fn truncated(over_tcp: impl Fn(&Message) -> Option<Vec<u8>> + Send + Sync + 'static) -> Box<Answer> {
    Box::new(move |question, tcp| {
        if tcp {
            return over_tcp(question);
        }
        let mut reply = reply(question);
        reply.metadata.truncation = true;
        bytes(&reply)
    })
}

fn record(owner: &Name, number: u32) -> Record {
    let data = [number.to_be_bytes().repeat(8)].concat();
    Record::from_rdata(owner.clone(), 60, RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), data)))
}

/// The bytes of an empty answer with other counts in its header, and something behind it.
fn forged(question: &Message, answers: u16, tail: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes(&reply(question))?;
    bytes[6..8].copy_from_slice(&answers.to_be_bytes());
    bytes.extend(tail);
    Some(bytes)
}

/// A TLSA record head that owns the name at `pointer` and claims so many bytes of data.
fn record_head(pointer: u16, length: u16) -> Vec<u8> {
    [&(0xc000 | pointer).to_be_bytes()[..], &[0, 52, 0, 1, 0, 0, 0, 60], &length.to_be_bytes()].concat()
}

/// What a server does, and what the run says about it.
fn misdeeds() -> Vec<(&'static str, Box<Answer>, &'static str)> {
    let other = |question: &Message| {
        let mut other = question.clone();
        other.queries[0].set_name(Name::from_ascii("_25._tcp.other.example.").unwrap());
        bytes(&denial(&other))
    };
    vec![
        ("silent", Box::new(|_, _| None), "no answer within"),
        (
            "lame",
            Box::new(|question, _| {
                let mut lame = denial(question);
                lame.metadata.authoritative = false;
                bytes(&lame)
            }),
            "authoritative",
        ),
        ("servfail", with_code(ResponseCode::ServFail), "SERVFAIL"),
        ("refused", with_code(ResponseCode::Refused), "REFUSED"),
        ("notimp", with_code(ResponseCode::NotImp), ""),
        ("formerr", with_code(ResponseCode::FormErr), ""),
        ("badvers", with_code(ResponseCode::BADVERS), ""),
        ("tcp closed", truncated(|_| None), "closed the connection"),
        (
            "tcp truncated too",
            truncated(|question| {
                let mut half = reply(question);
                half.metadata.truncation = true;
                bytes(&half)
            }),
            "truncated even over TCP",
        ),
        ("tcp half", truncated(|question| Some(bytes(&reply(question))?[..20].to_vec())), ""),
        ("tcp other", truncated(move |question| other(question)), "another question over TCP"),
        ("other name", Box::new(move |question, _| other(question)), "no answer within"),
        (
            "wrong id",
            Box::new(|question, _| {
                let mut reply = denial(question);
                reply.metadata.id ^= 1;
                bytes(&reply)
            }),
            "no answer within",
        ),
        ("not an answer", Box::new(|question, _| bytes(question)), "no answer within"),
        ("neither records nor denial", Box::new(|question, _| bytes(&reply(question))), ""),
        (
            "cname loop",
            Box::new(|question, _| {
                let name = question.queries[0].name().clone();
                let mut looped = reply(question);
                looped.add_answer(Record::from_rdata(name.clone(), 60, RData::CNAME(CNAME(name))));
                bytes(&looped)
            }),
            "",
        ),
        ("65,535 records announced", Box::new(|question, _| forged(question, u16::MAX, &[])), "cannot be parsed"),
        (
            "name that leads to itself",
            Box::new(|question, _| {
                let place = u16::try_from(bytes(&reply(question))?.len()).unwrap();
                forged(question, 1, &record_head(place, 35))
            }),
            "cannot be parsed",
        ),
        (
            "two names that lead to each other",
            Box::new(|question, _| {
                let place = u16::try_from(bytes(&reply(question))?.len()).unwrap();
                forged(question, 2, &[record_head(place + 12, 0), record_head(place, 0)].concat())
            }),
            "cannot be parsed",
        ),
        (
            "data longer than the message",
            Box::new(|question, _| forged(question, 1, &record_head(12, u16::MAX))),
            "cannot be parsed",
        ),
        ("empty data", Box::new(|question, _| forged(question, 1, &record_head(12, 0))), ""),
        ("a full datagram of nothing", Box::new(|question, _| forged(question, 1, &[0; 60_000])), ""),
        ("64 KiB of names over TCP", truncated(|question| forged(question, u16::MAX, &[0; 65_000])), ""),
        ("64 KiB of noise over TCP", truncated(|_| Some(vec![0xa5; 65_535])), "another question over TCP"),
        (
            "10,000 tiny records over TCP",
            truncated(|question| {
                let one = [&record_head(12, 3)[..], &[3, 1, 1]].concat();
                let mut all = forged(question, 10_000, &one.repeat(4_300))?;
                all.truncate(65_535);
                Some(all)
            }),
            "cannot be parsed",
        ),
    ]
}

/// The server is the zone's, and the validating resolver on this host that finds nothing signed.
fn authoritative(lab: &Lab, server: &Server) {
    let (head, address, provider) = (lab.head(), server.address, lab.text("provider"));
    lab.write_configuration(format!(
        "{head}resolver = {address}\ndnssec = resolver\n[{LINEAGE}]\nverify = authoritative\nnameservers = {address}\n\
         tlsa = 311 25\napi = exec {provider}\n"
    ));
}

#[test]
fn nothing_is_published_blindly() {
    thread::scope(|scope| {
        scope.spawn(a_resolver_that_says_nothing);
        for (name, answer, words) in misdeeds() {
            scope.spawn(move || {
                let server = Server::start(answer);
                let lab = Lab::new();
                authoritative(&lab, &server);
                lab.run(&["--reset"]).ends(0);
                let before = lab.picture();
                let began = Instant::now();
                let run = lab.run(&["-l-"]).ends(0);
                assert!(began.elapsed() < Duration::from_secs(20), "{name}");
                let told = run.out.lines().filter(|line| line.contains("waiting to")).collect::<Vec<_>>();
                assert_eq!(told.len(), 1, "{name}: {run:#?}");
                let address = server.address.to_string();
                assert!(told[0].contains(&address) && told[0].contains(words), "{name}: {}", told[0]);
                assert!(told[0].len() < 700, "{name}: {}", told[0]);
                assert_eq!(lab.calls(), 0, "{name}");
                let files = |picture: crate::lab::Picture| {
                    picture.into_iter().filter(|(path, _)| !path.starts_with(lab.path("state"))).collect::<Vec<_>>()
                };
                assert_eq!(files(before), files(lab.picture()), "{name}");
            });
        }
    });
}

/// As many records as a message can hold, all of them somebody else's.
#[test]
fn a_crowded_name() {
    let server = Server::start(truncated(|question| {
        let owner = question.queries[0].name();
        let mut crowd = reply(question);
        crowd.add_answers((0..1_300).map(|number| record(owner, number)));
        bytes(&crowd)
    }));
    let lab = Lab::new();
    authoritative(&lab, &server);
    let run = lab.run(&["-l-"]).speaks_plainly();
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.out.lines().all(|line| line.len() < 2_000), "{run:#?}");
    assert!(!lab.read("calls").contains("delete"));
}

fn a_resolver_that_says_nothing() {
    let resolver = Server::silent();
    let lab = Lab::new();
    let head = lab.head();
    lab.write_configuration(format!(
        "{head}resolver = {}\n[{LINEAGE}]\nverify = authoritative\ntlsa = 311 25\napi = exec {}\n",
        resolver.address,
        lab.text("provider")
    ));
    let run = lab.run(&["-l-"]).ends(0);
    assert!(run.out.contains("the servers of _25._tcp.mx.example.test. are unknown"), "{run:#?}");
    assert!(run.out.contains(&resolver.address.to_string()), "{run:#?}");
    assert_eq!(lab.calls(), 0);
}
