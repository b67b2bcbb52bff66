//! What is awaited, until when, and why: the reasons' own words.

use super::{Await, Time, Why, make::time};
use crate::plan::{Input, Reason, Step, Wait};
use serde::Serialize;
use serde_json::Value;

/// One wait.
pub fn told(input: Input<'_>, wait: &Wait) -> Await {
    let (generation, owner, record) = match &wait.step {
        Step::Install(generation) | Step::Switch(generation) | Step::Retire(generation) => {
            (Some(generation.clone()), None, None)
        }
        Step::Publish(owner) => (None, Some(owner.clone()), None),
        Step::Delete(owner, record) => (None, Some(owner.clone()), Some(record.clone())),
        _ => (None, None, None),
    };
    let mut reasons: Vec<Why> = Vec::new();
    for reason in &wait.reasons {
        let why = why(input, reason);
        if !reasons.contains(&why) {
            reasons.push(why);
        }
    }
    Await {
        step: kind(&wait.step, None),
        text: wait.step.to_string(),
        generation,
        owner,
        record,
        until: reasons.iter().filter_map(|why| why.until).max(),
        passes: wait.reasons.iter().all(Reason::passes),
        reasons,
    }
}

fn why(input: Input<'_>, reason: &Reason) -> Why {
    let text = match reason {
        Reason::NotAsked { owner } => format!("the name servers of {owner} have not been asked yet"),
        Reason::NotProbed { owner, due: None } => format!("the next run looks at what the services at {owner} present"),
        other => other.text(input.facts.now),
    };
    let until: Option<Time> = reason.until().map(|until| time(input, until));
    Why { reason: kind(reason, Some("reason")), text, until }
}

/// The name of a variant, as serde writes it: under this key, or as the only key, or alone.
fn kind(value: &impl Serialize, key: Option<&str>) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        Ok(Value::Object(fields)) => match key {
            Some(key) => fields.get(key).and_then(Value::as_str).unwrap_or_default().into(),
            None => fields.keys().next().cloned().unwrap_or_default(),
        },
        _ => String::new(),
    }
}
