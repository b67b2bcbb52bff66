//! `daneroll check`: what is configured or named on the command line is looked at from outside, judged and told.

mod hosts;
mod lenient;
mod lookups;
mod subjects;

use super::Report;
use crate::{
    cli::{Arguments, Check},
    config::{Config, Defaults, Dnssec, Loaded, Section, Unreadable},
    env::Env,
    idna,
    lineage::{layout::Places, source::lineage_name},
    observe::{
        audit::{self, Bounded, state},
        discover::Resolver,
        dnssec::Validator,
        services,
    },
    plan::model::floor,
    report::{
        check::{self, Audit, Finding, Kind, Owner, Severity},
        prometheus,
    },
};
use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
    time::Duration,
};
use subjects::Subjects;

/// Audits the outside view.
pub(super) fn check(
    env: &dyn Env,
    arguments: &Arguments,
    check: &Check,
    loaded: &Result<Loaded, Unreadable>,
) -> Report {
    let limit = check.timeout.max(1);
    let bounded = Bounded::new(env, Duration::from_secs(limit));
    let loaded = lenient::load(&bounded, arguments, loaded);
    let mut audit = audit(&bounded, check, &loaded);
    let config = loaded.as_ref().ok().map(|loaded| &loaded.config);
    if let Some(file) = &check.prometheus {
        audit.add(write(env, file, config, &audit));
    }
    let text = match arguments.json {
        true => check::document(&audit),
        false => check::text(&audit, limit),
    };
    Report { text, ..Report::exit(audit.exit) }
}

fn audit(env: &Bounded<'_>, check: &Check, loaded: &Result<Loaded, Unreadable>) -> Audit {
    let mut findings = Vec::new();
    let mut subjects = Subjects::default();
    let only_hosts = check.lineages.is_empty() && !check.hosts.is_empty();
    let config = match loaded {
        Ok(loaded) => Some(&loaded.config),
        Err(error) => {
            // What is only looked at from outside needs no configuration.
            let is_default =
                [false, true].map(|alnitak| Path::new(Defaults::of(alnitak).config)).contains(&&*error.path);
            if !only_hosts || !is_default {
                findings.push(configuration(error.to_string()));
            }
            None
        }
    };
    if let (Ok(loaded), false) = (loaded, only_hosts) {
        findings.extend(
            loaded
                .errors
                .iter()
                .map(|error| configuration(format!("{}:{}: {}", error.path.display(), error.line, error.message))),
        );
        let config = match loaded.config.sections.iter().all(|section| section.wanted.is_empty()) {
            true => loaded.config.clone(),
            false => {
                let resolver = resolver(env, Some(&loaded.config), &mut findings);
                lookups::expanded(env, &resolver, &loaded.config, &mut findings)
            }
        };
        findings.extend(subjects.configured(env, &config, &check.lineages));
    }
    for host in &check.hosts {
        match hosts::parse(host) {
            Ok(host) => subjects.host(host),
            Err(why) => findings.push(configuration(format!("--host {host}: {why}"))),
        }
    }
    if subjects.wishes.is_empty() && findings.is_empty() {
        findings.push(configuration("there is nothing to check: no section in the configuration, no --host".into()));
    }
    let lineages = subjects.lineages.clone();
    let state = match config.filter(|_| !only_hosts) {
        Some(config) => inside(env, config, &lineages, &mut findings),
        None => state::State::default(),
    };
    let owners = outside(env, config, &subjects, &mut findings);
    Audit::new(env.wall(), env.used().as_secs_f64(), owners, &state, findings)
}

fn configuration(text: String) -> Finding {
    Finding::new(Severity::Unknown, Kind::Configuration, "configuration", text)
}

/// The outside view of all subjects.
fn outside(env: &Bounded<'_>, config: Option<&Config>, subjects: &Subjects, findings: &mut Vec<Finding>) -> Vec<Owner> {
    if subjects.wishes.is_empty() {
        return Vec::new();
    }
    let resolver = resolver(env, config, findings);
    let seen = audit::look(env, &resolver, &subjects.wishes);
    let wall = env.wall();
    let mut owners = Vec::new();
    for subject in &subjects.subjects {
        let Some(seen) = seen.get(&subject.query) else { continue };
        findings.extend(check::owner(subject, seen, wall));
        owners.push(Owner::new(subject, seen));
    }
    owners
}

/// The configured resolvers, or the system's.
fn resolver<'a>(env: &'a Bounded<'_>, config: Option<&Config>, findings: &mut Vec<Finding>) -> Resolver<'a> {
    let found = config.map_or_else(|| env.resolvers(), |config| config.resolvers_or_system(env));
    let resolvers = found.unwrap_or_else(|why| {
        findings.push(configuration(format!("no resolver: {why}")));
        Vec::new()
    });
    let (dnssec, anchor) =
        config.map_or((Dnssec::Validate, None), |config| (config.dnssec, config.trust_anchor.as_ref()));
    Resolver::new(env, resolvers).judging(Rc::new(Validator::new(dnssec, anchor)))
}

/// What this host's files tell.
fn inside(
    env: &Bounded<'_>,
    config: &Config,
    lineages: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> state::State {
    let section = |name: &str| config.sections.iter().find(|section| idna::same(&section.lineage(), name));
    let state = state::read(env, &config.state_directory, &|name| floor(config.ttl, section(name)));
    // The journal names lineages as live/ does.
    let known = state
        .rollovers
        .keys()
        .filter(|name| lineages.iter().any(|l| idna::same(l, name) || lineage_name(l) == name.as_str()));
    let lineages = &lineages.iter().chain(known).cloned().collect();
    findings.extend(check::rollovers(&state, lineages, env.wall()));
    let live = config.letsencrypt_directory.join("live");
    findings.extend(reads_live(&services::scan(
        env,
        || forbidden(env, config, &live, lineages),
        &config.dane_directory,
    )));
    state
}

/// Services that would change their certificate with every renewal.
fn reads_live(scan: &services::Scan) -> Vec<Finding> {
    let mention = |mention: &services::Mention| {
        let place = format!("{}:{}", mention.file.display(), mention.line);
        Finding::new(Severity::Warning, Kind::ReadsLive, place, mention.to_string())
    };
    let not_checked = |why: &String| Finding::new(Severity::Ok, Kind::NotChecked, "services", why.clone());
    scan.mentions.iter().map(mention).chain(scan.unreadable.iter().map(not_checked)).collect()
}

/// What a service must not read: `live/`, and the files of clients that overwrite them.
fn forbidden<'a>(
    env: &dyn Env,
    config: &Config,
    live: &'a Path,
    lineages: &'a BTreeSet<String>,
) -> services::Forbidden<'a> {
    let parts = |section: &Section| {
        let lineage = section.lineage().into_owned();
        let parts = section.source.in_place()?.parts(env, &lineage).ok()?;
        Some(parts.needed.into_iter().chain(parts.optional).map(move |path| (path, lineage.clone())))
    };
    let of_lineages = config.sections.iter().filter(|section| lineages.contains(&section.name));
    let overwritten = of_lineages.filter_map(parts).flatten().collect();
    services::Forbidden { live, lineages, overwritten }
}

/// Warnings for `--config-test`.
pub(super) fn warnings_of_services(env: &dyn Env, config: &Config) -> String {
    let lineages = LazyCell::new(|| subjects::named(config));
    let live = config.letsencrypt_directory.join("live");
    let scan = services::scan(env, || forbidden(env, config, &live, &lineages), &config.dane_directory);
    let line =
        |mention: &services::Mention| format!("warning: {}:{}: {mention}\n", mention.file.display(), mention.line);
    scan.mentions.iter().map(line).collect()
}

/// Writes the metrics; what keeps it from that is a finding.
fn write(env: &dyn Env, file: &Path, config: Option<&Config>, audit: &Audit) -> Vec<Finding> {
    let refused = |why: String| vec![Finding::new(Severity::Unknown, Kind::NotWritten, file.display(), why)];
    if config.is_some_and(|config| config.prometheus_file.as_deref() == Some(file)) {
        return refused("it is the prometheus_file of runs: name another for check".into());
    }
    match env.write(file, check::metrics(audit).as_bytes(), prometheus::MODE) {
        Ok(()) => Vec::new(),
        Err(error) => refused(format!("the metrics cannot be written: {error}")),
    }
}

/// Where the files of lineages are.
fn places(config: &Config) -> Places {
    Places {
        live: config.letsencrypt_directory.join("live"),
        dane: config.dane_directory.clone(),
        state: config.state_directory.clone(),
        sources: BTreeMap::new(),
    }
}
