//! Real paths: the folders that many of them have in common are looked at once.

use fs_err as fs;
use std::{
    collections::HashSet,
    io,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What was found is good for so long; a program that stays must see that a folder was moved.
const FRESH: Duration = Duration::from_secs(1);
/// More folders than this are not remembered; all are forgotten then.
const MOST: usize = 1024;

/// Folders that are reached without any link, and when the first of them was looked at. Nothing that goes through a link is
/// remembered: links are what changes, by our own hand above all.
#[derive(Default)]
pub(super) struct Ways(Mutex<Option<(Instant, HashSet<PathBuf>)>>);

impl Ways {
    /// `path` without links and dots.
    pub fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| (Instant::now(), HashSet::new()));
        if known.0.elapsed() > FRESH || known.1.len() > MOST {
            *known = (Instant::now(), HashSet::new());
        }
        // Links, and whatever is wrong: the system knows.
        without_links(&mut known.1, path).map_or_else(|| fs::canonicalize(path), Ok)
    }
}

fn without_links(known: &mut HashSet<PathBuf>, path: &Path) -> Option<PathBuf> {
    let mut at = PathBuf::from("/");
    let mut rest = path.is_absolute().then(|| path.components().skip(1).peekable())?;
    while let Some(component) = rest.next() {
        match component {
            // What was passed until here is a folder.
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => at.push(name),
            _ => return None,
        }
        if at.parent().is_none() || known.contains(&at) {
            continue;
        }
        let kind = std::fs::symlink_metadata(&at).ok()?.file_type();
        if kind.is_dir() {
            known.insert(at.clone());
        } else if kind.is_symlink() || rest.peek().is_some() {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn as_the_system_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/file"), "").unwrap();
        for (link, target) in [("to-b", "a/b"), ("a/up", ".."), ("to-file", "a/file"), ("loop", "loop"), ("gone", "x")]
        {
            symlink(target, at(link)).unwrap();
        }
        let ways = Ways::default();
        for path in [
            "a",
            "a/b",
            "a/b/..",
            "to-b",
            "to-b/..",
            "to-b/../file",
            "a/up/a/./b",
            "a/up/to-b",
            "to-file",
            "a/file",
            "loop",
            "loop/x",
            "gone",
            "missing",
            "a/missing/..",
            "a/file/..",
            "to-file/x",
            "",
        ] {
            for _ in 0..2 {
                let (found, expected) = (ways.real_path(&at(path)), at(path).canonicalize());
                assert_eq!(found.ok(), expected.ok(), "{path}");
            }
        }
        for path in ["/", "/..", ".", "src", "src/../src"] {
            assert_eq!(ways.real_path(Path::new(path)).unwrap(), Path::new(path).canonicalize().unwrap(), "{path}");
        }
    }

    #[test]
    fn what_was_moved_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let (ways, link) = (Ways::default(), dir.path().join("link"));
        symlink("a", &link).unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        ways.real_path(&link.join("b")).unwrap();
        ways.real_path(&link.join("b/..")).unwrap();
        // A link that is led elsewhere, at once.
        std::fs::remove_file(&link).unwrap();
        symlink("d", &link).unwrap();
        assert!(ways.real_path(&link.join("../link")).unwrap().ends_with("d"));
        assert!(ways.real_path(&link.join("b")).is_err());
        // A folder that gives its place to a link, after a while.
        ways.real_path(&dir.path().join("a/b")).unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        symlink("c", dir.path().join("a")).unwrap();
        std::thread::sleep(FRESH + Duration::from_millis(50));
        assert!(ways.real_path(&dir.path().join("a/b")).unwrap().ends_with("c/b"));
    }
}
