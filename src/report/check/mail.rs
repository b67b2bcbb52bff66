//! Mail domains, judged (RFC 7672 section 2.2).

use super::{
    Finding, Kind,
    Severity::{Unknown, Warning},
    owner::Subject,
};
use crate::{
    facts::Security,
    observe::audit::{Cover, MailDomain, NOT_IN_TIME, Seen},
};

/// The mail hosts of every domain that leads to the owner's.
pub(super) fn judge(subject: &Subject, seen: &Seen) -> Vec<Finding> {
    let mut findings: Vec<Finding> = seen.mail_unknown.iter().map(|why| unknown(subject, why)).collect();
    for domain in &seen.mail {
        findings.extend(security(subject, domain));
        let uncovered = |wanted: Cover| {
            let hosts = domain.hosts.iter().filter(move |(_, cover)| **cover == wanted);
            hosts.map(|(host, _)| host.without_dot()).collect::<Vec<_>>().join(", ")
        };
        for (cover, what) in [
            (Cover::Missing, "have no TLSA records"),
            (Cover::Insecure, "have TLSA records in a zone that is not signed"),
        ] {
            let hosts = uncovered(cover);
            if !hosts.is_empty() {
                let domain = domain.domain.without_dot();
                let text = format!("mail hosts of {domain} {what}, so mail can be diverted to them: {hosts}");
                findings.push(Finding::new(Warning, Kind::MailHostUncovered, subject.query.without_dot(), text));
            }
        }
        findings.extend(domain.hosts.iter().filter_map(|(host, cover)| match cover {
            Cover::Unknown(why) => Some(unknown(subject, &format!("TLSA records of mail host {host}: {why}"))),
            _ => None,
        }));
    }
    findings
}

fn unknown(subject: &Subject, why: &str) -> Finding {
    let kind = if why.contains(NOT_IN_TIME) { Kind::NotInTime } else { Kind::MailUnknown };
    Finding::new(Unknown, kind, subject.query.without_dot(), why)
}

fn security(subject: &Subject, domain: &MailDomain) -> Option<Finding> {
    let name = domain.domain.without_dot();
    let warning = |text: String| Finding::new(Warning, Kind::MailInsecure, subject.query.without_dot(), text);
    match &domain.security {
        Security::Secure => None,
        Security::Insecure => {
            Some(warning(format!("the MX records of {name} are not signed, so no sender uses DANE for it")))
        }
        Security::Bogus(why) => Some(warning(format!("the MX records of {name} do not validate: {why}"))),
        Security::Unknown(why) => Some(unknown(subject, &format!("DNSSEC of the MX records of {name}: {why}"))),
    }
}
