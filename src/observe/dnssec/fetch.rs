//! Judging many answers side by side: what is lacking is fetched in rounds, for all of them together.

use super::{Lack, Source, evidence::MOST_LACKS};
use crate::{
    config::Dnssec,
    env::{Answered, Ask},
    facts::Security,
    name::DnsName,
    observe::{
        discover::{Resolver, useful},
        dns::mnemonic,
    },
};
use hickory_resolver::proto::{op::Message, rr::RecordType};
use std::{collections::BTreeSet, net::SocketAddr};

/// Rounds of questions. A zone for each label and an unfit resolver take two for each zone.
const MOST_ROUNDS: usize = 24;
/// Servers of a zone that are asked past the resolver.
const MOST_SERVERS: usize = 4;

/// An answer to be judged, and its question.
pub(in crate::observe) type Item<'a> = (&'a Message, DnsName, RecordType);

impl Resolver<'_> {
    /// What answers are worth, in their order: validated, or by the resolver's AD bit where it does that.
    pub(in crate::observe) fn judge(&self, items: &[Item<'_>]) -> Vec<Security> {
        if self.validator.mode() == Dnssec::Resolver {
            return items.iter().map(|(message, ..)| by_flag(message)).collect();
        }
        let now = self.env.wall();
        let mut verdicts: Vec<Option<Security>> = vec![None; items.len()];
        for _ in 0..MOST_ROUNDS {
            let mut lacks = BTreeSet::new();
            let open = items.iter().zip(&mut verdicts).filter(|(_, verdict)| verdict.is_none());
            for ((message, name, kind), verdict) in open {
                match self.validator.judge(message, name, *kind, now) {
                    Ok(security) => *verdict = Some(security),
                    Err(more) if more.len() > MOST_LACKS => *verdict = Some(too_much()),
                    Err(more) => lacks.extend(more),
                }
            }
            if lacks.is_empty() {
                break;
            }
            self.fetch(lacks);
        }
        verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(too_much)).collect()
    }

    fn fetch(&self, lacks: BTreeSet<Lack>) {
        let (here, past): (Vec<Lack>, Vec<Lack>) = lacks.into_iter().partition(|lack| lack.from == Source::Resolver);
        let questions: Vec<_> = here.iter().map(|lack| (lack.name.clone(), lack.kind)).collect();
        for (lack, answer) in here.iter().zip(self.ask(&questions, true)) {
            self.validator.resolver_said(lack, of_use(answer, false));
        }
        self.fetch_past(&past);
    }

    /// Asks the servers of the zones themselves.
    fn fetch_past(&self, lacks: &[Lack]) {
        let zone = |lack: &Lack| match &lack.from {
            Source::Servers(zone) => zone.clone(),
            Source::Resolver => lack.name.clone(),
        };
        let zones: BTreeSet<DnsName> = lacks.iter().map(zone).collect();
        let unknown: BTreeSet<DnsName> =
            zones.into_iter().filter(|zone| self.validator.servers(zone).is_none()).collect();
        for (zone, servers) in self.servers_of(&unknown) {
            self.validator.remember_servers(&zone, servers);
        }
        let servers = |lack: &Lack| -> Vec<SocketAddr> {
            self.validator.servers(&zone(lack)).unwrap_or_default().into_iter().take(MOST_SERVERS).collect()
        };
        let ask = |lack: &Lack, server| Ask {
            server,
            name: lack.name.clone(),
            kind: lack.kind,
            recursion: false,
            checking_disabled: true,
        };
        let asked: Vec<Vec<SocketAddr>> = lacks.iter().map(servers).collect();
        let asks = lacks.iter().zip(&asked).flat_map(|(lack, servers)| servers.iter().map(|server| ask(lack, *server)));
        let mut answers = self.env.ask(&asks.collect::<Vec<_>>()).into_iter();
        for (lack, servers) in lacks.iter().zip(asked) {
            let said = answers.by_ref().take(servers.len()).map(|answer| of_use(answer, true)).collect();
            self.validator.servers_said(lack, said);
        }
    }
}

fn too_much() -> Security {
    Security::Unknown("it takes too many questions".into())
}

/// The answer, if it says something at all: what is there, or that nothing is.
fn of_use(answer: Answered, from_authority: bool) -> Answered {
    match answer {
        Ok(message) if from_authority && !message.metadata.authoritative => {
            Err("it is not authoritative (lame)".into())
        }
        Ok(message) if !useful(&Ok(message.clone())) => {
            Err(format!("it answers {}", mnemonic(message.metadata.response_code)))
        }
        answer => answer,
    }
}

/// The word of a validating resolver.
pub(super) fn by_flag(message: &Message) -> Security {
    if message.metadata.authentic_data { Security::Secure } else { Security::Insecure }
}
