//! `api = SCHEME …`.

use super::{
    diagnostic::Fault,
    grammar::Entry,
    keys,
    lookup::{self, Lookups},
    words::Word,
};
use crate::provider::{PLANNED, PROVIDERS, Provider, SERVICES, service};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// `api = SCHEME …`: the provider that edits the zone. Two are the same if the operator wrote the same words.
#[derive(Clone)]
pub struct Api {
    line: String,
    provider: Arc<dyn Provider>,
}

impl Api {
    /// A provider that came from no configuration.
    pub fn of(provider: impl Provider + 'static) -> Api {
        Api { line: format!("{provider:?}"), provider: Arc::new(provider) }
    }

    /// What edits the zone.
    pub fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    /// Do several changes at one owner become visible together?
    pub fn changes_at_once(&self) -> bool {
        self.provider.changes_at_once()
    }
}

impl PartialEq for Api {
    fn eq(&self, other: &Api) -> bool {
        self.line == other.line
    }
}

impl Eq for Api {}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

/// What the line of a provider may refer to.
pub(crate) struct Scene<'a> {
    /// Directory of the configuration file, for relative paths of key files.
    pub directory: &'a Path,
    /// Users and files.
    pub lookups: &'a dyn Lookups,
}

impl Scene<'_> {
    /// The file that a word names, and what is in it: a secret, so others must not be able to read or change it.
    pub fn secret(&self, file: &Word) -> Result<(PathBuf, String), Fault> {
        let path = self.directory.join(&file.text);
        match lookup::secret_file(self.lookups, &path) {
            Ok(text) => Ok((path, text)),
            Err((message, Some(hint))) => Err(file.fault(message).hint(hint)),
            Err((message, None)) => Err(file.fault(message)),
        }
    }
}

/// Reads an `api` line.
pub(super) fn read(entry: &Entry, scene: &Scene) -> Result<Api, Fault> {
    let (scheme, words) = entry.words.split_first().ok_or_else(|| entry.key.fault("\"api\" has no value"))?;
    let known = PROVIDERS.iter().find(|(name, _)| *name == scheme.text).map(|(_, read)| *read);
    let is_service = SERVICES.contains(&scheme.text.as_str());
    let Some(read) = known.or(service().filter(|_| is_service)) else { return Err(unknown(scheme)) };
    let line = shell_words::join(entry.words.iter().map(|word| &word.text));
    Ok(Api { line, provider: read(scheme, words, scene)?.into() })
}

/// No provider has that name here: which one was meant, or how to come by it.
fn unknown(scheme: &Word) -> Fault {
    let names: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
    let text = scheme.text.as_str();
    if SERVICES.contains(&text) {
        let hint = "install the package daneroll-providers, or build with \"cargo install --features providers\"";
        return scheme.fault(format!("this build does not have the provider \"{text}\"")).hint(hint);
    }
    if PLANNED.contains(&text) {
        let fault = scheme.fault(format!("this version does not have the provider \"{text}\" yet"));
        return fault.hint(format!("it has {}", names.join(", ")));
    }
    let near = keys::nearest(text, names.iter().chain(SERVICES).copied());
    let hint = near.map_or(format!("write one of {}", names.join(", ")), |near| format!("did you mean \"{near}\"?"));
    scheme.fault("no such provider").hint(hint)
}

/// A program with its arguments; `None` if there are no words.
pub(crate) fn command(words: &[Word]) -> Option<Result<Vec<String>, Fault>> {
    let program = words.first()?;
    let text = &program.text;
    if text.is_empty() {
        return Some(Err(program.fault("the program has no name")));
    }
    if text.contains('/') && !text.starts_with('/') {
        let hint = "write the path from \"/\" on, or a bare name for a program in the usual directories";
        return Some(Err(program.fault("a relative path means something else in each directory").hint(hint)));
    }
    Some(Ok(words.iter().map(|word| word.text.clone()).collect()))
}
