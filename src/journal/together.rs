//! Most owners are asked for and found as they were. That alone is not worth a file for each of thousands: the moments of asking are
//! written down together. Owners' files keep the moment at which they were last written, and the later one counts; so without these
//! files owners are only asked again sooner.

use super::clock::Stamp;
use crate::name::DnsName;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Fewer owners have their own files written.
pub(super) const WORTH: usize = 100;
/// Names in one file, which must not become longer than [`LONGEST_FILE`](crate::env::LONGEST_FILE) even where each of their letters
/// is written as an escape. For each file a disk is waited for.
const ONE_FILE: usize = 20_000;

/// Owners by the moment at which they were last asked.
pub(super) type Asked = Vec<(Stamp, Vec<DnsName>)>;

/// The file of this number.
pub(super) fn file(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("asked-{number}.json"))
}

/// The same owners, in as many documents as that takes.
pub(super) fn documents(asked: &[(Stamp, DnsName)]) -> Vec<Asked> {
    let of_chunk = |chunk: &[(Stamp, DnsName)]| {
        let mut by_moment: BTreeMap<Stamp, Vec<DnsName>> = BTreeMap::new();
        for (moment, name) in chunk {
            by_moment.entry(*moment).or_default().push(name.clone());
        }
        by_moment.into_iter().collect()
    };
    asked.chunks(ONE_FILE).map(of_chunk).collect()
}
