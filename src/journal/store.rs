//! The journal on disk.

use super::{Journal, LineageDoc, OwnerDoc, clock::Clock};
use crate::{env::Env, name::DnsName};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Error;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Version of the files' format. Files of a later one are not touched: the program says so and stops.
const VERSION: u32 = 1;

/// A file: the document with its version and the epoch of the clock that its stamps belong to.
#[derive(Serialize, Deserialize)]
struct File<T> {
    version: u32,
    #[serde(default)]
    epoch: String,
    /// The lineage's name: a file name can be a digest of it.
    name: String,
    document: T,
}

/// The journal, the files it was read from, and what is to be told about them.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    journal: Journal,
    written: BTreeMap<PathBuf, Vec<u8>>,
    /// Files that could not be used: path and reason. They were set aside.
    pub damaged: Vec<String>,
    mend: bool,
}

impl Store {
    /// Reads the journal in `directory`, which is made with mode 0700 if missing. A damaged file is renamed to `….damaged` and
    /// told in [`Store::damaged`]. Fails if the directory cannot be used, or was written by a later version.
    pub fn open(env: &dyn Env, directory: &Path) -> io::Result<Store> {
        let missing = |name: &str| env.stat(&directory.join(name), true).is_err();
        let begins = ["lineages", "owners", "clock.json"].map(missing).contains(&true);
        for part in ["lineages", "owners"] {
            env.make_dir(&directory.join(part), 0o700)?;
        }
        if begins {
            // No file is safer than the folders above it.
            let above = [Some(directory), directory.parent()].into_iter().flatten();
            env.sync(&above.map(Path::to_owned).collect::<Vec<_>>())?;
        }
        Store::load(env, directory, true)
    }

    /// Reads the journal for a look at it: nothing is made, renamed or written.
    pub fn look(env: &dyn Env, directory: &Path) -> io::Result<Store> {
        Store::load(env, directory, false)
    }

    fn load(env: &dyn Env, directory: &Path, mend: bool) -> io::Result<Store> {
        let clock = Clock::start(env.boot());
        let journal = Journal { clock, lineages: BTreeMap::new(), owners: BTreeMap::new() };
        let mut store =
            Store { directory: directory.into(), journal, written: BTreeMap::new(), damaged: Vec::new(), mend };
        let known = store.read::<Clock>(env, &directory.join("clock.json"))?;
        if let Some(known) = known {
            store.journal.clock = known.document;
        }
        store.journal.clock.read(env.boot());
        for path in store.files(env, "lineages")? {
            let Some(file) = store.read::<LineageDoc>(env, &path)? else { continue };
            if file.name.is_empty() || file.name.starts_with('.') || file.name.contains(['/', '\0']) {
                // It would lead out of the dane directory.
                store.written.remove(&path);
                store.set_aside::<LineageDoc>(env, &path, &Error::custom("no lineage has such a name"))?;
                continue;
            }
            let document = store.dated(&file.epoch, file.document, LineageDoc::forget_times);
            store.journal.lineages.insert(file.name, document);
        }
        for path in store.files(env, "owners")? {
            if let Some(file) = store.read::<OwnerDoc>(env, &path)? {
                let document = store.dated(&file.epoch, file.document, OwnerDoc::forget_times);
                store.journal.owners.insert(document.query.clone(), document);
            }
        }
        Ok(store)
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal, to be changed. Nothing is written before [`Store::commit`].
    pub fn edit(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Makes everything that has changed durable, in one go. The clock goes first, so that no stamp outlives it.
    pub fn commit(&mut self, env: &dyn Env) -> io::Result<()> {
        let now = self.journal.clock.read(env.boot());
        tracing::trace!(now = now.0, "journal");
        let mut contents = self.contents()?;
        let changed = |(path, bytes): &(&PathBuf, &Vec<u8>)| self.written.get(*path) != Some(*bytes);
        let (clock, documents): (Vec<_>, Vec<_>) = contents
            .iter()
            .filter(changed)
            .map(|(path, bytes)| (path.clone(), bytes.clone()))
            .partition(|(path, _)| path.ends_with("clock.json"));
        let clock_path = self.directory.join("clock.json");
        if let (true, Some(written)) = (documents.is_empty(), self.written.get(&clock_path)) {
            contents.insert(clock_path, written.clone());
            return self.sweep(env, contents);
        }
        env.write_all(&clock, 0o600)?;
        env.write_all(&documents, 0o600)?;
        self.sweep(env, contents)
    }

    /// Writes the clock, so that the time until now counts for the next run.
    pub fn tick(&mut self, env: &dyn Env) -> io::Result<()> {
        self.journal.clock.read(env.boot());
        let path = self.directory.join("clock.json");
        let bytes = self.encode("clock", &self.journal.clock)?;
        env.write_all(&[(path.clone(), bytes.clone())], 0o600)?;
        self.written.insert(path, bytes);
        Ok(())
    }

    /// Removes the files of documents that are gone.
    fn sweep(&mut self, env: &dyn Env, contents: BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
        let clock = self.directory.join("clock.json");
        for path in self.written.keys().filter(|path| !contents.contains_key(*path) && **path != clock) {
            match env.remove(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.written = contents;
        Ok(())
    }

    fn contents(&self) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut contents = BTreeMap::new();
        contents.insert(self.directory.join("clock.json"), self.encode("clock", &self.journal.clock)?);
        for (name, document) in &self.journal.lineages {
            contents.insert(self.directory.join("lineages").join(file_name(name)), self.encode(name, document)?);
        }
        for (name, document) in &self.journal.owners {
            let path = self.directory.join("owners").join(file_name(name.without_dot()));
            contents.insert(path, self.encode(name.as_str(), document)?);
        }
        Ok(contents)
    }

    fn encode<T: Serialize>(&self, name: &str, document: T) -> io::Result<Vec<u8>> {
        let epoch = self.journal.clock.epoch.clone();
        let mut bytes = serde_json::to_vec_pretty(&File { version: VERSION, epoch, name: name.into(), document })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn files(&self, env: &dyn Env, part: &str) -> io::Result<Vec<PathBuf>> {
        let folder = self.directory.join(part);
        let names = match env.list(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        Ok(names
            .iter()
            .map(|name| folder.join(name))
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .collect())
    }

    /// Stamps of another clock, or from the future, mean nothing: the document forgets all its times.
    fn dated<T>(&self, epoch: &str, document: T, forget: fn(T, &Clock, bool) -> T) -> T {
        forget(document, &self.journal.clock, epoch != self.journal.clock.epoch)
    }

    fn read<T: DeserializeOwned>(&mut self, env: &dyn Env, path: &Path) -> io::Result<Option<File<T>>> {
        let bytes = match env.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if let Ok(Version { version }) = serde_json::from_slice(&bytes)
            && version > VERSION
        {
            let path = path.display();
            let text =
                format!("{path} has format {version}, this program knows {VERSION}: install the later daneroll again");
            return Err(io::Error::other(text));
        }
        match serde_json::from_slice(&bytes) {
            Ok(file) => {
                self.written.insert(path.into(), bytes);
                Ok(Some(file))
            }
            Err(error) => self.set_aside(env, path, &error),
        }
    }

    fn set_aside<T>(&mut self, env: &dyn Env, path: &Path, error: &Error) -> io::Result<Option<File<T>>> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        if self.mend {
            env.rename(path, Path::new(&aside))?;
        }
        let (path, aside) = (path.display(), aside.display());
        let kept = if self.mend { "kept as" } else { "the next run keeps it as" };
        self.damaged.push(format!("journal file {path} is damaged ({error}): {kept} {aside}; its waits start anew"));
        Ok(None)
    }
}

/// The file name for a lineage or an owner: the name itself if it is a plain one, else with a digest in place of the rest.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-*@".contains(c);
    if name.len() <= 200 && name.chars().all(plain) && !name.starts_with('.') {
        return format!("{name}.json");
    }
    let start: String = name.chars().filter(|c| plain(*c) && *c != '.').take(100).collect();
    format!("{start}~{}.json", HEXLOWER.encode(&digest(&SHA256, name.as_bytes()).as_ref()[..8]))
}

/// The name of a lineage's lock file, and of its pin mark, in the state directory.
pub fn lineage_file(directory: &Path, name: &str, extension: &str) -> PathBuf {
    directory.join("pins").join(file_name(name)).with_extension(extension)
}

/// Query names are the keys of the owners' files.
pub fn owner_file(directory: &Path, name: &DnsName) -> PathBuf {
    directory.join("owners").join(file_name(name.without_dot()))
}
