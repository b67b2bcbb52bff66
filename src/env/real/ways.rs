//! Real paths: the folders that many of them have in common are looked at once.

use fs_err as fs;
use std::{
    collections::HashMap,
    io,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What was found is good for so long; a program that stays must see that a folder was moved.
const FRESH: Duration = Duration::from_secs(1);
/// More folders than this are not remembered; all are forgotten then.
const MOST: usize = 1024;

/// Folders by the names they were reached by, and when the first was looked at.
#[derive(Default)]
pub(super) struct Ways(Mutex<Option<(Instant, HashMap<PathBuf, PathBuf>)>>);

impl Ways {
    /// `path` without links and dots.
    pub fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| (Instant::now(), HashMap::new()));
        if known.0.elapsed() > FRESH || known.1.len() > MOST {
            *known = (Instant::now(), HashMap::new());
        }
        // Links, and whatever is wrong: the system knows.
        step(&mut known.1, path).map_or_else(|| fs::canonicalize(path), Ok)
    }
}

fn step(known: &mut HashMap<PathBuf, PathBuf>, path: &Path) -> Option<PathBuf> {
    if let Some(real) = known.get(path) {
        return Some(real.clone());
    }
    let (Some(above), Some(last)) = (path.parent(), path.components().next_back()) else {
        return path.is_absolute().then(|| path.to_owned());
    };
    let over = step(known, above)?;
    let here = match last {
        Component::Normal(name) => over.join(name),
        // Nothing is above what is no folder.
        Component::ParentDir => {
            let is_folder = over.parent().is_none() || known.contains_key(above);
            return is_folder.then(|| over.parent().map_or(over.clone(), Path::to_owned));
        }
        _ => return None,
    };
    let kind = std::fs::symlink_metadata(&here).ok()?.file_type();
    let real = if kind.is_symlink() { std::fs::canonicalize(&here).ok()? } else { here };
    if kind.is_dir() || std::fs::metadata(&real).is_ok_and(|found| found.is_dir()) {
        known.insert(path.to_owned(), real.clone());
    }
    Some(real)
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
        ways.real_path(&link.join("b")).unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        std::fs::remove_file(&link).unwrap();
        symlink("c", &link).unwrap();
        std::thread::sleep(FRESH + Duration::from_millis(50));
        assert!(ways.real_path(&link.join("b")).unwrap().ends_with("c/b"));
    }
}
