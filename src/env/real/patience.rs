//! A program that stays for hours: how it ends when it is asked to, and what it shows meanwhile.

use nix::sys::signal::{SigSet, Signal};
use std::{
    io::{IsTerminal, Write},
    process,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A run that is under way when the signal comes may take so long to end. (It could be killed as well, and the next one would
/// go on; a command that it started is ended with it.)
const GRACE: Duration = Duration::from_secs(10);
/// The progress line is drawn so often.
const TICK: Duration = Duration::from_secs(1);
/// Back to the first column, and the line is empty.
const CLEAR: &str = "\r\x1b[K";

/// Waits, and heeds signals.
pub(super) struct Patience {
    asked: Arc<Asked>,
    shows: bool,
}

/// The first signal that came.
#[derive(Default)]
struct Asked {
    signal: Mutex<Option<u8>>,
    changed: Condvar,
}

impl Patience {
    /// Has SIGTERM and SIGINT taken down by a thread of its own. Where that cannot be they end the process, as ever.
    pub(super) fn new(shows: bool) -> Option<Patience> {
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        // Every thread that is started after this blocks them, too; commands do not (their supervisor sees to that).
        signals.thread_block().ok()?;
        let asked = Arc::new(Asked::default());
        let notes = Arc::clone(&asked);
        let started = thread::Builder::new().name("signals".into()).spawn(move || notes.listen(&signals));
        match started {
            Ok(_) => Some(Patience { asked, shows: shows && std::io::stderr().is_terminal() }),
            Err(_) => {
                // Nobody would hear them.
                let _ = signals.thread_unblock();
                None
            }
        }
    }

    /// Waits; the signal, if one came until then.
    pub(super) fn pause(&self, how_long: Duration, what: &str) -> Option<u8> {
        let end = Instant::now() + how_long;
        let mut signal = self.asked.signal.lock().unwrap_or_else(PoisonError::into_inner);
        while signal.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.show(&format!("{CLEAR}{}", line(left, what)));
            let step = if self.shows { left.min(TICK) } else { left };
            signal = self.asked.changed.wait_timeout(signal, step).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.show(CLEAR);
        *signal
    }

    fn show(&self, text: &str) {
        if self.shows {
            let mut terminal = std::io::stderr();
            // A terminal that has gone away is no error of ours.
            drop(terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()));
        }
    }
}

impl Asked {
    /// Takes down the first signal; the second, or the end of the time of grace, ends the process.
    fn listen(&self, signals: &SigSet) {
        let Ok(first) = signals.wait() else { return };
        let number = first as i32 as u8;
        *self.signal.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
        self.changed.notify_all();
        let limit = move || {
            thread::sleep(GRACE);
            process::exit(128 + i32::from(number));
        };
        let limited = thread::Builder::new().spawn(limit).is_ok();
        if !limited || signals.wait().is_ok() {
            process::exit(128 + i32::from(number));
        }
    }
}

/// What is shown. It is not wrapped where the terminal is narrower; control characters, which no text of ours has, stay out.
fn line(left: Duration, what: &str) -> String {
    let seconds = left.as_secs_f64().ceil() as u64;
    let left = match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds:02} s"),
    };
    let what: String = what.chars().filter(|c| !c.is_control()).collect();
    format!("\x1b[?7lnext look in {left}: {what}\x1b[?7h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (seconds, shown) in [(0.2, "1 s"), (9.0, "9 s"), (60.0, "1 min 00 s"), (599.5, "10 min 00 s")] {
            let text = line(Duration::from_secs_f64(seconds), "a\u{1b}b");
            assert_eq!(text, format!("\x1b[?7lnext look in {shown}: ab\x1b[?7h"));
        }
    }
}
