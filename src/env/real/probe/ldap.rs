//! LDAP: the extended operation StartTLS (RFC 4511 sections 4.12 and 4.14), in BER.

use super::{
    talk::{Stream, Talk},
    words::quote_bytes,
};

/// Message 1: ExtendedRequest for 1.3.6.1.4.1.1466.20037.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// Message 2: UnbindRequest.
pub(super) const UNBIND: &[u8] = b"\x30\x05\x02\x01\x02\x42\x00";

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const ENUMERATED: u8 = 0x0a;
const OCTET_STRING: u8 = 0x04;
const EXTENDED_RESPONSE: u8 = 0x78;

/// Result code and diagnostic message.
struct Response {
    code: u8,
    text: Vec<u8>,
}

/// Leads to the server's go-ahead.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>) -> Result<(), String> {
    talk.say(START_TLS, "answer to StartTLS").await?;
    let message = message(talk).await?;
    let Some(Response { code, text }) = parse(&message) else {
        return Err(format!("answers with something other than LDAP: {}", quote_bytes(&message)));
    };
    let reason = match code {
        0 => return Ok(()),
        2 => format!("does not offer StartTLS (result 2): {}", quote_bytes(&text)),
        _ => format!("refuses StartTLS (result {code}): {}", quote_bytes(&text)),
    };
    Err(talk.leave(UNBIND, reason).await)
}

/// The content of one LDAPMessage.
async fn message<S: Stream>(talk: &mut Talk<S>) -> Result<Vec<u8>, String> {
    let head = talk.exactly(2).await?;
    if head[0] != SEQUENCE {
        return Err(format!("answers with something other than LDAP: {}", quote_bytes(&head)));
    }
    let length = match head[1] {
        short @ ..=0x7f => usize::from(short),
        // A length in up to four bytes that follow; some servers always write four.
        long @ 0x81..=0x84 => big_endian(&talk.exactly(usize::from(long & 0x7f)).await?),
        _ => return Err("answers with something other than LDAP: a length without end".to_owned()),
    };
    talk.exactly(length).await
}

fn parse(message: &[u8]) -> Option<Response> {
    // The number is 0 in a notice of disconnection (section 4.4.1), whose code is never 0.
    let (_number, rest) = element(message, INTEGER)?;
    let (response, _) = element(rest, EXTENDED_RESPONSE)?;
    let (code, rest) = element(response, ENUMERATED)?;
    let (_matched, rest) = element(rest, OCTET_STRING)?;
    let (text, _) = element(rest, OCTET_STRING)?;
    match code {
        [code] => Some(Response { code: *code, text: text.to_owned() }),
        _ => None,
    }
}

/// The content of the element at the front, which must have that tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short @ ..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (big_endian(length), rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length))?
}

/// Four bytes at most.
fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static [u8], Option<(u8, &'static [u8])>);

    #[test]
    fn responses() {
        let cases: [Case; 8] = [
            (b"\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", Some((0, b""))),
            (b"\x02\x01\x01\x78\x84\x00\x00\x00\x09\x0a\x01\x34\x04\x00\x04\x02no", Some((52, b"no"))),
            (b"\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04", None),
            (b"\x02\x01\x01\x78\x84\xff\xff\xff\xff\x0a", None),
            (b"\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", None),
            (b"\x02\x01\x01\x78\x08\x0a\x02\x00\x00\x04\x00\x04\x00", None),
            (b"\x02\x80", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            let response = parse(bytes);
            assert_eq!(response.as_ref().map(|is| (is.code, is.text.as_slice())), expected, "{bytes:02x?}");
        }
    }
}
