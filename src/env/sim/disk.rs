//! A Unix file system in memory: inodes, links of both kinds, renames, mount points. It knows nothing of time, processes and
//! faults, and its process is root, so no permission is ever lacking.

use super::{
    power::Power,
    walk::{Place, Walked},
};
use crate::env::{Kind, Print, Stat};
use nix::errno::Errno;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

/// What an inode holds.
#[derive(Clone, Debug)]
pub enum Node {
    /// A regular file.
    File(Rc<[u8]>),
    /// A directory.
    Dir(BTreeMap<OsString, u64>),
    /// A symbolic link.
    Link(PathBuf),
}

/// A file, directory or link, apart from its names.
#[derive(Clone, Debug)]
pub struct Inode {
    /// What it holds.
    pub node: Node,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names of a file or link; directories are not counted.
    pub links: u32,
    device: u64,
    /// The change after which a directory has the names that it has.
    pub(super) named: u64,
    /// The time of its bytes, as prints tell it.
    written: i64,
    pub(super) parent: u64,
}

/// The result of a file operation: an error is the number that the kernel would give.
pub type Done<T> = Result<T, Errno>;

/// The file system. `changes` grows with every operation that changed something.
#[derive(Clone, Debug)]
pub struct Disk {
    pub(super) nodes: BTreeMap<u64, Inode>,
    pub(super) power: Power,
    next: u64,
    devices: u64,
    /// How many operations changed something.
    pub changes: u64,
    /// How often a directory or a link has left its place.
    pub(super) moves: u64,
    pub(super) walked: RefCell<Walked>,
}

pub(super) const ROOT: u64 = 2;

/// Another moment than that of any other write, in whichever world: what is remembered of a file by its print may outlive a world.
fn new_time() -> i64 {
    static WRITES: AtomicI64 = AtomicI64::new(1);
    WRITES.fetch_add(1, Relaxed)
}

impl Default for Disk {
    fn default() -> Disk {
        let root = Inode {
            node: Node::Dir(BTreeMap::new()),
            mode: 0o755,
            uid: 0,
            gid: 0,
            links: 1,
            device: 1,
            named: 0,
            written: 0,
            parent: ROOT,
        };
        let nodes = BTreeMap::from([(ROOT, root)]);
        let (power, walked) = (Power::default(), RefCell::default());
        Disk { nodes, power, next: ROOT + 1, devices: 1, changes: 0, moves: 0, walked }
    }
}

impl Disk {
    /// The inode that `path` names.
    pub fn inode(&self, path: &Path, follow: bool) -> Done<(u64, &Inode)> {
        let number = self.walk(path, follow)?.1.ok_or(Errno::ENOENT)?;
        Ok((number, self.node(number)?))
    }

    /// The bytes of a regular file.
    pub fn read(&self, path: &Path) -> Done<Rc<[u8]>> {
        match &self.inode(path, true)?.1.node {
            Node::File(bytes) => Ok(bytes.clone()),
            _ => Err(Errno::EISDIR),
        }
    }

    /// What `stat` or `lstat` tells.
    pub fn stat(&self, path: &Path, follow: bool) -> Done<Stat> {
        let (number, inode) = self.inode(path, follow)?;
        let (kind, size) = match &inode.node {
            Node::File(bytes) => (Kind::File, bytes.len()),
            Node::Dir(names) => (Kind::Dir, names.len()),
            Node::Link(target) => (Kind::Link, target.as_os_str().len()),
        };
        let Inode { mode, uid, gid, device, written, .. } = *inode;
        let size = size as u64;
        let print = Print { device, inode: number, size, modified: (written, 0) };
        let print = (kind == Kind::File).then_some(print);
        Ok(Stat { kind, device, inode: number, size, mode, uid, gid, changed: None, print })
    }

    /// Where a symbolic link points.
    pub fn target(&self, path: &Path) -> Done<PathBuf> {
        match &self.inode(path, false)?.1.node {
            Node::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The names in a directory, sorted.
    pub fn list(&self, dir: &Path) -> Done<Vec<OsString>> {
        let (number, _) = self.inode(dir, true)?;
        Ok(self.names(number)?.keys().cloned().collect())
    }

    /// Makes one directory.
    pub fn make_dir(&mut self, dir: &Path, mode: u32) -> Done<()> {
        let place = self.vacant(dir)?;
        let node = Node::Dir(BTreeMap::new());
        self.enter(place, node, mode)
    }

    /// Makes a directory that is a file system of its own.
    pub fn mount(&mut self, dir: &Path) -> Done<()> {
        self.make_dir(dir, 0o755)?;
        let (number, _) = self.inode(dir, false)?;
        self.devices += 1;
        let device = self.devices;
        self.node_mut(number)?.device = device;
        Ok(())
    }

    /// Makes a file that must not exist.
    pub fn create(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Done<()> {
        let place = self.vacant(path)?;
        self.enter(place, Node::File(bytes.into()), mode)
    }

    /// Writes into a file in place, following links, as a program does that knows no better; makes it if missing.
    pub fn overwrite(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Done<()> {
        let Some(number) = self.walk(path, true)?.1 else { return self.create(path, bytes, mode) };
        let inode = self.node_mut(number)?;
        match inode.node {
            Node::File(_) => (inode.node, inode.written) = (Node::File(bytes.into()), new_time()),
            _ => return Err(Errno::EISDIR),
        }
        self.changes += 1;
        Ok(())
    }

    /// Makes a symbolic link that must not exist.
    pub fn symlink(&mut self, link: &Path, target: &Path) -> Done<()> {
        if target.as_os_str().is_empty() {
            return Err(Errno::ENOENT);
        }
        let place = self.vacant(link)?;
        self.enter(place, Node::Link(target.to_owned()), 0o777)
    }

    /// Sets owner, group, permission bits where given. Does not follow a link, which has none: `ELOOP`.
    pub fn change(&mut self, path: &Path, mode: Option<u32>, uid: Option<u32>, gid: Option<u32>) -> Done<()> {
        let (number, _) = self.inode(path, false)?;
        let inode = self.node_mut(number)?;
        if matches!(inode.node, Node::Link(_)) {
            return Err(Errno::ELOOP);
        }
        inode.mode = mode.map_or(inode.mode, |mode| mode & 0o7777);
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
        self.changes += 1;
        Ok(())
    }

    /// `linkat` without following links.
    pub fn hard_link(&mut self, from: &Path, to: &Path) -> Done<()> {
        let (number, inode) = self.inode(from, false)?;
        let (device, is_dir) = (inode.device, matches!(inode.node, Node::Dir(_)));
        let place = self.vacant(to)?;
        if self.node(place.dir)?.device != device {
            return Err(Errno::EXDEV);
        }
        if is_dir {
            return Err(Errno::EPERM);
        }
        self.node_mut(number)?.links += 1;
        self.names_mut(place.dir)?.insert(place.name, number);
        Ok(())
    }

    /// `rename`.
    pub fn rename(&mut self, from: &Path, to: &Path) -> Done<()> {
        let (source, place) = (self.place(from)?, self.place(to)?);
        let number = source.inode.ok_or(Errno::ENOENT)?;
        check_name(&source.name)?;
        check_name(&place.name)?;
        let is_dir = matches!(self.node(number)?.node, Node::Dir(_));
        if self.node(number)?.device != self.node(place.dir)?.device {
            return Err(Errno::EXDEV);
        }
        if is_dir && self.is_below(place.dir, number)? {
            return Err(Errno::EINVAL);
        }
        match place.inode {
            Some(there) if there == number => return Ok(()),
            Some(there) if self.is_below(source.dir, there)? => return Err(Errno::ENOTEMPTY),
            Some(there) => self.replace(there, is_dir)?,
            None => {}
        }
        self.leaves(number)?;
        self.names_mut(source.dir)?.remove(&source.name);
        self.names_mut(place.dir)?.insert(place.name, number);
        self.node_mut(number)?.parent = place.dir;
        Ok(())
    }

    /// `unlink`.
    pub fn remove(&mut self, path: &Path) -> Done<()> {
        let place = self.place(path)?;
        let number = place.inode.ok_or(Errno::ENOENT)?;
        if matches!(self.node(number)?.node, Node::Dir(_)) {
            return Err(Errno::EISDIR);
        }
        self.names_mut(place.dir)?.remove(&place.name);
        self.release(number)
    }

    /// `rmdir`.
    pub fn remove_dir(&mut self, path: &Path) -> Done<()> {
        let place = self.place(path)?;
        let number = place.inode.ok_or(Errno::ENOENT)?;
        match &self.node(number)?.node {
            Node::Dir(_) if number == ROOT => return Err(Errno::EBUSY),
            Node::Dir(names) if !names.is_empty() => return Err(Errno::ENOTEMPTY),
            Node::Dir(_) => {}
            _ => return Err(Errno::ENOTDIR),
        }
        self.names_mut(place.dir)?.remove(&place.name);
        self.release(number)
    }

    /// Makes room at the target of a rename.
    fn replace(&mut self, there: u64, by_dir: bool) -> Done<()> {
        match (&self.node(there)?.node, by_dir) {
            (Node::Dir(names), true) if !names.is_empty() => Err(Errno::ENOTEMPTY),
            (Node::Dir(_), false) => Err(Errno::EISDIR),
            (Node::File(_) | Node::Link(_), true) => Err(Errno::ENOTDIR),
            _ => self.release(there),
        }
    }

    /// What was reached through a directory or a link is no longer where it was.
    fn leaves(&mut self, number: u64) -> Done<()> {
        self.moves += u64::from(!matches!(self.node(number)?.node, Node::File(_)));
        Ok(())
    }

    fn release(&mut self, number: u64) -> Done<()> {
        self.leaves(number)?;
        let inode = self.node_mut(number)?;
        inode.links -= 1;
        if inode.links == 0 {
            let gone = self.nodes.remove(&number);
            self.power.bury(number, gone);
        }
        self.changes += 1;
        Ok(())
    }

    fn is_below(&self, mut dir: u64, above: u64) -> Done<bool> {
        while dir != above && dir != ROOT {
            dir = self.node(dir)?.parent;
        }
        Ok(dir == above)
    }

    fn vacant(&self, path: &Path) -> Done<Place> {
        let place = self.place(path)?;
        match place.inode {
            Some(_) => Err(Errno::EEXIST),
            None => check_name(&place.name).map(|()| place),
        }
    }

    fn enter(&mut self, place: Place, node: Node, mode: u32) -> Done<()> {
        let device = self.node(place.dir)?.device;
        let number = self.next;
        self.next += 1;
        let (mode, links, named, parent) = (mode & 0o7777, 1, 0, place.dir);
        let inode = Inode { node, mode, uid: 0, gid: 0, links, device, named, written: new_time(), parent };
        self.nodes.insert(number, inode);
        self.names_mut(place.dir)?.insert(place.name, number);
        Ok(())
    }

    pub(super) fn node(&self, number: u64) -> Done<&Inode> {
        self.nodes.get(&number).ok_or(Errno::EIO)
    }

    fn node_mut(&mut self, number: u64) -> Done<&mut Inode> {
        self.nodes.get_mut(&number).ok_or(Errno::EIO)
    }

    pub(super) fn names(&self, dir: u64) -> Done<&BTreeMap<OsString, u64>> {
        match &self.node(dir)?.node {
            Node::Dir(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self, dir: u64) -> Done<&mut BTreeMap<OsString, u64>> {
        self.changes += 1;
        self.remember_names(dir);
        let changes = self.changes;
        let inode = self.node_mut(dir)?;
        inode.named = changes;
        match &mut inode.node {
            Node::Dir(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }
}

fn check_name(name: &OsStr) -> Done<()> {
    if name == "." { Err(Errno::EBUSY) } else { Ok(()) }
}
