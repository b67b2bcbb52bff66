//! Parameters as they are collected: those of one section or the defaults for all, and those that count everywhere.

use super::{
    Api, Dnssec, LogFormat, LogLevel, Pin, Probe, Section, TlsaLine, TrustAnchor, Verify, Wanted, anchor,
    api::{self, Scene},
    diagnostic::Fault,
    grammar::Entry,
    keys::Keys,
    source,
    tlsa_line::{self, Template},
    values::{absolute, addresses, choice, count, flag, mode, one, seconds, servers, some_seconds},
    words::Word,
};
use crate::{
    lineage::source::{InPlace, Source},
    name::DnsName,
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// Parameters of a section, or the defaults that stand before all sections.
#[derive(Default)]
pub(super) struct Settings {
    pub tlsa: Vec<Template>,
    pub source: Option<Source>,
    pub api: Option<Api>,
    record_ttl: Option<u32>,
    deploy: Option<Arc<Vec<Vec<String>>>>,
    reload: Option<Arc<Vec<Vec<String>>>>,
    pub verify: Option<Verify>,
    probe: Option<Probe>,
    probe_address: Vec<(IpAddr, Option<u16>)>,
    hold: Option<u64>,
    settle: Option<u64>,
    recheck: Option<u64>,
    patience: Option<u64>,
    shared: Option<bool>,
    pin: Option<Pin>,
    bundle: Option<bool>,
    keep: Option<usize>,
    nameservers: Vec<SocketAddr>,
    timeout: Option<u64>,
    /// The parameters that occur here, understood or not.
    pub seen: Keys,
    /// Those that were not understood.
    pub bad: Keys,
}

impl Settings {
    /// Takes the parameter `key` from `entry`.
    pub fn set(&mut self, key: &str, entry: &Entry, scene: &Scene) -> Result<(), Fault> {
        match key {
            "tlsa" => self.tlsa.push(Template::read(entry)?),
            "source" => self.source = Some(source::read(entry)?),
            "api" => self.api = Some(api::read(entry, scene)?),
            "record_ttl" => self.record_ttl = Some(u32::try_from(seconds(entry)?).unwrap_or(u32::MAX)),
            "deploy" => add(&mut self.deploy, entry)?,
            "reload" => add(&mut self.reload, entry)?,
            "verify" => {
                let choices = [("authoritative", Verify::Authoritative), ("provider", Verify::Provider)];
                self.verify = Some(choice(entry, &choices)?);
            }
            "probe" => self.probe = Some(choice(entry, &tlsa_line::PROBES)?),
            "probe_address" => self.probe_address.extend(addresses(entry)?),
            "hold" => self.hold = Some(seconds(entry)?),
            "settle" => self.settle = Some(seconds(entry)?),
            "recheck" => self.recheck = Some(seconds(entry)?),
            "patience" => self.patience = Some(seconds(entry)?),
            "shared" => self.shared = Some(flag(entry)?),
            "pin" => self.pin = Some(choice(entry, &[("renewal", Pin::Renewal), ("always", Pin::Always)])?),
            "bundle" => self.bundle = Some(flag(entry)?),
            "keep" => self.keep = Some(count(entry)?),
            "nameservers" => self.nameservers.extend(servers(entry)?),
            "timeout" => self.timeout = Some(some_seconds(entry)?),
            _ => return Err(entry.key.fault("not a parameter of sections")),
        }
        Ok(())
    }

    /// Can what `key` says count for several sections?
    pub fn is_for_all(&self, key: &str, entry: &Entry) -> Result<(), Fault> {
        let of_one = self.source.as_ref().and_then(Source::in_place).is_some_and(InPlace::is_of_one_lineage);
        match key == "source" && of_one {
            true => Err(entry
                .key
                .fault("this is one lineage's, and cannot count for all")
                .hint("write it into its section")),
            false => Ok(()),
        }
    }

    /// The `tlsa` lines of a section, those of `defaults` first, duplicates left out; `None` if one needs the domain of the
    /// section and the section has none.
    pub fn lines(&self, defaults: &Settings, domain: Option<DnsName>) -> Option<Vec<TlsaLine>> {
        let mut lines: Vec<TlsaLine> = Vec::with_capacity(defaults.tlsa.len() + self.tlsa.len());
        for template in defaults.tlsa.iter().chain(&self.tlsa) {
            let line = template.line(domain.as_ref());
            if line.is_none() && template.takes_section() {
                return None;
            }
            let Some(line) = line else { continue };
            if !line.has_query_name() {
                return None;
            }
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        Some(lines)
    }

    /// The `tlsa` lines whose hosts are looked up, those of `defaults` first, duplicates left out.
    pub fn wanted(&self, defaults: &Settings) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for line in defaults.tlsa.iter().chain(&self.tlsa).filter_map(Template::wanted) {
            if !wanted.contains(&line) {
                wanted.push(line);
            }
        }
        wanted
    }

    /// The finished section.
    pub fn section(self, defaults: &Settings, name: String, line: usize, tlsa: Vec<TlsaLine>, api: Api) -> Section {
        let bundle = self.bundle.or(defaults.bundle).unwrap_or(false);
        let pin = self.pin.or(defaults.pin).unwrap_or(Pin::Renewal);
        let source = self.source.clone().or_else(|| defaults.source.clone()).unwrap_or_default();
        let always = bundle || source.in_place().is_some();
        let wanted = self.wanted(defaults);
        Section {
            name,
            line,
            source,
            tlsa,
            wanted,
            api,
            record_ttl: self.record_ttl.or(defaults.record_ttl).unwrap_or(3600),
            hook: None,
            deploy: self.deploy.or_else(|| defaults.deploy.clone()).unwrap_or_default(),
            reload: self.reload.or_else(|| defaults.reload.clone()).unwrap_or_default(),
            verify: self.verify.or(defaults.verify).unwrap_or(Verify::Authoritative),
            probe: self.probe.or(defaults.probe).unwrap_or(Probe::Auto),
            probe_address: match self.probe_address.is_empty() {
                true => defaults.probe_address.clone(),
                false => self.probe_address,
            },
            hold: self.hold.or(defaults.hold),
            settle: self.settle.or(defaults.settle).unwrap_or(60),
            recheck: self.recheck.or(defaults.recheck).unwrap_or(3600),
            patience: self.patience.or(defaults.patience).unwrap_or(86_400),
            shared: self.shared.or(defaults.shared).unwrap_or(false),
            pin: if always { Pin::Always } else { pin },
            bundle,
            keep: self.keep.or(defaults.keep).unwrap_or(0),
            nameservers: if self.nameservers.is_empty() { defaults.nameservers.clone() } else { self.nameservers },
            timeout: self.timeout.or(defaults.timeout).unwrap_or(300),
        }
    }
}

/// One more command.
fn add(commands: &mut Option<Arc<Vec<Vec<String>>>>, entry: &Entry) -> Result<(), Fault> {
    let command = api::command(&entry.words).transpose()?;
    Arc::make_mut(commands.get_or_insert_default()).extend(command);
    Ok(())
}

/// A section that stands in no file, with the defaults for everything else.
pub(crate) fn section(name: String, tlsa: Vec<TlsaLine>, api: Api) -> Section {
    Settings::default().section(&Settings::default(), name, 0, tlsa, api)
}

/// Parameters that count everywhere, wherever they stand.
#[derive(Default)]
pub(super) struct Everywhere {
    pub letsencrypt_directory: Option<PathBuf>,
    pub dane_directory: Option<PathBuf>,
    pub state_directory: Option<PathBuf>,
    pub dane_mode: Option<u32>,
    pub dane_group: Option<(String, u32)>,
    pub ttl: Option<u64>,
    pub log: Option<PathBuf>,
    pub log_level: Option<LogLevel>,
    pub log_format: Option<LogFormat>,
    pub resolvers: Vec<SocketAddr>,
    pub trust_anchor: Option<TrustAnchor>,
    pub dnssec: Option<Dnssec>,
    pub prometheus_file: Option<PathBuf>,
    pub notify: Vec<String>,
    pub stuck: Option<u64>,
    /// Line and word of the last directory.
    pub place: Option<(usize, Word)>,
    /// The parameters that occur, understood or not.
    pub seen: Keys,
    /// Those that were not understood.
    pub bad: Keys,
}

impl Everywhere {
    /// Takes the parameter `key` from `entry`.
    pub fn set(&mut self, key: &str, entry: &Entry, scene: &Scene) -> Result<(), Fault> {
        match key {
            "letsencrypt_directory" => self.letsencrypt_directory = Some(self.directory(entry)?),
            "dane_directory" => self.dane_directory = Some(self.directory(entry)?),
            "state_directory" => self.state_directory = Some(self.directory(entry)?),
            "dane_mode" => self.dane_mode = Some(mode(entry)?),
            "dane_group" => self.dane_group = Some(group(entry, scene)?),
            "ttl" => self.ttl = Some(seconds(entry)?),
            "log" => self.log = Some(log(entry)?),
            "log_level" => self.log_level = Some(choice(entry, &LogLevel::NAMES)?),
            "log_format" => self.log_format = Some(choice(entry, &LogFormat::NAMES)?),
            "resolver" => self.resolvers.extend(servers(entry)?),
            "trust_anchor" => self.trust_anchor = Some(anchor::read(entry, scene)?),
            "dnssec" => {
                let choices = [("validate", Dnssec::Validate), ("resolver", Dnssec::Resolver)];
                self.dnssec = Some(choice(entry, &choices)?);
            }
            "prometheus_file" => self.prometheus_file = Some(absolute(entry)?),
            "notify" => self.notify = api::command(&entry.words).transpose()?.unwrap_or_default(),
            "stuck" => self.stuck = Some(some_seconds(entry)?),
            _ => return Err(entry.key.fault("not a parameter for everything")),
        }
        Ok(())
    }

    fn directory(&mut self, entry: &Entry) -> Result<PathBuf, Fault> {
        let path = absolute(entry)?;
        self.place = Some((entry.line, one(entry)?.clone()));
        Ok(path)
    }
}

/// A file or directory, or one of the two words that the command line knows too.
fn log(entry: &Entry) -> Result<PathBuf, Fault> {
    let word = one(entry)?;
    match word.text.as_str() {
        "-" | "no" => Ok(PathBuf::from(&word.text)),
        _ => absolute(entry),
    }
}

fn group(entry: &Entry, scene: &Scene) -> Result<(String, u32), Fault> {
    let word = one(entry)?;
    let group = scene.lookups.group(&word.text).map_err(|why| word.fault(why))?;
    group.ok_or_else(|| {
        let hint = format!("run \"groupadd --system {}\", or write a group that \"getent group\" lists", word.text);
        word.fault(format!("this machine has no group \"{}\"", word.text)).hint(hint)
    })
}
