//! `daneroll print`: reads certificates, and needs neither their keys nor the journal.

use super::{FAILED, Report, Run};
use crate::{
    cli,
    config::{Section, TlsaLine, Wanted},
    env::Kind,
    facts::Facts,
    idna,
    journal::{Journal, clock::Clock, store::Store},
    lineage::{CERT, CHAIN, FULLCHAIN, pem},
    name::DnsName,
    observe::{files, hosts},
    plan::hosts::expanded,
    report::print::{Printed, Record, VERSION},
    tlsa::{Association, Chain, Param},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// So many names are listed where one is not found.
const NAMES: usize = 20;

/// One word of the command line, `XYZ:CERT`.
struct Request {
    param: Param,
    what: What,
}

enum What {
    /// What `live/` shows.
    Lineage(String),
    /// All that `archive/` holds.
    Archive(String),
    /// This file.
    File(PathBuf),
}

/// Certificates that were found.
struct Found {
    lineage: Option<String>,
    chain: Chain,
    /// The file of the leaf, and that of what follows it.
    paths: [PathBuf; 2],
}

type Results<T> = Vec<Result<T, String>>;

impl Run<'_> {
    /// TLSA data of certificates.
    pub(super) fn print(&self, what: &[String], zone: bool) -> Report {
        let results = match what.is_empty() {
            true => self.configured(),
            false => what.iter().flat_map(|word| self.requested(word)).collect(),
        };
        let mut printed = Printed { version: VERSION, records: Vec::new(), errors: Vec::new() };
        for result in results {
            match result.and_then(|record| self.named(record, zone)) {
                Ok(record) => printed.records.push(record),
                Err(error) if printed.errors.contains(&error) => {}
                Err(error) => printed.errors.push(error),
            }
        }
        printed.errors.iter().for_each(|error| tracing::error!("{error}"));
        let exit = if printed.errors.is_empty() { 0 } else { FAILED };
        let text = match (self.arguments.json, zone) {
            (true, _) => serde_json::to_string_pretty(&printed).unwrap_or_default() + "\n",
            (false, true) => printed.zone(),
            (false, false) => printed.lines(),
        };
        Report { text, ..Report::exit(exit) }
    }

    /// What the configuration names: each section's parameters for its certificate in `live/`.
    fn configured(&self) -> Results<Record> {
        if self.config.sections.is_empty() {
            let path = self.config.path.display();
            return vec![Err(format!("{path} has no section to print; name a certificate, such as 311:example.com"))];
        }
        self.config.sections.iter().flat_map(|section| self.section(section)).collect()
    }

    fn section(&self, section: &Section) -> Results<Record> {
        let Some((name, _)) = self.sections.iter().find(|(_, matched)| matched.name == section.name) else {
            return vec![Err(self.no_lineage(&section.name))];
        };
        let mut params: Vec<Param> = Vec::new();
        let all = section.tlsa.iter().map(|line| line.param).chain(section.wanted.iter().map(|wanted| wanted.param));
        for param in all {
            if !params.contains(&param) {
                params.push(param);
            }
        }
        match self.shown(name) {
            Err(why) => vec![Err(why)],
            Ok(found) => params.into_iter().map(|param| record(&found, param)).collect(),
        }
    }

    fn requested(&self, word: &str) -> Results<Record> {
        let Request { param, what } = match self.parse(word) {
            Ok(request) => request,
            Err(why) => return vec![Err(why)],
        };
        let found = match what {
            What::Lineage(name) => vec![self.lineage_named(&name).and_then(|name| self.shown(name))],
            What::Archive(name) => self.archived(&name),
            What::File(path) => vec![self.file(path)],
        };
        found.into_iter().map(|found| record(&found?, param)).collect()
    }

    fn parse(&self, word: &str) -> Result<Request, String> {
        let (param, what) = cli::print_word(word)?;
        let what = match what.trim_end_matches('/').split_once('/') {
            None => What::Lineage(what.into()),
            Some(("archive", name)) if !name.contains('/') => What::Archive(name.into()),
            Some(("live", name)) if !name.contains('/') => What::Lineage(name.into()),
            Some(_) => What::File(what.into()),
        };
        Ok(Request { param, what })
    }

    fn lineage_named(&self, name: &str) -> Result<&str, String> {
        let names = || self.places.sources.keys().chain(&self.live);
        let exact = names().find(|live| *live == name);
        let found = exact.or_else(|| names().find(|live| idna::same(live, name)));
        found.map(String::as_str).ok_or_else(|| self.no_lineage(name))
    }

    fn no_lineage(&self, name: &str) -> String {
        let live = self.places.live.display();
        if let Err(error) = self.env.list(&self.places.live) {
            return format!("cannot look for the lineage {name:?}: {error}");
        }
        let names: Vec<&str> = self.live.iter().take(NAMES).map(String::as_str).collect();
        let more = if self.live.len() > NAMES { ", ..." } else { "" };
        match names.is_empty() {
            true => format!("there is no lineage {name:?}: {live} is empty"),
            false => format!("there is no lineage {name:?} in {live}; there are {}{more}", names.join(", ")),
        }
    }

    /// What `live/` shows of a lineage, its key aside; of a client that overwrites its files, what makes a set with the key.
    fn shown(&self, name: &str) -> Result<Found, String> {
        if let Some(source) = self.places.sources.get(name) {
            let set = source.read(self.env, name)?;
            let path = source.parts(self.env, name)?.needed.swap_remove(0);
            return Ok(Found { lineage: Some(name.into()), chain: set.generation.chain, paths: [path.clone(), path] });
        }
        let dir = self.places.live.join(name);
        let files = [CERT, CHAIN, FULLCHAIN].map(|file| dir.join(file));
        self.set(name, files)
    }

    /// All generations of a lineage that `archive/` holds, by number.
    fn archived(&self, name: &str) -> Results<Found> {
        let dir = self.config.letsencrypt_directory.join("archive").join(name);
        let names = match self.env.list(&dir) {
            Ok(names) => names,
            Err(error) => return vec![Err(format!("cannot look for the generations of {name:?}: {error}"))],
        };
        let number = |file: &std::ffi::OsString| {
            file.to_str()?.strip_prefix("fullchain")?.strip_suffix(".pem")?.parse::<u64>().ok()
        };
        let numbers: BTreeSet<u64> = names.iter().filter_map(number).collect();
        if numbers.is_empty() {
            return vec![Err(format!("there is no generation in {}", dir.display()))];
        }
        let files = |number| ["cert", "chain", "fullchain"].map(|file| dir.join(format!("{file}{number}.pem")));
        numbers.into_iter().map(|number| self.set(name, files(number))).collect()
    }

    /// The chain of a set of files: leaf, what follows it, both together.
    fn set(&self, lineage: &str, [cert, chain, fullchain]: [PathBuf; 3]) -> Result<Found, String> {
        let found = self.read(&fullchain)?;
        let is_there = |path: &PathBuf| self.env.stat(path, true).is_ok();
        if is_there(&cert) && self.read(&cert)?.certificates.first() != found.certificates.first() {
            let (cert, fullchain) = (cert.display(), fullchain.display());
            return Err(format!("{cert} does not fit {fullchain}: a renewal is under way or broke off"));
        }
        let paths = [cert, chain].map(|path| if is_there(&path) { path } else { fullchain.clone() });
        Ok(Found { lineage: Some(lineage.into()), chain: found, paths })
    }

    /// A file, or a folder with the files of a set.
    fn file(&self, path: PathBuf) -> Result<Found, String> {
        if self.env.stat(&path, true).is_ok_and(|stat| stat.kind == Kind::Dir) {
            let lineage = self.whose(Some(&path));
            return Ok(Found { lineage, ..self.set("", [CERT, CHAIN, FULLCHAIN].map(|file| path.join(file)))? });
        }
        let (chain, lineage) = (self.read(&path)?, self.whose(path.parent()));
        Ok(Found { lineage, chain, paths: [path.clone(), path] })
    }

    /// The lineage that a folder in `live/` or `archive/` is of.
    fn whose(&self, folder: Option<&Path>) -> Option<String> {
        let archive = self.config.letsencrypt_directory.join("archive");
        let inside = [&self.places.live, &archive].map(|above| folder?.strip_prefix(above).ok()?.to_str());
        let mut names = inside.into_iter().flatten().filter(|name| self.live.iter().any(|live| live == name));
        names.next().map(str::to_owned)
    }

    fn read(&self, path: &Path) -> Result<Chain, String> {
        let bytes = self.env.read(path).map_err(|error| error.to_string())?;
        pem::chain(&bytes).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// The `tlsa` lines of a section, a line for each host that the journal or the certificate tells.
    fn lines(&self, lineage: &str, section: &Section) -> Vec<TlsaLine> {
        if section.wanted.is_empty() {
            return section.tlsa.clone();
        }
        let clock = Clock::start(self.env.boot());
        let empty = Journal { clock, lineages: BTreeMap::new(), owners: BTreeMap::new() };
        let mut journal = Store::look(self.env, &self.places.state).map_or(empty, |store| store.journal().clone());
        let mut facts = Facts::empty();
        facts.lineages.insert(lineage.into(), files::lineage(self.env, &self.places, lineage, section.bundle));
        let found = hosts::found(&journal, &facts, &self.sections, 0).remove(lineage).unwrap_or_default();
        journal.lineages.entry(lineage.into()).or_default().hosts = found;
        expanded(&self.sections, &facts, &journal).remove(lineage).unwrap_or_default().into_owned()
    }

    /// The record with its owners. `must`: there has to be one.
    fn named(&self, record: Record, must: bool) -> Result<Record, String> {
        let section = record.lineage.as_ref().and_then(|name| self.sections.get(name));
        let lineage = record.lineage.as_deref().unwrap_or_default();
        let lines = section.map(|section| self.lines(lineage, section)).unwrap_or_default();
        let owners = owners(&lines, &record);
        let nameless = match (section, &record.lineage) {
            (Some(section), _) => {
                let (usage, selector, matching) = (record.usage, record.selector, record.matching);
                let unknown = section.wanted.iter().find(|wanted| {
                    (wanted.param.usage(), wanted.param.selector(), wanted.param.matching())
                        == (usage, selector, matching)
                });
                let text = |wanted: &Wanted| {
                    format!("the hosts of \"{}\" are not known yet: a run looks them up", wanted.hosts)
                };
                unknown.map_or_else(
                    || format!("section [{}] has no \"tlsa = {usage}{selector}{matching} ...\" line", section.name),
                    text,
                )
            }
            (None, Some(lineage)) => format!("no sound section is for {lineage}"),
            (None, None) => "it is no lineage's file".into(),
        };
        match must && owners.is_empty() {
            true => Err(format!("{}: no owner name for a zone file: {nameless}", record.path)),
            false => Ok(Record { owners, ttl: section.map(|section| section.record_ttl), ..record }),
        }
    }
}

fn owners(lines: &[TlsaLine], record: &Record) -> Vec<DnsName> {
    let param = |param: Param| (param.usage(), param.selector(), param.matching());
    let lines = lines.iter().filter(|line| param(line.param) == (record.usage, record.selector, record.matching));
    lines.filter_map(|line| line.query_name().ok()).collect()
}

fn record(found: &Found, param: Param) -> Result<Record, String> {
    let path = &found.paths[usize::from(param.usage() == 2)];
    let association = association(&found.chain, param).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(Record::new(found.lineage.as_deref(), &association, path.display().to_string()))
}

/// What a chain publishes. A file that begins with an authority's certificate (`chain.pem`) is one for usage 2 by itself.
fn association(chain: &Chain, param: Param) -> Result<Association, String> {
    let first = chain.certificates.first();
    if param.usage() == 2 && first.is_some_and(pem::is_authority) {
        let as_leaf = format!("3{}{}", param.selector(), param.matching()).parse()?;
        let association = chain.association(as_leaf).map_err(|why| why.to_string())?;
        return Ok(Association { usage: 2, ..association });
    }
    chain.association(param).map_err(|why| why.to_string())
}
