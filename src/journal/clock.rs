//! Elapsed time that no clock setting, reboot or time zone can lengthen.
//!
//! The journal's clock adds up what the boot clock has run: differences within a boot, and for a new boot the time that it has
//! been up. Time while the machine was off does not count, so a wait measured here is never longer than it really was.

use crate::env::Boot;
use serde::{Deserialize, Serialize};

/// A moment on the journal's clock, in milliseconds. Only moments of one [`Clock::epoch`] can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Seconds from `self` to `now`, rounded down; 0 for a moment that has not come.
    pub fn elapsed(self, now: Stamp) -> u64 {
        now.0.saturating_sub(self.0) / 1000
    }

    /// The moment so many seconds later.
    pub fn after(self, seconds: u64) -> Stamp {
        Stamp(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Seconds from `now` until this moment, rounded up; 0 if it has come.
    pub fn until(self, now: Stamp) -> u64 {
        self.0.saturating_sub(now.0).div_ceil(1000)
    }
}

/// The clock as it was last written down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Clock {
    /// Names this run of the clock. Stamps of another epoch mean nothing: their waits are done in full.
    pub epoch: String,
    /// The boot clock at the last reading.
    pub boot: Boot,
    /// Milliseconds counted until then.
    pub total: u64,
}

impl Clock {
    /// A clock that starts at zero now.
    pub fn start(boot: Boot) -> Clock {
        Clock { epoch: format!("{}-{}", boot.id, boot.millis), boot, total: 0 }
    }

    /// Reads the clock as another process left it. A new boot counts for the milliseconds that it has been `up`.
    pub fn resume(&mut self, boot: Boot, up: impl FnOnce() -> u64) {
        if boot.id != self.boot.id {
            self.total = self.total.saturating_add(up().min(boot.millis));
        }
        self.read(boot);
    }

    /// Reads the clock. A boot clock that went back within one boot (a restored virtual machine) counts as standing still.
    pub fn read(&mut self, boot: Boot) -> Stamp {
        let passed = match boot.id == self.boot.id {
            true => boot.millis.saturating_sub(self.boot.millis),
            false => 0,
        };
        self.total = self.total.saturating_add(passed);
        self.boot = boot;
        Stamp(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str, millis: u64) -> Boot {
        Boot { id: id.into(), millis }
    }

    #[test]
    fn adds_up_within_and_across_boots() {
        let mut clock = Clock::start(at("a", 5_000));
        for (boot, total) in [
            (at("a", 7_000), 2_000),
            (at("a", 7_000), 2_000),
            (at("a", 6_000), 2_000),   // went back: stands still
            (at("a", 6_500), 2_500),   // and goes on from there
            (at("b", 30_000), 32_500), // a new boot counts from its start
            (at("b", 31_000), 33_500),
            (at("c", 10), 33_510),
            (at("d", 7_776_000_000), 93_510), // a container's start counts from there, whatever the host's clock shows
            (at("d", 7_776_001_000), 94_510),
        ] {
            clock.resume(boot.clone(), || 60_000);
            assert_eq!(clock.read(boot.clone()), Stamp(total), "{boot:?}");
        }
    }

    #[test]
    fn arithmetic_rounds_to_the_safe_side() {
        assert_eq!(Stamp(0).elapsed(Stamp(1_999)), 1);
        assert_eq!(Stamp(2_000).until(Stamp(1)), 2);
        assert_eq!(Stamp(5).elapsed(Stamp(1)), 0);
        assert_eq!(Stamp(1).after(2), Stamp(2_001));
    }
}
