//! The files: read, changed and replaced, beside other programs that do the same.

use super::{
    edit::{Edit, Edited, edit},
    text::Refused,
};
use crate::{
    env::{Env, Kind, Lock, Stat, TEMPORARY},
    provider::Outcome,
};
use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

/// Another program that holds the lock is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// A file that changes while it is being changed is tried so often.
const TRIES: usize = 4;
/// Mode of a file that was not there: whoever asks the name server may read it as well.
const MODE: u32 = 0o644;

/// A file whose lock is held.
struct File<'a> {
    env: &'a dyn Env,
    /// Not a link.
    path: PathBuf,
    _lock: Lock,
}

/// The file as it was seen.
struct Seen {
    stat: Option<Stat>,
    bytes: Vec<u8>,
}

/// What a file becomes.
struct New {
    seen: Seen,
    bytes: Vec<u8>,
}

/// Makes the edits in each of these files, with `before` just before the first byte changes. What became of each edit: changed if it
/// changed one of the files. An error: what holds for all of them.
pub(super) fn edit_all(
    env: &dyn Env,
    paths: &[PathBuf],
    edits: &[Edit<'_>],
    before: &dyn Fn() -> Result<(), Outcome>,
) -> Result<Vec<Result<Edited, Outcome>>, Outcome> {
    let mut files = Vec::new();
    for path in paths {
        let path = real(env, path)?;
        if files.iter().all(|file: &File<'_>| file.path != path) {
            files.push(File::open(env, path)?);
        }
    }
    let mut made: Vec<Result<Edited, Outcome>> = vec![Ok(Edited::Already); edits.len()];
    for _ in 0..TRIES {
        // All are looked at before one is changed.
        let mut news = Vec::new();
        for file in &files {
            news.push(file.work_out(edits)?);
        }
        if news.iter().any(|(new, _)| new.bytes != new.seen.bytes || new.seen.stat.is_none()) {
            before()?;
        }
        let mut calm = true;
        for (file, (new, edited)) in files.iter().zip(news) {
            if !file.replace(&new)? {
                calm = false;
                break;
            }
            for (made, edited) in made.iter_mut().zip(edited) {
                note(made, edited, &file.path);
            }
        }
        if calm {
            return Ok(made);
        }
    }
    let names: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
    Err(Outcome::Temporary(format!(
        "{} changed whenever it was to be written: another program is at work there",
        names.join(", ")
    )))
}

/// Removes what a run that was killed may have left beside the files. One that cannot be removed harms nobody.
pub(super) fn sweep(env: &dyn Env, paths: &[PathBuf]) {
    for dir in paths.iter().filter_map(|path| path.parent()) {
        let names = env.list(dir).unwrap_or_default();
        for name in names.iter().filter(|name| name.to_string_lossy().starts_with(TEMPORARY)) {
            let _ = env.remove(&dir.join(name));
        }
    }
}

fn note(made: &mut Result<Edited, Outcome>, edited: Edited, path: &Path) {
    match edited {
        Edited::Already => {}
        Edited::Changed => *made = made.clone().map(|_| Edited::Changed),
        Edited::Not(line, why) => *made = Err(Outcome::Failed(format!("{}:{line}: {why}", path.display()))),
    }
}

/// The file that a link leads to, so that the link stays.
fn real(env: &dyn Env, path: &Path) -> Result<PathBuf, Outcome> {
    let error = |error: std::io::Error| Outcome::Failed(error.to_string());
    match env.stat(path, false) {
        Ok(stat) if stat.kind == Kind::Link => env.real_path(path).map_err(error),
        Ok(stat) if stat.kind != Kind::File => {
            Err(Outcome::Failed(format!("{} is not a regular file", path.display())))
        }
        Err(why) if why.kind() != ErrorKind::NotFound => Err(error(why)),
        _ => match path.parent().map(|dir| (dir, env.stat(dir, true))) {
            Some((_, Ok(_))) | None => Ok(path.to_owned()),
            Some((dir, Err(why))) => Err(Outcome::Failed(format!(
                "{why}: make the directory {}, which the name server has to be able to read",
                dir.display()
            ))),
        },
    }
}

/// The name beside a file with something before and after its own.
fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let mut name = OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(after);
    path.with_file_name(name)
}

impl<'a> File<'a> {
    fn open(env: &'a dyn Env, path: PathBuf) -> Result<File<'a>, Outcome> {
        let lock = beside(&path, "", ".lock");
        match env.lock(&lock, PATIENCE) {
            Ok(Some(held)) => Ok(File { env, path, _lock: held }),
            Ok(None) => Err(Outcome::Temporary(format!("another program holds {}", lock.display()))),
            Err(error) => Err(Outcome::Failed(format!("the lock file of {} cannot be had: {error}", path.display()))),
        }
    }

    fn see(&self) -> Result<Seen, Outcome> {
        let error = |error: std::io::Error| Outcome::Failed(error.to_string());
        match self.env.stat(&self.path, false) {
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(Seen { stat: None, bytes: Vec::new() }),
            Err(why) => Err(error(why)),
            Ok(stat) if stat.kind != Kind::File => {
                Err(Outcome::Failed(format!("{} is not a regular file", self.path.display())))
            }
            Ok(stat) => Ok(Seen { stat: Some(stat), bytes: self.env.read(&self.path).map_err(error)? }),
        }
    }

    fn work_out(&self, edits: &[Edit<'_>]) -> Result<(New, Vec<Edited>), Outcome> {
        let seen = self.see()?;
        match edit(&seen.bytes, edits) {
            Ok((bytes, edited)) => Ok((New { seen, bytes }, edited)),
            Err(Refused { line, why }) => {
                Err(Outcome::Failed(format!("{}:{line}: {why}; the file has been left as it is", self.path.display())))
            }
        }
    }

    /// Puts the new text in place of the file, if that is still as it was seen; false if it is not.
    fn replace(&self, new: &New) -> Result<bool, Outcome> {
        if new.seen.stat.is_some() && new.bytes == new.seen.bytes {
            return Ok(true);
        }
        let temporary = beside(&self.path, TEMPORARY, "");
        let written = self.prepare(&temporary, new).and_then(|()| {
            let now = self.see()?;
            // The number as well: a file that was replaced by an equal one has another owner to follow.
            let same =
                now.bytes == new.seen.bytes && now.stat.map(|stat| stat.inode) == new.seen.stat.map(|stat| stat.inode);
            if same {
                let error = |error: std::io::Error| Outcome::Failed(error.to_string());
                self.env.rename(&temporary, &self.path).map_err(error)?;
                self.env.sync(&[self.path.parent().unwrap_or(Path::new("/")).to_owned()]).map_err(error)?;
            }
            Ok(same)
        });
        if !matches!(written, Ok(true)) {
            // What stays is written over by the next try.
            let _ = self.env.remove(&temporary);
        }
        written
    }

    /// The new text on disk under another name, with the owner and mode of the file.
    fn prepare(&self, temporary: &Path, new: &New) -> Result<(), Outcome> {
        let error = |error: std::io::Error| Outcome::Failed(error.to_string());
        self.env.write(temporary, &new.bytes, new.seen.stat.map_or(MODE, |stat| stat.mode)).map_err(error)?;
        let Some(stat) = new.seen.stat else { return Ok(()) };
        let made = self.env.stat(temporary, false).map_err(error)?;
        if (made.uid, made.gid) != (stat.uid, stat.gid) {
            self.env.set_owner(temporary, stat.uid, stat.gid).map_err(error)?;
            // A change of owner can take bits away.
            self.env.set_mode(temporary, stat.mode, None).map_err(error)?;
        }
        Ok(())
    }
}
