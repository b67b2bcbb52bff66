//! DaneBot's command line: `daneroll danebot …`, or the program called by that name. Its flags, environment, defaults and exit
//! codes are DaneBot's; three flags are ours, for laboratories and for zones that not everybody sees.

use super::{Exit, usage};
use crate::{
    name::{DnsName, host},
    provider::rfc2136::{Place, TsigKey, place},
};
use clap::{Parser, error::ErrorKind};
use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

/// What DaneBot was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `--cert-file`: chain and key.
    pub cert_file: PathBuf,
    /// `--domain`, never none.
    pub domains: Vec<DnsName>,
    /// `--tcp`, never none.
    pub ports: Vec<u16>,
    /// `--hook`.
    pub hook: String,
    /// `--probe`.
    pub probe: bool,
    /// `--propagation-time`, seconds.
    pub propagation: u64,
    /// `--rfc2136-nameserver`.
    pub server: Place,
    /// The TSIG key.
    pub key: TsigKey,
    /// `--ttl` of new RRsets, seconds.
    pub ttl: u32,
    /// `--state-directory`.
    pub state: Option<PathBuf>,
    /// `--resolver`; empty for the system's.
    pub resolvers: Vec<SocketAddr>,
    /// `--trust-anchor`.
    pub trust_anchor: Option<PathBuf>,
}

/// Where the secret is looked for if no flag has it. It is for us, so the hook does not get it.
pub const SECRET: &str = "DANEBOT_RFC2136_TSIG_SECRET";
const KEY: &str = "DANEBOT_RFC2136_TSIG_KEY";

const ABOUT: &str = "\
Publishes TLSA records (3 1 1) for a certificate, has it installed when every cache can know them, and
removes the old ones. It stays until all is done, can be killed and run again at any time, and several
may run at once. Call it daily, and whenever the certificate was renewed.";

const MORE: &str = "\
Environment:
  DANEBOT_RFC2136_TSIG_KEY, DANEBOT_RFC2136_TSIG_SECRET   in place of the flags
  DANEBOT_CERT, DANEBOT_LEAF, DANEBOT_KEY   for the hook: chain, leaf alone and private key, in PEM
  XDG_STATE_HOME   what must be remembered is in daneroll/danebot there [default: ~/.local/state]

Exit codes:
  0 done    1 something failed; old records stay    2 command line";

#[derive(Parser)]
#[command(
    name = "daneroll danebot", about = ABOUT, after_help = MORE, infer_long_args = true, args_override_self = true,
    max_term_width = 100, no_binary_name = true
)]
struct Raw {
    /// PEM file with certificate, chain and unencrypted key, in any order
    #[arg(long, value_name = "FILE")]
    cert_file: PathBuf,
    /// Host name that clients connect to; repeatable
    #[arg(short, long, value_name = "NAME", required = true)]
    domain: Vec<String>,
    /// Program that installs the certificate, run without arguments when it may
    #[arg(long, value_name = "PROGRAM")]
    hook: String,
    /// Look at the first domain and port over SMTP before and after
    #[arg(long)]
    probe: bool,
    /// Added to twice the old TTL before the hook is run, and waited after it
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    propagation_time: u64,
    /// Where updates go: name, IPv4 or [IPv6], with a port if it is not 53
    #[arg(long, value_name = "HOST[:PORT]")]
    rfc2136_nameserver: String,
    /// Name of the TSIG key
    #[arg(long, value_name = "NAME")]
    rfc2136_tsig_key: Option<String>,
    /// The key itself in Base64; others can see it here, so rather use the environment
    #[arg(long, value_name = "BASE64")]
    rfc2136_tsig_secret: Option<String>,
    /// hmac-sha256, hmac-sha384 or hmac-sha512
    #[arg(long, value_name = "NAME", default_value = "hmac-sha256")]
    rfc2136_tsig_algo: String,
    /// Port of the service; repeatable
    #[arg(long, value_name = "PORT", required = true, value_parser = clap::value_parser!(u16).range(1..))]
    tcp: Vec<u16>,
    /// TTL of an RRset that does not exist yet
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u32,
    /// In place of the directory below XDG_STATE_HOME
    #[arg(long, value_name = "DIR")]
    state_directory: Option<PathBuf>,
    /// Recursive resolver in place of the system's; repeatable
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    resolver: Vec<SocketAddr>,
    /// DNSKEY or DS records to trust in place of the root's
    #[arg(long, value_name = "FILE")]
    trust_anchor: Option<PathBuf>,
}

/// The arguments of DaneBot, if it is DaneBot that is called: by the first word, or by the program's name.
pub fn called(args: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = args.split_first()?;
    let name = program.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match rest.split_first() {
        _ if name == b"danebot" || name == b"danebot.py" => Some(rest),
        Some((word, rest)) if word == "danebot" => Some(rest),
        _ => None,
    }
}

/// Reads DaneBot's arguments. `variable` looks into the environment.
pub fn parse(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Result<Call, Exit> {
    let raw = Raw::try_parse_from(args).map_err(|error| {
        let told = error.kind() == ErrorKind::DisplayHelp;
        Exit { code: if told { 0 } else { 2 }, text: error.render().to_string(), to_stderr: !told }
    })?;
    let from = |flag: Option<String>, name: &str, option: &str| {
        let found = flag.or_else(|| variable(name)?.into_string().ok()).filter(|text| !text.is_empty());
        found.ok_or_else(|| usage(format!("{option} is missing, and {name} is not set")))
    };
    let name = from(raw.rfc2136_tsig_key, KEY, "--rfc2136-tsig-key")?;
    let secret = zeroize::Zeroizing::new(from(raw.rfc2136_tsig_secret, SECRET, "--rfc2136-tsig-secret")?);
    let key = TsigKey::new(&name, &raw.rfc2136_tsig_algo, &secret).map_err(|why| usage(format!("TSIG key: {why}")))?;
    let server = place(&raw.rfc2136_nameserver);
    let server = server.map_err(|why| usage(format!("--rfc2136-nameserver {}: {why}", raw.rfc2136_nameserver)))?;
    if raw.hook.is_empty() {
        return Err(usage("--hook names no program".into()));
    }
    let mut domains: Vec<DnsName> = Vec::new();
    for text in &raw.domain {
        let name = host(&text.to_lowercase()).map_err(|why| usage(format!("--domain {text}: {why}")))?;
        if !domains.contains(&name) {
            domains.push(name);
        }
    }
    let mut ports = raw.tcp;
    let mut seen = std::collections::BTreeSet::new();
    ports.retain(|port| seen.insert(*port));
    Ok(Call {
        cert_file: raw.cert_file,
        domains,
        ports,
        hook: raw.hook,
        probe: raw.probe,
        propagation: raw.propagation_time,
        server,
        key,
        ttl: raw.ttl,
        state: raw.state_directory,
        resolvers: raw.resolver,
        trust_anchor: raw.trust_anchor,
    })
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = || Ok::<_, std::net::AddrParseError>(SocketAddr::new(text.parse::<IpAddr>()?, 53));
    text.parse().or_else(|_| bare()).map_err(|_| "write an address, 192.0.2.1:53 or [2001:db8::1]:53".into())
}
