//! What was seen becomes memory. Pure: facts in, a changed journal out.

use crate::{
    facts::{Facts, LineageFacts, OwnerView, ServerView},
    journal::{
        Journal, LeftBehind, LineageDoc, OwnerDoc, Past, Presented, RecordState, ServerDoc, Shown, clock::Stamp,
    },
    lineage::GenerationId,
    name::DnsName,
    observe::in_place,
    small::Set,
    tlsa::{Association, Group},
};
use std::collections::{BTreeMap, BTreeSet};

/// TTL that counts before our first look at an owner, where the operator set no `ttl`.
const UNSEEN_TTL: u64 = 86_400;
/// So many answers are kept of those that a server may have shown while it was not seen.
const MOST_MEANWHILE: usize = 16;

/// The query names in the configuration, each with the lineages that have a `tlsa` line for it.
pub type Configured = BTreeMap<DnsName, BTreeSet<String>>;

/// Takes the facts into the journal. `ttl` is the operator's `ttl` (seconds), if set; `floor` the one that applies;
/// `configured` the owners that have sections, and the lineages of those.
pub fn remember(journal: &mut Journal, facts: &Facts, ttl: Option<u64>, floor: u64, configured: &Configured) {
    for query in configured.keys() {
        journal.owners.entry(query.clone()).or_insert_with(|| OwnerDoc::new(query.clone()));
    }
    let mut left_behind = Vec::new();
    for (query, view) in &facts.owners {
        let owner = journal.owners.entry(query.clone()).or_insert_with(|| OwnerDoc::new(query.clone()));
        let unseen = if view.by_provider { floor / 2 } else { ttl.unwrap_or(UNSEEN_TTL) };
        let before = owner.target.clone();
        owner.see(view, facts.now, unseen, floor);
        left_behind.extend(owner.leave_behind(&before, facts.now, floor));
    }
    left_behind.into_iter().for_each(|left| take_in(journal, left));
    let lineages = &journal.lineages;
    let withdrawn = |name: &String| lineages.get(name).is_some_and(|doc| doc.withdrawn);
    let sound: BTreeSet<&String> = configured.values().flatten().collect();
    journal.owners.retain(|query, owner| {
        let lines = configured.get(query);
        owner.left_behind.take_if(|_| lines.is_some());
        let here: BTreeSet<&String> = lines.into_iter().flatten().filter(|name| !withdrawn(name)).collect();
        owner.leave_to_others(&here, |name| !here.contains(name) && (withdrawn(name) || sound.contains(name)));
        owner.forget_lineages(facts.now);
        owner.keep_groups();
        lines.is_some() || !owner.lineages.is_empty()
    });
    let waits = waits(journal, floor);
    for (name, seen) in &facts.lineages {
        let wait = waits.get(name).copied().unwrap_or(floor);
        let fresh = !journal.lineages.contains_key(name);
        let lineage = journal.lineages.entry(name.clone()).or_default();
        lineage.see(seen, facts.now, wait, fresh);
    }
}

/// What a switch of each lineage that was published for needs now, seconds.
fn waits(journal: &Journal, floor: u64) -> BTreeMap<String, u64> {
    let mut waits = BTreeMap::new();
    for owner in journal.owners.values() {
        let wait = owner.wait(floor);
        for name in &owner.lineages {
            waits.entry(name.clone()).and_modify(|most: &mut u64| *most = wait.max(*most)).or_insert(wait);
        }
    }
    waits
}

/// What was left behind becomes an owner of its own, or part of the one that is known there.
fn take_in(journal: &mut Journal, left: OwnerDoc) {
    let owner = journal.owners.entry(left.query.clone()).or_insert_with(|| OwnerDoc::new(left.query.clone()));
    if owner.records.is_empty() && owner.lineages.is_empty() || owner.left_behind.is_some() {
        owner.left_behind = left.left_behind;
        owner.zone = owner.zone.take().or(left.zone);
    }
    owner.lineages.extend(left.lineages);
    for (record, doc) in left.records {
        owner.records.entry(record).or_insert(doc);
    }
}

impl LineageDoc {
    /// Notes what is served and which generations wait. `wait` is what a switch needs now, seconds; in a `fresh` document
    /// (none was there, or it was lost) everything in the store may still be presented.
    fn see(&mut self, seen: &LineageFacts, now: Stamp, wait: u64, fresh: bool) {
        if fresh {
            for (id, generation) in &seen.stored {
                let not_after = generation.chain.not_after();
                self.presented.push(Presented::new(id.clone(), not_after, Some(now), wait));
            }
        }
        if let Some(served) = seen.served() {
            self.presented.retain(|presented| presented.generation != served.id);
            for presented in self.presented.iter_mut().filter(|presented| presented.left.is_none()) {
                (presented.left, presented.wait) = (Some(now), wait);
            }
            let (generation, not_after) = (served.id.clone(), served.chain.not_after());
            self.presented.push(Presented::new(generation, not_after, None, wait));
            self.served = Some(served.id.clone());
        }
        self.unfinished = self.unfinished.take().filter(|_| seen.in_place);
        if seen.in_place {
            self.unfinished = in_place::unfinished(self.unfinished.take(), seen, now);
        }
        self.candidates(seen);
        self.shrink();
    }

    /// The oldest generation still waiting, and the one that `live/` shows. Nothing waits once `live/` is served.
    fn candidates(&mut self, seen: &LineageFacts) {
        let served = self.served.clone();
        let readable = |id: &GenerationId| seen.generation(id).is_some() && Some(id) != served.as_ref();
        self.waiting.retain(readable);
        let Ok(live) = &seen.live else { return };
        self.barred.take_if(|barred| *barred != live.id);
        if self.barred.is_some() {
            self.waiting.retain(|id| *id != live.id);
            return;
        }
        if Some(&live.id) == served.as_ref() || self.withdrawn {
            self.waiting.clear();
            return;
        }
        self.waiting.retain(|id| *id != live.id);
        self.waiting.truncate(1);
        if served.is_some() {
            self.waiting.push(live.id.clone());
        }
    }
}

impl OwnerDoc {
    /// Takes a round of answers into memory. `unseen` is the TTL of what was shown before our first look, `floor` the least
    /// wait, both in seconds.
    fn see(&mut self, view: &OwnerView, now: Stamp, unseen: u64, floor: u64) {
        let Ok(servers) = &view.servers else { return };
        // Where all are silent, nobody said that the name leads elsewhere now.
        let answered = servers.values().any(|seen| seen.answer.is_ok());
        let moved = answered && self.target != view.target && !self.servers.is_empty();
        if answered {
            (self.target, self.zone) = (view.target.clone(), view.zone.clone().or(self.zone.take()));
        }
        self.asked = Some(now);
        let before = self.worst(unseen);
        for (address, seen) in servers {
            let server = self.servers.entry(*address).or_default();
            if seen.listed || !server.has_left(now) {
                server.see(seen, now, &before, moved);
            }
        }
        let shown: BTreeSet<&Shown> = servers.values().filter_map(|seen| seen.answer.as_ref().ok()).collect();
        for server in self.servers.values_mut().filter(|server| !server.has_left(now)) {
            server.may_follow(&before, &shown);
        }
        for server in self.servers.values_mut() {
            server.past.retain(|past| past.forgotten(floor) > now);
        }
        self.servers.retain(|address, server| {
            let gone = !servers.get(address).is_some_and(|seen| seen.listed);
            !(gone && server.leave(now))
        });
        self.confirm_deletes(servers.values());
        self.read_back(servers.values());
        for doc in self.records.values_mut() {
            doc.unsure.take_if(|unsure| unsure.after(floor) <= now);
        }
    }

    /// Its name led to `before` by a CNAME, and no longer does: what we published stays there, and this owner begins anew.
    fn leave_behind(&mut self, before: &DnsName, now: Stamp, floor: u64) -> Option<OwnerDoc> {
        let records = match *before != self.target {
            true => std::mem::take(&mut self.records),
            false => return None,
        };
        // Beside a CNAME there is nothing else: where one was put, the records are gone.
        if *before == self.query || records.is_empty() {
            return None;
        }
        let past = self.servers.values().flat_map(|server| &server.past);
        let wait = past.map(|past| past.forgotten(floor).until(now)).max().unwrap_or(floor);
        let lineages = records.values().flat_map(|doc| doc.lineages.clone()).collect();
        let left_behind = Some(LeftBehind { since: now, wait });
        let zone = self.zone.clone().filter(|zone| before.is_within(zone));
        Some(OwnerDoc { zone, records, lineages, left_behind, ..OwnerDoc::new(before.clone()) })
    }

    /// Everything that an address we never asked may have shown until now.
    fn worst(&self, unseen: u64) -> Vec<Shown> {
        let shown = |server: &ServerDoc| {
            let past = server.past.iter().map(|past| past.shown.clone());
            past.chain(server.now.clone()).collect::<Vec<_>>()
        };
        let known: BTreeSet<Shown> = self.servers.values().flat_map(shown).collect();
        match known.is_empty() {
            true => vec![Shown { records: None, ttl: unseen }],
            false => known.into_iter().collect(),
        }
    }

    /// A record that the provider deleted is forgotten once no address shows it and every one answered, apart from those to which
    /// this host has no route and whose server answers at another.
    fn confirm_deletes<'a>(&mut self, views: impl Iterator<Item = &'a ServerView>) {
        let views: Vec<&ServerView> = views.collect();
        let gone = |record: &Association| {
            let lacks = |view: &ServerView| match &view.answer {
                Ok(Shown { records: Some(records), .. }) => !records.contains(record),
                _ => false,
            };
            let elsewhere = |view: &ServerView| {
                view.no_route && view.answer.is_err() && views.iter().any(|other| other.is_at(view) && lacks(other))
            };
            !views.is_empty() && views.iter().all(|view| lacks(view) || elsewhere(view))
        };
        let left = self.left_behind.is_some();
        self.records.retain(|record, doc| !((left || doc.state == RecordState::Deleted) && gone(record)));
    }

    /// What a provider said is borne out once every address that answers shows it.
    fn read_back<'a>(&mut self, views: impl Iterator<Item = &'a ServerView>) {
        let shown = |view: &'a ServerView| view.answer.as_ref().ok()?.records.as_ref();
        let answers: Vec<&Set<Association>> = views.filter_map(shown).collect();
        for (record, doc) in &mut self.records {
            let everywhere = !answers.is_empty() && answers.iter().all(|records| records.contains(record));
            doc.accepted.take_if(|_| everywhere && doc.state == RecordState::Published);
        }
    }

    /// A record that lineages of sections need here is left to them by those that `left`: that leave DANE, or whose section
    /// has no line for this owner any more. They cannot make it go, and must not wait for that. Lineages without a section
    /// go on needing theirs.
    fn leave_to_others(&mut self, here: &BTreeSet<&String>, left: impl Fn(&String) -> bool) {
        for doc in self.records.values_mut() {
            if doc.lineages.iter().any(|lineage| here.contains(lineage)) {
                doc.lineages.retain(|lineage| !left(lineage));
            }
        }
    }

    /// A group stays ours while we have a record in it, or a cache may hold an answer with one.
    fn keep_groups(&mut self) {
        let left =
            self.servers.values().filter(|server| server.left.is_some()).filter_map(|server| server.now.as_ref());
        let past = self.servers.values().flat_map(|server| &server.past).map(|past| &past.shown);
        let unseen = self.servers.values().flat_map(|server| &server.meanwhile);
        let records = left.chain(past).chain(unseen).filter_map(|shown| shown.records.as_ref()).flatten();
        let held: Set<Group> = records.map(Association::group).collect();
        self.groups.retain(|group| held.contains(group));
        self.groups.extend(self.records.keys().map(Association::group));
    }

    /// A lineage is forgotten here when none of its records is left, on servers or in caches.
    fn forget_lineages(&mut self, now: Stamp) {
        let quiet =
            self.servers.values().all(|server| server.past.is_empty()) && self.asked.is_some_and(|at| at <= now);
        if quiet {
            let needed: BTreeSet<String> = self.records.values().flat_map(|doc| doc.lineages.clone()).collect();
            self.lineages.retain(|lineage| needed.contains(lineage));
        }
    }
}

impl ServerDoc {
    /// Takes one address's answer. An address that answers for the first time, and one whose zone went back to an older serial,
    /// count as having shown all of `before` until now; `Unknown` changes nothing.
    fn see(&mut self, seen: &ServerView, now: Stamp, before: &[Shown], moved: bool) {
        if seen.listed {
            (self.name, self.ns_ttl, self.left) = (seen.name.clone(), seen.ns_ttl, None);
        }
        let Ok(shown) = &seen.answer else { return };
        if self.has_left(now) {
            return;
        }
        let anew = self.now.is_none() || moved || went_back(self.serial, seen.serial);
        // The same copy of the zone as when it was last seen has not followed anything between.
        let as_it_was = seen.serial.is_some() && seen.serial == self.serial && self.now.as_ref() == Some(shown);
        let unseen = std::mem::take(&mut self.meanwhile).into_iter().filter(|unseen| unseen.records != shown.records);
        self.past.extend(unseen.filter(|_| !as_it_was).map(|shown| Past { shown, gone: now }));
        self.serial = seen.serial.or(self.serial);
        if anew {
            let past = before.iter().map(|shown| Past { shown: shown.clone(), gone: now });
            self.past.extend(past);
        }
        match self.now.replace(shown.clone()) {
            Some(before) if before == *shown && !anew => {}
            Some(mut before) if before != *shown => {
                // Between two looks it may have shown a part of the new RRset, with the new TTL: some providers add records one by one.
                before.ttl = before.ttl.max(shown.ttl);
                self.past.push(Past { shown: before, gone: now });
                self.since = Some(now);
            }
            _ => self.since = Some(now),
        }
        self.keep_latest();
    }

    /// What others show, it may show as soon as nobody looks. An address that was never seen may also have shown all
    /// of `before`.
    fn may_follow(&mut self, before: &[Shown], shown: &BTreeSet<&Shown>) {
        let records = self.now.as_ref().map(|now| &now.records);
        let is_new = records.is_none() && self.meanwhile.is_empty();
        let others = shown.iter().copied().filter(|shown| Some(&shown.records) != records);
        let known = before.iter().filter(|_| is_new);
        self.meanwhile.extend(others.chain(known).cloned());
        // One that nobody hears of for years may have shown anything.
        if self.meanwhile.len() > MOST_MEANWHILE {
            let ttl = self.meanwhile.iter().map(|shown| shown.ttl).max().unwrap_or(UNSEEN_TTL);
            self.meanwhile = BTreeSet::from([Shown { records: None, ttl }]);
        }
    }

    /// Of equal past answers only the latest matters.
    fn keep_latest(&mut self) {
        let mut kept: Vec<Past> = Vec::new();
        for past in self.past.drain(..).rev() {
            match kept.iter_mut().find(|known| known.shown == past.shown) {
                Some(known) => known.gone = known.gone.max(past.gone),
                None => kept.push(past),
            }
        }
        kept.reverse();
        kept.shrink_to_fit();
        self.past = kept;
    }

    /// The address is no longer among the zone's servers. Says whether it can be forgotten: resolvers may go on asking it for
    /// twice the TTL of the NS RRset, and hold its last answer after that.
    fn leave(&mut self, now: Stamp) -> bool {
        self.left.get_or_insert(now);
        if !self.has_left(now) {
            return false;
        }
        // One that was never seen may be one that nobody can see.
        let unseen = std::mem::take(&mut self.meanwhile);
        let shown = self.now.take().into_iter().flat_map(|now| unseen.iter().cloned().chain([now]));
        self.past.extend(shown.map(|shown| Past { shown, gone: now }));
        self.past.is_empty()
    }
}

/// Is the second serial lower than the first (RFC 1982)? The zone was then restored from an older copy.
fn went_back(before: Option<u32>, after: Option<u32>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => before != after && before.wrapping_sub(after) < 1 << 31,
        _ => false,
    }
}
