//! The journal on disk.

use super::{
    Journal, LineageDoc, OwnerDoc,
    changes::{Changes, Content, Print, Prints, Written},
    clock::{Clock, Stamp},
    together::{self, Asked},
};
use crate::{env::Env, name::DnsName};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Error;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    hash::Hash,
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
    /// What each document's file holds; by the bytes of its path, which are compared in less time than the parts of one.
    written: BTreeMap<OsString, Written>,
    prints: Prints,
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
        let (directory, written, prints) = (directory.to_path_buf(), BTreeMap::new(), Prints::default());
        let mut store = Store { directory, journal, written, prints, damaged: Vec::new(), mend };
        let known = store.read::<Clock>(env, &store.directory.join("clock.json"))?;
        if let Some(known) = known {
            store.journal.clock = known.document;
        }
        store.journal.clock.resume(env.boot(), || env.up());
        // Trees that are made of all their members at once have no half-empty nodes.
        let mut lineages = Vec::new();
        for path in store.files(env, "lineages")? {
            let Some(file) = store.read::<LineageDoc>(env, &path)? else { continue };
            if !is_lineage(&file.name) {
                store.written.remove(path.as_os_str());
                store.set_aside::<LineageDoc>(env, &path, &Error::custom("no lineage has such a name"))?;
                continue;
            }
            let mut document = store.dated(&file.epoch, file.document, LineageDoc::forget_times);
            document.shrink();
            lineages.push((file.name, document));
        }
        store.journal.lineages = lineages.into_iter().collect();
        store.journal.owners = store.load_owners(env)?.into_iter().collect();
        store.load_asked(env)?;
        Ok(store)
    }

    fn load_owners(&mut self, env: &dyn Env) -> io::Result<Vec<(DnsName, OwnerDoc)>> {
        let paths = self.files(env, "owners")?;
        let (mut owners, mut failed) = (Vec::with_capacity(paths.len()), Ok(()));
        env.read_each(&paths, &mut |place, bytes| {
            if failed.is_ok() {
                match self.owner(env, &paths[place], bytes) {
                    Ok(owner) => owners.extend(owner),
                    Err(error) => failed = Err(error),
                }
            }
        });
        failed.map(|()| owners)
    }

    /// The owner that a file tells of.
    fn owner(
        &mut self,
        env: &dyn Env,
        path: &Path,
        bytes: io::Result<Vec<u8>>,
    ) -> io::Result<Option<(DnsName, OwnerDoc)>> {
        let Some(file) = self.take_in::<OwnerDoc>(env, path, bytes)? else { return Ok(None) };
        if let Some(written) = self.written.get_mut(path.as_os_str()) {
            written.asked = file.document.asked;
        }
        let mut document = self.dated(&file.epoch, file.document, OwnerDoc::forget_times);
        if document.target == document.query {
            document.target = document.query.clone();
        }
        Ok(Some((document.query.clone(), document)))
    }

    /// When owners were asked, as far as that was written down for many together.
    fn load_asked(&mut self, env: &dyn Env) -> io::Result<()> {
        let now = Stamp(self.journal.clock.total);
        for number in 0.. {
            let path = together::file(&self.directory, number);
            let Some(file) = self.read::<Asked>(env, &path)? else { break };
            if file.epoch != self.journal.clock.epoch {
                continue;
            }
            for (asked, names) in file.document.into_iter().filter(|(asked, _)| *asked <= now) {
                for name in names {
                    self.journal.owners.entry(name).and_modify(|owner| owner.asked = owner.asked.max(Some(asked)));
                }
            }
        }
        Ok(())
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal alone, for whoever writes nothing.
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// The journal, to be changed. Nothing is written before [`Store::commit`].
    pub fn edit(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Makes everything that has changed durable, in one go. The clock goes first, so that no stamp outlives it.
    pub fn commit(&mut self, env: &dyn Env) -> io::Result<()> {
        let now = self.journal.clock.read(env.boot());
        tracing::trace!(now = now.0, "journal");
        let Changes { files, known, there } = self.changes()?;
        if !files.is_empty() {
            self.write_clock(env)?;
            let mut broken = Ok(());
            let mut in_words = files.iter().map_while(|(path, content)| match self.in_words(content) {
                Ok(bytes) => Some((path.clone(), bytes)),
                Err(error) => {
                    broken = Err(error);
                    None
                }
            });
            env.write_each(&mut in_words, 0o600)?;
            broken?;
            self.written.extend(files.into_iter().map(|(path, _)| path.into_os_string()).zip(known));
        }
        self.sweep(env, &there)
    }

    fn in_words(&self, content: &Content) -> io::Result<Vec<u8>> {
        match content {
            Content::Lineage(name) => self.encode(name, self.journal.lineages.get(name)),
            Content::Owner(name) => self.encode(name.as_str(), self.journal.owners.get(name)),
            Content::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    /// Writes the clock, so that the time until now counts for the next run.
    pub fn tick(&mut self, env: &dyn Env) -> io::Result<()> {
        self.journal.clock.read(env.boot());
        self.write_clock(env)
    }

    fn write_clock(&self, env: &dyn Env) -> io::Result<()> {
        let bytes = self.encode("clock", &self.journal.clock)?;
        env.write_all(&[(self.directory.join("clock.json"), bytes)], 0o600)
    }

    /// Removes the files of documents that are gone; these are there.
    fn sweep(&mut self, env: &dyn Env, there: &BTreeSet<OsString>) -> io::Result<()> {
        let gone: Vec<PathBuf> = self.written.keys().filter(|path| !there.contains(*path)).map(PathBuf::from).collect();
        for path in gone {
            match env.remove(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => drop(self.written.remove(path.as_os_str())),
            }
        }
        Ok(())
    }

    /// The files that are to be written.
    fn changes(&mut self) -> io::Result<Changes> {
        let mut changes = Changes::default();
        for (name, document) in &self.journal.lineages {
            let path = self.directory.join("lineages").join(file_name(name));
            let content = || Ok(Content::Lineage(name.clone()));
            self.take(&mut changes, path, (name, document, None), content)?;
        }
        let mut owners = std::mem::take(&mut self.journal.owners);
        let taken = self.take_owners(&mut owners, &mut changes);
        self.journal.owners = owners;
        taken.map(|()| changes)
    }

    /// The files of owners. Each owner is as it was in the end.
    fn take_owners(&self, owners: &mut BTreeMap<DnsName, OwnerDoc>, changes: &mut Changes) -> io::Result<()> {
        let mut only_asked = Vec::new();
        for (name, owner) in owners.iter_mut() {
            let path = owner_file(&self.directory, name);
            let known = self.written.get(path.as_os_str());
            match (owner.asked, known.and_then(|known| known.asked)) {
                (Some(asked), Some(before)) if before < asked => {
                    owner.asked = Some(before);
                    let print = self.print(name.as_str(), owner);
                    owner.asked = Some(asked);
                    if known.map(|known| known.print) == Some(print) {
                        only_asked.push((asked, name.clone()));
                        changes.there.insert(path.into());
                        continue;
                    }
                }
                _ => {}
            }
            let content = || Ok(Content::Owner(name.clone()));
            self.take(changes, path, (name.as_str(), owner, owner.asked), content)?;
        }
        if only_asked.len() < together::WORTH {
            for (asked, name) in only_asked.drain(..) {
                let Some(owner) = owners.get(&name) else { continue };
                let path = owner_file(&self.directory, &name);
                self.take(changes, path, (name.as_str(), owner, Some(asked)), || Ok(Content::Owner(name.clone())))?;
            }
        }
        for (number, document) in together::documents(&only_asked).iter().enumerate() {
            let path = together::file(&self.directory, number);
            let content = || self.encode("asked", document).map(Content::Bytes);
            self.take(changes, path, ("asked", document, None), content)?;
        }
        Ok(())
    }

    fn take<T: Hash>(
        &self,
        changes: &mut Changes,
        path: PathBuf,
        (name, document, asked): (&str, &T, Option<Stamp>),
        content: impl FnOnce() -> io::Result<Content>,
    ) -> io::Result<()> {
        let written = Written { print: self.print(name, document), asked };
        changes.take(&self.written, path, written, content)
    }

    fn print<T: Hash>(&self, name: &str, document: &T) -> Print {
        self.prints.of(VERSION, &self.journal.clock.epoch, name, document)
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

    fn read<T: DeserializeOwned + Hash>(&mut self, env: &dyn Env, path: &Path) -> io::Result<Option<File<T>>> {
        self.take_in(env, path, env.read(path))
    }

    /// What a file says, from what reading it gave.
    fn take_in<T: DeserializeOwned + Hash>(
        &mut self,
        env: &dyn Env,
        path: &Path,
        bytes: io::Result<Vec<u8>>,
    ) -> io::Result<Option<File<T>>> {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let read = serde_json::from_slice::<File<T>>(&bytes);
        // What a later version wrote may not be what is expected here, apart from that.
        let version = match &read {
            Ok(file) => file.version,
            Err(_) => serde_json::from_slice(&bytes).map_or(0, |Version { version }| version),
        };
        if version > VERSION {
            let path = path.display();
            let text =
                format!("{path} has format {version}, this program knows {VERSION}: install the later daneroll again");
            return Err(io::Error::other(text));
        }
        match read {
            Ok(file) => {
                // The clock is written whenever anything is.
                if !path.ends_with("clock.json") {
                    let print = self.prints.of(file.version, &file.epoch, &file.name, &file.document);
                    self.written.insert(path.into(), Written { print, asked: None });
                }
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

/// Names of the lineages that the journal in `directory` has a file for, also where the file is damaged or from a later version.
pub fn lineages_of(env: &dyn Env, directory: &Path) -> io::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let folder = directory.join("lineages");
    let name = |file: OsString| {
        let plain = file.to_str()?.strip_suffix(".json")?.to_owned();
        if file_name(&plain).as_bytes() == file.as_encoded_bytes() {
            return Some(plain);
        }
        // A file that is named by a digest tells the name itself.
        let named: Named = serde_json::from_slice(&env.read(&folder.join(file)).ok()?).ok()?;
        is_lineage(&named.name).then_some(named.name)
    };
    Ok(env.list(&folder)?.into_iter().filter_map(name).collect())
}

/// A name that does not lead out of the dane directory.
fn is_lineage(name: &str) -> bool {
    !(name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']))
}

/// The name of a lineage's lock file, and of its pin mark, in the state directory.
pub fn lineage_file(directory: &Path, name: &str, extension: &str) -> PathBuf {
    directory.join("pins").join(file_name(name)).with_extension(extension)
}

/// Query names are the keys of the owners' files.
pub fn owner_file(directory: &Path, name: &DnsName) -> PathBuf {
    directory.join("owners").join(file_name(name.without_dot()))
}
