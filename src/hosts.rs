//! Hosts that a `tlsa` line does not name but tells where to look up.

use crate::name::{DnsName, host};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where the hosts of a line are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Hosts {
    /// `mx:DOMAIN`: all mail hosts of a domain.
    Mx(DnsName),
    /// `san`: all names of the lineage's certificates that a host can have.
    San,
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hosts::Mx(domain) => write!(f, "mx:{}", domain.without_dot()),
            Hosts::San => f.write_str("san"),
        }
    }
}

impl From<Hosts> for String {
    fn from(hosts: Hosts) -> String {
        hosts.to_string()
    }
}

impl TryFrom<String> for Hosts {
    type Error = String;
    /// Reads what the journal holds.
    fn try_from(text: String) -> Result<Hosts, String> {
        match text.strip_prefix("mx:") {
            Some(domain) => host(domain).map(Hosts::Mx),
            None if text == "san" => Ok(Hosts::San),
            None => Err(format!("{text:?} tells of no hosts")),
        }
    }
}

/// The names among those of a certificate that a host can have; and those that it cannot: wildcards.
pub fn of_certificate(names: &[String]) -> (Vec<DnsName>, Vec<&str>) {
    let (mut hosts, mut others) = (Vec::new(), Vec::new());
    for name in names {
        match host(name) {
            Ok(found) => hosts.push(found),
            Err(_) => others.push(name.as_str()),
        }
    }
    (hosts, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_journal() {
        for (text, read) in [
            ("mx:example.com", Some("mx:example.com")),
            ("san", Some("san")),
            ("mx:bücher.example", Some("mx:xn--bcher-kva.example")),
            ("mx:", None),
            ("mx:*.example.com", None),
            ("", None),
            ("srv:example.com", None),
        ] {
            let hosts = Hosts::try_from(text.to_owned()).ok();
            assert_eq!(hosts.map(String::from).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn names_of_a_certificate() {
        let names = ["example.com", "*.example.com", "MX.example.com", "192.0.2.1"].map(str::to_owned);
        let (hosts, others) = of_certificate(&names);
        assert_eq!(hosts.iter().map(DnsName::as_str).collect::<Vec<_>>(), ["example.com.", "mx.example.com."]);
        assert_eq!(others, ["*.example.com", "192.0.2.1"]);
    }
}
