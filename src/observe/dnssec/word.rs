//! `dnssec = resolver`: a validating resolver on this host is asked what it makes of a name.

use super::fetch::by_flag;
use crate::{
    env::{Answered, Ask},
    facts::Security,
    name::DnsName,
    observe::{
        discover::{Resolver, useful},
        dns::mnemonic,
    },
};
use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

impl Resolver<'_> {
    /// What the resolver says of the TLSA records at these names.
    pub(in crate::observe) fn words(&self, names: &BTreeSet<DnsName>) -> BTreeMap<DnsName, Security> {
        // Between here and a resolver elsewhere anybody can set a bit.
        let Some(server) = self.servers.iter().find(|server| server.ip().is_loopback()).copied() else {
            let why = "no resolver on this host is configured, whose word `dnssec = resolver` would take";
            return names.iter().map(|name| (name.clone(), Security::Unknown(why.into()))).collect();
        };
        let ask = |name: &DnsName, checking_disabled| Ask {
            server,
            name: name.clone(),
            kind: RecordType::TLSA,
            recursion: true,
            checking_disabled,
        };
        let asks: Vec<Ask> = names.iter().flat_map(|name| [ask(name, false), ask(name, true)]).collect();
        let answers = self.env.ask(&asks);
        let of_name = |(name, pair): (&DnsName, &[Answered])| (name.clone(), word(server, &pair[0], &pair[1]));
        names.iter().zip(answers.chunks_exact(2)).map(of_name).collect()
    }
}

/// From the answer to the question as clients ask it, and the answer without validation.
fn word(server: SocketAddr, validated: &Answered, unchecked: &Answered) -> Security {
    let code = |answer: &Answered| answer.as_ref().map(|message| message.metadata.response_code).ok();
    match validated {
        Ok(message) if useful(validated) => by_flag(message),
        Ok(_) if code(validated) == Some(ResponseCode::ServFail) && useful(unchecked) => Security::Bogus(format!(
            "the resolver {server} answers SERVFAIL, and only without validation what is there"
        )),
        Ok(message) => {
            let code = mnemonic(message.metadata.response_code);
            Security::Unknown(format!("the resolver {server} answers {code}"))
        }
        Err(why) => Security::Unknown(format!("the resolver {server}: {why}")),
    }
}
