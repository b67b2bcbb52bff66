//! Alnitak's grammar: text becomes scopes of entries. The splitting into sections, parameters and values is the `configparser`
//! crate's; since that keeps only the last of repeated names and forgets the lines, each name is given its line number first.

use super::{
    diagnostic::{Fault, Report},
    keys,
    words::{self, Word},
};
use configparser::ini::{Ini, IniDefault};
use std::{fmt::Write, rc::Rc};

/// Stands between the line number and the name; no input may hold it.
const MARK: char = '\u{1f}';
/// Bytes that a number and a mark take, and the end of the line.
const MARKED: usize = 10;

/// What stands before the first header, or under one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// `None` for what stands before the first header.
    pub header: Option<Header>,
    /// Its parameters, in the order of the file.
    pub entries: Vec<Entry>,
    /// A line in it, or its header, could not be understood.
    pub damaged: bool,
}

/// `[name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Line, from 1.
    pub line: usize,
    /// The name; of a header with an error the best guess.
    pub name: Word,
    /// Is the header without error?
    pub sound: bool,
}

/// `key = words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Line, from 1.
    pub line: usize,
    /// The parameter.
    pub key: Word,
    /// Its value.
    pub words: Vec<Word>,
}

/// Reads a text scope by scope: the first is the one before all headers, and with it alone nothing has to be kept of the others.
pub(super) struct Scopes<'a> {
    parser: Ini,
    lines: Rc<[&'a str]>,
    /// Lines that were read.
    done: usize,
    /// The scope before all headers was read.
    begun: bool,
}

impl<'a> Scopes<'a> {
    /// Of the text that `report` is about.
    pub fn of(report: &Report<'a>) -> Scopes<'a> {
        Scopes { parser: parser(), lines: report.lines(), done: 0, begun: false }
    }

    /// The next scope; every line in it that does not fit is reported.
    pub fn next(&mut self, report: &mut Report) -> Option<Scope> {
        let rest = &self.lines[self.done..];
        if self.begun && rest.is_empty() {
            return None;
        }
        let is_header = |line: &&str| line.trim_start().starts_with('[');
        // After the first scope each begins with a header.
        let own = usize::from(self.begun);
        let lines = &rest[..own + rest[own..].iter().take_while(|line| !is_header(line)).count()];
        self.begun = true;
        let first = self.done + 1;
        self.done += lines.len();
        let (text, damaged_header, mut damaged) = marked(first, lines, report);
        let mut scope = Scope::default();
        for (name, entries) in self.parser.read(text).unwrap_or_default() {
            scope.header = unmark(&name).map(|header| locate_header(header, !damaged_header, report));
            scope.entries.reserve_exact(entries.len());
            for (key, value) in &entries {
                let Some((line, key)) = unmark(key) else { continue };
                match entry(line, key, value.as_deref().unwrap_or_default(), report) {
                    Ok(entry) => scope.entries.push(entry),
                    Err(fault) => {
                        report.error(line, fault);
                        damaged = true;
                    }
                }
            }
        }
        scope.damaged = damaged;
        Some(scope)
    }
}

/// The lines of a scope, from number `first` on, as the parser gets them. Is its header damaged, or anything in it?
fn marked(first: usize, lines: &[&str], report: &mut Report) -> (String, bool, bool) {
    let mut text = String::with_capacity(lines.iter().map(|line| line.len() + MARKED).sum());
    let (mut header, mut any) = (false, false);
    for (number, line) in (first..).zip(lines) {
        let Some((at, width, message, hint)) = mark(number, line, &mut text) else { continue };
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let fault = Fault::at(indent + at + 1, width, message);
        report.error(number, hint.map_or(fault.clone(), |hint| fault.hint(hint)));
        header |= line.trim_start().starts_with('[');
        any = true;
    }
    (text, header, any)
}

/// `configparser` with everything turned off that is not Alnitak's.
fn parser() -> Ini {
    let mut plain = IniDefault::default();
    plain.default_section = MARK.to_string();
    plain.comment_symbols = vec!['#'];
    plain.delimiters = vec!['='];
    plain.case_sensitive = true;
    plain.enable_inline_comments = false;
    Ini::new_from_defaults(plain)
}

/// Adds the line with its number in front of the name; nothing where it does not fit the grammar. Says what is wrong with it.
fn mark(number: usize, line: &str, marked: &mut String) -> Option<Wrong> {
    let text = line.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    // A `String` takes everything.
    if text.starts_with('[') {
        let (name, wrong) = header(text);
        let _ = writeln!(marked, "[{number}{MARK}{name}]");
        return wrong;
    }
    let wrong = pair(text);
    if wrong.is_none() {
        let _ = writeln!(marked, "{number}{MARK}{text}");
    }
    wrong
}

/// What is wrong with a trimmed line: offset, width, message, hint.
type Wrong = (usize, usize, &'static str, Option<String>);

/// The name in a header line, and what is wrong with it.
fn header(text: &str) -> (&str, Option<Wrong>) {
    let comment = text.match_indices('#').find(|&(at, _)| text[..at].ends_with(char::is_whitespace));
    let text = comment.map_or(text, |(at, _)| text[..at].trim_end());
    let inner = text.strip_prefix('[').unwrap_or(text);
    let Some(name) = inner.strip_suffix(']') else {
        let guess = inner.split(']').next().unwrap_or_default().trim();
        let hint = (!guess.is_empty()).then(|| format!("write \"[{guess}]\" alone on the line"));
        let wrong = match inner.find(']') {
            Some(at) => {
                let at = inner[..at].chars().count() + 2;
                (at, text.chars().count() - at, "something follows the section name", hint)
            }
            None => (0, text.chars().count(), "the section name is not closed by \"]\"", hint),
        };
        return (guess, Some(wrong));
    };
    let name = name.trim();
    let wrong = match name {
        "" => Some("the section has no name"),
        name if name.starts_with('.') => Some("no lineage has a name that begins with a dot"),
        name if name.contains('/') => Some("a section is named after a directory in live/, so it has no slash"),
        _ => None,
    };
    let hint = || Some("write the name of the lineage as \"certbot certificates\" shows it".to_owned());
    (name, wrong.map(|message| (0, text.chars().count(), message, hint())))
}

/// What is wrong with a line that should be `key = value`.
fn pair(text: &str) -> Option<Wrong> {
    let width = || text.chars().count();
    match split_at_equals(text) {
        Some((key, _)) if key.trim().is_empty() => {
            Some((0, 1, "there is no parameter name before \"=\"", Some("write \"parameter = value\"".into())))
        }
        Some((key, _)) if key.trim().contains(char::is_whitespace) => {
            let width = key.trim().chars().count();
            Some((0, width, "a parameter name is one word", Some("write one \"parameter = value\" on a line".into())))
        }
        Some(_) => None,
        None if text.starts_with([';', '!']) || text.starts_with("//") => {
            Some((0, width(), "a comment begins with \"#\"", None))
        }
        None => {
            let first = text.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or_default();
            let hint = match keys::find(first) {
                Some((key, _)) => format!("write \"{key} = …\""),
                None => "write \"parameter = value\", \"[section]\", or \"# comment\"".into(),
            };
            Some((0, width(), "not a section, a parameter or a comment", Some(hint)))
        }
    }
}

/// What is before the first `=`, and what is behind it. (For few bytes this takes less time than the library's way.)
fn split_at_equals(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b'=')?;
    Some((&text[..at], &text[at + 1..]))
}

fn unmark(name: &str) -> Option<(usize, &str)> {
    let (line, name) = name.split_once(MARK)?;
    Some((line.parse().ok()?, name))
}

fn locate_header((line, name): (usize, &str), sound: bool, report: &Report) -> Header {
    let raw = report.line(line);
    let inner = raw.trim_start().strip_prefix('[').map(str::trim_start);
    let at = match inner.filter(|inner| !name.is_empty() && !name.starts_with('[') && inner.starts_with(name)) {
        Some(inner) => Some(raw.len() - inner.len()),
        None => raw.find(name),
    };
    let column = at.map_or(1, |at| raw[..at].chars().count() + 1);
    Header { line, name: Word { text: name.into(), column, width: name.chars().count().max(1) }, sound }
}

fn entry(line: usize, key: &str, value: &str, report: &Report) -> Result<Entry, Fault> {
    let raw = report.line(line);
    let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
    let key = Word { text: key.into(), column: indent + 1, width: key.chars().count() };
    let (before, after) = split_at_equals(raw).unwrap_or((raw, ""));
    let blanks = after.chars().take_while(|c| c.is_whitespace()).count();
    let words = words::split(value, before.chars().count() + blanks + 2)?;
    match words.is_empty() {
        true => Err(key.fault(format!("\"{}\" has no value", key.text))),
        false => Ok(Entry { line, key, words }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `name@line: key@line=word,word …` for each scope, `!` for a damaged one.
    fn shape(text: &str) -> String {
        let mut report = Report::new(Path::new("c"), text);
        let mut scopes = Scopes::of(&report);
        let shapes = std::iter::from_fn(|| scopes.next(&mut report)).map(|scope| {
            let mut shape = scope.header.as_ref().map_or("-".into(), |h| format!("{}@{}", h.name.text, h.line));
            for Entry { line, key, words } in &scope.entries {
                let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
                shape += &format!(" {}@{line}={}", key.text, words.join(","));
            }
            shape + if scope.damaged { "!" } else { "" }
        });
        shapes.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn shapes() {
        for (text, expected) in [
            ("", "-"),
            ("# x\n\n a=b c\r\n", "- a@3=b,c"),
            ("a = 1\na = 2\n[x]\nb=1\n[x]\nb = 'p q' # c", "- a@1=1 a@2=2; x@3 b@4=1; x@5 b@6=p q"),
            ("[ Big.Example ]  # c\nk = a:b=c", "-; Big.Example@1 k@2=a:b=c"),
            ("[a]b]\n[0x]\n[]", "-; a]b@1; 0x@2; @3!"),
            ("what\n[a]\nk=1\n=2\n[b]\nk=\n[c", "-!; a@2 k@3=1!; b@5!; c@7!"),
            ("[a] trailing\n[../x]", "-; a@1!; ../x@2!"),
            ("k = 'open", "-!"),
        ] {
            assert_eq!(shape(text), expected, "{text:?}");
        }
    }
}
