//! What the demo prints: on a terminal a table that is drawn anew, else a line for each change.

use crate::{
    clients::Handshake,
    keys::KeyId,
    locked,
    watch::State,
    world::{HOST, LAG, World},
};
use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write, stdout},
    path::Path,
    process::ExitCode,
};

const COLOURS: [&str; 2] = ["\x1b[34m", "\x1b[33m"];
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Where the demo prints.
pub struct Screen {
    terminal: bool,
    /// Lines that the table took when it was last drawn.
    drawn: usize,
}

impl Screen {
    /// A terminal, or whatever standard output is.
    pub fn new() -> Screen {
        Screen { terminal: stdout().is_terminal(), drawn: 0 }
    }

    /// Shows the state; `before` is what was shown last.
    pub fn show(&mut self, world: &World, before: &State, now: &State) {
        let text = if self.terminal { self.table(world, now) } else { changes(world, before, now) };
        // Nobody may be reading any more: the handshakes are counted all the same.
        let _ = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
    }

    /// Leaves the cursor below the table.
    pub fn leave(&self) {
        if self.terminal {
            println!();
        }
    }

    fn table(&mut self, world: &World, now: &State) -> String {
        // Long lines are cut, not wrapped, or the table would not be where the next drawing expects it.
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        let mut lines = vec![
            format!("{BOLD}One renewal of {HOST}{PLAIN}  {:5.1} s", world.start.elapsed().as_secs_f32()),
            String::new(),
        ];
        let paint = Painter { keys: locked(&world.keys).clone(), colours: true };
        lines.extend(rows(&paint, now).into_iter().map(|(label, value)| format!("{label:>22}  {value}")));
        lines.push(format!("{:>22}  {}", "so far", counted(&world.clients.handshakes())));
        self.drawn = lines.len();
        format!("{up}\r\x1b[?7l{}\x1b[J\x1b[?7h", lines.into_iter().map(|line| line + "\x1b[K\n").collect::<String>())
    }
}

/// Ends the demo: the counts, and whether they are as they must be.
pub fn summary(world: &World, handshakes: &[Handshake], svg: &Path) -> ExitCode {
    let troubles = world.clients.troubles();
    for trouble in troubles.iter().take(5) {
        println!("trouble: {trouble}");
    }
    println!("{}; the picture is {}", counted(handshakes), svg.display());
    let clean = troubles.is_empty() && !handshakes.is_empty() && handshakes.iter().all(|handshake| handshake.matched);
    if world.naive && !clean {
        println!("That was to be expected without daneroll: caches and the secondary still had the old record.");
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn counted(handshakes: &[Handshake]) -> String {
    let mismatches = handshakes.iter().filter(|handshake| !handshake.matched).count();
    format!("{} handshakes, {mismatches} mismatches", handshakes.len())
}

/// A line for each row that is not as before.
fn changes(world: &World, before: &State, now: &State) -> String {
    let paint = Painter { keys: locked(&world.keys).clone(), colours: false };
    let (old, at) = (rows(&paint, before), world.start.elapsed().as_secs_f32());
    let kinds = |state: &State| state.held.keys().cloned().collect::<Vec<_>>();
    rows(&paint, now)
        .into_iter()
        .filter(|row| !old.contains(row))
        // Clients look again all the time: only what there is among them is news, not how often.
        .filter(|(label, _)| *label != "clients hold" || kinds(before) != kinds(now))
        .map(|(label, value)| format!("{at:5.1} s  {label:>22}  {value}\n"))
        .collect()
}

fn rows(paint: &Painter, state: &State) -> Vec<(&'static str, String)> {
    let one = |key: Option<KeyId>| key.map_or("nothing".into(), |key| paint.key(key));
    let link = state.link.as_ref().map_or(String::new(), |link| format!("  ({link})"));
    let held: Vec<String> = state.held.iter().map(|(keys, count)| format!("{count} × {}", paint.keys(keys))).collect();
    let mut rows = vec![
        ("now", state.doing.clone()),
        ("live/ (certbot)", one(state.live)),
        ("the service reads", one(state.dane) + &link),
        ("the service presents", one(state.presented)),
        ("TLSA at the primary", paint.keys(&state.shown[0])),
        ("TLSA at the secondary", format!("{}  ({} s behind)", paint.keys(&state.shown[1]), LAG.as_secs())),
        ("clients hold", if held.is_empty() { "nothing".into() } else { held.join(", ") }),
        ("clients say", paint.verdict(state.mismatching)),
    ];
    rows.extend(state.awaited.iter().map(|why| ("awaited", why.clone())));
    rows
}

/// Gives keys their name, and their colour.
struct Painter {
    keys: Vec<KeyId>,
    colours: bool,
}

impl Painter {
    fn key(&self, key: KeyId) -> String {
        let number = self.keys.iter().position(|known| *known == key).unwrap_or_default();
        let text = format!("{} {key}", ["old", "new"][number.min(1)]);
        self.paint(COLOURS[number.min(1)], text)
    }

    fn keys(&self, keys: &BTreeSet<KeyId>) -> String {
        let known = self.keys.iter().filter(|key| keys.contains(key));
        let texts: Vec<String> = known.map(|key| self.key(*key)).collect();
        if texts.is_empty() { "nothing".into() } else { texts.join(" + ") }
    }

    fn verdict(&self, mismatching: bool) -> String {
        if mismatching {
            return self.paint(RED, "NO MATCHING RECORD".into());
        }
        "a record matches".into()
    }

    fn paint(&self, colour: &str, text: String) -> String {
        if self.colours { format!("{colour}{text}{PLAIN}") } else { text }
    }
}
