//! One DNS question to one address: UDP twice, TCP when the answer is truncated (RFC 1035, RFC 6891, RFC 7766).

use super::tcp;
use crate::{
    env::{Answered, Ask},
    name::DnsName,
};
use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::DNSClass,
};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// What we say that we can take, and what passes every network unfragmented (DNS flag day 2020).
const PAYLOAD: u16 = 1232;
const TRY: Duration = Duration::from_secs(2);
/// The longest UDP answer that is looked at; nobody may send more than `PAYLOAD`.
const LONGEST: usize = 4096;

/// Asks, over TCP too if need be.
pub(super) async fn ask(ask: &Ask) -> Answered {
    let message = question(ask);
    let bytes = message.to_vec().map_err(|error| format!("the question cannot be written: {error}"))?;
    let answer = over_udp(ask, message.id, &bytes).await?;
    if !answer.truncation {
        return Ok(answer);
    }
    let answer = tcp::exchange(ask.server, &bytes, tcp::QUERY).await;
    let answer = answer.map_err(|error| format!("{error}; the answer over UDP was truncated"))?;
    match fits(ask, message.id, &answer) {
        // Half an RRset must not pass for the whole.
        Fit::Answer(answer) if answer.truncation => Err("its answer is truncated even over TCP".to_owned()),
        Fit::Answer(answer) => Ok(*answer),
        Fit::Useless(why) => Err(why),
        Fit::Foreign => Err("answered another question over TCP".to_owned()),
    }
}

fn question(ask: &Ask) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = ask.recursion;
    message.metadata.checking_disabled = ask.checking_disabled;
    message.add_query(Query::query(ask.name.to_name(), ask.kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

async fn over_udp(ask: &Ask, id: u16, question: &[u8]) -> Answered {
    for _ in 0..2 {
        match timeout(TRY, one_try(ask, id, question)).await {
            Ok(answered) => return answered,
            Err(_) => continue,
        }
    }
    Err(format!("no answer within {} s, asked twice", TRY.as_secs()))
}

async fn one_try(ask: &Ask, id: u16, question: &[u8]) -> Answered {
    let any: SocketAddr = match ask.server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(|error| format!("no socket for a question: {error}"))?;
    // Connected, so that the kernel drops what others send and tells when the port is closed.
    socket.connect(ask.server).await.map_err(|error| tcp::refused(&error))?;
    socket.send(question).await.map_err(|error| tcp::refused(&error))?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(|error| tcp::refused(&error))?;
        match fits(ask, id, &buffer[..length]) {
            Fit::Answer(answer) => return Ok(*answer),
            Fit::Useless(why) => return Err(why),
            Fit::Foreign => continue,
        }
    }
}

/// What these bytes are worth as the answer to a question that was sent with this id: the message, why it is of no use, or `None` if
/// they answer another question.
pub fn answer(ask: &Ask, id: u16, bytes: &[u8]) -> Option<Answered> {
    match fits(ask, id, bytes) {
        Fit::Answer(message) => Some(Ok(*message)),
        Fit::Useless(why) => Some(Err(why)),
        Fit::Foreign => None,
    }
}

enum Fit {
    Answer(Box<Message>),
    /// It answers our question, and we cannot use it.
    Useless(String),
    /// It answers somebody else's question, or is forged.
    Foreign,
}

fn fits(ask: &Ask, id: u16, bytes: &[u8]) -> Fit {
    // Id and QR are read first: only what carries our id deserves a complaint.
    match bytes {
        [high, low, flags, ..] if [*high, *low] == id.to_be_bytes() && flags & 0x80 != 0 => {}
        _ => return Fit::Foreign,
    }
    let message = match Message::from_vec(bytes) {
        Ok(message) => message,
        Err(error) => return Fit::Useless(format!("its answer cannot be parsed: {error}")),
    };
    match message.queries.as_slice() {
        [query] if repeats(ask, query) && is_answer(&message) => Fit::Answer(Box::new(message)),
        // A server that does not know EDNS may send back a bare header (RFC 6891 section 7).
        [] if message.response_code != ResponseCode::NoError => {
            Fit::Useless(format!("answers with an error and no question: {}", message.response_code))
        }
        _ => Fit::Foreign,
    }
}

fn is_answer(message: &Message) -> bool {
    message.message_type == MessageType::Response && message.op_code == OpCode::Query
}

fn repeats(ask: &Ask, query: &Query) -> bool {
    DnsName::from(query.name()) == ask.name && query.query_type() == ask.kind && query.query_class() == DNSClass::IN
}
