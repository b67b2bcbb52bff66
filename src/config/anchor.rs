//! `trust_anchor = FILE`: DNSKEY and DS records as in a zone file.

use super::{api::Scene, diagnostic::Fault, grammar::Entry, lookup, values::one};
use crate::name::DnsName;
use data_encoding::{BASE64, HEXUPPER_PERMISSIVE};
use hickory_resolver::proto::dnssec::{
    Algorithm, DigestType, PublicKeyBuf, Verifier,
    rdata::{DNSKEY, DS},
};
use std::{collections::BTreeMap, path::PathBuf};

/// Trust anchors of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// The file.
    pub path: PathBuf,
    /// By the name of the zone, none of them empty.
    pub zones: BTreeMap<DnsName, Vec<AnchorKey>>,
}

/// What makes a key trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorKey {
    /// It is this key.
    Key(DNSKEY),
    /// Its digest is this.
    Digest(DS),
}

/// Reads the file that the parameter names.
pub(super) fn read(entry: &Entry, scene: &Scene) -> Result<TrustAnchor, Fault> {
    let word = one(entry)?;
    let path = scene.directory.join(&word.text);
    let hint = "write the name of a file with DNSKEY or DS records";
    let unreadable =
        |error| word.fault(format!("{} cannot be read: {}", path.display(), lookup::reason(&error, &path))).hint(hint);
    let bytes = scene.lookups.read(&path).map_err(unreadable)?;
    match zones(&String::from_utf8_lossy(&bytes)) {
        Ok(zones) if zones.is_empty() => Err(word.fault(format!("{} holds no record", path.display())).hint(hint)),
        Ok(zones) => Ok(TrustAnchor { path, zones }),
        Err((line, why)) => Err(word
            .fault(format!("{}:{line}: {why}", path.display()))
            .hint("write records as in a zone file: \"example.com. IN DS 12345 13 2 …\", or DNSKEY")),
    }
}

/// The records of a file, or the line of the first that is none, and why.
fn zones(text: &str) -> Result<BTreeMap<DnsName, Vec<AnchorKey>>, (usize, String)> {
    let mut zones: BTreeMap<DnsName, Vec<AnchorKey>> = BTreeMap::new();
    for (line, words) in records(text)? {
        if let Some((zone, key)) = record(&words).map_err(|why| (line, why))? {
            zones.entry(zone).or_default().push(key);
        }
    }
    Ok(zones)
}

/// A record in words, and the line where it begins.
type Words = (usize, Vec<String>);

/// Each record in words, with the number of its first line: comments cut off, parentheses opened (RFC 1035 section 5.1).
fn records(text: &str) -> Result<Vec<Words>, (usize, String)> {
    let mut records: Vec<Words> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.split(';').next().unwrap_or_default();
        if !open {
            records.push((number + 1, Vec::new()));
        }
        for word in line.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
            match word {
                "(" => open = true,
                ")" => open = false,
                word => records.last_mut().into_iter().for_each(|(_, words)| words.push(word.to_owned())),
            }
        }
    }
    match records.last() {
        Some((line, _)) if open => Err((*line, "a parenthesis is not closed".into())),
        _ => Ok(records.into_iter().filter(|(_, words)| !words.is_empty()).collect()),
    }
}

/// `OWNER [TTL] [CLASS] TYPE RDATA`; `None` for a signature, which `dig +dnssec` prints among the keys.
fn record(words: &[String]) -> Result<Option<(DnsName, AnchorKey)>, String> {
    let (owner, rest) = words.split_first().ok_or("an empty line")?;
    if owner.starts_with('$') {
        return Err(format!("\"{owner}\" is not understood in a file of trust anchors"));
    }
    let zone: DnsName = owner.parse().map_err(|why| format!("\"{owner}\" is not a domain name: {why}"))?;
    let skipped = |word: &&String| word.parse::<u32>().is_ok() || word.eq_ignore_ascii_case("IN");
    let rest = &rest[rest.iter().take_while(skipped).count()..];
    let (kind, data) = rest.split_first().ok_or("a record without a type")?;
    match kind.to_ascii_uppercase().as_str() {
        "DNSKEY" => Ok(Some((zone, AnchorKey::Key(dnskey(data)?)))),
        "DS" => Ok(Some((zone, AnchorKey::Digest(ds(data)?)))),
        "RRSIG" => Ok(None),
        _ => Err(format!("\"{kind}\" where DNSKEY or DS is expected")),
    }
}

/// `FLAGS 3 ALGORITHM KEY` (RFC 4034 section 2.2).
fn dnskey(data: &[String]) -> Result<DNSKEY, String> {
    let [flags, protocol, number, key @ ..] = data else { return Err("a DNSKEY record has four fields".into()) };
    let flags = flags.parse().map_err(|_| format!("\"{flags}\" is not a number of flags"))?;
    if protocol != "3" {
        return Err(format!("\"{protocol}\" where a DNSKEY record has the protocol 3"));
    }
    let algorithm = algorithm(number)?;
    let bytes = BASE64.decode(key.concat().as_bytes()).map_err(|why| format!("the key is not base64: {why}"))?;
    let key = DNSKEY::with_flags(flags, PublicKeyBuf::new(bytes, algorithm));
    if !key.zone_key() || key.revoke() {
        return Err(format!("a key with the flags {flags} signs no zones, or is revoked"));
    }
    key.key().map_err(|why| format!("the key cannot be used: {why}"))?;
    Ok(key)
}

/// `TAG ALGORITHM TYPE DIGEST` (RFC 4034 section 5.3).
fn ds(data: &[String]) -> Result<DS, String> {
    let [tag, number, kind, digest @ ..] = data else { return Err("a DS record has four fields".into()) };
    let tag = tag.parse().map_err(|_| format!("\"{tag}\" is not a key tag"))?;
    let algorithm = algorithm(number)?;
    let (kind, length) = match kind.as_str() {
        "1" => (DigestType::SHA1, 20),
        "2" => (DigestType::SHA256, 32),
        "4" => (DigestType::SHA384, 48),
        _ => return Err(format!("digests of type \"{kind}\" cannot be checked")),
    };
    let digest = HEXUPPER_PERMISSIVE.decode(digest.concat().as_bytes());
    let digest = digest.map_err(|why| format!("the digest is not hexadecimal: {why}"))?;
    match digest.len() == length {
        true => Ok(DS::new(tag, algorithm, kind, digest)),
        false => Err(format!("a digest of that type has {length} bytes, this one {}", digest.len())),
    }
}

/// An algorithm that we can verify with.
fn algorithm(number: &str) -> Result<Algorithm, String> {
    let algorithm = number.parse().map(Algorithm::from_u8).map_err(|_| format!("\"{number}\" is not an algorithm"))?;
    match algorithm.is_supported() {
        true => Ok(algorithm),
        false => Err(format!("signatures of algorithm {number} cannot be verified")),
    }
}
