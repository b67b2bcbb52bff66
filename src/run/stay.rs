//! Whether a run that has nothing to do at the moment stays.
//!
//! One that has published looks for its records, so that the wait of the caches begins at once. And what becomes due within a
//! second or two is done then.

use crate::{
    journal::clock::Stamp,
    plan::{Reason, Wait},
};
use std::{ops::RangeInclusive, time::Duration};

/// While a run waits to see its records, it lets half as long pass again between two looks as it has waited, within these bounds,
/// in milliseconds: most servers follow within a second, and the switch waits for the look that saw the last of them.
const LOOK_EVERY: RangeInclusive<u64> = 250..=2000;
/// A run stays for what becomes due so soon, in milliseconds: with TTLs of seconds the next one may be late for it.
const SOON: u64 = 2000;

/// How long a run stays when there is nothing to do at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay {
    end: Stamp,
    /// When it published last: it looks for its records.
    pub(super) published: Option<Stamp>,
}

impl Stay {
    /// From `now` on, `settle` seconds at most.
    pub(super) fn new(now: Stamp, settle: u64) -> Stay {
        Stay { end: now.after(settle), published: None }
    }

    /// How long to wait, if it is worth it: for records, if any are looked for (`looks`), and in a plain run for what becomes due.
    /// What becomes due for one lineage is done then, though the records of another are looked for.
    pub(super) fn until_next_look(self, looks: bool, plain: bool, waits: &[Wait], now: Stamp) -> Option<Duration> {
        let left = |until: Stamp| until.0.saturating_sub(now.0);
        let settling = self.published.filter(|_| looks && self.end > now).map(|published| {
            let waited = now.0.saturating_sub(published.0);
            (waited / 2).clamp(*LOOK_EVERY.start(), *LOOK_EVERY.end())
        });
        let dues = waits.iter().flat_map(|wait| &wait.reasons).filter_map(Reason::until);
        let due = dues.filter(|due| *due <= self.end).map(left).filter(|millis| *millis > 0).min();
        let soon = due.filter(|millis| settling.is_some() || (plain && *millis <= SOON));
        settling.into_iter().chain(soon).min().map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    #[test]
    fn stays_while_it_is_worth_it() {
        let published = |at| Stay { published: Some(Stamp(at)), ..Stay::new(Stamp(at), 60) };
        let idle = Stay::new(Stamp(0), 60);
        let none: Option<u64> = None;
        for (stay, looks, plain, now, dues, pause) in [
            // It looks for its records: soon at first, then every two seconds, until `settle` is over.
            (published(0), true, true, 0, &[][..], Some(250)),
            (published(0), true, true, 600, &[], Some(300)),
            (published(0), true, true, 3_000, &[], Some(1_500)),
            (published(9_000), true, false, 30_000, &[], Some(2_000)),
            (published(0), true, true, 60_000, &[], none),
            (published(0), false, true, 600, &[], none), // all are seen
            // Something else becomes due meanwhile.
            (published(0), true, true, 30_000, &[30_700, 31_000], Some(700)),
            (published(0), true, false, 30_000, &[30_000, 33_000], Some(2_000)),
            // Nothing was published, or all is seen: only what is due soon, and that only in a run that may do it.
            (published(0), false, true, 600, &[1_100], Some(500)),
            (idle, true, true, 600, &[], none),
            (idle, true, true, 600, &[2_600], Some(2_000)),
            (idle, true, true, 600, &[2_601], none),
            (idle, true, true, 600, &[600], none),
            (idle, true, false, 600, &[2_600], none),
            (idle, true, true, 59_000, &[60_500], none),
            (Stay::new(Stamp(0), 0), true, true, 0, &[500], none), // `settle = 0`: it never stays
        ] {
            let reasons = dues.iter().map(|due| Reason::Hold { until: Stamp(*due) }).collect();
            let waits = [Wait { lineage: "a".into(), step: Step::Leave, reasons }];
            let expected = pause.map(Duration::from_millis);
            assert_eq!(stay.until_next_look(looks, plain, &waits, Stamp(now)), expected, "{stay:?} at {now}: {dues:?}");
        }
    }
}
