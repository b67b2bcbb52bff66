//! The `api` line of this provider.

use super::{Place, Rfc2136, TsigKey, key};
use crate::{
    config::{self, Fault, Scene, Word, is_file_name},
    provider::Provider,
};

/// `rfc2136 HOST[:PORT]… [key:FILE] [zone:ZONE]` or `rfc2136 FILE [zone:ZONE]`.
pub(in super::super) fn read(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    let (mut zone, mut key, mut servers) = (None, None, Vec::new());
    for word in words {
        if let Some(again) = [("zone:", zone.is_some()), ("key:", key.is_some())]
            .iter()
            .find(|(mark, given)| *given && word.text.starts_with(mark))
        {
            return Err(word.fault(format!("a second \"{}\": one key and one zone in a line", again.0)));
        }
        if let Some(name) = word.after("zone:") {
            zone = Some(config::domain(&name.text).map_err(|why| name.fault(why))?);
        } else if let Some(file) = word.after("key:") {
            key = Some(file);
        } else {
            servers.push(word);
        }
    }
    let Some(server) = servers.first() else {
        let hint = "write \"api = rfc2136 ns1.example.com key:/etc/daneroll/tsig.key\"";
        return Err(scheme.fault("no server is named").hint(hint));
    };
    if let Some(file) = servers.iter().find(|word| word.text.contains('/') || word.text.ends_with(".ini")) {
        if let Some(other) = servers.iter().find(|other| other.column != file.column) {
            let hint = format!("the file of a TSIG key is written key:{}", file.text);
            return Err(other.fault("certbot's credentials file names the server: no other beside it").hint(hint));
        }
        if let Some(key) = key {
            return Err(key.fault("certbot's credentials file holds the key already"));
        }
        let read = credentials(server, scene)?;
        return Ok(Box::new(Rfc2136 { zone, ..read }));
    }
    let mut places: Vec<Place> = Vec::new();
    for word in servers {
        let place = place(&word.text).map_err(|why| word.fault(why))?;
        if places.contains(&place) {
            return Err(word.fault("this server is named twice"));
        }
        places.push(place);
    }
    let key = key.map(|file| key_file(&file, scene)).transpose()?;
    Ok(Box::new(Rfc2136 { servers: places, key, zone }))
}

/// `HOST`, `HOST:PORT`, an IPv6 address bare or in brackets.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    host_and_port(text).map(|(host, port)| Place { host, port })
}

/// A key in a file of its own.
fn key_file(file: &Word, scene: &Scene) -> Result<TsigKey, Fault> {
    if !is_file_name(&file.text) {
        let hint = "put the key into a file that only its owner reads, and write key:/etc/daneroll/tsig.key";
        return Err(file.fault("\"key:\" is followed by the name of a file, not by the key").hint(hint));
    }
    let (path, text) = scene.secret(file)?;
    TsigKey::read(&text).map_err(|why| file.fault(format!("{}: {why}", path.display())))
}

/// certbot's `dns_rfc2136_*` file.
fn credentials(file: &Word, scene: &Scene) -> Result<Rfc2136, Fault> {
    let (path, text) = scene.secret(file)?;
    let fault = |why| file.fault(format!("{}: {why}", path.display()));
    let found = key::credentials(&text).map_err(fault)?;
    let bare = found.server.trim_matches(['[', ']']);
    let (host, _) = host_and_port(bare).map_err(fault)?;
    Ok(Rfc2136 { servers: vec![Place { host, port: found.port }], key: Some(found.key), zone: None })
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
        Some(port) => config::port(port).ok_or("the port is a number from 1 to 65535")?,
    };
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => Ok((ip.to_string(), port)),
        Err(_) if host.contains(':') || text.starts_with('[') => Err("not an IPv6 address".into()),
        Err(_) if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Err("not an IPv4 address".into()),
        Err(_) => config::host(host).map(|_| (host.to_owned(), port)),
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
