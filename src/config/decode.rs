//! From bytes to text: what no configuration file may hold.

use super::diagnostic::Fault;
use crate::env::LONGEST_FILE;
use std::borrow::Cow;

/// A file as text.
pub(super) struct Decoded<'a> {
    /// The text; what cannot be in it is replaced, so that the names of the sections can still be read.
    pub text: Cow<'a, str>,
    /// The first thing that no configuration file may hold, and its line.
    pub fault: Option<(usize, Fault)>,
    /// Is more missing than a mark at the beginning, so that nothing the text says can be trusted?
    pub fatal: bool,
}

/// Decodes a file.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (bytes, mark) = match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    if bytes.len() > LONGEST_FILE {
        let fault = Fault::at(1, 1, "a configuration file is at most 32 MiB long");
        return Decoded { text: Cow::Borrowed(""), fault: Some((0, fault)), fatal: true };
    }
    let (text, invalid) = match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        // Up to the first byte that is not UTF-8 the places in `text` are those in `bytes`.
        Err(error) => (String::from_utf8_lossy(bytes), Some(error.valid_up_to())),
    };
    // Nearly all files are told to be sound by their bytes.
    let plain = bytes.iter().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~'));
    let stray = || text.char_indices().find(|&(at, c)| is_stray(&text[at..], c)).map(|(at, c)| (at, u32::from(c)));
    let stray = if plain { None } else { stray() };
    let found = match (invalid, stray) {
        (Some(at), stray) if stray.is_none_or(|(place, _)| at <= place) => {
            Some((at, format!("byte 0x{:02x} is not UTF-8", bytes[at]), "save the file as UTF-8"))
        }
        (_, Some((at, code))) => Some((at, format!("control character U+{code:04X}"), "delete it")),
        _ => None,
    };
    let mark = mark.then(|| {
        let fault = Fault::at(1, 1, "the file begins with a byte order mark");
        (1, fault.hint("save it as UTF-8 without BOM"))
    });
    let fatal = found.is_some();
    let fault = found.map(|(at, message, hint)| {
        let (line, column) = place(&text[..at]);
        (line, Fault::at(column, 1, message).hint(hint))
    });
    let text = match stray {
        Some(_) => Cow::Owned(text.replace(|c: char| c.is_control() && !"\n\r\t".contains(c), "\u{fffd}")),
        None => text,
    };
    Decoded { text, fault: fault.or(mark), fatal }
}

/// Line and column of what follows.
fn place(before: &str) -> (usize, usize) {
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
}

/// A control character other than tab and line end.
fn is_stray(rest: &str, c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t' && !rest.starts_with("\r\n")
}
