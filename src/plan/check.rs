//! Examines a plan before it is carried out. It knows nothing of how plans are made: it puts together, from facts and journal,
//! every answer that a client may hold, and every chain that may be presented, and asks whether they still match.

use super::{
    Action, Cause, Edit, Goal, Input, Plan, Trouble,
    model::{Lineage, Model, Owner, floor},
    presence::Presence,
};
use crate::{
    config::Api,
    facts::LineageFacts,
    journal::{Presented, RecordDoc, RecordState, clock::Stamp},
    lineage::GenerationId,
    name::DnsName,
    small::Set,
    tlsa::{Association, Chain, Param},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// What the plan adds, by the name that holds the RRset.
type Adding = BTreeMap<DnsName, Vec<Association>>;

/// The plan without the actions that would break a rule; each of those becomes trouble to tell.
pub fn check(input: Input<'_>, mut plan: Plan) -> Plan {
    if plan.actions.is_empty() {
        return plan;
    }
    let model = Model::new(input);
    let mut adding: Adding = BTreeMap::new();
    for edit in plan.actions.iter().filter_map(addition) {
        adding.entry(target(&model, edit)).or_default().push(edit.record.clone());
    }
    let mut added: BTreeMap<DnsName, Set<Association>> = BTreeMap::new();
    let mut deleted = at_once(&model, &plan.actions);
    let (mut sound, mut unsound) = (Vec::new(), Vec::new());
    let mut switched: BTreeMap<String, GenerationId> = BTreeMap::new();
    for action in plan.actions {
        let verdict = match &action {
            Action::Delete(edit) if serves_next(&model, edit, &switched) => {
                Err("a generation that the plan switches to needs it".to_string())
            }
            Action::Forget { lineage, generation, .. } if switched.get(lineage) == Some(generation) => {
                Err("the plan switches to it".to_string())
            }
            Action::Switch { lineage, to, cause, .. } => switch(&model, lineage, to, *cause),
            Action::Arrange { lineage, goal, serving } => arrange(input, lineage, goal, serving.as_ref()),
            Action::Add(edit) => turned_on(&model, edit, &adding)
                .and_then(|()| add(&model, edit, added.entry(target(&model, edit)).or_default())),
            Action::Delete(edit) => delete(&model, edit, deleted.entry(target(&model, edit)).or_default()),
            Action::Forget { lineage, generation, .. } => forget(&model, lineage, generation),
            Action::Leave { lineage } => leave(&model, lineage),
            Action::Deploy { lineage, generation, .. } => deploy(&model, lineage, generation, switched.get(lineage)),
            Action::Reload { lineages, .. } => reload(&model, lineages),
            Action::Store { .. } | Action::Adopt { .. } => Ok(()),
        };
        if let (Ok(()), Some((lineage, to))) = (&verdict, leads_to(&action)) {
            switched.insert(lineage.clone(), to.clone());
        }
        match verdict {
            Ok(()) => sound.push(action),
            Err(why) => unsound.push(Trouble {
                lineage: action.lineage().map(str::to_owned),
                text: format!("the plan was not sound and this step is left out, please report it: {action:?}: {why}"),
            }),
        }
    }
    plan.actions = sound;
    plan.troubles.extend(unsound);
    plan
}

/// What one change deletes of an RRset, where the provider of all of it can do so.
fn at_once(model: &Model<'_>, actions: &[Action]) -> BTreeMap<DnsName, Set<Association>> {
    let mut found: BTreeMap<DnsName, (Set<Association>, Vec<Option<&Api>>)> = BTreeMap::new();
    for action in actions {
        let Action::Delete(edit) = action else { continue };
        let section = model.lineages.get(edit.lineage.as_str()).and_then(|lineage| lineage.section);
        let (records, apis) = found.entry(target(model, edit)).or_default();
        records.insert(edit.record.clone());
        apis.push(section.map(|section| &section.api));
    }
    let one = |apis: &[Option<&Api>]| apis.iter().all(|api| api.is_some_and(Api::changes_at_once) && *api == apis[0]);
    found.into_iter().filter(|(_, (_, apis))| one(apis)).map(|(target, (records, _))| (target, records)).collect()
}

/// The name that holds the RRset.
fn target(model: &Model<'_>, edit: &Edit) -> DnsName {
    model.owners.get(&edit.query).map_or(&edit.query, |owner| &owner.doc.target).clone()
}

/// Another generation than before, if services read one after this action.
fn leads_to(action: &Action) -> Option<(&String, &GenerationId)> {
    match action {
        Action::Switch { lineage, to, .. } => Some((lineage, to)),
        Action::Arrange { lineage, goal: Goal::Generation(to), serving: Some(serving) } if to != serving => {
            Some((lineage, to))
        }
        _ => None,
    }
}

/// Does a generation that the same plan switches to match by this record?
fn serves_next(model: &Model<'_>, edit: &Edit, switched: &BTreeMap<String, GenerationId>) -> bool {
    let Some(owner) = model.owners.get(&edit.query) else { return false };
    let next = switched.iter().filter_map(|(name, id)| model.lineages.get(name.as_str())?.chain(id));
    next.into_iter().any(|chain| chain.matches(&edit.record, &owner.base, model.wall()))
}

/// Every answer that a cache may hold of an owner: what each address shows, and what it showed until not long ago. `None`
/// stands for an answer that nobody knows. Whoever is silent was [`heard`] before, or may be left out.
fn cacheable<'a>(owner: &Owner<'a>, now: Stamp, floor: u64) -> Vec<Option<&'a Set<Association>>> {
    let silent: BTreeSet<SocketAddr> = owner.silent().into_iter().map(|(address, ..)| address).collect();
    let shown = owner.doc.servers.iter().flat_map(|(address, server)| {
        let past = server.past.iter().filter(|past| past.forgotten(floor) > now).map(|past| &past.shown);
        server.now.iter().filter(|_| !silent.contains(address)).chain(past)
    });
    shown.map(|shown| shown.records.as_ref()).collect()
}

/// Some server answers, and each that does not may be left out: all others have shown the same for `patience`, and this host
/// cannot reach the one that answers at another address, or the lineage's certificate is old.
fn heard(model: &Model<'_>, of: &Lineage<'_>, owner: &Owner<'_>) -> Result<(), String> {
    let view = owner.view.ok_or("an owner was not looked at")?;
    view.servers.as_ref().map_err(|why| format!("servers unknown: {why}"))?;
    let answers = owner.answers();
    if answers.is_empty() {
        return Err(format!("no server of {} answers", owner.query));
    }
    let long = |since: Stamp| of.section.is_some_and(|section| since.elapsed(model.now()) >= section.patience);
    let mut since = answers.iter().map(|(address, ..)| owner.doc.servers.get(address)?.since);
    let patient = since.all(|since| since.is_some_and(long));
    let old = of.facts.served().is_some_and(|served| {
        let (start, end) = (served.chain.not_before(), served.chain.not_after());
        end - model.wall() < (end - start) - 2 * (end - model.wall())
    });
    for (address, server, why) in owner.silent() {
        let elsewhere = server.no_route && answers.iter().any(|(_, other, _)| other.is_at(server));
        if !patient || !(old || elsewhere) {
            return Err(format!("{address} does not answer: {why}"));
        }
    }
    Ok(())
}

fn switch(model: &Model<'_>, lineage: &str, to: &GenerationId, cause: Cause) -> Result<(), String> {
    if cause == Cause::Forced {
        return Ok(());
    }
    let of = model.lineages.get(lineage).ok_or("no such lineage")?;
    of.section.filter(|_| !of.doc.withdrawn).ok_or("it has no sound section, or leaves DANE")?;
    let generation = of.facts.stored.get(to).ok_or("the generation is not in the store")?;
    finds_all(of)?;
    for owner in model.owners_of(lineage) {
        heard(model, of, owner)?;
        for answer in cacheable(owner, model.now(), model.floor(of)) {
            let records = answer.ok_or("an earlier answer is not known")?;
            // A record on its way out cannot be counted on, and while it is shown some clients count on it.
            judge(records, &generation.chain, model, owner, false)?;
            let records: Set<Association> = records.difference(&owner.going).cloned().collect();
            let needs_some = owner.configured.contains(lineage);
            judge(&records, &generation.chain, model, owner, needs_some)?;
        }
        if cause != Cause::Broken {
            unless_it_comes(model, owner, &generation.chain)?;
        }
    }
    Ok(())
}

/// Our records of which nobody knows whether they come, and that are not to be seen or may come once more.
fn may_come<'a>(model: &Model<'_>, owner: &Owner<'a>) -> impl Iterator<Item = &'a Association> {
    let long = floor(model.input.config.ttl, None);
    let recent = move |stamp: Stamp, now: Stamp| stamp.elapsed(now) < long;
    let (now, shown) = (model.now(), owner.answers());
    let is_pending = move |(record, doc): &(&'a Association, &'a RecordDoc)| {
        let unseen = shown.iter().all(|(_, _, records)| !records.contains(record));
        let publishing = doc.state == RecordState::Publishing && unseen && recent(doc.since, now);
        !doc.state.going() && (publishing || doc.unsure.is_some_and(|unsure| recent(unsure, now)))
    };
    owner.doc.records.iter().filter(is_pending).map(|(record, _)| record)
}

/// No record that comes yet turns clients away that are presented this chain and would be let in.
fn unless_it_comes(model: &Model<'_>, owner: &Owner<'_>, chain: &Chain) -> Result<(), String> {
    for record in may_come(model, owner) {
        for (_, _, mut records) in owner.answers() {
            let before = judge(&records, chain, model, owner, false);
            records.to_mut().insert(record.clone());
            if before.is_ok() && judge(&records, chain, model, owner, false).is_err() {
                return Err(format!("{record} may come yet"));
            }
        }
    }
    Ok(())
}

/// What is deployed is what the dane directory shows when the command is run.
fn deploy(
    model: &Model<'_>,
    lineage: &str,
    generation: &GenerationId,
    switched: Option<&GenerationId>,
) -> Result<(), String> {
    let of = model.lineages.get(lineage).ok_or("no such lineage")?;
    let shown = switched.or(of.facts.served().map(|served| &served.id));
    if shown != Some(generation) {
        return Err(format!("the dane directory shows {shown:?}"));
    }
    match (is_unknown(of), of.chain(generation)) {
        (false, _) => Ok(()),
        (true, Some(chain)) => tolerated(model, of, chain),
        (true, None) => Err("the generation cannot be read".into()),
    }
}

/// Does nobody know whether services were ever given what is served?
fn is_unknown(of: &Lineage<'_>) -> bool {
    of.doc.uninstalled.is_some_and(|since| !of.doc.deploys.iter().any(|done| done.began >= since))
}

/// No answer that a cache may hold turns clients away that are presented this chain.
fn tolerated(model: &Model<'_>, of: &Lineage<'_>, chain: &Chain) -> Result<(), String> {
    for owner in model.owners_of(of.name) {
        heard(model, of, owner)?;
        for answer in cacheable(owner, model.now(), model.floor(of)) {
            judge(answer.ok_or("an earlier answer is not known")?, chain, model, owner, false)?;
        }
    }
    Ok(())
}

/// Services elsewhere are not reloaded before they have the files.
fn reload(model: &Model<'_>, lineages: &BTreeSet<String>) -> Result<(), String> {
    for lineage in lineages.iter().filter_map(|name| model.lineages.get(name.as_str())) {
        let since = lineage.doc.presented.iter().filter_map(|presented| presented.left).max();
        let done = |command: &Vec<String>| {
            lineage.doc.deploys.iter().any(|done| done.command == *command && Some(done.began) >= since)
        };
        let commands = lineage.section.map_or(&[][..], |section| &section.deploy);
        if let Some(command) = commands.iter().find(|command| since.is_some() && !done(command)) {
            return Err(format!("`{}` is owed to {} first", command.join(" "), lineage.name));
        }
    }
    Ok(())
}

/// RFC 7671 matching, written down a second time: every group of ours, every digest type in it.
fn judge(
    records: &Set<Association>,
    chain: &Chain,
    model: &Model<'_>,
    owner: &Owner<'_>,
    needs_some: bool,
) -> Result<(), String> {
    for group in owner.ours() {
        let types: BTreeSet<u8> =
            records.iter().filter(|r| r.group() == group && r.matching <= 2).map(|r| r.matching).collect();
        if types.is_empty() && needs_some && owner.required().contains(&group) {
            return Err(format!("group {group:?} is empty in an answer for {}", owner.query));
        }
        for matching in types {
            let fits = |record: &&Association| chain.matches(record, &owner.base, model.wall());
            if !records.iter().filter(|r| r.group() == group && r.matching == matching).any(|r| fits(&r)) {
                return Err(format!("nothing of {group:?} {matching} matches in an answer for {}", owner.query));
            }
        }
    }
    let shown = |param: &Param| records.iter().any(|r| r.kind() == (param.group(), param.matching()));
    match owner.params.iter().find(|param| needs_some && !shown(param)) {
        Some(param) => Err(format!("there is no {param} record in an answer for {}", owner.query)),
        None => Ok(()),
    }
}

/// The certificate that services read stays the same.
fn arrange(input: Input<'_>, lineage: &str, goal: &Goal, serving: Option<&GenerationId>) -> Result<(), String> {
    let facts: &LineageFacts = input.facts.lineages.get(lineage).ok_or("no such lineage")?;
    let after = match goal {
        Goal::Live => facts.live.as_ref().ok().map(|live| &live.id),
        Goal::Generation(id) => Some(id),
    };
    let damaged = matches!(facts.served, crate::facts::Served::Damaged { .. });
    match serving {
        Some(serving) if Some(serving) != after && !damaged => Err("services would read another certificate".into()),
        _ => Ok(()),
    }
}

/// The hosts of each line that does not name them are known.
fn finds_all(of: &Lineage<'_>) -> Result<(), String> {
    let known = |hosts| of.doc.hosts.get(hosts).is_some_and(|hosts| !hosts.is_empty());
    match of.section.is_some_and(|section| !section.wanted.iter().all(|wanted| known(&wanted.hosts))) {
        true => Err("it has owners that are not known".into()),
        false => Ok(()),
    }
}

/// Where services are led to another certificate, whatever may be cached at the owners of its section matches that.
fn leave(model: &Model<'_>, lineage: &str) -> Result<(), String> {
    let of = model.lineages.get(lineage).ok_or("no such lineage")?;
    let (Some(served), Ok(live), Some(section)) = (of.facts.served(), &of.facts.live, of.section) else {
        return Ok(());
    };
    if served.id == live.id {
        return Ok(());
    }
    finds_all(of)?;
    let found = section.wanted.iter().flat_map(|wanted| {
        let hosts = of.doc.hosts.get(&wanted.hosts).into_iter().flat_map(|hosts| hosts.keys());
        hosts.filter_map(|host| wanted.line(host.clone()).query_name().ok())
    });
    let found = found.filter(|query| model.owners.contains_key(query));
    let written = section.tlsa.iter().filter_map(|line| line.query_name().ok());
    for query in written.chain(found) {
        let owner = model.owners.get(&query).ok_or("no name server was asked")?;
        heard(model, of, owner)?;
        for answer in cacheable(owner, model.now(), model.floor(of)) {
            let records = answer.ok_or("an earlier answer is not known")?;
            let fits = |record: &Association| live.chain.matches(record, &owner.base, model.wall());
            let lost = records.iter().find(|r| !records.iter().any(|other| other.kind() == r.kind() && fits(other)));
            if let Some(record) = lost {
                return Err(format!("{record} at {query} does not match what live/ shows"));
            }
        }
    }
    Ok(())
}

fn addition(action: &Action) -> Option<&Edit> {
    match action {
        Action::Add(edit) => Some(edit),
        _ => None,
    }
}

/// Where nobody shows a record yet and services can be looked at, all of them were, and what each presents will be matched.
fn turned_on(model: &Model<'_>, edit: &Edit, adding: &Adding) -> Result<(), String> {
    let owner = model.owners.get(&edit.query).ok_or("no such owner")?;
    let mut also = model.sharing(owner).into_iter().filter(|other| !other.configured.is_empty());
    also.try_for_each(|other| turned_on_for(model, other, adding))
}

fn turned_on_for(model: &Model<'_>, owner: &Owner<'_>, adding: &Adding) -> Result<(), String> {
    if owner.answers().iter().any(|(_, _, records)| !records.is_empty()) {
        return Ok(());
    }
    let mut lineages = owner.configured.iter().filter_map(|name| model.lineages.get(name));
    if lineages.any(is_unknown) {
        return Err("what services present is not known".into());
    }
    if owner.endpoint.is_none() {
        return Ok(());
    }
    let view = owner.presents.ok_or("its services were not looked at")?;
    for (address, seen) in view.addresses.as_ref().map_err(Clone::clone)? {
        if let Some(why) = &seen.unknown {
            return Err(format!("what {address} presents is not known: {why}"));
        }
        let here = adding.get(&owner.doc.target).map_or(&[][..], Vec::as_slice);
        let matched = |chain: &Chain| here.iter().any(|record| chain.matches(record, &owner.base, model.wall()));
        if !seen.chains.iter().all(matched) {
            return Err(format!("{address} presents what no record would match"));
        }
    }
    Ok(())
}

/// A record is added only beside those that presented chains need in its group.
fn add(model: &Model<'_>, edit: &Edit, added: &mut Set<Association>) -> Result<(), String> {
    let owner = model.owners.get(&edit.query).ok_or("no such owner")?;
    if owner.answers().is_empty() {
        return Err("no server answers".into());
    }
    added.insert(edit.record.clone());
    // What may be presented and is turned away everywhere as it is has no claim to a record that turns others away.
    let is_presented = |(lineage, its, chain): &(Lineage<'_>, &Presented, Option<&Chain>)| {
        let served = || lineage.presence(its, model.now(), model.wall()) == Presence::Served;
        let kept = |chain: &Chain| {
            owner.answers().iter().any(|(_, _, records)| judge(records, chain, model, owner, false).is_ok())
        };
        chain.is_some_and(|chain| chain.matches(&edit.record, &owner.base, model.wall()) && (served() || kept(chain)))
    };
    let seen = owner.presents.and_then(|view| view.addresses.as_ref().ok()).into_iter().flatten();
    let mut seen = seen.flat_map(|(_, view)| &view.chains);
    let presented = model.presented_at(owner).iter().any(is_presented)
        || seen.any(|chain| chain.matches(&edit.record, &owner.base, model.wall()));
    for (lineage, _, chain) in model.presented_at(owner) {
        // What a program was told to add may not be there when it is told the next.
        let at_once = lineage.changes_at_once();
        let counts = at_once || presented;
        let Some(chain) = chain.filter(|_| owner.configured.contains(lineage.name)) else { continue };
        if chain.matches(&edit.record, &owner.base, model.wall()) {
            continue;
        }
        for (_, _, records) in owner.answers() {
            // Who fails already does not fail by this.
            if judge(&records, chain, model, owner, false).is_err() {
                continue;
            }
            let same = |record: &&Association| record.kind() == edit.record.kind();
            let mut kind = records.iter().chain(added.iter().filter(|_| counts)).filter(same);
            let before = kind.any(|r| chain.matches(r, &owner.base, model.wall()));
            let presented = model.presented_at(owner);
            let mut others = presented.iter().filter(|other| is_presented(other));
            let others = match comes_alone(model, owner, &lineage, chain, edit) {
                true => others.any(|(other, ..)| other.name != lineage.name),
                false => others.next().is_some(),
            };
            if !before && !others {
                return Err(format!("{} would see no record of its group that matches what is presented", edit.query));
            }
        }
    }
    Ok(())
}

/// Is it the first record of its kind, to be seen for a while before that of another chain of the lineage, which matches as it is? It
/// can wait for a reload, unless what is served matches nothing.
fn comes_alone(model: &Model<'_>, owner: &Owner<'_>, lineage: &Lineage<'_>, other: &Chain, edit: &Edit) -> bool {
    let one_by_one = |section: &crate::config::Section| !section.api.changes_at_once() && section.moves_services();
    let answers = owner.answers();
    let shown = |record: &Association| record.kind() == edit.record.kind();
    let fails =
        |chain: &Chain| answers.iter().any(|(_, _, records)| judge(records, chain, model, owner, false).is_err());
    lineage.section.is_some_and(one_by_one)
        && !answers.iter().any(|(_, _, records)| records.iter().any(shown))
        && !fails(other)
        && !lineage.facts.served().is_some_and(|served| fails(&served.chain))
}

/// What remains matches, at every address, every chain that may be presented.
fn delete(model: &Model<'_>, edit: &Edit, deleted: &mut Set<Association>) -> Result<(), String> {
    let owner = model.owners.get(&edit.query).ok_or("no such owner")?;
    if !owner.doc.records.contains_key(&edit.record) {
        return Err("the record is not ours".into());
    }
    if owner.doc.left_behind.is_some_and(|left| left.since.elapsed(model.now()) < left.wait) {
        return Err("caches may follow the CNAME that led there".into());
    }
    deleted.insert(edit.record.clone());
    let at_once = model.lineages.get(edit.lineage.as_str()).is_some_and(Lineage::changes_at_once);
    let leads = |other: &&Owner<'_>| other.doc.left_behind.is_none();
    for other in model.sharing(owner).into_iter().filter(leads) {
        for (lineage, presented, chain) in model.presented_at(other) {
            let chain = chain.ok_or(format!("generation {} cannot be read", presented.generation))?;
            heard(model, &lineage, owner)?;
            for (_, _, records) in owner.answers() {
                let left: Set<Association> = records.difference(deleted).cloned().collect();
                judge(&left, chain, model, other, other.configured.contains(lineage.name))?;
            }
            // What was deleted before is gone when it is seen to be gone; the rest of this plan comes with it, or one by one.
            let only = Set::from([edit.record.clone()]);
            for (_, _, records) in other.shown() {
                let left = records.difference(if at_once { &*deleted } else { &only });
                let fits = |record: &Association| chain.matches(record, &other.base, model.wall());
                let kind: Vec<_> = left.filter(|record| record.kind() == edit.record.kind()).collect();
                if fits(&edit.record) && !kind.is_empty() && !kind.iter().any(|record| fits(record)) {
                    return Err("records on their way out are still shown, and would be alone".into());
                }
                let mut coming = may_come(model, other).filter(|record| record.kind() == edit.record.kind());
                if fits(&edit.record) && coming.any(|record| *record != edit.record && !fits(record)) {
                    return Err("another record may come yet, and would be alone".into());
                }
            }
        }
        let shown = other.answers().iter().any(|(_, _, records)| records.contains(&edit.record));
        if shown || !other.silent().is_empty() {
            presented_matches(model, other, deleted)?;
        }
    }
    Ok(())
}

/// Where services can be looked at, all of them were, and what each presents matches what remains, if anything does.
fn presented_matches(model: &Model<'_>, owner: &Owner<'_>, deleted: &Set<Association>) -> Result<(), String> {
    let left = owner.answers().into_iter().map(|(_, _, records)| records.difference(deleted).cloned().collect());
    let left: Vec<Set<Association>> = left.collect();
    if owner.endpoint.is_none() || left.iter().all(Set::is_empty) {
        return Ok(());
    }
    let view = owner.presents.ok_or("its services were not looked at")?;
    for (address, seen) in view.addresses.as_ref().map_err(Clone::clone)? {
        if let Some(why) = &seen.unknown {
            return Err(format!("what {address} presents is not known: {why}"));
        }
        for (chain, records) in seen.chains.iter().flat_map(|chain| left.iter().map(move |records| (chain, records))) {
            judge(records, chain, model, owner, !owner.configured.is_empty())?;
        }
    }
    Ok(())
}

/// Nothing is forgotten that is served, live or waiting, or that a process may present.
fn forget(model: &Model<'_>, lineage: &str, generation: &GenerationId) -> Result<(), String> {
    let of = model.lineages.get(lineage).ok_or("no such lineage")?;
    let shown = [of.facts.served(), of.facts.live.as_ref().ok()];
    let shown = shown.into_iter().flatten().any(|known| known.id == *generation);
    let its = of.doc.presented.iter().filter(|presented| presented.generation == *generation);
    let presented = its.clone().any(|its| of.presence(its, model.now(), model.wall()) != Presence::Gone);
    match shown || presented || of.doc.waiting.contains(generation) {
        true => Err("the generation is in use".into()),
        false => Ok(()),
    }
}
