//! What a server said, fit for a log line.

/// As much of a server's text as a reason may hold, in characters.
const LONGEST: usize = 100;

/// In double quotes, cut, with everything escaped that could play tricks on a terminal.
pub(super) fn quote(text: &str) -> String {
    let mut characters = text.chars();
    let begin: String = characters.by_ref().take(LONGEST).collect();
    let rest = if characters.next().is_some() { "…" } else { "" };
    format!("\"{}{rest}\"", begin.escape_debug().to_string().replace("\\'", "'"))
}

/// The same for bytes that may be anything.
pub(super) fn quote_bytes(bytes: &[u8]) -> String {
    quote(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted() {
        for (text, quoted) in [
            ("421 it's late", r#""421 it's late""#),
            ("a\u{1b}[31mb\r\n\0", r#""a\u{1b}[31mb\r\n\0""#),
            ("say \"x\" \u{202e}", r#""say \"x\" \u{202e}""#),
            ("größer", r#""größer""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
        assert_eq!(quote(&"x".repeat(100)).chars().count(), 102);
        assert_eq!(quote(&"x".repeat(101)).chars().count(), 103);
    }
}
