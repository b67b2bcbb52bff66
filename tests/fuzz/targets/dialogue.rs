//! What a service says before TLS, and instead of it.

use super::assert_plain;
use daneroll::{
    env::real::probe::{Clock, KeyKind, Names, Talk, Trouble, client_config, handshake, way_to_tls},
    probe::Protocol,
};
use rustls::ClientConfig;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{Builder, Runtime},
};

/// Stands in the input where one packet ends and the next begins.
const END: &[u8] = b"\xff\xfe";

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

/// The first byte tells the protocol, the rest is what the service sends.
pub fn dialogue(data: &[u8]) {
    let Some((pick, rest)) = data.split_first() else { return };
    let (_, protocol) = Protocol::NAMES[usize::from(*pick) % Protocol::NAMES.len()];
    RUNTIME.with(|runtime| runtime.block_on(talk(protocol, Script::new(rest))));
}

async fn talk(protocol: Protocol, script: Script) {
    let clock = Clock::start(Duration::from_secs(3));
    let names = Names { client: "client.example".into(), server: "mx.example.com".into() };
    let stream = match way_to_tls(protocol, Talk::new(script.clone(), clock), &names).await {
        Err(why) => return check(&why),
        Ok(stream) => stream,
    };
    if let Some(injected) = script.injected(&stream) {
        let why = way_to_tls(protocol, Talk::new(injected, clock), &names).await.err();
        assert!(why.is_some(), "what came with the go-ahead counts as protected");
    }
    let name = "mx.example.com".try_into().unwrap();
    let session = handshake(stream, &clock, config(), name).await;
    match session.err() {
        Some(Trouble::Other(why)) => check(&why),
        Some(Trouble::Declined | Trouble::Dropped) => {}
        None => panic!("TLS without a key"),
    }
}

/// A reason is a line of moderate length.
fn check(why: &str) {
    assert_plain(why);
    assert!(!why.is_empty() && !why.contains('\n') && why.len() < 2000, "{why:?}");
}

fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| client_config(KeyKind::Ecdsa).unwrap()).clone()
}

/// A service that says what it has to say, a packet at a time, whatever it hears.
#[derive(Clone)]
struct Script(VecDeque<Vec<u8>>);

impl Script {
    fn new(data: &[u8]) -> Script {
        let mut packets = VecDeque::from([Vec::new()]);
        let mut rest = data;
        while let Some((first, others)) = rest.split_first() {
            match rest.strip_prefix(END) {
                Some(after) => {
                    packets.push_back(Vec::new());
                    rest = after;
                }
                None => {
                    packets.back_mut().into_iter().for_each(|packet| packet.push(*first));
                    rest = others;
                }
            }
        }
        packets.retain(|packet| !packet.is_empty());
        Script(packets)
    }

    /// The same with more in the last packet that was read when `left` was still to come.
    fn injected(mut self, left: &Script) -> Option<Script> {
        let last = self.0.len().checked_sub(left.0.len() + 1)?;
        let packet = self.0.get_mut(last).filter(|packet| packet.len() < 2000)?;
        packet.push(b'\n');
        Some(self)
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut packet) = self.0.pop_front() {
            let rest = packet.split_off(packet.len().min(to.remaining()));
            to.put_slice(&packet);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
