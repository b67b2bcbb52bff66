//! Name servers: which zones they hold in which version, how they behave, and how a change gets from one to the next.

use super::{
    State, World,
    answer::Lookup,
    history::History,
    message,
    zone::{RrSet, Zone, name, within},
};
use crate::{
    env::{Answered, Ask},
    name::DnsName,
};
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType, rdata::NS},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

/// What one round of questions costs when all answer.
pub const ROUND_TRIP: Duration = Duration::from_millis(5);
/// How long a question waits for an answer that does not come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How a server or resolver behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It answers.
    #[default]
    Answers,
    /// It never answers.
    Down,
    /// It answers REFUSED.
    Refuses,
    /// It answers SERVFAIL.
    ServFail,
    /// It answers without the AA bit.
    Lame,
    /// It answers without signatures and proofs, and knows nothing of DNSSEC: a resolver of old.
    Strips,
}

/// What becomes of an update or of a call of `/sim/provider`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Updates {
    /// It is carried out.
    #[default]
    Work,
    /// REFUSED; the program exits 2.
    Refuse,
    /// SERVFAIL; the program exits 128.
    ServFail,
    /// No answer, no effect.
    Silent,
    /// No answer, but it is carried out.
    SilentDone,
    /// No answer, and it is carried out that many seconds later.
    SilentLater(u64),
    /// It is accepted and not carried out.
    NoEffect,
    /// No connection; the program exits 129.
    Unreachable,
    /// It is carried out after that many seconds, then answered.
    Slow(u64),
    /// The program exits with this code and has done nothing; a server says SERVFAIL.
    Exit(i32),
}

/// A name server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How it behaves.
    pub mode: Mode,
    /// Addresses of it that do not answer.
    pub silent: BTreeSet<IpAddr>,
    /// How long a change takes to get here from the primary.
    pub lag: Duration,
    /// It takes nothing from the primary.
    pub frozen: bool,
    /// RRsets that this server shows in place of those in the zone; `None`: none.
    pub overrides: BTreeMap<(DnsName, u16), Option<Rc<RrSet>>>,
    /// The zones it holds.
    pub zones: BTreeMap<DnsName, Rc<Zone>>,
}

impl Server {
    /// Shows another RRset than the zone has, from this server only (split brain).
    pub fn show(&mut self, owner: &DnsName, kind: RecordType, set: Option<RrSet>) {
        self.overrides.insert((owner.clone(), kind.into()), set.map(Rc::new));
    }

    /// Does it give answers that a resolver would believe?
    pub fn is_believed(&self) -> bool {
        self.mode == Mode::Answers && !self.addresses.iter().all(|address| self.silent.contains(address))
    }
}

/// All of the DNS.
#[derive(Default)]
pub struct Dns {
    /// The servers by name.
    pub(super) servers: BTreeMap<DnsName, Server>,
    /// The recursive resolvers by address.
    pub resolvers: BTreeMap<IpAddr, Mode>,
    /// The primary of each zone.
    pub(super) primaries: BTreeMap<DnsName, DnsName>,
    /// What becomes of the next updates, whatever the zone; then `updates` counts again.
    pub next_updates: VecDeque<Updates>,
    /// What becomes of updates.
    pub updates: Updates,
    /// What every server showed.
    pub history: History,
    /// Signatures verify. They cost time, which most tests have no use for.
    pub signs: bool,
    /// Somebody on the way who changes answers.
    pub tamper: Option<Tamper>,
    changed: bool,
    /// What was answered since servers and zones are as they are: the same questions come again and again.
    answered: RefCell<HashMap<Question, Answered>>,
}

/// All that an answer depends on beside servers and zones.
#[derive(PartialEq, Eq, Hash)]
struct Question {
    ask: Ask,
    routes: (bool, bool),
    /// How the resolver behaves that is asked.
    resolver: Option<Mode>,
    /// Do signatures verify?
    signs: bool,
    /// When they were made.
    signed: i64,
}

/// Changes an answer on its way.
pub type Tamper = Rc<dyn Fn(&Ask, &mut Message)>;

impl Dns {
    /// The server of that name.
    ///
    /// # Panics
    /// If there is none: the test is wrong.
    pub fn server(&mut self, server: &str) -> &mut Server {
        self.touch();
        self.servers.get_mut(&name(server)).unwrap_or_else(|| panic!("no server {server}"))
    }

    /// A server to be, or one that is there, and its addresses.
    ///
    /// # Panics
    /// If one is not an address: the test is wrong.
    pub fn add_server(&mut self, server: &str, addresses: &[&str]) -> &mut Server {
        let parse = |text: &&str| text.parse().unwrap_or_else(|_| panic!("{text} is not an address"));
        self.touch();
        let entry = self.servers.entry(name(server)).or_default();
        entry.addresses = addresses.iter().map(parse).collect();
        entry
    }

    /// Puts a zone on these servers, the first of which is the primary. All have it at once.
    ///
    /// # Panics
    /// If there is no server, or one that was not added: the test is wrong.
    pub fn add_zone(&mut self, zone: Zone, servers: &[&str]) {
        let (apex, zone) = (zone.apex.clone(), Rc::new(zone));
        self.touch();
        self.primaries.insert(apex.clone(), name(servers[0]));
        for server in servers {
            self.server(server).zones.insert(apex.clone(), zone.clone());
        }
    }

    /// The zone as its primary has it.
    ///
    /// # Panics
    /// If there is no such zone: the test is wrong.
    pub fn zone(&self, apex: &DnsName) -> &Rc<Zone> {
        let zone = self.primaries.get(apex).and_then(|primary| self.servers.get(primary)?.zones.get(apex));
        zone.unwrap_or_else(|| panic!("no zone {apex}"))
    }

    /// The closest zone that holds a name.
    pub fn zone_of(&self, owner: &DnsName) -> Option<&DnsName> {
        self.primaries.keys().filter(|apex| within(owner, apex)).max_by_key(|apex| apex.as_str().len())
    }

    /// The name servers of a zone: those in the zone and those in its delegation together.
    pub fn name_servers(&self, apex: &DnsName) -> BTreeSet<DnsName> {
        let above = super::zone::parent(apex).and_then(|above| self.zone_of(&above));
        let sets = [Some(apex), above].into_iter().flatten();
        let sets = sets.filter_map(|zone| self.zone(zone).set(apex, RecordType::NS).cloned());
        let names = |set: Rc<RrSet>| set.data.iter().filter_map(ns_name).collect::<Vec<_>>();
        sets.flat_map(names).collect()
    }

    /// Edits the primary's zone; a change makes the serial one higher. Tells whether there was one.
    pub(super) fn edit(&mut self, apex: &DnsName, edit: impl FnOnce(&mut Zone) -> bool) -> bool {
        self.answered.get_mut().clear();
        let primary = self.primaries.get(apex).and_then(|primary| self.servers.get_mut(primary));
        let Some(zone) = primary.and_then(|primary| primary.zones.get_mut(apex)) else { return false };
        let zone = Rc::make_mut(zone);
        let changed = edit(zone);
        if changed {
            zone.bump();
            self.changed = true;
        }
        changed
    }

    /// A secondary takes the zone from the primary if it is newer there.
    fn transfer(&mut self, server: &DnsName, apex: &DnsName) {
        let primary = self.primaries.get(apex).and_then(|primary| self.servers.get(primary));
        let Some(new) = primary.and_then(|primary| primary.zones.get(apex)).cloned() else { return };
        let Some(secondary) = self.servers.get_mut(server) else { return };
        let open = !secondary.frozen && secondary.mode != Mode::Down;
        match secondary.zones.get(apex) {
            Some(old) if open && (new.serial.wrapping_sub(old.serial) as i32) > 0 => {
                secondary.zones.insert(apex.clone(), new);
                self.touch();
            }
            _ => {}
        }
    }

    fn secondaries(&self, apex: &DnsName) -> Vec<(DnsName, Duration)> {
        let primary = self.primaries.get(apex);
        let holders = self.servers.iter().filter(|(_, server)| server.zones.contains_key(apex));
        holders.filter(|(name, _)| Some(*name) != primary).map(|(name, server)| (name.clone(), server.lag)).collect()
    }

    /// What becomes of the update that comes now.
    pub(super) fn next_update(&mut self) -> Updates {
        self.next_updates.pop_front().unwrap_or(self.updates)
    }

    /// Has the history kept for this name too.
    pub fn watch(&mut self, owner: DnsName) {
        self.history.watch(owner);
        self.changed = true;
    }

    /// Brings the history up to date; true if any server shows something else than before.
    pub(super) fn remember(&mut self, now: u64) -> bool {
        if !std::mem::take(&mut self.changed) {
            return false;
        }
        let mut history = std::mem::take(&mut self.history);
        let changed = history.update(self, now);
        self.history = history;
        changed
    }

    /// Servers or zones are about to change, or have changed: everything is to be answered anew.
    fn touch(&mut self) {
        self.changed = true;
        self.answered.get_mut().clear();
    }

    /// Answers one question.
    pub(super) fn answer(&self, ask: &Ask, routes: (bool, bool), wall: i64) -> Answered {
        // Signatures that nobody verifies are made once a day.
        let signed = if self.signs { wall } else { wall - wall.rem_euclid(86_400) };
        if self.tamper.is_some() {
            return self.answer_anew(ask, routes, signed);
        }
        let resolver = self.resolvers.get(&ask.server.ip()).copied();
        let question = Question { ask: ask.clone(), routes, resolver, signs: self.signs, signed };
        if let Some(answered) = self.answered.borrow().get(&question) {
            return answered.clone();
        }
        let answered = self.answer_anew(ask, routes, signed);
        self.answered.borrow_mut().insert(question, answered.clone());
        answered
    }

    fn answer_anew(&self, ask: &Ask, routes: (bool, bool), wall: i64) -> Answered {
        let mut message = self.untouched(ask, routes, wall)?;
        if let Some(tamper) = &self.tamper {
            tamper(ask, &mut message);
        }
        Ok(message)
    }

    fn untouched(&self, ask: &Ask, routes: (bool, bool), wall: i64) -> Answered {
        let address = ask.server.ip();
        if !(if address.is_ipv4() { routes.0 } else { routes.1 }) {
            return Err(format!("{address}: Network is unreachable (os error 101)"));
        }
        let silence = Err(format!("{address}: no answer within {} s", PATIENCE.as_secs()));
        let (mode, lookup): (Mode, Option<Lookup>) = if let Some(mode) = self.resolvers.get(&address) {
            let open = matches!(mode, Mode::Answers | Mode::Strips);
            let lookup = open.then(|| self.resolve(&ask.name, ask.kind)).flatten();
            let refused = |lookup: &Lookup| *mode == Mode::Answers && !ask.checking_disabled && self.is_bogus(lookup);
            (*mode, lookup.filter(|lookup| !refused(lookup)))
        } else {
            let Some(server) = self.servers.values().find(|server| server.addresses.contains(&address)) else {
                return silence;
            };
            let down = server.silent.contains(&address);
            (if down { Mode::Down } else { server.mode }, server.lookup(&ask.name, ask.kind))
        };
        let recursive = self.resolvers.contains_key(&address);
        match (mode, lookup) {
            (Mode::Down, _) => silence,
            (Mode::ServFail, _) => Ok(message::refusal(ask, ResponseCode::ServFail, recursive)),
            (Mode::Refuses, _) => Ok(message::refusal(ask, ResponseCode::Refused, recursive)),
            (_, None) if recursive => Ok(message::refusal(ask, ResponseCode::ServFail, true)),
            (_, None) => Ok(message::refusal(ask, ResponseCode::Refused, false)),
            (Mode::Strips, Some(lookup)) => {
                let reply = message::reply(self, ask, &lookup, mode, recursive, wall);
                Ok(message::stripped(reply, ask.kind))
            }
            (mode, Some(lookup)) => Ok(message::reply(self, ask, &lookup, mode, recursive, wall)),
        }
    }
}

/// The target of an NS record.
pub(super) fn ns_name(data: &RData) -> Option<DnsName> {
    match data {
        RData::NS(NS(server)) => Some(DnsName::from(server)),
        _ => None,
    }
}

impl World {
    /// Edits the zone on its primary (`edit` tells whether it changed anything) and has it transferred to each secondary
    /// after its lag. Tells whether anything changed.
    pub fn edit_zone(&self, apex: &DnsName, edit: impl FnOnce(&mut Zone) -> bool) -> bool {
        let changed = self.change(|state| state.dns.edit(apex, edit));
        if changed {
            let secondaries = self.look(|state| state.dns.secondaries(apex));
            secondaries.into_iter().for_each(|(server, lag)| self.transfer_after(lag, server, apex.clone()));
        }
        changed
    }

    /// Changes a server; it then asks the primaries for what it missed, and has it after its lag.
    pub fn set_server(&self, server: &str, set: impl FnOnce(&mut Server)) {
        let (lag, zones) = self.change(|state: &mut State| {
            let server = state.dns.server(server);
            set(server);
            (server.lag, server.zones.keys().cloned().collect::<Vec<_>>())
        });
        zones.into_iter().for_each(|apex| self.transfer_after(lag, name(server), apex));
    }

    fn transfer_after(&self, lag: Duration, server: DnsName, apex: DnsName) {
        self.after(lag, move |world| world.change(|state| state.dns.transfer(&server, &apex)));
    }
}
