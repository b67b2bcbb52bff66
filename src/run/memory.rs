//! What earlier runs worked out and later ones need not: files in the state directory that may be deleted at any time.

use super::{Run, look::Known};
use crate::lineage::sets;
use std::path::{Path, PathBuf};

impl Run<'_> {
    /// Remembers which signatures were verified.
    pub(super) fn verified(&self) -> PathBuf {
        self.places.state.join("verified")
    }

    /// Writes down which signatures were verified, if those are many more than before.
    pub(super) fn keep_verified(&self, known: &Known) {
        if let Some(bytes) = known.verified.as_ref().and_then(|memory| memory.to_write()) {
            self.note_memory(&self.verified(), &bytes);
        }
    }

    /// Takes in what sets of files hold that are as they were.
    pub(super) fn recall_sets(&self) {
        if self.has_many()
            && let Ok(bytes) = self.env.read(&self.sets())
        {
            sets::recall(&bytes, &self.env.boot().id);
        }
    }

    /// Writes down what sets of files hold, if much of that is new.
    pub(super) fn keep_sets(&self) {
        if self.has_many()
            && let Some(bytes) = sets::to_write(&self.env.boot().id)
        {
            self.note_memory(&self.sets(), &bytes);
        }
    }

    /// A few are read as quickly as the file.
    fn has_many(&self) -> bool {
        self.sections.len() >= sets::WORTH
    }

    fn sets(&self) -> PathBuf {
        self.places.state.join("sets")
    }

    fn note_memory(&self, file: &Path, bytes: &[u8]) {
        if let Err(error) = self.env.note(file, bytes, 0o600) {
            tracing::debug!("what later runs could go by was not written down: {error}");
        }
    }
}
