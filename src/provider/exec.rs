//! `api = exec`.
use super::{Change, Context, Outcome};
use crate::{config::Exec, env::Env};

/// Runs the program once for each change.
pub fn apply(_env: &dyn Env, _exec: &Exec, _context: &Context, _changes: &[Change]) -> Vec<Outcome> {
    Vec::new()
}
