//! What a power loss takes away: entries of directories that were not synced after a process changed them. The bytes of files
//! are on disk before a process gives them a name, as `Files` promises.

use super::{
    World,
    disk::{Disk, Done, Inode, Node, ROOT},
};
use std::{collections::BTreeMap, ffi::OsString, path::Path};

/// What is on the platters where that differs from what programs see.
#[derive(Clone, Debug, Default)]
pub struct Power {
    /// Does what happens now need a sync, and when is now? The world itself never loses anything.
    pub volatile: Option<u64>,
    /// Directories that were changed since their last sync.
    synced: BTreeMap<u64, Synced>,
    /// What has no name any more, and might come back.
    buried: BTreeMap<u64, Inode>,
}

/// A directory as it is on disk.
#[derive(Clone, Debug)]
struct Synced {
    names: BTreeMap<OsString, u64>,
    /// When its last change happened that is not on disk, milliseconds since the world began.
    changed: u64,
}

/// After so many milliseconds the system writes by itself.
const WRITTEN_AFTER: u64 = 60_000;

impl Power {
    pub(super) fn bury(&mut self, number: u64, gone: Option<Inode>) {
        if !self.synced.is_empty() {
            self.buried.extend(gone.map(|inode| (number, inode)));
        }
    }
}

impl Disk {
    /// Keeps what a directory has on disk, before its first change after a sync.
    pub(super) fn remember_names(&mut self, dir: u64) {
        let (Some(now), Some(Inode { node: Node::Dir(names), .. })) = (self.power.volatile, self.nodes.get(&dir))
        else {
            return;
        };
        let synced = self.power.synced.entry(dir).or_insert_with(|| Synced { names: names.clone(), changed: now });
        if synced.changed + WRITTEN_AFTER <= now {
            synced.names.clone_from(names);
        }
        synced.changed = now;
    }

    /// `fsync` of a directory.
    pub fn sync(&mut self, dir: &Path) -> Done<()> {
        let (number, _) = self.inode(dir, true)?;
        self.power.synced.remove(&number);
        if self.power.synced.is_empty() {
            self.power.buried.clear();
        }
        Ok(())
    }

    /// Forgets the changes of the last minute in directories that were not synced, except those that `keep` picks: disks write
    /// when they like.
    pub fn lose_power(&mut self, now: u64, mut keep: impl FnMut() -> bool) {
        self.nodes.append(&mut self.power.buried);
        for (dir, synced) in std::mem::take(&mut self.power.synced) {
            if let Some(Inode { node: Node::Dir(names), .. }) = self.nodes.get_mut(&dir)
                && synced.changed + WRITTEN_AFTER > now
                && !keep()
            {
                *names = synced.names;
            }
        }
        self.sweep();
        (self.changes, self.moves) = (self.changes + 1, self.moves + 1);
    }

    /// Removes what no name leads to, and counts names anew.
    fn sweep(&mut self) {
        let mut links = BTreeMap::from([(ROOT, (1, ROOT))]);
        let mut todo = vec![ROOT];
        while let Some(dir) = todo.pop() {
            let Some(Inode { node: Node::Dir(names), .. }) = self.nodes.get_mut(&dir) else { continue };
            for child in names.values() {
                let entry = links.entry(*child).or_insert((0, dir));
                entry.0 += 1;
                if entry.0 == 1 {
                    todo.push(*child);
                }
            }
        }
        self.nodes.retain(|number, inode| {
            let found = links.get(number);
            if let Some((count, parent)) = found {
                (inode.links, inode.parent) = (*count, *parent);
            }
            found.is_some()
        });
    }
}

impl World {
    /// The power fails and comes back: see [`Disk::lose_power`], then the host boots. Kill the process first.
    pub fn power_loss(&self, keep: impl FnMut() -> bool) {
        self.change(|state| state.disk.lose_power(state.clock.now, keep));
        self.reboot();
    }
}
