//! Questions to authoritative servers, without retries and with the time of each.

use crate::oracle::Shown;
use hickory_resolver::proto::{
    op::{Message, Query},
    rr::{RData, RecordType, rdata::TLSA},
};
use std::{
    io,
    net::{ToSocketAddrs, UdpSocket},
    time::{Duration, Instant},
};

/// Who asks.
pub struct Questions {
    /// Times are counted from then on.
    pub begun: Instant,
    socket: UdpSocket,
}

impl Questions {
    /// From the network of this thread.
    pub fn new(begun: Instant) -> io::Result<Questions> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(Questions { begun, socket })
    }

    /// What this server shows at the owner; an error if it does not answer, or not with authority.
    pub fn ask(&self, server: usize, address: impl ToSocketAddrs, owner: &str) -> io::Result<Shown<Vec<TLSA>>> {
        let (id, asked) = self.send(address, owner, false)?;
        let answer = self.receive(id)?;
        let answered = self.begun.elapsed();
        if !answer.metadata.authoritative {
            return Err(io::Error::other("not authoritative"));
        }
        let tlsa = |data: &RData| if let RData::TLSA(tlsa) = data { Some(tlsa.clone()) } else { None };
        let records = answer.answers.iter().filter_map(|record| tlsa(&record.data)).collect();
        // A denial is kept as long as its SOA and NSEC records say.
        let lasting = if answer.answers.is_empty() { &answer.authorities } else { &answer.answers };
        let ttl = lasting.iter().map(|record| record.ttl).max().unwrap_or(0);
        Ok(Shown { server, asked, answered, ttl: Duration::from_secs(ttl.into()), records })
    }

    /// Sends a question, also to a resolver; its id, and when.
    pub fn send(&self, address: impl ToSocketAddrs, owner: &str, recursion: bool) -> io::Result<(u16, Duration)> {
        let mut question = Message::query();
        question.metadata.recursion_desired = recursion;
        question.add_query(Query::query(owner.parse().map_err(io::Error::other)?, RecordType::TLSA));
        let asked = self.begun.elapsed();
        self.socket.send_to(&question.to_vec().map_err(io::Error::other)?, address)?;
        Ok((question.metadata.id, asked))
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
}
