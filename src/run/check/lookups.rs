//! `tlsa` lines whose hosts are looked up, with a line for each host in their place.

use super::places;
use crate::{
    config::{Config, Section, Wanted},
    env::Env,
    facts::{MailHosts, NoHosts},
    hosts::{Hosts, of_certificate},
    name::DnsName,
    observe::{discover::Resolver, files, hosts},
    report::check::{Finding, Kind, Severity},
    tlsa::Chain,
};
use std::collections::{BTreeMap, BTreeSet};

type Mail = BTreeMap<DnsName, Result<MailHosts, NoHosts>>;

/// The configuration with a line for each host, as the DNS and the certificates tell now.
pub fn expanded(env: &dyn Env, resolver: &Resolver<'_>, config: &Config, findings: &mut Vec<Finding>) -> Config {
    let wanted = config.sections.iter().flat_map(|section| &section.wanted);
    let domains: BTreeSet<DnsName> = wanted
        .filter_map(|wanted| match &wanted.hosts {
            Hosts::Mx(domain) => Some(domain.clone()),
            Hosts::San => None,
        })
        .collect();
    let mail = if domains.is_empty() { Mail::new() } else { hosts::mail(resolver, &domains) };
    let mut config = config.clone();
    let places = places(&config);
    for section in config.sections.iter_mut().filter(|section| !section.wanted.is_empty()) {
        let facts = files::lineage(env, &places, &section.name, section.bundle);
        let seen = [facts.served(), facts.live.as_ref().ok()];
        let chains: Vec<&Chain> = seen.into_iter().flatten().map(|generation| &generation.chain).collect();
        let lines = section.wanted.iter().flat_map(|wanted| {
            let its = found(section, wanted, &mail, &chains, findings).into_iter();
            its.filter(|host| wanted.param.usage() != 2 || chains.iter().all(|chain| chain.names(host)))
                .map(|host| wanted.line(host))
                .collect::<Vec<_>>()
        });
        let lines: Vec<_> = lines.collect();
        section.tlsa.extend(lines);
    }
    findings.dedup();
    config
}

fn found(
    section: &Section,
    wanted: &Wanted,
    mail: &Mail,
    chains: &[&Chain],
    findings: &mut Vec<Finding>,
) -> BTreeSet<DnsName> {
    let mut tell = |severity, kind, text: String| findings.push(Finding::new(severity, kind, &section.name, text));
    match &wanted.hosts {
        Hosts::Mx(domain) => match mail.get(domain) {
            Some(Ok(mail)) => mail.hosts.clone(),
            Some(Err(none)) => {
                tell(Severity::Unknown, Kind::HostsUnknown, format!("\"{}\": {}", wanted.hosts, none.why));
                BTreeSet::new()
            }
            None => BTreeSet::new(),
        },
        Hosts::San => {
            let names = || chains.iter().flat_map(|chain| chain.names.iter()).cloned().collect::<BTreeSet<String>>();
            let names: Vec<String> = names().into_iter().collect();
            let (hosts, others) = of_certificate(&names);
            if hosts.is_empty() {
                let why = if chains.is_empty() { "the certificate cannot be read" } else { "it names no host" };
                tell(Severity::Unknown, Kind::HostsUnknown, format!("\"san\": {why}"));
            } else if !others.is_empty() {
                let text = format!("\"san\" leaves out what is no host's name: {}", others.join(", "));
                tell(Severity::Ok, Kind::NotChecked, text);
            }
            hosts.into_iter().collect()
        }
    }
}
