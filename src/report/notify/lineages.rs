//! News of a lineage: how its rollover goes on, and when it does not.

use super::{Event, News, Seen, Since, Told, forget, slack};
use crate::plan::{
    span,
    standing::{Lasting, Standing},
};

/// The part of its life that a certificate should have left when it is replaced, and the most of that, seconds.
const RESERVE: (u64, u64) = (10, 10 * 86_400);

impl Told {
    pub(super) fn news(&mut self, name: &str, standing: &Standing, seen: &Seen<'_>) -> Vec<News> {
        let mut news = self.progress(name, standing, seen);
        news.extend(self.late(name, standing, seen));
        news.extend(self.short(name, standing, seen));
        news
    }

    fn progress(&mut self, name: &str, standing: &Standing, seen: &Seen<'_>) -> Vec<News> {
        let tell = |event, text: String| piece(event, name, text, seen);
        let mut news = Vec::new();
        if self.candidate != standing.candidate {
            (self.candidate, self.waiting) = (standing.candidate.clone(), false);
            if let Some(candidate) = &self.candidate {
                self.rolling = true;
                let text =
                    format!("a new certificate is there (generation {candidate}): its records are being published");
                news.push(News { generation: Some(candidate.clone()), ..tell(Event::Started, text) });
            }
        }
        if let (Some(candidate), Some(at), false) = (&self.candidate, standing.switches, self.waiting) {
            self.waiting = true;
            let left = at.until(seen.now);
            let text = format!(
                "every name server shows the records of generation {candidate}; services get it in {}, when no cache can \
                 hold an answer without them",
                span(left)
            );
            let (generation, until) = (Some(candidate.clone()), Some(seen.wall.saturating_add_unsigned(left)));
            news.push(News { generation, until, ..tell(Event::Waiting, text) });
        }
        if let Some(served) = standing.served.as_ref().filter(|served| self.served.as_ref() != Some(served)) {
            if self.served.is_some() {
                self.rolling = true;
                let text = format!("services read the certificate of generation {served} now");
                news.push(News { generation: Some(served.clone()), ..tell(Event::Switched, text) });
            }
            self.served = Some(served.clone());
        }
        if self.rolling && standing.settled {
            self.rolling = false;
            let text =
                "the rollover is over: services have the newest certificate, and the records of the old one are gone";
            news.push(News { generation: standing.served.clone(), ..tell(Event::Done, text.into()) });
        }
        news
    }

    /// Waits that last longer than planned.
    fn late(&mut self, name: &str, standing: &Standing, seen: &Seen<'_>) -> Vec<News> {
        let slack = slack(seen, Some(standing));
        forget(&mut self.waits, seen.now, |step| standing.waits.iter().any(|wait| wait.step == step));
        let mut news = Vec::new();
        for Lasting { step, planned, reasons } in &standing.waits {
            let since = self.waits.entry(step.clone()).or_insert_with(|| Since::new(seen.now));
            since.goes_on(seen.now);
            let lasts = since.since.elapsed(seen.now);
            if !since.stuck && lasts > planned.saturating_add(slack) {
                since.stuck = true;
                let plan = if *planned > 0 { format!(", and {} were planned", span(*planned)) } else { String::new() };
                let text = format!("it waits to {step} for {}{plan}: {}", span(lasts), reasons.join("; "));
                news.push(piece(Event::Stuck, name, text, seen));
            }
        }
        news
    }

    /// A certificate that ends before another can take its place, or soon after.
    fn short(&mut self, name: &str, standing: &Standing, seen: &Seen<'_>) -> Option<News> {
        let (life, served) = (standing.life?, standing.served.as_ref()?);
        let (part, most) = RESERVE;
        let reserve = (life.whole / part).min(most);
        // How long it still takes where that is known, else all of it.
        let takes = standing.switches.map_or(standing.needed, |at| at.until(seen.now));
        if life.left >= takes.saturating_add(reserve) || self.short.as_ref() == Some(served) {
            return None;
        }
        self.short = Some(served.clone());
        let ends = match life.left {
            0 => "the certificate that services have has EXPIRED".into(),
            left => format!("the certificate that services have ends in {}", span(left)),
        };
        let reasons = standing.waits.iter().flat_map(|wait| &wait.reasons).cloned().collect::<Vec<_>>().join("; ");
        let why = match (&standing.candidate, reasons.is_empty()) {
            (None, _) => "there is no new one: see that the ACME client renews it".into(),
            (Some(_), true) => "the next run switches to the new one".into(),
            (Some(_), false) => format!("the new one waits: {reasons}"),
        };
        let text = format!("{ends}, a switch still takes {}, and {why}", span(takes));
        Some(News { generation: Some(served.clone()), ..piece(Event::Stuck, name, text, seen) })
    }
}

fn piece(event: Event, lineage: &str, text: String, seen: &Seen<'_>) -> News {
    News { event, lineage: Some(lineage.into()), text, generation: None, until: None, time: seen.wall }
}

#[cfg(test)]
mod tests;
