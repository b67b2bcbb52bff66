//! DANE clients. Each has a cache of its own that obeys TTLs, asks the two name servers by turns, and shakes hands all the
//! time. They share no code with daneroll: what they see is what any client would see.

use crate::{Fallible, dane::Dane, keys::KeyId, locked, zone::TTL};
use rustls::ClientConnection;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// How many clients there are.
pub const CLIENTS: usize = 8;
/// How long each waits between two handshakes, about: twenty a second in all.
const PAUSE: Duration = Duration::from_millis(400);

/// What became of one handshake.
#[derive(Clone, Copy)]
pub struct Handshake {
    /// When it was over.
    pub at: Instant,
    /// The key that the service presented.
    pub key: KeyId,
    /// Did a TLSA record that the client held match it?
    pub matched: bool,
}

/// All clients, and what they saw.
#[derive(Default)]
pub struct Clients {
    caches: Mutex<BTreeMap<usize, Cached>>,
    handshakes: Mutex<Vec<Handshake>>,
    troubles: Mutex<Vec<String>>,
}

/// A TLSA RRset as a client remembers it.
#[derive(Clone)]
pub struct Cached {
    /// The keys in its `3 1 1` records.
    pub keys: BTreeSet<KeyId>,
    /// When the TTL is over.
    pub until: Instant,
    /// Which server gave it; the other is asked next.
    pub server: usize,
}

impl Clients {
    /// Starts the clients, out of phase, for the rest of the program.
    pub fn start(self: &Arc<Clients>, dane: Arc<Dane>, service: SocketAddr) {
        for number in 0..CLIENTS {
            let (clients, dane) = (self.clone(), dane.clone());
            thread::spawn(move || {
                let nth = number as u32;
                // They start at different times, and no two keep step.
                thread::sleep(Duration::from_secs(TTL.into()) * nth / CLIENTS as u32);
                let pause = PAUSE + nth * PAUSE / 40;
                loop {
                    if let Err(error) = clients.visit(number, &dane, service) {
                        locked(&clients.troubles).push(format!("client {number}: {error}"));
                    }
                    thread::sleep(pause);
                }
            });
        }
    }

    /// How many clients hold which RRset. One that has just expired counts until the client looks again, within a pause.
    pub fn held(&self) -> BTreeMap<BTreeSet<KeyId>, usize> {
        let mut held = BTreeMap::new();
        for cached in locked(&self.caches).values() {
            *held.entry(cached.keys.clone()).or_default() += 1;
        }
        held
    }

    /// All handshakes until now.
    pub fn handshakes(&self) -> Vec<Handshake> {
        locked(&self.handshakes).clone()
    }

    /// What went wrong otherwise: name servers or the service that did not answer.
    pub fn troubles(&self) -> Vec<String> {
        locked(&self.troubles).clone()
    }

    /// Looks the records up unless they are cached, connects, and compares.
    fn visit(&self, number: usize, dane: &Dane, service: SocketAddr) -> Fallible<()> {
        let cached = locked(&self.caches).get(&number).cloned();
        let known = match cached {
            Some(known) if known.until > Instant::now() => known,
            Some(old) => dane.look_up(1 - old.server)?,
            None => dane.look_up(number % 2)?,
        };
        locked(&self.caches).insert(number, known.clone());

        let key = presented(dane, service)?;
        let matched = known.keys.contains(&key);
        locked(&self.handshakes).push(Handshake { at: Instant::now(), key, matched });
        Ok(())
    }
}

/// Shakes hands and returns the key of the leaf.
fn presented(dane: &Dane, service: SocketAddr) -> Fallible<KeyId> {
    let mut connection = TcpStream::connect(service)?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut tls = ClientConnection::new(dane.tls.clone(), dane.host.clone())?;
    while tls.is_handshaking() {
        tls.complete_io(&mut connection)?;
    }
    let leaf = tls.peer_certificates().and_then(<[_]>::first).ok_or("no certificate presented")?;
    KeyId::of_certificate(leaf)
}
