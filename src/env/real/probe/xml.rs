//! As much XML as an XMPP stream needs before TLS: one tag after the other.

use super::{
    talk::{LINE, Stream, Talk},
    words::quote_bytes,
};

/// A tag, by its local name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `<name …>`
    Open(String),
    /// `<name …/>`
    Empty(String),
    /// `</name>`
    Close(String),
}

/// The next tag; there may be white space before it, and an XML declaration.
pub(super) async fn tag<S: Stream>(talk: &mut Talk<S>) -> Result<Tag, String> {
    next(talk, u8::is_ascii_whitespace).await
}

/// The next tag inside an element of the stream, where there may be text.
pub(super) async fn inner_tag<S: Stream>(talk: &mut Talk<S>) -> Result<Tag, String> {
    next(talk, |_| true).await
}

async fn next<S: Stream>(talk: &mut Talk<S>, may_precede: fn(&u8) -> bool) -> Result<Tag, String> {
    loop {
        skip(talk, may_precede).await?;
        let inside = inside(talk).await?;
        match inside.first() {
            Some(b'?') => continue,
            Some(b'!') | None => return Err(foreign(&inside)),
            Some(_) => return parse(&inside).ok_or_else(|| foreign(&inside)),
        }
    }
}

/// Everything before the next tag.
async fn skip<S: Stream>(talk: &mut Talk<S>, may_precede: fn(&u8) -> bool) -> Result<(), String> {
    loop {
        match talk.byte().await? {
            b'<' => return Ok(()),
            byte if may_precede(&byte) => {}
            other => return Err(foreign(&[other])),
        }
    }
}

/// The text inside a tag.
async fn inside<S: Stream>(talk: &mut Talk<S>) -> Result<Vec<u8>, String> {
    let (mut inside, mut quote) = (Vec::new(), None);
    loop {
        match (talk.byte().await?, quote) {
            (b'>', None) => return Ok(inside),
            (b'<', _) => return Err(foreign(&inside)),
            (byte, _) => {
                quote = match quote {
                    None if byte == b'"' || byte == b'\'' => Some(byte),
                    Some(mark) if mark == byte => None,
                    same => same,
                };
                inside.push(byte);
            }
        }
        if inside.len() > LINE {
            return Err(format!("sends a tag longer than {LINE} bytes: {}", quote_bytes(&inside)));
        }
    }
}

fn parse(inside: &[u8]) -> Option<Tag> {
    let text = std::str::from_utf8(inside).ok()?;
    let (text, closes) = match text.strip_prefix('/') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let is_empty = text.ends_with('/');
    let name = text.split(|character: char| character.is_whitespace() || character == '/').next()?;
    let name = name.rsplit(':').next()?.to_owned();
    let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    is_name.then_some(match (closes, is_empty) {
        (true, _) => Tag::Close(name),
        (false, true) => Tag::Empty(name),
        (false, false) => Tag::Open(name),
    })
}

fn foreign(text: &[u8]) -> String {
    format!("answers with something other than XMPP: {}", quote_bytes(text))
}
