//! The configuration, and the files that it names.

use super::{assert_plain, world::CONFIG};
use daneroll::{
    config::{AnchorKey, Config, Loaded, Lookups, Overrides, parse},
    env::{Kind, Stat, User},
    provider::rfc2136::TsigKey,
};
use data_encoding::{BASE64, HEXLOWER};
use hickory_resolver::proto::dnssec::PublicKey;
use std::{collections::BTreeMap, fmt::Write, io, path::Path};

/// Stands in seeds where the secret is: no complaint may repeat it.
const SECRET: &str = "SECRETSE";
const GOOD_KEY: &str = "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };";
const GOOD_INI: &str = "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = k\ndns_rfc2136_secret = c2VjcmV0\n\
                        dns_rfc2136_algorithm = HMAC-SHA512\n";

/// The whole file.
pub fn configuration(data: &[u8]) {
    let files = Files::of(&[("tsig.key", GOOD_KEY.as_bytes()), ("rfc2136.ini", GOOD_INI.as_bytes())]);
    check(data, &load(data, &files));
}

/// The file of a TSIG key, in each of its styles.
pub fn tsig_key(data: &[u8]) {
    let files = Files::of(&[("tsig.key", data), ("rfc2136.ini", data)]);
    for api in ["api = rfc2136 ns1.example.com key:tsig.key", "api = rfc2136 ./rfc2136.ini"] {
        let text = format!("{api}\n[mx.example.com]\ntlsa = 311 25\n");
        check(text.as_bytes(), &load(text.as_bytes(), &files));
    }
    if let Ok(key) = TsigKey::read(&String::from_utf8_lossy(data)) {
        check_key(&key);
    }
}

/// A file of trust anchors.
pub fn trust_anchor(data: &[u8]) {
    let read = |data: &[u8]| {
        let text = b"trust_anchor = anchor\n";
        let loaded = load(text, &Files::of(&[("anchor", data)]));
        check(text, &loaded);
        loaded.config.trust_anchor
    };
    let Some(anchor) = read(data) else { return };
    assert!(!anchor.zones.is_empty() && anchor.zones.values().all(|keys| !keys.is_empty()));
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte));
    if anchor.zones.keys().all(|zone| plain(zone.as_str())) {
        assert_eq!(read(zone_file(&anchor.zones).as_bytes()).map(|again| again.zones), Some(anchor.zones));
    }
}

fn zone_file(zones: &BTreeMap<daneroll::name::DnsName, Vec<AnchorKey>>) -> String {
    let mut text = String::new();
    for (zone, key) in zones.iter().flat_map(|(zone, keys)| keys.iter().map(move |key| (zone, key))) {
        match key {
            AnchorKey::Key(key) => {
                let public = key.public_key();
                let (number, bytes) = (u8::from(public.algorithm()), BASE64.encode(public.public_bytes()));
                writeln!(text, "{zone} IN DNSKEY {} 3 {number} {bytes}", key.flags()).unwrap();
            }
            AnchorKey::Digest(ds) => {
                let (number, kind) = (u8::from(ds.algorithm()), u8::from(ds.digest_type()));
                writeln!(text, "{zone} DS {} {number} {kind} {}", ds.key_tag(), HEXLOWER.encode(ds.digest())).unwrap();
            }
        }
    }
    text
}

fn check_key(key: &TsigKey) {
    let TsigKey { name, algorithm, secret } = key;
    let text = format!("key \"{name}\" {{ algorithm {algorithm}; secret \"{}\"; }};", BASE64.encode(&secret.0));
    if name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        assert_eq!(TsigKey::read(&text).as_ref(), Ok(key), "{text}");
    }
}

fn load(data: &[u8], files: &Files) -> Loaded {
    parse(Path::new(CONFIG), data, &Overrides::default(), files)
}

/// What holds for every configuration, and for what is said about it.
fn check(data: &[u8], loaded: &Loaded) {
    let lines = String::from_utf8_lossy(data).lines().count().max(1);
    for said in loaded.errors.iter().chain(&loaded.warnings) {
        assert!(said.line <= lines && said.column >= 1 && said.width <= data.len().max(1) + 1, "{said:?}");
        let shown = said.to_string();
        assert_plain(&shown);
        assert!(!shown.contains(SECRET), "a secret is told: {shown}");
    }
    assert!(loaded.errors.is_sorted_by_key(|error| (error.line, error.column)));
    let Config { sections, broken, .. } = &loaded.config;
    assert!(broken.is_empty() || !loaded.errors.is_empty(), "broken, and nobody says why");
    for name in sections.iter().map(|section| &section.name).chain(broken) {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains('/'), "{name:?} is no directory in live/");
    }
    for section in sections {
        assert!(!broken.contains(&section.name));
        assert!(!section.tlsa.is_empty() || !section.wanted.is_empty());
        for line in &section.tlsa {
            super::words::check_name(&line.query_name().unwrap());
        }
    }
}

/// The files beside the configuration, and one user.
struct Files<'a>(BTreeMap<&'a str, &'a [u8]>);

impl<'a> Files<'a> {
    fn of(files: &[(&'a str, &'a [u8])]) -> Files<'a> {
        Files(files.iter().copied().collect())
    }

    fn find(&self, path: &Path) -> io::Result<&'a [u8]> {
        let name = path.file_name().and_then(|name| self.0.get(name.to_str()?).copied());
        name.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{}: not there", path.display())))
    }
}

impl Lookups for Files<'_> {
    fn user(&self, name: &str) -> Result<Option<User>, String> {
        Ok((name == "root").then(|| User { name: name.into(), uid: 0, gid: 0 }))
    }

    fn group(&self, name: &str) -> Result<Option<(String, u32)>, String> {
        Ok((name == "root").then(|| (name.into(), 0)))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let size = self.find(path)?.len() as u64;
        Ok(Stat {
            kind: Kind::File,
            device: 1,
            inode: 1,
            size,
            mode: 0o600,
            uid: 0,
            gid: 0,
            changed: None,
            print: None,
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.find(path)?.to_vec())
    }
}
