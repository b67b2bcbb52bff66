//! `api = rfc2136`.
use super::{Change, Context, Outcome};
use crate::{config::Rfc2136, env::Env};

/// Sends the updates.
pub fn apply(_env: &dyn Env, _server: &Rfc2136, _context: &Context, _changes: &[Change]) -> Vec<Outcome> {
    Vec::new()
}
