//! Many owners at once: what is asked, how often, and what is known in the end.

use crate::{
    lab::{APEX, Lab, RESOLVER},
    validation::{TLSA, anchor, lab, record},
};
use daneroll::{
    config::Dnssec,
    env::{
        Ask,
        sim::zone::{address, name},
    },
    facts::{OwnerView, Security},
    name::DnsName,
    observe::{
        authority::{Wanted, views},
        discover::Resolver,
        dnssec::Validator,
    },
};
use hickory_resolver::proto::{op::Message, rr::RecordType};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

const MANY: usize = 300;

/// Looks at all owners, and counts the questions of each type, those to the resolver apart.
fn look(
    lab: &Lab,
    owners: &[DnsName],
    nameservers: &[SocketAddr],
) -> (BTreeMap<DnsName, OwnerView>, BTreeMap<(RecordType, bool), usize>) {
    let counted: Rc<RefCell<BTreeMap<(RecordType, bool), usize>>> = Rc::default();
    let counts = counted.clone();
    lab.world.change(|state| {
        state.dns.tamper = Some(Rc::new(move |ask: &Ask, _: &mut Message| {
            *counts.borrow_mut().entry((ask.kind, ask.recursion)).or_default() += 1;
        }));
    });
    let validator = Validator::new(Dnssec::Validate, Some(&anchor(".")));
    let servers = vec![(RESOLVER.parse::<IpAddr>().unwrap(), 53).into()];
    let resolver = Resolver::new(&lab.world, servers).judging(Rc::new(validator));
    let wanted = Wanted { nameservers: nameservers.to_vec(), ..Wanted::default() };
    let wanted = owners.iter().map(|owner| (owner.clone(), wanted.clone())).collect();
    let views = views(&lab.world, &resolver, &mut BTreeMap::new(), &wanted);
    (views, counted.take())
}

#[test]
fn zones_are_asked_for_once_and_owners_of_every_server() {
    for (zone, security) in [(APEX, Security::Secure), ("child.example.com", Security::Insecure)] {
        let lab = lab();
        let owners: Vec<DnsName> = (0..MANY).map(|n| name(&format!("_25._tcp.h{n}.{zone}"))).collect();
        let ns = name("ns.child.example.com");
        lab.world.edit_zone(&name("child.example.com"), |zone| zone.add(&ns, 300, address([192, 0, 2, 77].into())));
        lab.world.edit_zone(&name(zone), |zone| owners.iter().all(|owner| zone.add(owner, 300, record(1))));
        let mut nameservers = Vec::new();
        for named in [false, true] {
            let (views, counted) = look(&lab, &owners, &nameservers);
            let count = |kind, recursion| counted.get(&(kind, recursion)).copied().unwrap_or_default();
            let first = views[&owners[0]].servers.clone().unwrap();
            for (owner, view) in &views {
                let servers = view.servers.as_ref().unwrap();
                assert!(servers.keys().eq(first.keys()), "{owner}");
                assert!(
                    servers.values().all(|server| server.answer.is_ok() && server.serial.is_some()),
                    "{owner} {view:?}"
                );
                assert_eq!((&view.zone, &view.security), (&Some(name(zone)), &security), "{owner}");
            }
            assert_eq!((views.len(), count(TLSA, false)), (MANY, MANY * first.len()), "{zone} {named}");
            // An unsigned answer does not tell its zone.
            if !named || security == Security::Secure {
                let serials = count(RecordType::SOA, false);
                assert!(serials <= 4 * first.len() + 32 * first.len(), "{zone} {named}: {serials} for serials");
            }
            let keys = count(RecordType::DS, true) + count(RecordType::DNSKEY, true);
            assert!(keys < 150, "{zone} {named}: {keys} for keys");
            nameservers = first.into_iter().map(|(address, _)| address).collect();
        }
    }
}
