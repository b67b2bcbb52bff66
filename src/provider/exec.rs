//! `api = exec`: an external program, called once for each record, that keeps Alnitak's contract
//! (`hooks/provider-example` spells it out for those who write one).

use super::{Change, Context, Operation, Outcome, PATH, Provider, by_owner, last_words, printable};
use crate::{
    config::{Fault, Scene, Word, command},
    env::{Command, Ended, Env, Status, User},
    name::DnsName,
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// So many zones whose calls ran into the time limit, and no further call is made.
const HUNG: usize = 3;
/// Most calls at once that an operator may wish for.
const AT_ONCE: usize = 64;

/// `api = exec [uid:UID] [parallel:N] CMD ARGS…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whose privileges it gets.
    pub user: Option<User>,
    /// Calls at once, each for another owner. More than one only if the operator says so: Alnitak made one after the other, and a
    /// program that edits a file by hand would lose changes.
    pub at_once: usize,
    /// Least exit code that means "trouble that passes": 128, with `binary` (Alnitak 0.1) 200.
    pub temporary_from: i32,
}

/// Alnitak 0.2's name for it.
pub(super) fn read(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    read_with(scheme, words, 128, scene)
}

/// Alnitak 0.1's name for it.
pub(super) fn read_binary(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    read_with(scheme, words, 200, scene)
}

/// `exec [uid:UID] [parallel:N] CMD ARGS…`.
fn read_with(scheme: &Word, words: &[Word], temporary_from: i32, scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    let Program { argv, user, at_once } = program(scheme, words, scene)?;
    Ok(Box::new(Exec { argv, user, at_once: at_once.unwrap_or(1), temporary_from }))
}

/// What is to be started, and how.
pub(super) struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whose privileges it gets.
    pub user: Option<User>,
    /// `parallel:N`.
    pub at_once: Option<usize>,
}

/// `[uid:UID] [parallel:N] CMD ARGS…`.
pub(super) fn program(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Program, Fault> {
    let (mut user, mut at_once, mut words) = (None, None, words);
    while let Some((word, rest)) = words.split_first() {
        if let Some(uid) = word.after("uid:") {
            let found = scene.lookups.user(&uid.text).map_err(|why| uid.fault(why))?;
            let unknown = || uid.fault(format!("this machine has no user \"{}\"", uid.text));
            user = Some(found.ok_or_else(unknown)?);
        } else if let Some(number) = word.after("parallel:") {
            let wish = number.text.parse().ok().filter(|wish| (1..=AT_ONCE).contains(wish));
            let odd = || number.fault(format!("\"parallel:\" is followed by a number from 1 to {AT_ONCE}"));
            at_once = Some(wish.ok_or_else(odd)?);
        } else {
            break;
        }
        words = rest;
    }
    let missing = || {
        let hint = format!("write \"api = {} /path/to/program arguments\"", scheme.text);
        scheme.fault("no program is named").hint(hint)
    };
    let argv = command(words).transpose()?.ok_or_else(missing)?;
    Ok(Program { argv, user, at_once })
}

impl Provider for Exec {
    fn changes_at_once(&self) -> bool {
        false
    }

    fn edits_any_owner(&self) -> bool {
        false
    }

    /// One program is not at work twice, whatever its arguments, unless it may be.
    fn lane(&self) -> Option<&str> {
        self.argv.first().filter(|_| self.at_once == 1).map(String::as_str)
    }

    /// A call that runs into its time limit ends those for its zone: with a zone that hangs the others are still served.
    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome> {
        let hung: Mutex<BTreeSet<String>> = Mutex::default();
        let hangs = || hung.lock().unwrap_or_else(PoisonError::into_inner);
        by_owner(env, changes, self.at_once, |env, change| {
            let zone = zone_domain(change);
            let (its, all) = {
                let hung = hangs();
                (hung.contains(&zone), hung.len() >= HUNG)
            };
            if its || all {
                let limit = context.timeout.as_secs();
                let whose = if its { format!("zone {zone}") } else { format!("{HUNG} zones") };
                return Outcome::Temporary(format!(
                    "not called: a call for {whose} was ended after {limit} s just now"
                ));
            }
            let (outcome, in_time) = call(env, self, context, change);
            if !in_time {
                hangs().insert(zone);
            }
            outcome
        })
    }
}

/// One call: what came of it, and whether it ended in time.
fn call(env: &dyn Env, exec: &Exec, context: &Context, change: &Change) -> (Outcome, bool) {
    let command = Command {
        argv: exec.argv.clone(),
        vars: variables(context, change),
        input: String::new(),
        user: exec.user.clone(),
        limit: context.timeout,
    };
    let ended = env.run(&command);
    let program = exec.argv.first().map_or("", String::as_str);
    for line in ended.output.lines() {
        tracing::info!("{program}: {}", printable(line));
    }
    (outcome(exec, context, change, &ended), ended.status != Status::TimedOut)
}

/// The whole environment of the program.
fn variables(context: &Context, change: &Change) -> Vec<(String, String)> {
    let record = &change.record;
    let operation = match change.operation {
        Operation::Add => "publish",
        Operation::Delete => "delete",
    };
    let mut vars = vec![
        ("PATH", PATH.to_owned()),
        ("IFS", " \t\n".to_owned()),
        ("TLSA_OPERATION", operation.to_owned()),
        ("TLSA_USAGE", record.usage.to_string()),
        ("TLSA_SELECTOR", record.selector.to_string()),
        ("TLSA_MATCHING", record.matching.to_string()),
        ("TLSA_PARAM", format!("{}{}{}", record.usage, record.selector, record.matching)),
        ("TLSA_PORT", change.port.to_string()),
        ("TLSA_PROTOCOL", change.protocol.clone()),
        ("TLSA_DOMAIN", change.domain.without_dot().to_owned()),
        ("TLSA_HASH", record.hex()),
        ("RENEWED_DOMAINS", context.renewed_domains.clone()),
        ("ZONE_DOMAIN", zone_domain(change)),
        ("LETSENCRYPT_DIR", context.letsencrypt_directory.to_string_lossy().into_owned()),
    ];
    if let (Operation::Delete, Some(live)) = (change.operation, &change.live) {
        vars.push(("TLSA_LIVE_HASH", live.hex()));
    }
    vars.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The zone where it is known; else what Alnitak takes for it, the last two labels.
fn zone_domain(change: &Change) -> String {
    let domain = change.domain.without_dot();
    let last_two =
        || domain.rsplitn(3, '.').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(".");
    change.zone.as_ref().map(DnsName::without_dot).map_or_else(last_two, str::to_owned)
}

fn outcome(exec: &Exec, context: &Context, change: &Change, ended: &Ended) -> Outcome {
    let told = |what: String| sentence(exec, change, &what, &ended.output);
    let code = match &ended.status {
        Status::Exited(code) => *code,
        Status::Signalled(signal) => return Outcome::Failed(told(format!("was ended by signal {signal}"))),
        Status::TimedOut => {
            let limit = context.timeout.as_secs();
            return Outcome::Failed(told(format!(
                "was still running after {limit} s and has been ended (see `timeout`)"
            )));
        }
        Status::NotStarted(why) => return Outcome::Failed(told(format!("could not be started: {why}"))),
    };
    match (change.operation, code) {
        (_, 0) => Outcome::Done,
        (Operation::Add, 1) => Outcome::Already,
        (Operation::Delete, 1) => Outcome::NotYet(told("does not see the record that must stay (exit code 1)".into())),
        (_, code) if code >= exec.temporary_from => {
            Outcome::Temporary(told(format!("reports trouble that passes (exit code {code})")))
        }
        (_, code) => Outcome::Failed(told(format!("failed with exit code {code}"))),
    }
}

/// What the program did wrong, for which record, and the last thing it said.
fn sentence(exec: &Exec, change: &Change, what: &str, output: &str) -> String {
    let program = exec.argv.first().map_or("", String::as_str);
    let operation = match change.operation {
        Operation::Add => "to publish",
        Operation::Delete => "to delete",
    };
    let said = last_words(output);
    format!("`{program}`, called {operation} a record at {}, {what}{said}", change.owner)
}
