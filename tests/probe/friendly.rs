//! Servers of our own that behave, as no real one can be relied on to do in time.

use crate::{
    certs::Cert,
    hostile::go_ahead,
    scripted::{Server, Step::Tls, say},
    see,
};
use daneroll::{
    env::Visit,
    probe::Protocol::{self, Smtp},
};
use std::{
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, Instant},
};

#[test]
fn every_protocol_leads_to_the_chain_and_to_a_goodbye() {
    let cert = Cert::ecdsa();
    for (name, protocol) in Protocol::NAMES {
        let server = Server::start([go_ahead(protocol), vec![Tls(vec![cert.server()])]].concat());
        see::expect(&see::one(protocol, server.address), &[&cert], name);
        let goodbye = match protocol {
            Protocol::Smtp | Protocol::Pop3 => "QUIT\r\n",
            Protocol::Imap => "a9 LOGOUT\r\n",
            Protocol::Ldap => "0\u{5}\u{2}\u{1}\u{2}B\0",
            // It would begin with another greeting, for which this server is too short-spoken; see Dovecot.
            Protocol::Sieve => continue,
            _ => "",
        };
        assert_eq!(*server.heard.lock().unwrap(), [goodbye; 3], "{name}: one for each session with a chain");
    }
}

#[test]
fn every_kind_of_key() {
    for cert in [Cert::ecdsa(), Cert::ed25519(), Cert::rsa(0)] {
        let server = Server::start(vec![Tls(vec![cert.server()])]);
        see::expect(&see::one(Protocol::Tls, server.address), &[&cert], "one of a kind");
    }
}

/// As Postfix with an idle process that has the old certificate, and new ones that start as they are needed.
#[test]
fn old_and_new_side_by_side() {
    let (old, new) = (Cert::ecdsa(), Cert::ecdsa());
    let server = Server::start([go_ahead(Smtp), vec![Tls(vec![old.server(), new.server()])]].concat());
    see::expect(&see::one(Smtp, server.address), &[&old, &new], "all sessions are open at the same time");
}

#[test]
fn the_kind_of_key_changes() {
    let (old, new) = (Cert::rsa(0), Cert::ecdsa());
    let server = Server::start(vec![Tls(vec![new.server(), new.server(), old.server()])]);
    see::expect(&see::one(Protocol::Tls, server.address), &[&new, &old], "each kind is asked for");
}

/// A server that is well at times and says so when it is not.
#[test]
fn what_fails_in_one_session_is_told_beside_what_others_saw() {
    let cert = Cert::ecdsa();
    let broken = cert.with_key_of(&Cert::ecdsa());
    let server = Server::start(vec![Tls(vec![cert.server(), broken.server()])]);
    let seen = see::one(Protocol::Tls, server.address);
    assert_eq!(seen.chains, [cert.chain]);
    let unknown = seen.unknown.unwrap();
    assert!(unknown.ends_with(" of 6 sessions: does not prove that it holds the key of its certificate"), "{unknown}");
}

#[test]
fn a_hundred_endpoints_each_with_a_dead_address() {
    let cert = Cert::ecdsa();
    let script = [go_ahead(Smtp), vec![Tls(vec![cert.server()])]].concat();
    let alive: Vec<Server> = (0..100).map(|_| Server::start(script.clone())).collect();
    let dead = Dead::new();
    let limit = Duration::from_secs(5);
    let pair = |server: &Server| [see::to(Smtp, server.address), Visit { limit, ..see::to(Smtp, dead.address) }];
    let visits: Vec<Visit> = alive.iter().flat_map(pair).collect();
    let begun = Instant::now();
    let seen = see::all(&visits);
    // One after the other they would take a hundred times the limit.
    assert!(begun.elapsed() < 10 * limit, "{:?}", begun.elapsed());
    for pair in seen.chunks(2) {
        see::expect(&pair[0], &[&cert], "an address that is alive");
        assert_eq!(pair[1].unknown.as_deref(), Some("no connection before the 5 s for the whole visit were over"));
        assert!(pair[1].chains.is_empty());
    }
}

#[test]
fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(see::one(Smtp, address).unknown.as_deref(), Some("refused the connection"));
}

#[test]
fn a_name_that_cannot_be_asked_for() {
    let server = Server::start(vec![say("220 hi\r\n")]);
    let odd = Visit { server_name: "*.example.test".parse().unwrap(), ..see::to(Smtp, server.address) };
    let seen = see::all(&[odd]).remove(0);
    assert_eq!(seen.unknown.as_deref(), Some("*.example.test cannot be asked for in TLS"));
}

/// An address whose kernel drops every further connection: the queue of those that nobody accepts is full.
struct Dead {
    address: std::net::SocketAddr,
    _queue: Vec<TcpStream>,
    _listener: tokio::net::TcpListener,
}

impl Dead {
    fn new() -> Dead {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        loop {
            match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                Ok(stream) => queue.push(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => panic!("{error}"),
            }
        }
        Dead { address, _queue: queue, _listener: listener }
    }
}
