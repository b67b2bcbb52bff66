//! The records at an owner: read, made, deleted, one by one.

use super::{
    answer::{self, Held, Trouble},
    session::Session,
};
use crate::{
    env::Method,
    name::DnsName,
    provider::{Change, Outcome},
};
use serde_json::{Value, json};

/// Records asked for at a time.
const PER_PAGE: &str = "100";
/// Pages that are read at most: nobody has so many records at one name.
const PAGES: u64 = 50;

impl Session<'_> {
    /// The TLSA records at an owner, all pages of them.
    pub(super) fn records(&self, zone: &str, owner: &DnsName) -> Result<Vec<Held>, Trouble> {
        let mut all: Vec<Held> = Vec::new();
        for page in 1..=PAGES {
            let number = page.to_string();
            let query = [("type", "TLSA"), ("name", owner.without_dot()), ("per_page", PER_PAGE), ("page", &number)];
            let answer = self.get(&["zones", zone, "dns_records"], &query)?;
            let list = answer.result.as_array().ok_or_else(|| self.odd("no list of records"))?;
            for value in list {
                // A record that moves to the next page while we read stands on both.
                match answer::held(owner, value).map_err(|what| self.odd(&what))? {
                    Some(held) if !all.contains(&held) => all.push(held),
                    _ => {}
                }
            }
            if answer.is_last(page) {
                return Ok(all);
            }
        }
        Err(self.odd("more pages of records than there can be"))
    }

    /// Makes the record, with the TTL of those beside it.
    pub(super) fn add(&mut self, zone: &str, change: &Change, mut view: Vec<Held>) -> Result<Outcome, Trouble> {
        let ttl = view.iter().map(|held| held.ttl).min().unwrap_or(change.ttl);
        let record = &change.record;
        let body = json!({
            "type": "TLSA",
            "name": change.owner.without_dot(),
            "ttl": ttl,
            "data": {
                "usage": record.usage,
                "selector": record.selector,
                "matching_type": record.matching,
                "certificate": record.hex(),
            },
        });
        match self.call(Method::Post, &["zones", zone, "dns_records"], &[], Some(&body)) {
            Err(Trouble::Lost(outcome)) => self.look_again(zone, change, outcome),
            Err(trouble) => Err(trouble),
            Ok(answer) => match answer::held(&change.owner, &answer.result) {
                Ok(Some(held)) if held.record.as_ref() == Some(record) => {
                    view.push(held);
                    self.learn(&change.owner, view);
                    Ok(Outcome::Done)
                }
                _ => {
                    let lost = Outcome::Failed(format!("{self} says that it made the record, and shows another"));
                    self.look_again(zone, change, lost)
                }
            },
        }
    }

    /// Deletes just this record.
    pub(super) fn delete(&mut self, zone: &str, change: &Change, mut view: Vec<Held>) -> Result<Outcome, Trouble> {
        let gone = |held: &Held| held.record.as_ref() == Some(&change.record);
        let ids: Vec<String> = view.iter().filter(|held| gone(held)).map(|held| held.id.clone()).collect();
        for id in &ids {
            match self.call(Method::Delete, &["zones", zone, "dns_records", id], &[], None) {
                Err(Trouble::Lost(outcome)) => return self.look_again(zone, change, outcome),
                Err(trouble) => return Err(trouble),
                Ok(answer) if answer.result.get("id").and_then(Value::as_str) == Some(id) => {}
                Ok(_) => {
                    let lost = Outcome::Failed(format!("{self} does not say that it deleted the record"));
                    return self.look_again(zone, change, lost);
                }
            }
        }
        view.retain(|held| !gone(held));
        self.learn(&change.owner, view);
        Ok(Outcome::Done)
    }

    /// An answer that is well-formed, and not what was asked for.
    pub(super) fn odd(&self, what: &str) -> Trouble {
        Trouble::All(Outcome::Failed(format!("{self} answers with {what}, which we do not understand")))
    }
}
