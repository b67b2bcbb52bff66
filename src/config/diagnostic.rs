//! What is wrong, where, and what to write instead.

use std::{
    fmt,
    path::{Path, PathBuf},
    rc::Rc,
};

/// A complaint about one place of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are meant.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// The line, with secrets starred out.
    pub text: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Characters of a long line that are shown.
const WINDOW: usize = 120;

impl fmt::Display for Diagnostic {
    /// Three or four lines without a final newline: `path:line:column: message`, the line, a caret, the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = self.hint.iter().map(|hint| format!("\n    {hint}")).collect::<String>();
        let message: String = self.message.chars().map(printable).collect();
        if self.line == 0 {
            return write!(f, "{}: {message}{hint}", self.path.display());
        }
        write!(f, "{}:{}:{}: {message}", self.path.display(), self.line, self.column)?;
        let at = self.column.saturating_sub(1);
        let skip = if self.text.chars().count() <= WINDOW { 0 } else { at.saturating_sub(WINDOW / 2) };
        let shown: String = self.text.chars().skip(skip).take(WINDOW).map(printable).collect();
        let carets = "^".repeat(self.width.clamp(1, WINDOW));
        write!(f, "\n    {}\n    {}{carets}{hint}", shown.trim_end(), " ".repeat(at - skip))
    }
}

/// One column for each character, and nothing that a terminal obeys.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// A complaint that does not know its file and line yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    column: usize,
    width: usize,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// `column` from 1, in characters.
    pub fn at(column: usize, width: usize, message: impl Into<String>) -> Fault {
        Fault { column, width, message: message.into(), hint: None }
    }

    /// With a line that says what to write instead.
    pub fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }
}

/// Collects the complaints about one file.
pub(super) struct Report<'a> {
    path: &'a Path,
    lines: Rc<[&'a str]>,
    /// What stops a section or all of them.
    pub errors: Vec<Diagnostic>,
    /// What is odd, and works.
    pub warnings: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    /// Nothing to complain about yet.
    pub fn new(path: &'a Path, text: &'a str) -> Report<'a> {
        Report { path, lines: text.lines().collect(), errors: Vec::new(), warnings: Vec::new() }
    }

    /// Adds an error.
    pub fn error(&mut self, line: usize, fault: Fault) {
        let error = self.place(line, fault);
        self.errors.push(error);
    }

    /// Adds a warning.
    pub fn warning(&mut self, line: usize, fault: Fault) {
        let warning = self.place(line, fault);
        self.warnings.push(warning);
    }

    /// All lines.
    pub fn lines(&self) -> Rc<[&'a str]> {
        Rc::clone(&self.lines)
    }

    /// The line as it stands in the file; empty past the end.
    pub fn line(&self, line: usize) -> &'a str {
        self.lines.get(line.wrapping_sub(1)).copied().unwrap_or_default()
    }

    fn place(&self, line: usize, fault: Fault) -> Diagnostic {
        let Fault { column, width, message, hint } = fault;
        let text = conceal(self.line(line));
        Diagnostic { path: self.path.to_owned(), line, column, width, message, text, hint }
    }
}

/// The line with everything starred out that may be a secret written in the wrong place: what follows `key:` and the like
/// unless it is a file name, and the value of a parameter called so.
fn conceal(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let name = lower.trim_start().split(|c: char| c.is_whitespace() || c == '=').next().unwrap_or_default();
    let from = match ["key", "token", "secret", "passw"].iter().any(|word| name.contains(word)) && !name.contains(':') {
        true => lower.find(name).map(|at| at + name.len()),
        false => secret_argument(&lower, line),
    };
    let Some(from) = from else { return line.into() };
    let stars = line[from..].chars().map(|c| if c.is_whitespace() || c == '=' { c } else { '*' });
    line[..from].chars().chain(stars).collect()
}

/// Where the value of the first `key:SECRET`, `token:SECRET`, … begins.
fn secret_argument(lower: &str, line: &str) -> Option<usize> {
    let values = ["key:", "token:", "secret:", "password:"].iter().flat_map(|tag| {
        lower.match_indices(tag).map(|(at, _)| at + tag.len()).filter(|&from| {
            let value = line[from..].split_whitespace().next().unwrap_or_default();
            match lower {
                _ if lower.contains("rfc2136") => !is_file_name(value),
                _ if lower.contains("powerdns") => !is_path(value),
                _ => true,
            }
        })
    });
    let with_user = line.find("://").filter(|at| line[*at..].contains('@')).map(|at| at + 3);
    values.chain(bare_secret(lower, line)).chain(with_user).min()
}

/// Where a long word begins in a line about Cloudflare that is neither a file nor tagged: a token in the place of its file.
fn bare_secret(lower: &str, line: &str) -> Option<usize> {
    let from = lower.find("cloudflare")?;
    let mut words = line[from..].split_whitespace().skip(1);
    let word = words.find(|word| word.len() >= 24 && !word.contains([':', '/', '.']))?;
    Some(word.as_ptr().addr() - line.as_ptr().addr())
}

/// Can this be the name of a key file, rather than the key itself?
pub(crate) fn is_file_name(word: &str) -> bool {
    !word.contains([':', '=']) && (word.contains('.') || word.matches('/').count() > 1 || word.len() < 24)
}

/// Is this plainly the name of a file? For keys that are short and plain enough to pass for one.
pub(crate) fn is_path(word: &str) -> bool {
    !word.contains([':', '=']) && word.contains(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_out() {
        for (line, shown) in [
            ("api = rfc2136 ns key:/etc/daneroll/tsig.key x", "api = rfc2136 ns key:/etc/daneroll/tsig.key x"),
            ("api = rfc2136 ns key:tsig", "api = rfc2136 ns key:tsig"),
            ("api = rfc2136 ns key:c2VjcmV0c2VjcmV0c2Vj= x", "api = rfc2136 ns key:********************= *"),
            ("api = rfc2136 ns key:hmac-sha256:k:c2Vj", "api = rfc2136 ns key:******************"),
            ("api = cloudflare email:a@b KEY:deadbeef z", "api = cloudflare email:a@b KEY:******** *"),
            (
                "api = cloudflare 0123456789abcdef0123456789abcdef01234567 x",
                "api = cloudflare **************************************** *",
            ),
            (
                "api = cloudflare /etc/letsencrypt/cloudflare-of-example.ini",
                "api = cloudflare /etc/letsencrypt/cloudflare-of-example.ini",
            ),
            ("api = powerdns http://127.0.0.1:8081 key:changeme", "api = powerdns http://127.0.0.1:8081 key:********"),
            ("api = powerdns http://127.0.0.1 key:pdns.key x", "api = powerdns http://127.0.0.1 key:pdns.key x"),
            ("api = powerdns https://me:pass@ns1 x", "api = powerdns https://*********** *"),
            ("api = cloudflare token:/x", "api = cloudflare token:**"),
            ("  Secret = c2Vj==", "  Secret = ****=="),
            ("dns_cloudflare_api_token abc", "dns_cloudflare_api_token ***"),
            ("key \"n\" { secret \"abc\"; };", "key *** * ****** ****** **"),
            ("reload = systemctl reload dovecot", "reload = systemctl reload dovecot"),
        ] {
            assert_eq!(conceal(line), shown, "{line}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}bad{}", "a".repeat(300), "b".repeat(300));
        let report = Report::new(Path::new("c"), &text);
        let shown = report.place(1, Fault::at(301, 3, "wrong")).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].len(), 4 + WINDOW);
        let caret = lines[2].find('^').unwrap();
        assert_eq!(&lines[1][caret..caret + 3], "bad");
    }

    #[test]
    fn terminals_are_safe() {
        let report = Report::new(Path::new("c"), "\tx\u{1b}[31m = 1");
        assert_eq!(
            report.place(1, Fault::at(2, 1, "wrong")).to_string(),
            "c:1:2: wrong\n     x\u{fffd}[31m = 1\n     ^"
        );
        let quoted = report.place(0, Fault::at(1, 1, "anchor:1: \"\u{1b}[31m257\" is not a number of flags"));
        assert_eq!(quoted.to_string(), "c: anchor:1: \"\u{fffd}[31m257\" is not a number of flags");
    }
}
