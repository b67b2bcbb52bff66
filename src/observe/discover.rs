//! Which servers are authoritative: the zone's apex, the NS names of the parent and of the zone, all their addresses.

use super::{
    dns,
    dnssec::{Validator, worse},
};
use crate::{
    config::Dnssec,
    env::{Answered, Ask, Env},
    facts::Security,
    name::DnsName,
};
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

/// The servers of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// The zone's apex; `None` where the operator named the servers and nobody told the zone.
    pub apex: Option<DnsName>,
    /// Host name of each address.
    pub servers: BTreeMap<SocketAddr, String>,
    /// TTL of the NS RRset, seconds.
    pub ns_ttl: u32,
}

/// An answer and what it is worth; or why there is none.
pub type Validated = Result<(Message, Security), String>;

/// Why something could not be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In words.
    pub why: String,
    /// There is an answer, and it is bogus.
    pub bogus: bool,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<String> for Lost {
    fn from(why: String) -> Lost {
        Lost { why, bogus: false }
    }
}

/// Asks recursive resolvers, the next one where the one before fails.
pub struct Resolver<'a> {
    pub(super) env: &'a dyn Env,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) validator: Rc<Validator>,
}

impl<'a> Resolver<'a> {
    /// Asks these, in this order, and validates from the root's built-in trust anchors.
    pub fn new(env: &'a dyn Env, servers: Vec<SocketAddr>) -> Resolver<'a> {
        Resolver { env, servers, validator: Rc::default() }
    }

    /// Has answers judged by `validator`, which remembers what it fetched.
    pub fn judging(self, validator: Rc<Validator>) -> Resolver<'a> {
        Resolver { validator, ..self }
    }

    /// The answers to these questions, in their order. `anything`: also what a validating resolver finds bogus.
    pub(super) fn ask(&self, questions: &[(DnsName, RecordType)], anything: bool) -> Vec<Answered> {
        let mut answers = vec![Err("there is no resolver to ask".to_string()); questions.len()];
        // Where we validate we need the answer to do so.
        let checking_disabled = anything || self.validator.mode() == Dnssec::Validate;
        for server in &self.servers {
            let open: Vec<usize> = (0..questions.len()).filter(|at| !useful(&answers[*at])).collect();
            let ask = |at: &usize| {
                let (name, kind) = questions[*at].clone();
                Ask { server: *server, name, kind, recursion: true, checking_disabled }
            };
            let asks: Vec<Ask> = open.iter().map(ask).collect();
            for (at, answer) in open.into_iter().zip(self.env.ask(&asks)) {
                answers[at] = answer.map_err(|why| format!("resolver {server}: {why}"));
            }
        }
        answers
    }

    /// The answers to these questions with what DNSSEC says about each, in their order.
    pub fn validated(&self, questions: &[(DnsName, RecordType)]) -> Vec<Validated> {
        let answers = self.ask(questions, false);
        let told = questions.iter().zip(&answers).filter(|(_, answer)| useful(answer));
        let items = told.filter_map(|((name, kind), answer)| Some((answer.as_ref().ok()?, name.clone(), *kind)));
        let mut judged = self.judge(&items.collect::<Vec<_>>()).into_iter();
        let with_security = |answer: Answered| {
            let security = if useful(&answer) { judged.next() } else { None };
            let security = security.unwrap_or_else(|| Security::Unknown("it is no answer".into()));
            answer.map(|message| {
                let security = unfit(security, &message);
                (message, security)
            })
        };
        answers.into_iter().map(with_security).collect()
    }

    /// The addresses of each host name, IPv4 and IPv6. Bogus answers are an error.
    pub fn addresses(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<BTreeSet<IpAddr>, String>> {
        self.found_addresses(names).into_iter().map(|(name, found)| (name, found.map_err(|lost| lost.why))).collect()
    }

    fn found_addresses(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<BTreeSet<IpAddr>, Lost>> {
        let kinds = [RecordType::A, RecordType::AAAA];
        let questions: Vec<_> = names.iter().flat_map(|name| kinds.map(|kind| (name.clone(), kind))).collect();
        let answers = self.validated(&questions);
        let of_host = |(name, answers): (&DnsName, &[Validated])| {
            let cannot = |why| format!("the address of {name} cannot be looked up: {why}");
            let mut all = BTreeSet::new();
            let mut security = Security::Secure;
            for answer in answers {
                let message = answer.as_ref().map(|(message, _)| message.clone()).map_err(Clone::clone);
                all.extend(dns::addresses(&message).map_err(|why| Lost::from(cannot(why)))?);
                security = answer.iter().map(|(_, security)| security.clone()).fold(security.clone(), worse);
            }
            match security {
                Security::Bogus(why) => Err(Lost { why: cannot(format!("the answer is BOGUS: {why}")), bogus: true }),
                _ => Ok(all),
            }
        };
        names.iter().zip(answers.chunks(2)).map(|(name, answers)| (name.clone(), of_host((name, answers)))).collect()
    }

    /// The same without a look at signatures: for servers whose answers are judged anyway.
    fn any_addresses(&self, names: &BTreeSet<DnsName>) -> Addresses {
        let kinds = [RecordType::A, RecordType::AAAA];
        let questions: Vec<_> = names.iter().flat_map(|name| kinds.map(|kind| (name.clone(), kind))).collect();
        let answers = self.ask(&questions, true);
        let of_host = |(name, answers): (&DnsName, &[Answered])| {
            let both = dns::addresses(&answers[0]).and_then(|v4| Ok(&v4 | &dns::addresses(&answers[1])?));
            (name.clone(), both.map_err(Lost::from))
        };
        names.iter().zip(answers.chunks(2)).map(of_host).collect()
    }

    /// Servers of these zones, as many as can be found; to be asked for what carries its own proof.
    pub(super) fn servers_of(&self, zones: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Vec<SocketAddr>> {
        let sets = self.name_servers(zones);
        let hosts: BTreeSet<DnsName> = sets.values().flatten().flat_map(|(hosts, _)| hosts.clone()).collect();
        let addresses = self.any_addresses(&hosts);
        let servers = |(zone, set): (DnsName, Result<(BTreeSet<DnsName>, u32), String>)| {
            let servers = set.map(|(hosts, _)| sockets_that_resolve(&hosts, &addresses));
            (zone, servers.unwrap_or_default())
        };
        sets.into_iter().map(servers).collect()
    }

    /// The apex of the zone that holds each name: found by SOA, walking up where the answer tells nothing.
    fn apexes(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<DnsName, String>> {
        let mut found = BTreeMap::new();
        let mut open: Vec<(DnsName, DnsName)> = names.iter().map(|name| (name.clone(), name.clone())).collect();
        while !open.is_empty() {
            let questions: Vec<_> = open.iter().map(|(_, at)| (at.clone(), RecordType::SOA)).collect();
            let mut higher = Vec::new();
            for ((name, at), answer) in open.into_iter().zip(self.ask(&questions, true)) {
                match (dns::apex(&answer, &at), at.parent()) {
                    (Ok((apex, _)), _) => drop(found.insert(name, Ok(apex))),
                    (Err(_), Some(parent)) if useful(&answer) && parent.as_str() != "." => higher.push((name, parent)),
                    (Err(why), _) => {
                        let text = format!(
                            "the zone of {name} cannot be found: {why}; see that it is delegated, and that the resolvers \
                             (`resolver`, else those of the system) answer"
                        );
                        found.insert(name, Err(text));
                    }
                }
            }
            open = higher;
        }
        found
    }

    /// The authoritative servers for each of these names.
    pub fn authorities(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<Rc<Authorities>, Lost>> {
        let apexes = self.apexes(names);
        let zones: BTreeSet<DnsName> = apexes.values().flatten().cloned().collect();
        let zones = self.zones(&zones);
        let of_name = |(name, apex): (DnsName, Result<DnsName, String>)| {
            let authorities = apex.map_err(Lost::from).and_then(|apex| zones[&apex].clone());
            (name, authorities)
        };
        apexes.into_iter().map(of_name).collect()
    }

    /// The servers of zones: what the zone itself says and what its parent says, together.
    fn zones(&self, zones: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<Rc<Authorities>, Lost>> {
        let own = self.name_servers(zones);
        let delegated = self.delegations(zones);
        let both = |apex: &DnsName| -> Result<(BTreeSet<DnsName>, u32), String> {
            let (own, ttl) = own[apex].clone()?;
            let (parents, parents_ttl) = delegated[apex].clone()?;
            Ok((&own | &parents, ttl.max(parents_ttl)))
        };
        let sets: BTreeMap<DnsName, _> = zones.iter().map(|apex| (apex.clone(), both(apex))).collect();
        let hosts: BTreeSet<DnsName> = sets.values().flatten().flat_map(|(hosts, _)| hosts.clone()).collect();
        let addresses = self.found_addresses(&hosts);
        let with_addresses = |(apex, set): (DnsName, Result<(BTreeSet<DnsName>, u32), String>)| {
            let authorities = set.map_err(Lost::from).and_then(|(hosts, ns_ttl)| {
                let servers = sockets(&hosts, &addresses)?;
                Ok(Rc::new(Authorities { apex: Some(apex.clone()), servers, ns_ttl }))
            });
            (apex, authorities)
        };
        sets.into_iter().map(with_addresses).collect()
    }

    fn name_servers(&self, zones: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<(BTreeSet<DnsName>, u32), String>> {
        let questions: Vec<_> = zones.iter().map(|apex| (apex.clone(), RecordType::NS)).collect();
        let answers = self.ask(&questions, true);
        let of_zone = |(apex, answer): (&DnsName, Answered)| (apex.clone(), dns::name_servers(&answer, apex));
        zones.iter().zip(answers).map(of_zone).collect()
    }

    /// What the parent's servers say about the delegation of each zone. The first of them that answers will do.
    fn delegations(&self, zones: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<(BTreeSet<DnsName>, u32), String>> {
        let above: BTreeSet<DnsName> = zones.iter().filter_map(DnsName::parent).collect();
        let parents = self.apexes_or_root(&above);
        let apexes: BTreeSet<DnsName> = parents.values().flatten().cloned().collect();
        let servers = self.name_servers(&apexes);
        let hosts: BTreeSet<DnsName> = servers.values().flatten().flat_map(|(hosts, _)| hosts.clone()).collect();
        let addresses = self.any_addresses(&hosts);
        let of_zone = |apex: &DnsName| {
            let delegation = || {
                let parent = apex.parent().ok_or("the root has no parent")?;
                let (hosts, _) = servers[parents[&parent].as_ref().map_err(Clone::clone)?].clone()?;
                self.delegation(apex, &sockets_that_resolve(&hosts, &addresses))
            };
            let hint = "name the zone's servers with `nameservers` if its parent cannot be asked from here";
            let result =
                delegation().map_err(|why: String| format!("the delegation of {apex} cannot be seen: {why}; {hint}"));
            (apex.clone(), result)
        };
        zones.iter().map(of_zone).collect()
    }

    fn apexes_or_root(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<DnsName, String>> {
        let (root, names): (BTreeSet<DnsName>, BTreeSet<DnsName>) =
            names.iter().cloned().partition(|n| n.as_str() == ".");
        let mut apexes = self.apexes(&names);
        apexes.extend(root.into_iter().map(|root| (root.clone(), Ok(root))));
        apexes
    }

    fn delegation(&self, apex: &DnsName, servers: &[SocketAddr]) -> Result<(BTreeSet<DnsName>, u32), String> {
        let mut why = "none of the parent's servers has an address".to_string();
        for chunk in servers.chunks(3) {
            let ask = |server: &SocketAddr| Ask {
                server: *server,
                name: apex.clone(),
                kind: RecordType::NS,
                recursion: false,
                checking_disabled: false,
            };
            for (server, answer) in chunk.iter().zip(self.env.ask(&chunk.iter().map(ask).collect::<Vec<_>>())) {
                match dns::name_servers(&answer, apex) {
                    Ok(set) => return Ok(set),
                    Err(reason) => why = format!("{server}: {reason}"),
                }
            }
        }
        Err(why)
    }
}

/// A resolver that strips signatures makes nothing bogus; it is of no use.
fn unfit(security: Security, message: &Message) -> Security {
    let mut records = message.answers.iter().chain(&message.authorities);
    match security {
        Security::Bogus(why) if !records.any(|record| record.record_type() == RecordType::RRSIG) => {
            Security::Unknown(format!("the resolver may strip signatures: {why}"))
        }
        security => security,
    }
}

/// Is this an answer that another resolver would not better?
pub(super) fn useful(answer: &Answered) -> bool {
    answer
        .as_ref()
        .is_ok_and(|message| matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain))
}

type Addresses = BTreeMap<DnsName, Result<BTreeSet<IpAddr>, Lost>>;

/// Every address of every host. A host without any is nobody's server; one that cannot be looked up fails all.
fn sockets(hosts: &BTreeSet<DnsName>, addresses: &Addresses) -> Result<BTreeMap<SocketAddr, String>, Lost> {
    let mut servers = BTreeMap::new();
    for host in hosts {
        for address in addresses[host].clone()? {
            let name = host.without_dot();
            let names = servers.entry(SocketAddr::new(address, 53));
            names.and_modify(|names: &mut String| names.extend([", ", name])).or_insert_with(|| name.to_string());
        }
    }
    match servers.is_empty() {
        true => Err("none of its servers has an address".to_string().into()),
        false => Ok(servers),
    }
}

fn sockets_that_resolve(hosts: &BTreeSet<DnsName>, addresses: &Addresses) -> Vec<SocketAddr> {
    let known = hosts.iter().filter_map(|host| addresses[host].as_ref().ok()).flatten();
    known.map(|address| SocketAddr::new(*address, 53)).collect()
}
