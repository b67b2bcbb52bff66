//! May a process still present a generation? (DESIGN: "Delete")

use super::model::Lineage;
use crate::journal::{Presented, clock::Stamp};

/// Least `hold` where it is not set, seconds.
const HOLD: u64 = 3600;
/// Without a reload probes have to agree for so long, seconds.
pub(super) const AGREED: u64 = 7 * 86_400;

/// May a process still present a generation?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is what the dane directory shows.
    Served,
    /// A reload that began after it was left has to succeed first.
    UntilReload,
    /// It was reloaded; the hold ends then. It counts anew from when a probe saw it last.
    UntilHold(Stamp),
    /// The hold is over; probes of every address have to see nothing of it since.
    UntilProbe,
    /// No reload is configured: probes of every address have to see nothing of it until then; `None` while none did.
    UntilAgreed(Option<Stamp>),
    /// No reload is configured, and no probes: until its certificate has expired (Unix seconds).
    UntilExpiry(i64),
    /// The lineage has no section that would tell.
    Unconfigured,
    /// No.
    Gone,
}

impl<'a> Lineage<'a> {
    /// The reload commands that are owed because of this generation.
    pub fn owed(&self, left: Stamp) -> impl Iterator<Item = &'a Vec<String>> + use<'a> {
        let done = self.doc.reloads.iter().filter(move |reload| reload.began >= left);
        let done: Vec<&Vec<String>> = done.map(|reload| &reload.command).collect();
        let commands = self.section.map_or(&[][..], |section| &section.reload);
        commands.iter().filter(move |command| !done.contains(command))
    }

    /// May a process still present this generation?
    pub fn presence(&self, presented: &Presented, now: Stamp, wall: i64) -> Presence {
        let Some(left) = presented.left else { return Presence::Served };
        let Some(section) = self.section else { return Presence::Unconfigured };
        if section.reload.is_empty() {
            return self.unreloaded(presented, now, wall);
        }
        if self.owed(left).next().is_some() {
            return Presence::UntilReload;
        }
        let ended = self.reloaded(left).unwrap_or(now);
        let end = ended.max(presented.seen.unwrap_or(ended)).after(self.hold(presented));
        let unseen = || presented.unseen.as_ref().is_some_and(|unseen| unseen.last >= end);
        match end <= now {
            false => Presence::UntilHold(end),
            true if self.probed && !unseen() => Presence::UntilProbe,
            true => Presence::Gone,
        }
    }

    /// How long after a reload its records stay, seconds.
    pub fn hold(&self, presented: &Presented) -> u64 {
        self.section.and_then(|section| section.hold).unwrap_or(presented.wait.max(HOLD))
    }

    fn unreloaded(&self, presented: &Presented, now: Stamp, wall: i64) -> Presence {
        let agreed = presented.unseen.as_ref().map(|unseen| unseen.since.after(AGREED));
        match &presented.unseen {
            Some(unseen) if self.probed && unseen.since.after(AGREED) <= unseen.last.min(now) => Presence::Gone,
            _ if self.probed => Presence::UntilAgreed(agreed),
            _ if wall > presented.not_after => Presence::Gone,
            _ => Presence::UntilExpiry(presented.not_after),
        }
    }

    /// When the first reload that counts for this generation had ended, if every command has succeeded since it was left.
    pub fn reloaded(&self, left: Stamp) -> Option<Stamp> {
        let section = self.section.filter(|section| !section.reload.is_empty())?;
        let first_success = |command: &Vec<String>| {
            let counted = self.doc.reloads.iter().filter(|r| r.began >= left && r.command == *command);
            counted.map(|reload| reload.ended).min()
        };
        section.reload.iter().map(first_success).collect::<Option<Vec<Stamp>>>()?.into_iter().max()
    }
}
