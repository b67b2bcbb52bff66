//! A scenario in a few lines: a mail host with certbot, a zone on some servers, a configuration, and the oracle watching.
//!
//! ```ignore
//! let lab = Lab::with("mx.example.com", "311 25").secondary("ns2", 90).start();
//! lab.first_use();
//! lab.renew("mx.example.com", Renewal::default());
//! lab.cron(HOUR, 2 * DAY);
//! lab.assert_settled("mx.example.com");
//! ```

use crate::{
    certbot::{Certbot, Renewal},
    client::record_of,
    oracle::Oracle,
    setup::Setup,
};
use daneroll::{
    env::sim::{
        World,
        service::Service,
        zone::{name, tlsa},
    },
    tlsa::Association,
};
use hickory_resolver::proto::rr::RecordType;
use std::{path::Path, time::Duration};

pub const MINUTE: u64 = 60;
pub const HOUR: u64 = 3600;
pub const DAY: u64 = 86_400;

pub const CONFIG: &str = "/etc/daneroll/daneroll.conf";
pub const DANE: &str = "/etc/daneroll/dane";
pub const LETSENCRYPT: &str = "/etc/letsencrypt";
pub const STATE: &str = "/var/lib/daneroll";
pub const RESOLVER: &str = "192.0.2.53";
/// What `run` returns for a process that was killed, as a shell would tell it.
pub const KILLED: i32 = 137;
/// The zone's name; its primary is `ns1` in it.
pub const APEX: &str = "example.com";

/// The name of the service at a port of a domain, for `/sim/reload`.
pub fn service_name(port: u16, domain: &str) -> String {
    format!("{domain}:{port}")
}

/// A laboratory: the world, certbot on its host, the oracle that watches it.
pub struct Lab {
    pub world: World,
    pub certbot: Certbot,
    pub oracle: Oracle,
    pub setup: Setup,
}

impl Lab {
    /// A laboratory with one lineage and one `tlsa` line, to be refined.
    pub fn with(lineage: &str, tlsa: &str) -> Setup {
        Setup::new().lineage(lineage).tlsa(tlsa)
    }

    /// Runs the program with these arguments; exit code, or `KILLED`.
    pub fn run(&self, args: &[&str]) -> i32 {
        self.world.survive(|world| (self.setup.engine)(world, args)).unwrap_or(KILLED)
    }

    /// Starts the service of every `tlsa` line, reading the dane directory.
    pub fn serve(&self) {
        for section in &self.setup.sections {
            for (port, domain) in &section.ports {
                let directory = Path::new(DANE).join(&section.lineage);
                let service =
                    Service::new(&service_name(*port, domain), domain, *port, &directory).reads(self.setup.reads);
                let bundle = self.setup.bundle;
                self.world.serve(if bundle { service.bundle(directory.join("bundle.pem")) } else { service });
            }
        }
    }

    /// What an operator does first: builds the dane directory, starts the services, and lets plain runs publish.
    pub fn first_use(&self) {
        assert_eq!(self.run(&["--reset"]), 0);
        self.serve();
        self.cron(6 * HOUR, 3 * DAY);
    }

    /// A certbot run with both hooks.
    pub fn renew(&self, lineage: &str, renewal: Renewal) {
        assert_eq!(self.run(&["--pre"]), 0);
        self.certbot.renew(lineage, renewal);
        assert_eq!(self.run(&["--post"]), 0);
    }

    /// A plain run every so many seconds, for so long; each must end with 0.
    pub fn cron(&self, every: u64, how_long: u64) {
        let until = self.world.now() + how_long * 1000;
        while self.world.now() < until {
            assert_eq!(self.run(&[]), 0);
            self.pass(every);
        }
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, seconds: u64) {
        self.world.pass(Duration::from_secs(seconds));
    }

    /// The TLSA records at `_25._tcp.…` and so on, as the primary has them.
    pub fn published(&self, owner: &str) -> Vec<Association> {
        self.world.look(|state| state.dns.zone(&name(APEX)).associations(&name(owner)))
    }

    /// Publishes or deletes a record on the primary, by another hand than daneroll's.
    pub fn publish(&self, owner: &str, ttl: u32, record: &Association) {
        self.world.edit_zone(&name(APEX), |zone| zone.add(&name(owner), ttl, tlsa(record)));
    }

    pub fn unpublish(&self, owner: &str, record: &Association) {
        self.world.edit_zone(&name(APEX), |zone| zone.delete(&name(owner), &tlsa(record)));
    }

    /// The record of an archive number of a lineage.
    pub fn record(&self, lineage: &str, number: usize, parameters: [u8; 3]) -> Association {
        record_of(&self.certbot.fullchain(lineage, number), parameters)
    }

    /// No violation yet, and something was checked.
    pub fn assert_clean(&self) {
        self.oracle.assert_clean();
    }

    /// No violation; every service of the lineage presents its newest certificate alone, and just one record a `tlsa` line.
    pub fn assert_settled(&self, lineage: &str) {
        self.assert_clean();
        let newest = self.certbot.fullchain(lineage, self.certbot.number(lineage));
        let section = self.setup.sections.iter().find(|section| section.lineage == lineage).unwrap();
        for (port, domain) in &section.ports {
            let presented = self.world.look(|state| state.services[&service_name(*port, domain)].presented());
            assert!(
                presented.len() == 1 && *presented[0] == newest[..],
                "{domain}:{port} presents {} chains",
                presented.len()
            );
            let owner = format!("_{port}._tcp.{domain}");
            let mut wanted: Vec<Association> =
                section.parameters(*port, domain).map(|p| record_of(&newest, p)).collect();
            let mut published = self.published(&owner);
            wanted.sort();
            published.sort();
            assert_eq!(published, wanted, "{owner}");
        }
    }

    /// How often the primary's zone has changed.
    pub fn serial(&self) -> u32 {
        self.world.look(|state| state.dns.zone(&name(APEX)).serial)
    }

    /// Does the primary have a TLSA RRset there?
    pub fn is_published(&self, owner: &str) -> bool {
        self.world.look(|state| state.dns.zone(&name(APEX)).set(&name(owner), RecordType::TLSA).is_some())
    }
}
