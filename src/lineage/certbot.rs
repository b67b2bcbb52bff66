//! certbot's directories: `live/NAME/*.pem` are links into `archive/NAME/`, moved one by one at a renewal.

use super::{
    BUNDLE, CERT, CHAIN, FULLCHAIN, Generation, GenerationId, PRIVKEY, pem,
    sets::{self, Looked},
};
use crate::{
    env::{Files, Kind, Stat},
    tlsa::Chain,
};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The lineages that `live/` holds: its directories, sorted. Names that start with a dot are passed over.
pub fn lineages(files: &dyn Files, live: &Path) -> io::Result<Vec<String>> {
    let names = files.folders(live)?.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

/// Reads the generation that a directory of links (or of files) shows, if it is complete: full chain and key are there, the
/// key is the leaf's, and `cert.pem` and `chain.pem` tell the same. The error says what is wrong with which file.
///
/// What was read once is not read again while a stat tells the same of the files, by whatever names ([`sets`]).
pub fn read_set(files: &dyn Files, dir: &Path) -> Result<Generation, String> {
    let members = members(files, dir)?;
    let looked = Looked::new(KIND, &members.parts());
    let (id, chain) = match looked.as_ref().and_then(sets::known) {
        Some(known) => known,
        None => read_members(files, dir, &members, looked)?,
    };
    let mut files = Vec::with_capacity(members.0.len());
    files.extend(members.0.into_iter().map(|member| (member.name, member.real)));
    Ok(Generation { id, chain, files })
}

/// How sets are read here.
const KIND: &str = "certbot";

fn read_members(
    files: &dyn Files,
    dir: &Path,
    members: &Members,
    looked: Option<Looked>,
) -> Result<(GenerationId, Chain), String> {
    let mut prints = [None; 4];
    let mut complete = true;
    let mut read = |name: &str| {
        let (bytes, print) = files.read_printed(&dir.join(name)).map_err(|error| error.to_string())?;
        if let Some(at) = PARTS.iter().position(|part| *part == name) {
            prints[at] = print;
        }
        complete &= print.is_some();
        Ok::<_, String>(Zeroizing::new(bytes))
    };
    let wrong = |name: &str, why: String| format!("{}: {why}", dir.join(name).display());
    let chain = pem::chain(&read(FULLCHAIN)?).map_err(|why| wrong(FULLCHAIN, why))?;
    pem::check_key(&read(PRIVKEY)?, &chain.certificates[0]).map_err(|why| wrong(PRIVKEY, why))?;
    for (name, part) in [(CERT, &chain.certificates[..1]), (CHAIN, &chain.certificates[1..])] {
        if members.has(name) {
            let told = pem::ders(&read(name)?).map_err(|why| wrong(name, why))?;
            if !told.iter().map(AsRef::as_ref).eq(part.iter().map(|certificate| &*certificate.der)) {
                return Err(wrong(name, format!("does not fit {FULLCHAIN}: a renewal is under way or broke off")));
            }
        }
    }
    let id = GenerationId::of(&chain);
    // What was read may be other than what was looked at.
    if let Some(looked) = looked.filter(|_| complete) {
        sets::remember(&looked.read(KIND, &prints), &id, &chain);
    }
    Ok((id, chain))
}

/// The files that make up a set, as far as daneroll understands them.
const PARTS: [&str; 4] = [CERT, CHAIN, FULLCHAIN, PRIVKEY];

/// What a directory holds for services.
struct Members(Vec<Member>);

struct Member {
    name: String,
    /// Its real path.
    real: PathBuf,
    stat: Stat,
}

impl Members {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|member| member.name == name)
    }

    /// Its parts; `None` for one that is not there.
    fn parts(&self) -> [Option<Stat>; 4] {
        PARTS.map(|part| self.0.iter().find(|member| member.name == part).map(|member| member.stat))
    }
}

/// The names of a set with their real paths: links to files, and `.pem` files. README, links that lead nowhere and the
/// like are passed over. A `.pem` file that cannot be looked at is not: a set without it would be kept and served as a whole one.
fn members(files: &dyn Files, dir: &Path) -> Result<Members, String> {
    let names = files.list(dir).map_err(|error| error.to_string())?;
    let (mut members, mut folders) = (Vec::new(), Folders::default());
    for name in names.into_iter().filter_map(|name| name.into_string().ok()) {
        let pem = name.ends_with(".pem");
        if name.starts_with('.') || name == BUNDLE {
            continue;
        }
        match folders.real(files, &dir.join(&name), pem) {
            Ok(Some((real, stat))) => members.push(Member { name, real, stat }),
            Err(error) if pem && error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
            Ok(None) | Err(_) => {}
        }
    }
    Ok(Members(members))
}

/// Folders by the names they are reached by: the files of a set are all in one or two.
#[derive(Default)]
struct Folders(Vec<(PathBuf, PathBuf)>);

impl Folders {
    /// The real path and the stat of a file; nothing where there is none. `pem`: it need not be a link.
    fn real(&mut self, files: &dyn Files, path: &Path, pem: bool) -> io::Result<Option<(PathBuf, Stat)>> {
        let is_file = |stat: Stat| stat.kind == Kind::File;
        let target = match files.target(path) {
            Ok(target) => path.with_file_name(target),
            Err(_) if pem => path.to_owned(),
            Err(_) => return Ok(None),
        };
        if let (Some(folder), Some(name)) = (target.parent(), target.file_name()) {
            let folder = self.folder(files, folder)?;
            // Thousands of these are kept: no longer than need be.
            let mut real = PathBuf::with_capacity(folder.as_os_str().len() + 1 + name.len());
            real.push(folder);
            real.push(name);
            let stat = files.stat(&real, false)?;
            if stat.kind != Kind::Link {
                return Ok(is_file(stat).then_some((real, stat)));
            }
        }
        // A link to a link: the system knows the way.
        let stat = files.stat(path, true)?;
        if !is_file(stat) {
            return Ok(None);
        }
        files.real_path(path).map(|real| Some((real, stat)))
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
    use std::{
        fs,
        os::unix::fs::symlink,
        time::{Duration, SystemTime},
    };

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
    fn what_was_read_once_is_read_again_when_it_has_changed() {
        let (dir, data) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"));
        let at = |name: &str| dir.path().join(name);
        let age = |name: &str, seconds: u64| {
            let file = fs::File::options().write(true).open(at(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        for (name, from) in [(FULLCHAIN, "ecdsa-fullchain.pem"), (PRIVKEY, "ecdsa.key")] {
            fs::copy(data.join(from), at(name)).unwrap();
            age(name, 20);
        }
        let read = || read_set(&Real::new("/nonexistent".into()), dir.path()).map(|set| set.id);
        let first = read().unwrap();
        assert_eq!(read(), Ok(first.clone()));
        // Another part: no longer the set that is known.
        fs::write(at(CHAIN), "").unwrap();
        assert!(read().unwrap_err().contains(CHAIN));
        fs::remove_file(at(CHAIN)).unwrap();
        let key = fs::read(at(PRIVKEY)).unwrap();
        for seconds in [0, 10] {
            fs::write(at(PRIVKEY), vec![b'x'; key.len()]).unwrap();
            age(PRIVKEY, seconds);
            assert!(read().unwrap_err().contains("no private key"), "{seconds}");
        }
        fs::write(at(PRIVKEY), key).unwrap();
        assert_eq!(read(), Ok(first));
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
