//! What services present: every address of every endpoint, looked at side by side.

use super::discover::Resolver;
use crate::{
    env::{Env, Visit, Visited},
    facts::{AddressView, Endpoint, EndpointView},
    lineage::pem,
    name::DnsName,
    tlsa::Chain,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Looks at all of `wanted` (by TLSA query name), each address for at most `limit`.
pub fn views(
    env: &dyn Env,
    resolver: &Resolver<'_>,
    wanted: &BTreeMap<DnsName, Endpoint>,
    limit: Duration,
) -> BTreeMap<DnsName, EndpointView> {
    let hosts = wanted.values().filter(|endpoint| endpoint.by_name).map(|endpoint| endpoint.base.clone());
    let addresses = resolver.addresses(&hosts.collect());
    let places: BTreeMap<&DnsName, Result<BTreeSet<SocketAddr>, String>> =
        wanted.iter().map(|(query, endpoint)| (query, places(endpoint, addresses.get(&endpoint.base)))).collect();
    let mut visits = Vec::new();
    for (query, endpoint) in wanted {
        for address in places[query].iter().flatten() {
            let (server_name, protocol) = (endpoint.base.clone(), endpoint.protocol);
            visits.push(Visit { address: *address, server_name, protocol, limit });
        }
    }
    let mut visited = env.visit(&visits).into_iter();
    let mut view = |places: Result<BTreeSet<SocketAddr>, String>| {
        let seen = |places: BTreeSet<SocketAddr>| {
            places.into_iter().map(|at| (at, address_view(visited.next().unwrap_or_else(not_visited)))).collect()
        };
        EndpointView { addresses: places.map(seen) }
    };
    places.into_iter().map(|(query, places)| (query.clone(), view(places))).collect()
}

/// Where to connect.
pub fn places(
    endpoint: &Endpoint,
    addresses: Option<&Result<BTreeSet<IpAddr>, String>>,
) -> Result<BTreeSet<SocketAddr>, String> {
    let place = |(ip, port): &(IpAddr, Option<u16>)| SocketAddr::new(*ip, port.unwrap_or(endpoint.port));
    let mut places: BTreeSet<SocketAddr> = endpoint.at.iter().map(place).collect();
    if endpoint.by_name {
        let found = addresses.cloned().unwrap_or_else(|| Err("its address was not looked up".into()))?;
        if found.is_empty() {
            return Err(format!("{} has no address", endpoint.base));
        }
        places.extend(found.into_iter().map(|ip| SocketAddr::new(ip, endpoint.port)));
    }
    Ok(places)
}

fn not_visited() -> Visited {
    Visited { chains: Vec::new(), unknown: Some("it was not looked at".into()) }
}

/// Chains that cannot be parsed are a reason for not knowing, like sessions that failed.
pub fn address_view(visited: Visited) -> AddressView {
    let mut unknown = visited.unknown;
    let mut chains: Vec<Chain> = Vec::new();
    for ders in &visited.chains {
        match pem::sent(ders) {
            Ok(chain) => chains.push(chain),
            Err(why) => drop(unknown.get_or_insert(format!("what it presents cannot be read: {why}"))),
        }
    }
    if chains.is_empty() {
        unknown.get_or_insert_with(|| "it presented no certificate".into());
    }
    AddressView { chains, unknown }
}
