//! Whose word is taken: the one rule for files that say what a program with the rights of root does.
//!
//! | | written by others | read by others |
//! |---|---|---|
//! | configuration | refused | |
//! | secrets: keys, tokens, a configuration that holds one | refused | refused, the file's own group apart |
//! | programs: `api = exec`, `reload`, `refresh:`, `notify` | refused | |
//!
//! "Others" are everybody but root and the user that daneroll runs as (for a program: that it runs as), and members of another group
//! than theirs. A directory that everybody may write to is as good as the file, unless it is sticky.

use crate::env::{Kind, Stat};
use std::path::Path;

/// What a file is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The configuration.
    Configuration,
    /// It holds a secret.
    Secret,
    /// It is run.
    Program,
}

/// Which rule a file breaks, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub message: String,
    /// The cure, if it is a command.
    pub hint: Option<String>,
}

/// Judges a file. `us`: the uid and gid whose word counts beside root's.
pub fn file(used: Use, path: &Path, stat: &Stat, us: (u32, u32)) -> Result<(), Broken> {
    let shown = path.display();
    let broken = |message: String, hint: String| Err(Broken { message, hint: Some(hint) });
    if stat.kind != Kind::File {
        return Err(Broken { message: format!("{shown} is not a regular file"), hint: None });
    }
    let (mode, holds) = (stat.mode, if used == Use::Secret { "holds a secret and " } else { "" });
    for (bit, verb) in [(0o004, "read"), (0o002, "changed")] {
        if mode & bit != 0 && (used == Use::Secret || bit == 0o002) {
            let cure = if used == Use::Secret { format!("chmod o= {shown}") } else { format!("chmod o-w {shown}") };
            let message = format!("{shown} {holds}can be {verb} by everybody (mode {mode:04o})");
            return broken(message, format!("run \"{cure}\""));
        }
    }
    let own_group = [0, us.1].contains(&stat.gid);
    if mode & 0o020 != 0 && !own_group {
        let message = format!("{shown} {holds}can be changed by the members of group {} (mode {mode:04o})", stat.gid);
        return broken(message, format!("run \"chmod g-w {shown}\""));
    }
    // Whoever serves a zone has its key anyway.
    if used != Use::Secret && ![0, us.0].contains(&stat.uid) {
        let message = format!("{shown} belongs to user {}, who can change it", stat.uid);
        return broken(message, format!("run \"chown root {shown}\""));
    }
    Ok(())
}

/// Judges the directories above a file: in one that everybody may write to, everybody can put another file in its place.
pub fn above(path: &Path, stat: impl Fn(&Path) -> Option<Stat>) -> Result<(), Broken> {
    for directory in path.ancestors().skip(1).filter(|directory| directory.is_absolute()) {
        let Some(Stat { mode, .. }) = stat(directory) else { continue };
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            let (file, directory) = (path.display(), directory.display());
            let message =
                format!("everybody can put another file in the place of {file}, for {directory} has mode {mode:04o}");
            return Err(Broken { message, hint: Some(format!("run \"chmod o-w {directory}\"")) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mode: u32, uid: u32, gid: u32) -> Stat {
        Stat { kind: Kind::File, device: 1, inode: 1, size: 1, mode, uid, gid, changed: None, print: None }
    }

    /// As user 1000 with group 100.
    #[test]
    fn files() {
        use Use::{Configuration, Program, Secret};
        let everybody = Some("everybody");
        for (used, mode, uid, gid, broken) in [
            (Configuration, 0o644, 0, 0, None),
            (Configuration, 0o600, 1000, 100, None),
            (Configuration, 0o664, 0, 0, None),
            (Configuration, 0o664, 1000, 100, None),
            (Configuration, 0o646, 0, 0, everybody),
            (Configuration, 0o666, 0, 0, everybody),
            (Configuration, 0o664, 0, 50, Some("members of group 50")),
            (Configuration, 0o644, 33, 0, Some("belongs to user 33")),
            (Secret, 0o600, 0, 0, None),
            (Secret, 0o640, 0, 110, None), // root:bind
            (Secret, 0o640, 110, 110, None),
            (Secret, 0o644, 0, 0, Some("can be read by everybody")),
            (Secret, 0o602, 0, 0, Some("can be changed by everybody")),
            (Secret, 0o660, 0, 110, Some("members of group 110")),
            (Program, 0o755, 0, 0, None),
            (Program, 0o775, 0, 0, None),
            (Program, 0o755, 1000, 1000, None),
            (Program, 0o757, 0, 0, everybody),
            (Program, 0o777, 1000, 100, everybody),
            (Program, 0o775, 0, 50, Some("members of group 50")),
            (Program, 0o755, 33, 0, Some("chown root")),
        ] {
            let found = file(used, Path::new("/f"), &stat(mode, uid, gid), (1000, 100)).err();
            let told = found.map(|broken| broken.message + &broken.hint.unwrap_or_default());
            assert_eq!(told.is_some(), broken.is_some(), "{used:?} {mode:o} {uid} {gid}: {told:?}");
            assert!(broken.is_none_or(|words| told.as_ref().unwrap().contains(words)), "{used:?} {mode:o}: {told:?}");
        }
        let pipe = Stat { kind: Kind::Other, ..stat(0o600, 0, 0) };
        assert!(file(Use::Secret, Path::new("/f"), &pipe, (0, 0)).unwrap_err().message.contains("not a regular file"));
    }

    #[test]
    fn directories() {
        for (modes, broken) in [
            ([0o755, 0o755, 0o755], None),
            ([0o1777, 0o755, 0o755], None), // /tmp
            ([0o755, 0o2775, 0o755], None), // /usr/local
            ([0o755, 0o755, 0o777], Some("/a/b")),
            ([0o755, 0o777, 0o700], Some("/a ")),
        ] {
            let stat = |path: &Path| {
                let at = ["/", "/a", "/a/b"].iter().position(|known| Path::new(known) == path)?;
                Some(stat(modes[at], 0, 0))
            };
            let found = above(Path::new("/a/b/c"), stat).err().map(|broken| broken.message + " ");
            assert_eq!(found.is_some(), broken.is_some(), "{modes:?}: {found:?}");
            assert!(broken.is_none_or(|dir| found.as_ref().unwrap().contains(dir)), "{modes:?}: {found:?}");
        }
        assert_eq!(above(Path::new("relative/file"), |_| Some(stat(0o777, 0, 0))), Ok(()));
    }
}
