//! Words for people: dates, cut and wrapped text, and nothing that a terminal obeys.

use std::time::Duration;
use x509_cert::der::DateTime;

/// Makes every control character visible: what comes from files and servers must not command a terminal.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    plain
}

/// At most so many characters, with `...` in place of what is cut off.
pub fn cut(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.into(),
        false => text.chars().take(width.saturating_sub(3)).chain("...".chars()).collect(),
    }
}

/// Lines of at most `width` characters, the first without the indent. Words that are longer are divided.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![String::new()];
    let mut room = width;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if room < width && room <= word.len() {
            (room, lines) = (width, [lines, vec![String::new()]].concat());
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.splice(lines.len() - 1.., [word.iter().collect(), String::new()]);
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            let blank = if line.is_empty() { "" } else { " " };
            *line += &format!("{blank}{}", word.iter().collect::<String>());
            room = width - line.chars().count();
        }
    }
    lines
}

fn moment(unix: i64) -> Option<DateTime> {
    DateTime::from_unix_duration(Duration::from_secs(u64::try_from(unix).ok()?)).ok()
}

/// The date of a Unix time, in UTC: `2026-11-22`.
pub fn date(unix: i64) -> String {
    let date = |at: DateTime| format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day());
    moment(unix).map_or_else(|| "(no date)".into(), date)
}

/// Date and time of a Unix time: `2026-11-22 05:10 UTC`.
pub fn date_and_time(unix: i64) -> String {
    let time = |at: DateTime| format!("{} {:02}:{:02} UTC", date(unix), at.hour(), at.minutes());
    moment(unix).map_or_else(|| "(no date)".into(), time)
}

/// A list as a sentence has it.
pub fn list<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped() {
        for (text, width, lines) in [
            ("", 8, &[""][..]),
            ("a b", 8, &["a b"]),
            ("aaaa bbb", 8, &["aaaa bbb"]),
            ("aaaa bbbb", 8, &["aaaa", "bbbb"]),
            ("aaaa bbbbbbbbbb c", 8, &["aaaa", "bbbbbbbb", "bb c"]),
            ("bbbbbbbbbbbbbbbb", 8, &["bbbbbbbb", "bbbbbbbb"]),
            ("a\nb", 8, &["a b"]),
            ("aa bb cc dd", 1, &["aa bb cc", "dd"]),
        ] {
            assert_eq!(wrap(text, width), lines, "{text}");
        }
    }

    #[test]
    fn cut_and_made_visible() {
        assert_eq!((cut("abcdef", 6), cut("abcdefg", 6)), ("abcdef".into(), "abc...".into()));
        assert_eq!(plain("a\x1b[1m\tb\u{9b}é"), "a\\u{1b}[1m\\tb\\u{9b}é");
    }

    #[test]
    fn dates() {
        for (unix, told) in [
            (0, "1970-01-01 00:00 UTC"),
            (1_795_323_843, "2026-11-22 05:04 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (-1, "(no date)"),
            (i64::MAX, "(no date)"),
        ] {
            assert_eq!(date_and_time(unix), told);
        }
    }
}
