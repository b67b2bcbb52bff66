//! `api = SCHEME …`.

use super::{
    Secret,
    diagnostic::Fault,
    grammar::Entry,
    keys,
    lookup::{self, Lookups},
    words::Word,
};
use crate::provider::{PROVIDERS, Provider, SERVICES, service};
use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// `api = SCHEME …`: the provider that edits the zone. Two are the same if the operator wrote the same words.
#[derive(Clone)]
pub struct Api {
    /// May hold a key. Shared, for a line before the first section is that of all sections.
    line: Arc<Secret>,
    provider: Arc<dyn Provider>,
}

impl Api {
    /// A provider that came from no configuration.
    pub fn of(provider: impl Provider + 'static) -> Api {
        Api { line: Arc::new(Secret(format!("{provider:?}").into_bytes())), provider: Arc::new(provider) }
    }

    /// What edits the zone.
    pub fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    /// Does it know when a change has been made, so that its word can be taken?
    pub fn knows_when_done(&self) -> bool {
        self.provider.knows_when_done()
    }

    /// Do several changes at one owner become visible together?
    pub fn changes_at_once(&self) -> bool {
        self.provider.changes_at_once()
    }

    /// Can it edit at any owner, rather than only where port, protocol and domain lead?
    pub fn edits_any_owner(&self) -> bool {
        self.provider.edits_any_owner()
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
    /// The configuration file.
    pub path: &'a Path,
    /// Its directory, for relative paths of key files.
    pub directory: &'a Path,
    /// Users and files.
    pub lookups: &'a dyn Lookups,
    /// What is odd about the line that is being read, and works.
    pub warnings: RefCell<Vec<Fault>>,
}

impl Scene<'_> {
    /// The file that a word names, and what is in it: a secret, so others must not be able to read or change it.
    pub fn secret(&self, file: &Word) -> Result<(PathBuf, Zeroizing<String>), Fault> {
        let path = self.directory.join(&file.text);
        match lookup::secret_file(self.lookups, &path) {
            Ok(text) => Ok((path, text)),
            Err((message, Some(hint))) => Err(file.fault(message).hint(hint)),
            Err((message, None)) => Err(file.fault(message)),
        }
    }

    /// A secret that stands in the line itself: nobody but its owner may read the configuration file then, and a file of its own
    /// is better.
    pub fn inline_secret(&self, word: &Word, instead: &str) -> Result<(), Fault> {
        lookup::is_secret(self.lookups, self.path).map_err(|(message, hint)| {
            let fault = word.fault(message);
            if let Some(hint) = hint { fault.hint(hint) } else { fault }
        })?;
        let message =
            "a secret stands in the configuration itself, which is shown around more easily than a file of its own";
        self.warn(word.fault(message).hint(instead));
        Ok(())
    }

    /// Tells something that is odd, and works.
    pub fn warn(&self, fault: Fault) {
        self.warnings.borrow_mut().push(fault);
    }
}

/// Reads an `api` line.
pub(super) fn read(entry: &Entry, scene: &Scene) -> Result<Api, Fault> {
    let (scheme, words) = entry.words.split_first().ok_or_else(|| entry.key.fault("\"api\" has no value"))?;
    let known = PROVIDERS.iter().find(|(name, _)| *name == scheme.text).map(|(_, read)| *read);
    let is_service = SERVICES.contains(&scheme.text.as_str());
    let Some(read) = known.or(service().filter(|_| is_service)) else { return Err(unknown(scheme)) };
    let line = shell_words::join(entry.words.iter().map(|word| &word.text));
    Ok(Api { line: Arc::new(Secret(line.into_bytes())), provider: read(scheme, words, scene)?.into() })
}

/// No provider has that name here: which one was meant, or how to come by it.
fn unknown(scheme: &Word) -> Fault {
    let names: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
    let text = scheme.text.as_str();
    if SERVICES.contains(&text) {
        let hint = "install the package daneroll-providers, or build with \"cargo install --features providers\"";
        return scheme.fault(format!("this build does not have the provider \"{text}\"")).hint(hint);
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
