//! What was fetched to validate with: DS and DNSKEY records, and from whom.

use super::keys::Zone;
use crate::{env::Answered, name::DnsName};
use hickory_resolver::proto::{op::Message, rr::RecordType};
use std::{collections::BTreeMap, net::SocketAddr, rc::Rc};

/// Questions that one answer may cost at a time.
pub(super) const MOST_LACKS: usize = 64;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::observe) enum Source {
    /// The recursive resolver.
    Resolver,
    /// The servers of this zone, because what the resolver said is of no use.
    Servers(DnsName),
}

/// A question that validation hangs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::observe) struct Lack {
    /// The query name.
    pub name: DnsName,
    /// DS or DNSKEY.
    pub kind: RecordType,
    /// Whom to ask.
    pub from: Source,
}

/// What the questions for one name and type yielded.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The resolver's answer.
    pub resolver: Option<Answered>,
    /// The answers of the zone's servers; none if they could not be found.
    pub servers: Option<Vec<Answered>>,
}

impl Found {
    /// Everything that was said.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.resolver.iter().chain(self.servers.iter().flatten()).flatten()
    }

    /// Why there is nothing, in the words of who was asked last.
    pub fn silence(&self) -> Option<&String> {
        self.resolver
            .iter()
            .chain(self.servers.iter().flatten())
            .filter_map(|answered| answered.as_ref().err())
            .next_back()
    }
}

/// What is known of a name on the way down from a trust anchor.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// No zone begins there.
    None,
    /// A signed zone.
    Zone(Rc<Zone>),
    /// An unsigned zone.
    Insecure,
}

/// All that was fetched and concluded.
#[derive(Default)]
pub(super) struct Evidence {
    /// Answers by name and type.
    pub found: BTreeMap<(DnsName, RecordType), Found>,
    /// The servers of zones that were asked past the resolver.
    pub servers: BTreeMap<DnsName, Vec<SocketAddr>>,
    /// What follows from it.
    pub cuts: BTreeMap<DnsName, Cut>,
}
