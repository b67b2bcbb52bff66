//! One DNS question after the other to one address: UDP twice, TCP when the answer is truncated (RFC 7766).
//!
//! Who wants to forge an answer must guess the id of the question and the port that it came from (RFC 5452), both by chance. A socket
//! takes one question at a time and few in all, so that its port is not worth finding out; and one that was sent anything but the
//! answer, as by somebody who tries, takes no other.

use super::{
    dns::{Fit, fits, question},
    tcp,
};
use crate::env::{Answered, Ask};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

const TRY: Duration = Duration::from_secs(2);
/// The longest UDP answer that is looked at; nobody may send more than we say that we can take.
const LONGEST: usize = 4096;
/// Questions that one socket serves for.
const QUESTIONS: usize = 32;

/// What a question tells of how many its server can take side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It was answered at once: there may be more.
    Smooth,
    /// Nothing.
    Even,
    /// It, or its answer, was lost: fewer may do better.
    Rough,
}

/// The way to one address.
pub(super) struct Line {
    server: SocketAddr,
    /// A socket that nothing is under way on, and how many questions it may still take.
    socket: Option<(UdpSocket, usize)>,
    buffer: Vec<u8>,
}

impl Line {
    pub(super) fn new(server: SocketAddr) -> Line {
        Line { server, socket: None, buffer: Vec::new() }
    }

    /// Asks, over TCP too if need be.
    pub(super) async fn ask(&mut self, ask: &Ask) -> (Answered, Pace) {
        let message = question(ask);
        let bytes = match message.to_vec() {
            Ok(bytes) => bytes,
            Err(error) => return (Err(format!("the question cannot be written: {error}")), Pace::Even),
        };
        match self.over_udp(ask, message.id, &bytes).await {
            (Ok(answer), _) if answer.truncation => (over_tcp(ask, message.id, &bytes).await, Pace::Even),
            told => told,
        }
    }

    async fn over_udp(&mut self, ask: &Ask, id: u16, question: &[u8]) -> (Answered, Pace) {
        for pace in [Pace::Smooth, Pace::Rough] {
            match timeout(TRY, self.one_try(ask, id, question)).await {
                Ok(Err(why)) => return (Err(why), Pace::Rough),
                Ok(answered) => return (answered, pace),
                Err(_) => continue,
            }
        }
        (Err(format!("no answer within {} s, asked twice", TRY.as_secs())), Pace::Rough)
    }

    async fn one_try(&mut self, ask: &Ask, id: u16, question: &[u8]) -> Answered {
        // Whatever ends this try otherwise than with the answer is the end of the socket as well.
        let (socket, left) = match self.socket.take() {
            Some(usable) => usable,
            None => (connected(self.server).await?, QUESTIONS),
        };
        socket.send(question).await.map_err(|error| tcp::refused(&error))?;
        self.buffer.resize(LONGEST, 0);
        let mut undisturbed = true;
        loop {
            let length = socket.recv(&mut self.buffer).await.map_err(|error| tcp::refused(&error))?;
            match fits(ask, id, &self.buffer[..length]) {
                Fit::Answer(answer) => {
                    self.socket = (undisturbed && left > 1).then(|| (socket, left - 1));
                    return Ok(*answer);
                }
                Fit::Useless(why) => return Err(why),
                Fit::Foreign => undisturbed = false,
            }
        }
    }
}

async fn over_tcp(ask: &Ask, id: u16, question: &[u8]) -> Answered {
    let answer = tcp::exchange(ask.server, question, tcp::QUERY).await;
    let answer = answer.map_err(|error| format!("{error}; the answer over UDP was truncated"))?;
    match fits(ask, id, &answer) {
        // Half an RRset must not pass for the whole.
        Fit::Answer(answer) if answer.truncation => Err("its answer is truncated even over TCP".to_owned()),
        Fit::Answer(answer) => Ok(*answer),
        Fit::Useless(why) => Err(why),
        Fit::Foreign => Err("answered another question over TCP".to_owned()),
    }
}

/// A socket on a port by chance, connected, so that the kernel drops what others send and tells when the port is closed.
async fn connected(server: SocketAddr) -> Result<UdpSocket, String> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(|error| format!("no socket for a question: {error}"))?;
    socket.connect(server).await.map_err(|error| tcp::refused(&error))?;
    Ok(socket)
}
