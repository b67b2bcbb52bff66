//! Questions and messages of the real environment to name servers on loopback that behave in every way but the right one.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use daneroll::env::{Ask, Env, real::Real};
use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, RecordType, rdata::A},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    thread,
    time::{Duration, Instant},
};

fn real() -> Real {
    Real::new("/nonexistent".into())
}

/// A server that answers each question, counted from 0, with any number of datagrams.
fn server(reply: impl Fn(&Message, u32) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        for count in 0.. {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            for answer in reply(&Message::from_vec(&buffer[..length]).unwrap(), count) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    address
}

fn answer(question: &Message) -> Message {
    let mut message = Message::response(question.id, question.op_code);
    message.metadata.authoritative = true;
    message.add_queries(question.queries.clone());
    let owner = question.queries[0].name().clone();
    message.add_answer(Record::from_rdata(owner, 60, RData::A(A::new(192, 0, 2, 1))));
    message
}

fn right(question: &Message) -> Vec<u8> {
    answer(question).to_vec().unwrap()
}

fn changed(question: &Message, change: impl Fn(&mut Message)) -> Vec<u8> {
    let mut message = answer(question);
    change(&mut message);
    message.to_vec().unwrap()
}

fn ask(server: SocketAddr) -> Ask {
    Ask {
        server,
        name: "www.example.com".parse().unwrap(),
        kind: RecordType::A,
        recursion: false,
        checking_disabled: false,
    }
}

fn asked(server: SocketAddr) -> Result<Message, String> {
    real().ask(&[ask(server)]).pop().unwrap()
}

#[test]
fn questions_are_well_formed() {
    for (recursion, checking_disabled) in [(false, false), (true, false), (true, true), (false, true)] {
        let server = server(move |question, _| {
            let edns = question.edns.as_ref().unwrap();
            let well = question.recursion_desired == recursion
                && question.checking_disabled == checking_disabled
                && edns.flags().dnssec_ok
                && edns.max_payload() == 1232;
            if well { vec![right(question)] } else { vec![] }
        });
        let answered = real().ask(&[Ask { recursion, checking_disabled, ..ask(server) }]).pop().unwrap().unwrap();
        assert_eq!(answered.answers.len(), 1);
    }
}

type Make = fn(&Message) -> Vec<u8>;

#[test]
fn answers_to_other_questions_are_passed_over() {
    let table: [(&str, Make); 8] = [
        ("id", |question| changed(question, |message| message.metadata.id ^= 1)),
        ("no response", |question| changed(question, |message| message.metadata.message_type = MessageType::Query)),
        ("name", |question| changed(question, |message| message.queries[0].name = "x.example".parse().unwrap())),
        ("type", |question| changed(question, |message| message.queries[0].query_type = RecordType::AAAA)),
        ("two questions", |question| changed(question, |message| message.queries.push(message.queries[0].clone()))),
        ("no question", |question| changed(question, |message| message.queries.clear())),
        ("empty", |_| vec![]),
        ("short", |question| right(question)[..2].to_vec()),
    ];
    for (what, make) in table {
        let server = server(move |question, _| vec![make(question), right(question)]);
        assert!(asked(server).is_ok_and(|answer| answer.answers.len() == 1), "{what}");
    }
}

#[test]
fn useless_answers_are_named() {
    let table: [(&str, Make); 4] = [
        ("cannot be parsed", |question| right(question)[..20].to_vec()),
        ("cannot be parsed", |question| {
            let mut bytes = right(question);
            bytes[4..12].fill(0xff);
            bytes
        }),
        ("cannot be parsed", |question| {
            // A name that points at itself.
            let mut bytes = right(question);
            bytes[12..14].copy_from_slice(&[0xc0, 12]);
            bytes
        }),
        ("no question: Form Error", |question| {
            changed(question, |message| {
                message.queries.clear();
                message.answers.clear();
                message.metadata.response_code = ResponseCode::FormErr;
            })
        }),
    ];
    for (expected, make) in table {
        let error = asked(server(move |question, _| vec![make(question)])).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn silence_is_asked_twice_and_many_dead_questions_cost_seconds() {
    let lossy = server(|question, count| if count == 0 { vec![] } else { vec![right(question)] });
    assert!(asked(lossy).is_ok());
    let dead = server(|_, _| vec![]);
    let alive = server(|question, _| vec![right(question)]);
    let asks: Vec<_> = (0..300).map(|n| ask(if n % 3 == 0 { dead } else { alive })).collect();
    let began = Instant::now();
    let answers = real().ask(&asks);
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert!(answers.iter().enumerate().all(|(n, answered)| answered.is_err() == (n % 3 == 0)));
    assert_eq!(answers[0].as_ref().unwrap_err(), "no answer within 2 s, asked twice");
    assert!(answers[297].as_ref().unwrap_err().contains("not asked"));
}

#[test]
fn a_closed_port_is_told_at_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let began = Instant::now();
    assert_eq!(asked(address).unwrap_err(), "refused the connection");
    assert_eq!(real().exchange(address, b"x").unwrap_err(), "refused the connection");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(real().exchange(address, &[0; 65536]).unwrap_err().contains("64 KiB"));
}

/// UDP that truncates everything, and TCP at the same port; `reply` makes the bytes to send, length prefix included.
fn truncating(reply: impl Fn(&Message) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        socket.send_to(&changed(&question, |message| message.metadata.truncation = true), from).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(&reply(&Message::from_vec(&question).unwrap())).unwrap();
    });
    address
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

#[test]
fn truncated_answers_are_fetched_over_tcp() {
    let large = truncating(|question| {
        framed(&changed(question, |message| message.answers = vec![message.answers[0].clone(); 2000]))
    });
    assert_eq!(asked(large).unwrap().answers.len(), 2000);
    let table: [(&str, Make); 6] = [
        ("truncated even", |question| framed(&changed(question, |message| message.metadata.truncation = true))),
        ("closed the connection", |_| vec![]),
        ("closed the connection", |question| [&[0xff, 0xff][..], &right(question)].concat()),
        ("another question", |question| framed(&changed(question, |message| message.metadata.id ^= 1))),
        ("another question", |_| vec![0, 0]),
        ("cannot be parsed", |question| framed(&right(question)[..14])),
    ];
    for (expected, make) in table {
        let error = asked(truncating(make)).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn exchanges_are_one_message_each_way() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(request, [0, 3, 1, 2, 3]);
        // In pieces, as networks may deliver it.
        for byte in framed(&[4, 5, 6]) {
            stream.write_all(&[byte]).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(real().exchange(address, &[1, 2, 3]).unwrap(), [4, 5, 6]);
}

/// Whoever forges an answer has to guess a port: none serves for long, and none again once somebody else has found it. (The system may
/// choose one twice.)
#[test]
fn ports_change() {
    for (disturbed, fewest, most) in [(false, 4, 32), (true, 120, 3)] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (seen, ports) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                seen.send((from.port(), question.id)).unwrap();
                if disturbed {
                    let guessed = changed(&question, |message| message.metadata.id ^= 1);
                    socket.send_to(&guessed, from).unwrap();
                }
                socket.send_to(&right(&question), from).unwrap();
            }
        });
        let answers = real().ask(&vec![ask(address); 128]);
        assert!(answers.iter().all(Result::is_ok), "{disturbed}: {answers:?}");
        let (mut of_port, mut ids) = (BTreeMap::new(), BTreeSet::new());
        for (port, id) in ports.try_iter() {
            *of_port.entry(port).or_insert(0) += 1;
            ids.insert(id);
        }
        assert!(of_port.len() >= fewest && of_port.values().all(|number| *number <= most), "{disturbed}: {of_port:?}");
        assert!(ids.len() > 100, "{disturbed}: ids by chance: {ids:?}");
    }
}

/// A server that answers gets more questions side by side, step by step; never more than busy resolvers ask at once.
#[test]
fn who_answers_is_asked_more_at_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let address = socket.local_addr().unwrap();
    let (seen, batches) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            // All that comes until nobody asks any more, as nobody hears an answer before that.
            let questions: Vec<_> = std::iter::from_fn(|| {
                let (length, from) = socket.recv_from(&mut buffer).ok()?;
                Some((Message::from_vec(&buffer[..length]).unwrap(), from))
            })
            .collect();
            if !questions.is_empty() && seen.send(questions.len()).is_err() {
                return;
            }
            for (question, from) in questions {
                socket.send_to(&right(&question), from).unwrap();
            }
        }
    });
    let answers = real().ask(&vec![ask(address); 400]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let batches: Vec<usize> = batches.try_iter().collect();
    assert_eq!(batches.iter().take(4).copied().collect::<Vec<_>>(), [8, 16, 32, 64], "{batches:?}");
    assert_eq!(batches.iter().max(), Some(&64), "{batches:?}");
}
