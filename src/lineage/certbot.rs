//! certbot's directories: `live/NAME/*.pem` are links into `archive/NAME/`, moved one by one at a renewal.

use super::{BUNDLE, CERT, CHAIN, FULLCHAIN, Generation, GenerationId, PRIVKEY, pem};
use crate::env::{Files, Kind};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// The lineages that `live/` holds: its directories, sorted. Names that start with a dot are passed over.
pub fn lineages(files: &dyn Files, live: &Path) -> std::io::Result<Vec<String>> {
    let names = files.list(live)?.into_iter().filter_map(|name| name.into_string().ok());
    let is_lineage = |name: &String| {
        !name.starts_with('.') && files.stat(&live.join(name), true).is_ok_and(|stat| stat.kind == Kind::Dir)
    };
    Ok(names.filter(is_lineage).collect())
}

/// Reads the generation that a directory of links (or of files) shows, if it is complete: full chain and key are there, the
/// key is the leaf's, and `cert.pem` and `chain.pem` tell the same. The error says what is wrong with which file.
pub fn read_set(files: &dyn Files, dir: &Path) -> Result<Generation, String> {
    let members = members(files, dir)?;
    let read = |name: &str| files.read(&dir.join(name)).map_err(|error| error.to_string());
    let wrong = |name: &str, why: String| format!("{}: {why}", dir.join(name).display());
    let chain = pem::chain(&read(FULLCHAIN)?).map_err(|why| wrong(FULLCHAIN, why))?;
    pem::check_key(&read(PRIVKEY)?, &chain.certificates[0]).map_err(|why| wrong(PRIVKEY, why))?;
    for (name, part) in [(CERT, &chain.certificates[..1]), (CHAIN, &chain.certificates[1..])] {
        if members.iter().any(|(member, _)| member == name) {
            let told = pem::certificates(&read(name)?).map_err(|why| wrong(name, why))?;
            if told != part {
                return Err(wrong(name, format!("does not fit {FULLCHAIN}: a renewal is under way or broke off")));
            }
        }
    }
    Ok(Generation { id: GenerationId::of(&chain), chain, files: members })
}

/// The names of a set with their real paths: links to files, and `.pem` files. README, links that lead nowhere and the
/// like are passed over. A `.pem` file that cannot be looked at is not: a set without it would be kept and served as a whole one.
fn members(files: &dyn Files, dir: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let names = files.list(dir).map_err(|error| error.to_string())?;
    let (mut members, mut folders) = (Vec::new(), Folders::default());
    for name in names.into_iter().filter_map(|name| name.into_string().ok()) {
        let (path, pem) = (dir.join(&name), name.ends_with(".pem"));
        let is_link = || files.stat(&path, false).is_ok_and(|stat| stat.kind == Kind::Link);
        if name.starts_with('.') || name == BUNDLE || !(pem || is_link()) {
            continue;
        }
        let mut real = || match files.stat(&path, true)?.kind {
            Kind::File => folders.real_path(files, &path).map(Some),
            _ => Ok(None),
        };
        match real() {
            Ok(Some(real)) => members.push((name, real)),
            Err(error) if pem && error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
            Ok(None) | Err(_) => {}
        }
    }
    Ok(members)
}

/// Folders by the names they are reached by: the files of a set are all in one or two.
#[derive(Default)]
struct Folders(Vec<(PathBuf, PathBuf)>);

impl Folders {
    /// The real path of a file.
    fn real_path(&mut self, files: &dyn Files, path: &Path) -> io::Result<PathBuf> {
        let target = match files.target(path) {
            Ok(target) => path.with_file_name(target),
            Err(_) => path.to_owned(),
        };
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else { return files.real_path(path) };
        let real = self.folder(files, folder)?.join(name);
        match files.stat(&real, false)?.kind {
            // A link to a link: the system knows the way.
            Kind::Link => files.real_path(path),
            _ => Ok(real),
        }
    }

    fn folder(&mut self, files: &dyn Files, folder: &Path) -> io::Result<PathBuf> {
        if let Some((_, real)) = self.0.iter().find(|(known, _)| known == folder) {
            return Ok(real.clone());
        }
        let real = files.real_path(folder)?;
        self.0.push((folder.to_owned(), real.clone()));
        Ok(real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real::Real;
    use std::{fs, os::unix::fs::symlink};

    /// What is read of a good set with one more link, from this name to there.
    fn with_link(name: &str, target: &str) -> Result<Vec<String>, String> {
        let (dir, data) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"));
        for (name, from) in [(FULLCHAIN, "ecdsa-fullchain.pem"), (PRIVKEY, "ecdsa.key")] {
            fs::copy(data.join(from), dir.path().join(name)).unwrap();
        }
        symlink(target, dir.path().join(name)).unwrap();
        let read = read_set(&Real::new("/nonexistent".into()), dir.path());
        read.map(|set| set.files.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_missing() {
        for (name, target, expected) in [
            ("x.pem", PRIVKEY, Ok(vec![FULLCHAIN, PRIVKEY, "x.pem"])),
            ("x", PRIVKEY, Ok(vec![FULLCHAIN, PRIVKEY, "x"])),
            ("x.pem", "nowhere", Ok(vec![FULLCHAIN, PRIVKEY])),
            ("x", "x", Ok(vec![FULLCHAIN, PRIVKEY])),
            // A link that leads to itself stands for every error of a disk.
            ("x.pem", "x.pem", Err("x.pem")),
            ("chain.pem", "chain.pem", Err("chain.pem")),
        ] {
            match (with_link(name, target), expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected, "{name} -> {target}"),
                (Err(why), Err(word)) => assert!(why.contains(word), "{why}"),
                (read, expected) => panic!("{name} -> {target}: {read:?}, not {expected:?}"),
            }
        }
    }
}
