//! Time limits: one for a whole visit, shorter ones for its steps.

use std::{future::Future, time::Duration};
use tokio::time::{Instant, timeout_at};

/// For one reply of a dialogue, or a handshake.
pub const STEP: Duration = Duration::from_secs(10);

/// When a visit must have come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    limit: Duration,
    end: Instant,
}

/// When a step must have come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    end: Instant,
    limit: Duration,
    is_last: bool,
}

impl Clock {
    /// A visit that begins now.
    pub fn start(limit: Duration) -> Clock {
        Clock { limit, end: Instant::now() + limit }
    }

    /// Does not count the time that this takes.
    pub async fn pause<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let waited = wait.await;
        self.end += begun.elapsed();
        waited
    }

    /// A step that begins now and takes no longer than `longest`, or than what is left of the visit.
    pub fn step(&self, longest: Duration) -> Step {
        let end = Instant::now() + longest;
        match end < self.end {
            true => Step { end, limit: longest, is_last: false },
            false => Step { end: self.end, limit: self.limit, is_last: true },
        }
    }
}

impl Step {
    /// `None` if this is not through in time.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.end, work).await.ok()
    }

    /// "within 10 s".
    pub fn in_words(&self) -> String {
        let seconds = self.limit.as_secs_f64();
        match self.is_last {
            false => format!("within {seconds} s"),
            true => format!("before the {seconds} s for the whole visit were over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_limit_is_told() {
        let words =
            |limit, step| Clock::start(Duration::from_millis(limit)).step(Duration::from_millis(step)).in_words();
        assert_eq!(words(30_000, 10_000), "within 10 s");
        assert_eq!(words(9_000, 10_000), "before the 9 s for the whole visit were over");
        assert_eq!(words(1_500, 10_000), "before the 1.5 s for the whole visit were over");
    }
}
