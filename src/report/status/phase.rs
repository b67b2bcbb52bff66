//! Where a lineage is, named by what is awaited.

use super::{Configured, planned::Planned};
use crate::{
    facts::{LineageFacts, Served},
    plan::{
        Action, Reason, Step, Wait, is_broken,
        model::{Lineage, Model},
    },
};
use serde::Serialize;
use std::fmt;

/// Where a lineage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The newest certificate is served and published.
    Settled,
    /// No run has looked at it yet.
    New,
    /// Pinned by `--pre` for a renewal.
    Renewing,
    /// A record is missing, or on its way to the servers.
    Publishing,
    /// Servers have yet to show the records of a candidate.
    WaitingForServers,
    /// Caches have yet to forget answers without them.
    WaitingForCaches,
    /// Something else keeps the switch.
    Waiting,
    /// The next run switches.
    Switching,
    /// A deploy has not succeeded since the switch.
    DeployOwed,
    /// A reload has not succeeded since the switch.
    ReloadOwed,
    /// Processes may still present the old certificate.
    Holding,
    /// Records of an old certificate are on their way out.
    Deleting,
    /// The operator went back from what `live/` shows.
    RolledBack,
    /// DANE is being left.
    Leaving,
    /// DANE was left.
    Withdrawn,
    /// It has no section any more.
    Unconfigured,
    /// Its section has errors.
    Misconfigured,
    /// A section without a lineage.
    NoLineage,
    /// The journal cannot be read, so nobody can tell.
    Unknown,
    /// Something is wrong, and keeps it where it is.
    Blocked,
    /// What is served matches nothing that is published.
    Broken,
}

impl Phase {
    /// What that means, and what comes next.
    pub fn says(self) -> &'static str {
        match self {
            Phase::Settled => "Services read the newest certificate, and its records are published.",
            Phase::New => {
                "No run has looked at this lineage yet. `daneroll --reset` builds the dane directory, then \
                 `daneroll` publishes the records of the certificate in use."
            }
            Phase::Renewing => {
                "Pinned by --pre, so that a renewal changes nothing for services. --post ends that, and \
                 publishes the records of what was renewed."
            }
            Phase::Publishing => {
                "A record that is needed is not shown by every name server yet. Services keep the certificate \
                 that they have."
            }
            Phase::WaitingForServers => {
                "A new certificate is there. Services keep the old one until every name server shows the \
                 records of the new one, and caches have had time to see them."
            }
            Phase::WaitingForCaches => {
                "Every name server shows the records of the new certificate. Caches may still hold answers \
                 without them, so services keep the old certificate until those have run out."
            }
            Phase::Waiting => "A new certificate is there, and services keep the old one for the reasons below.",
            Phase::Switching => {
                "Every client can know the records of the new certificate: the next run switches to it and \
                 reloads the services."
            }
            Phase::DeployOwed => {
                "The dane directory shows the new certificate, and not everybody who is to have it has got it. The \
                 old records stay until the deploy succeeds, and each run tries again; services are reloaded after it."
            }
            Phase::ReloadOwed => {
                "The dane directory shows the new certificate, but services may present the old one until the \
                 reload succeeds. The old records stay until then, and each run tries again."
            }
            Phase::Holding => {
                "The switch is done. The old records stay for a while, for processes that still present the old \
                 certificate; then they are deleted."
            }
            Phase::Deleting => "The old certificate is out of use, and its records are being deleted.",
            Phase::RolledBack => {
                "Rolled back: the certificate in live/ is no candidate until the next renewal puts another there."
            }
            Phase::Leaving => {
                "Leaving DANE: the records are deleted, and the lineage stays pinned until no cache holds them."
            }
            Phase::Withdrawn => "Has left DANE: no records, and services follow live/.",
            Phase::Unconfigured => {
                "No section is for this lineage any more: it stays as it is, its records too. Put the section \
                 back; `daneroll withdraw LINEAGE` then leaves DANE safely."
            }
            Phase::Misconfigured => {
                "Its section has errors: it stays as it is until they are mended. `daneroll --config-test` \
                 shows them."
            }
            Phase::NoLineage => {
                "There is a section, but no lineage of that name: nothing in live/ (`certbot certificates` tells the names), \
                 or nothing where \"source\" says."
            }
            Phase::Unknown => "What was done so far cannot be read, so nobody can tell. Root can.",
            Phase::Blocked => "Something is wrong, and nothing goes on until it is put right: see below.",
            Phase::Broken => {
                "BROKEN: what services present matches no published record, so clients refuse it. The next run \
                 goes to a certificate that matches, or publishes the records of this one."
            }
        }
    }

    /// Is it a matter for somebody to look at?
    pub fn alarms(self) -> bool {
        matches!(
            self,
            Phase::Broken
                | Phase::Blocked
                | Phase::Misconfigured
                | Phase::NoLineage
                | Phase::DeployOwed
                | Phase::ReloadOwed
        )
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = serde_json::to_value(self).unwrap_or_default();
        f.write_str(&word.as_str().unwrap_or_default().replace('-', " "))
    }
}

/// What the phase follows from.
pub struct Scene<'a> {
    /// The lineage's name.
    pub name: &'a str,
    /// What the configuration says.
    pub section: Configured,
    /// What the plan was made from; nothing for a lineage that no plan is made for.
    pub lineage: Option<&'a Lineage<'a>>,
    /// Its files.
    pub files: &'a LineageFacts,
    /// What the plan was made from.
    pub model: &'a Model<'a>,
    /// What a run would do for it now.
    pub planned: &'a Planned<'a>,
    /// No run has looked at it yet.
    pub fresh: bool,
    /// The journal cannot be read.
    pub blind: bool,
    /// The plan tells trouble of it.
    pub troubled: bool,
    /// A record that is needed is not shown everywhere.
    pub unshown: bool,
}

impl Scene<'_> {
    /// Where the lineage is.
    pub fn phase(&self) -> Phase {
        let lineage = match (self.section, self.lineage) {
            (Configured::Broken, _) => return Phase::Misconfigured,
            (Configured::Missing, _) => return Phase::Unconfigured,
            (Configured::Sound, None) => return Phase::NoLineage,
            (Configured::Sound, Some(lineage)) => lineage,
        };
        if self.blind {
            return Phase::Unknown;
        }
        if !lineage.doc.withdrawn && is_broken(self.model, lineage) {
            return Phase::Broken;
        }
        if self.troubled {
            return Phase::Blocked;
        }
        if self.fresh {
            return Phase::New;
        }
        if lineage.doc.withdrawn {
            let follows = match (&self.files.served, &self.files.live) {
                (Served::Live, _) => true,
                (Served::Pinned(served), Ok(live)) => self.files.in_place && served.id == live.id,
                _ => false,
            };
            let gone = follows && self.model.owners_of(self.name).next().is_none();
            return if gone { Phase::Withdrawn } else { Phase::Leaving };
        }
        self.rollover().or_else(|| self.clearing()).unwrap_or_else(|| self.idle(lineage))
    }

    fn waits(&self) -> impl Iterator<Item = &Wait> {
        self.planned.waits.iter().copied()
    }

    fn does(&self, what: fn(&Action) -> bool) -> bool {
        self.planned.actions.iter().copied().any(what)
    }

    /// On the way to a newer certificate. The newest candidate's wait comes first.
    fn rollover(&self) -> Option<Phase> {
        if self.does(|action| matches!(action, Action::Switch { .. })) {
            return Some(Phase::Switching);
        }
        if self.does(|action| matches!(action, Action::Add(_))) {
            return Some(Phase::Publishing);
        }
        let under_way =
            self.waits().find(|wait| matches!(wait.step, Step::Install(_) | Step::Switch(_) | Step::Publish(_)));
        let Some(wait) = under_way else {
            // Where nobody knows the hosts, none has its records.
            return self.waits().any(|wait| matches!(wait.step, Step::Find(_))).then_some(Phase::Publishing);
        };
        if matches!(wait.step, Step::Publish(_))
            && wait.reasons.iter().all(|reason| matches!(reason, Reason::WithoutEffect { .. }))
        {
            return Some(Phase::Publishing);
        }
        let servers = |reason: &Reason| {
            matches!(
                reason,
                Reason::NotShown { .. }
                    | Reason::Unknown { .. }
                    | Reason::NoServers { .. }
                    | Reason::NotAsked { .. }
                    | Reason::NotVisible { .. }
            )
        };
        Some(match &wait.reasons {
            reasons if reasons.iter().any(servers) => Phase::WaitingForServers,
            reasons if reasons.iter().all(|reason| matches!(reason, Reason::Cached { .. })) => Phase::WaitingForCaches,
            _ => Phase::Waiting,
        })
    }

    /// After the switch.
    fn clearing(&self) -> Option<Phase> {
        let undeployed = |reason: &Reason| matches!(reason, Reason::DeployOwed { .. });
        let owed = |reason: &Reason| matches!(reason, Reason::ReloadOwed { .. });
        let gone = |reason: &Reason| {
            matches!(reason, Reason::NotVisible { .. } | Reason::WithoutEffect { publishes: false, .. })
        };
        let mut reasons = self.waits().flat_map(|wait| &wait.reasons).filter(|reason| reason.passes());
        if self.does(|action| matches!(action, Action::Deploy { .. })) || self.waits_for(undeployed) {
            return Some(Phase::DeployOwed);
        }
        if self.does(|action| matches!(action, Action::Reload { .. })) || self.waits_for(owed) {
            return Some(Phase::ReloadOwed);
        }
        if self.does(|action| matches!(action, Action::Delete(_))) || self.waits_for(gone) {
            return Some(Phase::Deleting);
        }
        let retires = self.waits().any(|wait| matches!(wait.step, Step::Retire(_)));
        (retires || reasons.next().is_some()).then_some(Phase::Holding)
    }

    fn waits_for(&self, what: fn(&Reason) -> bool) -> bool {
        self.waits().flat_map(|wait| &wait.reasons).any(what)
    }

    /// Nothing is under way.
    fn idle(&self, lineage: &Lineage<'_>) -> Phase {
        let live = self.files.live.as_ref().ok().map(|live| &live.id);
        match () {
            () if self.unshown => Phase::Publishing,
            () if self.files.held => Phase::Renewing,
            () if live.is_some() && lineage.doc.barred.as_ref() == live => Phase::RolledBack,
            () => Phase::Settled,
        }
    }
}
