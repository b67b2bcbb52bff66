//! What the server itself shows at an owner, read from its answer.

use super::words;
use crate::{env::Answered, name::DnsName, provider::Outcome, tlsa::Association};
use hickory_resolver::proto::{
    dnssec::rdata::DNSSECRData,
    op::{Message, ResponseCode},
    rr::{DNSClass, RData, Record, RecordType, rdata::TLSA},
};
use std::fmt::Display;

/// A TLSA RRset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Its records in the order of their RDATA.
    pub records: Vec<Association>,
    /// Its TTL in seconds; `None` if there is no RRset.
    pub ttl: Option<u32>,
}

impl View {
    /// Reads the answer to a TLSA question for `owner`, without recursion.
    pub(super) fn of(server: &impl Display, owner: &DnsName, answered: Answered) -> Result<View, Outcome> {
        let answer = authoritative(server, owner, answered)?;
        let at_owner = |record: &&Record| DnsName::from(&record.name) == *owner && record.dns_class == DNSClass::IN;
        let here: Vec<&Record> = answer.answers.iter().filter(at_owner).collect();
        if let Some(RData::CNAME(target)) = here.iter().map(|record| &record.data).find(|data| is_cname(data)) {
            return Err(Outcome::Failed(format!(
                "{server}: {owner} is an alias (CNAME) of {} by now; the records belong there",
                DnsName::from(&target.0)
            )));
        }
        if here.iter().any(|record| is_from_wildcard(record)) {
            return Ok(View::default());
        }
        let ttl = here.iter().filter(|record| record.record_type() == RecordType::TLSA).map(|record| record.ttl).min();
        let mut records: Vec<_> = here.iter().filter_map(|record| association(&record.data)).collect();
        records.sort();
        records.dedup();
        Ok(View { records, ttl })
    }
}

/// The answer, if the server is the authority for `name`.
pub(super) fn authoritative(server: &impl Display, name: &DnsName, answered: Answered) -> Result<Message, Outcome> {
    let answer = answered.map_err(|error| {
        let cure = "see that it runs, and that no firewall keeps this host from its port, UDP and TCP";
        Outcome::Temporary(format!("{server}: {error} (asked for {name}): {cure}"))
    })?;
    match answer.response_code {
        _ if is_authoritative(&answer) => Ok(answer),
        ResponseCode::NoError | ResponseCode::NXDomain => Err(Outcome::Failed(format!(
            "{server} is not an authority for {name}: name the primary server of its zone in the `api` line \
             (is {name} delegated to other servers?)"
        ))),
        code => Err(words::question_refused(server, name, code)),
    }
}

/// Does the server know the name: is it an authority for it that can answer?
pub(super) fn is_authoritative(answer: &Message) -> bool {
    answer.authoritative && matches!(answer.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn is_cname(data: &RData) -> bool {
    matches!(data, RData::CNAME(_))
}

fn association(data: &RData) -> Option<Association> {
    match data {
        RData::TLSA(TLSA { cert_usage, selector, matching, cert_data, .. }) => Some(Association {
            usage: (*cert_usage).into(),
            selector: (*selector).into(),
            matching: (*matching).into(),
            data: cert_data.clone(),
        }),
        _ => None,
    }
}

/// A signature over fewer labels than the name has: there is no RRset here, a wildcard stands in (RFC 4035 section 5.3.4).
fn is_from_wildcard(record: &Record) -> bool {
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return false };
    let input = signature.input();
    input.type_covered == RecordType::TLSA && input.num_labels < record.name.num_labels()
}
