//! What a line of the log looks like, for a file, a terminal, the journal.

use std::fmt;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// What a line looks like.
#[derive(Clone, Copy)]
pub(super) enum Style {
    /// `2026-03-01T12:00:00.000000Z  INFO message key=value`.
    File,
    /// `error: message key=value`, without a word for the usual.
    Terminal,
    /// `<6>message key=value` with syslog's number for the severity (sd-daemon(3)).
    Journal,
}

impl<S, N> FormatEvent<S, N> for Style
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Style::File => {
                SystemTime.format_time(&mut line)?;
                write!(line, " {level:>5} ")?;
            }
            Style::Terminal => line.write_str(word(level))?,
            Style::Journal => write!(line, "<{}>", severity(level))?,
        }
        let mut text = String::new();
        context.field_format().format_fields(Writer::new(&mut text), event)?;
        if !matches!(self, Style::Terminal) {
            return writeln!(line, "{}", Escaped(&text));
        }
        // A place in the configuration is shown with its line and a caret below. Indented, so that no text from elsewhere
        // passes for a message of ours.
        let mut lines = text.split('\n');
        writeln!(line, "{}", Escaped(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|more| writeln!(line, "  {}", Escaped(more)))
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error: ",
        Level::WARN => "warning: ",
        Level::INFO => "",
        _ => "debug: ",
    }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// A text in which every control character is written as a backslash sequence, so that it stays on its line and commands no
/// terminal.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\0'..' ' | '\x7f' => write!(f, "{}", (c as u8).escape_ascii())?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters() {
        for (text, expected) in [
            ("é a", "é a"),
            ("a\nb\r\t", "a\\nb\\r\\t"),
            ("\x1b[0m\x7f\0", "\\x1b[0m\\x7f\\x00"),
            ("\u{9b}", "\\u{9b}"),
        ] {
            assert_eq!(Escaped(text).to_string(), expected);
        }
    }
}
