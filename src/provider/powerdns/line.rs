//! The `api` line.

use super::PowerDns;
use crate::{
    config::{self, Fault, Scene, Secret, Word, assignments, is_path},
    provider::{
        Provider,
        http::{self, Base},
    },
};

/// `powerdns URL key:FILE [server:ID] [zone:ZONE]`.
pub(in super::super) fn read(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    let (mut base, mut key, mut server, mut zone) = (None, None, None, None);
    for word in words {
        if let Some(name) = word.after("zone:") {
            zone = Some(config::domain(&name.text).map_err(|why| name.fault(why))?);
        } else if let Some(file) = word.after("key:") {
            key = Some(file);
        } else if let Some(name) = word.after("server:") {
            if !http::is_identifier(&name.text) {
                return Err(name.fault("not a server's name, which is \"localhost\" nearly always"));
            }
            server = Some(name.text);
        } else if base.is_none() {
            base = Some(Base::read(word, scene)?);
        } else {
            return Err(word.fault("one address, one key:FILE, one server:NAME, one zone:ZONE, and no more"));
        }
    }
    let hint = "write \"api = powerdns http://127.0.0.1:8081 key:/etc/daneroll/powerdns.key\"";
    let base = base.ok_or_else(|| scheme.fault("no address is named").hint(hint))?;
    let file = key.ok_or_else(|| scheme.fault("no file with the API key is named").hint(hint))?;
    let (source, key) = key_file(&file, scene)?;
    let base = base.without_end("/v1").without_end("/api");
    let server = server.unwrap_or_else(|| "localhost".into());
    Ok(Box::new(PowerDns { base, key, source, server, zone }))
}

fn key_file(file: &Word, scene: &Scene) -> Result<(String, Secret), Fault> {
    if !is_path(&file.text) {
        let hint = "put the key into a file that only its owner reads, and write key:/etc/daneroll/powerdns.key";
        return Err(file
            .fault("\"key:\" is followed by the name of a file (with \"/\" or \".\"), not by the key")
            .hint(hint));
    }
    let (path, text) = scene.secret(file)?;
    let key = key(&text).map_err(|why| file.fault(format!("{}: {why}", path.display())))?;
    Ok((path.display().to_string(), key))
}

/// The key alone on its line, or after `api-key =` as in pdns.conf, or as the credentials of certbot's plug-in have it.
fn key(text: &str) -> Result<Secret, String> {
    let named = assignments(text)
        .find(|(_, name, _)| matches!(name.as_str(), "api-key" | "api_key" | "key" | "dns_powerdns_api_key"));
    let bare = || {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.next().filter(|_| lines.next().is_none())
    };
    match (&named, bare()) {
        (Some((_, _, value)), _) => http::credential(value),
        (None, Some(line)) => http::credential(line),
        (None, None) => Err("has to hold one line with the key, or \"api-key = …\""),
    }
    .map_err(|why| format!("the key {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (text, expected) in [
            ("sesame\n", Ok("sesame")),
            ("# of ns1\n\nse=sa/me==\n", Ok("se=sa/me==")),
            ("api-key=sesame\n", Ok("sesame")),
            ("webserver = yes\napi-key = 'sesame'\n", Ok("sesame")),
            ("dns_powerdns_api_url = http://x\ndns_powerdns_api_key = sesame\n", Ok("sesame")),
            ("", Err("has to hold one line")),
            ("a\nb\n", Err("has to hold one line")),
            ("open sesame", Err("holds blanks")),
            ("api-key =", Err("is empty")),
        ] {
            match (key(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.0, expected.as_bytes(), "{text}"),
                (Err(why), Err(expected)) => {
                    assert!(why.contains(expected) && !why.contains("sesame"), "{text}: {why}")
                }
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }
}
