//! `api = SCHEME …`.

use super::{
    Api, Exec, Rfc2136,
    diagnostic::{Fault, is_file_name},
    grammar::Entry,
    keys,
    lookup::{self, Lookups},
    tsig, values,
    words::Word,
};
use crate::name::{domain, host as host_name};
use std::path::{Path, PathBuf};

/// The schemes that there are.
const SCHEMES: [&str; 3] = ["exec", "binary", "rfc2136"];
/// The schemes that Alnitak has or that are planned.
const LATER: [&str; 11] = [
    "cloudflare",
    "cloudflare4",
    "zonefile",
    "desec",
    "hetzner",
    "gandi",
    "ovh",
    "route53",
    "powerdns",
    "inwx",
    "netcup",
];

/// What an `api` line may refer to.
pub(super) struct Scene<'a> {
    /// Directory of the configuration file, for relative paths of key files.
    pub directory: &'a Path,
    /// Users and files.
    pub lookups: &'a dyn Lookups,
}

/// Reads an `api` line.
pub(super) fn read(entry: &Entry, scene: &Scene) -> Result<Api, Fault> {
    let (scheme, rest) = entry.words.split_first().ok_or_else(|| entry.key.fault("\"api\" has no value"))?;
    match scheme.text.as_str() {
        "exec" => exec(scheme, rest, 128, scene),
        "binary" => exec(scheme, rest, 200, scene),
        "rfc2136" => rfc2136(scheme, rest, scene),
        later if LATER.contains(&later) => Err(scheme
            .fault(format!("this version does not have the provider \"{later}\" yet"))
            .hint(format!("it has {}", SCHEMES.join(", ")))),
        other => {
            let hint = match keys::nearest(other, SCHEMES.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of {}", SCHEMES.join(", ")),
            };
            Err(scheme.fault("no such provider").hint(hint))
        }
    }
}

/// `exec [uid:UID] CMD ARGS…`.
fn exec(scheme: &Word, words: &[Word], temporary_from: i32, scene: &Scene) -> Result<Api, Fault> {
    let uid = words.first().and_then(|word| word.after("uid:"));
    let (user, words) = match uid {
        None => (None, words),
        Some(uid) => {
            let user = scene.lookups.user(&uid.text).map_err(|why| uid.fault(why))?;
            let unknown = || uid.fault(format!("this machine has no user \"{}\"", uid.text));
            (Some(user.ok_or_else(unknown)?), &words[1..])
        }
    };
    let missing = || {
        let hint = format!("write \"api = {} /path/to/program arguments\"", scheme.text);
        scheme.fault("no program is named").hint(hint)
    };
    let argv = command(words).transpose()?.ok_or_else(missing)?;
    Ok(Api::Exec(Exec { argv, user, temporary_from }))
}

/// A program with its arguments; `None` if there are no words.
pub(super) fn command(words: &[Word]) -> Option<Result<Vec<String>, Fault>> {
    let program = words.first()?;
    let text = &program.text;
    if text.is_empty() {
        return Some(Err(program.fault("the program has no name")));
    }
    if text.contains('/') && !text.starts_with('/') {
        let hint = "write the path from \"/\" on, or a bare name for a program in the usual directories";
        return Some(Err(program.fault("a relative path means something else in each directory").hint(hint)));
    }
    Some(Ok(words.iter().map(|word| word.text.clone()).collect()))
}

/// `rfc2136 HOST[:PORT] [key:FILE] [zone:ZONE]` or `rfc2136 FILE [zone:ZONE]`.
fn rfc2136(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Api, Fault> {
    let (mut zone, mut key, mut server) = (None, None, None);
    for word in words {
        if let Some(name) = word.after("zone:") {
            zone = Some(domain(&name.text).map_err(|why| name.fault(why))?);
        } else if let Some(file) = word.after("key:") {
            key = Some(file);
        } else if server.is_none() {
            server = Some(word);
        } else {
            return Err(word.fault("one server, one key:FILE, one zone:ZONE, and no more"));
        }
    }
    let Some(server) = server else {
        let hint = "write \"api = rfc2136 ns1.example.com key:/etc/daneroll/tsig.key\"";
        return Err(scheme.fault("no server is named").hint(hint));
    };
    if server.text.contains('/') || server.text.ends_with(".ini") {
        if let Some(key) = key {
            return Err(key.fault("certbot's credentials file holds the key already"));
        }
        return credentials(server, scene).map(|api| Api::Rfc2136(Rfc2136 { zone, ..api }));
    }
    let (host, port) = host_and_port(&server.text).map_err(|why| server.fault(why))?;
    let key = key.map(|file| key_file(&file, scene)).transpose()?;
    Ok(Api::Rfc2136(Rfc2136 { host, port, key, zone }))
}

/// A key in a file of its own.
fn key_file(file: &Word, scene: &Scene) -> Result<super::TsigKey, Fault> {
    if !is_file_name(&file.text) {
        let hint = "put the key into a file that only its owner reads, and write key:/etc/daneroll/tsig.key";
        return Err(file.fault("\"key:\" is followed by the name of a file, not by the key").hint(hint));
    }
    let (path, text) = secret(file, scene)?;
    tsig::key(&text).map_err(|why| file.fault(format!("{}: {why}", path.display())))
}

/// certbot's `dns_rfc2136_*` file.
fn credentials(file: &Word, scene: &Scene) -> Result<Rfc2136, Fault> {
    let (path, text) = secret(file, scene)?;
    let fault = |why| file.fault(format!("{}: {why}", path.display()));
    let found = tsig::credentials(&text).map_err(fault)?;
    let bare = found.server.trim_matches(['[', ']']);
    let (host, _) = host_and_port(bare).map_err(fault)?;
    Ok(Rfc2136 { host, port: found.port, key: Some(found.key), zone: None })
}

fn secret(file: &Word, scene: &Scene) -> Result<(PathBuf, String), Fault> {
    let path = scene.directory.join(&file.text);
    match lookup::secret_file(scene.lookups, &path) {
        Ok(text) => Ok((path, text)),
        Err((message, Some(hint))) => Err(file.fault(message).hint(hint)),
        Err((message, None)) => Err(file.fault(message)),
    }
}

/// `HOST`, `HOST:PORT`, an IPv6 address bare or `[…]:PORT`; port 53 if there is none.
fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return Err("the bracket before the address is not closed".into()),
        Some(Some((host, port))) => (host, port.strip_prefix(':').or((!port.is_empty()).then_some("none"))),
        None if text.matches(':').count() == 1 => {
            text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        }
        None => (text, None),
    };
    let port = match port {
        None => 53,
        Some(port) => values::port(port).ok_or("the port is a number from 1 to 65535")?,
    };
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => Ok((ip.to_string(), port)),
        Err(_) if host.contains(':') || text.starts_with('[') => Err("not an IPv6 address".into()),
        Err(_) if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Err("not an IPv4 address".into()),
        Err(_) => host_name(host).map(|_| (host.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("ns1.example.com", Some(("ns1.example.com", 53))),
            ("ns1.example.com:5353", Some(("ns1.example.com", 5353))),
            ("localhost", Some(("localhost", 53))),
            ("192.0.2.1:54", Some(("192.0.2.1", 54))),
            ("::1", Some(("::1", 53))),
            ("[::1]:5353", Some(("::1", 5353))),
            ("[::1]", Some(("::1", 53))),
            ("[::1]5353", None),
            ("[::1", None),
            ("[ns1]:53", None),
            ("192.0.2.256", None),
            ("ns1:0", None),
            ("ns1:", None),
            ("a b", None),
            ("", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(text).ok(), expected, "{text}");
        }
    }
}
