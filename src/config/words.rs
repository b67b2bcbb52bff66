//! A value split into words as a POSIX shell does, each with its place.

use super::diagnostic::Fault;

/// A word, quotes removed, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// What the quotes and backslashes leave.
    pub text: String,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters in the file, quotes included.
    pub width: usize,
}

impl Word {
    /// A complaint about this word.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::at(self.column, self.width, message)
    }

    /// What follows `tag`, as a word of its own; `None` if this word does not begin with it.
    pub fn after(&self, tag: &str) -> Option<Word> {
        let text = self.text.strip_prefix(tag)?.to_owned();
        let (skip, quoted) = (tag.chars().count(), self.width != self.text.chars().count());
        match quoted {
            true => Some(Word { text, ..*self }),
            false => Some(Word { text, column: self.column + skip, width: self.width - skip }),
        }
    }
}

/// Splits `value`, which begins at `column`; a `#` at the start of a word begins a comment.
pub(super) fn split(value: &str, column: usize) -> Result<Vec<Word>, Fault> {
    if is_plain(value) {
        return Ok(plain(value, column));
    }
    let places = locate(value).map_err(|at| Fault::at(column + at, 1, "this quote is never closed"))?;
    let Ok(texts) = shell_words::split(value) else { return Err(Fault::at(column, 1, "a quote is never closed")) };
    let words = texts.into_iter().zip(places);
    Ok(words.map(|(text, (at, width))| Word { text, column: column + at, width }).collect())
}

/// Is there nothing in it that a shell takes for more than a letter or a blank?
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t') && !b"'\"\\#".contains(&byte))
}

/// What blanks part.
fn plain(value: &str, column: usize) -> Vec<Word> {
    let words = value.split([' ', '\t']).filter(|word| !word.is_empty());
    let place = |word: &str| word.as_ptr().addr() - value.as_ptr().addr();
    words.map(|word| Word { text: word.to_owned(), column: column + place(word), width: word.len() }).collect()
}

/// Start and width of each word that `shell_words` finds, or where a quote was opened that nothing closes.
fn locate(value: &str) -> Result<Vec<(usize, usize)>, usize> {
    let mut words = Vec::new();
    let (mut begun, mut quote, mut escaped) = (None, None, false);
    for (at, c) in value.chars().enumerate() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            (Some((open, _)), c) if c == open => quote = None,
            (Some(('\'', _)), _) => {}
            (_, '\\') => {
                escaped = true;
                begun.get_or_insert(at);
            }
            (Some(_), _) => {}
            (None, ' ' | '\t') => words.extend(begun.take().map(|start| (start, at - start))),
            (None, '#') if begun.is_none() => return Ok(words),
            (None, c) => {
                quote = matches!(c, '\'' | '"').then_some((c, at));
                begun.get_or_insert(at);
            }
        }
    }
    match quote {
        Some((_, at)) => Err(at),
        None => Ok(words.into_iter().chain(begun.map(|start| (start, value.chars().count() - start))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_columns() {
        for (value, expected) in [
            ("", vec![]),
            ("311 25", vec![("311", 1, 3), ("25", 5, 2)]),
            ("a\t b # c", vec![("a", 1, 1), ("b", 4, 1)]),
            ("a#b #", vec![("a#b", 1, 3)]),
            (r##"'a # b' "c\"d" e\ f"##, vec![("a # b", 1, 7), ("c\"d", 9, 6), ("e f", 16, 4)]),
            ("'' é x", vec![("", 1, 2), ("é", 4, 1), ("x", 6, 1)]),
            (r"a\", vec![(r"a\", 1, 2)]),
        ] {
            let words = split(value, 1).unwrap();
            let found: Vec<_> = words.iter().map(|w| (w.text.as_str(), w.column, w.width)).collect();
            assert_eq!(found, expected, "{value}");
        }
        for (value, column) in [("a 'b", 3), ("\"", 1), (r#"x y"z\"#, 4)] {
            assert_eq!(split(value, 1), Err(Fault::at(column, 1, "this quote is never closed")), "{value}");
        }
    }

    proptest! {
        #[test]
        fn plain_words_are_those_of_a_shell(value in "[abc =:.\t]{0,12}") {
            let texts: Vec<String> = plain(&value, 1).into_iter().map(|word| word.text).collect();
            prop_assert!(is_plain(&value));
            prop_assert_eq!(Ok(texts), shell_words::split(&value));
            let places: Vec<_> = plain(&value, 0).iter().map(|word| (word.column, word.width)).collect();
            prop_assert_eq!(Ok(places), locate(&value));
        }

        #[test]
        fn every_word_has_a_place(value in "[ab '\"\\\\#é\t]{0,12}") {
            let texts = shell_words::split(&value);
            prop_assert_eq!(locate(&value).map(|places| places.len()).ok(), texts.ok().map(|texts| texts.len()));
        }
    }
}
