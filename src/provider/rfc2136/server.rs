//! The server that takes the updates: where it is, what it has, what is its zone.

use super::{Place, Rfc2136, Trouble, message, signed, view, view::View, work::Work};
use crate::{
    env::{Answered, Ask, Env},
    name::DnsName,
    provider::{Change, Context, Outcome},
};
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The server and its addresses; where there are several servers, the one that does what is asked.
pub(super) struct Server<'a> {
    pub env: &'a dyn Env,
    config: &'a Rfc2136,
    addresses: Vec<Address<'a>>,
    /// Which address answered last; the others come after it.
    preferred: Cell<usize>,
}

/// One address of a server.
#[derive(Clone, Copy)]
struct Address<'a> {
    address: SocketAddr,
    /// Whose it is.
    place: &'a Place,
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.addresses.get(self.preferred.get()).map(|address| address.place);
        known.or(self.config.servers.first()).map_or(Ok(()), |place| place.fmt(f))
    }
}

impl<'a> Server<'a> {
    /// Looks up the addresses. Of several servers one must have some.
    pub(super) fn find(env: &'a dyn Env, config: &'a Rfc2136, context: &Context) -> Result<Server<'a>, Outcome> {
        let (mut addresses, mut unknown) = (Vec::new(), Vec::new());
        for place in &config.servers {
            let address = |ip| Address { address: SocketAddr::new(ip, place.port), place };
            match self::addresses(env, &place.host, &context.resolvers) {
                Ok(found) => addresses.extend(found.into_iter().map(address)),
                Err(outcome) => unknown.push(outcome),
            }
        }
        match addresses.is_empty() {
            true => Err(all_of(unknown)),
            false => Ok(Server { env, config, addresses, preferred: Cell::new(0) }),
        }
    }

    /// The zone of each change: from the configuration, from whoever made the change, or from the server itself.
    pub(super) fn zones(&self, changes: &[Change]) -> Vec<Result<DnsName, Outcome>> {
        let given = |change: &Change| self.config.zone.clone().or_else(|| change.zone.clone());
        let mut unknown: Vec<_> = changes.iter().filter(|c| given(c).is_none()).map(|c| &c.owner).collect();
        unknown.sort();
        unknown.dedup();
        let answers = self.ask(&unknown, RecordType::SOA);
        let found: BTreeMap<_, _> =
            unknown.iter().zip(answers).map(|(owner, answer)| (*owner, self.apex(owner, answer))).collect();
        let zone = |change: &Change| match given(change) {
            Some(zone) if change.owner.is_within(&zone) => Ok(zone),
            Some(zone) => Err(Outcome::Failed(format!(
                "{} is not in zone {zone}: correct `zone:` in the `api` line",
                change.owner
            ))),
            None => found
                .get(&change.owner)
                .cloned()
                .unwrap_or_else(|| Err(Outcome::Temporary(format!("{self}: no answer")))),
        };
        changes.iter().map(zone).collect()
    }

    /// The name of the SOA record in the answer, which for a name inside the zone stands in the authority section.
    fn apex(&self, owner: &DnsName, answered: Answered) -> Result<DnsName, Outcome> {
        let answer = view::authoritative(self, owner, answered)?;
        let records = answer.answers.iter().chain(&answer.authorities);
        let soa =
            records.filter(|record| record.record_type() == RecordType::SOA).map(|record| DnsName::from(&record.name));
        let mut zones = soa.filter(|zone| owner.is_within(zone));
        zones.next().ok_or_else(|| {
            Outcome::Failed(format!("{self} does not tell the zone of {owner}: add `zone:ZONE` to the `api` line"))
        })
    }

    /// The TLSA RRset of each owner as the server itself has it now.
    pub(super) fn views(&self, owners: &[&DnsName]) -> Vec<Result<View, Outcome>> {
        let answers = self.ask(owners, RecordType::TLSA);
        owners.iter().zip(answers).map(|(owner, answered)| View::of(self, owner, answered)).collect()
    }

    /// The TLSA RRset of one owner.
    pub(super) fn view(&self, owner: &DnsName) -> Result<View, Outcome> {
        let answered = self.ask(&[owner], RecordType::TLSA).pop().unwrap_or_else(|| Err("no answer".into()));
        View::of(self, owner, answered)
    }

    /// Asks the first address that knows the names, else tells what the first said that answered at all.
    fn ask(&self, names: &[&DnsName], kind: RecordType) -> Vec<Answered> {
        let (mut answers, mut has_answered) = (Vec::new(), false);
        for (place, server) in self.in_turn() {
            let server = server.address;
            let ask = |name: &&DnsName| Ask {
                server,
                name: (*name).clone(),
                kind,
                recursion: false,
                checking_disabled: false,
            };
            let now = self.env.ask(&names.iter().map(ask).collect::<Vec<_>>());
            let knows = now.iter().flatten().any(view::is_authoritative);
            if knows || !has_answered {
                has_answered = now.iter().any(Result::is_ok);
                if has_answered {
                    self.preferred.set(place);
                }
                answers = now;
            }
            if knows {
                break;
            }
        }
        answers
    }

    fn in_turn(&self) -> impl Iterator<Item = (usize, Address<'a>)> + use<'a> {
        let all = self.addresses.iter().copied().enumerate();
        let (first, others) = all.partition::<Vec<_>, _>(|(place, _)| *place == self.preferred.get());
        first.into_iter().chain(others)
    }

    /// Sends one update for all of `works` and understands the answer. An address that does not take the connection, and a server that
    /// refuses, are passed over. Should one have done the work and lost the answer, the next one's prerequisites tell; should
    /// the servers not know of each other, the same single records are added or deleted twice, which changes nothing.
    pub(super) fn update(&self, zone: &DnsName, works: &[Work]) -> Result<(), Trouble> {
        let update = message::update(zone, works);
        let what = match works {
            [work] => work.owner.to_string(),
            works => format!("{} owners", works.len()),
        };
        let (mut errors, mut refused) = (Vec::new(), Vec::<(&Place, Trouble)>::new());
        for (turn, Address { address, place }) in self.in_turn() {
            if refused.iter().any(|(known, _)| *known == place) {
                continue;
            }
            let request = signed::Request::new(place, self.config.key.as_ref(), update.clone(), self.env.wall());
            let answer = request.map(|request| (self.env.exchange(address, &request.bytes), request));
            let label = format!("{place}, zone {zone}, {what}");
            let result = match answer.map_err(Trouble::All)? {
                (Ok(answer), request) => request.understand(&label, &answer, self.env.wall()),
                (Err(error), _) => {
                    errors.push(format!("{place} cannot be given the update: {} {error}", address.ip()));
                    continue;
                }
            };
            match result {
                Err(Trouble::All(_) | Trouble::Owner(_)) => {
                    refused.extend(result.err().map(|trouble| (place, trouble)))
                }
                // Whoever knows the RRset as it is now is asked for it.
                told => {
                    self.preferred.set(turn);
                    return told;
                }
            }
        }
        Err(together(refused.into_iter().map(|(_, trouble)| trouble), errors))
    }
}

/// What several servers said, as one. One that could not be reached may be the one that would not have refused.
fn together(refused: impl Iterator<Item = Trouble>, errors: Vec<String>) -> Trouble {
    let (mut outcomes, mut of_owner) = (Vec::new(), false);
    for trouble in refused {
        match trouble {
            Trouble::Owner(outcome) => {
                of_owner = true;
                outcomes.push(outcome);
            }
            Trouble::All(outcome) => outcomes.push(outcome),
            Trouble::Changed { .. } => return trouble,
        }
    }
    outcomes.extend((!errors.is_empty()).then(|| Outcome::Temporary(errors.join("; "))));
    let outcome = all_of(outcomes);
    if of_owner { Trouble::Owner(outcome) } else { Trouble::All(outcome) }
}

/// Several errors as one: it passes if one of them does.
fn all_of(mut outcomes: Vec<Outcome>) -> Outcome {
    if outcomes.len() == 1 {
        return outcomes.remove(0);
    }
    let passes = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Temporary(_)));
    let text = |outcome| match outcome {
        Outcome::Temporary(text) | Outcome::Failed(text) | Outcome::NotYet(text) | Outcome::ByHand(text) => Some(text),
        Outcome::Done | Outcome::Already => None,
    };
    let text = outcomes.into_iter().filter_map(text).collect::<Vec<_>>().join("; ");
    if passes { Outcome::Temporary(text) } else { Outcome::Failed(text) }
}

fn addresses(env: &dyn Env, host: &str, resolvers: &[SocketAddr]) -> Result<Vec<IpAddr>, Outcome> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let name: DnsName = host.parse().map_err(|error| Outcome::Failed(format!("`{host}` is no host name: {error}")))?;
    if name.as_str() == "localhost." {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let mut errors = Vec::new();
    for &server in resolvers {
        let ask = |kind| Ask { server, name: name.clone(), kind, recursion: true, checking_disabled: false };
        match found(env.ask(&[RecordType::A, RecordType::AAAA].map(ask))) {
            Ok(addresses) if addresses.is_empty() => {
                return Err(Outcome::Failed(format!("{host}, the server for updates, has no address in the DNS")));
            }
            Ok(addresses) => return Ok(addresses),
            Err(error) => errors.push(format!("resolver {server}: {error}")),
        }
    }
    let why = if errors.is_empty() { "no resolver is known".to_owned() } else { errors.join("; ") };
    Err(Outcome::Temporary(format!("the address of {host}, the server for updates, cannot be looked up: {why}")))
}

/// The addresses in both answers; an error if none came and one of the two is missing.
fn found(answers: Vec<Answered>) -> Result<Vec<IpAddr>, String> {
    let (mut addresses, mut errors) = (Vec::new(), Vec::new());
    for answered in answers {
        match answered.and_then(usable) {
            Ok(answer) => addresses.extend(answer.answers.iter().filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })),
            Err(error) => errors.push(error),
        }
    }
    match errors.pop() {
        Some(error) if addresses.is_empty() => Err(error),
        _ => Ok(addresses),
    }
}

fn usable(answer: Message) -> Answered {
    match answer.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        code => Err(format!("answers {code}")),
    }
}
