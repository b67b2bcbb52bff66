//! What was seen of one owner, judged.

use super::{
    Finding, Kind,
    Severity::{Critical, Ok as Fine, Unknown, Warning},
    chains::chains,
    mail,
    matching::is_defined,
};
use crate::{
    facts::{OwnerView, Security},
    journal::Shown,
    name::DnsName,
    observe::audit::{NOT_IN_TIME, Seen},
    plan::span,
    small::Set,
    tlsa::{Association, Chain, Group},
};
use std::collections::{BTreeMap, BTreeSet};

/// Some large senders fail above this.
const MOST_RECORDS: usize = 12;

/// What the configuration says about an owner; next to nothing for one from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The TLSA query name.
    pub query: DnsName,
    /// The host name that clients connect to.
    pub base: DnsName,
    /// Do mail servers connect to it?
    pub smtp: bool,
    /// Lineages with a `tlsa` line for it.
    pub lineages: BTreeSet<String>,
    /// The groups that the configuration publishes.
    pub groups: Set<Group>,
    /// Records are published one by one.
    pub one_by_one: bool,
    /// Least wait before a switch, seconds.
    pub floor: u64,
    /// By lineage: the chain that the dane directory shows, as far as it can be read.
    pub files: BTreeMap<String, Chain>,
}

/// Judges what was seen of an owner at `wall` (Unix seconds).
pub fn owner(subject: &Subject, seen: &Seen, wall: i64) -> Vec<Finding> {
    let mut found = Found { subject, findings: Vec::new() };
    found.security(&seen.view);
    found.servers(&seen.view);
    match union(&seen.view) {
        records if !records.is_empty() => found.records(&records),
        _ if answers(&seen.view).next().is_some() => found.none(),
        _ => {}
    }
    found.endpoint(&seen.endpoint);
    let chains = chains(subject, &seen.endpoint);
    for (chain, places) in &chains {
        let where_at = some_of(places);
        found.matches(&subject.query, &seen.view, chain, &where_at, wall);
        found.life(chain, &where_at, &seen.view, wall);
    }
    found.alias(seen, &chains, wall);
    found.findings.extend(mail::judge(subject, seen));
    found.findings
}

/// Every record that any server shows.
pub fn union(view: &OwnerView) -> Set<Association> {
    answers(view).flat_map(|(_, shown)| shown.records.iter().flatten().cloned()).collect()
}

/// What each listed server that answers shows.
pub(super) fn answers(view: &OwnerView) -> impl Iterator<Item = (String, &Shown)> {
    let servers = view.servers.iter().flatten().filter(|(_, server)| server.listed);
    servers.filter_map(|(address, server)| Some((format!("{} ({address})", server.name), server.answer.as_ref().ok()?)))
}

/// A few of them, and how many more.
pub(super) fn some_of(names: &[String]) -> String {
    match names.len() {
        0..=3 => names.join(", "),
        many => format!("{} and {} more", names[..2].join(", "), many - 2),
    }
}

/// The findings so far.
pub(super) struct Found<'a> {
    pub(super) subject: &'a Subject,
    findings: Vec<Finding>,
}

impl Found<'_> {
    pub(super) fn note(&mut self, severity: super::Severity, kind: Kind, text: impl Into<String>) {
        self.findings.push(Finding::new(severity, kind, self.subject.query.without_dot(), text));
    }

    /// What could not be told, or not in time.
    pub(super) fn unknown(&mut self, kind: Kind, text: &str) {
        let kind = if text.contains(NOT_IN_TIME) { Kind::NotInTime } else { kind };
        self.note(Unknown, kind, text);
    }

    fn security(&mut self, view: &OwnerView) {
        match &view.security {
            Security::Secure => {}
            Security::Insecure => {
                self.note(Warning, Kind::Insecure, "its zone is not signed: nobody will use the records")
            }
            Security::Bogus(why) => {
                self.note(Critical, Kind::Bogus, format!("its answers do not validate: {why}"));
            }
            // That nobody can be asked is told once.
            Security::Unknown(_) if view.servers.is_err() => {}
            Security::Unknown(why) => self.unknown(Kind::SecurityUnknown, &format!("DNSSEC: {why}")),
        }
    }

    /// The records themselves.
    fn records(&mut self, records: &Set<Association>) {
        let usable = |record: &&Association| is_defined(record) && record.usage >= 2;
        let of = |wanted: &dyn Fn(&&Association) -> bool| {
            let found: Vec<String> = records.iter().filter(wanted).map(brief).collect();
            (!found.is_empty()).then(|| some_of(&found))
        };
        if let Some(found) = of(&|record| is_defined(record) && record.usage < 2) {
            match self.subject.smtp {
                true => {
                    let text = format!("mail servers make no use of usages 0 and 1 (RFC 7672 section 3.1.3): {found}");
                    self.note(Warning, Kind::UnusableUsage, text);
                }
                false => {
                    self.note(Fine, Kind::NotChecked, format!("usages 0 and 1 need a store of trusted CAs: {found}"))
                }
            }
        }
        if let Some(found) = of(&|record| !is_defined(record)) {
            self.note(Warning, Kind::UnusableRecords, format!("parameters that nobody has defined: {found}"));
        }
        if let Some(found) = of(&|record| usable(record) && record.usage == 3 && record.selector == 0) {
            let text = format!("3 0 x changes at each renewal, even with the same key: {found}");
            self.note(Warning, Kind::WholeCertificate, text);
        }
        if records.len() > MOST_RECORDS {
            let text = format!("{} records: some large senders fail above {MOST_RECORDS}", records.len());
            self.note(Warning, Kind::TooManyRecords, text);
        }
    }

    /// No server that answers has a record.
    fn none(&mut self) {
        self.note(Warning, Kind::NoRecords, "there are no TLSA records, so nobody checks what is presented");
        if self.subject.one_by_one && self.subject.lineages.len() > 1 {
            let lineages: Vec<String> = self.subject.lineages.iter().cloned().collect();
            let text = format!(
                "{} are both presented here, and an external program publishes one record at a time: between the first \
                 and the second, clients that are shown the other certificate fail",
                lineages.join(" and ")
            );
            self.note(Warning, Kind::FirstOfTwo, text);
        }
    }

    /// What is left of a certificate's life, by parts of it: a certificate of six days is renewed in its last two or three.
    fn life(&mut self, chain: &Chain, place: &str, view: &OwnerView, wall: i64) {
        let (life, left) = (chain.not_after() - chain.not_before(), chain.not_after() - wall);
        let in_words = span(left.unsigned_abs());
        if left <= 0 {
            return self.note(Critical, Kind::Expiry, format!("the certificate at {place} expired {in_words} ago"));
        }
        let severity = match left {
            _ if left.saturating_mul(12) < life => Some(Critical),
            _ if left.saturating_mul(6) < life => Some(Warning),
            _ => None,
        };
        if let Some(severity) = severity {
            self.note(severity, Kind::Expiry, format!("the certificate at {place} expires in {in_words}"));
        }
        let ttl = answers(view).map(|(_, shown)| shown.ttl).max().unwrap_or(0);
        let wait = ttl.saturating_mul(2).max(self.subject.floor);
        if wait.saturating_mul(3) > left.unsigned_abs() {
            let wait = span(wait);
            let text = format!(
                "a rollover has to wait {wait} (TTL {ttl}), more than a third of the {in_words} that the certificate \
                 at {place} has left"
            );
            self.note(Warning, Kind::TtlTooLong, text);
        }
    }
}

/// A record in few characters.
pub fn brief(record: &Association) -> String {
    let hex = record.hex();
    let short: String = hex.chars().take(12).collect();
    let dots = if short.len() < hex.len() { "…" } else { "" };
    format!("{} {} {} {short}{dots}", record.usage, record.selector, record.matching)
}
