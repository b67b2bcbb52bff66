//! `tlsa = PARAM PORT [PROTO] [DOMAIN|mx:DOMAIN|san] [probe:HOW]`.

use super::{Probe, TlsaLine, Wanted, diagnostic::Fault, grammar::Entry, values, words::Word};
use crate::{
    hosts::Hosts,
    name::{DnsName, host},
    probe::Protocol,
    tlsa::Param,
};

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
    protocol: &'static str,
    place: Place,
    probe: Option<Probe>,
}

/// Whose records they are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Those of the host that the section is named after.
    Section,
    /// Of this host.
    Host(DnsName),
    /// Of hosts that are looked up.
    LookedUp(Hosts),
}

impl Template {
    /// Reads the line: the words after PARAM stand in any order.
    pub fn read(entry: &Entry) -> Result<Template, Fault> {
        let (first, rest) = entry.words.split_first().ok_or_else(|| entry.key.fault("\"tlsa\" has no value"))?;
        let param = first.text.parse().map_err(|why: String| first.fault(why))?;
        let (mut port, mut protocol, mut place, mut probe) = (None, None, Place::Section, None);
        for word in rest {
            let text = word.text.as_str();
            if let Some(how) = word.after("probe:") {
                probe = Some(way(&how)?);
            } else if port.is_none() && values::port(text).is_some() {
                port = values::port(text);
            } else if let (None, Some(named)) = (protocol, protocol_of(text)) {
                protocol = Some(named);
            } else if values::port(text).is_some() {
                return Err(word.fault("a second port").hint("write a \"tlsa\" line for each port"));
            } else if place == Place::Section {
                place = place_word(word)?;
            } else {
                return Err(word.fault("one port, one protocol, one domain, and no more"));
            }
        }
        let Some(port) = port else {
            return Err(first
                .fault("the \"tlsa\" line names no port")
                .hint(format!("write \"tlsa = {param} 25\", or which port the service has")));
        };
        let template = Template { param, port, protocol: protocol.unwrap_or("tcp"), place, probe };
        match &template.place {
            Place::Host(domain) => match template.at(domain.clone()).query_name() {
                Err(why) => Err(first.fault(format!("the name of the TLSA record is not valid: {why}"))),
                Ok(_) => Ok(template),
            },
            _ => Ok(template),
        }
    }

    /// Does it take the domain of its section?
    pub fn takes_section(&self) -> bool {
        self.place == Place::Section
    }

    /// The line for a section whose own domain is `section`, if it has one and the line needs it; none where hosts are looked up.
    pub fn line(&self, section: Option<&DnsName>) -> Option<TlsaLine> {
        match &self.place {
            Place::Section => section.map(|section| self.at(section.clone())),
            Place::Host(host) => Some(self.at(host.clone())),
            Place::LookedUp(_) => None,
        }
    }

    /// The line whose hosts are looked up.
    pub fn wanted(&self) -> Option<Wanted> {
        let Place::LookedUp(hosts) = &self.place else { return None };
        let Template { param, port, protocol, probe, .. } = *self;
        Some(Wanted { param, port, protocol, hosts: hosts.clone(), probe })
    }

    fn at(&self, domain: DnsName) -> TlsaLine {
        let Template { param, port, protocol, probe, .. } = *self;
        TlsaLine { param, port, protocol, domain, probe }
    }
}

fn way(word: &Word) -> Result<Probe, Fault> {
    let found = PROBES.iter().find(|(name, _)| *name == word.text);
    found.map(|(_, probe)| *probe).ok_or_else(|| {
        let names: Vec<&str> = PROBES.iter().map(|(name, _)| *name).collect();
        word.fault(format!("no way to probe: \"{}\"", word.text)).hint(format!("write one of {}", names.join(", ")))
    })
}

/// The protocol that a word means, in whatever case.
pub(crate) fn protocol_of(text: &str) -> Option<&'static str> {
    ["tcp", "udp", "sctp"].into_iter().find(|protocol| text.eq_ignore_ascii_case(protocol))
}

/// A word that is neither port nor protocol says whose records they are.
fn place_word(word: &Word) -> Result<Place, Fault> {
    if word.text == "san" {
        return Ok(Place::LookedUp(Hosts::San));
    }
    match word.after("mx:") {
        Some(domain) if domain.text.is_empty() => Err(word
            .fault("\"mx:\" names no mail domain")
            .hint("write what stands behind the \"@\" of addresses: mx:example.com")),
        Some(domain) => {
            host(&domain.text).map(|name| Place::LookedUp(Hosts::Mx(name))).map_err(|why| domain.fault(why))
        }
        None => domain_word(word).map(Place::Host),
    }
}

/// It must be a domain, and is a mistyped port or protocol if it cannot be.
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
            .hint(format!("write tcp, udp or sctp, mx:DOMAIN or san, or \"{text}.\" if it is a name of one label")));
    }
    host(text).map_err(|why| word.fault(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words;

    fn entry(value: &str) -> Result<Entry, Fault> {
        let key = Word { text: "tlsa".into(), column: 1, width: 4 };
        Ok(Entry { line: 1, key, words: words::split(value, 8)? })
    }

    fn template(entry: &Entry) -> Result<Template, Fault> {
        Template::read(entry)
    }

    fn read(value: &str) -> Result<TlsaLine, Fault> {
        Ok(template(&entry(value)?)?.line(Some(&"a.example".parse().unwrap())).unwrap())
    }

    fn looked_up(value: &str) -> Result<Wanted, Fault> {
        Ok(template(&entry(value)?)?.wanted().unwrap())
    }

    #[test]
    fn hosts_that_are_looked_up() {
        for (value, expected) in [
            ("311 25 mx:example.com", "25 tcp mx:example.com"),
            ("311 mx:Bücher.example 25", "25 tcp mx:xn--bcher-kva.example"),
            ("311 443 san", "443 tcp san"),
            ("201 udp san 853", "853 udp san"),
        ] {
            let Wanted { port, protocol, hosts, .. } = looked_up(value).unwrap();
            assert_eq!(format!("{port} {protocol} {hosts}"), expected, "{value}");
        }
        for value in ["311 25 mx:", "311 25 mx:*.a.example", "311 25 san a.example", "311 25 mx:a.example mx:b.example"]
        {
            assert!(entry(value).and_then(|entry| template(&entry)).is_err(), "{value}");
        }
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
            ("311 25 שלום.example", "_25._tcp.xn--9dbne9b.example.", "311"), // beside no underscore by itself
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
