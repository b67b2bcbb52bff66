//! The rounds of a run: observe, plan, act, until the plan holds only waits.

use super::{CONFIGURATION, FAILED, Mode, Report, Run, look::Known, stay::Stay};
use crate::{
    act::{Actor, Came},
    journal::{OwnerDoc, clock::Stamp, store::Store},
    plan::{
        Action, Cause, Goal, Input, Plan, Reason, Trouble, Wait,
        check::check,
        model::Model,
        plan,
        standing::{Standing, standings},
    },
    report::{
        prometheus::Ran,
        status::{Planned, by_hand},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// More rounds of acting than any run needs; a plan that never ends is an error of ours.
const MOST_ROUNDS: usize = 60;
/// What waits for servers is worth another run after so long, seconds.
const TRY_AGAIN: u64 = 60;

/// What a run did, and what is left.
#[derive(Debug, Default)]
pub struct Summary {
    /// What was done.
    pub done: Vec<Action>,
    /// What may not happen yet.
    pub waits: Vec<Wait>,
    /// What passes by itself.
    pub later: Vec<String>,
    /// What somebody has to do by hand.
    pub by_hand: Vec<String>,
    /// What is wrong.
    pub troubles: Vec<Trouble>,
    /// The moment of the last look.
    pub now: Option<Stamp>,
    /// Where lineages stood at the end, for `notify`.
    pub standings: Option<BTreeMap<String, Standing>>,
}

/// What `run.json` and `--json` tell.
#[derive(Serialize)]
struct Told<'a> {
    version: u32,
    exit: u8,
    /// Unix seconds.
    ended: i64,
    /// Seconds until it is worth running again.
    next_in: u64,
    done: &'a [Action],
    waits: Vec<ToldWait<'a>>,
    later: &'a [String],
    by_hand: &'a [String],
    troubles: &'a [Trouble],
}

#[derive(Serialize)]
struct ToldWait<'a> {
    #[serde(flatten)]
    wait: &'a Wait,
    texts: Vec<String>,
}

impl Run<'_> {
    /// Looks, plans and acts until only waits are left. A run that has published looks for its records for a while.
    pub(super) fn rounds(&self, store: &mut Store) -> Summary {
        let mut summary = Summary::default();
        self.mirror(&mut summary);
        if let Err(error) = self.until_waiting(store, &mut summary) {
            let text = format!("the journal cannot be written, so nothing more was done: {error}");
            summary.troubles.push(Trouble { lineage: None, text });
        }
        summary
    }

    fn until_waiting(&self, store: &mut Store, summary: &mut Summary) -> io::Result<()> {
        let mut known = Known::default();
        let mut tried: BTreeSet<Action> = BTreeSet::new();
        let mut stay: Option<Stay> = None;
        let mut rounds = 0;
        while rounds < MOST_ROUNDS {
            let mut facts = self.look(store.edit(), &mut known);
            let now = facts.now;
            let input =
                Input { config: self.config, sections: &self.sections, facts: &facts, journal: store.journal() };
            let mut plan = check(input, known.planned.take().unwrap_or_else(|| plan(input)));
            plan.retain(|action| self.is_for(action) && !tried.contains(action));
            let Plan { mut actions, waits, troubles } = plan;
            // A reload serves all switches and deploys before it; one that failed in this run keeps nobody else from his reload.
            if actions.iter().any(|action| matches!(action, Action::Switch { .. } | Action::Deploy { .. })) {
                actions.retain(|action| !matches!(action, Action::Reload { .. }));
            }
            (summary.now, summary.waits) = (Some(now), waits);
            summary.by_hand = self.by_hand(input);
            if actions.is_empty() {
                if !self.config.notify.is_empty() {
                    summary.standings = Some(standings(&Model::new(input), &summary.waits));
                }
                store.commit(self.env)?;
                self.keep_verified(&known);
                let unseen = store.journal().owners.values().any(OwnerDoc::has_unseen);
                let stay = *stay.get_or_insert_with(|| Stay::new(now, self.settle()));
                let looks = unseen || self.settles(&summary.waits);
                if let Some(pause) = stay.until_next_look(looks, self.mode == Mode::Plain, &summary.waits, now) {
                    self.env.sleep(pause);
                    continue;
                }
                summary.troubles.extend(troubles);
                return Ok(());
            }
            rounds += 1;
            if actions.iter().any(|action| matches!(action, Action::Switch { cause: Cause::Broken, .. })) {
                // The next look finds it mended, and would say nothing.
                summary.troubles.extend(troubles);
            }
            let moves = |action: &Action| {
                matches!(action, Action::Switch { .. } | Action::Deploy { .. } | Action::Reload { .. })
            };
            if actions.iter().any(moves) {
                known.endpoints.clear();
            }
            // What servers showed has become the plan.
            (facts.owners, facts.endpoints) = (BTreeMap::new(), BTreeMap::new());
            let came = self.actor().carry_out(&actions, &facts, store)?;
            known.keep_files(facts.lineages, &changed_files(&actions));
            for (action, came) in actions.into_iter().zip(came) {
                if matches!(action, Action::Add(_) | Action::Delete(_)) && came == Came::Done {
                    let published = Stamp(store.journal().clock.total);
                    stay.get_or_insert_with(|| Stay::new(published, self.settle())).published = Some(published);
                }
                summary.note(action, came, &mut tried);
            }
        }
        summary
            .troubles
            .push(Trouble { lineage: None, text: "the run did not come to an end: please report this".into() });
        Ok(())
    }

    /// Carries out steps.
    pub(super) fn actor(&self) -> Actor<'_> {
        let (env, config, sections, keeper) = (self.env, self.config, &self.sections, self.keeper());
        Actor { env, config, sections, keeper, renewed_domains: self.hints.renewed_domains.clone() }
    }

    /// What waits for somebody's hand, whether it was asked for now or before.
    fn by_hand(&self, input: Input<'_>) -> Vec<String> {
        let concerned = self.sections.iter().filter(|(_, section)| !section.api.knows_when_done());
        let names: Vec<&String> = concerned.map(|(name, _)| name).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let (model, none) = (Model::new(input), Planned::default());
        let of = |name: &&String| -> Vec<String> {
            let told = by_hand(&model, &none, name).into_iter();
            told.map(|todo| format!("{name}: {}: {}", todo.says, todo.line)).collect()
        };
        names.iter().flat_map(of).collect()
    }

    /// Is this step one for the command that was called?
    pub(super) fn is_for(&self, action: &Action) -> bool {
        let published = matches!(action, Action::Store { .. } | Action::Adopt { .. } | Action::Add(_));
        match &self.mode {
            Mode::Plain => true,
            Mode::Post => published || matches!(action, Action::Arrange { .. }),
            Mode::Deploy(only) => {
                let releases = matches!(action, Action::Arrange { goal: Goal::Live, serving: Some(_), .. });
                let its = only.is_none() || only.as_deref() == action.lineage();
                its && (published || matches!(action, Action::Arrange { .. })) && !releases
            }
            Mode::Reset => matches!(action, Action::Store { .. } | Action::Arrange { .. }),
        }
    }

    /// How long a run that has published looks for its records, seconds. `deploy` never looks: the ACME client waits for it.
    fn settle(&self) -> u64 {
        match self.mode {
            Mode::Deploy(_) => 0,
            _ => self.sections.values().map(|section| section.settle).max().unwrap_or(0),
        }
    }

    fn settles(&self, waits: &[Wait]) -> bool {
        waits.iter().flat_map(|wait| &wait.reasons).any(Reason::settles)
    }

    /// Lays out the lineages of `live/` that have no section: they just follow it.
    pub(super) fn mirror(&self, summary: &mut Summary) {
        let keeper = self.keeper();
        for name in self.live.iter().filter(|name| !self.sections.contains_key(*name)) {
            let dane = self.places.dane(name);
            let known = crate::journal::store::lineage_file(&self.places.state, name, "held");
            let there = self.env.stat(&dane, false).is_ok() || self.env.stat(&known, false).is_ok();
            if !there && let Err(why) = keeper.follow_live(name, false) {
                summary.troubles.push(Trouble::of(name, why));
            }
        }
    }

    /// Writes down when to come back, tells what happened, and makes the report.
    pub(super) fn conclude(&self, mut summary: Summary, store: &mut Store) -> Report {
        let now = summary.now.unwrap_or(Stamp(store.journal().clock.total));
        summary.troubles.extend(self.notify(&summary, now, &store.journal().clock.epoch));
        let exit = match (self.flawed, summary.troubles.is_empty()) {
            (true, _) => CONFIGURATION,
            (false, true) => 0,
            (false, false) => FAILED,
        };
        self.tell(&summary, now);
        let next_in = self.next_in(&summary, now);
        let told = Told {
            version: 1,
            exit,
            ended: self.env.wall(),
            next_in,
            done: &summary.done,
            waits: summary.waits.iter().map(|wait| ToldWait { wait, texts: texts(wait, now) }).collect(),
            later: &summary.later,
            by_hand: &summary.by_hand,
            troubles: &summary.troubles,
        };
        let mut text = serde_json::to_vec_pretty(&told).unwrap_or_default();
        text.push(b'\n');
        let file = [(self.places.state.join("run.json"), text)];
        let written = store.tick(self.env).and_then(|()| self.env.write_all(&file, 0o600));
        let [(_, text)] = file;
        self.keep_sets();
        if let Some(file) = &self.config.prometheus_file {
            let (ended, waits, troubles) = (told.ended, &summary.waits, summary.troubles.len());
            Ran { exit, ended, next_in, now, waits, troubles, journal: store.journal() }.write(self.env, file);
        }
        let pending = summary.is_pending().then_some(next_in);
        let text = if self.arguments.json { String::from_utf8(text).unwrap_or_default() } else { String::new() };
        let mut report = Report { exit, text, pending, awaited: summary.awaited(now), timed: summary.is_timed() };
        if let Err(error) = written {
            tracing::error!("the journal cannot be written: {error}");
            report.exit = FAILED;
        }
        report
    }

    fn tell(&self, summary: &Summary, now: Stamp) {
        for trouble in &summary.troubles {
            tracing::error!(lineage = trouble.lineage, "{trouble}");
        }
        // Once, as long as it stays the same: it may take somebody days, and `status` tells it all the time.
        let before = || self.recall().ok()?.last_run.map(|last| last.by_hand);
        let told = if summary.by_hand.is_empty() { None } else { before() }.unwrap_or_default();
        for text in &summary.by_hand {
            match told.contains(text) {
                true => tracing::debug!("by hand: {text}"),
                false => tracing::warn!("by hand: {text}"),
            }
        }
        for text in &summary.later {
            tracing::warn!("{text}");
        }
        for wait in &summary.waits {
            let mut texts = texts(wait, now);
            let more = texts.len().saturating_sub(3);
            texts.truncate(3);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let owner = wait.step.owner().map(tracing::field::display);
            let (lineage, phase) = (&wait.lineage, wait.step.phase());
            tracing::info!(lineage, phase, owner, "waiting to {}: {}{more}", wait.step, texts.join("; "));
        }
    }

    /// Seconds until it is worth running again.
    fn next_in(&self, summary: &Summary, now: Stamp) -> u64 {
        let reasons = summary.waits.iter().flat_map(|wait| &wait.reasons).filter(|reason| reason.passes());
        let wait = |reason: &Reason| reason.until().map_or(TRY_AGAIN, |until| until.until(now));
        let failed = (!summary.troubles.is_empty() || !summary.later.is_empty() || !summary.by_hand.is_empty())
            .then_some(TRY_AGAIN);
        let recheck = self.sections.values().map(|section| section.recheck).filter(|recheck| *recheck > 0).min();
        reasons.map(wait).chain(failed).chain(recheck).min().unwrap_or(86_400)
    }
}

/// The lineages whose files are no longer known after these steps: those that a step about files was for, whatever came of it.
fn changed_files(actions: &[Action]) -> BTreeSet<&str> {
    let records = |action: &&Action| matches!(action, Action::Adopt { .. } | Action::Add(_) | Action::Delete(_));
    actions.iter().filter(|action| !records(action)).filter_map(Action::lineage).collect()
}

fn texts(wait: &Wait, now: Stamp) -> Vec<String> {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for reason in &wait.reasons {
        let text = reason.text(now);
        if *counted.entry(text.clone()).and_modify(|count| *count += 1).or_insert(1) == 1 {
            order.push(text);
        }
    }
    order
}

impl Summary {
    /// Is something left that time will settle?
    fn is_pending(&self) -> bool {
        !self.later.is_empty()
            || !self.by_hand.is_empty()
            || self.waits.iter().flat_map(|wait| &wait.reasons).any(Reason::passes)
    }

    /// Does something become due at a known time?
    fn is_timed(&self) -> bool {
        let passing = self.waits.iter().flat_map(|wait| &wait.reasons).filter(|reason| reason.passes());
        passing.into_iter().any(|reason| reason.until().is_some())
    }

    /// What is waited for, in words: what comes first by the clock, else what somebody else has to do.
    fn awaited(&self, now: Stamp) -> String {
        let passing = |wait: &&Wait| wait.reasons.iter().any(Reason::passes);
        let until = |wait: &&Wait| wait.reasons.iter().filter_map(Reason::until).min();
        let first = self.waits.iter().filter(passing).min_by_key(|wait| (until(wait).is_none(), until(wait)));
        let told = first.map(|wait| {
            let text = wait.reasons.iter().find(|reason| reason.passes()).map(|reason| reason.text(now));
            format!("{}: waiting to {}: {}", wait.lineage, wait.step, text.unwrap_or_default())
        });
        told.or_else(|| self.later.iter().chain(&self.by_hand).next().cloned()).unwrap_or_default()
    }

    /// Takes down what came of an action. One that failed, and an edit of any outcome, is not tried again in this run.
    fn note(&mut self, action: Action, came: Came, tried: &mut BTreeSet<Action>) {
        let edit = matches!(action, Action::Add(_) | Action::Delete(_));
        let again = match came {
            Came::Stale => true,
            Came::Done => {
                self.done.push(action.clone());
                !edit
            }
            Came::ByHand => false,
            Came::Later(text) => {
                self.later.push(text);
                false
            }
            Came::Failed(trouble) => {
                self.troubles.push(trouble);
                false
            }
        };
        if !again {
            tried.insert(action);
        }
    }
}

/// A plan in words, for `--dry-run`.
pub(super) fn in_words(plan: &Plan, now: Stamp) -> String {
    let mut text = String::new();
    for action in &plan.actions {
        text += &format!("would {action}\n");
    }
    for wait in &plan.waits {
        text += &format!("{}: waiting to {}: {}\n", wait.lineage, wait.step, texts(wait, now).join("; "));
    }
    for trouble in &plan.troubles {
        text += &format!("error: {trouble}\n");
    }
    if text.is_empty() {
        text.push_str("nothing to do\n");
    }
    text
}
