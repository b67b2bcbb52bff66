//! The layout of the dane directory.
//!
//! ```text
//! dane/example.com/cert.pem    -> .served/cert.pem            these never change
//! dane/example.com/.served     -> ../../letsencrypt/live/…    idle
//! dane/example.com/.served     -> .generation-7c1e…           pinned: links to the client's archive
//! dane/example.com/.served     -> .generation-7c1e….kept      pinned: links to the store
//! dane/example.com/.served     -> .generation-7c1e….kept      the same, for clients that overwrite their files
//! dane/.store/example.com/7c1e…/cert.pem                      the store: hard links or copies
//! ```

use super::{BUNDLE, Generation, GenerationId, certbot, source::InPlace};
use crate::env::{Files, Kind};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The one link that a switch replaces.
pub const SERVED: &str = ".served";
/// Directories with the links of one generation are named so, with the generation's name behind it.
pub const GENERATION: &str = ".generation-";

/// And so, when they lead to our store.
pub const KEPT: &str = ".kept";

/// The directories that files are looked for in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `letsencrypt_directory/live`.
    pub live: PathBuf,
    /// The dane directory.
    pub dane: PathBuf,
    /// The state directory.
    pub state: PathBuf,
    /// The lineages that another client than certbot renews, by name.
    pub sources: BTreeMap<String, InPlace>,
}

/// The folder in the dane directory that keeps generations. It is there rather than in the state directory so that hard links
/// to the archive are possible as often as not, and so that whoever may read the dane directory may follow its links.
pub const STORE: &str = ".store";

impl Places {
    /// Where the generations of a lineage are kept.
    pub fn store(&self, lineage: &str) -> PathBuf {
        self.dane.join(STORE).join(lineage)
    }

    /// What the client has now, if that is a complete generation.
    pub fn live(&self, files: &dyn Files, lineage: &str) -> Result<Generation, String> {
        match self.sources.get(lineage) {
            None => certbot::read_set(files, &self.live.join(lineage)),
            Some(source) => source.generation(files, lineage),
        }
    }

    /// Does its client overwrite what it has, so that services can only read copies?
    pub fn is_in_place(&self, lineage: &str) -> bool {
        self.sources.contains_key(lineage)
    }

    /// The lineage's directory that services read.
    pub fn dane(&self, lineage: &str) -> PathBuf {
        self.dane.join(lineage)
    }
}

/// The generation that `.served` is pinned to, from the name of the directory it leads to.
pub fn pinned_to(target: &Path) -> Option<GenerationId> {
    let name = target.to_str()?.trim_end_matches('/').strip_prefix(GENERATION)?;
    GenerationId::parse(name.strip_suffix(KEPT).unwrap_or(name))
}

/// Is there to be a `bundle.pem` in `dane`, the directory of a lineage that services read? The section tells; where there is
/// none (it was taken out, or has an error) the one that is there stays.
pub fn has_bundle(files: &dyn Files, dane: &Path, section: Option<bool>) -> bool {
    let is_there = || files.target(&dane.join(BUNDLE)).is_ok_and(|target| target == Path::new(SERVED).join(BUNDLE));
    section.unwrap_or_else(is_there)
}

/// Is something in the way of a link that is not ours to replace?
pub fn in_the_way(files: &dyn Files, path: &Path) -> bool {
    files.stat(path, false).is_ok_and(|stat| stat.kind != Kind::Link)
}
