//! What a line of the log looks like, for a file, a terminal, the journal.

use crate::config::LogFormat;
use serde_json::{Map, Value, json};
use std::fmt;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
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
pub(super) struct Style {
    pub reader: Reader,
    pub format: LogFormat,
}

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
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
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        if self.reader == Reader::Journal {
            write!(line, "<{}>", severity(level))?;
        }
        let mut parts = Parts::default();
        event.record(&mut parts);
        if self.format == LogFormat::Json {
            let mut time = String::new();
            SystemTime.format_time(&mut Writer::new(&mut time))?;
            return writeln!(line, "{}", parts.json(&time, level));
        }
        match self.reader {
            Reader::File => {
                SystemTime.format_time(&mut line)?;
                write!(line, " {level:>5} ")?;
            }
            Reader::Terminal => line.write_str(word(level))?,
            Reader::Journal => {}
        }
        let text = parts.text();
        if self.reader != Reader::Terminal {
            return writeln!(line, "{}", Escaped(&text));
        }
        // A place in the configuration is shown with its line and a caret below. Indented, so that no text from elsewhere
        // passes for a message of ours.
        let mut lines = text.split('\n');
        writeln!(line, "{}", Escaped(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|more| writeln!(line, "  {}", Escaped(more)))
    }
}

/// An event taken apart.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Parts {
    /// `message key=value key="text"`. A lineage that the message begins with is not named twice.
    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let told = *name == "lineage"
                && value.as_str().is_some_and(|lineage| {
                    self.message.strip_prefix(lineage).is_some_and(|rest| rest.starts_with(':'))
                });
            if !told {
                text += &format!(" {name}={}", Shown(name, value));
            }
        }
        text
    }

    fn json(self, time: &str, level: Level) -> Value {
        let mut object = Map::new();
        object.insert("time".into(), json!(time));
        object.insert("level".into(), json!(level.as_str().to_lowercase()));
        object.insert("message".into(), json!(self.message));
        object.extend(self.fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object)
    }

    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

/// A value in a text: a string in quotes, unless it is a name or number that was given as such.
struct Shown<'a>(&'a str, &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            ("lineage" | "command" | "why" | "record", Value::String(text)) => write!(f, "{text:?}"),
            (_, Value::String(text)) => f.write_str(text),
            (_, value) => write!(f, "{value}"),
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, json!(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, json!(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, json!(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, json!(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, json!(format!("{value:?}")));
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
