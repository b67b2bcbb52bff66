//! Which servers are authoritative: the zone's apex, the NS names of the parent and of the zone, all their addresses.

use super::dns;
use crate::{
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
    net::{IpAddr, SocketAddr},
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

/// Asks recursive resolvers, the next one where the one before fails.
pub struct Resolver<'a> {
    env: &'a dyn Env,
    servers: Vec<SocketAddr>,
}

impl<'a> Resolver<'a> {
    /// Asks these, in this order.
    pub fn new(env: &'a dyn Env, servers: Vec<SocketAddr>) -> Resolver<'a> {
        Resolver { env, servers }
    }

    /// The answers to these questions, in their order.
    fn ask(&self, questions: &[(DnsName, RecordType)]) -> Vec<Answered> {
        let mut answers = vec![Err("there is no resolver to ask".to_string()); questions.len()];
        for server in &self.servers {
            let open: Vec<usize> = (0..questions.len()).filter(|at| !useful(&answers[*at])).collect();
            let ask = |at: &usize| {
                let (name, kind) = questions[*at].clone();
                Ask { server: *server, name, kind, recursion: true }
            };
            let asks: Vec<Ask> = open.iter().map(ask).collect();
            for (at, answer) in open.into_iter().zip(self.env.ask(&asks)) {
                answers[at] = answer.map_err(|why| format!("resolver {server}: {why}"));
            }
        }
        answers
    }

    /// The answers to these questions with what DNSSEC says about each, in their order.
    pub fn validated(&self, questions: &[(DnsName, RecordType)]) -> Vec<Result<(Message, Security), String>> {
        let answers = self.ask(questions).into_iter();
        answers.map(|answer| answer.map(|message| (message, Security::Insecure))).collect()
    }

    /// The addresses of each host name, IPv4 and IPv6.
    pub fn addresses(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<BTreeSet<IpAddr>, String>> {
        let kinds = [RecordType::A, RecordType::AAAA];
        let questions: Vec<_> = names.iter().flat_map(|name| kinds.map(|kind| (name.clone(), kind))).collect();
        let answers = self.ask(&questions);
        let of_host = |(name, answers): (&DnsName, &[Answered])| {
            let both = dns::addresses(&answers[0]).and_then(|v4| Ok(&v4 | &dns::addresses(&answers[1])?));
            (name.clone(), both.map_err(|why| format!("the address of {name} cannot be looked up: {why}")))
        };
        names.iter().zip(answers.chunks(2)).map(of_host).collect()
    }

    /// The apex of the zone that holds each name: found by SOA, walking up where the answer tells nothing.
    fn apexes(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<DnsName, String>> {
        let mut found = BTreeMap::new();
        let mut open: Vec<(DnsName, DnsName)> = names.iter().map(|name| (name.clone(), name.clone())).collect();
        while !open.is_empty() {
            let questions: Vec<_> = open.iter().map(|(_, at)| (at.clone(), RecordType::SOA)).collect();
            let mut higher = Vec::new();
            for ((name, at), answer) in open.into_iter().zip(self.ask(&questions)) {
                match (dns::apex(&answer, &at), at.parent()) {
                    (Ok((apex, _)), _) => drop(found.insert(name, Ok(apex))),
                    (Err(_), Some(parent)) if useful(&answer) && parent.as_str() != "." => higher.push((name, parent)),
                    (Err(why), _) => {
                        let text = format!("the zone of {name} cannot be found: {why}");
                        found.insert(name, Err(text));
                    }
                }
            }
            open = higher;
        }
        found
    }

    /// The authoritative servers for each of these names.
    pub fn authorities(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<Authorities, String>> {
        let apexes = self.apexes(names);
        let zones: BTreeSet<DnsName> = apexes.values().flatten().cloned().collect();
        let zones = self.zones(&zones);
        let of_name = |(name, apex): (DnsName, Result<DnsName, String>)| {
            let authorities = apex.and_then(|apex| zones[&apex].clone());
            (name, authorities)
        };
        apexes.into_iter().map(of_name).collect()
    }

    /// The servers of zones: what the zone itself says and what its parent says, together.
    fn zones(&self, zones: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<Authorities, String>> {
        let own = self.name_servers(zones);
        let delegated = self.delegations(zones);
        let both = |apex: &DnsName| -> Result<(BTreeSet<DnsName>, u32), String> {
            let (own, ttl) = own[apex].clone()?;
            let (parents, parents_ttl) = delegated[apex].clone()?;
            Ok((&own | &parents, ttl.max(parents_ttl)))
        };
        let sets: BTreeMap<DnsName, _> = zones.iter().map(|apex| (apex.clone(), both(apex))).collect();
        let hosts: BTreeSet<DnsName> = sets.values().flatten().flat_map(|(hosts, _)| hosts.clone()).collect();
        let addresses = self.addresses(&hosts);
        let with_addresses = |(apex, set): (DnsName, Result<(BTreeSet<DnsName>, u32), String>)| {
            let authorities = set.and_then(|(hosts, ns_ttl)| {
                let servers = sockets(&hosts, &addresses)?;
                Ok(Authorities { apex: Some(apex.clone()), servers, ns_ttl })
            });
            (apex, authorities)
        };
        sets.into_iter().map(with_addresses).collect()
    }

    fn name_servers(&self, zones: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Result<(BTreeSet<DnsName>, u32), String>> {
        let questions: Vec<_> = zones.iter().map(|apex| (apex.clone(), RecordType::NS)).collect();
        let answers = self.ask(&questions);
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
        let addresses = self.addresses(&hosts);
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

/// Is this an answer that another resolver would not better?
fn useful(answer: &Answered) -> bool {
    answer
        .as_ref()
        .is_ok_and(|message| matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain))
}

type Addresses = BTreeMap<DnsName, Result<BTreeSet<IpAddr>, String>>;

/// Every address of every host. A host without any is nobody's server; one that cannot be looked up fails all.
fn sockets(hosts: &BTreeSet<DnsName>, addresses: &Addresses) -> Result<BTreeMap<SocketAddr, String>, String> {
    let mut servers = BTreeMap::new();
    for host in hosts {
        for address in addresses[host].clone()? {
            servers.insert(SocketAddr::new(address, 53), host.without_dot().to_string());
        }
    }
    match servers.is_empty() {
        true => Err("none of its servers has an address".into()),
        false => Ok(servers),
    }
}

fn sockets_that_resolve(hosts: &BTreeSet<DnsName>, addresses: &Addresses) -> Vec<SocketAddr> {
    let known = hosts.iter().filter_map(|host| addresses[host].as_ref().ok()).flatten();
    known.map(|address| SocketAddr::new(*address, 53)).collect()
}
