//! Configuration files of services that name `live/` of a lineage: the commonest mistake in setting up, for such a service
//! changes its certificate with every renewal, whatever the records say.

use crate::{
    env::{Files, Kind},
    idna,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

/// What is looked through: files, and directories with everything below.
const PLACES: [&str; 4] = ["/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/dovecot", "/etc/nginx"];
/// Files that are read at most.
const MOST_FILES: usize = 500;
/// Bytes of a file that are looked at; no configuration is longer.
const LONGEST: u64 = 512 * 1024;
/// Directories inside directories.
const DEEPEST: usize = 6;
/// What nginx reads only where a link in `sites-enabled/` leads to it.
const UNUSED: &str = "sites-available";
/// What editors and package managers leave behind.
const LEFT_BEHIND: [&str; 6] = ["~", ".bak", ".orig", ".save", ".dpkg-old", ".dpkg-dist"];

/// A place that names `live/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The lineage as it is configured.
    pub lineage: String,
    /// What it names.
    pub found: String,
    /// What to write instead.
    pub instead: PathBuf,
}

impl fmt::Display for Mention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mention { lineage, found, instead, .. } = self;
        write!(
            f,
            "{found} changes with each renewal of {lineage}, before its records can be seen: write {}",
            instead.display()
        )
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// In the order of files and lines.
    pub mentions: Vec<Mention>,
    /// What could not be looked through, with the reason.
    pub unreadable: Vec<String>,
}

/// What services must not read.
pub struct Forbidden<'a> {
    /// Below this, what bears the name of one of the lineages.
    pub live: &'a Path,
    /// The lineages.
    pub lineages: &'a BTreeSet<String>,
    /// Files that a client overwrites, with their lineage.
    pub overwritten: BTreeMap<PathBuf, String>,
}

/// Looks through the configuration of Postfix, dovecot and nginx for what services must not read, which is put together only where
/// there is such a service; below `dane` is what they should read.
pub fn scan<'a>(files: &dyn Files, forbidden: impl FnOnce() -> Forbidden<'a>, dane: &Path) -> Scan {
    let mut walk = Walk { files, seen: BTreeMap::new(), visited: BTreeSet::new(), unreadable: Vec::new() };
    PLACES.iter().for_each(|place| walk.take(Path::new(place), 0));
    let Walk { seen, unreadable, .. } = walk;
    let mut scan = Scan { mentions: Vec::new(), unreadable };
    if seen.is_empty() {
        return scan;
    }
    let forbidden = forbidden();
    for (file, text) in &seen {
        for (index, line) in text.lines().enumerate() {
            let inline = !file.starts_with("/etc/postfix");
            for (lineage, found, instead) in mentions(line, inline, &forbidden, dane) {
                scan.mentions.push(Mention { file: file.clone(), line: index + 1, lineage, found, instead });
            }
        }
    }
    scan
}

struct Walk<'a> {
    files: &'a dyn Files,
    seen: BTreeMap<PathBuf, String>,
    /// Real paths: `sites-enabled/` leads to `sites-available/`.
    visited: BTreeSet<PathBuf>,
    unreadable: Vec<String>,
}

impl Walk<'_> {
    fn take(&mut self, path: &Path, depth: usize) {
        // What is not there is no configuration; a link that leads nowhere neither.
        let Ok(stat) = self.files.stat(path, true) else { return };
        let Ok(real) = self.files.real_path(path) else { return };
        if self.visited.len() >= MOST_FILES || depth > DEEPEST || !self.visited.insert(real) {
            return;
        }
        match stat.kind {
            Kind::Dir => match self.files.list(path) {
                Ok(names) => {
                    let used = names.iter().filter(|name| is_used(&name.to_string_lossy()));
                    used.for_each(|name| self.take(&path.join(name), depth + 1));
                }
                Err(error) => self.unreadable.push(error.to_string()),
            },
            Kind::File if stat.size <= LONGEST => match self.files.read(path) {
                Ok(bytes) => drop(self.seen.insert(path.into(), String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) => self.unreadable.push(error.to_string()),
            },
            _ => {}
        }
    }
}

fn is_used(name: &str) -> bool {
    name != UNUSED && !LEFT_BEHIND.iter().any(|end| name.ends_with(end))
}

/// The words of a line that lead below `live`: lineage, word, and what to write instead.
fn mentions(line: &str, inline: bool, forbidden: &Forbidden<'_>, dane: &Path) -> Vec<(String, String, PathBuf)> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return Vec::new();
    }
    let line = if inline { line.split(" #").next().unwrap_or(line) } else { line };
    let words = line.split(|c: char| c.is_whitespace() || "\"'=<>;,{}()".contains(c));
    let mention = |word: &str| {
        // `hash:/…`, `rsa:/…`; and components, so that `//` does not matter.
        let word = &word[word.find('/')?..];
        if let Some(lineage) = forbidden.overwritten.get(Path::new(word)) {
            return Some((lineage.clone(), word.to_owned(), dane.join(lineage)));
        }
        let below = Path::new(word).strip_prefix(forbidden.live).ok()?;
        let mut parts = below.components();
        let first = parts.next()?.as_os_str().to_str()?;
        let near = || forbidden.lineages.iter().find(|lineage| idna::same(lineage, first));
        let lineage = forbidden.lineages.get(first).or_else(near)?;
        Some((lineage.clone(), word.to_owned(), dane.join(first).join(parts.as_path())))
    };
    words.filter_map(mention).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_lead_to_live() {
        let lineages = BTreeSet::from(["mx.example.com".to_owned()]);
        let live = Path::new("/etc/letsencrypt/live");
        let overwritten = BTreeMap::from([("/etc/ssl/mx.pem".into(), "mx".to_owned())]);
        let forbidden = Forbidden { live, lineages: &lineages, overwritten };
        for (line, expected) in [
            ("smtpd_tls_cert_file = /etc/letsencrypt/live/mx.example.com/fullchain.pem", "fullchain.pem"),
            ("smtpd_tls_cert_file=/etc/letsencrypt/live/mx.example.com/fullchain.pem", "fullchain.pem"),
            ("  -o smtpd_tls_key_file=/etc/letsencrypt/live/mx.example.com/privkey.pem", "privkey.pem"),
            ("ssl_cert = </etc/letsencrypt/live/mx.example.com/fullchain.pem", "fullchain.pem"),
            ("ssl_certificate \"/etc/letsencrypt//live/mx.example.com/fullchain.pem\";", "fullchain.pem"),
            ("tls_server_sni_maps = hash:/etc/letsencrypt/live/mx.example.com/x", "x"),
            (
                "a /etc/letsencrypt/live/mx.example.com/cert.pem, /etc/letsencrypt/live/mx.example.com/privkey.pem",
                "cert.pem privkey.pem",
            ),
            ("ssl_certificate /etc/letsencrypt/live/MX.example.com/cert.pem;", "cert.pem"),
            ("dir /etc/letsencrypt/live/mx.example.com", ""),
            ("ssl_cert = </etc/ssl/mx.pem", ""),
            ("ssl_certificate /etc/ssl//mx.pem;", ""),
            // What is no mistake.
            ("ssl_certificate /etc/ssl/mx.pem.old;", "-"),
            ("ssl_certificate /etc/ssl;", "-"),
            ("# /etc/letsencrypt/live/mx.example.com/cert.pem", "-"),
            ("listen 443; # /etc/letsencrypt/live/mx.example.com/cert.pem", "-"),
            ("ssl_certificate /etc/letsencrypt/live/www.example.com/cert.pem;", "-"),
            ("ssl_certificate /etc/letsencrypt/live/mx.example.com.old/cert.pem;", "-"),
            ("ssl_certificate /etc/letsencrypt/archive/mx.example.com/cert1.pem;", "-"),
            ("ssl_certificate /etc/daneroll/dane/mx.example.com/cert.pem;", "-"),
            ("ssl_certificate /etc/letsencrypt/live/$ssl_server_name/cert.pem;", "-"),
            ("", "-"),
        ] {
            let dane = Path::new("/dane");
            let found = mentions(line, true, &forbidden, dane);
            let names = |(_, _, to): &(String, String, PathBuf)| {
                let below = to.strip_prefix("/dane").unwrap();
                below
                    .components()
                    .skip(1)
                    .map(|part| part.as_os_str().to_string_lossy().into_owned())
                    .collect::<String>()
            };
            let told = match found.is_empty() {
                true => "-".to_owned(),
                false => found.iter().map(names).collect::<Vec<_>>().join(" "),
            };
            assert_eq!(told, expected, "{line}");
        }
        let line = "smtpd_tls_dcert_file = /etc/letsencrypt/live/mx.example.com/x # no comment in Postfix";
        assert_eq!(mentions(line, false, &forbidden, Path::new("/d")).len(), 1);
    }
}
