//! `api = cloudflare`: Cloudflare's API, version 4. Single records are made and deleted, so what others write beside ours is never
//! touched. Whether a request whose answer was lost has taken effect is looked up.

mod answer;
mod find;
mod line;
mod records;
mod session;
mod words;

pub(super) use line::{read, read_with_zone};

use super::{
    Change, Context, Outcome, Provider,
    http::{self, Base},
    in_order,
};
use crate::{config::Secret, env::Env, name::DnsName};
use session::Session;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

/// Where the API is unless `url:` says otherwise.
const URL: &str = "https://api.cloudflare.com/client/v4";

/// `api = cloudflare FILE [zone:ZONE] [url:URL]`, and with the key in the line.
#[derive(Clone, Debug)]
pub struct Cloudflare {
    /// Who we are.
    pub login: Login,
    /// Where the secret stands, for messages: a file, or the `api` line.
    pub source: String,
    /// `zone:`, else found by name.
    pub zone: Option<Zone>,
    /// `url:`.
    pub base: Base,
    /// Identifiers that were found.
    pub known: Known,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// An API token, which may be limited to a zone.
    Token(Secret),
    /// The global API key of an account.
    Key {
        /// Whose.
        email: String,
        /// The key.
        key: Secret,
    },
}

/// `zone:ZONE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Cloudflare's identifier for it, 32 hex digits.
    Id(String),
    /// Its name.
    Name(DnsName),
}

/// The zones' identifiers, which last longer than any process of ours.
#[derive(Default)]
pub struct Known(Mutex<BTreeMap<DnsName, String>>);

impl Known {
    fn find(&self, zone: &DnsName) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(zone).cloned()
    }

    fn learn(&self, zone: &DnsName, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(zone.clone(), id.to_owned());
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Clone for Known {
    fn clone(&self) -> Known {
        Known::default()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Provider for Cloudflare {
    fn changes_at_once(&self) -> bool {
        false
    }

    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome> {
        let mut session = Session::new(env, self, http::limit(context));
        let outcomes = in_order(env, changes, |change| session.change(change));
        let (Login::Token(secret) | Login::Key { key: secret, .. }) = &self.login;
        http::concealed(outcomes, secret)
    }
}
