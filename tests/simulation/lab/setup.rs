//! A laboratory to be: what its zones, its services and its configuration will be.

use super::{ANCHOR, APEX, CONFIG, DANE, DAY, Engine, LETSENCRYPT, Lab, RESOLVER, STATE, service_name};
use crate::{certs::Certbot, oracle::Oracle};
use daneroll::env::sim::{
    World,
    dns::Mode,
    keys,
    service::Reads,
    zone::{Zone, address, mail, name},
};
use hickory_resolver::proto::{
    dnssec::DigestType,
    rr::{RData, rdata::NS},
};
use std::{collections::BTreeSet, path::Path, rc::Rc, time::Duration};

/// A lineage, and its section of the configuration.
#[derive(Clone)]
pub(super) struct Section {
    pub(super) lineage: String,
    pub(super) lines: Vec<String>,
    pub(super) ports: BTreeSet<(u16, String)>,
    /// Of the first certificate.
    pub(super) names: Vec<String>,
}

/// A laboratory to be. Settings of a section (`tlsa`, `line`) go to the lineage named last.
#[derive(Clone)]
pub struct Setup {
    pub(super) sections: Vec<Section>,
    pub(super) globals: Vec<String>,
    pub(super) secondaries: Vec<(String, u64)>,
    pub(super) signed: bool,
    pub(super) validating: bool,
    pub(super) hidden_primary: bool,
    pub(super) api: String,
    pub(super) valid_days: i64,
    pub(super) reads: Reads,
    pub(super) processes: usize,
    pub(super) bundle: bool,
    pub(super) without_section: bool,
    pub(super) engine: Engine,
}

impl Setup {
    /// Another lineage with a certificate for its own name.
    pub fn lineage(mut self, lineage: &str) -> Setup {
        let (lines, ports, names) = (Vec::new(), BTreeSet::new(), vec![lineage.to_owned()]);
        self.sections.push(Section { lineage: lineage.to_owned(), lines, ports, names });
        self
    }

    /// The names of its first certificate.
    pub fn names(mut self, names: &[&str]) -> Setup {
        self.sections.last_mut().unwrap().names = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// A service at that port and domain that reads the dane directory, whatever the `tlsa` lines say.
    pub fn service(mut self, port: u16, domain: &str) -> Setup {
        self.sections.last_mut().unwrap().ports.insert((port, domain.to_owned()));
        self
    }

    /// This `tlsa` line in place of all others, and no service for it.
    pub fn only(mut self, line: &str) -> Setup {
        let section = self.sections.last_mut().unwrap();
        section.lines.retain(|line| !line.starts_with("tlsa = "));
        section.ports.clear();
        self.line(&format!("tlsa = {line}"))
    }

    /// A `tlsa` line, and a service at that port and domain (the lineage's name by default) that reads the dane directory.
    pub fn tlsa(mut self, line: &str) -> Setup {
        let section = self.sections.last_mut().unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let port = words.iter().find_map(|word| word.parse().ok()).unwrap();
        let domain = words
            .iter()
            .find(|word| word.contains('.') && !word.starts_with("mx:"))
            .map_or(section.lineage.clone(), |word| (*word).to_owned());
        section.ports.insert((port, domain));
        self.line(&format!("tlsa = {line}"))
    }

    /// Any line for the section.
    pub fn line(mut self, line: &str) -> Setup {
        self.sections.last_mut().unwrap().lines.push(line.to_owned());
        self
    }

    /// Any line before the sections.
    pub fn global(mut self, line: &str) -> Setup {
        self.globals.push(line.to_owned());
        self
    }

    /// Edit the zone with `/sim/provider`; the default.
    pub fn api_exec(mut self) -> Setup {
        self.api = "exec /sim/provider".into();
        self
    }

    /// Edit the zone in another way.
    pub fn api(mut self, api: &str) -> Setup {
        self.api = api.into();
        self
    }

    /// Edit the zone with dynamic updates to the primary, without a key.
    pub fn api_rfc2136(mut self) -> Setup {
        self.api = format!("rfc2136 ns1.{APEX}");
        self
    }

    /// A secondary in the zone, `ns2` and so on, that shows a change so many seconds after the primary.
    pub fn secondary(mut self, server: &str, lag: u64) -> Setup {
        self.secondaries.push((server.to_owned(), lag));
        self
    }

    /// The primary is in no NS record.
    pub fn hidden_primary(mut self) -> Setup {
        self.hidden_primary = true;
        self
    }

    /// No DNSSEC.
    pub fn unsigned(mut self) -> Setup {
        self.signed = false;
        self
    }

    /// Signatures verify, and daneroll validates itself rather than take the resolver's word.
    pub fn validating(mut self) -> Setup {
        self.validating = true;
        self
    }

    /// When services read their files; at start and reload by default.
    pub fn reads(mut self, reads: Reads) -> Setup {
        self.reads = reads;
        self
    }

    /// Processes of each service that keep what they have until a reload; 1 by default.
    pub fn processes(mut self, processes: usize) -> Setup {
        self.processes = processes;
        self
    }

    /// Other parameters at a port of the last lineage.
    pub fn parameters(mut self, parameters: &[&str], port: u16) -> Setup {
        let section = self.sections.last_mut().unwrap();
        section.lines.retain(|line| !line.starts_with("tlsa = "));
        section.lines.extend(parameters.iter().map(|kind| format!("tlsa = {kind} {port}")));
        self
    }

    /// Takes a line out of every section.
    pub fn without_line(mut self, line: &str) -> Setup {
        self.sections.iter_mut().for_each(|section| section.lines.retain(|other| other != line));
        self
    }

    /// Whether all sections are left out of the configuration file.
    pub fn without_section(mut self, left_out: bool) -> Setup {
        self.without_section = left_out;
        self
    }

    /// The parameters of the last lineage's records at a port.
    pub fn published_at(&self, port: u16) -> impl Iterator<Item = [u8; 3]> {
        let section = self.sections.last().unwrap();
        section.parameters(port, &section.lineage)
    }

    /// `bundle = yes` in every section, and services that read that one file.
    pub fn bundle(mut self) -> Setup {
        self.bundle = true;
        self
    }

    /// Do services read one file with key and chain?
    pub fn has_bundle(&self) -> bool {
        self.bundle
    }

    /// How many processes each service has.
    pub fn processes_each(&self) -> usize {
        self.processes
    }

    /// Certificates last so long; 90 days by default.
    pub fn valid_days(mut self, days: i64) -> Setup {
        self.valid_days = days;
        self
    }

    /// Runs this in place of daneroll: the strategy of somebody else.
    pub fn strategy(mut self, engine: impl Fn(&World, &[&str]) -> i32 + 'static) -> Setup {
        self.engine = Rc::new(engine);
        self
    }

    /// Builds it: zones, certificates, configuration. No service runs yet.
    pub fn start(self) -> Lab {
        let world = World::new();
        self.build_dns(&world);
        let certbot = Certbot::new(&world, LETSENCRYPT);
        for section in &self.sections {
            let names: Vec<&str> = section.names.iter().map(String::as_str).collect();
            certbot.issue(&section.lineage, &names, self.valid_days);
        }
        world.change(|state| {
            for dir in ["/etc/daneroll", "/var", "/var/lib", "/var/log", "/run", "/run/lock", "/tmp"] {
                state.disk.make_dir(Path::new(dir), 0o755).unwrap();
            }
            state.disk.create(Path::new(CONFIG), self.config().as_bytes(), 0o644).unwrap();
            let anchor = format!(". IN DS {}\n", keys::delegation_signer(&name("."), DigestType::SHA256));
            state.disk.create(Path::new(ANCHOR), anchor.as_bytes(), 0o644).unwrap();
        });
        let oracle = Oracle::new(&world);
        Lab { world, certbot, oracle, setup: self }
    }

    /// The configuration file.
    pub fn config(&self) -> String {
        let mut text = format!(
            "letsencrypt_directory = {LETSENCRYPT}\ndane_directory = {DANE}\nstate_directory = {STATE}\n\
             resolver = {RESOLVER}\napi = {}\n{}\n",
            self.api,
            if self.validating { "trust_anchor = anchor" } else { "dnssec = resolver" },
        );
        self.globals.iter().for_each(|line| text += &format!("{line}\n"));
        for section in self.sections.iter().filter(|_| !self.without_section) {
            text += &format!("\n[{}]\n", section.lineage);
            section.lines.iter().for_each(|line| text += &format!("{line}\n"));
            if self.bundle {
                text += "bundle = yes\n";
            }
            let reloads = section.ports.iter().map(|(port, domain)| service_name(*port, domain));
            reloads.for_each(|service| text += &format!("reload = /sim/reload {service}\n"));
        }
        text
    }

    fn build_dns(&self, world: &World) {
        world.change(|state| {
            state.dns.signs = self.validating;
            let servers = self.servers();
            let listed: Vec<&str> =
                servers.iter().skip(usize::from(self.hidden_primary)).map(|(s, _)| s.as_str()).collect();
            let mut zone = Zone::new(APEX, self.signed, &listed);
            for (number, (server, _)) in servers.iter().enumerate() {
                let ip = format!("192.0.2.{}", number + 1);
                state.dns.add_server(server, &[&ip]);
                zone.add(&name(server), DAY as u32, address(ip.parse().unwrap()));
            }
            for (_, domain) in self.sections.iter().flat_map(|section| &section.ports) {
                zone.add(&name(domain), 3600, address([192, 0, 2, 25].into()));
            }
            let mx = |line: &String| line.contains("mx:example.com");
            for section in self.sections.iter().filter(|section| section.lines.iter().any(mx)) {
                section.ports.iter().for_each(|(_, domain)| _ = zone.add(&name(APEX), 3600, mail(10, domain)));
            }
            let mut com = Zone::new("com", true, &["a.gtld-servers.net"]);
            for server in &listed {
                com.add(&name(APEX), 2 * DAY as u32, RData::NS(NS(name(server).to_name())));
            }
            if self.signed {
                com.add(&name(APEX), DAY as u32, Zone::delegation_signer(APEX));
            }
            let mut root = Zone::new(".", true, &["a.root-servers.net"]);
            root.add(&name("com"), 2 * DAY as u32, RData::NS(NS(name("a.gtld-servers.net").to_name())));
            root.add(&name("com"), DAY as u32, Zone::delegation_signer("com"));
            root.add(&name("a.gtld-servers.net"), DAY as u32, address([192, 5, 6, 30].into()));
            root.add(&name("a.root-servers.net"), DAY as u32, address([198, 41, 0, 4].into()));
            state.dns.add_server("a.root-servers.net", &["198.41.0.4"]);
            state.dns.add_server("a.gtld-servers.net", &["192.5.6.30"]);
            state.dns.add_zone(root, &["a.root-servers.net"]);
            state.dns.add_zone(com, &["a.gtld-servers.net"]);
            state.dns.add_zone(zone, &servers.iter().map(|(server, _)| server.as_str()).collect::<Vec<_>>());
            for (server, lag) in &servers {
                state.dns.server(server).lag = Duration::from_secs(*lag);
            }
            state.dns.resolvers.insert(RESOLVER.parse().unwrap(), Mode::Answers);
            state.resolvers = Ok(vec![(RESOLVER.parse::<std::net::IpAddr>().unwrap(), 53).into()]);
        });
    }

    fn servers(&self) -> Vec<(String, u64)> {
        let secondaries = self.secondaries.iter().map(|(server, lag)| (format!("{server}.{APEX}"), *lag));
        std::iter::once((format!("ns1.{APEX}"), 0)).chain(secondaries).collect()
    }
}

impl Section {
    /// The parameters of its records at a port of a domain.
    pub(super) fn parameters(&self, port: u16, domain: &str) -> impl Iterator<Item = [u8; 3]> + use<'_> {
        let domain = domain.to_owned();
        let lines = self.lines.iter().filter_map(|line| line.strip_prefix("tlsa = "));
        lines.filter_map(move |line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let here = words.iter().any(|word| word.parse() == Ok(port))
                && words
                    .iter()
                    .find(|word| word.contains('.'))
                    .is_none_or(|word| **word == domain || word.starts_with("mx:"));
            let digit = |at: usize| words[0].as_bytes()[at] - b'0';
            here.then(|| [digit(0), digit(1), digit(2)])
        })
    }
}
