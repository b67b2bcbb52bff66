//! One use of the API: what was learnt in it, and how often it asked us to wait.

use super::{
    Cloudflare, Login,
    answer::{self, Answer, Held, Trouble},
};
use crate::{
    config::Secret,
    env::{Env, HttpRequest, Lost, Method},
    name::DnsName,
    provider::{
        Change, Operation, Outcome,
        http::{self, about},
    },
};
use serde_json::Value;
use std::{cell::Cell, collections::BTreeMap, time::Duration};

/// How long we wait in all because the API asks for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where it does not say how long.
const PAUSE: Duration = Duration::from_secs(5);
/// Before we look whether what was not confirmed has taken effect.
const BREATH: Duration = Duration::from_millis(500);
/// The longest answer: a page of a hundred records, and then some.
const LARGEST: usize = 4 << 20;

/// One use of the API.
pub(super) struct Session<'a> {
    env: &'a dyn Env,
    pub config: &'a Cloudflare,
    /// For one request.
    limit: Duration,
    waited: Cell<Duration>,
    /// Why nothing more is asked.
    stopped: Option<Outcome>,
    /// Zones in which we may do nothing.
    closed: BTreeMap<String, Outcome>,
    /// Names that are no zones here.
    pub no_zones: Vec<DnsName>,
    /// What stands at the owners, kept up to date with what we do.
    views: BTreeMap<DnsName, Vec<Held>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(env: &'a dyn Env, config: &'a Cloudflare, limit: Duration) -> Session<'a> {
        let waited = Cell::default();
        Session {
            env,
            config,
            limit,
            waited,
            stopped: None,
            closed: BTreeMap::new(),
            no_zones: Vec::new(),
            views: BTreeMap::new(),
        }
    }

    /// Makes one change.
    pub(super) fn change(&mut self, change: &Change) -> Outcome {
        match self.try_change(change) {
            Ok(outcome) => outcome,
            Err(Trouble::All(outcome)) => {
                self.stopped = Some(about("not tried: ", outcome.clone()));
                outcome
            }
            Err(Trouble::Zone(outcome) | Trouble::One(outcome) | Trouble::Lost(outcome)) => outcome,
            Err(Trouble::Exists | Trouble::Missing) => Outcome::Already,
        }
    }

    fn try_change(&mut self, change: &Change) -> Result<Outcome, Trouble> {
        if let Some(outcome) = &self.stopped {
            return Ok(outcome.clone());
        }
        let zone = self.zone(change)?;
        if let Some(outcome) = self.closed.get(&zone) {
            return Ok(outcome.clone());
        }
        let done = self.in_zone(&zone, change);
        match &done {
            Ok(_) => return done,
            Err(Trouble::Zone(outcome)) => {
                // The identifier may be that of a zone which is no more.
                self.config.known.forget();
                self.closed.insert(zone, about("not tried: ", outcome.clone()));
            }
            Err(_) => {}
        }
        self.views.remove(&change.owner);
        done
    }

    fn in_zone(&mut self, zone: &str, change: &Change) -> Result<Outcome, Trouble> {
        let view = match self.views.get(&change.owner) {
            Some(view) => view.clone(),
            None => {
                let view = self.records(zone, &change.owner)?;
                self.learn(&change.owner, view.clone());
                view
            }
        };
        let has = |record| view.iter().any(|held| held.record.as_ref() == Some(record));
        match (change.operation, &change.live) {
            (Operation::Delete, Some(live)) if !has(live) => {
                Ok(Outcome::NotYet(format!("{self} does not have the record that must stay: {live}")))
            }
            (Operation::Add, _) if has(&change.record) => Ok(Outcome::Already),
            (Operation::Delete, _) if !has(&change.record) => Ok(Outcome::Already),
            (Operation::Add, _) => self.add(zone, change, view),
            (Operation::Delete, _) => self.delete(zone, change, view),
        }
    }

    /// Notes what stands at an owner now.
    pub(super) fn learn(&mut self, owner: &DnsName, view: Vec<Held>) {
        self.views.insert(owner.clone(), view);
    }

    /// What to do once an answer to a change was lost: look whether it was made.
    pub(super) fn look_again(&mut self, zone: &str, change: &Change, lost: Outcome) -> Result<Outcome, Trouble> {
        self.env.sleep(BREATH);
        let Ok(view) = self.records(zone, &change.owner) else { return Err(Trouble::All(lost)) };
        let there = view.iter().any(|held| held.record.as_ref() == Some(&change.record));
        self.learn(&change.owner, view);
        match there == (change.operation == Operation::Add) {
            true => Ok(Outcome::Done),
            false => Err(Trouble::Lost(lost)),
        }
    }

    /// Asks for something; a lost answer to a question is an outage.
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, Trouble> {
        self.call(Method::Get, path, query, None).map_err(|trouble| match trouble {
            Trouble::Lost(outcome) => Trouble::All(outcome),
            other => other,
        })
    }

    /// Sends one request, and again as often as the API wants us to wait and we have the patience.
    pub(super) fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        let request = HttpRequest {
            method,
            url: self.config.base.url(path, query),
            headers: headers(&self.config.login),
            body: body.map(Value::to_string),
            limit: self.limit,
            largest: LARGEST,
        };
        loop {
            let response = self.env.http(&request).map_err(|unanswered| {
                let outcome = http::unanswered(self, &unanswered, "");
                if unanswered.how == Lost::Unanswered { Trouble::Lost(outcome) } else { Trouble::All(outcome) }
            })?;
            tracing::debug!("{method} {}: {}", request.url, response.status);
            if response.status != 429 {
                return answer::read(&self.to_string(), &self.config.source, &response);
            }
            let pause = response.retry_after.unwrap_or(PAUSE).max(Duration::from_secs(1));
            if self.waited.get().saturating_add(pause) > PATIENCE {
                let why =
                    format!("{self} wants fewer requests (status 429; to be asked again in {} s)", pause.as_secs());
                return Err(Trouble::All(Outcome::Temporary(why)));
            }
            self.waited.set(self.waited.get() + pause);
            self.env.sleep(pause);
        }
    }
}

impl std::fmt::Display for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.config.base.to_string() {
            base if base == super::URL => f.write_str("Cloudflare"),
            base => f.write_str(&base),
        }
    }
}

fn headers(login: &Login) -> Vec<(&'static str, Secret)> {
    match login {
        Login::Token(token) => vec![("authorization", Secret([b"Bearer ", token.0.as_slice()].concat()))],
        Login::Key { email, key } => {
            vec![("x-auth-email", Secret(email.clone().into_bytes())), ("x-auth-key", key.clone())]
        }
    }
}
