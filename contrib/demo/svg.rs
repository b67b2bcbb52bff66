//! The picture: one lane for each place where a key shows, over time.

use crate::{
    clients::{CLIENTS, Handshake},
    keys::KeyId,
    locked,
    watch::{History, State},
    world::{HOST, LAG, World},
};
use std::{fmt::Write, time::Duration};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 235.0;
const RIGHT: f64 = 30.0;
/// Where the lanes begin; above are title, legend, and the names of moments.
const TOP: f64 = 150.0;
const LANE: f64 = 46.0;
const BAR: f64 = 34.0;
const OLD: &str = "#4477aa";
const NEW: &str = "#ddaa33";
const MISMATCH: &str = "#cc0000";
const INK: &str = "#333333";

/// Draws what was seen.
pub fn draw(world: &World, history: &History, handshakes: &[Handshake]) -> String {
    let keys = locked(&world.keys).clone();
    let marks = locked(&world.marks).clone();
    let mut picture =
        Picture { shapes: String::new(), texts: String::new(), end: history.end.as_secs_f64().max(1.0), lane: 0, keys };

    picture.one_key("live/ (certbot)", history, |state| state.live);
    picture.records("TLSA at the primary", history, 0);
    picture.records(&format!("TLSA at the secondary, {} s late", LAG.as_secs()), history, 1);
    picture.caches("what the clients' caches hold", history);
    if !world.naive {
        picture.one_key("the dane directory", history, |state| state.dane);
    }
    picture.one_key("the service presents", history, |state| state.presented);
    picture.handshakes("handshakes", world, handshakes);

    picture.axis();
    picture.marks(marks);
    picture.legend(handshakes);
    picture.finish(if world.naive { "without daneroll" } else { "with daneroll" })
}

struct Picture {
    shapes: String,
    /// Over the shapes, so that no line runs through a word.
    texts: String,
    /// Seconds shown.
    end: f64,
    /// Lanes drawn so far.
    lane: usize,
    /// Old, new.
    keys: Vec<KeyId>,
}

impl Picture {
    /// A bar in the colour of the key, with its name.
    fn one_key(&mut self, title: &str, history: &History, key: impl Fn(&State) -> Option<KeyId>) {
        let y = self.lane(title);
        for (from, to, key) in runs(history, key) {
            let Some(number) = self.keys.iter().position(|known| Some(*known) == key) else { continue };
            self.bar(from, to, y, BAR, colour(number));
            self.name(number, from, to, y + BAR / 2.0);
        }
    }

    /// One bar for the old key above one for the new.
    fn records(&mut self, title: &str, history: &History, server: usize) {
        let y = self.lane(title);
        for (number, key) in self.keys.clone().into_iter().enumerate() {
            let y = y + number as f64 * BAR / 2.0;
            for (from, to, _) in
                runs(history, |state| state.shown[server].contains(&key)).into_iter().filter(|run| run.2)
            {
                self.bar(from, to, y, BAR / 2.0 - 1.0, colour(number));
                self.name(number, from, to, y + BAR / 4.0);
            }
        }
    }

    /// As for records, each as high as the part of the clients that hold it.
    fn caches(&mut self, title: &str, history: &History) {
        let y = self.lane(title);
        let half = BAR / 2.0 - 1.0;
        for (number, key) in self.keys.clone().into_iter().enumerate() {
            let holders = |state: &State| -> usize {
                state.held.iter().filter(|(keys, _)| keys.contains(&key)).map(|(_, count)| count).sum()
            };
            let bottom = y + number as f64 * BAR / 2.0 + half;
            for (from, to, count) in runs(history, holders).into_iter().filter(|run| run.2 > 0) {
                let height = half * count as f64 / CLIENTS as f64;
                self.bar(from, to, bottom - height, height, colour(number));
            }
        }
    }

    /// Thin ticks, at most one for two pixels; every mismatch in red over them.
    fn handshakes(&mut self, title: &str, world: &World, handshakes: &[Handshake]) {
        let y = self.lane(title);
        let mut drawn = 0.0;
        for handshake in handshakes.iter().filter(|handshake| handshake.matched) {
            let x = self.x(handshake.at - world.start);
            if x - drawn >= 2.0 {
                let number = self.keys.iter().position(|known| *known == handshake.key).unwrap_or_default();
                self.line((x, y + 8.0), (x, y + BAR), colour(number), "1");
                drawn = x;
            }
        }
        for handshake in handshakes.iter().filter(|handshake| !handshake.matched) {
            let x = self.x(handshake.at - world.start);
            self.line((x, y + 4.0), (x, y + BAR), MISMATCH, "1.5");
            let _ = writeln!(self.shapes, r#"<circle cx="{x:.1}" cy="{:.1}" r="3" fill="{MISMATCH}"/>"#, y + 3.0);
        }
    }

    /// Begins a lane and returns its upper edge.
    fn lane(&mut self, title: &str) -> f64 {
        let y = TOP + self.lane as f64 * LANE;
        self.lane += 1;
        self.line((LEFT, y + BAR + 6.0), (WIDTH - RIGHT, y + BAR + 6.0), "#e5e5e5", "1");
        self.text(LEFT - 12.0, y + BAR / 2.0 + 4.0, "end", 13, title);
        y
    }

    fn axis(&mut self) {
        let y = TOP + self.lane as f64 * LANE;
        self.line((LEFT, y), (WIDTH - RIGHT, y), INK, "1");
        for second in 0..=self.end as u64 {
            let (x, labelled) = (self.x(Duration::from_secs(second)), second.is_multiple_of(5));
            self.line((x, y), (x, y + if labelled { 8.0 } else { 4.0 }), INK, "1");
            if labelled {
                self.text(x, y + 22.0, "middle", 12, &format!("{second} s"));
            }
        }
    }

    /// Moments: a line through all lanes, its name above, on as many rows as it takes that no two names touch.
    fn marks(&mut self, mut marks: Vec<(Duration, &str)>) {
        marks.sort();
        let bottom = TOP + self.lane as f64 * LANE;
        let mut row_ends = [0.0; 4];
        for (at, label) in marks {
            let (x, width) = (self.x(at), 7.0 * label.len() as f64 + 10.0);
            let row = row_ends.iter().position(|end| *end < x).unwrap_or(row_ends.len() - 1);
            row_ends[row] = x + width;
            let y = TOP - 62.0 + 15.0 * row as f64;
            let _ = writeln!(
                self.shapes,
                r#"<path d="M{x:.1} {:.1}V{bottom:.1}" stroke="{INK}" stroke-opacity="0.6" stroke-dasharray="2 3"/>"#,
                y - 10.0
            );
            self.text(x + 4.0, y, "start", 12, label);
        }
    }

    fn legend(&mut self, handshakes: &[Handshake]) {
        let mismatches = handshakes.iter().filter(|handshake| !handshake.matched).count();
        let names = [(OLD, "the old key and its record"), (NEW, "the new key and its record")];
        let mut x = LEFT;
        for (colour, name) in names {
            let _ = writeln!(self.shapes, r#"<rect x="{x}" y="52" width="14" height="14" rx="2" fill="{colour}"/>"#);
            self.text(x + 20.0, 64.0, "start", 13, name);
            x += 210.0;
        }
        let _ = writeln!(self.shapes, r#"<circle cx="{}" cy="59" r="5" fill="{MISMATCH}"/>"#, x + 7.0);
        self.text(x + 20.0, 64.0, "start", 13, "a client held no record that matched");
        let counts = format!("{} handshakes, {mismatches} mismatches", handshakes.len());
        self.text(WIDTH - RIGHT, 64.0, "end", 13, &counts);
    }

    fn finish(mut self, how: &str) -> String {
        self.text(LEFT, 34.0, "start", 19, &format!("One certificate renewal of {HOST}, {how}"));
        let height = TOP + self.lane as f64 * LANE + 40.0;
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="DejaVu Sans, Verdana, sans-serif">
<style>.ink {{ fill: {INK}; stroke: white; stroke-width: 4px; paint-order: stroke; }}</style>
<rect width="100%" height="100%" fill="white"/>
{}{}</svg>
"#,
            self.shapes, self.texts
        )
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + at.as_secs_f64() / self.end * (WIDTH - LEFT - RIGHT)
    }

    fn bar(&mut self, from: Duration, to: Duration, y: f64, height: f64, colour: &str) {
        let (x, width) = (self.x(from), self.x(to) - self.x(from));
        let _ = writeln!(
            self.shapes,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        );
    }

    /// The name of a key inside its bar, if there is room.
    fn name(&mut self, number: usize, from: Duration, to: Duration, middle: f64) {
        if self.x(to) - self.x(from) < 90.0 {
            return;
        }
        let (x, y, fill) = (self.x(from) + 6.0, middle + 4.0, ["white", "black"][number.min(1)]);
        let name = format!("{} {}", ["old", "new"][number.min(1)], self.keys[number]);
        let _ = writeln!(self.texts, r#"<text x="{x:.1}" y="{y:.1}" font-size="11" fill="{fill}">{name}</text>"#);
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.shapes,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        );
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, size: u32, text: &str) {
        let _ = writeln!(
            self.texts,
            r#"<text class="ink" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}">{text}</text>"#
        );
    }
}

/// The stretches of time in which what is looked at stays the same.
fn runs<T: PartialEq>(history: &History, look: impl Fn(&State) -> T) -> Vec<(Duration, Duration, T)> {
    let mut runs: Vec<(Duration, Duration, T)> = Vec::new();
    for (from, state) in &history.states {
        let value = look(state);
        match runs.last_mut() {
            Some((_, _, same)) if *same == value => continue,
            Some((_, until, _)) => *until = *from,
            None => {}
        }
        runs.push((*from, history.end, value));
    }
    runs
}

fn colour(number: usize) -> &'static str {
    [OLD, NEW][number.min(1)]
}
