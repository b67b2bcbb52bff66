//! `api = powerdns`: the HTTP interface of PowerDNS's authoritative server.
//!
//! It replaces whole RRsets, so each change is read, modify, write; what others have there is written back as it was. We look
//! right before we write and right after it, and do it again when somebody else wrote in between. Who writes between our look and
//! our write, a matter of milliseconds, is overwritten: the interface has no way to prevent that. (`rfc2136` has.)

mod answer;
mod line;
mod session;
mod work;

pub(super) use line::read;

use super::{
    Change, Context, Outcome, Provider,
    http::{self, Base},
};
use crate::{config::Secret, env::Env, name::DnsName};
use session::{Session, Trouble};
use std::{collections::BTreeMap, time::Duration};
use work::{Placed, Settled, Work};

/// How often a zone is written whose RRsets somebody else changes meanwhile.
const TRIES: u32 = 3;
/// Before we look at it again; grows with each try.
const PAUSE: Duration = Duration::from_millis(300);

/// `api = powerdns URL key:FILE [server:ID] [zone:ZONE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerDns {
    /// Where the server listens, without `/api/v1`.
    pub base: Base,
    /// The API key.
    pub key: Secret,
    /// Where it stands, for messages.
    pub source: String,
    /// The server's name for itself, `localhost` by default.
    pub server: String,
    /// `zone:`, else the one that name servers told or the nearest above the owner.
    pub zone: Option<DnsName>,
}

impl Provider for PowerDns {
    /// All changes of an owner are written at once.
    fn changes_at_once(&self) -> bool {
        true
    }

    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome> {
        let mut session = Session::new(env, self, http::limit(context));
        let (mut zones, mut settled) = (BTreeMap::<_, Vec<Placed>>::new(), Vec::new());
        for (place, change) in changes.iter().enumerate() {
            match session.zone(change) {
                Ok(zone) => zones.entry(zone).or_default().push((place, change)),
                Err(trouble) => settled.push((place, session.note(trouble))),
            }
        }
        for (zone, placed) in zones {
            settled.extend(update_zone(&mut session, &zone, &placed));
        }
        // A change that nothing was said about would be a mistake here; it must not pass for done.
        let mut outcomes =
            vec![Outcome::Failed("nothing became of this change: please report it".into()); changes.len()];
        for (place, outcome) in settled {
            outcomes[place] = outcome;
        }
        http::concealed(outcomes, &self.key)
    }
}

/// All changes in one zone: one write, or one for each owner where the whole is refused.
fn update_zone(session: &mut Session, zone: &str, placed: &[Placed]) -> Vec<Settled> {
    let mut owners = BTreeMap::<&DnsName, Vec<Placed>>::new();
    for (place, change) in placed {
        owners.entry(&change.owner).or_default().push((*place, change));
    }
    match update_together(session, zone, &owners) {
        Err(Trouble::One(_)) if owners.len() > 1 => {
            let apart = owners.into_iter().flat_map(|(owner, changes)| {
                let owner = BTreeMap::from([(owner, changes)]);
                update_together(session, zone, &owner).unwrap_or_else(|trouble| all(&owner, &session.note(trouble)))
            });
            apart.collect()
        }
        Err(trouble) => all(&owners, &session.note(trouble)),
        Ok(settled) => settled,
    }
}

fn all(owners: &BTreeMap<&DnsName, Vec<Placed>>, outcome: &Outcome) -> Vec<Settled> {
    owners.values().flatten().map(|(place, _)| (*place, outcome.clone())).collect()
}

/// Reads, modifies, writes, and looks whether that is what is there; again if it is not.
fn update_together(
    session: &mut Session,
    zone: &str,
    owners: &BTreeMap<&DnsName, Vec<Placed>>,
) -> Result<Vec<Settled>, Trouble> {
    let mut settled = BTreeMap::new();
    let mut why = Outcome::Temporary(format!(
        "{session}: the TLSA records changed after each of {TRIES} times that we wrote them; is another program editing them?"
    ));
    let mut lost = false;
    for attempt in 0..TRIES {
        session.pause(PAUSE * attempt);
        let (works, serial) = match look(session, zone, owners, &mut settled) {
            Err(_) if lost => return Err(Trouble::All(why)),
            looked => looked?,
        };
        if works.is_empty() || lost {
            break;
        }
        match session.write(zone, &works) {
            Ok(()) => {}
            Err(Trouble::Lost(outcome)) => (lost, why) = (true, outcome),
            Err(trouble) => return Err(trouble),
        }
        settled.extend(works.iter().flat_map(|work| &work.changes).map(|(place, _)| (*place, Some(Outcome::Done))));
        if !lost && session.confirms(zone, &works, serial) {
            break;
        }
        // The last look decides.
        if attempt + 1 == TRIES {
            session.pause(PAUSE * TRIES);
            look(session, zone, owners, &mut settled).map_err(|_| Trouble::All(why.clone()))?;
        }
    }
    Ok(settled.into_iter().map(|(place, outcome)| (place, outcome.unwrap_or_else(|| why.clone()))).collect())
}

/// What is still to be done at these owners, and the zone's serial. Takes down what needs no write, and as `None` what does; what is
/// found done after we wrote it counts as done by us.
fn look<'a>(
    session: &Session,
    zone: &str,
    owners: &BTreeMap<&'a DnsName, Vec<Placed<'a>>>,
    settled: &mut BTreeMap<usize, Option<Outcome>>,
) -> Result<(Vec<Work<'a>>, Option<u32>), Trouble> {
    let zone = session.read(zone)?;
    let mut works = Vec::new();
    for (owner, changes) in owners {
        let work = Work::new(owner, zone.tlsa(owner), changes);
        for (place, outcome) in &work.settled {
            let ours = settled.get(place) == Some(&Some(Outcome::Done)) && *outcome == Outcome::Already;
            settled.insert(*place, Some(if ours { Outcome::Done } else { outcome.clone() }));
        }
        settled.extend(work.changes.iter().map(|(place, _)| (*place, None)));
        works.push(work);
    }
    works.retain(|work| !work.is_empty());
    Ok((works, zone.edited_serial))
}
