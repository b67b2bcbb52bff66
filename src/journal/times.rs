//! What happens to documents as time goes by: repeated reloads, records that come again, clocks that cannot be trusted.

use super::{
    LineageDoc, OwnerDoc, Past, Presented, Reloaded, ServerDoc, Shown, Unseen,
    clock::{Clock, Stamp},
};
use crate::small::Set;
use crate::tlsa::Association;
use std::{collections::BTreeSet, net::SocketAddr};

/// A service that is not reloaded has to be seen without a generation again and again; after a longer pause the count starts anew,
/// seconds.
const LONGEST_PAUSE: u64 = 2 * 86_400;

impl Presented {
    /// A probe saw it presented at these addresses.
    pub fn sight(&mut self, now: Stamp, places: BTreeSet<SocketAddr>) {
        (self.seen, self.seen_at, self.unseen) = (Some(now), places, None);
    }

    /// Probes of every address did not see it.
    pub fn no_sight(&mut self, now: Stamp) {
        let before = self.unseen.take().filter(|unseen| unseen.last.elapsed(now) <= LONGEST_PAUSE);
        let since = before.map_or(now, |unseen| unseen.since);
        self.unseen = Some(Unseen { since, last: now });
    }
}

impl LineageDoc {
    /// Drops earlier successes of a reload command, except the first after each generation was left: `hold` counts from there,
    /// and later ones must not put it off.
    pub fn forget_reloads(&mut self, command: &[String]) {
        forget_successes(&mut self.reloads, &self.presented, command);
    }

    /// The same for a deploy command.
    pub fn forget_deploys(&mut self, command: &[String]) {
        forget_successes(&mut self.deploys, &self.presented, command);
    }

    /// Drops stamps that mean nothing: all of them if the clock is another one, else those from the future.
    pub(super) fn forget_times(mut self, clock: &Clock, all: bool) -> LineageDoc {
        let now = Stamp(clock.total);
        let meaningless = |stamp: Stamp| all || stamp > now;
        for presented in &mut self.presented {
            let sound = |stamp: Stamp| if meaningless(stamp) { now } else { stamp };
            (presented.left, presented.seen) = (presented.left.map(sound), presented.seen.map(sound));
            presented.unseen.take_if(|unseen| meaningless(unseen.since) || meaningless(unseen.last));
        }
        self.uninstalled = self.uninstalled.map(|since| if meaningless(since) { now } else { since });
        for successes in [&mut self.deploys, &mut self.reloads] {
            successes.retain(|success| !meaningless(success.began) && !meaningless(success.ended));
        }
        if let Some(unfinished) = self.unfinished.as_mut().filter(|unfinished| meaningless(unfinished.since)) {
            unfinished.since = now;
        }
        for host in self.hosts.values_mut().flat_map(|hosts| hosts.values_mut()) {
            host.gone = host.gone.map(|gone| if meaningless(gone) { now } else { gone });
        }
        self
    }
}

fn forget_successes(successes: &mut Vec<Reloaded>, presented: &[Presented], command: &[String]) {
    let first_after = |left: Stamp| {
        let its = successes.iter().filter(|success| success.command == command && success.began >= left);
        its.map(|success| success.began).min()
    };
    let firsts: BTreeSet<Stamp> = presented.iter().filter_map(|presented| first_after(presented.left?)).collect();
    successes.retain(|success| success.command != command || firsts.contains(&success.began));
}

impl OwnerDoc {
    /// A record that was being deleted is published again: to every cache it counts as absent until now.
    pub fn published_again(&mut self, record: &Association, now: Stamp) {
        for server in self.servers.values_mut() {
            if let Some(Shown { records: Some(records), ttl }) = &server.now {
                let without: Set<_> = records.iter().filter(|shown| *shown != record).cloned().collect();
                server.past.push(Past { shown: Shown { records: Some(without), ttl: *ttl }, gone: now });
            }
        }
    }

    /// Drops stamps that mean nothing: all of them if the clock is another one, else those from the future.
    pub(super) fn forget_times(mut self, clock: &Clock, all: bool) -> OwnerDoc {
        let now = Stamp(clock.total);
        let sound = |stamp: Stamp| if all || stamp > now { now } else { stamp };
        self.asked = self.asked.filter(|asked| !all && *asked <= now);
        self.probed = self.probed.filter(|probed| !all && *probed <= now);
        for server in self.servers.values_mut() {
            server.since = server.since.map(sound);
            server.left = server.left.map(sound);
            for past in &mut server.past {
                past.gone = sound(past.gone);
            }
        }
        for doc in self.records.values_mut() {
            doc.since = sound(doc.since);
            (doc.accepted, doc.tried) = (doc.accepted.map(sound), doc.tried.map(sound));
            doc.unsure = doc.unsure.map(sound);
        }
        if let Some(left) = &mut self.left_behind {
            left.since = sound(left.since);
        }
        self
    }
}

impl ServerDoc {
    /// Is it so long since the address left the zone's servers that no resolver asks it any more?
    pub fn has_left(&self, now: Stamp) -> bool {
        self.left.is_some_and(|left| left.after(2 * u64::from(self.ns_ttl)) <= now)
    }
}
