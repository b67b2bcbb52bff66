//! From the bytes of a file to a [`Config`], with everything that is wrong with it.

use super::{
    Config, System,
    api::Scene,
    decode::{self, Decoded},
    diagnostic::{Diagnostic, Fault, Report},
    grammar::{Entry, Header, Scopes},
    keys::{self, Reach},
    lookup::{self, Lookups},
    settings::{Everywhere, Settings},
};
use crate::{
    env::{Env, Kind, LONGEST_FILE},
    idna,
    lineage::source::{Source, lineage_name},
    name,
    trust::Use,
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where things are unless something else is said.
pub(crate) struct Defaults {
    pub config: &'static str,
    pub dane_directory: &'static str,
    pub log: &'static str,
}

impl Defaults {
    /// What has a place of its own whoever we stand in for.
    pub const LETSENCRYPT_DIRECTORY: &str = "/etc/letsencrypt";
    /// The journal is ours, and stays when the configuration moves.
    pub const STATE_DIRECTORY: &str = "/var/lib/daneroll";
    const OURS: Defaults = Defaults {
        config: "/etc/daneroll/daneroll.conf",
        dane_directory: "/etc/daneroll/dane",
        log: "/var/log/daneroll.log",
    };
    const ALNITAKS: Defaults =
        Defaults { config: "/etc/alnitak.conf", dane_directory: "/etc/alnitak/dane", log: "/var/log/alnitak.log" };

    /// Ours, or Alnitak's where we run in its place.
    pub fn of(alnitak: bool) -> &'static Defaults {
        if alnitak { &Defaults::ALNITAKS } else { &Defaults::OURS }
    }
}

/// Parameters that may be repeated.
const REPEATABLE: [&str; 5] = ["tlsa", "deploy", "reload", "nameservers", "resolver"];

/// What the command line says, which beats the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `-C`.
    pub letsencrypt_directory: Option<PathBuf>,
    /// `-D`.
    pub dane_directory: Option<PathBuf>,
    /// `--state-directory`.
    pub state_directory: Option<PathBuf>,
    /// `--ttl`, seconds.
    pub ttl: Option<u64>,
    /// We run in Alnitak's place: its default paths count, and what it left is taken over.
    pub alnitak: bool,
}

/// What could be understood, and what could not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Loaded {
    /// What could be understood; a section with errors is in `broken`.
    pub config: Config,
    /// In the order of the lines. Exit code 3 if there are any.
    pub errors: Vec<Diagnostic>,
    /// What is odd, and works.
    pub warnings: Vec<Diagnostic>,
}

/// There is no file, or it cannot be read: exit code 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration file {} cannot be read: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for Unreadable {}

/// Reads the configuration file at `path`.
pub fn load(env: &dyn Env, path: &Path, overrides: &Overrides) -> Result<Loaded, Unreadable> {
    load_from(&System(env), path, overrides)
}

/// Reads the configuration file at `path`, which `lookups` finds.
pub fn load_from(lookups: &dyn Lookups, path: &Path, overrides: &Overrides) -> Result<Loaded, Unreadable> {
    let unreadable = |why: String| Unreadable { path: path.to_owned(), why };
    let stat = lookups.stat(path).map_err(|error| {
        let cure = if error.kind() == ErrorKind::NotFound { "; write it, or name another with -c" } else { "" };
        unreadable(lookup::reason(&error, path) + cure)
    })?;
    if stat.kind != Kind::File {
        return Err(unreadable("it is not a regular file".into()));
    }
    // What others may have written says nothing: not even which lineages there are.
    lookup::trusted(lookups, Use::Configuration, path, &stat)
        .map_err(|(message, hint)| unreadable(format!("{message}: {}", hint.unwrap_or_default())))?;
    let bytes = match stat.size > LONGEST_FILE as u64 {
        true => vec![b'\n'; LONGEST_FILE + 1],
        false => lookups.read(path).map_err(|error| unreadable(lookup::reason(&error, path)))?,
    };
    Ok(parse(path, &bytes, overrides, lookups))
}

/// Reads the text of a configuration file; `path` is for messages and relative names of key files.
pub fn parse(path: &Path, bytes: &[u8], overrides: &Overrides, lookups: &dyn Lookups) -> Loaded {
    let Decoded { text, fault, fatal } = decode::decode(bytes);
    let mut report = Report::new(path, &text);
    if let Some((line, fault)) = fault {
        report.error(line, fault);
    }
    let scopes = Scopes::of(&report);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let scene = Scene { path, directory, lookups, warnings: RefCell::default() };
    let mut reader = Reader { report, scene, everywhere: Everywhere::default(), lineages: idna::Names::default() };
    let mut config = reader.config(path, scopes, overrides);
    let Report { mut errors, mut warnings, .. } = reader.report;
    if fatal {
        errors.truncate(1);
        warnings.clear();
        config.broken.extend(config.sections.drain(..).map(|section| section.name));
    }
    errors.sort_by_key(|error| (error.line, error.column));
    Loaded { config, errors, warnings }
}

struct Reader<'a> {
    report: Report<'a>,
    scene: Scene<'a>,
    everywhere: Everywhere,
    /// The lineages of the sections that are finished, as far as somebody had to know them.
    lineages: idna::Names,
}

/// A section while its parameters are collected; it may have been opened several times.
struct Target {
    header: Header,
    settings: Settings,
    damaged: bool,
}

impl Reader<'_> {
    fn config(&mut self, path: &Path, mut scopes: Scopes, overrides: &Overrides) -> Config {
        let mut defaults = Target { header: nowhere(), settings: Settings::default(), damaged: false };
        let mut targets: Vec<Target> = Vec::new();
        let mut index = HashMap::new();
        while let Some(scope) = scopes.next(&mut self.report) {
            let target = match scope.header {
                None => &mut defaults,
                Some(header) => {
                    let at = *index.entry(idna::folded(&header.name.text)).or_insert(targets.len());
                    if at == targets.len() {
                        targets.push(Target { header, settings: Settings::default(), damaged: false });
                    }
                    &mut targets[at]
                }
            };
            target.damaged |= scope.damaged;
            self.collect(target, &scope.entries);
        }
        self.apply(overrides);
        let mut config = self.empty(path, Defaults::of(overrides.alnitak));
        self.check_directories(&config);
        let all_broken = defaults.damaged || !self.everywhere.bad.is_empty();
        config.sections.reserve_exact(targets.len());
        for target in targets {
            self.finish(target, &defaults.settings, all_broken, &mut config);
        }
        config
    }

    fn collect(&mut self, target: &mut Target, entries: &[Entry]) {
        for entry in entries {
            let Some((key, reach)) = keys::find(&entry.key.text) else {
                target.damaged = true;
                self.report.error(entry.line, unknown(entry));
                continue;
            };
            let in_section = target.header.line > 0;
            if reach == Reach::Everything && in_section {
                let message = format!("\"{key}\" counts for all sections, wherever it stands");
                let fault = entry.key.fault(message).hint("write it before the first section");
                self.report.warning(entry.line, fault);
            }
            let settings = &mut target.settings;
            let (seen, bad, done) = match reach {
                Reach::Section => {
                    let done = settings.set(key, entry, &self.scene);
                    let done = done.and_then(|()| if in_section { Ok(()) } else { settings.is_for_all(key, entry) });
                    (&mut settings.seen, &mut settings.bad, done)
                }
                Reach::Everything => {
                    let done = self.everywhere.set(key, entry, &self.scene);
                    (&mut self.everywhere.seen, &mut self.everywhere.bad, done)
                }
            };
            for fault in self.scene.warnings.take() {
                self.report.warning(entry.line, fault);
            }
            let repeated = !seen.insert(key) && !REPEATABLE.contains(&key);
            match done {
                Ok(()) if repeated => {
                    let message = format!("\"{key}\" stands here once more, and the last one counts");
                    self.report.warning(entry.line, entry.key.fault(message));
                }
                Ok(()) => {}
                Err(fault) => {
                    bad.insert(key);
                    self.report.error(entry.line, fault);
                }
            }
        }
    }

    /// The command line beats the file, even a line of it that is wrong.
    fn apply(&mut self, overrides: &Overrides) {
        let Everywhere { letsencrypt_directory, dane_directory, state_directory, ttl, bad, .. } = &mut self.everywhere;
        for (over, own, key) in [
            (&overrides.letsencrypt_directory, letsencrypt_directory, "letsencrypt_directory"),
            (&overrides.dane_directory, dane_directory, "dane_directory"),
            (&overrides.state_directory, state_directory, "state_directory"),
        ] {
            if let Some(path) = over {
                *own = Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
                bad.remove(key);
            }
        }
        if overrides.ttl.is_some() {
            *ttl = overrides.ttl;
            bad.remove("ttl");
        }
        // Logging has its own way to fail, and like notification it holds up no section.
        bad.retain(|key| !key.starts_with("log") && !["notify", "stuck"].contains(&key));
    }

    /// The configuration without its sections.
    fn empty(&self, path: &Path, defaults: &Defaults) -> Config {
        let or = |path: &Option<PathBuf>, default: &str| path.clone().unwrap_or_else(|| default.into());
        let all = &self.everywhere;
        Config {
            path: path.to_owned(),
            letsencrypt_directory: or(&all.letsencrypt_directory, Defaults::LETSENCRYPT_DIRECTORY),
            dane_directory: or(&all.dane_directory, defaults.dane_directory),
            state_directory: or(&all.state_directory, Defaults::STATE_DIRECTORY),
            dane_mode: all.dane_mode.unwrap_or(if all.dane_group.is_some() { 0o750 } else { 0o700 }),
            dane_group: all.dane_group.clone(),
            ttl: all.ttl,
            log: all.log.clone(),
            log_level: all.log_level,
            log_format: all.log_format,
            resolvers: all.resolvers.clone(),
            trust_anchor: all.trust_anchor.clone(),
            dnssec: all.dnssec.unwrap_or(super::Dnssec::Validate),
            prometheus_file: all.prometheus_file.clone(),
            notify: all.notify.clone(),
            stuck: all.stuck,
            sections: Vec::new(),
            broken: BTreeSet::new(),
        }
    }

    /// The dane directory must not lie where the ACME client writes.
    fn check_directories(&mut self, config: &Config) {
        let taken = ["live", "archive"].map(|name| config.letsencrypt_directory.join(name));
        let (dane, state) = (&config.dane_directory, &config.state_directory);
        let clash = *dane == config.letsencrypt_directory || taken.iter().any(|dir| dane.starts_with(dir));
        if clash || state.starts_with(dane) {
            self.everywhere.bad.insert("dane_directory");
            let message = format!(
                "the dane directory {} must be a directory of its own, apart from the certificates and the state",
                dane.display()
            );
            let (line, fault) = match &self.everywhere.place {
                Some((line, word)) => (*line, word.fault(message)),
                None => (0, Fault::at(1, 1, message)),
            };
            self.report.error(line, fault.hint("write \"dane_directory = /etc/daneroll/dane\""));
        }
    }

    /// Somebody has to be able to tell when a record is up.
    fn can_tell(&mut self, header: &Header, settings: &Settings, defaults: &Settings, api: &super::Api) -> bool {
        let can = api.knows_when_done() || settings.verify.or(defaults.verify) != Some(super::Verify::Provider);
        if !can {
            let message = format!(
                "\"{}\" leaves work to somebody, so only the name servers can tell when a record is up, and \"verify = provider\" does \
                 not ask them",
                header.name.text
            );
            let hint = "leave out \"verify\", or give \"zonefile\" a command after \"refresh:\"";
            self.report.error(header.line, header.name.fault(message).hint(hint));
        }
        can
    }

    /// A client must write neither where services read nor where another section's copies are.
    fn is_apart(&mut self, header: &Header, settings: &Settings, defaults: &Settings, config: &Config) -> bool {
        let Some(source) = settings.source.as_ref().or(defaults.source.as_ref()).and_then(Source::in_place) else {
            return true;
        };
        let ours = [&config.dane_directory, &config.state_directory];
        let lineage = lineage_name(&header.name.text);
        for section in &config.sections[self.lineages.count()..] {
            self.lineages.add(&section.lineage());
        }
        let other = self.lineages.find(&lineage).map(|(at, _)| &config.sections[at]);
        let message = match (source.places().iter().find(|place| ours.iter().any(|dir| place.starts_with(dir))), other)
        {
            (Some(place), _) => {
                format!("\"{}\" reads {}, which is daneroll's own", header.name.text, place.display())
            }
            (None, Some(other)) => {
                format!("\"{}\" and \"{}\" would share the folder {lineage}", other.name, header.name.text)
            }
            (None, None) => return true,
        };
        let hint = "\"source\" names what the ACME client writes; give each certificate a section of its own";
        self.report.error(header.line, header.name.fault(message).hint(hint));
        false
    }

    fn finish(&mut self, target: Target, defaults: &Settings, all_broken: bool, config: &mut Config) {
        let Target { header, settings, damaged } = target;
        let line = header.line;
        let name = header.name.text.clone();
        let inherits_bad = defaults.bad.contains("tlsa") || !defaults.bad.without(settings.seen).is_empty();
        let mut broken = all_broken || damaged || inherits_bad || !settings.bad.is_empty();
        let told = |key| settings.bad.contains(key) || defaults.bad.contains(key);
        let host = name::host(&name);
        // What is wrong with an international name does not meet the eye.
        let why = host.as_ref().err().filter(|_| !name.is_ascii()).map_or(String::new(), |why| format!(" ({why})"));
        let is_wildcard = name.starts_with("_.");
        let domain = host.ok().filter(|domain| domain.without_dot().contains('.') && !is_wildcard);
        let tlsa = settings.lines(defaults, domain);
        if tlsa.is_none() && header.sound {
            let message = format!(
                "\"{name}\" is no host name{why}, so each \"tlsa\" line needs the domain that clients connect to"
            );
            self.report.error(line, header.name.fault(message).hint("write \"tlsa = 311 25 mx.example.com\""));
        } else if tlsa.as_ref().is_some_and(Vec::is_empty) && settings.wanted(defaults).is_empty() && !told("tlsa") {
            let message = format!("section \"{name}\" has no \"tlsa\" line");
            self.report
                .error(line, header.name.fault(message).hint("write \"tlsa = 311 25\", or which port the service has"));
            broken = true;
        }
        let api = settings.api.clone().or_else(|| defaults.api.clone());
        if api.is_none() && !told("api") {
            let message = format!("section \"{name}\" has no \"api\" line, and there is none before the first section");
            self.report.error(line, header.name.fault(message).hint("write \"api = rfc2136 …\" or \"api = exec …\""));
        }
        if let Some(fault) =
            second_lineage(&header, settings.tlsa.iter().chain(&defaults.tlsa).any(|t| t.takes_section()))
        {
            self.report.warning(line, fault);
        }
        match (tlsa, api, broken) {
            (Some(tlsa), Some(api), false)
                if !self.can_tell(&header, &settings, defaults, &api)
                    || !self.is_apart(&header, &settings, defaults, config) =>
            {
                drop((tlsa, api));
                config.broken.extend(Some(name).filter(|name| is_lineage(name)));
            }
            (Some(tlsa), Some(api), false) => config.sections.push(settings.section(defaults, name, line, tlsa, api)),
            _ => {
                config.broken.extend(Some(name).filter(|name| is_lineage(name)));
            }
        }
    }
}

/// Can a directory in `live/` have this name? What is broken is pinned nevertheless, so no other name may get there.
fn is_lineage(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', char::REPLACEMENT_CHARACTER])
}

/// certbot calls the second lineage for example.com `example.com-0001`, and no client connects to a host of that name.
fn second_lineage(header: &Header, takes_section: bool) -> Option<Fault> {
    let (host, number) = header.name.text.rsplit_once('-')?;
    let numbered = number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit());
    (numbered && takes_section).then(|| {
        let message =
            format!("\"{}\" looks like certbot's name for a further lineage, not like a host", header.name.text);
        header
            .name
            .fault(message)
            .hint(format!("write the domain at the end of its \"tlsa\" lines: tlsa = 311 25 {host}"))
    })
}

fn unknown(entry: &Entry) -> Fault {
    let fault = entry.key.fault(format!("there is no parameter \"{}\"", entry.key.text));
    match keys::similar(&entry.key.text) {
        Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
        None => fault.hint("daneroll.conf(5) lists the parameters"),
    }
}

/// The header of what stands before all headers.
fn nowhere() -> Header {
    Header { line: 0, name: super::words::Word { text: String::new(), column: 1, width: 1 }, sound: true }
}
