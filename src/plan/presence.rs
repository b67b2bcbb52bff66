//! May a process still present a generation? (DESIGN: "Delete")

use super::model::Lineage;
use crate::{
    config::Section,
    journal::{Presented, Reloaded, clock::Stamp},
};

/// Least `hold` where it is not set, seconds.
const HOLD: u64 = 3600;
/// Without a reload probes have to agree for so long, seconds.
pub(super) const AGREED: u64 = 7 * 86_400;

/// May a process still present a generation?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is what the dane directory shows.
    Served,
    /// The files of its successor have to be taken to where services read them first.
    UntilDeploy,
    /// A reload that began after that has to succeed first.
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
    /// The deploy commands that are owed because of this generation.
    pub fn undeployed(&self, left: Stamp) -> impl Iterator<Item = &'a Vec<String>> + use<'a> {
        let deploys = &self.doc.deploys;
        let commands = self.section.map_or(&[][..], |section| &section.deploy);
        commands.iter().filter(move |command| first_success(deploys, command, left).is_none())
    }

    /// When every deploy command had succeeded since this generation was left.
    pub fn deployed(&self, left: Stamp) -> Option<Stamp> {
        let commands = self.section.map_or(&[][..], |section| &section.deploy);
        let firsts = commands.iter().map(|command| first_success(&self.doc.deploys, command, left));
        Some(firsts.collect::<Option<Vec<Stamp>>>()?.into_iter().fold(left, Stamp::max))
    }

    /// Were services given what the dane directory shows, as far as anybody knows?
    pub fn is_installed(&self) -> bool {
        self.doc.uninstalled.is_none_or(|since| self.deployed(since).is_some())
    }

    /// The reload commands that are owed because of this generation. One that began before the files were everywhere does not
    /// count: it may have reloaded services elsewhere that had the old ones.
    pub fn owed(&self, left: Stamp) -> impl Iterator<Item = &'a Vec<String>> + use<'a> {
        let (since, reloads) = (self.deployed(left), &self.doc.reloads);
        let commands = self.section.map_or(&[][..], |section| &section.reload);
        commands.iter().filter(move |command| since.and_then(|since| first_success(reloads, command, since)).is_none())
    }

    /// May a process still present this generation?
    pub fn presence(&self, presented: &Presented, now: Stamp, wall: i64) -> Presence {
        let Some(left) = presented.left else { return Presence::Served };
        let Some(section) = self.section else { return Presence::Unconfigured };
        if !section.moves_services() {
            return self.unreloaded(presented, now, wall);
        }
        if self.undeployed(left).next().is_some() {
            return Presence::UntilDeploy;
        }
        if self.owed(left).next().is_some() {
            return Presence::UntilReload;
        }
        let ended = self.reloaded(left).unwrap_or(now);
        let end = ended.max(self.seen(section, presented).unwrap_or(ended)).after(self.hold(presented));
        let unseen = || presented.unseen.as_ref().is_some_and(|unseen| unseen.last >= end);
        match end <= now {
            false => Presence::UntilHold(end),
            true if self.probed && !unseen() => Presence::UntilProbe,
            true => Presence::Gone,
        }
    }

    /// When a probe last saw it, or any that was left where files are taken to services: one that presents what it should not
    /// after all deploys and reloads may have been given others in between, and may read them at any time.
    fn seen(&self, section: &Section, presented: &Presented) -> Option<Stamp> {
        let others = self.doc.presented.iter().filter(|other| !section.deploy.is_empty() && other.left.is_some());
        others.chain([presented]).filter_map(|presented| presented.seen).max()
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

    /// When the first reload that counts for this generation had ended, if every command has succeeded since it was left. With
    /// none configured the deploy commands bring services to read the files.
    pub fn reloaded(&self, left: Stamp) -> Option<Stamp> {
        let section = self.section.filter(|section| section.moves_services())?;
        let deployed = self.deployed(left)?;
        let firsts = section.reload.iter().map(|command| first_success(&self.doc.reloads, command, deployed));
        Some(firsts.collect::<Option<Vec<Stamp>>>()?.into_iter().fold(deployed, Stamp::max))
    }
}

impl Lineage<'_> {
    /// When the last of all that was run for it had ended, if all that is owed because of this generation has succeeded.
    pub fn last_reloaded(&self, left: Stamp) -> Option<Stamp> {
        let first = self.reloaded(left)?;
        let successes = self.doc.deploys.iter().chain(&self.doc.reloads);
        Some(successes.map(|success| success.ended).fold(first, Stamp::max))
    }
}

/// When the first success of a command that began no earlier than this had ended.
fn first_success(successes: &[Reloaded], command: &[String], since: Stamp) -> Option<Stamp> {
    let counted = successes.iter().filter(|success| success.began >= since && success.command == command);
    counted.map(|success| success.ended).min()
}
