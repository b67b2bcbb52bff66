//! What the server's answers hold. Records of others are kept as the text that they are.

use crate::{name::DnsName, tlsa::Association};
use serde::{Deserialize, Serialize};

/// A zone; a list of zones has no RRsets.
#[derive(Deserialize)]
pub(super) struct Zone {
    pub id: String,
    pub name: String,
    /// `Native`, `Master` and so on.
    #[serde(default)]
    pub kind: String,
    /// Counted up by the server at each change, if it is set up so.
    #[serde(default)]
    pub edited_serial: Option<u32>,
    #[serde(default)]
    pub rrsets: Vec<RRset>,
}

/// An RRset. Comments that belong to it stay as long as they are not mentioned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct RRset {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub ttl: u32,
    pub records: Vec<Record>,
}

/// A record in the form of a zone file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub content: String,
    /// Kept, and not served.
    #[serde(default)]
    pub disabled: bool,
}

impl Record {
    pub(super) fn is(&self, record: &Association) -> bool {
        self.content.parse::<Association>().is_ok_and(|parsed| parsed == *record)
    }
}

impl Zone {
    /// The TLSA RRset of this owner.
    pub(super) fn tlsa(&self, owner: &DnsName) -> Option<&RRset> {
        let here = |rrset: &&RRset| rrset.kind.eq_ignore_ascii_case("TLSA") && is_name(&rrset.name, owner);
        self.rrsets.iter().find(here)
    }
}

/// Is this text the name?
pub(super) fn is_name(text: &str, name: &DnsName) -> bool {
    text.parse::<DnsName>().is_ok_and(|parsed| parsed == *name)
}
