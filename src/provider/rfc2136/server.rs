//! The server that takes the updates: where it is, what it has, what is its zone.

use super::{Rfc2136, Trouble, message, signed, view, view::View, work::Work};
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

/// The server and its addresses.
pub(super) struct Server<'a> {
    pub env: &'a dyn Env,
    config: &'a Rfc2136,
    addresses: Vec<SocketAddr>,
    /// Which address answered last; the others come after it.
    preferred: Cell<usize>,
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.config.host, self.config.port)
    }
}

impl<'a> Server<'a> {
    /// Looks up the addresses.
    pub(super) fn find(env: &'a dyn Env, config: &'a Rfc2136, context: &Context) -> Result<Server<'a>, Outcome> {
        let addresses = addresses(env, &config.host, &context.resolvers)?;
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, config.port)).collect();
        Ok(Server { env, config, addresses, preferred: Cell::new(0) })
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

    /// Asks the first address that answers anything.
    fn ask(&self, names: &[&DnsName], kind: RecordType) -> Vec<Answered> {
        let mut answers = Vec::new();
        for (place, server) in self.in_turn() {
            let ask = |name: &&DnsName| Ask {
                server,
                name: (*name).clone(),
                kind,
                recursion: false,
                checking_disabled: false,
            };
            answers = self.env.ask(&names.iter().map(ask).collect::<Vec<_>>());
            if answers.iter().any(Result::is_ok) {
                self.preferred.set(place);
                break;
            }
        }
        answers
    }

    fn in_turn(&self) -> impl Iterator<Item = (usize, SocketAddr)> {
        let all = self.addresses.iter().copied().enumerate();
        let (first, others) = all.partition::<Vec<_>, _>(|(place, _)| *place == self.preferred.get());
        first.into_iter().chain(others)
    }

    /// Sends one update for all of `works` and understands the answer. An address that does not take the connection is
    /// passed over; should one have done the work and lost the answer, the next one's prerequisites tell.
    pub(super) fn update(&self, zone: &DnsName, works: &[Work]) -> Result<(), Trouble> {
        let update = message::update(zone, works);
        let label = match works {
            [work] => format!("{self}, zone {zone}, {}", work.owner),
            works => format!("{self}, zone {zone}, {} owners", works.len()),
        };
        let mut errors = Vec::new();
        for (_, address) in self.in_turn() {
            let request = signed::Request::new(self, self.config.key.as_ref(), update.clone()).map_err(Trouble::All)?;
            match self.env.exchange(address, &request.bytes) {
                Ok(answer) => return request.understand(&label, &answer, self.env.wall()),
                Err(error) => errors.push(format!("{} {error}", address.ip())),
            }
        }
        Err(Trouble::All(Outcome::Temporary(format!("{self} cannot be given the update: {}", errors.join("; ")))))
    }
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
