//! News of what is wrong: told when it is new, and once more when it stays.

use super::{Event, Memory, News, Seen, Since, forget, slack};
use crate::plan::span;

/// Errors may last for this part of what a wait may.
const PART: u64 = 4;

/// Something that is wrong in a run.
struct Wrong<'a> {
    lineage: Option<&'a str>,
    text: &'a str,
    /// It ought to pass by itself, and is news only when it does not.
    passes: bool,
}

impl Memory {
    /// What is wrong and was not before, or stays wrong.
    pub(super) fn wrong(&mut self, seen: &Seen<'_>) -> Vec<News> {
        let failed = seen.troubles.iter().map(|trouble| Wrong {
            lineage: trouble.lineage.as_deref(),
            text: &trouble.text,
            passes: false,
        });
        let later = seen.later.iter().map(|text| match text.split_once(": ").filter(|(name, _)| self.knows(name)) {
            Some((name, text)) => Wrong { lineage: Some(name), text, passes: true },
            None => Wrong { lineage: None, text, passes: true },
        });
        let all: Vec<(String, Wrong<'_>)> = failed.chain(later).map(|wrong| (key(&wrong), wrong)).collect();
        forget(&mut self.errors, seen.now, |key| all.iter().any(|(other, _)| other == key));
        all.iter().filter_map(|(key, wrong)| self.take(key, wrong, seen)).collect()
    }

    fn knows(&self, name: &str) -> bool {
        self.lineages.contains_key(name)
    }

    fn take(&mut self, key: &str, wrong: &Wrong<'_>, seen: &Seen<'_>) -> Option<News> {
        let fresh = !self.errors.contains_key(key);
        let since = self.errors.entry(key.to_owned()).or_insert_with(|| Since::new(seen.now));
        since.goes_on(seen.now);
        let tell = |event, text| {
            let lineage = wrong.lineage.map(str::to_owned);
            Some(News { event, lineage, text, generation: None, until: None, time: seen.wall })
        };
        if fresh && !wrong.passes {
            return tell(Event::Failed, wrong.text.to_owned());
        }
        let standing = wrong.lineage.zip(seen.standings).and_then(|(name, standings)| standings.get(name));
        let lasts = since.since.elapsed(seen.now);
        if since.stuck || lasts <= slack(seen, standing) / PART {
            return None;
        }
        since.stuck = true;
        tell(Event::Stuck, format!("in every run for {}: {}", span(lasts), wrong.text))
    }
}

fn key(wrong: &Wrong<'_>) -> String {
    let kind = if wrong.passes { "later" } else { "failed" };
    format!("{kind} {}: {}", wrong.lineage.unwrap_or_default(), gist(wrong.text))
}

/// What stays of a text from run to run: the words without numbers, addresses and spans of time.
fn gist(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut counts = false;
    let stays = |word: &&str| {
        let digits = word.bytes().any(|byte| byte.is_ascii_digit());
        let unit = counts && ["s", "min", "h", "d"].contains(&word.trim_matches([',', ';', ':', '.', ')']));
        counts = digits;
        !digits && !unit
    };
    let words: Vec<&str> = text.split_whitespace().filter(stays).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::clock::Stamp, plan::Trouble};

    #[test]
    fn the_same_text() {
        for (one, other, same) in [
            ("seen 3 h ago", "seen 2 d ago", true),
            ("seen 90 s ago, at 192.0.2.1:25", "seen 5 min ago, at [2001:db8::1]:25", true),
            ("generation 0a1b (TTL 60)", "generation ffe9 (TTL 7200)", true),
            ("exited 1: no such file", "exited 1: permission denied", false),
            ("a d b", "a b", false),
            ("", "7", true),
        ] {
            assert_eq!(gist(one) == gist(other), same, "{one:?} {other:?}");
        }
    }

    /// Runs so many minutes apart, each with what is wrong in it; what was told, by run.
    fn told(every: u64, runs: &[&[&str]]) -> Vec<Vec<(Event, String)>> {
        let mut memory = Memory::default();
        let run = |(index, texts): (usize, &&[&str])| {
            let (later, failed): (Vec<&str>, Vec<&str>) = texts.iter().partition(|text| text.starts_with("later "));
            let troubles: Vec<Trouble> = failed.iter().map(|text| Trouble::of("mx", *text)).collect();
            let later: Vec<String> = later.into_iter().map(str::to_owned).collect();
            let now = Stamp(index as u64 * every * 60_000);
            let (troubles, later) = (&troubles[..], &later[..]);
            let seen = Seen { now, epoch: "a", wall: 7, standings: None, troubles, later, stuck: None };
            memory.news(&seen).into_iter().map(|news| (news.event, news.text)).collect()
        };
        runs.iter().enumerate().map(run).collect()
    }

    fn short(told: Vec<Vec<(Event, String)>>) -> String {
        let letter = |event: &Event| if *event == Event::Failed { 'F' } else { 'S' };
        let run = |news: Vec<(Event, String)>| match news.len() {
            0 => ".".to_owned(),
            _ => news.iter().map(|(event, _)| letter(event)).collect(),
        };
        told.into_iter().map(run).collect::<Vec<_>>().join(" ")
    }

    /// `F`: failed is told, `S`: stuck. A quarter of a day is what an error may last.
    #[test]
    fn once_and_once_more() {
        const A: &[&str] = &["exited 1"];
        const B: &[&str] = &["refused"];
        const AB: &[&str] = &["exited 1", "refused"];
        const L: &[&str] = &["later no answer"];
        const NO: &[&str] = &[];
        for (every, runs, expected) in [
            (60, &[A, A, A, A][..], "F . . ."),
            (120, &[A, A, A, A, A, A], "F . . . S ."), // six hours and more
            (120, &[A, A, A, NO, A, A, A, A, A], "F . . . . . . . S"), // the count starts anew, the news is old
            (60, &[A, B, A, B], "F F . ."),            // comes and goes
            (60, &[A, AB, AB], "F F ."),
            (60, &[AB], "FF"),
            (800, &[A, NO, A], "F . F"), // forgotten after a day
            (60, &[L, L, L], ". . ."),   // ought to pass
            (240, &[L, L, L, L], ". . S ."),
            (240, &[L, NO, L, L], ". . . ."),
        ] {
            assert_eq!(short(told(every, runs)), expected, "{every} {runs:?}");
        }
        assert_eq!(told(240, &[A, A, A])[2][0].1, "in every run for 8 h: exited 1");
    }
}
