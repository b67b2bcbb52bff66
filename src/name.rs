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
        zone.to_name().zone_of(&self.to_name())
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

impl From<&Name> for DnsName {
    fn from(name: &Name) -> DnsName {
        let mut name = name.to_lowercase();
        name.set_fqdn(true);
        DnsName(name.to_ascii())
    }
}

impl FromStr for DnsName {
    type Err = String;
    fn from_str(text: &str) -> Result<DnsName, String> {
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
