//! International names (RFC 5890, UTS 46): what people write becomes A-labels, once, here.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::collections::HashMap;

/// The text with A-labels, non-transitional as browsers and registries have it: `ß` is a letter of its own. Text that is plain
/// ASCII stays as it is. The error says which label is wrong, and why.
pub fn to_ascii(text: &str) -> Result<String, String> {
    if is_plain(text) {
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

/// What names that mean the same have in common. (That alone does not make them so: see [`same`].)
pub fn folded(name: &str) -> String {
    if is_plain(name) {
        return name.to_ascii_lowercase();
    }
    to_ascii(name).unwrap_or_else(|_| name.to_owned()).to_lowercase()
}

/// ASCII, and no label is an encoded one.
fn is_plain(text: &str) -> bool {
    let hyphens = || text.as_bytes().windows(2).any(|pair| pair == b"--");
    text.is_ascii() && !(hyphens() && text.split('.').any(is_encoded))
}

/// Names, to be found by whatever means the same.
#[derive(Default)]
pub struct Names {
    /// By what they have in common, each with its number.
    folded: HashMap<String, Vec<(usize, String)>>,
    count: usize,
}

impl Names {
    /// Adds one.
    pub fn add(&mut self, name: &str) {
        self.folded.entry(folded(name)).or_default().push((self.count, name.to_owned()));
        self.count += 1;
    }

    /// How many were added.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first that means the same, and how many were added before it.
    pub fn find(&self, name: &str) -> Option<(usize, &str)> {
        let near = self.folded.get(&folded(name))?;
        near.iter().find(|(_, other)| same(other, name)).map(|(number, name)| (*number, name.as_str()))
    }
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
    fn found_as_one_after_the_other_would_be() {
        let all = [
            "mx.example.com",
            "MX.example.com",
            "bücher.example",
            "xn--bcher-kva.example",
            "Bücher.example",
            "XN--BCHER-KVA.example",
            "BÜCHER.example",
            "bucher.example",
            "a\u{fffd}",
            "b\u{fffd}",
            "A\u{fffd}",
            "É\u{fffd}",
            "é\u{fffd}",
            "xn--a",
            "XN--A",
            "a--b",
            "A--b",
            "",
            ".",
            "ΑΣ.example",
            "ας.example",
            "straße.de",
            "STRASSE.de",
            "İ.example",
            "ı.example",
        ];
        for from in 0..all.len() {
            let mut names = Names::default();
            all[from..].iter().for_each(|name| names.add(name));
            assert_eq!(names.count(), all.len() - from);
            for name in all {
                let expected = all[from..].iter().position(|other| same(other, name));
                assert_eq!(names.find(name), expected.map(|at| (at, all[from + at])), "{name}");
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
