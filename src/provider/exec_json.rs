//! `api = exec-json`: an external program, called once for each zone with all its changes as JSON on standard input
//! (daneroll-exec(7) is the contract).

use super::{Change, Context, Operation, Outcome, PATH, Provider, exec, last_words, printable, too_late};
use crate::{
    config::{Fault, Scene, Word},
    env::{Command, Ended, Env, Status, User},
    name::DnsName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of the output so much is kept; an answer behind that would be lost.
const KEPT: usize = 64 << 10;

/// `api = exec-json [uid:UID] CMD ARGS…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecJson {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whose privileges it gets.
    pub user: Option<User>,
}

pub(super) fn read(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    let exec::Program { argv, user, at_once } = exec::program(scheme, words, scene)?;
    if let (Some(_), Some(word)) = (at_once, words.iter().find(|word| word.text.starts_with("parallel:"))) {
        return Err(word.fault("this program gets all changes of a zone at once, and one zone after the other"));
    }
    Ok(Box::new(ExecJson { argv, user }))
}

/// What the program reads.
#[derive(Serialize)]
struct Request<'a> {
    version: u32,
    zone: Option<&'a str>,
    renewed_domains: &'a str,
    letsencrypt_directory: &'a std::path::Path,
    changes: Vec<Asked<'a>>,
}

#[derive(Serialize)]
struct Asked<'a> {
    number: usize,
    operation: &'static str,
    owner: &'a str,
    ttl: u32,
    usage: u8,
    selector: u8,
    matching: u8,
    data: String,
    must_stay: Option<String>,
    lineage: &'a str,
    domain: &'a str,
    port: u16,
    protocol: &'a str,
}

/// What it may answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    version: u32,
    outcomes: Vec<Told>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    number: usize,
    outcome: Verdict,
    #[serde(default)]
    why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Done,
    Already,
    NotYet,
    Temporary,
    Failed,
}

impl Provider for ExecJson {
    /// The program may make them one at a time, in their order.
    fn changes_at_once(&self) -> bool {
        false
    }

    /// One program is not at work twice.
    fn lane(&self) -> Option<&str> {
        self.argv.first().map(String::as_str)
    }

    fn apply(&self, env: &dyn Env, context: &Context, changes: &[Change]) -> Vec<Outcome> {
        let began = env.boot();
        let mut outcomes = vec![Outcome::Temporary("it was not asked for".into()); changes.len()];
        let mut zones = BTreeMap::<Option<&DnsName>, Vec<usize>>::new();
        for (place, change) in changes.iter().enumerate() {
            zones.entry(change.zone.as_ref()).or_default().push(place);
        }
        for (zone, mut places) in zones {
            places.retain(|place| match too_late(env, &began, &changes[*place]) {
                Some(outcome) => {
                    outcomes[*place] = outcome;
                    false
                }
                None => true,
            });
            let asked: Vec<&Change> = places.iter().map(|place| &changes[*place]).collect();
            if asked.is_empty() {
                continue;
            }
            for (place, outcome) in places.iter().zip(self.call(env, context, zone, &asked)) {
                outcomes[*place] = outcome;
            }
        }
        outcomes
    }
}

impl ExecJson {
    fn call(&self, env: &dyn Env, context: &Context, zone: Option<&DnsName>, asked: &[&Change]) -> Vec<Outcome> {
        let changes = asked.iter().enumerate().map(|(at, change)| request(at + 1, change));
        let request = Request {
            version: 1,
            zone: zone.map(DnsName::as_str),
            renewed_domains: &context.renewed_domains,
            letsencrypt_directory: &context.letsencrypt_directory,
            changes: changes.collect(),
        };
        let input = match serde_json::to_string(&request) {
            Ok(text) => text + "\n",
            Err(error) => return vec![Outcome::Failed(format!("the request cannot be written: {error}")); asked.len()],
        };
        let command = Command {
            argv: self.argv.clone(),
            vars: vec![("PATH".into(), PATH.into()), ("IFS".into(), " \t\n".into())],
            input,
            user: self.user.clone(),
            limit: context.timeout,
        };
        let ended = env.run(&command);
        let program = self.argv.first().map_or("", String::as_str);
        for line in ended.output.lines() {
            tracing::info!("{program}: {}", printable(line));
        }
        self.outcomes(context, zone, asked, &ended)
    }

    fn outcomes(&self, context: &Context, zone: Option<&DnsName>, asked: &[&Change], ended: &Ended) -> Vec<Outcome> {
        let all = |outcome: Outcome| vec![outcome; asked.len()];
        let said = last_words(&ended.output);
        let told = |what: String| self.sentence(zone, &what);
        let code = match &ended.status {
            Status::Exited(code) => *code,
            Status::Signalled(signal) => {
                return all(Outcome::Failed(told(format!("was ended by signal {signal}{said}"))));
            }
            Status::TimedOut => {
                let limit = context.timeout.as_secs();
                let text = format!("was still running after {limit} s and has been ended (see `timeout`){said}");
                return all(Outcome::Failed(told(text)));
            }
            Status::NotStarted(why) => return all(Outcome::Failed(told(format!("could not be started: {why}")))),
        };
        let answer = match answer(&ended.output, asked.len()) {
            Ok(answer) => answer,
            Err(why) => return all(Outcome::Failed(told(format!("gave an answer that cannot be used: {why}")))),
        };
        let unsaid = match (code, &answer) {
            (0, None) => Outcome::Done,
            (0, Some(_)) => Outcome::Failed(told("says nothing of this change in its answer".into())),
            (128.., _) => Outcome::Temporary(told(format!("reports trouble that passes (exit code {code}){said}"))),
            (code, _) => Outcome::Failed(told(format!("failed with exit code {code}{said}"))),
        };
        let mut answer = answer.unwrap_or_default();
        let outcome = |(at, change): (usize, &&Change)| match answer.remove(&(at + 1)) {
            None => unsaid.clone(),
            Some(Told { outcome, why, .. }) => {
                let why = if why.trim().is_empty() { String::new() } else { format!(": {}", printable(&why)) };
                match (outcome, change.operation) {
                    (Verdict::Done, _) => Outcome::Done,
                    (Verdict::Already, _) => Outcome::Already,
                    (Verdict::NotYet, Operation::Delete) => {
                        Outcome::NotYet(told(format!("does not delete it yet{why}")))
                    }
                    (Verdict::NotYet, Operation::Add) => {
                        Outcome::Failed(told(format!("says \"not-yet\" to an addition{why}")))
                    }
                    (Verdict::Temporary, _) => Outcome::Temporary(told(format!("reports trouble that passes{why}"))),
                    (Verdict::Failed, _) => Outcome::Failed(told(format!("reports an error{why}"))),
                }
            }
        };
        asked.iter().enumerate().map(outcome).collect()
    }

    fn sentence(&self, zone: Option<&DnsName>, what: &str) -> String {
        let program = self.argv.first().map_or("", String::as_str);
        let zone = zone.map_or("a zone that is not known".into(), |zone| format!("zone {}", zone.without_dot()));
        format!("`{program}`, called for {zone}, {what}")
    }
}

fn request(number: usize, change: &Change) -> Asked<'_> {
    let operation = match change.operation {
        Operation::Add => "add",
        Operation::Delete => "delete",
    };
    let live = change.live.as_ref().filter(|_| change.operation == Operation::Delete);
    Asked {
        number,
        operation,
        owner: change.owner.as_str(),
        ttl: change.ttl,
        usage: change.record.usage,
        selector: change.record.selector,
        matching: change.record.matching,
        data: change.record.hex(),
        must_stay: live.map(|live| live.hex()),
        lineage: &change.lineage,
        domain: change.domain.without_dot(),
        port: change.port,
        protocol: &change.protocol,
    }
}

/// The outcomes by number. An answer is a line that begins with a brace; there is one at most, and it is taken as a whole or not
/// at all: a program that tries to say something and fails must not pass for one that has nothing to say.
fn answer(output: &str, asked: usize) -> Result<Option<BTreeMap<usize, Told>>, String> {
    let mut lines = output.lines().filter(|line| line.trim_start().starts_with('{'));
    let line = match (lines.next(), lines.next()) {
        _ if output.len() >= KEPT => return Err(format!("it printed more than {} KiB", KEPT >> 10)),
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => return Err("more than one line begins with a brace".into()),
        (Some(line), None) => line,
    };
    let answer: Answer = serde_json::from_str(line).map_err(|error| printable(&error.to_string()))?;
    if answer.version != 1 {
        return Err(format!("its version is {} and not 1", answer.version));
    }
    let mut outcomes = BTreeMap::new();
    for told in answer.outcomes {
        let number = told.number;
        if !(1..=asked).contains(&number) {
            return Err(format!("there is no change {number}"));
        }
        if outcomes.insert(number, told).is_some() {
            return Err(format!("change {number} has two outcomes"));
        }
    }
    Ok(Some(outcomes))
}
