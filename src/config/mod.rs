//! The configuration: a file in Alnitak's grammar becomes validated types, or errors that each name line and column.

mod anchor;
mod api;
mod credentials;
mod decode;
mod diagnostic;
mod grammar;
mod keys;
mod lookup;
mod reader;
mod settings;
mod source;
mod tlsa_line;
mod values;
mod words;

pub use anchor::{AnchorKey, TrustAnchor};
pub use api::Api;
pub use diagnostic::Diagnostic;
pub use lookup::{Lookups, System};
pub(crate) use values::{duration, port};

// What the providers read their `api` lines with.
pub(crate) use crate::name::{domain, host};
pub(crate) use api::{Scene, command};
pub(crate) use credentials::assignments;
pub(crate) use diagnostic::{Fault, is_file_name, is_path};
pub(crate) use settings::section;
pub(crate) use tlsa_line::protocol_of;
pub(crate) use words::Word;

pub(crate) use reader::Defaults;
pub use reader::{Loaded, Overrides, Unreadable, load, load_from, parse};

use crate::{
    env::Env,
    hosts::Hosts,
    lineage::source::{Source, lineage_name},
    name::DnsName,
    probe::Protocol,
    tlsa::Param,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt::{self, Write},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};
use zeroize::Zeroize;

/// Everything the configuration says, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// `live/` and `archive/` are in here.
    pub letsencrypt_directory: PathBuf,
    /// What services read.
    pub dane_directory: PathBuf,
    /// The journal.
    pub state_directory: PathBuf,
    /// Mode of the dane directory, 0700 by default.
    pub dane_mode: u32,
    /// Group that may read the dane directory: name and gid.
    pub dane_group: Option<(String, u32)>,
    /// `ttl`: least wait before a switch in seconds, where the operator set it.
    pub ttl: Option<u64>,
    /// `log`: where to log; the command line comes first.
    pub log: Option<PathBuf>,
    /// `log_level`.
    pub log_level: Option<LogLevel>,
    /// `log_format`.
    pub log_format: Option<LogFormat>,
    /// `resolver`: recursive resolvers; empty for the system's.
    pub resolvers: Vec<SocketAddr>,
    /// `trust_anchor`: where trust begins, beside or in place of the root's own keys.
    pub trust_anchor: Option<TrustAnchor>,
    /// `dnssec`: who validates answers.
    pub dnssec: Dnssec,
    /// `prometheus_file`: each run writes its metrics there.
    pub prometheus_file: Option<PathBuf>,
    /// `notify`: the command that is told of changes, split into words; none if empty.
    pub notify: Vec<String>,
    /// `stuck`: how much longer than planned a wait may last, seconds, where set.
    pub stuck: Option<u64>,
    /// The sections without errors, in the order of the file.
    pub sections: Vec<Section>,
    /// Names of sections that have errors: pinned, and otherwise left alone.
    pub broken: BTreeSet<String>,
}

impl Config {
    /// The recursive resolvers to ask: `resolver`, else the system's.
    pub fn resolvers_or_system(&self, env: &dyn Env) -> Result<Vec<SocketAddr>, String> {
        match self.resolvers.is_empty() {
            false => Ok(self.resolvers.clone()),
            true => env.resolvers(),
        }
    }
}

/// One section: a lineage and what is to be published for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name of the lineage as the section header spells it.
    pub name: String,
    /// Line of the header, for messages.
    pub line: usize,
    /// Who renews the certificate, and where that is.
    pub source: Source,
    /// Its `tlsa` lines and the global ones, without duplicates.
    pub tlsa: Vec<TlsaLine>,
    /// Its `tlsa` lines whose hosts are looked up.
    pub wanted: Vec<Wanted>,
    /// Who edits the zone.
    pub api: Api,
    /// TTL of an RRset that we create, seconds.
    pub record_ttl: u32,
    /// Commands that take a lineage's files to where services read them, to be run after a switch, each split into words.
    pub deploy: Arc<Vec<Vec<String>>>,
    /// `deploy` is a program in DaneBot's manner, the only one that brings the certificate to services: nothing is known of them
    /// before it has succeeded.
    pub hook: Option<Hook>,
    /// Commands to run after a switch and after `deploy`, each split into words.
    pub reload: Arc<Vec<Vec<String>>>,
    /// Who says that a record is up.
    pub verify: Verify,
    /// How to look at the served certificate.
    pub probe: Probe,
    /// `probe_address`: where to connect in place of the base domain's addresses, with a port where it is not that of the `tlsa` line.
    pub probe_address: Vec<(IpAddr, Option<u16>)>,
    /// `hold`, seconds, where set.
    pub hold: Option<u64>,
    /// `settle`, seconds.
    pub settle: u64,
    /// `recheck`, seconds.
    pub recheck: u64,
    /// `patience`, seconds.
    pub patience: u64,
    /// Other hosts use these owners too.
    pub shared: bool,
    /// When the dane directory is pinned; `Always` with `bundle`, and where the client overwrites its files.
    pub pin: Pin,
    /// Make a `bundle.pem`.
    pub bundle: bool,
    /// `keep`: so many generations that nothing needs any more stay in the store.
    pub keep: usize,
    /// `nameservers`: replaces the authority set; empty for what the DNS says.
    pub nameservers: Vec<SocketAddr>,
    /// Time limit for one external command, seconds.
    pub timeout: u64,
}

/// How `daneroll danebot` calls its hook, and what else is different with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// The environment that we were called with.
    pub vars: Vec<(String, String)>,
    /// The TTL of what was shown before our first look, seconds.
    pub unseen_ttl: u64,
}

impl fmt::Debug for Hook {
    /// Environments hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook {{ {} variables, unseen_ttl: {} }}", self.vars.len(), self.unseen_ttl)
    }
}

impl Section {
    /// Do commands of ours bring services to present what was switched to?
    pub fn moves_services(&self) -> bool {
        !self.deploy.is_empty() || !self.reload.is_empty()
    }

    /// What its lineage is called where no directory of certbot's has that name.
    pub fn lineage(&self) -> Cow<'_, str> {
        match self.source.in_place() {
            Some(_) => lineage_name(&self.name),
            None => self.name.as_str().into(),
        }
    }
}

/// `tlsa = PARAM PORT [PROTO] [DOMAIN]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsaLine {
    /// Usage, selector, matching type.
    pub param: Param,
    /// Port, 1–65535.
    pub port: u16,
    /// Protocol label without the underscore: `tcp`, `udp`, `sctp`.
    pub protocol: &'static str,
    /// Base domain: the host name that clients connect to.
    pub domain: DnsName,
    /// `probe:`: what comes before the section's `probe`.
    pub probe: Option<Probe>,
}

/// What the longest labels for port and protocol take.
const PREFIX: usize = "_65535._sctp.".len();

impl TlsaLine {
    /// The TLSA query name, `_25._tcp.mx.example.com.` (RFC 6698 section 3).
    pub fn query_name(&self) -> Result<DnsName, String> {
        let mut name = String::with_capacity(PREFIX + self.domain.as_str().len());
        // A `String` takes everything.
        let _ = write!(name, "_{}._{}.{}", self.port, self.protocol, self.domain.as_str());
        // Not as people write it: beside underscores no label may be written from right to left (RFC 5893), and here it may.
        DnsName::try_from(name)
    }

    /// Has it a query name? Says what `query_name().is_ok()` says, and makes none where that is plain to see.
    fn has_query_name(&self) -> bool {
        self.domain.has_room(PREFIX) || self.query_name().is_ok()
    }
}

/// `tlsa = PARAM PORT [PROTO] mx:DOMAIN`, and the same with `san`: a line for each of several hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Usage, selector, matching type.
    pub param: Param,
    /// Port, 1–65535.
    pub port: u16,
    /// Protocol label without the underscore.
    pub protocol: &'static str,
    /// Where the hosts are found.
    pub hosts: Hosts,
    /// `probe:`: what comes before the section's `probe`.
    pub probe: Option<Probe>,
}

impl Wanted {
    /// The line for one of the hosts.
    pub fn line(&self, host: DnsName) -> TlsaLine {
        TlsaLine { param: self.param, port: self.port, protocol: self.protocol, domain: host, probe: self.probe }
    }
}

/// Bytes that never reach a log: `Debug` shows nothing, and nothing is left in memory when they are no longer needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// `verify`: who says that a record is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Every authoritative server.
    Authoritative,
    /// The provider's word; no name server is asked.
    Provider,
}

/// `probe`: how to see the certificate that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// By port.
    Auto,
    /// Not at all.
    Off,
    /// This protocol's way to TLS.
    Protocol(Protocol),
}

impl Probe {
    /// What to speak at a TCP port; `None` where probing is off.
    pub fn protocol(self, port: u16) -> Option<Protocol> {
        match self {
            Probe::Off => None,
            Probe::Auto => Some(Protocol::by_port(port)),
            Probe::Protocol(protocol) => Some(protocol),
        }
    }
}

/// `dnssec`: who validates the answers of name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dnssec {
    /// We do, from the trust anchor down.
    Validate,
    /// The resolver does, and its word is taken (the AD bit): only for one on this host.
    Resolver,
}

/// `pin`: when the dane directory leaves `live/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// From `--pre` until all is done.
    Renewal,
    /// Always.
    Always,
}

/// `log_format` and `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// A line of text for each event.
    #[default]
    Text,
    /// A JSON object for each.
    Json,
}

impl LogFormat {
    /// As configuration and command line write them.
    pub const NAMES: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// `log_level` and `-L`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// Errors only.
    No,
    /// What was done and what is awaited.
    Normal,
    /// And why.
    Verbose,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// As configuration and command line write them; `full` is Alnitak 0.1's word.
    pub const NAMES: [(&str, LogLevel); 5] = [
        ("no", LogLevel::No),
        ("normal", LogLevel::Normal),
        ("verbose", LogLevel::Verbose),
        ("debug", LogLevel::Debug),
        ("full", LogLevel::Debug),
    ];
}
