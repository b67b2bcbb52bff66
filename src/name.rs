//! DNS names as the rest of the program handles them: absolute, lower case, with the final dot.

use crate::idna;
use hickory_resolver::proto::rr::Name;
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Write},
    str::{Bytes, FromStr},
    sync::Arc,
};

/// An absolute DNS name in lower-case ASCII with the final dot, `_25._tcp.mx.example.com.`.
///
/// Names compare without regard to case (RFC 4343), so they are folded once, here. IDNs are kept as A-labels. What comes from name
/// servers may hold any bytes: they are escaped as in zone files (RFC 1035 section 5.1), so that text and name say the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// The name as hickory wants it.
    pub fn to_name(&self) -> Name {
        read(&self.0).unwrap_or_else(|_| Name::root())
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<DnsName> {
        match self.0.split_once('.') {
            _ if &*self.0 == "." => None,
            _ if self.0.contains('\\') => Some(DnsName::from(&self.to_name().base_name())),
            Some((_, "")) | None => Some(DnsName(".".into())),
            Some((_, rest)) => Some(DnsName(rest.into())),
        }
    }

    /// Is it the same name? Says what `DnsName::from(name) == *self` says, and makes nothing to know it.
    pub fn is(&self, name: &Name) -> bool {
        if self.0.contains('\\') {
            return DnsName::from(name) == *self;
        }
        let mut rest = self.0.as_bytes();
        for label in name {
            let Some((own, after)) = rest.split_at_checked(label.len()) else { return false };
            let same = label
                .iter()
                .enumerate()
                .zip(own)
                .all(|((at, byte), own)| needs_no_escape(label, at, *byte) && byte.to_ascii_lowercase() == *own);
            match after.split_first() {
                Some((b'.', after)) if same => rest = after,
                _ => return false,
            }
        }
        rest.is_empty() || (rest == b"." && name.iter().len() == 0)
    }

    /// How many labels it has as signatures count them: neither the root nor a leading asterisk (RFC 4034 section 3.1.3).
    pub fn labels(&self) -> u8 {
        if self.0.contains('\\') || &*self.0 == "." {
            return self.to_name().num_labels();
        }
        let dots = self.0.bytes().filter(|byte| *byte == b'.').count();
        u8::try_from(dots - usize::from(self.0.starts_with("*."))).unwrap_or(u8::MAX)
    }

    /// Is this name `zone` or below it?
    pub fn is_within(&self, zone: &DnsName) -> bool {
        if &*zone.0 == "." {
            return true;
        }
        if self.0.contains('\\') {
            return zone.to_name().zone_of(&self.to_name());
        }
        self.0.strip_suffix(&*zone.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// Can plain labels of so many bytes, dots and all, stand before it? `true` is sure; `false` says only that it takes a closer look.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.without_dot().len() + bytes <= 253 && plain_labels(self.without_dot())
    }

    /// The name with its final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its final dot, as people and certificates write it.
    pub fn without_dot(&self) -> &str {
        self.0.strip_suffix('.').unwrap_or(&self.0)
    }
}

/// What needs no folding and no escapes, and means nothing to IDNA: nearly all names that we meet.
fn plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

/// Labels of plain letters, none empty, none too long; `xn--` labels are for the library to judge.
fn plain_labels(text: &str) -> bool {
    let bytes = text.as_bytes();
    let label = |label: &[u8]| (1..=63).contains(&label.len()) && label[0] != b'-' && !label.starts_with(b"xn--");
    let mut begin = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'.' {
            if !label(&bytes[begin..at]) {
                return false;
            }
            begin = at + 1;
        } else if !plain(*byte) {
            return false;
        }
    }
    bytes.len() <= 253 && label(&bytes[begin..])
}

/// The name of plain labels without its final dot.
fn dotted(relative: &str) -> DnsName {
    let mut text = String::with_capacity(relative.len() + 1);
    text.push_str(relative);
    text.push('.');
    DnsName(text.into())
}

impl From<&Name> for DnsName {
    fn from(name: &Name) -> DnsName {
        let mut text = String::with_capacity(name.len() + 1);
        for label in name {
            write_label(&mut text, label);
            text.push('.');
        }
        DnsName(if text.is_empty() { ".".into() } else { text.into() })
    }
}

/// hickory's own text is of no use: it escapes in octal, and reads neither that nor `-a`, `a/b` or `a_b` back.
fn write_label(text: &mut String, label: &[u8]) {
    for (at, byte) in label.iter().enumerate() {
        // A `String` takes everything.
        let _ = match (needs_no_escape(label, at, *byte), byte.is_ascii_graphic()) {
            (true, _) => {
                text.push(char::from(byte.to_ascii_lowercase()));
                Ok(())
            }
            (false, true) => write!(text, "\\{}", char::from(*byte)),
            (false, false) => write!(text, "\\{byte:03}"),
        };
    }
}

/// Does a byte of a label stand for itself in our text?
fn needs_no_escape(label: &[u8], at: usize, byte: u8) -> bool {
    match byte {
        b'-' => at > 0,
        b'*' => label.len() == 1,
        byte => byte.is_ascii_alphanumeric() || byte == b'_',
    }
}

/// The name that a text of ours means.
fn read(text: &str) -> Result<Name, String> {
    if let Some(labels) = text.strip_suffix('.').filter(|labels| plain_labels(labels)) {
        return Name::from_labels(labels.split('.').map(str::as_bytes)).map_err(|error| error.to_string());
    }
    let (mut labels, mut bytes) = (vec![Vec::new()], text.bytes());
    while let Some(byte) = bytes.next() {
        match (byte, labels.last_mut()) {
            (b'.', _) => labels.push(Vec::new()),
            (b'\\', Some(label)) => label.push(escaped(&mut bytes).ok_or("a broken escape")?),
            (byte, label) => label.into_iter().for_each(|label| label.push(byte)),
        }
    }
    match text {
        "" => return Err("an empty name".into()),
        "." => labels.clear(),
        _ => drop(labels.pop_if(|label| label.is_empty())),
    }
    Name::from_labels(labels.iter().map(Vec::as_slice)).map_err(|error| error.to_string())
}

/// The byte after a backslash, or that of the three decimal digits there.
fn escaped(bytes: &mut Bytes<'_>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(10);
    let first = bytes.next()?;
    match digit(first) {
        None => Some(first),
        Some(hundreds) => u8::try_from(hundreds * 100 + digit(bytes.next()?)? * 10 + digit(bytes.next()?)?).ok(),
    }
}

impl FromStr for DnsName {
    type Err = String;
    fn from_str(text: &str) -> Result<DnsName, String> {
        let relative = text.strip_suffix('.').unwrap_or(text);
        if plain_labels(relative) { Ok(dotted(relative)) } else { written(text) }
    }
}

/// A name as people write it, IDNs and all. Escapes are those of zone files; what they stand for is no part of an IDN.
fn written(text: &str) -> Result<DnsName, String> {
    if text.contains('\\') {
        if !text.is_ascii() {
            return Err("an escape in an international name".into());
        }
        let name = DnsName::from(&read(text)?);
        return if name.0.contains('\\') { Ok(name) } else { name.0.parse() };
    }
    match Name::from_utf8(idna::to_ascii(text)?) {
        Ok(name) if !text.is_empty() => Ok(DnsName::from(&name)),
        Ok(_) => Err("an empty name".into()),
        Err(error) => Err(error.to_string()),
    }
}

impl TryFrom<String> for DnsName {
    type Error = String;
    /// Reads what [`DnsName::as_str`] wrote, also what a name server said; for what people write there is [`FromStr`].
    fn try_from(text: String) -> Result<DnsName, String> {
        match text.strip_suffix('.').is_some_and(plain_labels) {
            true => Ok(DnsName(text.into())),
            false => read(&text).map(|name| DnsName::from(&name)),
        }
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A domain name, and in plain words what keeps a text from being one.
pub fn domain(text: &str) -> Result<DnsName, String> {
    let relative = text.strip_suffix('.').unwrap_or(text);
    if plain_labels(relative) {
        return Ok(dotted(relative));
    }
    if text != "." && relative.split('.').any(str::is_empty) {
        return Err("not a domain name: there is nothing between two dots, or before the first".into());
    }
    let ascii = idna::to_ascii(text).map_err(|why| format!("not a domain name: {why}"))?;
    if ascii.split('.').any(|label| label.len() > 63) {
        return Err("not a domain name: what stands between two dots is at most 63 letters long".into());
    }
    let name: DnsName = ascii.parse().map_err(|_| "not a domain name".to_owned())?;
    match name.as_str().len() > 254 {
        true => Err("not a domain name: it is longer than 253 letters".into()),
        false => Ok(name),
    }
}

/// A name that a host can have: letters, digits and hyphens, and no IP address.
pub fn host(text: &str) -> Result<DnsName, String> {
    let name = domain(text)?;
    let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let mut labels = name.without_dot().split('.');
    if let Some(label) = labels.clone().find(|label| label.is_empty() || label.bytes().any(odd)) {
        return Err(match label {
            "*" => "a wildcard is no host that clients connect to".into(),
            "" => "the root is no host that clients connect to".into(),
            label => format!("not a domain name: {label:?} cannot stand in one"),
        });
    }
    match labels.next_back() {
        Some(last) if last.bytes().all(|b| b.is_ascii_digit()) => Err("an IP address has no TLSA record".into()),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_and_absolute() {
        for (text, name) in [
            ("MX.Example.COM", "mx.example.com."),
            ("_25._tcp.a.example.", "_25._tcp.a.example."),
            ("bücher.example", "xn--bcher-kva.example."),
        ] {
            assert_eq!(text.parse::<DnsName>().unwrap().as_str(), name, "{text}");
        }
        for (text, name) in [
            ("a\\.B.c", Some("a\\.b.c.")),
            ("a\\066.c", Some("ab.c.")),
            ("b\\255.c", Some("b\\255.c.")),
            ("b\\256.c", None),
            ("xn--bcher-kv\\097.de", Some("xn--bcher-kva.de.")),
            ("xn--\\097.c", None),
            ("ü\\.c", None),
        ] {
            assert_eq!(text.parse::<DnsName>().ok().as_ref().map(DnsName::as_str), name, "{text}");
        }
        assert!("".parse::<DnsName>().is_err());
        assert!("a..b".parse::<DnsName>().is_err());
        assert!(format!("{}.example", "x".repeat(64)).parse::<DnsName>().is_err());
    }

    /// Short ways give what the library gives.
    #[test]
    fn short_ways() {
        let long = format!("{}.example", "x".repeat(63));
        let too_long = format!("{}example", "x123456.".repeat(31));
        for text in [
            "mx.example.com",
            "_25._tcp.mx.example.com.",
            "a-b.c",
            "-a.b",
            "a-.b",
            "com",
            "xn--bcher-kva.de",
            "xn--a",
            "*.a.b",
            "a..b",
            ".a",
            "a.",
            ".",
            "..",
            "",
            "A.b",
            "a b",
            "a\\.b.c",
            "xn--a\\.b.c",
            "b\\255t\\.c",
            "b\\655t\\.c",
            "xn--b\\195\\188.c",
            "xn--\\097.c",
            "xn--bcher-kv\\097.de",
            "ü\\.c",
            "a\\",
            "1.2.3.4",
            "ß.de",
            &long,
            &too_long,
            &too_long[1..],
        ] {
            let parsed: Option<DnsName> = text.parse().ok();
            assert_eq!(parsed, written(text).ok(), "{text:?}");
            if let Some(name) = parsed {
                assert_eq!(DnsName::try_from(name.0.to_string()).as_ref(), Ok(&name), "{text:?}");
                assert_eq!(DnsName::from(&read(&name.0).unwrap()), name, "{text:?}");
                assert_eq!(name.0.parse().as_ref(), Ok(&name), "{text:?}");
            }
        }
        for (name, zone) in
            [("a\\.example.", "example."), ("a.example.", "."), (".", "."), ("aexample.", "example."), (".", "a.")]
        {
            let (name, zone): (DnsName, DnsName) = (name.parse().unwrap(), zone.parse().unwrap());
            assert_eq!(name.is_within(&zone), zone.to_name().zone_of(&name.to_name()), "{name} {zone}");
        }
    }

    #[test]
    fn whatever_name_servers_say() {
        for (labels, text) in [
            (vec![&b"a_b"[..], b"Example"], "a_b.example."),
            (vec![b"-a", b"b-"], "\\-a.b-."),
            (vec![b"0/25", b"192"], "0\\/25.192."),
            (vec![b"a.b", b"c\\"], "a\\.b.c\\\\."),
            (vec![b"*", b"*a", b"a*"], "*.\\*a.a\\*."),
            (vec![b" \x00\xee\xff1"], "\\032\\000\\238\\2551."),
            (vec![], "."),
        ] {
            let name = DnsName::from(&Name::from_labels(labels).unwrap());
            assert_eq!(name.as_str(), text);
            assert_eq!(DnsName::from(&name.to_name()), name);
            assert_eq!(DnsName::try_from(text.to_owned()), Ok(name.clone()), "from the journal");
            let other: DnsName = "other.example.".parse().unwrap();
            assert_eq!(other.is_within(&name), name.as_str() == ".", "{name}");
        }
        for text in ["", "..", "a..b", "a\\", "a\\25", "a\\256b", &"a".repeat(64)] {
            assert!(DnsName::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn parents_and_zones() {
        let name: DnsName = "a.example.".parse().unwrap();
        let zone: DnsName = "example.".parse().unwrap();
        assert_eq!(name.parent(), Some(zone.clone()));
        assert_eq!(zone.parent().and_then(|root| root.parent()), None);
        assert!(name.is_within(&zone) && zone.is_within(&zone) && !zone.is_within(&name));
        assert!(!"bexample.".parse::<DnsName>().unwrap().is_within(&zone));
    }

    /// What is told without a conversion is what the conversion tells.
    #[test]
    fn compared_as_they_are() {
        let all: Vec<Vec<&[u8]>> = vec![
            vec![],
            vec![b"a"],
            vec![b"A", b"example"],
            vec![b"a.example"],
            vec![b"a", b"b", b"example"],
            vec![b"ab", b"example"],
            vec![b"example"],
            vec![b"*", b"example"],
            vec![b"*a", b"example"],
            vec![b"-a", b"example"],
            vec![b"a-", b"eXample"],
            vec![b"a\\", b"example"],
            vec![b"a\x00", b"example"],
        ];
        let names: Vec<Name> = all.into_iter().map(|labels| Name::from_labels(labels).unwrap()).collect();
        for name in &names {
            let own = DnsName::from(name);
            for other in &names {
                assert_eq!(own.is(other), DnsName::from(other) == own, "{own} {other}");
            }
            assert_eq!(own.labels(), own.to_name().num_labels(), "{own}");
            let above = (own.as_str() != ".").then(|| DnsName::from(&own.to_name().base_name()));
            assert_eq!(own.parent(), above, "{own}");
        }
    }
}
