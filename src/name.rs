//! DNS names as the rest of the program handles them: absolute, lower case, with the final dot.

use hickory_resolver::proto::rr::Name;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An absolute DNS name in lower-case ASCII with the final dot, `_25._tcp.mx.example.com.`.
///
/// Names compare without regard to case (RFC 4343), so they are folded once, here. IDNs are kept as A-labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

impl DnsName {
    /// The name as hickory wants it.
    pub fn to_name(&self) -> Name {
        Name::from_ascii(&self.0).unwrap_or_else(|_| Name::root())
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<DnsName> {
        (self.0 != ".").then(|| DnsName::from(&self.to_name().base_name()))
    }

    /// Is this name `zone` or below it?
    pub fn is_within(&self, zone: &DnsName) -> bool {
        if self.0.contains('\\') || zone.0 == "." {
            return zone.to_name().zone_of(&self.to_name());
        }
        self.0.strip_suffix(&zone.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
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
    let label = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with("xn--") && label.bytes().all(plain);
    text.len() <= 253 && text.split('.').all(label)
}

impl From<&Name> for DnsName {
    fn from(name: &Name) -> DnsName {
        if !name.is_root() && name.iter().all(|label| label.iter().copied().all(plain)) {
            let mut text = String::with_capacity(name.len());
            for label in name.iter() {
                text.extend(label.iter().map(|byte| char::from(*byte)));
                text.push('.');
            }
            return DnsName(text);
        }
        let mut name = name.to_lowercase();
        name.set_fqdn(true);
        DnsName(name.to_ascii())
    }
}

impl FromStr for DnsName {
    type Err = String;
    fn from_str(text: &str) -> Result<DnsName, String> {
        let relative = text.strip_suffix('.').unwrap_or(text);
        if plain_labels(relative) {
            return Ok(DnsName(format!("{relative}.")));
        }
        match Name::from_utf8(text) {
            Ok(name) if !text.is_empty() => Ok(DnsName::from(&name)),
            Ok(_) => Err("an empty name".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl TryFrom<String> for DnsName {
    type Error = String;
    fn try_from(text: String) -> Result<DnsName, String> {
        text.parse()
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> String {
        name.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
            "1.2.3.4",
            "ß.de",
            &long,
            &too_long,
            &too_long[1..],
        ] {
            let whole = Name::from_utf8(text).map(|mut name| {
                name.set_fqdn(true);
                name.to_lowercase().to_ascii()
            });
            let whole = whole.ok().filter(|_| !text.is_empty());
            assert_eq!(text.parse::<DnsName>().ok().map(String::from), whole, "{text:?}");
            if let (Ok(name), Some(whole)) = (Name::from_utf8(text), whole) {
                assert_eq!(String::from(DnsName::from(&name)), whole, "{text:?}");
                assert_eq!(text.parse::<DnsName>().unwrap().to_name(), Name::from_ascii(&whole).unwrap(), "{text:?}");
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
    fn parents_and_zones() {
        let name: DnsName = "a.example.".parse().unwrap();
        let zone: DnsName = "example.".parse().unwrap();
        assert_eq!(name.parent(), Some(zone.clone()));
        assert_eq!(zone.parent().and_then(|root| root.parent()), None);
        assert!(name.is_within(&zone) && zone.is_within(&zone) && !zone.is_within(&name));
        assert!(!"bexample.".parse::<DnsName>().unwrap().is_within(&zone));
    }
}
