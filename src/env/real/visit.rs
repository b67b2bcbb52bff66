//! TLS services looked at side by side: several fresh sessions at each address, all open at the same time.
//!
//! At the same time, since a service may have processes with the old certificate and others with the new one: sessions one
//! after the other would all meet the one that happens to be idle (Postfix hands a new connection to an idle smtpd).

use super::{
    hostname,
    probe::{Clock, KeyKind, Names, Parting, Session, Talk, Trouble, client_config, handshake, way_to_tls},
    tcp, verdict,
};
use crate::env::{Visit, Visited};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet};

const CONNECT: Duration = Duration::from_secs(5);
/// Sessions at one address with each kind of key.
const EACH: usize = 3;
const SESSIONS: usize = EACH * KeyKind::ALL.len();
/// Addresses that are connected to at a time. A dead one costs this and no more.
const FIRSTS: usize = 250;
/// Addresses at a time at which all sessions are open. Few systems let a process open more than 1024 files.
const GROUPS: usize = 100;

/// What all visits share.
struct Tour {
    firsts: Semaphore,
    groups: Semaphore,
    configs: [(KeyKind, Arc<ClientConfig>); 2],
    /// What EHLO says; without it the local address.
    hostname: Option<String>,
}

/// What a session came to.
type Looked = Result<Session<TcpStream>, Trouble>;

/// Makes all these visits; what was seen, in the same order.
pub(super) async fn visit_all(visits: &[Visit]) -> Vec<Visited> {
    let tour = match Tour::new() {
        Ok(tour) => Arc::new(tour),
        Err(error) => return vec![unknown(error); visits.len()],
    };
    let mut tasks = JoinSet::new();
    for (place, visit) in visits.iter().cloned().enumerate() {
        let tour = tour.clone();
        tasks.spawn(async move { (place, tour.visit(&visit).await) });
    }
    let mut seen = vec![unknown("the visit was given up".to_owned()); visits.len()];
    while let Some(joined) = tasks.join_next().await {
        if let Ok((place, visited)) = joined {
            seen[place] = visited;
        }
    }
    seen
}

impl Tour {
    fn new() -> Result<Tour, String> {
        let [ecdsa, rsa] = KeyKind::ALL;
        let configs = [(ecdsa, client_config(ecdsa)?), (rsa, client_config(rsa)?)];
        let (firsts, groups) = (Semaphore::new(FIRSTS), Semaphore::new(GROUPS));
        Ok(Tour { firsts, groups, configs, hostname: hostname::qualified() })
    }

    async fn visit(self: &Arc<Tour>, visit: &Visit) -> Visited {
        let _place = self.firsts.acquire().await;
        let mut clock = Clock::start(visit.limit);
        let first = match connect(visit, &clock).await {
            Ok(first) => first,
            Err(reason) => return unknown(reason),
        };
        // Whoever has this waits for nobody, so that it is always given back.
        let _group = clock.pause(self.groups.acquire()).await;
        let looked = self.look(visit, clock, first).await;
        let (mut outcomes, mut goodbyes) = (Vec::new(), JoinSet::new());
        let parting = Parting::of(visit.protocol, visit.address.port());
        for (kind, session) in looked {
            outcomes.push((kind, session.as_ref().map(Session::chain).map_err(Clone::clone)));
            session.into_iter().for_each(|session| drop(goodbyes.spawn(session.leave(parting))));
        }
        goodbyes.join_all().await;
        verdict::of(outcomes)
    }

    /// Opens all sessions, and has them still open at the end.
    async fn look(self: &Arc<Tour>, visit: &Visit, clock: Clock, first: TcpStream) -> Vec<(KeyKind, Looked)> {
        let mut sessions = JoinSet::new();
        let (mut first, configs) = (Some(first), self.configs.iter().cycle().take(SESSIONS));
        for (kind, config) in configs.cloned() {
            let (tour, visit, stream) = (self.clone(), visit.clone(), first.take());
            sessions.spawn(async move { (kind, tour.session(&visit, &clock, stream, config).await) });
        }
        sessions.join_all().await
    }

    async fn session(
        &self,
        visit: &Visit,
        clock: &Clock,
        stream: Option<TcpStream>,
        config: Arc<ClientConfig>,
    ) -> Looked {
        let stream = match stream {
            Some(stream) => stream,
            None => connect(visit, clock).await?,
        };
        let name = visit.server_name.without_dot().to_owned();
        let sni = ServerName::try_from(name.clone()).map_err(|_| format!("{name} cannot be asked for in TLS"))?;
        let client = match (&self.hostname, stream.local_addr()) {
            (Some(name), _) => name.clone(),
            (None, Ok(local)) => hostname::literal(local),
            (None, Err(error)) => return Err(tcp::refused(&error).into()),
        };
        let names = Names { client, server: name };
        let stream = way_to_tls(visit.protocol, Talk::new(stream, *clock), &names).await?;
        handshake(stream, clock, config, sni).await
    }
}

async fn connect(visit: &Visit, clock: &Clock) -> Result<TcpStream, String> {
    let step = clock.step(CONNECT);
    match step.run(TcpStream::connect(visit.address)).await {
        Some(connected) => connected.map_err(|error| tcp::refused(&error)),
        None => Err(format!("no connection {}", step.in_words())),
    }
}

fn unknown(reason: String) -> Visited {
    Visited { chains: Vec::new(), unknown: Some(reason) }
}
