//! What the reader of a configuration asks of the world: users, groups, secret files.

use crate::{
    env::{Env, Stat, User},
    trust::{self, Broken, Use},
};
use nix::unistd;
use std::{io, path::Path};
use zeroize::Zeroizing;

/// What the reader of a configuration asks of the world.
pub trait Lookups {
    /// The user of that name or number; `None` if there is none.
    fn user(&self, name: &str) -> Result<Option<User>, String>;
    /// Name and gid of the group of that name or number; `None` if there is none.
    fn group(&self, name: &str) -> Result<Option<(String, u32)>, String>;
    /// What `path` is, links followed.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Files of an [`Env`], users and groups of this machine.
pub struct System<'a>(pub &'a dyn Env);

impl Lookups for System<'_> {
    fn user(&self, name: &str) -> Result<Option<User>, String> {
        user(name)
    }

    fn group(&self, name: &str) -> Result<Option<(String, u32)>, String> {
        group(name)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.0.stat(path, true)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
}

/// The user of that name or number on this machine.
fn user(name: &str) -> Result<Option<User>, String> {
    let found = match name.parse::<u32>() {
        Ok(uid) => unistd::User::from_uid(uid.into()),
        Err(_) => unistd::User::from_name(name),
    };
    let user = found.map_err(|errno| format!("the users of this machine cannot be looked up: {}", errno.desc()))?;
    Ok(user.map(|user| User { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
}

/// The group of that name or number on this machine.
fn group(name: &str) -> Result<Option<(String, u32)>, String> {
    let found = match name.parse::<u32>() {
        Ok(gid) => unistd::Group::from_gid(gid.into()),
        Err(_) => unistd::Group::from_name(name),
    };
    let group = found.map_err(|errno| format!("the groups of this machine cannot be looked up: {}", errno.desc()))?;
    Ok(group.map(|group| (group.name, group.gid.as_raw())))
}

/// Which rule a file breaks, and what to do.
type Told = (String, Option<String>);

/// Reads a file that holds a secret.
pub(super) fn secret_file(lookups: &dyn Lookups, path: &Path) -> Result<Zeroizing<String>, Told> {
    is_secret(lookups, path)?;
    let bytes = lookups.read(path).map_err(|error| unreadable(&error, path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        (format!("{} is not text", path.display()), None)
    })?;
    Ok(Zeroizing::new(text))
}

/// May a secret stand in this file?
pub(super) fn is_secret(lookups: &dyn Lookups, path: &Path) -> Result<(), Told> {
    let stat = lookups.stat(path).map_err(|error| unreadable(&error, path))?;
    trusted(lookups, Use::Secret, path, &stat)
}

/// May this file be gone by? (See [`trust`].)
pub(super) fn trusted(lookups: &dyn Lookups, used: Use, path: &Path, stat: &Stat) -> Result<(), Told> {
    let us = (unistd::geteuid().as_raw(), unistd::getegid().as_raw());
    let judged = trust::file(used, path, stat, us);
    let judged = judged.and_then(|()| trust::above(path, |directory| lookups.stat(directory).ok()));
    judged.map_err(|Broken { message, hint }| (message, hint))
}

fn unreadable(error: &io::Error, path: &Path) -> Told {
    (format!("{} cannot be read: {}", path.display(), reason(error, path)), None)
}

/// What went wrong, without the path if the error names it already.
pub(super) fn reason(error: &io::Error, path: &Path) -> String {
    let text = error.to_string();
    let shown = path.display().to_string();
    if let Some((_, why)) = text.split_once(&format!("`{shown}`: ")) {
        return why.to_owned();
    }
    text.strip_prefix(&shown).map_or(text.clone(), |rest| rest.trim_start_matches([':', ' ']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_of_this_machine() {
        for name in ["root", "0"] {
            assert_eq!(user(name), Ok(Some(User { name: "root".into(), uid: 0, gid: 0 })));
            assert_eq!(group(name), Ok(Some(("root".into(), 0))));
        }
        for name in ["no such user", "", "4294967294"] {
            assert_eq!((user(name), group(name)), (Ok(None), Ok(None)), "{name}");
        }
    }

    #[test]
    fn the_path_is_named_once() {
        for (text, expected) in [
            ("/x: no such file", "no such file"),
            ("no such file", "no such file"),
            ("failed to open file `/x`: no such file", "no such file"),
        ] {
            assert_eq!(reason(&io::Error::other(text), Path::new("/x")), expected);
        }
    }
}
