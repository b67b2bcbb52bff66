//! News: what is told once when the state of a lineage changes, to the command of `notify`. Pure: what was told is a value, and so
//! is what is to be told now.

mod errors;
mod lineages;

use crate::{
    journal::clock::Stamp,
    lineage::GenerationId,
    plan::{Trouble, standing::Standing},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Version of the document and of the memory.
pub const VERSION: u32 = 1;
/// How much longer than planned a wait may last where no certificate is shorter-lived, seconds.
const SLACK: u64 = 86_400;
/// What was seen once and is gone is remembered for so long, so that what comes and goes is told once, seconds.
const FORGOTTEN: u64 = 86_400;
/// News that the command did not take are kept up to this number; the oldest go first.
const KEPT: usize = 200;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A new certificate is there, and its rollover has begun.
    Started,
    /// Every server shows its records, and only time is waited for.
    Waiting,
    /// Services read another certificate now.
    Switched,
    /// The rollover is over, and nothing is left of the old certificate.
    Done,
    /// It does not go on as it should.
    Stuck,
    /// Something is wrong.
    Failed,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// What happened.
    pub event: Event,
    /// To which lineage, if it is one's.
    pub lineage: Option<String>,
    /// In a sentence or two.
    pub text: String,
    /// The generation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<GenerationId>,
    /// When the next step is planned, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// When it happened, Unix seconds.
    pub time: i64,
}

/// What the command reads.
#[derive(Serialize)]
pub struct Document<'a> {
    /// [`VERSION`].
    pub version: u32,
    /// In the order in which it happened; never none.
    pub news: &'a [News],
}

/// What was told, and what it takes to tell nothing twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// [`VERSION`].
    pub version: u32,
    /// Names the clock of all stamps here.
    pub epoch: String,
    /// By lineage.
    #[serde(default)]
    pub lineages: BTreeMap<String, Told>,
    /// What was wrong, by lineage and the gist of its text.
    #[serde(default)]
    pub errors: BTreeMap<String, Since>,
    /// News that the command has not taken yet.
    #[serde(default)]
    pub owed: Vec<News>,
    /// The command was started with them, and nobody knows what came of it.
    #[serde(default)]
    pub telling: bool,
}

/// What was told of a lineage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    served: Option<GenerationId>,
    candidate: Option<GenerationId>,
    /// Of that candidate.
    waiting: bool,
    /// A rollover began whose end is still to be told.
    rolling: bool,
    /// This served generation's life becomes short.
    short: Option<GenerationId>,
    waits: BTreeMap<String, Since>,
}

/// Something that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// In every run from then on.
    since: Stamp,
    /// Last seen then.
    last: Stamp,
    /// It was there in the last run.
    there: bool,
    /// That it lasts too long has been told.
    stuck: bool,
}

/// What a run saw.
pub struct Seen<'a> {
    /// The moment, on the clock `epoch`.
    pub now: Stamp,
    /// Names the clock.
    pub epoch: &'a str,
    /// Unix seconds.
    pub wall: i64,
    /// Where lineages stand; `None` for a run that did not come so far.
    pub standings: Option<&'a BTreeMap<String, Standing>>,
    /// What is wrong.
    pub troubles: &'a [Trouble],
    /// What ought to pass by itself, each text with its lineage and a colon before it.
    pub later: &'a [String],
    /// `stuck`, where the operator set it.
    pub stuck: Option<u64>,
}

/// The news in a line, for a subject.
pub fn subject(news: &[News]) -> String {
    const MOST: usize = 3;
    let short = |news: &News| match &news.lineage {
        Some(lineage) => format!("{} {}", plain(lineage), news.event),
        None => news.event.to_string(),
    };
    let mut told: Vec<String> = Vec::new();
    news.iter().map(short).for_each(|short| {
        if !told.contains(&short) {
            told.push(short)
        }
    });
    let more = told.len().saturating_sub(MOST);
    told.truncate(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("daneroll: {}{more}", told.join(", "))
}

/// The news in words, a line each, for those who do not read JSON. As much as fits into a variable of the environment.
pub fn body(news: &[News]) -> String {
    const LONGEST: usize = 32 << 10;
    let line = |news: &News| match &news.lineage {
        Some(lineage) => format!("{} {}: {}\n", plain(lineage), news.event, plain(&news.text)),
        None => format!("{}: {}\n", news.event, plain(&news.text)),
    };
    let mut text: String = news.iter().map(line).collect();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str("…\n");
    }
    text
}

/// Without control characters: parts of it come from name servers and programs.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Event::Started => "started",
            Event::Waiting => "waiting",
            Event::Switched => "switched",
            Event::Done => "done",
            Event::Stuck => "stuck",
            Event::Failed => "failed",
        })
    }
}

impl Memory {
    /// Takes down what a run saw, and returns what is new in it.
    pub fn news(&mut self, seen: &Seen<'_>) -> Vec<News> {
        if self.epoch != seen.epoch {
            self.start_anew(seen);
        }
        self.version = VERSION;
        let mut news = Vec::new();
        if let Some(standings) = seen.standings {
            self.lineages.retain(|name, _| standings.contains_key(name));
            for (name, standing) in standings {
                let known = self.lineages.contains_key(name);
                let told = self.lineages.entry(name.clone()).or_default();
                if !known {
                    told.served.clone_from(&standing.served);
                }
                news.extend(told.news(name, standing, seen));
            }
        }
        news.extend(self.wrong(seen));
        news
    }

    /// Stamps of another clock mean nothing: what lasts begins now, and what was told stays told.
    fn start_anew(&mut self, seen: &Seen<'_>) {
        self.epoch = seen.epoch.to_owned();
        let waits = self.lineages.values_mut().flat_map(|told| told.waits.values_mut());
        waits.chain(self.errors.values_mut()).for_each(|since| (since.since, since.last) = (seen.now, seen.now));
    }

    /// Puts news behind those that are still owed.
    pub fn owe(&mut self, news: Vec<News>) {
        self.owed.extend(news);
        let surplus = self.owed.len().saturating_sub(KEPT);
        self.owed.drain(..surplus);
    }
}

impl Since {
    fn new(now: Stamp) -> Since {
        Since { since: now, last: now, there: true, stuck: false }
    }

    /// It is there now.
    fn goes_on(&mut self, now: Stamp) {
        if !self.there {
            self.since = now;
        }
        (self.last, self.there) = (now, true);
    }
}

/// Those of `kept` that are not there now stay for a while.
fn forget(kept: &mut BTreeMap<String, Since>, now: Stamp, is_there: impl Fn(&str) -> bool) {
    kept.retain(|what, since| {
        since.there &= is_there(what);
        since.there || since.last.elapsed(now) < FORGOTTEN
    });
}

/// How much longer than planned a wait may last: a day, or a tenth of the certificate's life if that is less.
fn slack(seen: &Seen<'_>, standing: Option<&Standing>) -> u64 {
    let tenth = standing.and_then(|standing| standing.life).map_or(SLACK, |life| life.whole / 10);
    seen.stuck.unwrap_or(tenth.min(SLACK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(lineage: Option<&str>, event: Event, text: &str) -> News {
        News { event, lineage: lineage.map(str::to_owned), text: text.into(), generation: None, until: None, time: 7 }
    }

    #[test]
    fn in_words() {
        use Event::{Done, Failed, Stuck, Switched};
        let a = || news(Some("a"), Switched, "new");
        for (news, subject_is, body_is) in [
            (vec![a()], "daneroll: a switched", "a switched: new\n"),
            (vec![news(None, Failed, "x\ny\x1b[0m")], "daneroll: failed", "failed: x y [0m\n"),
            (vec![a(), a()], "daneroll: a switched", "a switched: new\na switched: new\n"),
            (
                vec![news(Some("a\nBcc: x"), Done, ""), news(Some("b"), Stuck, ""), news(Some("c"), Done, ""), a()],
                "daneroll: a Bcc: x done, b stuck, c done and 1 more",
                "a Bcc: x done: \nb stuck: \nc done: \na switched: new\n",
            ),
        ] {
            assert_eq!((subject(&news), body(&news)), (subject_is.to_owned(), body_is.to_owned()));
        }
        let long = body(&[news(None, Failed, &"ä".repeat(40_000))]);
        assert!(long.len() < 33_000 && long.ends_with("…\n"));
    }

    #[test]
    fn what_is_owed_has_an_end() {
        let mut memory = Memory::default();
        (0..300).for_each(|n| memory.owe(vec![news(None, Event::Failed, &n.to_string())]));
        assert_eq!((memory.owed.len(), memory.owed[0].text.as_str()), (KEPT, "100"));
    }
}
