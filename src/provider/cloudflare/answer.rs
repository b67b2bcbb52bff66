//! What the API's answers hold. Everything in them is taken for what a stranger says: only what is understood counts.

use super::words;
use crate::{
    env::HttpResponse,
    name::DnsName,
    provider::{
        Outcome,
        http::{is_identifier, said_in},
    },
    tlsa::Association,
};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No use in asking anything else.
    All(Outcome),
    /// No use in asking for anything in this zone.
    Zone(Outcome),
    /// Another request may do better.
    One(Outcome),
    /// Whether it has taken effect is not known; the outcome if it has not.
    Lost(Outcome),
    /// There is such a record (81057, 81058).
    Exists,
    /// There is no such record (81044).
    Missing,
}

/// What every answer looks like.
#[derive(Deserialize)]
pub(super) struct Answer {
    success: bool,
    #[serde(default)]
    errors: Option<Vec<Complaint>>,
    /// What was asked for.
    #[serde(default)]
    pub result: Value,
    #[serde(default)]
    result_info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    total_pages: Option<u64>,
}

/// One thing that is wrong, and what is behind it.
#[derive(Deserialize)]
pub(super) struct Complaint {
    /// Cloudflare's number for it.
    #[serde(default)]
    pub code: i64,
    /// In English.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    error_chain: Option<Vec<Complaint>>,
}

impl Answer {
    /// Is there nothing after this page? Where that is not said, an empty page is the last one.
    pub(super) fn is_last(&self, page: u64) -> bool {
        let empty = self.result.as_array().is_none_or(Vec::is_empty);
        empty || self.result_info.as_ref().and_then(|info| info.total_pages).is_some_and(|total| page >= total)
    }
}

/// Understands an answer; `server` and `source` (where the secret stands) are for messages.
pub(super) fn read(server: &str, source: &str, response: &HttpResponse) -> Result<Answer, Trouble> {
    let status = response.status;
    let answer = serde_json::from_slice::<Answer>(&response.body);
    let no_answer = || {
        let said = said_in(&response.body);
        format!(
            "{server} answers with status {status} and {said}, which is not what Cloudflare's API says: is the address right?"
        )
    };
    match (status, answer) {
        (200..=299, Ok(answer)) if answer.success => Ok(answer),
        (500..=599, answer) => {
            let said = answer.map(|answer| words::all(&complaints(answer))).unwrap_or_default();
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            Err(Trouble::Lost(Outcome::Temporary(format!("{server} has trouble of its own (status {status}{said})"))))
        }
        (300..=399, _) => Err(Trouble::All(Outcome::Failed(format!(
            "{server} sends us elsewhere (status {status}), where the secret does not go: correct the address"
        )))),
        (200..=299, Err(_)) => Err(Trouble::Lost(Outcome::Failed(no_answer()))),
        (_, Ok(answer)) => Err(words::refused(server, source, status, &complaints(answer))),
        (401 | 403, Err(_)) => Err(words::refused(server, source, status, &[])),
        (_, Err(_)) => Err(Trouble::All(Outcome::Failed(no_answer()))),
    }
}

/// All complaints in one row, those behind others too.
fn complaints(answer: Answer) -> Vec<Complaint> {
    let mut open = answer.errors.unwrap_or_default();
    let mut all = Vec::new();
    while !open.is_empty() && all.len() < 20 {
        let mut complaint = open.remove(0);
        open.splice(0..0, complaint.error_chain.take().unwrap_or_default());
        all.push(complaint);
    }
    all
}

/// A TLSA record that Cloudflare has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Cloudflare's identifier for it.
    pub id: String,
    /// Seconds; 1 is Cloudflare's "automatic".
    pub ttl: u32,
    /// `None` if its data cannot be understood: somebody else's in any case.
    pub record: Option<Association>,
}

/// The TLSA record that is told here, if it stands at `owner`. An error if it cannot be handled at all.
pub(super) fn held(owner: &DnsName, value: &Value) -> Result<Option<Held>, String> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    if text("type") != Some("TLSA") || !is_name(text("name"), owner) {
        return Ok(None);
    }
    let id = text("id").filter(|id| is_identifier(id)).ok_or("a record without an identifier")?;
    let ttl = value.get("ttl").and_then(Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok());
    let ttl = ttl.ok_or("a record without a TTL")?;
    let record = value.get("data").and_then(association).or_else(|| text("content")?.parse().ok());
    Ok(Some(Held { id: id.to_owned(), ttl, record }))
}

/// Is this text the name?
pub(super) fn is_name(text: Option<&str>, name: &DnsName) -> bool {
    text.and_then(|text| text.parse::<DnsName>().ok()).is_some_and(|parsed| parsed == *name)
}

fn association(data: &Value) -> Option<Association> {
    let number = |field: &str| u8::try_from(data.get(field)?.as_u64()?).ok();
    let hex: String = data.get("certificate")?.as_str()?.split_whitespace().collect();
    Some(Association {
        usage: number("usage")?,
        selector: number("selector")?,
        matching: number("matching_type")?,
        data: HEXLOWER.decode(hex.to_ascii_lowercase().as_bytes()).ok()?,
    })
}
