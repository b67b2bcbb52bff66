//! What a client overwrites in place may be half of something. It is a candidate when it is complete, was the same twice with a pause
//! between, and, where it could be cut short and look complete, has stayed as it is for longer than anybody writes a file.

use super::files;
use crate::{
    env::Env,
    facts::LineageFacts,
    journal::{Journal, Unfinished, clock::Stamp},
    lineage::layout::Places,
};
use std::{collections::BTreeMap, time::Duration};

/// Between two looks at what is new.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks a second time at all lineages that seem to have something new. `bundle`: as for [`files::lineage`].
pub fn look_again(
    env: &dyn Env,
    places: &Places,
    lineages: &mut BTreeMap<String, LineageFacts>,
    bundle: impl Fn(&str) -> bool,
) {
    let is_new = |facts: &LineageFacts| match &facts.live {
        Ok(live) => facts.in_place && !facts.stored.contains_key(&live.id),
        Err(_) => false,
    };
    let names: Vec<String> = lineages.iter().filter(|(_, facts)| is_new(facts)).map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        return;
    }
    env.sleep(PAUSE);
    for name in names {
        let again = files::lineage(env, places, &name, bundle(&name));
        if let Some(facts) = lineages.get_mut(&name) {
            let same = matches!((&facts.live, &again.live), (Ok(one), Ok(other)) if one.id == other.id);
            *facts = again;
            if !same && facts.live.is_ok() {
                facts.live = Err("it is being written just now".into());
            }
        }
    }
}

/// What stayed as it is for long enough is believed.
pub fn believe(lineages: &mut BTreeMap<String, LineageFacts>, journal: &Journal, now: Stamp) {
    for (name, facts) in lineages {
        let Some(doubted) = &facts.doubted else { continue };
        let doc = journal.lineages.get(name).and_then(|doc| doc.unfinished.as_ref());
        let stays = doc.filter(|doc| doc.generation.as_ref() == Some(&doubted.id));
        if stays.is_some_and(|doc| doc.believed() <= now) {
            facts.live = Ok(doubted.clone());
        }
    }
}

/// What is to be remembered of a set that is not complete, after what was remembered `before`.
pub fn unfinished(before: Option<Unfinished>, seen: &LineageFacts, now: Stamp) -> Option<Unfinished> {
    let generation = seen.doubted.as_ref().map(|doubted| doubted.id.clone());
    if seen.live.is_ok() && generation.is_none() {
        return None;
    }
    let same = before.filter(|before| before.generation == generation);
    Some(same.unwrap_or(Unfinished { since: now, generation }))
}
