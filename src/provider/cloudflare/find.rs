//! Which zone a change belongs to, by Cloudflare's identifier.

use super::{
    Zone,
    answer::{Trouble, is_name},
    session::Session,
};
use crate::{
    name::DnsName,
    provider::{Change, Outcome, http::is_identifier},
};
use serde_json::Value;

impl Session<'_> {
    /// The zone: from the configuration, else the one that name servers told, else the nearest above the owner that the account has.
    pub(super) fn zone(&mut self, change: &Change) -> Result<String, Trouble> {
        let candidates = match (&self.config.zone, &change.zone) {
            (Some(Zone::Id(id)), _) => return Ok(id.clone()),
            (Some(Zone::Name(name)), _) if !change.owner.is_within(name) => {
                let why = format!("{} is not in zone {name}: correct `zone:` in the `api` line", change.owner);
                return Err(Trouble::One(Outcome::Failed(why)));
            }
            (Some(Zone::Name(name)), _) | (None, Some(name)) => vec![name.clone()],
            (None, None) => above(&change.owner),
        };
        for name in &candidates {
            if let Some(id) = self.zone_named(name)? {
                return Ok(id);
            }
        }
        let names: Vec<&str> = candidates.iter().map(DnsName::without_dot).collect();
        let why = format!(
            "{self} has no zone for {} that the secret in {} may see (asked for {}): is it in another account, or missing among \
             the token's zones?",
            change.owner,
            self.config.source,
            names.join(", ")
        );
        Err(Trouble::One(Outcome::Failed(why)))
    }

    fn zone_named(&mut self, name: &DnsName) -> Result<Option<String>, Trouble> {
        if let Some(id) = self.config.known.find(name) {
            return Ok(Some(id));
        }
        if self.no_zones.contains(name) {
            return Ok(None);
        }
        let answer = self.get(&["zones"], &[("name", name.without_dot()), ("per_page", "50")]);
        let answer = answer.map_err(|trouble| match trouble {
            Trouble::Zone(outcome) => Trouble::All(outcome),
            other => other,
        })?;
        let list = answer.result.as_array().ok_or_else(|| self.odd("no list of zones"))?;
        let text = |zone: &Value, field: &str| zone.get(field).and_then(Value::as_str).map(str::to_owned);
        // Whoever does not heed the filter must not lead us to another zone.
        let mut zones: Vec<&Value> = list.iter().filter(|zone| is_name(text(zone, "name").as_deref(), name)).collect();
        let is_active = |zone: &&&Value| text(zone, "status").as_deref() == Some("active");
        if zones.iter().filter(is_active).count() == 1 {
            zones.retain(|zone| is_active(&zone));
        }
        match zones.as_slice() {
            [] if list.is_empty() => {
                self.no_zones.push(name.clone());
                Ok(None)
            }
            [] => Err(self.odd("other zones than the one asked for")),
            [zone] => {
                let id = text(zone, "id").filter(|id| is_identifier(id));
                let id = id.ok_or_else(|| self.odd("a zone without an identifier"))?;
                self.config.known.learn(name, &id);
                Ok(Some(id))
            }
            _ => Err(Trouble::One(Outcome::Failed(format!(
                "{self} has several zones called {name}: add `zone:` and the identifier of the right one to the `api` line"
            )))),
        }
    }
}

/// The names at and above the host, down to two labels; no zone is called `_tcp`.
fn above(owner: &DnsName) -> Vec<DnsName> {
    let names = std::iter::successors(Some(owner.clone()), DnsName::parent);
    names.filter(|name| !name.as_str().starts_with('_') && name.without_dot().contains('.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_above() {
        for (owner, expected) in [
            ("_25._tcp.mx.example.co.uk", "mx.example.co.uk. example.co.uk. co.uk."),
            ("_25._tcp.example.com", "example.com."),
            ("_tlsa._dane.example.com", "example.com."),
            ("localhost", ""),
            (".", ""),
        ] {
            let found: Vec<String> = above(&owner.parse().unwrap()).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{owner}");
        }
    }
}
