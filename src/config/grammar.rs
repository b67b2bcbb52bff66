//! Alnitak's grammar: text becomes scopes of entries. The splitting into sections, parameters and values is the `configparser`
//! crate's; since that keeps only the last of repeated names and forgets the lines, each name is given its line number first.

use super::{
    diagnostic::{Fault, Report},
    keys,
    words::{self, Word},
};
use configparser::ini::{Ini, IniDefault};

/// Stands between the line number and the name; no input may hold it.
const MARK: char = '\u{1f}';

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

/// Reads the whole text; every line that does not fit is reported. The first scope is the one before all headers.
pub(super) fn scopes(text: &str, report: &mut Report) -> Vec<Scope> {
    let mut damage = Vec::new();
    let marked: Vec<String> =
        text.lines().enumerate().map(|(index, line)| mark(index + 1, line, &mut damage, report)).collect();
    let mut scopes = vec![Scope::default()];
    for (name, entries) in parser().read(marked.join("\n")).unwrap_or_default() {
        if let Some(header) = unmark(&name) {
            let sound = !damage.contains(&header.0);
            scopes.push(Scope { header: Some(locate_header(header, sound, report)), ..Scope::default() });
        }
        for (key, value) in &entries {
            let entry = unmark(key).map(|(line, key)| entry(line, key, value.as_deref().unwrap_or_default(), report));
            match (entry, scopes.last_mut()) {
                (Some(Ok(entry)), Some(scope)) => scope.entries.push(entry),
                (Some(Err((line, fault))), _) => {
                    report.error(line, fault);
                    damage.push(line);
                }
                _ => {}
            }
        }
    }
    for line in damage {
        let owner = scopes.iter_mut().rev().find(|s| s.header.as_ref().is_none_or(|header| header.line <= line));
        if let Some(scope) = owner {
            scope.damaged = true;
        }
    }
    scopes
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

/// The line with its number in front of the name; empty where it does not fit the grammar.
fn mark(number: usize, line: &str, damage: &mut Vec<usize>, report: &mut Report) -> String {
    let text = line.trim();
    if text.is_empty() || text.starts_with('#') {
        return String::new();
    }
    let (marked, fault) = match text.starts_with('[') {
        true => {
            let (name, fault) = header(text);
            (format!("[{number}{MARK}{name}]"), fault)
        }
        false => match pair(text) {
            None => (format!("{number}{MARK}{text}"), None),
            fault => (String::new(), fault),
        },
    };
    if let Some((at, width, message, hint)) = fault {
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let fault = Fault::at(indent + at + 1, width, message);
        report.error(number, hint.map_or(fault.clone(), |hint| fault.hint(hint)));
        damage.push(number);
    }
    marked
}

/// What is wrong with a trimmed line: offset, width, message, hint.
type Wrong = (usize, usize, &'static str, Option<String>);

/// The name in a header line, and what is wrong with it.
fn header(text: &str) -> (String, Option<Wrong>) {
    let comment = text.char_indices().find(|&(at, c)| c == '#' && text[..at].ends_with(char::is_whitespace));
    let text = comment.map_or(text, |(at, _)| text[..at].trim_end());
    let inner = text.strip_prefix('[').unwrap_or(text);
    let Some(name) = inner.strip_suffix(']') else {
        let guess = inner.split(']').next().unwrap_or_default().trim().to_owned();
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
    (name.to_owned(), wrong.map(|message| (0, text.chars().count(), message, hint())))
}

/// What is wrong with a line that should be `key = value`.
fn pair(text: &str) -> Option<Wrong> {
    let width = text.chars().count();
    match text.split_once('=') {
        Some((key, _)) if key.trim().is_empty() => {
            Some((0, 1, "there is no parameter name before \"=\"", Some("write \"parameter = value\"".into())))
        }
        Some((key, _)) if key.trim().contains(char::is_whitespace) => {
            let width = key.trim().chars().count();
            Some((0, width, "a parameter name is one word", Some("write one \"parameter = value\" on a line".into())))
        }
        Some(_) => None,
        None if text.starts_with([';', '!']) || text.starts_with("//") => {
            Some((0, width, "a comment begins with \"#\"", None))
        }
        None => {
            let first = text.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or_default();
            let hint = match keys::find(first) {
                Some((key, _)) => format!("write \"{key} = …\""),
                None => "write \"parameter = value\", \"[section]\", or \"# comment\"".into(),
            };
            Some((0, width, "not a section, a parameter or a comment", Some(hint)))
        }
    }
}

fn unmark(name: &str) -> Option<(usize, &str)> {
    let (line, name) = name.split_once(MARK)?;
    Some((line.parse().ok()?, name))
}

fn locate_header((line, name): (usize, &str), sound: bool, report: &Report) -> Header {
    let raw = report.line(line);
    let column = raw.find(name).map_or(1, |at| raw[..at].chars().count() + 1);
    Header { line, name: Word { text: name.into(), column, width: name.chars().count().max(1) }, sound }
}

fn entry(line: usize, key: &str, value: &str, report: &Report) -> Result<Entry, (usize, Fault)> {
    let raw = report.line(line);
    let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
    let key = Word { text: key.into(), column: indent + 1, width: key.chars().count() };
    let (before, after) = raw.split_once('=').unwrap_or((raw, ""));
    let blanks = after.chars().take_while(|c| c.is_whitespace()).count();
    let words = words::split(value, before.chars().count() + blanks + 2).map_err(|fault| (line, fault))?;
    match words.is_empty() {
        true => Err((line, key.fault(format!("\"{}\" has no value", key.text)))),
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
        let scopes = scopes(text, &mut report);
        let shapes = scopes.iter().map(|scope| {
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
