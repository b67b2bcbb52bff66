//! The text of a zone file (RFC 1035 section 5.1), as far as it must be understood to change single lines of it and leave every
//! other byte alone. Pure.

use super::record::{Has, Known, Owner, Record, record};
use crate::name::DnsName;

/// A file that is not touched: where, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// From 1.
    pub line: usize,
    /// Why, and what to do.
    pub why: String,
}

/// A zone file, entry by entry.
#[derive(Debug)]
pub struct Text {
    pub(super) entries: Vec<Entry>,
}

/// One line, or several that parentheses make one of; with its final newline.
#[derive(Debug)]
pub(super) struct Entry {
    pub bytes: Vec<u8>,
    /// The number of its first line.
    pub line: usize,
    pub what: What,
}

/// What an entry is.
#[derive(Debug)]
pub(super) enum What {
    /// Neither record nor include: what follows does not mind what stands before it.
    Nothing,
    /// Anything else; what it says of TLSA records, and whether it takes owner or TTL from what stands before it.
    Entry { record: Option<Record>, depends: bool },
}

/// A word of an entry.
pub(super) struct Token {
    pub text: Vec<u8>,
}

impl Text {
    /// Reads a whole file.
    pub fn read(bytes: &[u8]) -> Result<Text, Refused> {
        let (mut entries, mut context) = (Vec::new(), Context::default());
        let (mut rest, mut line) = (bytes, 1);
        while !rest.is_empty() {
            let (length, tokens, indented) = entry(rest, line)?;
            let (now, later) = rest.split_at(length);
            let what = context.read(&tokens, indented, now).map_err(|why| Refused { line, why })?;
            entries.push(Entry { bytes: now.to_vec(), line, what });
            line += now.iter().filter(|byte| **byte == b'\n').count();
            rest = later;
        }
        Ok(Text { entries })
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        self.entries.iter().flat_map(|entry| entry.bytes.iter().copied()).collect()
    }

    /// Does anything but comments follow from this place on that takes its owner or TTL from what stands before it?
    pub(super) fn is_leant_on(&self, place: usize) -> Option<usize> {
        let next = self.entries[place..].iter().find_map(|entry| match entry.what {
            What::Nothing => None,
            What::Entry { depends, .. } => Some((entry.line, depends)),
        });
        next.filter(|(_, depends)| *depends).map(|(line, _)| line)
    }
}

/// What the entries before this one leave behind.
#[derive(Default)]
struct Context {
    origin: Option<DnsName>,
    owner: Owner,
    /// There was a `$TTL` in this file.
    ttl: bool,
}

impl Context {
    fn read(&mut self, tokens: &[Token], indented: bool, bytes: &[u8]) -> Result<What, String> {
        let Some(first) = tokens.first() else { return Ok(What::Nothing) };
        if first.text.starts_with(b"$") {
            return self.directive(tokens, indented);
        }
        let (owner, rest) = match indented {
            true => (self.owner.clone(), tokens),
            false => (Owner::read(&first.text, self.origin.as_ref()), &tokens[1..]),
        };
        self.owner = owner.clone();
        let Known { record, has_ttl } = record(owner, rest, bytes)?;
        Ok(What::Entry { record, depends: indented || !(has_ttl || self.ttl) })
    }

    fn directive(&mut self, tokens: &[Token], indented: bool) -> Result<What, String> {
        if indented {
            return Err(
                "a directive after a blank means different things to different name servers: let it begin the line"
                    .into(),
            );
        }
        let argument = tokens.get(1).map(|token| token.text.as_slice());
        match tokens[0].text.to_ascii_uppercase().as_slice() {
            b"$TTL" => {
                self.ttl = true;
                Ok(What::Nothing)
            }
            b"$ORIGIN" => {
                let origin = argument.map(|name| Owner::read(name, self.origin.as_ref()));
                self.origin = match origin {
                    Some(Owner::Known(name)) => Some(name),
                    _ => None,
                };
                Ok(What::Nothing)
            }
            // What it brings with it is not known, so what follows it may be anything.
            _ => {
                self.owner = Owner::Unknown;
                Ok(What::Entry { record: None, depends: !self.ttl })
            }
        }
    }
}

/// The first entry of the rest of a file: its length, its words, and whether it begins with a blank.
fn entry(bytes: &[u8], first: usize) -> Result<(usize, Vec<Token>, bool), Refused> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut line, mut opened, mut depth) = (first, first, 0_usize);
    let (mut quoted, mut comment, mut escaped, mut within) = (false, false, false, false);
    let refused = |line: usize, why: &str| Err(Refused { line, why: why.into() });
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == 0 || (byte < b' ' && !b"\t\r\n".contains(&byte)) {
            return refused(line, "control characters: this is no zone file");
        }
        if byte == b'\n' {
            if quoted || escaped {
                return refused(line, "a quote that is not closed, or a backslash at the end of the line");
            }
            (comment, within) = (false, false);
            if depth == 0 {
                return Ok((at + 1, tokens, matches!(bytes.first(), Some(b' ' | b'\t'))));
            }
            line += 1;
            continue;
        }
        if comment {
            continue;
        }
        let plain = !quoted && !escaped;
        match byte {
            b';' if plain => comment = true,
            b'(' | b')' if plain => {
                within = false;
                if byte == b'(' && depth == 0 {
                    opened = line;
                }
                match if byte == b'(' { Some(depth + 1) } else { depth.checked_sub(1) } {
                    Some(now) => depth = now,
                    None => return refused(line, "a closing parenthesis that nothing opened"),
                }
            }
            b' ' | b'\t' | b'\r' if plain => within = false,
            b'"' if !escaped => quoted = !quoted,
            _ => {
                escaped = byte == b'\\' && !escaped;
                match tokens.last_mut().filter(|_| within) {
                    Some(token) => token.text.push(byte),
                    None => tokens.push(Token { text: vec![byte] }),
                }
                within = true;
            }
        }
    }
    if depth > 0 {
        return refused(opened, "a parenthesis that is never closed");
    }
    if quoted || escaped {
        return refused(line, "a quote that is never closed, or a backslash at the end");
    }
    Ok((bytes.len(), tokens, matches!(bytes.first(), Some(b' ' | b'\t'))))
}

impl Entry {
    /// Is it this record, and is the line ours?
    pub(super) fn has(&self, owner: &DnsName, data: &crate::tlsa::Association) -> Has {
        match &self.what {
            What::Entry { record: Some(record), .. } => record.is(owner, data),
            _ => Has::No,
        }
    }
}
