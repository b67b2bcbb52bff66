//! Files that hold a TSIG key: BIND's `key` statement, plain name/algorithm/secret lines, certbot's credentials. No error repeats
//! a word of such a file that may be the secret.

use crate::{
    config::{self, Secret, assignments},
    name::DnsName,
};
use data_encoding::BASE64;

/// The TSIG algorithms that we can compute (RFC 8945 section 6).
const ALGORITHMS: [&str; 3] = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];
/// Others that are worth naming in an error.
const OTHERS: [&str; 7] = [
    "hmac-md5",
    "hmac-md5.sig-alg.reg.int",
    "hmac-sha1",
    "hmac-sha224",
    "hmac-sha256-128",
    "hmac-sha384-192",
    "hmac-sha512-256",
];

/// A TSIG key (RFC 8945).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey {
    /// Key name.
    pub name: DnsName,
    /// `hmac-sha256` and so on, lower case.
    pub algorithm: String,
    /// The shared secret.
    pub secret: Secret,
}

/// What certbot's `dns_rfc2136_*` file says.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Address or host name.
    pub server: String,
    /// 53 by default.
    pub port: u16,
    /// The key.
    pub key: TsigKey,
}

/// Name, algorithm and secret as the file has them.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    algorithm: Option<String>,
    secret: Option<String>,
}

impl TsigKey {
    /// The one key in a key file of either style.
    pub fn read(text: &str) -> Result<TsigKey, String> {
        let tokens = tokens(text)?;
        let parts = match tokens.iter().any(|token| token == "{") {
            true => statement(&tokens)?,
            false => lines(text)?,
        };
        parts.key()
    }

    /// A key in three words, the secret in Base64.
    pub fn new(name: &str, algorithm: &str, secret: &str) -> Result<TsigKey, String> {
        let part = |text: &str| Some(text.to_owned());
        Parts { name: part(name), algorithm: part(algorithm), secret: part(secret) }.key()
    }
}

/// certbot's credentials for its RFC 2136 plugin.
pub(super) fn credentials(text: &str) -> Result<Credentials, String> {
    let (mut parts, mut server, mut port) = (Parts::default(), None, 53);
    for (number, name, value) in assignments(text) {
        match name.strip_prefix("dns_rfc2136_") {
            Some("server") => server = Some(value),
            Some("port") => port = config::port(&value).ok_or_else(|| format!("line {number}: not a port"))?,
            Some("name") => parts.name = Some(value),
            Some("secret") => parts.secret = Some(value),
            Some("algorithm") => parts.algorithm = Some(value),
            _ => {}
        }
    }
    let Some(server) = server else { return Err("\"dns_rfc2136_server\" is missing".into()) };
    if parts.algorithm.is_none() {
        let default = "without \"dns_rfc2136_algorithm\" certbot takes hmac-md5, which is too weak";
        return Err(format!("{default}: use a key for {}", ALGORITHMS.join(" or ")));
    }
    Ok(Credentials { server, port, key: parts.key()? })
}

impl Parts {
    fn key(self) -> Result<TsigKey, String> {
        let name = self.name.ok_or("the name of the key is missing")?;
        let algorithm = algorithm(&self.algorithm.ok_or("the algorithm is missing")?)?;
        let secret = self.secret.ok_or("the secret is missing")?;
        let name = name.parse().map_err(|_| "the name of the key is not a DNS name")?;
        match BASE64.decode(secret.as_bytes()) {
            Ok(bytes) if bytes.is_empty() => Err("the secret is empty".into()),
            Ok(bytes) => Ok(TsigKey { name, algorithm, secret: Secret(bytes) }),
            Err(_) => Err("the secret is not Base64".into()),
        }
    }
}

fn algorithm(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    if ALGORITHMS.contains(&name.as_str()) {
        return Ok(name);
    }
    let shown = OTHERS.iter().find(|other| **other == name).unwrap_or(&"this algorithm");
    Err(format!("{shown} is not supported: make a key for {}, as with \"tsig-keygen\"", ALGORITHMS.join(", ")))
}

/// BIND's `key "name" { algorithm …; secret "…"; };`.
fn statement(tokens: &[String]) -> Result<Parts, String> {
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let [keyword, name, "{", rest @ ..] = tokens.as_slice() else {
        return Err("does not begin with \"key NAME {\"".into());
    };
    if !keyword.eq_ignore_ascii_case("key") {
        return Err("does not begin with \"key NAME {\"".into());
    }
    let Some(end) = rest.iter().position(|token| *token == "}") else {
        return Err("the key is not closed by \"}\"".into());
    };
    if rest[end + 1..].iter().any(|token| *token != ";") {
        return Err("something follows the key: one key in a file".into());
    }
    let mut parts = Parts { name: Some((*name).into()), ..Parts::default() };
    for clause in rest[..end].split(|token| *token == ";").filter(|clause| !clause.is_empty()) {
        match clause {
            [word, value] if word.eq_ignore_ascii_case("algorithm") => parts.algorithm = Some((*value).into()),
            [word, value] if word.eq_ignore_ascii_case("secret") => parts.secret = Some((*value).into()),
            _ => return Err("a key holds \"algorithm NAME;\" and \"secret BASE64;\" and nothing else".into()),
        }
    }
    Ok(parts)
}

/// Words, quoted strings, and the marks `{ } ;`; comments are left out. As BIND reads them: a comment begins only between
/// words, since `//` can stand in Base64.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            _ if rest.starts_with("//") || first == '#' => (None, rest.split_once('\n').map_or("", |(_, after)| after)),
            _ if rest.starts_with("/*") => match rest.split_once("*/") {
                Some((_, after)) => (None, after),
                None => return Err("a comment is not closed by \"*/\"".into()),
            },
            '{' | '}' | ';' => (Some(&rest[..1]), &rest[1..]),
            '"' => match rest[1..].split_once('"') {
                Some((word, after)) => (Some(word), after),
                None => return Err("a quote is never closed".into()),
            },
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len());
                (Some(&rest[..end]), &rest[end..])
            }
        };
        tokens.extend(token.map(str::to_owned));
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// `name = …`, `algorithm = …`, `secret = …`, each on a line.
fn lines(text: &str) -> Result<Parts, String> {
    let mut parts = Parts::default();
    for (number, name, value) in assignments(text) {
        match name.as_str() {
            "name" | "key" => parts.name = Some(value),
            "algorithm" => parts.algorithm = Some(value),
            "secret" => parts.secret = Some(value),
            _ => {
                let wanted = "\"name = …\", \"algorithm = …\", \"secret = …\", or BIND's \"key NAME { … };\"";
                return Err(format!("line {number} is not one of {wanted}"));
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for text in [
            "key \"k.\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n",
            "// mine\n# and\n/* so on { */ KEY k { secret c2VjcmV0; algorithm \"HMAC-SHA256\"; }",
            "name = k\nalgorithm = hmac-sha256\nsecret = c2VjcmV0\n",
            "# a\nname: k.\r\nsecret: 'c2VjcmV0' # b\nAlgorithm: HMAC-SHA256.\n",
            "name k\nalgorithm hmac-sha256\nsecret c2VjcmV0",
        ] {
            let key = TsigKey::read(text).unwrap();
            let found = (key.name.as_str(), key.algorithm.as_str(), key.secret.0.as_slice());
            assert_eq!(found, ("k.", "hmac-sha256", &b"secret"[..]), "{text}");
        }
        let slashes = TsigKey::read("key k { algorithm hmac-sha512; secret ab//cA==; };").map(|key| key.secret.0.len());
        assert_eq!(slashes, Ok(4));
    }

    #[test]
    fn no_keys() {
        for (text, wrong) in [
            ("", "the name of the key is missing"),
            ("key k { algorithm hmac-sha256; secret \"SECRET", "a quote is never closed"),
            ("key k { algorithm hmac-sha256; secret SECRET=;", "not closed by \"}\""),
            ("key k { algorithm hmac-sha256; secret SECRET; };", "not Base64"),
            ("key k { algorithm hmac-sha256; };", "the secret is missing"),
            ("key k { algorithm hmac-sha256; secret \"\"; };", "the secret is empty"),
            ("key k { secret SECRETSE; };", "the algorithm is missing"),
            ("key k { algorithm hmac-md5; secret SECRETSE; };", "hmac-md5 is not supported"),
            ("key k { algorithm SECRETSE; secret hmac-sha256; };", "this algorithm is not supported"),
            ("key k { SECRETSE; };", "nothing else"),
            ("key a { algorithm hmac-sha256; secret SECRETSE; }; key b { };", "one key in a file"),
            ("SECRETSE {", "does not begin with"),
            ("/* SECRETSE", "not closed by \"*/\""),
            ("SECRETSE", "line 1 is not one of"),
            ("name = a..b\nalgorithm = hmac-sha256\nsecret = SECRETSE", "not a DNS name"),
        ] {
            let why = TsigKey::read(text).unwrap_err();
            assert!(why.contains(wrong) && !why.contains("SECRET"), "{text}: {why}");
        }
    }

    #[test]
    fn certbot() {
        let whole = "# x\ndns_rfc2136_server = 192.0.2.1\ndns_rfc2136_port = 5353\ndns_rfc2136_name = k.\n\
                     dns_rfc2136_secret = c2VjcmV0\ndns_rfc2136_algorithm = HMAC-SHA512\ndns_rfc2136_sign_query = true\n";
        let found = credentials(whole).unwrap();
        assert_eq!(
            (found.server.as_str(), found.port, found.key.algorithm.as_str()),
            ("192.0.2.1", 5353, "hmac-sha512")
        );
        for (from, to, wrong) in [
            ("dns_rfc2136_server", "server", "\"dns_rfc2136_server\" is missing"),
            ("dns_rfc2136_algorithm", "algorithm", "certbot takes hmac-md5"),
            ("5353", "dns", "line 3: not a port"),
            ("c2VjcmV0", "c2VjcmV0=", "not Base64"),
        ] {
            let why = credentials(&whole.replace(from, to)).unwrap_err();
            assert!(why.contains(wrong) && !why.contains("c2V"), "{why}");
        }
    }
}
