//! What the lines stand for whose hosts are looked up.

use super::LookedUp;
use crate::{
    config::Section,
    hosts::{Hosts, of_certificate},
    plan::model::Lineage,
};
use std::collections::BTreeSet;

/// The hosts of each such line of a section.
pub fn looked_up(section: &Section, lineage: &Lineage<'_>) -> Vec<LookedUp> {
    let sources: BTreeSet<&Hosts> = section.wanted.iter().map(|wanted| &wanted.hosts).collect();
    let told = |source: &Hosts| {
        let known = || lineage.doc.hosts.get(source).into_iter().flatten();
        let pick =
            |gone: bool| known().filter(move |(_, doc)| doc.gone.is_some() == gone).map(|(name, _)| name.clone());
        LookedUp {
            from: source.to_string(),
            hosts: pick(false).collect(),
            leaving: pick(true).collect(),
            left_out: if *source == Hosts::San { left_out(lineage) } else { Vec::new() },
        }
    };
    sources.into_iter().map(told).collect()
}

/// Names of the certificate that no host can have.
fn left_out(lineage: &Lineage<'_>) -> Vec<String> {
    let Some(served) = lineage.facts.served() else { return Vec::new() };
    // What a certificate says is for people to read, whatever it is.
    of_certificate(&served.chain.names).1.into_iter().map(|name| name.escape_default().to_string()).collect()
}
