//! A TLSA record in a zone file: ours, which is written in one way only, or one that somebody else wrote.

use super::text::Token;
use crate::{name::DnsName, tlsa::Association};
use data_encoding::HEXLOWER_PERMISSIVE;

/// Whom a record belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Owner {
    /// This name.
    Known(DnsName),
    /// A name that begins so; what follows is the origin, which the file that includes this one may have set.
    Begins(DnsName),
    /// Any name.
    #[default]
    Unknown,
}

impl Owner {
    /// Reads a name as it stands in a file.
    pub fn read(text: &[u8], origin: Option<&DnsName>) -> Owner {
        let Ok(text) = std::str::from_utf8(text) else { return Owner::Unknown };
        if text == "@" {
            return origin.map_or(Owner::Unknown, |origin| Owner::Known(origin.clone()));
        }
        let backslashes =
            text.strip_suffix('.').map_or(0, |head| head.bytes().rev().take_while(|b| *b == b'\\').count());
        if text.ends_with('.') && backslashes % 2 == 0 {
            return DnsName::try_from(text.to_owned()).map_or(Owner::Unknown, Owner::Known);
        }
        let joined =
            origin.map(|origin| format!("{text}.{}", if origin.as_str() == "." { "" } else { origin.as_str() }));
        match joined.map(DnsName::try_from) {
            Some(name) => name.map_or(Owner::Unknown, Owner::Known),
            None => DnsName::try_from(format!("{text}.")).map_or(Owner::Unknown, Owner::Begins),
        }
    }

    fn is(&self, name: &DnsName) -> Has {
        match self {
            Owner::Known(known) if known == name => Has::Other,
            Owner::Known(_) => Has::No,
            Owner::Begins(begin) if name.as_str().starts_with(begin.as_str()) => Has::Perhaps,
            Owner::Begins(_) => Has::No,
            Owner::Unknown => Has::Perhaps,
        }
    }
}

/// A TLSA record of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub owner: Owner,
    /// In seconds, where it is stated so.
    pub ttl: Option<u32>,
    /// `None` if it cannot be read.
    pub data: Option<Association>,
    /// It is written just as we write records.
    pub ours: bool,
}

/// Does an entry hold a certain record?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Has {
    /// As we write it.
    Ours,
    /// In another form.
    Other,
    /// Nobody can tell.
    Perhaps,
    No,
}

impl Record {
    pub fn is(&self, owner: &DnsName, data: &Association) -> Has {
        match (self.owner.is(owner), &self.data) {
            (Has::No, _) => Has::No,
            (_, Some(known)) if known != data => Has::No,
            (Has::Perhaps, _) | (_, None) => Has::Perhaps,
            _ if self.ours => Has::Ours,
            _ => Has::Other,
        }
    }
}

/// What is known of a record.
pub(super) struct Known {
    /// If it is one of type TLSA.
    pub record: Option<Record>,
    /// It states its TTL.
    pub has_ttl: bool,
}

/// Our way to write a record.
pub(super) fn render(owner: &DnsName, ttl: u32, data: &Association) -> String {
    format!("{owner} {ttl} IN TLSA {data}\n")
}

/// Reads a record: the words after its owner, and its bytes.
pub(super) fn record(owner: Owner, tokens: &[Token], bytes: &[u8]) -> Result<Known, String> {
    let words: Vec<String> = tokens.iter().map(|token| String::from_utf8_lossy(&token.text).into_owned()).collect();
    let is_ttl =
        |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_alphanumeric());
    let is_class = |word: &str| ["IN", "CH", "HS", "CS", "ANY"].contains(&word) || word.starts_with("CLASS");
    let (mut ttl, mut class, mut rest) = (None, None, words.as_slice());
    while let Some((first, more)) = rest.split_first() {
        let upper = first.to_ascii_uppercase();
        if ttl.is_none() && is_ttl(first) {
            ttl = Some(first);
        } else if class.is_none() && is_class(&upper) {
            class = Some(upper);
        } else {
            break;
        }
        rest = more;
    }
    let has_ttl = ttl.is_some();
    let kind = rest.first().map(|word| word.to_ascii_uppercase()).ok_or("a record without a type")?;
    match kind.as_str() {
        "SOA" | "TYPE6" => {
            Err("this file is a whole zone, and nobody would change its serial: name a file of its own for TLSA \
                                records, and let the zone include it ($INCLUDE)"
                .into())
        }
        "TLSA" | "TYPE52" if class.as_deref().is_none_or(|class| class == "IN" || class == "CLASS1") => {
            let (ttl, data) = (ttl.and_then(|ttl| ttl.parse().ok()), rdata(&rest[1..]));
            let ours = match (&owner, ttl, &data) {
                (Owner::Known(owner), Some(ttl), Some(data)) => {
                    let line = render(owner, ttl, data);
                    bytes == line.as_bytes() || bytes == line.trim_end().as_bytes()
                }
                _ => false,
            };
            Ok(Known { record: Some(Record { owner, ttl, data, ours }), has_ttl })
        }
        _ => Ok(Known { record: None, has_ttl }),
    }
}

/// RDATA in its own form, or in that for types which a program does not know (RFC 3597 section 5).
fn rdata(words: &[String]) -> Option<Association> {
    let hex = |words: &[String]| HEXLOWER_PERMISSIVE.decode(words.concat().as_bytes()).ok();
    if let [mark, length, data @ ..] = words
        && mark == "\\#"
    {
        let bytes = hex(data).filter(|bytes| Ok(bytes.len()) == length.parse())?;
        let [usage, selector, matching, data @ ..] = bytes.as_slice() else { return None };
        return Some(Association { usage: *usage, selector: *selector, matching: *matching, data: data.to_vec() });
    }
    let [usage, selector, matching, data @ ..] = words else { return None };
    let number = |word: &String| word.parse().ok();
    let (usage, selector, matching) = (number(usage)?, number(selector)?, number(matching)?);
    let data = hex(data).filter(|data| !data.is_empty())?;
    Some(Association { usage, selector, matching, data })
}
