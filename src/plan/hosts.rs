//! `tlsa` lines whose hosts are looked up: the lines that they stand for, and what is told where the hosts are not known.

use super::{
    Plan, Reason, Trouble, Wait,
    model::{Lineage, Model},
    reason::Step,
};
use crate::{
    config::{Section, TlsaLine, Wanted},
    facts::{Facts, LineageFacts},
    hosts::Hosts,
    journal::{Journal, LineageDoc, OwnerDoc},
    name::DnsName,
    tlsa::Chain,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// All `tlsa` lines of each section, a line for each host.
pub fn expanded<'a>(
    sections: &'a BTreeMap<String, Section>,
    facts: &Facts,
    journal: &Journal,
) -> BTreeMap<&'a str, Cow<'a, [TlsaLine]>> {
    let of_section = |(name, section): (&'a String, &'a Section)| {
        if section.wanted.is_empty() {
            return (name.as_str(), Cow::Borrowed(&*section.tlsa));
        }
        let (doc, files) = (journal.lineages.get(name), facts.lineages.get(name));
        let mut lines = section.tlsa.clone();
        for wanted in &section.wanted {
            let its = hosts(name, wanted, doc, journal).into_iter().filter(|host| serves(wanted, doc, files, host));
            lines.extend(its.map(|host| wanted.line(host)));
        }
        (name.as_str(), Cow::Owned(lines))
    };
    sections.iter().map(of_section).collect()
}

/// The hosts of a line, as remembered. Where that is lost, those at which we published for the lineage are among them.
fn hosts(lineage: &str, wanted: &Wanted, doc: Option<&LineageDoc>, journal: &Journal) -> BTreeSet<DnsName> {
    match doc.and_then(|doc| doc.hosts.get(&wanted.hosts)).filter(|known| !known.is_empty()) {
        Some(known) => known.keys().cloned().collect(),
        None => {
            let published = |owner: &&OwnerDoc| owner.lineages.contains(lineage) && owner.left_behind.is_none();
            let here = |owner: &OwnerDoc| {
                let (port, protocol, base) = super::model::endpoint(&owner.query);
                (port == wanted.port && protocol == wanted.protocol).then_some(base)
            };
            journal.owners.values().filter(published).filter_map(here).collect()
        }
    }
}

/// Usage 2 needs the host among the names of every certificate that may be presented: it comes when all have it, and goes when
/// the first has it no longer.
fn serves(wanted: &Wanted, doc: Option<&LineageDoc>, files: Option<&LineageFacts>, host: &DnsName) -> bool {
    let chains = files.map(|files| chains(doc, files)).unwrap_or_default();
    wanted.param.usage() != 2 || chains.iter().all(|chain| chain.names(host))
}

/// Every chain of a lineage that may be presented now or after a switch, as far as it can be read.
fn chains<'a>(doc: Option<&LineageDoc>, files: &'a LineageFacts) -> Vec<&'a Chain> {
    let remembered = doc.into_iter().flat_map(|doc| {
        let presented = doc.presented.iter().map(|presented| &presented.generation);
        presented.chain(&doc.waiting).filter_map(|id| files.generation(id))
    });
    let seen = files.served().into_iter().chain(files.live.as_ref().ok());
    seen.chain(remembered).map(|generation| &generation.chain).collect()
}

/// The lines of a section whose hosts nobody knows: the lineage may not switch, for one of them could have records that the new
/// certificate does not match.
pub fn unknown(model: &Model<'_>, lineage: &Lineage<'_>) -> Vec<Reason> {
    let wanted = lineage.section.into_iter().flat_map(|section| &section.wanted).map(|wanted| &wanted.hosts);
    let known = |hosts: &&Hosts| lineage.doc.hosts.get(hosts).is_some_and(|hosts| !hosts.is_empty());
    let open: BTreeSet<&Hosts> = wanted.filter(|hosts| !known(hosts)).collect();
    let reason = |hosts: &Hosts| Reason::HostsUnknown { hosts: hosts.clone(), why: why(model, hosts) };
    open.into_iter().map(reason).collect()
}

fn why(model: &Model<'_>, hosts: &Hosts) -> String {
    let looked_up = match hosts {
        Hosts::Mx(domain) => model.input.facts.mail.get(domain),
        Hosts::San => return "the certificate names none that a host can have".into(),
    };
    match looked_up {
        Some(Err(none)) => none.why.clone(),
        _ => "they have not been looked up".into(),
    }
}

/// Tells what hosts are waited for, and what only an operator can mend.
pub fn tell(model: &Model<'_>, plan: &mut Plan) {
    for lineage in model.lineages.values().filter(|lineage| !lineage.doc.withdrawn) {
        let Some(section) = lineage.section else { continue };
        for reason in unknown(model, lineage) {
            if let Reason::HostsUnknown { hosts, .. } = &reason {
                let step = Step::Find(hosts.clone());
                plan.waits.push(Wait { lineage: lineage.name.into(), step, reasons: vec![reason] });
            }
        }
        let sources: BTreeSet<&Hosts> = section.wanted.iter().map(|wanted| &wanted.hosts).collect();
        for hosts in sources {
            plan.troubles.extend(wrong(model, lineage, hosts).map(|text| Trouble::of(lineage.name, text)));
        }
        for wanted in section.wanted.iter().filter(|wanted| wanted.param.usage() == 2) {
            plan.troubles.extend(unnamed(model, lineage, wanted).map(|text| Trouble::of(lineage.name, text)));
        }
    }
}

/// What is wrong with a set of hosts and does not pass by itself. What was found before is kept.
fn wrong(model: &Model<'_>, lineage: &Lineage<'_>, hosts: &Hosts) -> Option<String> {
    let kept = match lineage.doc.hosts.get(hosts).filter(|known| !known.is_empty()) {
        Some(known) => {
            let names: Vec<&str> = known.keys().map(DnsName::without_dot).collect();
            format!("; the hosts of before are kept: {}", names.join(", "))
        }
        None => String::new(),
    };
    match hosts {
        Hosts::Mx(domain) => match model.input.facts.mail.get(domain) {
            Some(Err(none)) if none.lasting => Some(format!("\"{hosts}\": {}{kept}", none.why)),
            _ => None,
        },
        Hosts::San => {
            let chain = &lineage.facts.served().or(lineage.facts.live.as_ref().ok())?.chain;
            crate::hosts::of_certificate(&chain.names).0.is_empty().then(|| {
                format!(
                    "\"san\": the certificate names nothing that a host can have (wildcards and addresses do not count), \
                     so write the host into the `tlsa` line{kept}"
                )
            })
        }
    }
}

/// Mail hosts that no certificate of the lineage names.
fn unnamed(model: &Model<'_>, lineage: &Lineage<'_>, wanted: &Wanted) -> Option<String> {
    let chains = chains(Some(lineage.doc), lineage.facts);
    let known = hosts(lineage.name, wanted, Some(lineage.doc), model.input.journal);
    let unnamed = known.iter().filter(|host| !chains.is_empty() && !chains.iter().any(|chain| chain.names(host)));
    let names: Vec<&str> = unnamed.map(DnsName::without_dot).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} at port {}: usage 2 needs the host among the names of the certificate, and {} of \"{}\" is not, so \
             nothing is published there",
            wanted.param,
            wanted.port,
            names.join(", "),
            wanted.hosts
        )
    })
}
