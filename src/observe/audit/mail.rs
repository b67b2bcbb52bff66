//! Mail domains that lead to a mail host, and whether all of their mail hosts have TLSA records (RFC 7672 section 2.2).

use super::Wish;
use crate::{
    facts::{OwnerView, Security},
    name::DnsName,
    observe::discover::Resolver,
};
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};
use std::collections::{BTreeMap, BTreeSet};

/// A zone apex is not further above a host.
const MOST_PARENTS: usize = 8;
/// No MX RRset that anybody uses names more.
const MOST_HOSTS: usize = 20;

/// A mail domain whose MX RRset names the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailDomain {
    /// The part of addresses behind the `@`.
    pub domain: DnsName,
    /// Does the MX RRset validate? If not, no sender looks for TLSA records.
    pub security: Security,
    /// Its other mail hosts.
    pub hosts: BTreeMap<DnsName, Cover>,
}

/// Has a mail host TLSA records?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Yes.
    Covered,
    /// No.
    Missing,
    /// Yes, but they do not validate.
    Insecure,
    /// Nobody could tell: why.
    Unknown(String),
}

/// By query name: the mail domains, and why there may be more.
pub type Mail = BTreeMap<DnsName, (Vec<MailDomain>, Vec<String>)>;

/// Looks for the mail domains of all owners at port 25.
pub(super) fn look(
    resolver: &Resolver<'_>,
    wishes: &BTreeMap<DnsName, Wish>,
    views: &BTreeMap<DnsName, OwnerView>,
) -> Mail {
    let at_mail_port = |(query, wish): (&DnsName, &Wish)| {
        let domains = domains(&wish.base, views.get(query)?.zone.as_ref());
        (wish.port == 25).then(|| (query.clone(), wish.base.clone(), domains))
    };
    let wanted: Vec<(DnsName, DnsName, Vec<DnsName>)> = wishes.iter().filter_map(at_mail_port).collect();
    let domains: BTreeSet<DnsName> = wanted.iter().flat_map(|(.., domains)| domains.clone()).collect();
    let questions: Vec<_> = domains.iter().map(|domain| (domain.clone(), RecordType::MX)).collect();
    let answers: BTreeMap<DnsName, _> = domains.into_iter().zip(resolver.validated(&questions)).collect();
    let mut mail = Mail::new();
    for (query, base, domains) in wanted {
        let (found, unknown) = mail.entry(query).or_default();
        for domain in domains {
            match answers.get(&domain).map(|answer| answer.as_ref().map(|(m, s)| (hosts(m, &domain), s))) {
                Some(Ok((Ok(hosts), security))) if hosts.contains(&base) => {
                    let others = hosts.into_iter().filter(|host| *host != base);
                    let hosts = others.map(|host| (host, Cover::Unknown("it was not asked for".into()))).collect();
                    found.push(MailDomain { domain, security: security.clone(), hosts });
                }
                Some(Ok((Ok(_), _))) | None => {}
                Some(Ok((Err(why), _))) => unknown.push(format!("the mail hosts of {domain} are unknown: {why}")),
                Some(Err(why)) => unknown.push(format!("the mail hosts of {domain} are unknown: {why}")),
            }
        }
    }
    cover(resolver, &mut mail);
    mail
}

/// The host name and its parents, up to the zone's apex.
fn domains(base: &DnsName, zone: Option<&DnsName>) -> Vec<DnsName> {
    let zone = zone.filter(|zone| base.is_within(zone) && zone.as_str() != ".");
    let above = |at: &DnsName| if Some(at) == zone { None } else { at.parent() };
    match zone {
        Some(_) => std::iter::successors(Some(base.clone()), above).take(MOST_PARENTS).collect(),
        None => vec![base.clone()],
    }
}

fn answered(message: &Message) -> Result<&Message, String> {
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(message),
        code => Err(format!("the resolver answers {}", format!("{code:?}").to_uppercase())),
    }
}

/// The hosts in an MX RRset; none where mail is not wanted (RFC 7505).
fn hosts(message: &Message, domain: &DnsName) -> Result<BTreeSet<DnsName>, String> {
    let records = answered(message)?.answers.iter();
    let hosts = records.filter_map(|record| match &record.data {
        RData::MX(mx) if DnsName::from(&record.name) == *domain => Some(DnsName::from(&mx.exchange)),
        _ => None,
    });
    Ok(hosts.filter(|host| host.as_str() != ".").take(MOST_HOSTS).collect())
}

/// Asks for the TLSA records of the other mail hosts.
fn cover(resolver: &Resolver<'_>, mail: &mut Mail) {
    let all = mail.values().flat_map(|(found, _)| found).flat_map(|domain| domain.hosts.keys());
    let hosts: BTreeSet<DnsName> = all.cloned().collect();
    let query = |host: &DnsName| Some((host.clone(), format!("_25._tcp.{host}").parse::<DnsName>().ok()?));
    let (hosts, queries): (Vec<DnsName>, Vec<DnsName>) = hosts.iter().filter_map(query).unzip();
    let questions: Vec<_> = queries.into_iter().map(|query| (query, RecordType::TLSA)).collect();
    let covered: BTreeMap<DnsName, Cover> =
        hosts.into_iter().zip(resolver.validated(&questions)).map(|(host, answer)| (host, covered(answer))).collect();
    for (host, cover) in mail.values_mut().flat_map(|(found, _)| found).flat_map(|domain| &mut domain.hosts) {
        if let Some(found) = covered.get(host) {
            *cover = found.clone();
        }
    }
}

fn covered(answer: Result<(Message, Security), String>) -> Cover {
    let (message, security) = match answer {
        Ok(answer) => answer,
        Err(why) => return Cover::Unknown(why),
    };
    if let Err(why) = answered(&message) {
        return Cover::Unknown(why);
    }
    let there = message.answers.iter().any(|record| record.record_type() == RecordType::TLSA);
    match (there, security) {
        (false, _) => Cover::Missing,
        (true, Security::Secure) => Cover::Covered,
        (true, Security::Unknown(why)) => Cover::Unknown(why),
        (true, Security::Insecure | Security::Bogus(_)) => Cover::Insecure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_up_to_the_apex() {
        for (base, zone, expected) in [
            ("mx.example.com", Some("example.com"), "mx.example.com. example.com."),
            ("a.b.example.com", Some("example.com"), "a.b.example.com. b.example.com. example.com."),
            ("example.com", Some("example.com"), "example.com."),
            ("mx.example.com", Some("_tcp.mx.example.com"), "mx.example.com."), // the records have a zone of their own
            ("mx.example.com", None, "mx.example.com."),
            ("mx.example.com", Some("."), "mx.example.com."),
        ] {
            let zone: Option<DnsName> = zone.map(|zone| zone.parse().unwrap());
            let found = domains(&base.parse().unwrap(), zone.as_ref());
            assert_eq!(found.iter().map(DnsName::as_str).collect::<Vec<_>>().join(" "), expected, "{base} {zone:?}");
        }
    }
}
