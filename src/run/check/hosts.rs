//! `--host NAME:PORT[:PROTOCOL]`.

use crate::{config::TlsaLine, name::DnsName, probe::Protocol};

/// An endpoint from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The host name that clients connect to.
    pub base: DnsName,
    /// TCP port.
    pub port: u16,
    /// What it speaks before TLS.
    pub protocol: Protocol,
    /// Its TLSA query name.
    pub query: DnsName,
}

/// Reads it; the error says what to write.
pub fn parse(text: &str) -> Result<Host, String> {
    let write = "write NAME:PORT, as in mx.example.com:25";
    let mut parts = text.split(':');
    let (name, port, protocol) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if text.starts_with('[') || parts.next().is_some() || name.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!("TLSA records belong to a host name, not to an address: {write}"));
    }
    let number = port.filter(|port| port.bytes().all(|b| b.is_ascii_digit())).and_then(|port| port.parse().ok());
    let port =
        number.filter(|port| *port > 0).ok_or_else(|| format!("the port is a number from 1 to 65535: {write}"))?;
    let base: DnsName = name.parse().map_err(|why| format!("not a host name ({why}): {write}"))?;
    if base.as_str() == "." || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b) || b >= 0x80) {
        return Err(format!("not a host name: {write}"));
    }
    let protocol = match protocol {
        None => Protocol::by_port(port),
        Some(word) => {
            let found = Protocol::NAMES.iter().find(|(known, _)| *known == word).map(|(_, protocol)| *protocol);
            let names = || Protocol::NAMES.map(|(name, _)| name).join(", ");
            found.ok_or_else(|| format!("unknown protocol \"{word}\", there are {}", names()))?
        }
    };
    let param = "311".parse()?;
    let line = TlsaLine { param, port, protocol: "tcp", domain: base.clone(), probe: None };
    let query = line.query_name().map_err(|why| format!("no TLSA record can belong to it: {why}"))?;
    Ok(Host { base, port, protocol, query })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("mx.example.com:25", Ok(("_25._tcp.mx.example.com.", Protocol::Smtp))),
            ("MX.example.com.:25", Ok(("_25._tcp.mx.example.com.", Protocol::Smtp))),
            ("bücher.example:443", Ok(("_443._tcp.xn--bcher-kva.example.", Protocol::Tls))),
            ("mx.example.com:2626:smtp", Ok(("_2626._tcp.mx.example.com.", Protocol::Smtp))),
            ("mx.example.com:25:smpt", Err("unknown protocol \"smpt\"")),
            ("mx.example.com", Err("the port is a number")),
            ("mx.example.com:", Err("the port is a number")),
            ("mx.example.com:0", Err("the port is a number")),
            ("mx.example.com:+25", Err("the port is a number")),
            ("mx.example.com:65536", Err("the port is a number")),
            ("mx.example.com:smtp", Err("the port is a number")),
            (":25", Err("not a host name")),
            (".:25", Err("not a host name")),
            ("a..b:25", Err("not a host name")),
            ("a b:25", Err("not a host name")),
            ("http://mx.example.com:25", Err("the port is a number")),
            ("192.0.2.1:25", Err("not to an address")),
            ("[2001:db8::1]:25", Err("not to an address")),
            ("2001:db8::1:25", Err("not to an address")),
            ("", Err("the port is a number")),
        ] {
            match (parse(text), expected) {
                (Ok(host), Ok(expected)) => assert_eq!((host.query.as_str(), host.protocol), expected, "{text}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{text}: {why}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }
}
