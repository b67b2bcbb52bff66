//! International names (RFC 5890, UTS 46): what people write becomes A-labels, once, here.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// The text with A-labels, non-transitional as browsers and registries have it: `ß` is a letter of its own. Text that is plain
/// ASCII stays as it is. The error says which label is wrong, and why.
pub fn to_ascii(text: &str) -> Result<String, String> {
    let is_plain = |label: &str| label.is_ascii() && !is_encoded(label);
    if text.split('.').all(is_plain) {
        return Ok(text.to_owned());
    }
    convert(text).ok_or_else(|| {
        let label = text.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).find(|label| convert(label).is_none());
        why(label.unwrap_or(text))
    })
}

/// Do two names of lineages or sections mean the same? Without regard to case, and in either form.
pub fn same(one: &str, other: &str) -> bool {
    let folded = |text: &str| to_ascii(text).ok().map(|ascii| ascii.to_ascii_lowercase());
    let international = !(one.is_ascii() && other.is_ascii());
    one.eq_ignore_ascii_case(other) || (international && folded(one).is_some() && folded(one) == folded(other))
}

fn is_encoded(label: &str) -> bool {
    label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
}

fn convert(text: &str) -> Option<String> {
    // What may stand in the name of a host is judged by whoever wants one: `_25._tcp` is a name, too.
    let ascii = Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore);
    ascii.ok().map(|ascii| ascii.into_owned())
}

fn why(label: &str) -> String {
    if is_encoded(label) && label.is_ascii() {
        return format!("{label:?} begins like an international name and is none (Punycode, RFC 3492)");
    }
    let never = |c: &char| !c.is_ascii() && convert(&c.to_string()).is_none() && convert(&format!("a{c}a")).is_none();
    match label.chars().find(never) {
        Some(c) => format!("the character {c:?} (U+{:04X}) cannot stand in a domain name", u32::from(c)),
        None => format!("{label:?} is no international name: its characters do not go together (UTS 46)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_form() {
        for (text, ascii) in [
            ("mx.Example.com", Ok("mx.Example.com")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("BÜCHER.example", Ok("xn--bcher-kva.example")),
            ("bu\u{308}cher.example", Ok("xn--bcher-kva.example")), // u and a combining diaeresis
            ("XN--BCHER-KVA.example", Ok("xn--bcher-kva.example")),
            ("straße.de", Ok("xn--strae-oqa.de")), // not strasse.de, which transitional processing made of it
            ("bücher。example", Ok("xn--bcher-kva.example")), // an ideographic full stop
            ("_25._tcp.bücher.example.", Ok("_25._tcp.xn--bcher-kva.example.")),
            ("ａ.example", Ok("a.example")), // full width
            ("xn--a.example", Err("\"xn--a\" begins like an international name and is none")),
            ("xn--.example", Err("\"xn--\" begins")),
            ("a\u{fffd}.example", Err("U+FFFD")),
            ("é\u{202e}.example", Err("U+202E")), // text that runs backwards
            ("\u{300}é.example", Err("do not go together")),
            ("א1a.example", Err("do not go together")), // a label in two directions
        ] {
            match (to_ascii(text), ascii) {
                (Ok(found), Ok(ascii)) => assert_eq!(found, ascii, "{text}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn names_that_mean_the_same() {
        for (one, other, expected) in [
            ("mx.example.com", "MX.example.com", true),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("Bücher.example", "XN--bcher-kva.example", true),
            ("BÜCHER.example", "bücher.example", true),
            ("bücher.example", "bucher.example", false),
            ("a\u{fffd}", "b\u{fffd}", false),
            ("a\u{fffd}", "A\u{fffd}", true),
            ("a", "b", false),
        ] {
            assert_eq!((same(one, other), same(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
