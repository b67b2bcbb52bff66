//! Values of one or a few words.

use super::{diagnostic::Fault, grammar::Entry, words::Word};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// Longest duration that makes sense anywhere, in seconds: a year.
const YEAR: u64 = 365 * 86_400;

/// The only word of the value.
pub(super) fn one(entry: &Entry) -> Result<&Word, Fault> {
    match entry.words.as_slice() {
        [word] => Ok(word),
        [_, extra, ..] => Err(extra
            .fault(format!("\"{}\" takes one word", entry.key.text))
            .hint("put quotes around it if blanks belong to it, and \"#\" with a blank before a comment")),
        [] => Err(entry.key.fault("no value")),
    }
}

/// Why a word is no duration.
const DURATION: &str = "write seconds, or a number with s, m, h or d: 90, 15m, 2h, 1d";

/// `90`, `90s`, `15m`, `2h`, `1d`, in seconds; the error says what is wrong and what to write.
pub(crate) fn duration(text: &str) -> Result<u64, (&'static str, &'static str)> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, text.as_bytes()[digits.len()]),
        None => (text, b's'),
    };
    let scale = match unit {
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => 1,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(("not a duration", DURATION));
    }
    match digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(scale) {
        seconds if seconds <= YEAR => Ok(seconds),
        _ => Err(("longer than a year", "write at most 365d")),
    }
}

/// The only word, as a duration in seconds.
pub(super) fn seconds(entry: &Entry) -> Result<u64, Fault> {
    let word = one(entry).map_err(|fault| fault.hint(DURATION))?;
    duration(&word.text).map_err(|(why, hint)| word.fault(why).hint(hint))
}

/// `seconds` that must not be none.
pub(super) fn some_seconds(entry: &Entry) -> Result<u64, Fault> {
    match seconds(entry)? {
        0 => Err(one(entry)?.fault(format!("\"{}\" cannot be zero", entry.key.text))),
        seconds => Ok(seconds),
    }
}

/// More of anything that can be counted is a slip.
const MOST: usize = 1000;

/// A number of things, 0 to [`MOST`].
pub(super) fn count(entry: &Entry) -> Result<usize, Fault> {
    let word = one(entry)?;
    let digits = word.text.bytes().all(|b| b.is_ascii_digit());
    let number = word.text.parse().ok().filter(|number| digits && *number <= MOST);
    number.ok_or_else(|| word.fault("not a number of them").hint(format!("write a number from 0 to {MOST}")))
}

/// One of a few words.
pub(super) fn choice<T: Copy>(entry: &Entry, choices: &[(&str, T)]) -> Result<T, Fault> {
    let word = one(entry)?;
    let chosen = choices.iter().find(|(name, _)| *name == word.text);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let names = match names.as_slice() {
            [one, other] => format!("{one} or {other}"),
            many => format!("one of {}", many.join(", ")),
        };
        word.fault(format!("\"{}\" cannot be \"{}\"", entry.key.text, word.text)).hint(format!("write {names}"))
    })
}

/// `yes` or `no`.
pub(super) fn flag(entry: &Entry) -> Result<bool, Fault> {
    choice(entry, &[("yes", true), ("no", false)])
}

/// A path from the root.
pub(super) fn absolute(entry: &Entry) -> Result<PathBuf, Fault> {
    let word = one(entry)?;
    match Path::new(&word.text).is_absolute() {
        true => Ok(PathBuf::from(&word.text)),
        false => Err(word.fault("not an absolute path").hint("write the path from \"/\" on")),
    }
}

/// Permission bits in octal: the owner may everything, others nothing that lets them change what is there.
pub(super) fn mode(entry: &Entry) -> Result<u32, Fault> {
    let word = one(entry)?;
    let digits = word.text.bytes().all(|b| b.is_ascii_digit());
    match u32::from_str_radix(&word.text, 8) {
        Ok(mode) if digits && mode <= 0o777 && mode & 0o700 == 0o700 && mode & 0o022 == 0 => Ok(mode),
        Ok(mode) if digits && mode <= 0o777 && mode & 0o700 == 0o700 => {
            Err(word.fault("others than the owner could change what services read").hint("write 0700 or 0750"))
        }
        _ => Err(word.fault("not the mode of a directory that its owner can use").hint("write 0700 or 0750")),
    }
}

/// Addresses of name servers, `ADDRESS[:PORT]`, `[ADDRESS]:PORT`; port 53 where none is given.
pub(super) fn servers(entry: &Entry) -> Result<Vec<SocketAddr>, Fault> {
    entry.words.iter().map(server).collect()
}

fn server(word: &Word) -> Result<SocketAddr, Fault> {
    let bare = word.text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&word.text);
    let found = match bare.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, 53)),
        Err(_) => word.text.parse::<SocketAddr>().ok(),
    };
    found.filter(|server| server.port() != 0).ok_or_else(|| {
        word.fault("not the address of a name server")
            .hint("write addresses, with a port where it is not 53: 192.0.2.1 192.0.2.2:5353 [2001:db8::1]:5353")
    })
}

/// Addresses, `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`.
pub(super) fn addresses(entry: &Entry) -> Result<Vec<(IpAddr, Option<u16>)>, Fault> {
    entry.words.iter().map(address).collect()
}

fn address(word: &Word) -> Result<(IpAddr, Option<u16>), Fault> {
    let bare = word.text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&word.text);
    let with_port = || word.text.parse::<SocketAddr>().ok().map(|socket| (socket.ip(), Some(socket.port())));
    let found = bare.parse().ok().map(|ip| (ip, None)).or_else(with_port);
    found.filter(|(_, port)| *port != Some(0)).ok_or_else(|| {
        word.fault("not an address")
            .hint("write addresses, with a port where it is another: 192.0.2.1 10.0.0.1:2525 [2001:db8::1]:2525")
    })
}

/// Port, 1–65535, in plain decimal.
pub(crate) fn port(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| plain && port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words;

    fn entry(value: &str) -> Entry {
        let key = Word { text: "key".into(), column: 1, width: 3 };
        Entry { line: 1, key, words: words::split(value, 7).unwrap() }
    }

    #[test]
    fn durations() {
        for (value, expected) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("2h", Some(7200)),
            ("1d", Some(86_400)),
            ("365d", Some(YEAR)),
            ("366d", None),
            ("99999999999999999999999d", None),
            ("-5", None),
            ("+5", None),
            ("1_0", None),
            ("٥", None),
            ("1.5h", None),
            ("1w", None),
            ("h", None),
            ("''", None),
            ("1 h", None),
        ] {
            assert_eq!(seconds(&entry(value)).ok(), expected, "{value}");
        }
    }

    #[test]
    fn addresses_and_ports() {
        for (value, expected) in [
            ("192.0.2.1", Some("192.0.2.1:53")),
            ("192.0.2.1:5353", Some("192.0.2.1:5353")),
            ("2001:db8::1", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]:5353", Some("[2001:db8::1]:5353")),
            ("192.0.2.1:0", None),
            ("ns1.example.com", None),
            ("192.0.2.1:65536", None),
        ] {
            let found = servers(&entry(value)).ok().map(|servers| servers[0].to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        for (text, expected) in [
            ("25", Some(25)),
            ("65535", Some(65535)),
            ("0", None),
            ("65536", None),
            ("+25", None),
            ("2_5", None),
            ("", None),
        ] {
            assert_eq!(port(text), expected, "{text}");
        }
    }

    #[test]
    fn modes() {
        for (value, expected) in [
            ("0700", Some(0o700)),
            ("750", Some(0o750)),
            ("0755", Some(0o755)),
            ("0770", None),
            ("0702", None),
            ("0600", None),
            ("1700", None),
            ("+700", None),
            ("0o700", None),
        ] {
            assert_eq!(mode(&entry(value)).ok(), expected, "{value}");
        }
    }
}
