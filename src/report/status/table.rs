//! Lines, tables and colours within 80 columns.

use crate::report::words::{cut, plain, wrap};
use std::io::IsTerminal;

/// No line is longer.
pub const WIDTH: usize = 80;
/// Between two columns.
const GAP: &str = "  ";

/// Does the reader see colours?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Yes.
    pub on: bool,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// As it is.
    #[default]
    None,
    /// A heading.
    Bold,
    /// Fine.
    Green,
    /// Under way.
    Yellow,
    /// Somebody has to look at it.
    Red,
}

impl Paint {
    /// On a terminal that is not `dumb`, unless `NO_COLOR` says otherwise.
    pub fn for_terminal() -> Paint {
        let variable = |name| std::env::var_os(name).unwrap_or_default();
        let on = std::io::stdout().is_terminal() && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb";
        Paint { on }
    }

    fn paint(self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::None => return text.into(),
            Colour::Bold => "1",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Red => "31;1",
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }
}

/// A cell of a table.
pub struct Cell {
    text: String,
    colour: Colour,
}

/// A cell with that look.
pub fn cell(text: impl AsRef<str>, colour: Colour) -> Cell {
    Cell { text: plain(text.as_ref()), colour }
}

/// A plain cell.
pub fn word(text: impl AsRef<str>) -> Cell {
    cell(text, Colour::None)
}

/// What is written so far.
pub struct Page {
    paint: Paint,
    /// The text.
    pub text: String,
}

impl Page {
    /// An empty one.
    pub fn new(paint: Paint) -> Page {
        Page { paint, text: String::new() }
    }

    /// A paragraph: its first line begins with `first`, the others are indented as far. The colour is that of all.
    pub fn paragraph(&mut self, first: &str, text: &str, colour: Colour) {
        let indent = " ".repeat(first.chars().count());
        for (at, line) in wrap(&plain(text), WIDTH - indent.len()).iter().enumerate() {
            let begin = if at == 0 { first } else { &indent };
            self.text += &format!("{begin}{}\n", self.paint.paint(line, colour));
        }
    }

    /// A line that is not wrapped, for somebody to copy.
    pub fn raw(&mut self, indent: usize, text: &str) {
        self.text += &format!("{}{}\n", " ".repeat(indent), plain(text));
    }

    /// An empty line, but not at the beginning.
    pub fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// Rows below each other; what does not fit is taken from column `elastic`.
    pub fn table(&mut self, indent: usize, elastic: usize, rows: &[Vec<Cell>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.text.chars().count()).max();
        let mut widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        let total = indent + widths.iter().sum::<usize>() + GAP.len() * columns.saturating_sub(1);
        if let Some(width) = widths.get_mut(elastic) {
            *width = width.saturating_sub(total.saturating_sub(WIDTH)).max(8.min(*width));
        }
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
                let text = cut(&cell.text, *width);
                let fill = if at + 1 == row.len() { 0 } else { width - text.chars().count() };
                format!("{}{}", self.paint.paint(&text, cell.colour), " ".repeat(fill))
            });
            let line = cells.collect::<Vec<_>>().join(GAP);
            self.text += &format!("{}{}\n", " ".repeat(indent), line.trim_end());
        }
    }
}
