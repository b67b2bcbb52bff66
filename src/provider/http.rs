//! What providers with an HTTP interface share: where it is, what a secret may look like, what of an answer is fit to be told.

use super::{Context, Outcome, printable};
use crate::{
    config::{Fault, Scene, Secret, Word},
    env::{Lost, Unanswered, is_loopback},
};
use std::{fmt, time::Duration};
use url::Url;

/// For one request and its answer, unless `timeout` is shorter.
const LIMIT: Duration = Duration::from_secs(20);
/// How much of what a server says goes into a message, characters.
const SHOWN: usize = 200;

/// Where an interface is: all addresses begin so.
#[derive(Clone, PartialEq, Eq)]
pub struct Base(Url);

impl Base {
    /// `http://…` or `https://…`; what follows the host is kept, without slashes at its end.
    pub fn parse(text: &str) -> Result<Base, String> {
        if !["https://", "http://"].iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme)) {
            return Err("an address begins with \"https://\" or \"http://\"".into());
        }
        let url = Url::parse(text).map_err(|error| format!("not an address: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("no user and password stand in the address".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the address ends with \"?\" or \"#\" and something: leave that out".into());
        }
        Ok(Base(url))
    }

    /// The same from the configuration. Where anybody on the way could read the secret, that is told.
    pub(super) fn read(word: &Word, scene: &Scene) -> Result<Base, Fault> {
        let base = Base::parse(&word.text).map_err(|why| word.fault(why))?;
        if base.0.scheme() == "http" && !is_loopback(&base.0) {
            let fault = word.fault("without TLS everybody on the way can read the secret and change what is sent");
            scene.warn(fault.hint("write \"https://\", or see to it that the way is safe"));
        }
        Ok(base)
    }

    /// The whole address of `path`, each part escaped.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.into()
    }

    /// The same address without this at its end.
    pub(super) fn without_end(mut self, end: &str) -> Base {
        let path = self.0.path().trim_end_matches('/');
        let path = path.strip_suffix(end).unwrap_or(path).to_owned();
        self.0.set_path(&path);
        self
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no answer, and what becomes of what was to be done; `hint` is added where it may have been done.
pub(super) fn unanswered(server: &dyn fmt::Display, unanswered: &Unanswered, hint: &str) -> Outcome {
    let why = &unanswered.why;
    match unanswered.how {
        Lost::NotSent => Outcome::Failed(format!("{server} {why}")),
        Lost::Unreached => Outcome::Temporary(format!("{server} {why}")),
        Lost::Unanswered => Outcome::Temporary(format!("{server} {why}{hint}")),
    }
}

/// For one request and its answer.
pub(super) fn limit(context: &Context) -> Duration {
    LIMIT.min(context.timeout)
}

/// A secret that goes into a header: letters, digits and signs.
pub(super) fn credential(text: &str) -> Result<Secret, &'static str> {
    match text {
        "" => Err("is empty"),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err("holds blanks or letters that no key has"),
        text => Ok(Secret(text.into())),
    }
}

/// The start of what a server said, fit for a log.
pub(super) fn said(text: &str) -> String {
    let text = printable(text);
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// The same of a body that is no JSON; an empty one says nothing.
pub(super) fn said_in(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "an empty answer".into() } else { format!("\"{}\"", said(&words)) }
}

/// May an identifier that a server gave stand in an address, and is it short enough to be one?
pub(super) fn is_identifier(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
    (1..=1000).contains(&text.len()) && text.bytes().all(fits) && !text.bytes().all(|byte| byte == b'.')
}

/// A text without secrets: a server may say again what it was sent, all of it or the beginning.
pub(super) fn conceal<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    let secrets = secrets.into_iter().filter_map(|secret| std::str::from_utf8(&secret.0).ok());
    // Shorter words stand everywhere.
    let secrets = secrets.filter(|secret| secret.len() > 3);
    secrets.fold(text.to_owned(), |text, secret| without(&text, secret))
}

/// Hides a secret wherever it stands, also where it is cut off behind its first half.
fn without(text: &str, secret: &str) -> String {
    let half = secret.ceil_char_boundary((secret.len() / 2).max(4));
    let (mut rest, mut shown) = (text, String::with_capacity(text.len()));
    while let Some((before, after)) = rest.split_once(&secret[..half]) {
        let same = secret[half..].chars().zip(after.chars()).take_while(|(one, other)| one == other);
        rest = &after[same.map(|(one, _)| one.len_utf8()).sum::<usize>()..];
        shown += before;
        shown += "***";
    }
    shown + rest
}

/// What became of changes, told without a secret.
pub(super) fn concealed(outcomes: Vec<Outcome>, secret: &Secret) -> Vec<Outcome> {
    let hidden = |text: String| conceal(&text, [secret]);
    let concealed = |outcome| match outcome {
        Outcome::Done | Outcome::Already => outcome,
        Outcome::NotYet(text) => Outcome::NotYet(hidden(text)),
        Outcome::ByHand(text) => Outcome::ByHand(hidden(text)),
        Outcome::Temporary(text) => Outcome::Temporary(hidden(text)),
        Outcome::Failed(text) => Outcome::Failed(hidden(text)),
    };
    outcomes.into_iter().map(concealed).collect()
}

/// The same trouble said of something else.
pub(super) fn about(what: &str, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Temporary(why) => Outcome::Temporary(format!("{what}{why}")),
        Outcome::Failed(why) => Outcome::Failed(format!("{what}{why}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, path, url) in [
            ("https://api.example/v4", &["zones"][..], "https://api.example/v4/zones"),
            ("https://api.example/v4//", &["zones"], "https://api.example/v4//zones"),
            ("http://127.0.0.1:80", &["a", "b/c?d"], "http://127.0.0.1/a/b%2Fc%3Fd"),
            ("http://[::1]:8081/x/", &["é .."], "http://[::1]:8081/x/%C3%A9%20.."),
        ] {
            assert_eq!(Base::parse(text).unwrap().url(path, &[]), url, "{text}");
        }
        let base = Base::parse("https://api.example").unwrap();
        assert_eq!(
            base.url(&["z"], &[("name", "a&b=c d"), ("page", "1")]),
            "https://api.example/z?name=a%26b%3Dc+d&page=1"
        );
        for text in
            ["", "api.example", "ftp://x", "https://", "https://u@x", "https://u:p@x", "https://x/?a", "https://x#a"]
        {
            assert!(Base::parse(text).is_err(), "{text}");
        }
        for (text, shown) in [
            ("http://a:8081/api/v1/", "http://a:8081"),
            ("http://a/proxy/api/v1", "http://a/proxy"),
            ("http://a", "http://a"),
        ] {
            assert_eq!(Base::parse(text).unwrap().without_end("/api/v1").to_string(), shown, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_repeated() {
        for (secret, text, expected) in [
            ("hunter2hunter2", "key hunter2hunter2 is wrong", "key *** is wrong"),
            ("hunter2hunter2", "hunter2hunter2hunter2hunter2", "******"),
            ("hunter2hunter2", "it was hunter2hun…", "it was ***…"),
            ("hunter2hunter2", "hunter", "hunter"),
            ("hunter2hunter2", "hunter2x", "***x"),
            ("pässwörter", "pässwörter, pässwö", "***, ***"),
            ("äöüä", "äöüä äöü äö", "*** *** ***"),
            ("abc", "abc", "abc"),
            ("abcd", "abc abcd", "abc ***"),
            ("abcd", "", ""),
        ] {
            assert_eq!(conceal(text, [&Secret(secret.into())]), expected, "{secret}: {text}");
        }
        let (secret, text) = (Secret(b"hunter2".to_vec()), || "\"hunter2\" is refused".to_owned());
        let outcomes =
            vec![Outcome::Done, Outcome::Failed(text()), Outcome::Temporary(text()), Outcome::NotYet(text())];
        let told = format!("{:?}", concealed(outcomes, &secret));
        assert!(!told.contains("hunter") && told.matches("***").count() == 3, "{told}");
    }

    #[test]
    fn what_servers_say_is_fit_to_be_told() {
        assert_eq!(said("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(said(&"ä".repeat(300)).chars().count(), SHOWN + 1);
        assert_eq!(said_in(b" \n"), "an empty answer");
        assert_eq!(said_in(b"<html>\n <b>Bad\xff"), "\"<html> <b>Bad\u{fffd}\"");
        for (text, fits) in [
            ("023e105f4ecef8ad", true),
            ("example.test.", true),
            ("=2Fx", true),
            ("", false),
            ("..", false),
            ("a/b", false),
        ] {
            assert_eq!(is_identifier(text), fits, "{text}");
        }
    }
}
