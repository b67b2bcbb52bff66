//! Which files of the journal are to be written.

use super::clock::Stamp;
use crate::name::DnsName;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    hash::{BuildHasher, Hash, RandomState},
    io,
    path::PathBuf,
};

/// Tells what a file says from everything else.
pub(super) type Print = u64;

/// Makes prints, which hold for one run: they are keyed by chance, so nobody can make two documents with the same. To write down and
/// digest every document, changed or not, would take longer than most runs.
#[derive(Debug, Default)]
pub(super) struct Prints(RandomState);

impl Prints {
    /// The print of a document in a file of this version, epoch and name.
    pub fn of<T: Hash>(&self, version: u32, epoch: &str, name: &str, document: &T) -> Print {
        self.0.hash_one((version, epoch, name, document))
    }
}

/// What is known of a file: a print of what it says and, of an owner's, the moment of asking that it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub print: Print,
    pub asked: Option<Stamp>,
}

/// What a file is to hold: the document of this name, which is put into words when it is written. Those of all would be megabytes.
pub(super) enum Content {
    Lineage(String),
    Owner(DnsName),
    Bytes(Vec<u8>),
}

/// The files that are not as they were written.
#[derive(Default)]
pub(super) struct Changes {
    /// Paths, and what they are to hold.
    pub files: Vec<(PathBuf, Content)>,
    /// What will be known of each.
    pub known: Vec<Written>,
    /// The paths of all, changed or not.
    pub there: BTreeSet<OsString>,
}

impl Changes {
    /// A file that is to say what this is the print of.
    pub fn take(
        &mut self,
        known: &BTreeMap<OsString, Written>,
        path: PathBuf,
        written: Written,
        content: impl FnOnce() -> io::Result<Content>,
    ) -> io::Result<()> {
        if known.get(path.as_os_str()).map(|known| known.print) != Some(written.print) {
            self.files.push((path.clone(), content()?));
            self.known.push(written);
        }
        self.there.insert(path.into());
        Ok(())
    }
}
