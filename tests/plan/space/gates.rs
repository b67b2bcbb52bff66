//! What is safe in a world: the rules of DESIGN section 3, written down in letters without any thought of the planner.

use super::{
    letters::{Cert, Param, Record, Set},
    world::{Asked, Beside, HOLD, Look, Patience, Phase, Presents, Says, State, WEEK, World},
};
use std::collections::BTreeMap;

/// A certificate that a process may present, and whether its lineage has lines for the owner.
#[derive(Clone, Copy, Debug)]
pub struct May {
    pub cert: Cert,
    pub configured: bool,
    pub readable: bool,
}

impl World {
    /// Can services be looked at?
    pub fn is_probed(&self) -> bool {
        self.look != Look::Off && self.is_configured()
    }

    /// Can a certificate of `mx` be read?
    pub fn is_readable(&self, cert: Cert) -> bool {
        self.reads() == Some(cert) || self.live == Some(cert) || self.stored().contains(&cert) || cert == Cert::C
    }

    /// May a process still present the certificate that was left? (DESIGN: "Delete")
    pub fn other_lingers(&self) -> bool {
        let seen = self.sights.seen.unwrap_or(u64::MAX);
        match self.phase {
            Phase::Before | Phase::Withdrawn => false,
            Phase::Owed | Phase::Early | Phase::Undeployed | Phase::Deployed | Phase::Barred | Phase::Unconfigured => {
                true
            }
            Phase::NoReload => {
                let agreed = self.sights.unseen.is_some_and(|(first, last)| first - last >= WEEK);
                !(self.is_probed() && agreed)
            }
            Phase::Reloaded(ago) => match ago.min(seen).checked_sub(HOLD) {
                None => true,
                Some(over) => self.is_probed() && self.sights.unseen.is_none_or(|(_, last)| last > over),
            },
        }
    }

    /// Who may be presented at the owner.
    pub fn presented(&self) -> Vec<May> {
        let mx = |cert| May {
            cert,
            configured: self.is_configured() && self.phase != Phase::Withdrawn,
            readable: self.is_readable(cert),
        };
        let mut found = vec![mx(self.now())];
        found.extend(self.other_lingers().then(|| mx(self.other())));
        let b = May { cert: Cert::C, configured: self.beside == Beside::Sound, readable: true };
        found.extend((self.beside != Beside::Nobody).then_some(b));
        found
    }

    /// Is anybody configured at the owner?
    pub fn has_lines(&self) -> bool {
        self.beside == Beside::Sound || (self.is_configured() && self.phase != Phase::Withdrawn)
    }

    /// Our records in the journal; the second lineage's are all published.
    pub fn journal(&self) -> BTreeMap<Record, State> {
        let beside = self.params.iter().filter(|_| self.beside != Beside::Nobody);
        let mut journal: BTreeMap<Record, State> =
            beside.map(|param| (Record::of(Cert::C, *param), State::Ours)).collect();
        self.records.iter().for_each(|(record, state)| _ = journal.entry(*record).or_insert(*state));
        journal
    }

    /// Our records that are on their way out: they count as absent.
    pub fn going(&self) -> Set {
        let going = |state: &State| matches!(state, State::Deleting | State::Deleted | State::DeletedAgo(_));
        self.journal().into_iter().filter(|(_, state)| going(state)).map(|(record, _)| record).collect()
    }

    /// The known answers.
    fn shown(&self) -> Vec<Set> {
        if self.asked != Asked::Yes {
            return Vec::new();
        }
        let known = |says: &Says| if let Says::Shows(set) = says { Some(*set) } else { None };
        self.servers.iter().filter_map(known).collect()
    }

    /// The known answers, without what is on its way out.
    pub fn answers(&self) -> Vec<Set> {
        self.shown().into_iter().map(|set| set.without(self.going())).collect()
    }

    pub fn unknown(&self) -> usize {
        if self.asked == Asked::Yes { self.servers.len() - self.answers().len() } else { 0 }
    }

    /// Groups that must be there.
    pub fn required(&self) -> String {
        let mut groups: Vec<char> =
            self.params.iter().filter(|_| self.has_lines()).map(|param| param.group()).collect();
        groups.dedup();
        groups.into_iter().collect()
    }

    /// Groups that we publish in, or did until a moment ago.
    pub fn ours(&self) -> String {
        let published = self.journal().into_keys().map(|record| record.param().group());
        let mut groups: Vec<char> = self.required().chars().chain(published).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.into_iter().collect()
    }

    /// Parameters to publish: those of lines, and a digest type that others brought into our group.
    pub fn wanted_params(&self) -> Vec<Param> {
        let mut params: Vec<Param> = self.params.iter().filter(|_| self.has_lines()).copied().collect();
        let theirs = |set: &Set| set.has(Record::X312);
        if self.servers.iter().any(|says| matches!(says, Says::Shows(set) if theirs(set)))
            && params.contains(&Param::P311)
            && !params.contains(&Param::P312)
        {
            params.push(Param::P312);
        }
        params
    }

    pub fn publishes(&self, cert: Cert) -> Set {
        self.wanted_params().into_iter().map(|param| Record::of(cert, param)).collect()
    }

    /// Does an answer match, with a record for each of our parameters?
    pub fn matches(&self, answer: Set, cert: Cert) -> bool {
        let shown = |param: &Param| answer.iter().any(|record| record.param() == *param);
        answer.fits(cert, &self.required(), true)
            && self.wanted_params().iter().all(shown)
            && self.tolerates(answer, cert)
    }

    /// Does it match as far as it has records of ours?
    pub fn tolerates(&self, answer: Set, cert: Cert) -> bool {
        answer.fits(cert, &self.ours(), false)
    }

    /// The certificates that are there or on their way, of lineages with lines: their records are to be published.
    pub fn needed(&self) -> Set {
        let waiting = May { cert: self.other(), configured: self.is_configured(), readable: true };
        let may = self.presented().into_iter().filter(|may| may.readable);
        let all = may.chain((self.waits() && self.is_readable(self.other())).then_some(waiting));
        all.filter(|may| may.configured).fold(Set::default(), |set, may| set.with(self.publishes(may.cert)))
    }

    /// May those who are silent be left out, where all others match? The lineage of the certificate has the say.
    pub fn may_leave_out(&self, cert: Cert) -> bool {
        let (sound, known) = match cert {
            Cert::C => (self.beside == Beside::Sound, true),
            _ => (self.is_configured(), self.reads().is_some()),
        };
        let Patience { since, beyond, one_host } = self.patience;
        let dispensable = |says: &Says| (beyond > 0 && known) || (one_host && *says == Says::NoRoute);
        let silent = self.servers.iter().filter(|says| !matches!(says, Says::Shows(_)));
        sound && since >= 86_400 && silent.into_iter().all(dispensable)
    }

    /// Is it safe to present a certificate from now on? (DESIGN: "Switch")
    pub fn may_present(&self, cert: Cert) -> bool {
        let answers = self.answers();
        let cached = |earlier: &super::world::Earlier| earlier.gone < (2 * earlier.ttl).max(3600);
        let earlier = self
            .earlier
            .filter(cached)
            .is_none_or(|earlier| earlier.shown.is_some_and(|shown| self.matches(shown, cert)));
        let all = !answers.is_empty() && answers.iter().all(|answer| self.matches(*answer, cert));
        // Some clients go by what is on its way out, as long as it is shown.
        let shown = self.servers.iter().all(|says| match says {
            Says::Shows(set) => self.tolerates(*set, cert),
            _ => true,
        });
        all && shown && earlier && (self.unknown() == 0 || self.may_leave_out(cert))
    }

    /// Is it so whatever comes of calls of which nobody knows the outcome? What is broken cannot wait for them.
    pub fn may_present_whatever_comes(&self, cert: Cert) -> bool {
        let holds = |record: Record| {
            let turned_away = |answer: &Set| !self.matches(answer.with(Set::from(record)), cert);
            !self.answers().iter().any(turned_away)
        };
        self.may_present(cert) && self.may_come().iter().all(holds)
    }

    /// Is a client turned away by what services read?
    pub fn is_broken(&self) -> bool {
        let ours = self.ours();
        let concerned = |answer: &Set| answer.iter().any(|record| ours.contains(record.param().group()));
        let Some(cert) = self.reads() else { return false };
        self.answers().iter().any(|answer| concerned(answer) && !self.tolerates(*answer, cert))
    }

    /// Is it for what a cache may hold?
    pub fn is_stale(&self) -> bool {
        let Some((cert, earlier)) = self.reads().zip(self.earlier) else { return false };
        let fits = earlier.shown.is_some_and(|shown| self.matches(shown, cert));
        earlier.gone < (2 * earlier.ttl).max(3600) && !fits
    }

    /// Does everything that was seen of services match, whatever of `left` they meet? Nothing is unknown.
    pub fn services_fit(&self, left: &[Set], needs: bool) -> bool {
        let Look::At(addresses) = &self.look else { return false };
        let fits = |cert: &Cert| {
            left.iter().all(|set| if needs { self.matches(*set, *cert) } else { self.tolerates(*set, *cert) })
        };
        addresses.iter().all(|Presents(certs, failed)| !failed && certs.iter().all(fits))
    }

    /// Does what remains match all that may be presented, at every server? (DESIGN: "Delete")
    pub fn may_delete(&self, record: Record, before: Set) -> bool {
        let journal = self.journal();
        let Some(state) = journal.get(&record) else { return false };
        if self.may_come().has(record) || self.others_may_come(record) {
            return false;
        }
        let gone = before.with(Set::from(record));
        let answers = self.answers();
        let left: Vec<Set> = answers.iter().map(|answer| answer.without(gone)).collect();
        let stays = |may: &May| {
            let fits = |set: &Set| match may.configured {
                true => self.matches(*set, may.cert),
                false => self.tolerates(*set, may.cert),
            };
            may.readable
                && !left.is_empty()
                && left.iter().all(fits)
                && (self.unknown() == 0 || self.may_leave_out(may.cert))
        };
        let beside = self.beside == Beside::Unconfigured && record.matches(Cert::C);
        let of_mx = self.records.iter().any(|(its, _)| *its == record);
        let sound = !(beside || (of_mx && !self.is_configured()));
        let shown = self.unknown() > 0 || answers.iter().any(|answer| answer.has(record));
        let guarded = *state == State::Found || (self.shared && self.is_configured());
        let nothing = left.iter().all(|set| set.is_empty()) && *state != State::Found;
        let seen = match self.is_probed() {
            true => !shown || nothing || self.services_fit(&left, self.has_lines()),
            false => !(guarded && shown),
        };
        let fresh = matches!(state, State::DeletedAgo(ago) if *ago < 300);
        sound && !fresh && seen && self.presented().iter().all(stays) && !self.stays_alone(record)
    }

    /// What was tried a thousand seconds ago, where nobody knows what became of that.
    fn may_come(&self) -> Set {
        let unseen = |record: &Record| !self.shown().iter().any(|set| set.has(*record));
        let tried = self.journal().into_iter().filter(|(_, state)| *state == State::Publishing);
        tried.map(|(record, _)| record).filter(unseen).collect()
    }

    /// May others of its kind come, so that what matches by this record alone would be turned away?
    fn others_may_come(&self, record: Record) -> bool {
        let mut certs = self.presented().into_iter().map(|may| may.cert).filter(|cert| record.matches(*cert));
        let others = || {
            self.may_come()
                .iter()
                .filter(|other| *other != record && other.param() == record.param())
                .collect::<Vec<_>>()
        };
        certs.any(|cert| others().iter().any(|other| !other.matches(cert)))
    }

    /// Would others of its kind be left alone, where a program may not have deleted what it says it did?
    fn stays_alone(&self, record: Record) -> bool {
        let is_kind = |other: &Record| *other != record && other.param() == record.param();
        let mut certs = self.presented().into_iter().map(|may| may.cert).filter(|cert| record.matches(*cert));
        certs.any(|cert| {
            let left = self.shown().into_iter().map(|set| set.iter().filter(is_kind).collect::<Vec<_>>());
            left.into_iter().any(|left| !left.is_empty() && !left.iter().any(|other| other.matches(cert)))
        })
    }

    /// Does a further record turn nobody away that is not turned away yet, where the servers show those `before` it by then? The
    /// records of what is presented come first, in whatever order. (DESIGN: "Publish")
    pub fn may_add(&self, record: Record, before: Set) -> bool {
        let may = self.presented().into_iter().filter(|may| may.readable && may.configured);
        let may: Vec<Cert> = may.map(|may| may.cert).collect();
        // A program may have added nothing of what it was told before.
        let turns_away = |answer: &Set| {
            let after = answer.with(Set::from(record));
            may.iter().any(|cert| self.tolerates(*answer, *cert) && !self.tolerates(after, *cert))
        };
        // What is turned away everywhere as it is, and not served, has no claim to a record that turns others away.
        let has_claim =
            |cert: &Cert| *cert != self.other() || self.answers().iter().any(|answer| self.tolerates(*answer, *cert));
        let is_presented = may.iter().any(|cert| self.publishes(*cert).has(record) && has_claim(cert));
        match is_presented {
            true => !self.comes_alone(record, before),
            false => !self.answers().iter().any(turns_away),
        }
    }

    /// Programs add records one by one: is it the first of its kind, so that another certificate of `mx`, which a reload
    /// would retire, is turned away until its record follows?
    fn comes_alone(&self, record: Record, before: Set) -> bool {
        let both = [self.now(), self.other()];
        let of_mx = both.iter().any(|cert| self.publishes(*cert).has(record)) && !self.publishes(Cert::C).has(record);
        let shown = self.answers().iter().any(|answer| answer.iter().any(|other| other.param() == record.param()));
        let alone = |cert: &Cert| {
            let all = before.with(Set::from(record));
            self.is_readable(*cert)
                && self.answers().iter().all(|answer| self.tolerates(*answer, *cert))
                && !all.iter().any(|other| other.param() == record.param() && other.matches(*cert))
        };
        let waits = self.other_lingers() && self.is_configured() && !matches!(self.phase, Phase::NoReload);
        waits && of_mx && !shown && !self.is_broken() && both.iter().any(alone)
    }

    /// Going from no record to some: does all that services present fit what will be there? (DESIGN: "Publish")
    pub fn may_turn_on(&self) -> bool {
        let raw: Vec<Set> = self.answers();
        let first = match self.journal().is_empty() {
            true => raw.iter().any(|set| set.is_empty()),
            false => raw.iter().all(|set| set.is_empty()),
        };
        !self.is_probed() || !first || self.services_fit(&[self.needed()], true)
    }
}
