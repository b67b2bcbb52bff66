//! The way from a trust anchor down to the zone of a name (RFC 4035 section 5): at each name a DS RRset, or the proof that there is
//! none, and where a zone begins its keys.

use super::{
    Anchors, MOST_LABELS,
    evidence::{Cut, Evidence, Lack, Source},
    keys::{self, Zone},
    links::{self, Link},
    nsec,
    proof::{self, Proved},
};
use crate::name::DnsName;
use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, DS},
    op::Message,
    rr::{RData, RecordType},
};
use std::{collections::BTreeSet, rc::Rc};

/// Why there is no signed zone at the end of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// These have to be asked first.
    Lacks(BTreeSet<Lack>),
    /// No trust anchor is above the name, or a zone on the way is proved to be unsigned.
    Insecure,
    /// What somebody says about the way is not true: why.
    Bogus(String),
    /// Nobody says anything: why.
    Unknown(String),
}

/// Walks down.
pub(super) struct Chain<'a> {
    pub anchors: &'a Anchors,
    pub evidence: &'a mut Evidence,
    /// Unix time.
    pub now: i64,
}

impl Chain<'_> {
    /// The signed zone that holds `owner`, as far down as `signer`, which claims to have signed there; without one, as far as the
    /// name itself.
    pub fn zone(&mut self, owner: &DnsName, signer: Option<&DnsName>) -> Result<Rc<Zone>, Halt> {
        let (anchor, _) = self.anchors.nearest(owner).ok_or(Halt::Insecure)?;
        let anchor = anchor.clone();
        let end = signer.unwrap_or(owner);
        let way = way(&anchor, end).ok_or_else(|| Halt::Unknown(format!("{owner} has too many labels")))?;
        if self.is_insecure(&anchor, &way) {
            return Err(Halt::Insecure);
        }
        self.fetch_ahead(&anchor, &way, signer.is_some())?;
        let mut zone = match self.cut(&anchor, Self::anchored)? {
            Cut::Zone(zone) => zone,
            Cut::None | Cut::Insecure => return Err(Halt::Insecure),
        };
        for name in way {
            match self.cut(&name, |chain, name| chain.step(&zone, name))? {
                Cut::None => {}
                Cut::Zone(below) => zone = below,
                Cut::Insecure => return Err(Halt::Insecure),
            }
        }
        Ok(zone)
    }

    /// Is it known already that the way leads into an unsigned zone? What is below that need not be asked for.
    fn is_insecure(&self, anchor: &DnsName, way: &[DnsName]) -> bool {
        let cuts = &self.evidence.cuts;
        let known = std::iter::once(anchor).chain(way).map_while(|name| cuts.get(name));
        known.into_iter().any(|cut| matches!(cut, Cut::Insecure))
    }

    /// Is a link proved?
    pub fn link(&mut self, link: &Link) -> Result<(), Halt> {
        let zone = self.zone(&link.name, link.signer().as_ref())?;
        let why = match proof::check(link, &zone, self.now) {
            Ok(Proved::Secure) => return Ok(()),
            Ok(Proved::Insecure) => return Err(Halt::Insecure),
            Err(why) => why,
        };
        if proof::is_from_wildcard(link, &zone, self.now) {
            // As a TLSA RRset it counts as not there, which is what the missing half of the proof would say.
            let absent = link.holds == Some(RecordType::TLSA);
            let unproved = || Halt::Unknown(format!("{} come from a wildcard: that is not proved", link.words()));
            return if absent { Ok(()) } else { Err(unproved()) };
        }
        Err(self.asked_past(&zone.name).unwrap_or(Halt::Bogus(why)))
    }

    /// A resolver may hold keys from before a change, which do not fit what the zone's servers sign with now: they are asked for
    /// theirs, once.
    fn asked_past(&mut self, zone: &DnsName) -> Option<Halt> {
        let found = self.evidence.found.get_mut(&(zone.clone(), RecordType::DNSKEY))?;
        if found.servers.is_some() {
            return None;
        }
        found.resolver = Some(Err("the resolver's do not fit an answer".into()));
        self.evidence.cuts.remove(zone);
        let lack = Lack { name: zone.clone(), kind: RecordType::DNSKEY, from: Source::Servers(zone.clone()) };
        Some(Halt::Lacks(BTreeSet::from([lack])))
    }

    /// Asks for all that the way will need at once, rather than name by name.
    fn fetch_ahead(&mut self, anchor: &DnsName, way: &[DnsName], keys_too: bool) -> Result<(), Halt> {
        let open = way.iter().filter(|name| !self.evidence.cuts.contains_key(name));
        let mut wanted: Vec<(&DnsName, RecordType)> = open.clone().map(|name| (name, RecordType::DS)).collect();
        wanted.extend(open.filter(|_| keys_too).map(|name| (name, RecordType::DNSKEY)));
        if !self.evidence.cuts.contains_key(anchor) {
            wanted.push((anchor, RecordType::DNSKEY));
        }
        let lacks = wanted.into_iter().filter(|(name, kind)| !self.is_asked(name, *kind));
        let lacks: BTreeSet<Lack> = lacks.map(|(name, kind)| from_resolver(name, kind)).collect();
        if lacks.is_empty() { Ok(()) } else { Err(Halt::Lacks(lacks)) }
    }

    fn is_asked(&self, name: &DnsName, kind: RecordType) -> bool {
        self.evidence.found.contains_key(&(name.clone(), kind))
    }

    /// What is at a name, from memory where it was found out before.
    fn cut(
        &mut self,
        name: &DnsName,
        find: impl FnOnce(&mut Self, &DnsName) -> Result<Cut, Halt>,
    ) -> Result<Cut, Halt> {
        if let Some(cut) = self.evidence.cuts.get(name) {
            return Ok(cut.clone());
        }
        let cut = find(self, name)?;
        self.evidence.cuts.insert(name.clone(), cut.clone());
        Ok(cut)
    }

    /// The zone of a trust anchor.
    fn anchored(&mut self, name: &DnsName) -> Result<Cut, Halt> {
        let Some((_, anchors)) = self.anchors.nearest(name) else { return Err(Halt::Insecure) };
        let now = self.now;
        let zone = self.first(name, RecordType::DNSKEY, name, |message| {
            keys::proved(message, name, |key| keys::is_anchor(anchors, name, key), now)
                .map_err(|why| why.replace("the one to be trusted", "its trust anchor"))
        })?;
        Ok(Cut::Zone(Rc::new(zone)))
    }

    /// What is at a name below `zone`, with no other zone between.
    fn step(&mut self, zone: &Zone, name: &DnsName) -> Result<Cut, Halt> {
        let now = self.now;
        let delegation =
            self.first(name, RecordType::DS, &zone.name, |message| delegation(message, zone, name, now))?;
        let signers = match delegation {
            Delegation::None => return Ok(Cut::None),
            Delegation::Insecure => return Ok(Cut::Insecure),
            Delegation::Signed(signers) => signers,
        };
        let below = self.first(name, RecordType::DNSKEY, name, |message| {
            keys::proved(message, name, |key| keys::is_named(&signers, name, key), now)
                .map_err(|why| why.replace("the one to be trusted", "one that the DS records at its parent name"))
        })?;
        Ok(Cut::Zone(Rc::new(below)))
    }

    /// The first message that holds: the resolver's or, where that does not, one of those servers that ought to know. A
    /// resolver that strips signatures, or is confused, is unfit; that says nothing about the zone.
    fn first<T>(
        &mut self,
        name: &DnsName,
        kind: RecordType,
        at: &DnsName,
        take: impl Fn(&Message) -> Result<T, String>,
    ) -> Result<T, Halt> {
        let Some(found) = self.evidence.found.get(&(name.clone(), kind)) else {
            return Err(Halt::Lacks(BTreeSet::from([from_resolver(name, kind)])));
        };
        let mut wrong = None;
        for message in found.messages() {
            match take(message) {
                Ok(taken) => return Ok(taken),
                Err(why) => wrong = Some((why, message)),
            }
        }
        if found.servers.is_none() {
            let from = Source::Servers(at.clone());
            return Err(Halt::Lacks(BTreeSet::from([Lack { name: name.clone(), kind, from }])));
        }
        let heard = found.servers.iter().flatten().any(Result::is_ok);
        match wrong {
            Some((why, message)) if heard || links::signatures(&message.answers).next().is_some() => {
                Err(Halt::Bogus(why))
            }
            Some((why, _)) => {
                let text = format!("the resolver is unfit ({why}), and the servers of {at} cannot be asked");
                Err(Halt::Unknown(text))
            }
            None => {
                let why = found.silence().map_or("nobody to ask", String::as_str);
                Err(Halt::Unknown(format!("no {kind} records of {name}: {why}")))
            }
        }
    }
}

fn from_resolver(name: &DnsName, kind: RecordType) -> Lack {
    Lack { name: name.clone(), kind, from: Source::Resolver }
}

/// The names below `from` down to `to`; none if `to` is not below. `None` if there are too many.
fn way(from: &DnsName, to: &DnsName) -> Option<Vec<DnsName>> {
    let mut names = Vec::new();
    let mut at = to.clone();
    while at != *from && at.is_within(from) {
        let above = at.parent()?;
        names.push(std::mem::replace(&mut at, above));
        if names.len() > MOST_LABELS {
            return None;
        }
    }
    names.reverse();
    Some(names)
}

enum Delegation {
    None,
    Insecure,
    Signed(Vec<DS>),
}

/// What the answer to a DS question says about a name, once it holds under the keys of the zone above.
fn delegation(message: &Message, zone: &Zone, name: &DnsName, now: i64) -> Result<Delegation, String> {
    let links = links::links(message, name, RecordType::DS)?;
    let link: &Link = links.first().ok_or("an empty answer")?;
    if proof::check(link, zone, now)? == Proved::Insecure {
        return Ok(Delegation::Insecure);
    }
    match link.holds {
        Some(RecordType::DS) => {
            let all = link.message.answers.iter().filter_map(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds),
                _ => None,
            });
            let known: Vec<DS> = all.filter(|ds| keys::is_known(ds)).cloned().collect();
            Ok(if known.is_empty() { Delegation::Insecure } else { Delegation::Signed(known) })
        }
        Some(_) => Ok(Delegation::None),
        None if nsec::may_delegate(&link.message, name) => Ok(Delegation::Insecure),
        None => Ok(Delegation::None),
    }
}
