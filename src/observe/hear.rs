//! Asking for many TLSA RRsets at once: what each address says, and what that is worth.
//!
//! Answers are taken as they come, and most are judged there and then: so a message is kept only where something is lacking to judge
//! it, and ten thousand names take no more memory than what they say.

use super::{
    discover::Resolver,
    dns::{self, Said},
    dnssec::AtOnce,
};
use crate::{
    config::Dnssec,
    env::{Answered, Ask, Env},
    facts::Security,
    name::DnsName,
};
use hickory_resolver::proto::{op::Message, rr::RecordType};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// One name to ask for.
pub(super) struct Wish {
    /// The query name of the owner, which may have led elsewhere by now.
    pub query: DnsName,
    /// The name.
    pub at: DnsName,
    /// Its zone, where that is known.
    pub apex: Option<DnsName>,
    /// Whom to ask: address, name, whether it is one of the zone's servers now.
    pub servers: Vec<(SocketAddr, String, bool)>,
}

/// One address, and what it said.
pub(super) struct Voice {
    pub address: SocketAddr,
    pub name: String,
    pub listed: bool,
    pub said: Result<Said, String>,
    /// What that is worth.
    pub security: Security,
    /// The serial of the zone there.
    pub serial: Option<u32>,
}

/// What was heard of one name.
pub(super) struct Heard {
    /// The zone, as it was known or as its servers tell.
    pub apex: Option<DnsName>,
    /// Was it known before anybody was asked? The servers were found as that zone's then.
    is_known: bool,
    /// All addresses.
    pub voices: Vec<Voice>,
}

/// Which address of which name.
type Place = (usize, usize);

/// The serials at each address, by zone: asked for once for all names there.
type Serials = BTreeMap<(SocketAddr, DnsName), Option<u32>>;

/// Asks for all of these side by side. `words`: what the resolver says of each query name, where its word is taken.
pub(super) fn hear(
    env: &dyn Env,
    resolver: &Resolver<'_>,
    words: &BTreeMap<DnsName, Security>,
    wishes: Vec<Wish>,
) -> Vec<Heard> {
    let mut round = Round::new(resolver, wishes);
    round.ask(env);
    round.find_zones(env);
    match resolver.validator.mode() {
        Dnssec::Resolver => round.take_word(words),
        Dnssec::Validate => round.judge_rest(),
    }
    round.end()
}

struct Round<'a> {
    resolver: &'a Resolver<'a>,
    /// The names, in the order of `heard`.
    names: Vec<(DnsName, DnsName)>,
    heard: Vec<Heard>,
    serials: Serials,
    /// Answers that are not judged yet.
    open: Vec<(Place, Message)>,
}

impl<'a> Round<'a> {
    fn new(resolver: &'a Resolver<'a>, wishes: Vec<Wish>) -> Round<'a> {
        let voice = |(address, name, listed): (SocketAddr, String, bool)| {
            let said = Err("it was not asked".to_owned());
            Voice { address, name, listed, said, security: Security::Insecure, serial: None }
        };
        let (mut names, mut heard) = (Vec::new(), Vec::new());
        for Wish { query, at, apex, servers } in wishes {
            names.push((query, at));
            let is_known = apex.is_some();
            heard.push(Heard { apex, is_known, voices: servers.into_iter().map(voice).collect() });
        }
        Round { resolver, names, heard, serials: Serials::new(), open: Vec::new() }
    }

    /// Asks for the records, and where the zone is known for its serial.
    fn ask(&mut self, env: &dyn Env) {
        let voices = self.heard.iter().map(|heard| heard.voices.len()).sum();
        let (mut asks, mut places, mut zones) =
            (Vec::with_capacity(voices), Vec::with_capacity(voices), BTreeSet::new());
        for (name, (heard, (_, at))) in self.heard.iter().zip(&self.names).enumerate() {
            for (voice, Voice { address, .. }) in heard.voices.iter().enumerate() {
                asks.push(question(*address, at, RecordType::TLSA));
                places.push((name, voice));
                zones.extend(heard.apex.clone().map(|apex| (*address, apex)));
            }
        }
        let zones: Vec<(SocketAddr, DnsName)> = zones.into_iter().collect();
        asks.extend(zones.iter().map(|(address, apex)| question(*address, apex, RecordType::SOA)));
        let now = env.wall();
        env.ask_each(&asks, &mut |place, answered| match places.get(place) {
            Some(place) => self.take(*place, answered, now),
            None => {
                let zone = &zones[place - places.len()];
                self.serials.insert(zone.clone(), dns::serial(&answered, &zone.1));
            }
        });
    }

    /// Takes an answer to a question for TLSA records.
    fn take(&mut self, place: Place, answered: Answered, now: i64) {
        let at = &self.names[place.0].1;
        let heard = &mut self.heard[place.0];
        let voice = &mut heard.voices[place.1];
        voice.said = dns::said(&answered, at, heard.apex.as_ref().filter(|_| heard.is_known));
        let (Ok(_), Ok(message)) = (&voice.said, answered) else { return };
        let validator = &self.resolver.validator;
        let worth = match validator.mode() {
            Dnssec::Validate => validator.at_once(&message, at, RecordType::TLSA, now),
            Dnssec::Resolver => AtOnce::Insecure,
        };
        if heard.apex.is_none() {
            heard.apex = match &worth {
                AtOnce::Secure(zone) => Some(zone.clone()),
                // A denial names the zone, and its serial.
                _ => dns::denying_zone(&message, at).map(|(apex, serial)| {
                    self.serials.insert((voice.address, apex.clone()), Some(serial));
                    apex
                }),
            };
        }
        match worth {
            AtOnce::Secure(_) => voice.security = Security::Secure,
            AtOnce::Insecure => {}
            AtOnce::Later => self.open.push((place, message)),
        }
    }

    /// Asks for the zones that nobody has told yet, and for serials that are not known.
    fn find_zones(&mut self, env: &dyn Env) {
        let (mut unknown, mut zones) = (Vec::new(), BTreeSet::new());
        for (name, heard) in self.heard.iter().enumerate() {
            for voice in heard.voices.iter().filter(|voice| voice.said.is_ok()) {
                let zone = heard.apex.clone().map(|apex| (voice.address, apex));
                match zone {
                    None => unknown.push((name, voice.address)),
                    Some(zone) => zones.extend((!self.serials.contains_key(&zone)).then_some(zone)),
                }
            }
        }
        let zones: Vec<(SocketAddr, DnsName)> = zones.into_iter().collect();
        let nearest = unknown.iter().map(|(name, address)| question(*address, &self.names[*name].1, RecordType::SOA));
        let direct = zones.iter().map(|(address, apex)| question(*address, apex, RecordType::SOA));
        let asks: Vec<Ask> = nearest.chain(direct).collect();
        if asks.is_empty() {
            return;
        }
        let mut answers = env.ask(&asks).into_iter();
        for ((name, address), answered) in unknown.into_iter().zip(answers.by_ref()) {
            let Ok((apex, serial)) = dns::apex(&answered, &self.names[name].1) else { continue };
            self.heard[name].apex.get_or_insert_with(|| apex.clone());
            self.serials.insert((address, apex), Some(serial));
        }
        for (zone, answered) in zones.into_iter().zip(answers) {
            let serial = dns::serial(&answered, &zone.1);
            self.serials.insert(zone, serial);
        }
    }

    fn take_word(&mut self, words: &BTreeMap<DnsName, Security>) {
        for ((query, _), heard) in self.names.iter().zip(&mut self.heard) {
            let word = words.get(query).cloned().unwrap_or(Security::Insecure);
            heard.voices.iter_mut().for_each(|voice| voice.security = word.clone());
        }
    }

    /// Has what is left judged, side by side.
    fn judge_rest(&mut self) {
        for ((name, _), _) in &self.open {
            let heard = &self.heard[*name];
            let listed = heard.voices.iter().filter(|voice| voice.listed).map(|voice| voice.address);
            if let Some(apex) = &heard.apex {
                self.resolver.validator.remember_servers(apex, listed.collect());
            }
        }
        let items =
            self.open.iter().map(|((name, _), message)| (message, self.names[*name].1.clone(), RecordType::TLSA));
        let judged = self.resolver.judge(&items.collect::<Vec<_>>());
        for (((name, voice), _), security) in self.open.iter().zip(judged) {
            self.heard[*name].voices[*voice].security = security;
        }
    }

    fn end(mut self) -> Vec<Heard> {
        for heard in &mut self.heard {
            let Some(apex) = &heard.apex else { continue };
            for voice in &mut heard.voices {
                voice.serial = self.serials.get(&(voice.address, apex.clone())).copied().flatten();
            }
        }
        self.heard
    }
}

fn question(server: SocketAddr, name: &DnsName, kind: RecordType) -> Ask {
    Ask { server, name: name.clone(), kind, recursion: false, checking_disabled: false }
}
