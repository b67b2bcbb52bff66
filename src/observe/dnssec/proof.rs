//! Does an RRset or a denial hold under the keys of its zone? Signatures, NSEC and NSEC3 are checked by hickory's validator.
//!
//! That validator asks questions of its own, as many as it likes, and of an insecure, an unreachable and a forged zone it makes the
//! same of the last two. So it gets one link and the zone's keys, proved before, as its only trust anchors, over a handle that
//! answers from memory: it has nothing to ask, and the way from zone to zone is ours (`chain`).

use super::{
    keys::{Zone, reason},
    links::{Link, signatures},
};
use hickory_resolver::{
    net::{
        DnsError, DnsHandle, NetError,
        dnssec::DnssecDnsHandle,
        runtime::{RuntimeProvider, Time, TokioRuntimeProvider},
        xfer::{DnsResponseStream, FirstAnswer},
    },
    proto::{
        dnssec::{Proof, rdata::DNSSECRData},
        op::{DnsRequest, DnsRequestOptions, DnsResponse, Message, Query},
        rr::{RData, Record},
    },
};
use std::{
    cell::Cell,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// What a link is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    /// It is signed by the zone.
    Secure,
    /// Its NSEC3 records take more work than validators do, so they treat the zone as unsigned there (RFC 9276 section 3.2).
    Insecure,
}

/// Checks a link under the keys of its zone, at `now` (Unix time); why it does not hold.
pub(super) fn check(link: &Link, zone: &Zone, now: i64) -> Result<Proved, String> {
    let query = Query::query(link.name.to_name(), link.kind);
    let memory = Memory { query: query.clone(), link: Arc::new(link.message.clone()), keys: Arc::new(zone.message()) };
    let validator = DnssecDnsHandle::with_trust_anchor(memory, Arc::new(zone.anchors()));
    NOW.set(u64::try_from(now).unwrap_or(0));
    let answer = validator.lookup(query, DnsRequestOptions::default()).first_answer();
    match at_once(answer) {
        Some(Ok(response)) if holds(&response) => Ok(Proved::Secure),
        Some(Err(NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, .. }))) => Ok(Proved::Insecure),
        _ => Err(reason(link, zone, now)),
    }
}

/// Was it made from a wildcard that the zone has signed? hickory takes no NSEC proof that the name itself is not there when the record
/// begins at the wildcard or below it, as it mostly does; so a link that does not hold may be in order all the same.
pub(super) fn is_from_wildcard(link: &Link, zone: &Zone, now: i64) -> bool {
    let labels = signatures(&link.message.answers).map(|(_, signature)| signature.input().num_labels).min();
    let name = link.name.to_name();
    let Some(labels) = labels.filter(|labels| *labels < name.num_labels()) else { return false };
    let Ok(wildcard) = name.trim_to(usize::from(labels)).prepend_label("*") else { return false };
    let mut message = link.message.clone();
    message.authorities.clear();
    message.queries = vec![Query::query(wildcard.clone(), link.kind)];
    message.answers.iter_mut().for_each(|record| record.name = wildcard.clone());
    let link = Link { name: (&wildcard).into(), kind: link.kind, holds: link.holds, message };
    check(&link, zone, now) == Ok(Proved::Secure)
}

/// Is everything in it that counts secure, and is there anything?
fn holds(message: &Message) -> bool {
    let counts = |record: &&Record| !matches!(&record.data, RData::DNSSEC(DNSSECRData::RRSIG(_)));
    let mut records = message.answers.iter().chain(&message.authorities).filter(counts).peekable();
    records.peek().is_some() && records.all(|record| record.proof == Proof::Secure)
}

/// The result of a future that waits for nothing.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// Knows one answer, and the keys of one zone.
#[derive(Clone)]
struct Memory {
    query: Query,
    link: Arc<Message>,
    keys: Arc<Message>,
}

impl DnsHandle for Memory {
    type Response = DnsResponseStream;
    type Runtime = Still;

    fn send(&self, request: DnsRequest) -> DnsResponseStream {
        let known = request.queries.first().and_then(|query| {
            let keys = self.keys.queries.first();
            let message = if *query == self.query { Some(&self.link) } else { None };
            message.or_else(|| (Some(query) == keys).then_some(&self.keys))
        });
        match known.map(|message| DnsResponse::from_message(Message::clone(message))) {
            Some(Ok(response)) => Box::pin(async move { Ok(response) }).into(),
            _ => NetError::from("it is no part of the proof").into(),
        }
    }
}

thread_local! {
    /// The time for the check under way: hickory asks its runtime, which has no state of its own.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// A runtime that only knows the time: the one of [`Env`](crate::env::Env).
#[derive(Clone)]
struct Still;

struct Clock;

#[async_trait::async_trait]
impl Time for Clock {
    async fn delay_for(_: Duration) {}

    async fn timeout<F: 'static + Future + Send>(_: Duration, future: F) -> Result<F::Output, io::Error> {
        Ok(future.await)
    }

    fn current_time() -> u64 {
        NOW.get()
    }
}

type Connected<T> = Pin<Box<dyn Send + Future<Output = Result<T, io::Error>>>>;

impl RuntimeProvider for Still {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = Clock;
    type Udp = <TokioRuntimeProvider as RuntimeProvider>::Udp;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        Self::Handle::default()
    }

    fn connect_tcp(&self, _: SocketAddr, _: Option<SocketAddr>, _: Option<Duration>) -> Connected<Self::Tcp> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn bind_udp(&self, _: SocketAddr, _: SocketAddr) -> Connected<Self::Udp> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}
