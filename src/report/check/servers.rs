//! What name servers answer, judged.

use super::{
    Kind,
    Severity::{Critical, Ok as Fine, Warning},
    owner::{Found, answers, brief, some_of},
};
use crate::{
    facts::{OwnerView, ServerView},
    observe::audit::NOT_IN_TIME,
    small::Set,
    tlsa::Association,
};
use std::collections::BTreeMap;

impl Found<'_> {
    /// Each of them answers, and all the same.
    pub(super) fn servers<'a>(&mut self, view: &'a OwnerView) {
        let servers = match &view.servers {
            Ok(servers) => servers,
            Err(why) => return self.unknown(Kind::NoServers, &format!("its name servers are unknown: {why}")),
        };
        let listed = || servers.iter().filter(|(_, server)| server.listed);
        let silent = |(address, server): (_, &'a ServerView)| {
            let why = server.answer.as_ref().err()?;
            Some((server, format!("{} ({address}): {why}", server.name)))
        };
        let silent: Vec<(&ServerView, String)> = listed().filter_map(silent).collect();
        let none = silent.len() == listed().count();
        for (server, text) in &silent {
            match server.no_route {
                true if !none => {
                    self.note(Fine, Kind::NotChecked, format!("this host has no route to name server {text}"))
                }
                _ if text.contains(NOT_IN_TIME) => self.unknown(Kind::NotInTime, &format!("name server {text}")),
                _ => {
                    let severity = if none { Critical } else { Warning };
                    let kind = if server.bogus { Kind::Bogus } else { Kind::ServersSilent };
                    self.note(severity, kind, format!("name server {text}"));
                }
            }
        }
        self.agree(view);
    }

    fn agree(&mut self, view: &OwnerView) {
        let mut shown: BTreeMap<&Option<Set<Association>>, Vec<String>> = BTreeMap::new();
        for (server, answer) in answers(view) {
            shown.entry(&answer.records).or_default().push(server);
        }
        if shown.len() > 1 {
            let told = shown.iter().map(|(records, servers)| {
                let records: Vec<String> = records.iter().flatten().map(brief).collect();
                let records = if records.is_empty() { "nothing".into() } else { some_of(&records) };
                format!("{} from {}", records, some_of(servers))
            });
            let text = format!("its name servers do not agree: {}", told.collect::<Vec<_>>().join("; "));
            self.note(Warning, Kind::ServersDiffer, text);
        }
    }
}
