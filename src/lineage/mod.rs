//! Lineages and their generations: which certificates there are, read from files that may be torn, foreign or missing.

mod acme_sh;
pub mod certbot;
mod dehydrated;
pub mod layout;
mod lego;
mod memo;
pub mod pem;
mod plain;
pub mod set;
pub mod sets;
pub mod source;

use crate::tlsa::Chain;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// Names a generation by its contents: the first 16 hex digits of a digest over its certificates. certbot's numbers can start
/// again, so they name nothing. The key belongs to the leaf, so it needs no part in the name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GenerationId([u8; 16]);

impl GenerationId {
    /// The name of the generation with this chain.
    pub fn of(chain: &Chain) -> GenerationId {
        let mut context = Context::new(&SHA256);
        for certificate in chain.certificates.iter() {
            context.update(&(certificate.der.len() as u64).to_be_bytes());
            context.update(&certificate.der);
        }
        let mut digits = [0; 16];
        HEXLOWER.encode_mut(&context.finish().as_ref()[..8], &mut digits);
        GenerationId(digits)
    }

    /// Reads a name, as in a directory's.
    pub fn parse(text: &str) -> Option<GenerationId> {
        let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let digits: [u8; 16] = text.as_bytes().try_into().ok()?;
        digits.iter().all(hex).then_some(GenerationId(digits))
    }

    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        // Nothing but digits of ASCII comes in.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for GenerationId {
    type Error = String;
    /// Folders are named so: nothing else may come from the journal.
    fn try_from(text: String) -> Result<GenerationId, String> {
        GenerationId::parse(&text).ok_or_else(|| format!("{text:?} names no generation"))
    }
}

impl From<GenerationId> for String {
    fn from(id: GenerationId) -> String {
        id.as_str().to_owned()
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One issued version of a lineage whose files are complete: the key fits the leaf, and all files tell of the same chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its name.
    pub id: GenerationId,
    /// The full chain as it is served.
    pub chain: Chain,
    /// Its files: name in the set (`privkey.pem`), real path. Empty for what a client overwrites in place: that is read again when
    /// it is kept.
    pub files: Vec<(String, PathBuf)>,
}

/// The four files of a set.
pub const CERT: &str = "cert.pem";
/// What follows the leaf.
pub const CHAIN: &str = "chain.pem";
/// The leaf and what follows it.
pub const FULLCHAIN: &str = "fullchain.pem";
/// The private key.
pub const PRIVKEY: &str = "privkey.pem";
/// Key and full chain in one file, made by us with `bundle = yes`.
pub const BUNDLE: &str = "bundle.pem";
