//! `daneroll danebot`: a configuration that stands in no file, and the engine on it until all is done.

use super::{BUSY, FAILED, POST_WAIT, Report, Run, wait};
use crate::{
    cli::{self, Arguments, Command, Hints, danebot::Call},
    config::{self, Api, Config, Hook, Loaded, Overrides, Probe, System, TlsaLine},
    env::{Env, Kind},
    journal::{Journal, Shown, clock::Stamp, store::Store},
    lineage::source::Source,
    name::DnsName,
    plan::model::endpoint,
    probe::Protocol,
    provider::rfc2136::Rfc2136,
    tlsa::Param,
};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What DaneBot publishes.
const PARAM: &str = "311";
/// Old records stay so long after the hook at least, seconds: a service may be a moment in reloading.
const LEAST_HOLD: u64 = 10;
/// A hook may take so long, seconds.
const HOOK_LIMIT: u64 = 3600;
/// Where others keep it waiting (a server that does not answer, a provider in trouble), it gives up after so long, seconds; the
/// next call goes on.
const GIVES_UP: u64 = 900;

/// What a call needs to know of the process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its environment, for the hook.
    pub vars: Vec<(String, String)>,
    /// Its working directory.
    pub directory: PathBuf,
}

impl Process {
    fn var(&self, name: &str) -> Option<&str> {
        let found = self.vars.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Publishes, waits, has the hook install, and cleans up. Exit codes: 0, 1, or 128 and a signal's number.
pub fn danebot(env: &dyn Env, call: &Call, process: &Process) -> Report {
    let bot = match Bot::new(env, call, process) {
        Ok(bot) => bot,
        Err(why) => {
            tracing::error!("{why}");
            return Report::exit(FAILED);
        }
    };
    let mut lately = env.boot();
    let mut first = true;
    loop {
        let report = bot.once(first);
        first &= report.exit == BUSY;
        if report.exit != BUSY && report.exit != 0 {
            return Report::exit(FAILED);
        }
        let now = env.boot();
        if report.timed || report.exit == BUSY || lately.id != now.id {
            lately = now;
        } else if report.pending.is_some() && now.millis.saturating_sub(lately.millis) > GIVES_UP * 1000 {
            tracing::error!("giving up for now, and the next call goes on: {}", report.awaited);
            return Report::exit(FAILED);
        }
        if let Some(end) = wait::pause(env, report) {
            return end;
        }
    }
}

/// A call with everything that it needs.
struct Bot<'a> {
    env: &'a dyn Env,
    call: &'a Call,
    process: &'a Process,
    /// The certificate's file, and the hook, as absolute paths.
    cert_file: PathBuf,
    hook: PathBuf,
    state: PathBuf,
    lineage: String,
}

impl<'a> Bot<'a> {
    /// Checks what can be checked before anything is published.
    fn new(env: &'a dyn Env, call: &'a Call, process: &'a Process) -> Result<Bot<'a>, String> {
        let cert_file = process.directory.join(&call.cert_file);
        let hook = find_hook(env, call, process)?;
        let state = state_directory(call, process, &cert_file, &hook)?;
        let lineage = lineage_name(&cert_file);
        let bot = Bot { env, call, process, cert_file, hook, state, lineage };
        bot.covers()?;
        Ok(bot)
    }

    /// Is every domain among the names of the certificate?
    fn covers(&self) -> Result<(), String> {
        let Source::InPlace(source) = self.source() else { return Ok(()) };
        let path = self.cert_file.display();
        let set = source.read(self.env, &self.lineage).map_err(|why| format!("{path} holds no complete set: {why}"))?;
        match self.call.domains.iter().find(|domain| !set.generation.chain.names(domain)) {
            Some(domain) => {
                let names = set.generation.chain.names.join(", ");
                let domain = domain.without_dot();
                Err(format!("the certificate in {path} does not cover {domain}: it is for {names}"))
            }
            None => Ok(()),
        }
    }

    fn source(&self) -> Source {
        Source::pem(vec![self.cert_file.clone()])
    }

    /// One run. The `first` of a call looks at everything anew.
    fn once(&self, first: bool) -> Report {
        let journal = Store::look(self.env, &self.state).ok();
        let journal = journal.as_ref().map(Store::journal);
        let loaded = match self.config(journal) {
            Ok(config) => Loaded { config, errors: Vec::new(), warnings: Vec::new() },
            Err(why) => {
                tracing::error!("{why}");
                return Report::exit(FAILED);
            }
        };
        let (arguments, hints) = (arguments(), Hints::default());
        let mut run = Run::new(self.env, &arguments, &hints, &loaded);
        run.match_sections(&BTreeSet::from([self.lineage.clone()]));
        run.locked(POST_WAIT, Vec::new(), |run, store| {
            if first {
                self.begin(store);
            }
            run.rounds(store)
        })
    }

    /// A call asks again for what nothing hangs on, and with `--probe` it believes its eyes and not what it remembers.
    fn begin(&self, store: &mut Store) {
        let now = Stamp(store.journal().clock.total);
        let journal = store.edit();
        journal.owners.values_mut().for_each(|owner| owner.asked = None);
        if let Some(doc) = journal.lineages.get_mut(&self.lineage).filter(|_| self.call.probe) {
            doc.uninstalled.get_or_insert(now);
        }
    }

    /// What stands in no file.
    fn config(&self, journal: Option<&Journal>) -> Result<Config, String> {
        let call = self.call;
        let mut config = self.base()?;
        config.ttl = Some(call.propagation.saturating_add(self.longest_ttl(journal).saturating_mul(2)));
        config.letsencrypt_directory = self.state.join("none");
        config.dane_directory = self.state.join("dane");
        config.state_directory = self.state.clone();
        let api = Api::of(Rfc2136 { servers: vec![call.server.clone()], key: Some(call.key.clone()), zone: None });
        let mut section = config::section(self.lineage.clone(), self.lines(journal)?, api);
        section.source = self.source();
        section.record_ttl = call.ttl;
        section.probe = Probe::Off;
        section.hold = Some(call.propagation.max(LEAST_HOLD));
        section.timeout = HOOK_LIMIT;
        section.deploy = Arc::new(vec![vec![self.hook.to_string_lossy().into_owned()]]);
        section.hook = Some(Hook { vars: self.process.vars.clone(), unseen_ttl: call.ttl.into() });
        section.pin = config::Pin::Always;
        config.sections = vec![section];
        Ok(config)
    }

    /// Resolvers and trust anchor, read as from a file.
    fn base(&self) -> Result<Config, String> {
        let mut text = String::new();
        self.call.resolvers.iter().for_each(|resolver| text += &format!("resolver = {resolver}\n"));
        if let Some(file) = &self.call.trust_anchor {
            let file = self.process.directory.join(file);
            text += &format!("trust_anchor = {}\n", shell_words::quote(&file.to_string_lossy()));
        }
        let path = self.process.directory.join("command line");
        let loaded = config::parse(&path, text.as_bytes(), &Overrides::default(), &System(self.env));
        match loaded.errors.first() {
            Some(error) => Err(error.message.clone()),
            None => Ok(loaded.config),
        }
    }

    /// The longest TTL that a cache may have from any server.
    fn longest_ttl(&self, journal: Option<&Journal>) -> u64 {
        let servers =
            journal.into_iter().flat_map(|journal| journal.owners.values()).flat_map(|owner| owner.servers.values());
        let shown = servers.flat_map(|server| server.now.iter().chain(server.past.iter().map(|past| &past.shown)));
        shown.map(|Shown { ttl, .. }| *ttl).chain([self.call.ttl.into()]).max().unwrap_or_default()
    }

    /// A line for each domain and port of this call, and for those of earlier ones: who names others in another call means to add
    /// them, as with DaneBot.
    fn lines(&self, journal: Option<&Journal>) -> Result<Vec<TlsaLine>, String> {
        let param: Param = PARAM.parse().map_err(|why| format!("{PARAM}: {why}"))?;
        let line = |port: u16, domain: &DnsName, probe| {
            let (protocol, domain) = ("tcp", domain.clone());
            TlsaLine { param, port, protocol, domain, probe }
        };
        let mut lines: Vec<TlsaLine> = Vec::new();
        for domain in &self.call.domains {
            for port in &self.call.ports {
                let smtp = Some(Probe::Protocol(Protocol::Smtp)).filter(|_| self.call.probe && lines.is_empty());
                lines.push(line(*port, domain, smtp));
            }
        }
        let known = journal.into_iter().flat_map(|journal| &journal.owners);
        let known = known.filter(|(_, owner)| owner.lineages.contains(&self.lineage) && owner.left_behind.is_none());
        for (port, transport, base) in known.map(|(query, _)| endpoint(query)) {
            let named = lines.iter().any(|line| line.port == port && line.domain == base);
            if !named && transport == "tcp" && port > 0 {
                lines.push(line(port, &base, None));
            }
        }
        Ok(lines)
    }
}

fn arguments() -> Arguments {
    Arguments {
        command: Command::Run,
        config: PathBuf::new(),
        overrides: Overrides::default(),
        log: None,
        log_level: None,
        log_format: None,
        quiet: false,
        dry_run: false,
        json: false,
        wait: true,
    }
}

/// The hook's program: it has to be there before anything is published.
fn find_hook(env: &dyn Env, call: &Call, process: &Process) -> Result<PathBuf, String> {
    let name = &call.hook;
    let runs =
        |path: &PathBuf| env.stat(path, true).is_ok_and(|stat| stat.kind == Kind::File && stat.mode & 0o111 != 0);
    let found = match name.contains('/') {
        true => Some(process.directory.join(name)).filter(runs),
        false => {
            let path = process.var("PATH").unwrap_or(crate::act::reload::PATH);
            path.split(':').map(|folder| process.directory.join(folder).join(name)).find(runs)
        }
    };
    found.ok_or_else(|| format!("the hook {name} is not there, or is no program (chmod +x): nothing was done"))
}

/// Where this call and others for the same certificate, hook and zone keep what they remember.
fn state_directory(call: &Call, process: &Process, cert_file: &Path, hook: &Path) -> Result<PathBuf, String> {
    let above = match (&call.state, process.var("XDG_STATE_HOME"), process.var("HOME")) {
        (Some(directory), ..) => process.directory.join(directory),
        (None, Some(home), _) if home.starts_with('/') => Path::new(home).join("daneroll/danebot"),
        (None, _, Some(home)) => process.directory.join(home).join(".local/state/daneroll/danebot"),
        (None, _, None) => return Err("neither HOME nor XDG_STATE_HOME is set: name a --state-directory".into()),
    };
    let parts = [
        cert_file.to_string_lossy().into_owned(),
        hook.to_string_lossy().into_owned(),
        call.server.to_string(),
        call.key.name.to_string(),
    ];
    let digest = digest(&SHA256, parts.join("\0").as_bytes());
    Ok(above.join(HEXLOWER.encode(&digest.as_ref()[..8])))
}

/// What the certificate is called in messages.
fn lineage_name(cert_file: &Path) -> String {
    let name = cert_file.file_name().unwrap_or_default().to_string_lossy();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    match plain.trim_start_matches('.') {
        "" => "certificate".into(),
        name => name.chars().take(100).collect(),
    }
}

/// The environment that the hook gets: all of ours that can be written as text, without what is ours alone.
pub fn environment(vars: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>) -> Vec<(String, String)> {
    let text = vars.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| name != cli::danebot::SECRET).collect()
}
