//! The command line: both of Alnitak's dialects and our own commands become one plain value.

pub mod danebot;
mod untangle;

use crate::{
    config::{self, Defaults, LogFormat, LogLevel, Overrides},
    tlsa::Param,
};
use clap::{Parser, error::ErrorKind};
use std::{ffi::OsString, os::unix::ffi::OsStrExt, path::PathBuf};
use untangle::{is_check, untangle};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Everything that is due and safe.
    Run,
    /// `--pre`: pin before a renewal.
    Pre,
    /// `--post`: the renewal is over; publish for what was renewed, unpin the rest.
    Post,
    /// `deploy`: one lineage was renewed, others may still be.
    Deploy,
    /// `--reset`: build or rebuild the dane directory.
    Reset {
        /// Drop pins that a rollover needs, too.
        force: bool,
    },
    /// `--config-test`.
    ConfigTest,
    /// Leave DANE for one lineage.
    Withdraw {
        /// Name of the lineage.
        lineage: String,
    },
    /// Switch one lineage by hand.
    Switch {
        /// `--now`: do not wait.
        now: bool,
        /// `--accept-mismatch`: even if clients will fail.
        accept_mismatch: bool,
        /// Name of the lineage.
        lineage: String,
    },
    /// Put the previous generation of one lineage back.
    Rollback {
        /// Name of the lineage.
        lineage: String,
    },
    /// What is served, pending, published; what is awaited, until when, why.
    Status {
        /// These lineages; all, if none is named.
        lineages: Vec<String>,
        /// `--live`: ask name servers and services.
        live: bool,
    },
    /// `import-alnitak`: take over what Alnitak left under way.
    ImportAlnitak {
        /// Its file; Alnitak's own place for it, if none is named.
        file: Option<PathBuf>,
    },
    /// Audit the outside view, as a monitoring plug-in.
    Check(Check),
    /// TLSA data of certificates.
    Print {
        /// `XYZ:CERT` each; what the configuration names, if there is none.
        what: Vec<String>,
        /// `--zone`: lines for a zone file.
        zone: bool,
    },
}

/// What `check` is to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// These lineages; all, if neither a lineage nor a host is named.
    pub lineages: Vec<String>,
    /// `--host NAME:PORT`: endpoints that no configuration needs to know.
    pub hosts: Vec<String>,
    /// `-t`, `--timeout`: for everything, seconds.
    pub timeout: u64,
    /// `--prometheus`: write metrics there.
    pub prometheus: Option<PathBuf>,
}

impl Command {
    /// Does it only look? Such a command keeps no log file and takes no lock.
    pub fn only_looks(&self) -> bool {
        matches!(self, Command::Status { .. } | Command::Check(_) | Command::Print { .. })
    }
}

/// The command line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What to do.
    pub command: Command,
    /// `-c`, or where the program of this name looks.
    pub config: PathBuf,
    /// What beats the configuration: `-C`, `-D`, `--state-directory`, `--ttl`.
    pub overrides: Overrides,
    /// `-l`: a file, a directory, `-` for standard output, `no`.
    pub log: Option<PathBuf>,
    /// `-L`.
    pub log_level: Option<LogLevel>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// `-q`.
    pub quiet: bool,
    /// `--dry-run`: say what would be done.
    pub dry_run: bool,
    /// `--json`: the result as JSON.
    pub json: bool,
    /// `--wait`: stay until nothing is pending.
    pub wait: bool,
}

/// The program ends here: help, version, or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code: 0, or 2 for an error.
    pub code: u8,
    /// What to print, with its final newline.
    pub text: String,
    /// To standard error rather than standard output.
    pub to_stderr: bool,
}

/// What the ACME client tells its hooks: hints, no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `RENEWED_LINEAGE`: the directory in `live/`.
    pub renewed_lineage: Option<PathBuf>,
    /// `RENEWED_DOMAINS` as it came, or what lego tells in its place, with blanks between; empty if none is set.
    pub renewed_domains: String,
    /// `LEGO_HOOK_CERT_PATH` of lego 5, `LEGO_CERT_PATH` of lego 4: the file of the certificate.
    pub certificate: Option<PathBuf>,
}

impl Hints {
    /// Looks the variables up; empty ones count as not set.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Hints {
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let domains = variable("RENEWED_DOMAINS").filter(|value| !value.is_empty()).map(text);
        let legos =
            || first(&["LEGO_HOOK_CERT_DOMAINS", "LEGO_CERT_DOMAIN"]).map(|value| text(value).replace(',', " "));
        let renewed_lineage: Option<PathBuf> = first(&["RENEWED_LINEAGE"]).map(PathBuf::from);
        // certbot leaves its variables to whatever its hooks start, lego too; the other way round nobody does it.
        let certificate = match renewed_lineage {
            Some(_) => None,
            None => first(&["LEGO_HOOK_CERT_PATH", "LEGO_CERT_PATH"]).map(PathBuf::from),
        };
        Hints { renewed_lineage, renewed_domains: domains.or_else(legos).unwrap_or_default(), certificate }
    }
}

const ABOUT: &str = "\
daneroll renews TLS certificates under DANE: it keeps services on the old certificate until the TLSA
records of the new one are published and every cache has had time to see them; then it switches,
reloads the services and removes the old records.";

const COMMANDS: &str = "\
Commands (a word or an option; one at a time):
  (none)                         everything that is due and safe; run it often, it never waits long
  --pre, pre, prehook            before a renewal: keep services on the certificate they have
  --post, post, posthook         after it: publish the new records, release what was not renewed
  deploy, deployhook             one lineage was renewed, others may still be (certbot's deploy hook)
  --reset, reset, init           build or rebuild the dane directory (--force: drop pins as well)
  -t, --config-test, configtest  check the configuration
  status [LINEAGE…]              what is served and published, what is awaited, until when and why (--live)
  check [LINEAGE…]               audit DNS, DNSSEC and every address, for monitoring (--host, --timeout, --prometheus)
  print, tlsa [XYZ:CERT…]        TLSA data of certificates (--zone: as zone-file lines)
  import-alnitak [FILE]          take over what Alnitak left under way (--dry-run: show it)
  rollback LINEAGE               put the previous certificate back while its records stand
  withdraw LINEAGE               leave DANE: delete our records, wait, unpin
  switch LINEAGE                 after a rollback: go on; --now --accept-mismatch: at any price
  danebot …                      what DaneBot does, with its own options; see daneroll-danebot(7)";

const MORE: &str = "\
Set up:
  1. write /etc/daneroll/daneroll.conf, and run \"daneroll -t\" and \"daneroll --reset\"
  2. point the services at /etc/daneroll/dane/LINEAGE/ instead of /etc/letsencrypt/live/LINEAGE/
  3. make \"daneroll --pre\" certbot's pre hook, \"daneroll --post\" its post hook,
     and run \"daneroll\" hourly

Files:
  /etc/daneroll/daneroll.conf   configuration, see daneroll.conf(5)
  /etc/daneroll/dane/           what services read
  /var/lib/daneroll/            what must be remembered
  /var/log/daneroll.log         the log, unless systemd keeps it

Examples:
  daneroll -l-                                  everything that is due, told on the terminal
  daneroll --pre && certbot renew; daneroll --post
  RENEWED_LINEAGE=/etc/letsencrypt/live/mx.example.com daneroll deploy
  daneroll --reset --dry-run                    what would be built
  daneroll -t -c new.conf                       is it right?
  daneroll status --live mx.example.com         asks name servers and services, too
  daneroll check --host mx.example.com:25       any host, no configuration
  daneroll print --zone                         lines for a zone file
  daneroll import-alnitak --dry-run
  daneroll danebot --help                       DaneBot's options
  daneroll rollback mx.example.com              and \"switch mx.example.com\" to go on
  daneroll withdraw mx.example.com              then take its section out
  daneroll danebot --help                       in DaneBot's place

Exit codes:
  0 done, or waiting    1 something failed      2 command line    3 configuration
  4 no lock file        32 another run is busy  +16 the log could not be written";

#[derive(Parser, Default)]
#[command(
    name = "daneroll", version, about = ABOUT, before_help = COMMANDS, after_help = MORE, infer_long_args = true,
    args_override_self = true, override_usage = "daneroll [COMMAND] [OPTIONS]", max_term_width = 100,
    help_template = "{about}\n\n{usage-heading} {usage}\n\n{before-help}Options:\n{options}{after-help}"
)]
struct Raw {
    // An Alnitak of old takes `--pr` for it, which `--print…` would make unclear.
    #[arg(long, hide = true, alias = "pr")]
    pre: bool,
    #[arg(long, hide = true)]
    post: bool,
    #[arg(long, hide = true)]
    reset: bool,
    #[arg(long, hide = true)]
    config_test: bool,
    #[arg(hide = true)]
    words: Vec<String>,
    /// Configuration file [default: /etc/daneroll/daneroll.conf]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where live/ and archive/ are
    #[arg(short = 'C', long, value_name = "DIR")]
    letsencrypt_directory: Option<PathBuf>,
    /// What services read
    #[arg(short = 'D', long, value_name = "DIR")]
    dane_directory: Option<PathBuf>,
    /// What must be remembered
    #[arg(long, value_name = "DIR")]
    state_directory: Option<PathBuf>,
    /// Log to a file, or into a directory; "-" for standard output, "no" for none
    #[arg(short, long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// no, normal, verbose or debug
    #[arg(short = 'L', long, value_name = "LEVEL", value_parser = log_level)]
    log_level: Option<LogLevel>,
    /// text or json, an object a line
    #[arg(long, value_name = "FORMAT", value_parser = log_format)]
    log_format: Option<LogFormat>,
    /// Nothing on the terminal, all in the log
    #[arg(short, long)]
    quiet: bool,
    /// Least wait before a switch, also -t SECONDS
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    ttl: Option<u64>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The result as JSON
    #[arg(long)]
    json: bool,
    /// Stay until nothing is pending
    #[arg(long)]
    wait: bool,
    /// With reset: drop pins that a rollover needs, too
    #[arg(long)]
    force: bool,
    /// With status: ask name servers and services
    #[arg(long)]
    live: bool,
    /// With check: an endpoint, in no need of a configuration
    #[arg(long, value_name = "NAME:PORT")]
    host: Vec<String>,
    /// With check: for everything, also -t SECONDS [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<u64>,
    /// With check: write metrics there
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    /// With print: lines for a zone file
    #[arg(long)]
    zone: bool,
    /// With switch: do not wait
    #[arg(long)]
    now: bool,
    /// With switch: even if clients will fail
    #[arg(long)]
    accept_mismatch: bool,
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    let found = LogLevel::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, level)| *level).ok_or_else(|| "write no, normal, verbose or debug".into())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    let found = LogFormat::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, format)| *format).ok_or_else(|| "write text or json".into())
}

fn seconds(text: &str) -> Result<u64, String> {
    config::duration(text).map_err(|(why, hint)| format!("{why}: {hint}"))
}

/// Reads the command line, the program's name first.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Arguments, Exit> {
    let args: Vec<OsString> = args.collect();
    let is_check = is_check(&args);
    parse_args(untangle(args.into_iter(), is_check)).map_err(|exit| match exit.code {
        // A plug-in's word for everything that keeps it from checking.
        2 if is_check => Exit { code: UNKNOWN, ..exit },
        _ => exit,
    })
}

/// What a monitoring plug-in ends with when it cannot tell.
pub const UNKNOWN: u8 = 3;

fn parse_args(args: Vec<OsString>) -> Result<Arguments, Exit> {
    match plain(&args) {
        Some(raw) => arguments(&args, raw),
        None => arguments(&args, by_clap(&args)?),
    }
}

fn by_clap(args: &[OsString]) -> Result<Raw, Exit> {
    Raw::try_parse_from(args).map_err(|error| {
        let told = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        Exit { code: if told { 0 } else { 2 }, text: error.render().to_string(), to_stderr: !told }
    })
}

/// What timers and cron write: the run that comes every few minutes need not prepare for all else. `None` for anything else.
fn plain(args: &[OsString]) -> Option<Raw> {
    let (mut raw, mut rest) = (Raw::default(), args.get(1..)?.iter());
    while let Some(arg) = rest.next() {
        match arg.to_str()? {
            "-q" | "--quiet" => raw.quiet = true,
            "-c" | "--config" => {
                let file = rest.next().filter(|file| !file.is_empty() && !file.as_bytes().starts_with(b"-"))?;
                raw.config = Some(file.into());
            }
            _ => return None,
        }
    }
    Some(raw)
}

fn arguments(args: &[OsString], raw: Raw) -> Result<Arguments, Exit> {
    let command = command(&raw).map_err(usage)?;
    let alnitak = stands_in_for_alnitak(args, &raw);
    Ok(Arguments {
        command,
        config: raw.config.unwrap_or_else(|| Defaults::of(alnitak).config.into()),
        overrides: Overrides {
            letsencrypt_directory: raw.letsencrypt_directory,
            dane_directory: raw.dane_directory,
            state_directory: raw.state_directory,
            ttl: raw.ttl,
            alnitak,
        },
        log: raw.log,
        log_level: raw.log_level,
        log_format: raw.log_format,
        quiet: raw.quiet,
        dry_run: raw.dry_run,
        json: raw.json,
        wait: raw.wait,
    })
}

/// Are we called by Alnitak's name, or with its configuration?
fn stands_in_for_alnitak(args: &[OsString], raw: &Raw) -> bool {
    let by_name = args.first().is_some_and(|program| program.as_bytes().ends_with(b"alnitak"));
    by_name || raw.config.as_ref().is_some_and(|config| config.ends_with("alnitak.conf"))
}

fn usage(message: String) -> Exit {
    let text = format!("error: {message}\n\nFor more information, try '--help'.\n");
    Exit { code: 2, text, to_stderr: true }
}

/// `XYZ:CERT`: parameters, and where the certificate is.
pub(crate) fn print_word(word: &str) -> Result<(Param, &str), String> {
    let Some((param, what)) = word.split_once(':') else {
        return Err(format!("{word:?} is not PARAMETERS:CERTIFICATE, such as 311:example.com"));
    };
    match what.trim_end_matches('/').is_empty() {
        true => Err(format!("{word:?} names no certificate")),
        false => Ok((param.parse().map_err(|why| format!("{word:?}: {why}"))?, what)),
    }
}

/// The one command among options and words.
fn command(raw: &Raw) -> Result<Command, String> {
    let reset = Command::Reset { force: raw.force };
    let flags = [
        (raw.pre, Command::Pre),
        (raw.post, Command::Post),
        (raw.reset, reset.clone()),
        (raw.config_test, Command::ConfigTest),
    ];
    let mut commands: Vec<Command> =
        flags.into_iter().filter(|(given, _)| *given).map(|(_, command)| command).collect();
    let mut words = raw.words.iter().map(String::as_str);
    if let Some(word) = words.next() {
        let mut rest = words.by_ref().map(str::to_owned);
        let mut lineage = || rest.next().ok_or_else(|| format!("{word} needs the name of a lineage"));
        commands.push(match word {
            "pre" | "prehook" => Command::Pre,
            "post" | "posthook" => Command::Post,
            "deploy" | "deployhook" => Command::Deploy,
            "reset" | "init" => reset,
            "configtest" => Command::ConfigTest,
            "withdraw" => Command::Withdraw { lineage: lineage()? },
            "switch" => Command::Switch { now: raw.now, accept_mismatch: raw.accept_mismatch, lineage: lineage()? },
            "rollback" => Command::Rollback { lineage: lineage()? },
            "status" => Command::Status { lineages: rest.collect(), live: raw.live },
            "import-alnitak" => Command::ImportAlnitak { file: rest.next().map(PathBuf::from) },
            "print" | "tlsa" => {
                let what: Vec<String> = rest.collect();
                what.iter().try_for_each(|word| print_word(word).map(drop))?;
                Command::Print { what, zone: raw.zone }
            }
            "check" => Command::Check(Check {
                lineages: rest.collect(),
                hosts: raw.host.clone(),
                timeout: raw.timeout.unwrap_or(10),
                prometheus: raw.prometheus.clone(),
            }),
            _ => return Err(format!("unknown command {word:?}")),
        });
    }
    if let Some(extra) = words.next() {
        return Err(format!("unexpected argument {extra:?}"));
    }
    if commands.len() > 1 {
        return Err("one command at a time".into());
    }
    let command = commands.pop().unwrap_or(Command::Run);
    for (given, option, fits) in [
        (raw.force, "--force", matches!(command, Command::Reset { .. })),
        (raw.live, "--live", matches!(command, Command::Status { .. })),
        (raw.zone, "--zone", matches!(command, Command::Print { .. })),
        (!raw.host.is_empty(), "--host", matches!(command, Command::Check(_))),
        (raw.timeout.is_some(), "--timeout", matches!(command, Command::Check(_))),
        (raw.prometheus.is_some(), "--prometheus", matches!(command, Command::Check(_))),
        (raw.now, "--now", matches!(command, Command::Switch { .. })),
        (raw.accept_mismatch, "--accept-mismatch", matches!(command, Command::Switch { .. })),
    ] {
        if given && !fits {
            return Err(format!("{option} does not go with this command"));
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_reads_as_the_long_one() {
        for (line, is_plain) in [
            ("daneroll", true),
            ("daneroll -q", true),
            ("alnitak --quiet --quiet", true),
            ("daneroll -c a.conf -q --config b.conf", true),
            ("daneroll -c /etc/alnitak.conf", true),
            ("daneroll -c", false),
            ("daneroll -c -q", false),
            ("daneroll -qc a.conf", false),
            ("daneroll --config=a.conf", false),
            ("daneroll --conf a.conf", false),
            ("daneroll --", false),
            ("daneroll -l-", false),
            ("daneroll status", false),
            ("", false),
        ] {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let short = plain(&args).map(|raw| arguments(&args, raw));
            assert_eq!(short.is_some(), is_plain, "{line}");
            if let Some(short) = short {
                assert_eq!(short, by_clap(&args).and_then(|raw| arguments(&args, raw)), "{line}");
            }
        }
    }
}
