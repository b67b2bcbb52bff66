//! What is to be looked at: owners of the configuration, and hosts of the command line.

use super::{configuration, hosts::Host, places};
use crate::{
    config::{Config, Pin, Section, TlsaLine},
    env::Env,
    facts::Endpoint,
    idna,
    name::DnsName,
    observe::{
        audit::{How, Wish},
        files,
    },
    plan::model::floor,
    probe::Protocol,
    report::check::{Finding, Kind, Severity, Subject},
    small::Set,
    tlsa::Chain,
};
use std::collections::{BTreeMap, BTreeSet};

/// Owners to look at, and what the configuration says about them.
#[derive(Default)]
pub struct Subjects {
    /// How to look at each.
    pub wishes: BTreeMap<DnsName, Wish>,
    /// What is known of each.
    pub subjects: Vec<Subject>,
    /// The lineages among them.
    pub lineages: BTreeSet<String>,
}

/// The names of all sections, sound or not.
pub fn named(config: &Config) -> BTreeSet<String> {
    config.sections.iter().map(|section| section.name.clone()).chain(config.broken.iter().cloned()).collect()
}

impl Subjects {
    /// The owners of these lineages, or of all.
    pub fn configured(&mut self, env: &dyn Env, config: &Config, wanted: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for name in wanted.iter().filter(|name| !named(config).iter().any(|known| idna::same(known, name))) {
            findings.push(configuration(format!("there is no section [{name}] in {}", config.path.display())));
        }
        let is_wanted =
            |section: &&Section| wanted.is_empty() || wanted.iter().any(|name| idna::same(name, &section.name));
        for section in config.sections.iter().filter(is_wanted) {
            self.lineages.insert(section.name.clone());
            for line in &section.tlsa {
                self.line(config, section, line);
            }
            if section.pin == Pin::Renewal {
                let text = "follows live/ when idle: a renewal that runs no hook (a certbot started by hand, another tool) \
                            puts services on a certificate whose records nobody has seen";
                findings.push(Finding::new(Severity::Ok, Kind::PinAlways, &section.name, text));
            }
            findings.extend(self.files(env, config, section));
        }
        findings
    }

    fn line(&mut self, config: &Config, section: &Section, line: &TlsaLine) {
        // The reader of the configuration refused names that do not fit.
        let Ok(query) = line.query_name() else { return };
        let at = self.subjects.iter().position(|subject| subject.query == query).unwrap_or_else(|| {
            self.subjects.push(Subject {
                query: query.clone(),
                base: line.domain.clone(),
                smtp: Protocol::by_port(line.port) == Protocol::Smtp,
                lineages: BTreeSet::new(),
                groups: Set::new(),
                one_by_one: false,
                floor: 0,
                files: BTreeMap::new(),
            });
            self.subjects.len() - 1
        });
        let subject = &mut self.subjects[at];
        // All lineages of an owner publish for it, also those that were not asked for.
        let sharing =
            config.sections.iter().filter(|other| other.tlsa.iter().any(|l| l.query_name().as_ref() == Ok(&query)));
        subject.lineages.extend(sharing.clone().map(|other| other.name.clone()));
        let lines = sharing.flat_map(|other| &other.tlsa).filter(|l| l.query_name().as_ref() == Ok(&query));
        subject.groups.extend(lines.map(|line| line.param.group()));
        subject.one_by_one |= !section.api.changes_at_once();
        subject.floor = subject.floor.max(floor(config.ttl, Some(section)));
        let visit = how(section, line);
        subject.smtp |= matches!(&visit, How::At(endpoint) if endpoint.protocol == Protocol::Smtp);
        let wish = Wish { port: line.port, base: line.domain.clone(), visit, nameservers: section.nameservers.clone() };
        self.wishes.entry(query).or_insert(wish);
    }

    /// What the dane directory shows for a lineage, as far as it can be read.
    fn files(&mut self, env: &dyn Env, config: &Config, section: &Section) -> Option<Finding> {
        let mut places = places(config);
        let there = env.list(&places.dane).unwrap_or_default();
        let mut there = there.iter().filter_map(|name| name.to_str());
        let own = section.lineage();
        let name = there.find(|name| idna::same(name, &own)).unwrap_or(&own);
        if let Some(source) = section.source.in_place() {
            places.sources.insert(name.into(), source.clone());
        }
        let facts = files::lineage(env, &places, name, section.bundle);
        let Some(served) = facts.served() else {
            let text = format!("what the dane directory shows cannot be read: {}", why(&facts));
            return Some(Finding::new(Severity::Ok, Kind::NotChecked, &section.name, text));
        };
        let chain: &Chain = &served.chain;
        for subject in self.subjects.iter_mut().filter(|subject| subject.lineages.contains(&section.name)) {
            subject.files.insert(section.name.clone(), chain.clone());
        }
        None
    }

    /// An endpoint of the command line, unless the configuration has it.
    pub fn host(&mut self, host: Host) {
        if self.wishes.contains_key(&host.query) {
            return;
        }
        let Host { base, port, protocol, query } = host;
        let visit = How::At(Endpoint { base: base.clone(), port, protocol, by_name: true, at: Vec::new() });
        self.wishes.insert(query.clone(), Wish { port, base: base.clone(), visit, nameservers: Vec::new() });
        self.subjects.push(Subject {
            query,
            base,
            smtp: protocol == Protocol::Smtp,
            lineages: BTreeSet::new(),
            groups: Set::new(),
            one_by_one: false,
            floor: 0,
            files: BTreeMap::new(),
        });
    }
}

fn why(facts: &crate::facts::LineageFacts) -> String {
    use crate::facts::Served;
    match (&facts.served, &facts.live) {
        (Served::Unknown(why), _) | (_, Err(why)) => why.clone(),
        (Served::Damaged { shows: Err(why), .. }, _) => why.clone(),
        _ => "there is none yet, or it may not be read".into(),
    }
}

/// How to see what the endpoint of a line presents.
fn how(section: &Section, line: &TlsaLine) -> How {
    if line.protocol != "tcp" {
        return How::Not(format!("there is no way to look at {}", line.protocol));
    }
    let (base, port, at) = (line.domain.clone(), line.port, section.probe_address.clone());
    match line.probe.unwrap_or(section.probe).protocol(port) {
        None => How::Not("probe = off".into()),
        Some(protocol) => How::At(Endpoint { base, port, protocol, by_name: at.is_empty(), at }),
    }
}
