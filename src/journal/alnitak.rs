//! What Alnitak remembers of a rollover under way, `/var/alnitak/alnitak.data`, in the format that 0.1 and 0.2 share. Pure: bytes in,
//! a value out. What it means for us is decided in `run/take_over.rs`.
//!
//! ```text
//! DOMAIN "DANE_LINK" "LIVE_LINK" "ARCHIVE_FILE" PENDING                a pin; 1: records were published for it
//! DOMAIN 311 25 tcp TLSA_DOMAIN UNIXTIME PENDING HASH                  a new record; 1: still to publish
//! DOMAIN delete 311 25 tcp TLSA_DOMAIN UNIXTIME COUNT HASH             a record that must go
//! ```
//!
//! UNIXTIME is off by the zone offset of the machine, so it is looked at and not used.

use crate::{
    config,
    name::DnsName,
    tlsa::{Association, Param},
};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Where Alnitak keeps it.
pub const DATA: &str = "/var/alnitak/alnitak.data";

/// Everything that could be read of the file, and what could not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The pinned lineages, by name.
    pub pins: BTreeMap<String, Pin>,
    /// The records, in the order of the file, each once.
    pub records: Vec<LeftRecord>,
    /// Lines that could not be read: number from 1, and why.
    pub damaged: Vec<(usize, String)>,
}

/// A lineage whose links in the dane directory lead to its archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// The first line about it.
    pub line: usize,
    /// The links that services read.
    pub links: BTreeSet<PathBuf>,
    /// Has the renewal been dealt with? Else Alnitak's post hook is still to come.
    pub renewed: bool,
}

/// A record that Alnitak has or had something to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftRecord {
    /// Its line.
    pub line: usize,
    /// The section's name: lower case.
    pub lineage: String,
    /// TLSA query name.
    pub query: DnsName,
    /// Which part of which certificate it tells.
    pub param: Param,
    /// The record.
    pub record: Association,
    /// What was to be done about it.
    pub state: LeftState,
}

/// What Alnitak would do next about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftState {
    /// It is published; the record of the certificate before it has to go.
    Published,
    /// It is still to be published.
    Unpublished,
    /// It has to go.
    Owed,
}

/// Reads the file.
pub fn parse(bytes: &[u8]) -> Left {
    let mut left = Left::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let read = match std::str::from_utf8(line) {
            Ok(text) if text.trim().is_empty() || text.trim().starts_with('#') => continue,
            Ok(text) => read(text.trim(), at + 1),
            Err(_) => Err("a byte in it is not UTF-8".into()),
        };
        match read {
            Ok(Line::Pin { lineage, link, renewed }) => {
                let pin = left.pins.entry(lineage).or_insert_with(|| Pin { line: at + 1, ..Pin::default() });
                pin.links.insert(link);
                pin.renewed |= renewed;
            }
            Ok(Line::Record(record)) => {
                let known = |known: &LeftRecord| LeftRecord { line: record.line, ..known.clone() } == record;
                if !left.records.iter().any(known) {
                    left.records.push(record);
                }
            }
            Err(why) => left.damaged.push((at + 1, why)),
        }
    }
    left
}

enum Line {
    Pin { lineage: String, link: PathBuf, renewed: bool },
    Record(LeftRecord),
}

fn read(text: &str, line: usize) -> Result<Line, String> {
    let (lineage, rest) = text.split_once(char::is_whitespace).ok_or("it breaks off after the first word")?;
    if lineage.starts_with('.') || lineage.contains(['/', '"', '\0']) {
        return Err("its first word is no name of a certificate".into());
    }
    let (lineage, rest) = (lineage.to_lowercase(), rest.trim_start());
    match rest.starts_with('"') {
        true => pin(lineage, rest),
        false => record(lineage, rest, line).map(Line::Record),
    }
}

/// `"DANE_LINK" "LIVE_LINK" "ARCHIVE_FILE" PENDING`.
fn pin(lineage: String, mut rest: &str) -> Result<Line, String> {
    let mut paths = [""; 3];
    for path in &mut paths {
        let inner = rest.strip_prefix('"').ok_or("three paths in quotation marks are needed")?;
        let end = inner.find('"').ok_or("a quotation mark is not closed")?;
        (*path, rest) = (&inner[..end], inner[end + 1..].trim_start());
    }
    if paths.iter().any(|path| !path.starts_with('/')) {
        return Err("a path does not begin at \"/\"".into());
    }
    Ok(Line::Pin { lineage, link: paths[0].into(), renewed: flag(rest)? })
}

/// `[delete] PARAM PORT PROTOCOL DOMAIN UNIXTIME PENDING|COUNT HASH`.
fn record(lineage: String, rest: &str, line: usize) -> Result<LeftRecord, String> {
    let mut words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let owed = words.first() == Some(&"delete");
    if owed {
        words.remove(0);
    }
    let [param, port, protocol, domain, time, count, hash] = words[..] else {
        let count = words.len();
        return Err(format!("a record has seven words after the certificate's name, and here are {count}"));
    };
    let param: Param = param.parse()?;
    let port = number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or("the port is a number from 1 to 65535")?;
    let protocol = config::protocol_of(protocol).ok_or("the protocol is none of tcp, udp and sctp")?;
    let query: DnsName = format!("_{port}._{protocol}.{domain}").parse()?;
    number(time).ok_or("the time is no number")?;
    let state = match owed {
        true => number(count).map(|_| LeftState::Owed).ok_or("the count of failures is no number")?,
        false if flag(count)? => LeftState::Unpublished,
        false => LeftState::Published,
    };
    let data = HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).map_err(|_| "the data of the record is not hexadecimal")?;
    let fits = match param.matching() {
        1 => data.len() == 32,
        2 => data.len() == 64,
        _ => !data.is_empty(),
    };
    if !fits {
        return Err("the data of the record has not the length of its kind".into());
    }
    let (usage, selector, matching) = (param.usage(), param.selector(), param.matching());
    let record = Association { usage, selector, matching, data };
    Ok(LeftRecord { line, lineage, query, param, record, state })
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("0 or 1 is missing where it says whether something is pending".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line lineage=links,pending` of each pin, `line lineage state query record` of each record, `line!why` of what is damaged.
    fn told(text: &str) -> String {
        let left = parse(text.replace("H32", &"ab".repeat(32)).replace("H64", &"cd".repeat(64)).as_bytes());
        let pins = left
            .pins
            .iter()
            .map(|(name, pin)| format!("{} {name}={},{}", pin.line, pin.links.len(), u8::from(pin.renewed)));
        let records = left.records.iter().map(|record| {
            let LeftRecord { line, lineage, query, param, record, state } = record;
            format!("{line} {lineage} {state:?} {query} {param} {:.10}", record.to_string())
        });
        let damaged = left.damaged.iter().map(|(line, why)| format!("{line}!{why}"));
        pins.chain(records).chain(damaged).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn lines() {
        for (text, expected) in [
            ("", ""),
            ("# alnitak 0.2.2\n\n  # x\r\n", ""),
            ("a.b \"/d/a\" \"/l/a\" \"/r/a1\" 0\na.b \"/d/b\" \"/l/b\" \"/r/b1\" 0\n", "1 a.b=2,0"),
            ("\nA.b  \"/d d/a\"\t\"/l/#\" \"/r/a1\" 1 \r\n", "2 a.b=1,1"),
            ("a.b \"/d/a\" \"/l/a\" \"/r/a1\"", "1!0 or 1 is missing where it says whether something is pending"),
            ("a.b \"/d/a\" \"/l/a\" \"/r/a1\" 2", "1!0 or 1 is missing where it says whether something is pending"),
            ("a.b \"/d/a\" \"/l/a\" 0", "1!three paths in quotation marks are needed"),
            ("a.b \"/d/a\" \"/l/a", "1!a quotation mark is not closed"),
            ("a.b \"/d/a\" \"l/a\" \"/r/a1\" 0", "1!a path does not begin at \"/\""),
            ("a.b 311 25 tcp a.b 1 0 H32", "1 a.b Published _25._tcp.a.b. 311 3 1 1 abab"),
            ("\na.b 202 443 udp X.c 1 1 H64", "2 a.b Unpublished _443._udp.x.c. 202 2 0 2 cdcd"),
            ("a.b delete 310 25 tcp a.b 1 99 0A", "1 a.b Owed _25._tcp.a.b. 310 3 1 0 0a"),
            ("a.b 311 25 tcp a.b 1 0 H32\na.b 311 25 tcp a.b 2 0 H32", "1 a.b Published _25._tcp.a.b. 311 3 1 1 abab"),
            ("a.b", "1!it breaks off after the first word"),
            ("../x 311 25 tcp a.b 1 0 H32", "1!its first word is no name of a certificate"),
            (".. 311 25 tcp a.b 1 0 H32", "1!its first word is no name of a certificate"),
            ("a.b 311 25 tcp a.b 1 0", "1!a record has seven words after the certificate's name, and here are 6"),
            (
                "a.b delete 311 25 tcp a.b 1 H32",
                "1!a record has seven words after the certificate's name, and here are 6",
            ),
            ("a.b 311 0 tcp a.b 1 0 H32", "1!the port is a number from 1 to 65535"),
            ("a.b 311 65536 tcp a.b 1 0 H32", "1!the port is a number from 1 to 65535"),
            ("a.b 311 +5 tcp a.b 1 0 H32", "1!the port is a number from 1 to 65535"),
            ("a.b 311 25 .tcp a.b 1 0 H32", "1!the protocol is none of tcp, udp and sctp"),
            ("a.b 311 25 TCP a.b 1 0 H32", "1 a.b Published _25._tcp.a.b. 311 3 1 1 abab"),
            ("a.b 311 25 tcp a.b x 0 H32", "1!the time is no number"),
            ("a.b delete 311 25 tcp a.b 1 x H32", "1!the count of failures is no number"),
            ("a.b 311 25 tcp a.b 1 7 H32", "1!0 or 1 is missing where it says whether something is pending"),
            ("a.b 311 25 tcp a.b 1 0 H64", "1!the data of the record has not the length of its kind"),
            ("a.b 312 25 tcp a.b 1 0 H32", "1!the data of the record has not the length of its kind"),
            ("a.b 311 25 tcp a.b 1 0 zz", "1!the data of the record is not hexadecimal"),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
        assert!(told("a.b 911 25 tcp a.b 1 0 H32").starts_with("1!TLSA parameters"));
        assert_eq!(parse(b"a\xff\n").damaged, [(1, "a byte in it is not UTF-8".to_owned())]);
    }
}
