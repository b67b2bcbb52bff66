//! Which files of the journal are to be written.

use super::clock::Stamp;
use crate::name::DnsName;
use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Tells the contents of a file from all others.
pub(super) type Print = [u8; 16];

pub(super) fn print_of(bytes: &[u8]) -> Print {
    let mut print = Print::default();
    print.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..16]);
    print
}

/// What is known of a file: a digest of its bytes and, of an owner's, the moment of asking that it tells.
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
    pub there: BTreeSet<PathBuf>,
}

impl Changes {
    /// A file that is to hold these bytes.
    pub fn take(
        &mut self,
        written: &BTreeMap<PathBuf, Written>,
        (path, bytes): (PathBuf, &[u8]),
        content: impl FnOnce() -> Content,
        asked: Option<Stamp>,
    ) {
        let print = print_of(bytes);
        if written.get(&path).map(|written| written.print) != Some(print) {
            self.files.push((path.clone(), content()));
            self.known.push(Written { print, asked });
        }
        self.there.insert(path);
    }
}
