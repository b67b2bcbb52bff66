//! Several hosts at one owner: each with a certificate, a key and a daneroll of its own, and nothing in common but the DNS. Here they
//! are three configurations with directories of their own in one world; none of them knows of the others.

use super::{EE, MX, OWNER, count};
use crate::{
    certs::{Certbot, Renewal},
    clients::record_of,
    lab::{APEX, HOUR, Lab, MINUTE, RESOLVER},
};
use daneroll::env::sim::{
    service::Service,
    zone::{address, name, tlsa},
};
use std::path::Path;

struct Host {
    name: &'static str,
    certbot: Certbot,
}

impl Host {
    fn path(&self, file: &str) -> String {
        format!("/hosts/{}/{file}", self.name)
    }

    fn run(&self, lab: &Lab, args: &[&str]) -> i32 {
        lab.run(&[&["-c", &self.path("conf")], args].concat())
    }

    /// Numbers of the certificates that its service may present.
    fn presents(&self, lab: &Lab) -> Vec<usize> {
        let chains = lab.world.look(|state| state.services[self.name].presented());
        let is = |n: &usize| chains.iter().any(|chain| **chain == self.certbot.fullchain(MX, *n)[..]);
        (1..=self.certbot.number(MX)).filter(is).collect()
    }
}

/// As daneroll.conf(5) has it: the first records of all hosts are put into the zone in one change, by hand.
fn fleet(line: &str) -> (Lab, Vec<Host>) {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 60).start();
    let hosts: Vec<Host> = ["a", "b", "c"].map(|name| fresh(&lab, name, line)).into();
    let records: Vec<_> = hosts.iter().map(|host| record_of(&host.certbot.fullchain(MX, 1), EE)).collect();
    lab.world.edit_zone(&name(APEX), |zone| {
        zone.delete_set(&name(MX), hickory_resolver::proto::rr::RecordType::A);
        for record in &records {
            zone.add(&name(OWNER), 3600, tlsa(record));
        }
        (31..34).all(|last| zone.add(&name(MX), 3600, address([192, 0, 2, last].into())))
    });
    for (host, last) in hosts.iter().zip(31..) {
        assert_eq!(host.run(&lab, &["--reset"]), 0, "{}", lab.told());
        let mut service = Service::new(host.name, MX, 25, host.path(&format!("dane/{MX}")));
        service.at = Some([192, 0, 2, last].into());
        lab.world.serve(service);
    }
    every(&lab, &hosts, HOUR, 6 * HOUR);
    assert_eq!(count(&lab, OWNER), 3);
    (lab, hosts)
}

fn fresh(lab: &Lab, name: &'static str, line: &str) -> Host {
    lab.world.change(|state| {
        for dir in ["/hosts", &format!("/hosts/{name}")] {
            let _ = state.disk.make_dir(Path::new(dir), 0o755);
        }
    });
    let host = Host { name, certbot: lab.certbot.elsewhere(&format!("/hosts/{name}/le")) };
    host.certbot.issue(MX, &[MX], 90);
    let text = format!(
        "letsencrypt_directory = {}\ndane_directory = {}\nstate_directory = {}\nresolver = {RESOLVER}\ndnssec = resolver\nttl = 3600\n\
         api = exec /sim/provider\n[{MX}]\ntlsa = 311 25\n{line}\nreload = /sim/reload {name}\n",
        host.path("le"),
        host.path("dane"),
        host.path("state")
    );
    lab.world.change(|state| state.disk.create(Path::new(&host.path("conf")), text.as_bytes(), 0o644).unwrap());
    host
}

/// Plain runs of all hosts, one after the other.
fn every(lab: &Lab, hosts: &[Host], every: u64, how_long: u64) {
    for _ in 0..how_long / every {
        for host in hosts {
            assert_eq!(host.run(lab, &[]), 0, "{}: {}", host.name, lab.told());
        }
        lab.pass(every);
    }
}

fn renew(lab: &Lab, host: &Host) {
    assert_eq!(host.run(lab, &["--pre"]), 0, "{}", lab.told());
    host.certbot.renew(MX, Renewal::default());
    assert_eq!(host.run(lab, &["--post"]), 0, "{}", lab.told());
}

/// Renewals one after the other, and all at once: nobody's record goes while somebody presents it, and in the end each host has one.
#[test]
fn each_host_its_own_record() {
    let (lab, hosts) = fleet("shared = yes");
    renew(&lab, &hosts[0]);
    every(&lab, &hosts, 20 * MINUTE, 9 * HOUR);
    let presented: Vec<_> = hosts.iter().map(|host| host.presents(&lab)).collect();
    assert_eq!((presented, count(&lab, OWNER)), (vec![vec![2], vec![1], vec![1]], 3));
    hosts.iter().for_each(|host| renew(&lab, host));
    assert_eq!(count(&lab, OWNER), 6);
    every(&lab, &hosts, 20 * MINUTE, 12 * HOUR);
    lab.assert_clean();
    let presented: Vec<_> = hosts.iter().map(|host| host.presents(&lab)).collect();
    assert_eq!(presented, [[3], [2], [2]]);
    let mut expected: Vec<_> =
        hosts.iter().map(|host| record_of(&host.certbot.fullchain(MX, host.certbot.number(MX)), EE)).collect();
    let mut found = lab.published(OWNER);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

/// A host that is down can be presenting anything: what the others would delete waits for it, and nothing else does.
#[test]
fn one_host_is_down() {
    let (lab, hosts) = fleet("shared = yes");
    lab.world.change(|state| state.services.get_mut("c").unwrap().refuses = Some("no route to host".into()));
    renew(&lab, &hosts[0]);
    every(&lab, &hosts[..2], 20 * MINUTE, 9 * HOUR);
    assert_eq!((hosts[0].presents(&lab), count(&lab, OWNER)), (vec![2], 4));
    lab.world.change(|state| state.services.get_mut("c").unwrap().refuses = None);
    every(&lab, &hosts[..2], 20 * MINUTE, 3 * HOUR);
    lab.assert_clean();
    assert_eq!(count(&lab, OWNER), 3);
}
