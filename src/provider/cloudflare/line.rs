//! The `api` line: a file of credentials, certbot's or Alnitak's, or Alnitak's words in the line itself.

use super::{Cloudflare, Known, Login, URL, Zone};
use crate::{
    config::{self, Fault, Scene, Word, assignments, is_path},
    provider::{
        Provider,
        http::{self, Base},
    },
};
use zeroize::Zeroizing;

/// What the words or the file say.
#[derive(Default)]
struct Parts {
    token: Option<Zeroizing<String>>,
    email: Option<String>,
    key: Option<Zeroizing<String>>,
    zone: Option<String>,
}

/// `cloudflare FILE [zone:ZONE] [url:URL]` or `cloudflare email:E key:K [zone:ZONE] [url:URL]`.
pub(in super::super) fn read(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    Ok(Box::new(cloudflare(scheme, words, scene)?))
}

/// Alnitak 0.1's spelling, which always names the zone.
pub(in super::super) fn read_with_zone(
    scheme: &Word,
    words: &[Word],
    scene: &Scene,
) -> Result<Box<dyn Provider>, Fault> {
    let read = cloudflare(scheme, words, scene)?;
    if read.zone.is_none() {
        let hint = "add \"zone:ZONE\", or write \"cloudflare\", which finds the zone";
        return Err(scheme.fault("\"cloudflare4\" needs the zone").hint(hint));
    }
    Ok(Box::new(read))
}

fn cloudflare(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Cloudflare, Fault> {
    let (mut parts, mut file, mut zone, mut base) = (Parts::default(), None, None, None);
    let mut secret = None;
    for word in words {
        if let Some(email) = word.after("email:") {
            parts.email = Some(email.text);
        } else if let Some(key) = word.after("key:") {
            parts.key = Some(Zeroizing::new(key.text.clone()));
            secret = Some(key);
        } else if let Some(name) = word.after("zone:") {
            zone = Some(read_zone(&name.text).map_err(|why| name.fault(why))?);
        } else if let Some(url) = word.after("url:") {
            base = Some(Base::read(&url, scene)?);
        } else if let Some(token) = word.after("token:") {
            return Err(pasted(&token));
        } else if file.is_none() {
            file = Some(word);
        } else {
            return Err(word.fault("one file, one zone:ZONE, one url:URL, and no more"));
        }
    }
    let mut source = "the `api` line".to_owned();
    match (file, &secret) {
        (Some(file), None) if parts.email.is_none() => {
            let (path, found) = credentials(file, scene)?;
            (parts, source) = (found, path);
        }
        (Some(file), _) => return Err(file.fault("the file holds e-mail and key already: write the one or the other")),
        (None, Some(key)) => {
            let instead = "put it into a file as dns_cloudflare_api_token = …, and write \"api = cloudflare FILE\"";
            scene.inline_secret(key, instead)?;
        }
        (None, None) => return Err(nothing(scheme)),
    }
    let place = secret.as_ref().or(file).unwrap_or(scheme);
    let login = login(&parts).map_err(|why| place.fault(format!("{source}: {why}")))?;
    let told =
        parts.zone.as_deref().map(read_zone).transpose().map_err(|why| place.fault(format!("{source}: {why}")))?;
    let base = base.map_or_else(|| Base::parse(URL).map_err(|why| scheme.fault(why)), Ok)?;
    Ok(Cloudflare { login, source, zone: zone.or(told), base, known: Known::default() })
}

/// What stands in the file: `dns_cloudflare_…` as certbot has it, or the bare words of Alnitak.
fn credentials(file: &Word, scene: &Scene) -> Result<(String, Parts), Fault> {
    if !is_path(&file.text) {
        return Err(pasted(file));
    }
    let (path, text) = scene.secret(file)?;
    Ok((path.display().to_string(), parts(&text)))
}

fn parts(text: &str) -> Parts {
    let mut parts = Parts::default();
    for (_, name, value) in assignments(text) {
        let value = Zeroizing::new(value);
        match name.strip_prefix("dns_cloudflare_").unwrap_or(&name) {
            "api_token" | "token" => parts.token = Some(value),
            "api_key" | "key" => parts.key = Some(value),
            "email" => parts.email = Some(value.to_string()),
            "zone" | "zone_id" => parts.zone = Some(value.to_string()),
            _ => {}
        }
    }
    parts
}

fn login(parts: &Parts) -> Result<Login, String> {
    match (&parts.token, &parts.email, &parts.key) {
        (Some(token), None, None) => {
            Ok(Login::Token(http::credential(token).map_err(|why| format!("the API token {why}"))?))
        }
        (None, Some(email), Some(key)) => {
            http::credential(email).map_err(|why| format!("the e-mail address {why}"))?;
            let key = http::credential(key).map_err(|why| format!("the API key {why}"))?;
            Ok(Login::Key { email: email.clone(), key })
        }
        (Some(_), _, _) => {
            Err("there is an API token and an e-mail address or key as well: leave the one or the other".into())
        }
        (None, Some(_), None) => Err("the key to the e-mail address is missing".into()),
        (None, None, Some(_)) => {
            Err("the e-mail address to the key is missing (an API token is called token, not key)".into())
        }
        (None, None, None) => Err("there is no \"dns_cloudflare_api_token = …\", nor e-mail address and key".into()),
    }
}

/// 32 hex digits are Cloudflare's identifier, anything else is a name.
fn read_zone(text: &str) -> Result<Zone, String> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Zone::Id(text.to_ascii_lowercase()));
    }
    config::domain(text).map(Zone::Name).map_err(|why| format!("the zone: {why}"))
}

/// Whatever it is, nothing of it is told.
fn pasted(word: &Word) -> Fault {
    let hint =
        "put the token into a file that only its owner reads, as dns_cloudflare_api_token = …, and name the file";
    word.fault("here stands the name of a file (with \"/\" or \".\"), never the token itself").hint(hint)
}

fn nothing(scheme: &Word) -> Fault {
    let hint = format!("write \"api = {} /etc/daneroll/cloudflare.ini\"", scheme.text);
    scheme.fault("no file of credentials is named").hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let token = |text: &str| Ok(Login::Token(http::credential(text).unwrap()));
        let key = Ok(Login::Key { email: "me@example.com".into(), key: http::credential("SECRET").unwrap() });
        for (text, expected) in [
            ("# certbot's\ndns_cloudflare_api_token = SECRET\n", token("SECRET")),
            ("dns_cloudflare_email = me@example.com\ndns_cloudflare_api_key = 'SECRET'\n", key.clone()),
            ("email = me@example.com\nzone = 023e105f4ecef8ad9ca31a8372d0c353\nkey = SECRET\n", key),
            ("", Err("there is no \"dns_cloudflare_api_token")),
            ("SECRET", Err("there is no \"dns_cloudflare_api_token")),
            ("dns_cloudflare_api_token =", Err("the API token is empty")),
            ("token = SECR ET", Err("the API token holds blanks")),
            ("token = SECRÉT", Err("the API token holds blanks")),
            ("key = SECRET", Err("the e-mail address to the key is missing")),
            ("email = a@b", Err("the key to the e-mail address is missing")),
            ("email = a@b\nkey =", Err("the API key is empty")),
            ("token = SECRET\nkey = SECRET", Err("leave the one or the other")),
        ] {
            match (login(&parts(text)), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected) && !why.contains("SECR"), "{text}: {why}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn zones() {
        let id = "023E105f4ecef8ad9ca31a8372d0c353";
        assert_eq!(read_zone(id), Ok(Zone::Id(id.to_lowercase())));
        assert_eq!(read_zone("Example.com"), Ok(Zone::Name("example.com.".parse().unwrap())));
        assert!(read_zone("").is_err() && read_zone("a..b").is_err());
    }
}
