//! One owner by itself, and again when somebody else has changed it meanwhile.

use super::{Settled, Trouble, server::Server, work::Work};
use crate::{name::DnsName, provider::Outcome};
use std::time::Duration;

/// How often an update is sent for an owner that keeps changing.
const TRIES: u32 = 3;
/// Some servers show a change only after they have signed it; the wait grows with each try.
const PAUSE: Duration = Duration::from_millis(500);

/// Updates this owner.
pub(super) fn update(server: &Server, zone: &DnsName, work: Work) -> Vec<Settled> {
    match server.update(zone, std::slice::from_ref(&work)) {
        Ok(()) => work.done().collect(),
        Err(trouble) => go_on(server, zone, work, &trouble),
    }
}

/// Goes on after an update of this owner came to nothing.
pub(super) fn go_on(server: &Server, zone: &DnsName, mut work: Work, trouble: &Trouble) -> Vec<Settled> {
    let mut vanished = match trouble {
        Trouble::Changed { vanished } => *vanished,
        Trouble::All(outcome) | Trouble::Owner(outcome) => return work.all(outcome).collect(),
    };
    let mut settled = Vec::new();
    for attempt in 1..TRIES {
        server.env.sleep(PAUSE * attempt);
        work = match server.view(work.owner) {
            Ok(view) => work.again(view, vanished, &mut settled),
            Err(outcome) => return settled.into_iter().chain(work.all(&outcome)).collect(),
        };
        if work.is_empty() {
            return settled;
        }
        match server.update(zone, std::slice::from_ref(&work)) {
            Ok(()) => return settled.into_iter().chain(work.done()).collect(),
            Err(Trouble::Changed { vanished: now }) => vanished = now,
            Err(Trouble::All(outcome) | Trouble::Owner(outcome)) => {
                return settled.into_iter().chain(work.all(&outcome)).collect();
            }
        }
    }
    let outcome = Outcome::Temporary(format!(
        "{server}: the TLSA records of {} changed each of {TRIES} times between our look and our update; \
         is another program editing them?",
        work.owner
    ));
    settled.into_iter().chain(work.all(&outcome)).collect()
}
