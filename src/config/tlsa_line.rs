//! `tlsa = PARAM PORT [PROTO] [DOMAIN] [probe:HOW]`.

use super::{Probe, TlsaLine, diagnostic::Fault, grammar::Entry, values, words::Word};
use crate::{name::DnsName, probe::Protocol, tlsa::Param};

/// Ways to see the certificate that is served.
pub(super) const PROBES: [(&str, Probe); 11] = [
    ("auto", Probe::Auto),
    ("off", Probe::Off),
    ("smtp", Probe::Protocol(Protocol::Smtp)),
    ("imap", Probe::Protocol(Protocol::Imap)),
    ("pop3", Probe::Protocol(Protocol::Pop3)),
    ("xmpp-client", Probe::Protocol(Protocol::XmppClient)),
    ("xmpp-server", Probe::Protocol(Protocol::XmppServer)),
    ("ldap", Probe::Protocol(Protocol::Ldap)),
    ("postgres", Probe::Protocol(Protocol::Postgres)),
    ("sieve", Probe::Protocol(Protocol::Sieve)),
    ("tls", Probe::Protocol(Protocol::Tls)),
];

/// A `tlsa` line whose domain may still be that of the section it will belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    param: Param,
    port: u16,
    protocol: String,
    domain: Option<DnsName>,
    probe: Option<Probe>,
}

impl Template {
    /// Reads the line: the words after PARAM stand in any order.
    pub fn read(entry: &Entry) -> Result<Template, Fault> {
        let (first, rest) = entry.words.split_first().ok_or_else(|| entry.key.fault("\"tlsa\" has no value"))?;
        let param = first.text.parse().map_err(|why: String| first.fault(why))?;
        let (mut port, mut protocol, mut domain, mut probe) = (None, None, None, None);
        for word in rest {
            let text = word.text.as_str();
            if let Some(how) = word.after("probe:") {
                probe = Some(way(&how)?);
            } else if port.is_none() && values::port(text).is_some() {
                port = values::port(text);
            } else if protocol.is_none() && is_protocol(text) {
                protocol = Some(text.to_ascii_lowercase());
            } else if values::port(text).is_some() {
                return Err(word.fault("a second port").hint("write a \"tlsa\" line for each port"));
            } else if domain.is_none() {
                domain = Some(domain_word(word)?);
            } else {
                return Err(word.fault("one port, one protocol, one domain, and no more"));
            }
        }
        let Some(port) = port else {
            return Err(first
                .fault("the \"tlsa\" line names no port")
                .hint(format!("write \"tlsa = {param} 25\", or which port the service has")));
        };
        let template = Template { param, port, protocol: protocol.unwrap_or_else(|| "tcp".into()), domain, probe };
        match template.domain.clone().map(|domain| template.line(domain).query_name()) {
            Some(Err(why)) => Err(first.fault(format!("the name of the TLSA record is not valid: {why}"))),
            _ => Ok(template),
        }
    }

    /// Does it take the domain of its section?
    pub fn takes_section(&self) -> bool {
        self.domain.is_none()
    }

    /// The line for a section whose own domain is `section`.
    pub fn line(&self, section: DnsName) -> TlsaLine {
        let Template { param, port, protocol, domain, probe } = self.clone();
        TlsaLine { param, port, protocol, domain: domain.unwrap_or(section), probe }
    }
}

fn way(word: &Word) -> Result<Probe, Fault> {
    let found = PROBES.iter().find(|(name, _)| *name == word.text);
    found.map(|(_, probe)| *probe).ok_or_else(|| {
        let names: Vec<&str> = PROBES.iter().map(|(name, _)| *name).collect();
        word.fault(format!("no way to probe: \"{}\"", word.text)).hint(format!("write one of {}", names.join(", ")))
    })
}

fn is_protocol(text: &str) -> bool {
    ["tcp", "udp", "sctp"].iter().any(|protocol| text.eq_ignore_ascii_case(protocol))
}

/// A word that is neither port nor protocol must be a domain, and is a mistyped one of those if it cannot be.
fn domain_word(word: &Word) -> Result<DnsName, Fault> {
    let text = word.text.as_str();
    if text.chars().all(|c| c.is_numeric() || "-+_".contains(c)) {
        return Err(word.fault("not a port").hint("write one port from 1 to 65535"));
    }
    if text.starts_with('_') {
        return Err(word
            .fault("the domain is that of the host, without the labels that begin with \"_\"")
            .hint("write \"tlsa = 311 25 tcp mx.example.com\""));
    }
    if !text.contains('.') {
        return Err(word
            .fault("neither a port, nor a protocol, nor a domain")
            .hint(format!("write tcp, udp or sctp, or \"{text}.\" if it is a name of one label")));
    }
    host(text).map_err(|why| word.fault(why))
}

/// A domain name, and in plain words what keeps a text from being one.
pub(crate) fn domain(text: &str) -> Result<DnsName, String> {
    let labels = || text.strip_suffix('.').unwrap_or(text).split('.');
    if text != "." && labels().any(str::is_empty) {
        return Err("not a domain name: there is nothing between two dots, or before the first".into());
    }
    if labels().any(|label| label.len() > 63) {
        return Err("not a domain name: what stands between two dots is at most 63 letters long".into());
    }
    let name: DnsName = text.parse().map_err(|_| "not a domain name".to_owned())?;
    match name.as_str().len() > 254 {
        true => Err("not a domain name: it is longer than 253 letters".into()),
        false => Ok(name),
    }
}

/// A name that a host can have: letters, digits and hyphens, and no IP address.
pub(crate) fn host(text: &str) -> Result<DnsName, String> {
    let name = domain(text)?;
    let labels: Vec<&str> = name.without_dot().split('.').collect();
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if let Some(label) = labels.iter().find(|label| label.is_empty() || label.contains(odd)) {
        return Err(match *label {
            "*" => "a wildcard is no host that clients connect to".into(),
            "" => "the root is no host that clients connect to".into(),
            label => format!("not a domain name: {label:?} cannot stand in one"),
        });
    }
    match labels.last() {
        Some(last) if last.bytes().all(|b| b.is_ascii_digit()) => Err("an IP address has no TLSA record".into()),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words;

    fn read(value: &str) -> Result<TlsaLine, Fault> {
        let key = Word { text: "tlsa".into(), column: 1, width: 4 };
        let entry = Entry { line: 1, key, words: words::split(value, 8)? };
        Ok(Template::read(&entry)?.line("a.example".parse().unwrap()))
    }

    #[test]
    fn lines() {
        for (value, query, param) in [
            ("311 25", "_25._tcp.a.example.", "311"),
            ("201 443 mx.b.example", "_443._tcp.mx.b.example.", "201"),
            ("302 udp 853", "_853._udp.a.example.", "302"),
            ("310 MX.B.Example. TCP 25", "_25._tcp.mx.b.example.", "310"),
            ("311 5061 sctp a-b.xn--bcher-kva.example", "_5061._sctp.a-b.xn--bcher-kva.example.", "311"),
            ("311 25 mail.", "_25._tcp.mail.", "311"),
        ] {
            let line = read(value).unwrap();
            assert_eq!(
                (line.query_name().unwrap().as_str(), line.param.to_string().as_str()),
                (query, param),
                "{value}"
            );
        }
        assert_eq!(read("311 25 probe:smtp").unwrap().probe, Some(Probe::Protocol(Protocol::Smtp)));
        assert_eq!(read("311 25 probe:off b.example").unwrap().probe, Some(Probe::Off));
        for value in [
            "311",
            "311 25 probe:smpt",
            "111 25",
            "411 25",
            "31 25",
            "311 0",
            "311 65536",
            "311 -5",
            "311 2_5",
            "311 ٢٥",
            "311 25 26",
            "311 25 tpc",
            "311 25 tcp tcp",
            "311 25 a.example b.example",
            "311 25 *.a.example",
            "311 25 192.0.2.1",
            "311 25 a..b",
            "311 25 _25._tcp.a.example",
            "311 25 'a b.example'",
            "tcp 25",
            "311 25 .",
        ] {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
