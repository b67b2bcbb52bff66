//! Where certificates come from: certbot's `live/`, or files that an ACME client overwrites in place.

use super::{
    Generation, acme_sh, dehydrated, lego, plain,
    set::{self, Set},
    sets::{self, Looked},
};
use crate::env::{Files, Kind, Stat};
use std::{
    borrow::Cow,
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// `source = …`: who renews the certificate of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// certbot: links in `live/` that lead to an archive.
    #[default]
    Certbot,
    /// A client that overwrites its files. Services never read those: what is complete is copied to our store.
    InPlace(InPlace),
}

/// A client that overwrites its files, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPlace {
    client: Client,
    places: Vec<PathBuf>,
    name: Option<String>,
}

/// What is to be known of a client. Adding one is a file with such a value, and a line in [`CLIENTS`].
#[derive(Clone, Copy)]
pub struct Client {
    /// The word after `source =`.
    pub name: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// The files of the lineage of that name.
    pub files: fn(&Places<'_>, &dyn Files) -> Result<Parts, String>,
}

/// What follows the client's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The files themselves, which are one lineage's.
    Files,
    /// The client's directory (this one, if none is named) and its own name for the lineage, where that is another than ours.
    Directory(Option<&'static str>),
}

/// What a client's files are looked for by.
pub struct Places<'a> {
    /// Its directory; or the files themselves.
    pub paths: &'a [PathBuf],
    /// Its own name for the lineage, where the operator gave one.
    pub named: Option<&'a str>,
    /// Our name: that of the section, with `_` for `*`.
    pub lineage: &'a str,
}

/// The files that make up a set. Together they hold the key, the leaf and what follows it, in whatever order, again and again or
/// not; only they must not contradict each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// These have to be there.
    pub needed: Vec<PathBuf>,
    /// These are read where they are there.
    pub optional: Vec<PathBuf>,
}

/// The clients that there are beside certbot.
pub const CLIENTS: [Client; 4] = [lego::CLIENT, acme_sh::CLIENT, dehydrated::CLIENT, plain::CLIENT];

impl Source {
    /// PEM files, any number of them, in any order.
    pub fn pem(files: Vec<PathBuf>) -> Source {
        Source::InPlace(InPlace::new(plain::CLIENT, files, None))
    }

    /// The client that overwrites its files, if it does.
    pub fn in_place(&self) -> Option<&InPlace> {
        match self {
            Source::Certbot => None,
            Source::InPlace(in_place) => Some(in_place),
        }
    }
}

impl InPlace {
    /// A client's files: in its directory, or these; and its own name for the lineage where that is not the section's.
    pub fn new(client: Client, places: Vec<PathBuf>, name: Option<String>) -> InPlace {
        InPlace { client, places, name }
    }

    /// Does it say which files one lineage has, so that it can be no other's?
    pub fn is_of_one_lineage(&self) -> bool {
        self.client.takes == Takes::Files || self.name.is_some()
    }

    /// The directories and files that the operator named.
    pub fn places(&self) -> &[PathBuf] {
        &self.places
    }

    /// The files of a lineage.
    pub fn parts(&self, files: &dyn Files, lineage: &str) -> Result<Parts, String> {
        let places = Places { paths: &self.places, named: self.name.as_deref(), lineage };
        (self.client.files)(&places, files)
    }

    /// Is there anything of the lineage? The error tells what there ought to be.
    pub fn is_there(&self, files: &dyn Files, lineage: &str) -> Result<(), String> {
        let parts = self.parts(files, lineage)?;
        let missing =
            |path: &&PathBuf| matches!(files.stat(path, true), Err(error) if error.kind() == ErrorKind::NotFound);
        match parts.needed.iter().find(missing) {
            Some(path) if parts.needed.iter().all(|path| missing(&path)) => {
                Err(format!("{} is not there", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// What the client has now, if that is a complete generation. It is not read while a stat tells the same of its files as before.
    pub fn generation(&self, files: &dyn Files, lineage: &str) -> Result<Generation, String> {
        let before = self.looked(files, lineage);
        if let Some((id, chain)) = before.as_ref().and_then(sets::known) {
            return Ok(Generation { id, chain, files: Vec::new() });
        }
        let generation = self.read(files, lineage)?.generation;
        // What was read is what is there before and after.
        if let Some(looked) = before.filter(|before| self.looked(files, lineage).as_ref() == Some(before)) {
            sets::remember(&looked, &generation.id, &generation.chain);
        }
        Ok(generation)
    }

    /// What stats tell of its files.
    fn looked(&self, files: &dyn Files, lineage: &str) -> Option<Looked> {
        let Parts { needed, optional } = self.parts(files, lineage).ok()?;
        let stat = |path: &PathBuf| match files.stat(path, true) {
            Ok(stat) => Some(Some(stat)),
            Err(error) => (error.kind() == ErrorKind::NotFound).then_some(None),
        };
        let stats: Option<Vec<Option<Stat>>> = needed.iter().chain(&optional).map(stat).collect();
        Looked::new(self.client.name, &stats?)
    }

    /// Reads what the client's files hold, if that is one complete set: they are read twice, and must be the same.
    pub fn read(&self, files: &dyn Files, lineage: &str) -> Result<Set, String> {
        let read = || -> Result<_, String> {
            let parts = self.parts(files, lineage)?;
            let optional = parts.optional.into_iter().filter(|path| files.stat(path, false).is_ok());
            let paths = parts.needed.into_iter().chain(optional);
            paths.map(|path| Ok((file(files, &path)?, path))).collect::<Result<Vec<_>, String>>()
        };
        let first = read()?;
        let set = set::assemble(&first)?;
        match read()? == first {
            true => Ok(set),
            false => Err("it is being written just now".into()),
        }
    }
}

/// A regular file that a link may lead to: a pipe would hold up the run, a device would never end.
fn file(files: &dyn Files, path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    match files.stat(path, true).map_err(|error| error.to_string())?.kind {
        Kind::File => files.read(path).map(Into::into).map_err(|error| error.to_string()),
        _ => Err(format!("{} is not a regular file", path.display())),
    }
}

/// What a section's lineage is called where the client has no say in it: `*` is written `_`, as lego does, for these are names of
/// directories that people type.
pub fn lineage_name(section: &str) -> Cow<'_, str> {
    match section.strip_prefix('*') {
        Some(rest) => format!("_{rest}").into(),
        None => section.into(),
    }
}

impl Places<'_> {
    /// The client's directory.
    pub fn directory(&self) -> &Path {
        self.paths.first().map_or(Path::new("/"), PathBuf::as_path)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Client) -> bool {
        self.name == other.name
    }
}

impl Eq for Client {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (section, lineage) in [
            ("*.example.com", "_.example.com"),
            ("_.example.com", "_.example.com"),
            ("mx.example.com", "mx.example.com"),
        ] {
            assert_eq!(lineage_name(section), lineage);
        }
    }
}
