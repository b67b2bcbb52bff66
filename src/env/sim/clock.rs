//! Time, and what is to happen in it.

use super::{Event, World};
use crate::env::Boot;
use std::{collections::BTreeMap, time::Duration};

/// The clocks of the host, and the events to come.
pub struct Clock {
    /// Milliseconds since the world began.
    pub now: u64,
    wall_at_beginning: i64,
    boots: u32,
    booted: u64,
    /// When the first process began: with the boot, but for a container.
    pub began: u64,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// Locks that were ever taken.
    pub tokens: u64,
}

/// 2027-01-15, when the world begins.
const BEGINNING: i64 = 1_800_000_000;

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            now: 0,
            wall_at_beginning: BEGINNING,
            boots: 1,
            booted: 0,
            began: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            tokens: 0,
        }
    }
}

impl Clock {
    pub fn boot(&self) -> Boot {
        Boot { id: format!("00000000-0000-4000-8000-{:012}", self.boots), millis: self.now - self.booted }
    }

    pub fn wall(&self) -> i64 {
        self.wall_at_beginning + (self.now / 1000) as i64
    }

    /// The next event until `limit`; the clock then shows its moment.
    fn due(&mut self, limit: u64) -> Option<Event> {
        let (&(at, number), _) = self.events.first_key_value().filter(|((at, _), _)| *at <= limit)?;
        self.now = self.now.max(at);
        self.events.remove(&(at, number))
    }
}

impl World {
    /// Milliseconds since the world began. Unlike the boot clock it never starts anew.
    pub fn now(&self) -> u64 {
        self.look(|state| state.clock.now)
    }

    /// Lets time pass. What was scheduled happens in its order.
    pub fn pass(&self, how_long: Duration) {
        let until = self.now().saturating_add(how_long.as_millis() as u64);
        loop {
            let event = self.state.borrow_mut().clock.due(until);
            let Some(event) = event else { break };
            self.as_world(event);
        }
        let mut state = self.state.borrow_mut();
        state.clock.now = state.clock.now.max(until);
    }

    /// Lets time pass until the next event, or until `limit` (milliseconds since the world began).
    pub(super) fn pass_to_event(&self, limit: u64) {
        let next = self.look(|state| state.clock.events.first_key_value().map(|((at, _), _)| *at));
        let until = next.unwrap_or(limit).min(limit);
        self.pass(Duration::from_millis(until.saturating_sub(self.now())));
    }

    /// Has something happen in the world `how_long` from now.
    pub fn after(&self, how_long: Duration, event: impl FnOnce(&World) + 'static) {
        let mut state = self.state.borrow_mut();
        let clock = &mut state.clock;
        clock.scheduled += 1;
        let key = (clock.now + how_long.as_millis() as u64, clock.scheduled);
        clock.events.insert(key, Box::new(event));
    }

    /// Sets the wall clock forward or back by so many seconds. No other clock moves.
    pub fn jump_wall(&self, seconds: i64) {
        self.change(|state| state.clock.wall_at_beginning += seconds);
    }

    /// Boots the host anew: another boot id, the boot clock at zero, and every service starts with the files as they are.
    pub fn reboot(&self) {
        self.change(|state| state.clock.booted = state.clock.now);
        self.restart_container();
    }

    /// The same of a container: its boot clock is that of its host, which goes on.
    pub fn restart_container(&self) {
        self.change(|state| {
            state.clock.boots += 1;
            state.clock.began = state.clock.now;
            state.restart_services();
        });
    }
}
