//! Certificates and keys: PEM files, DER as services send it, and what matches what.

use super::world::{B, LEAVES};
use daneroll::{
    env::Visited,
    lineage::{GenerationId, pem, sets},
    name::DnsName,
    observe::endpoints::address_view,
    small::Set,
    tlsa::{Association, Certificate, Chain, Param, satisfied},
};
use data_encoding::BASE64;

/// A PEM file: a chain, and perhaps its key.
pub fn pem(data: &[u8]) {
    let Ok(chain) = pem::chain(data) else {
        assert!(pem::certificates(data).map_or(true, |all| all.is_empty() || pem::sent(&ders(&all)).is_err()));
        return;
    };
    check(&chain);
    let _ = pem::check_key(data, &chain.certificates[0]);
    let again: String = chain.certificates.iter().map(|one| block("CERTIFICATE", &one.der)).collect();
    assert_eq!(pem::chain(again.as_bytes()).as_ref(), Ok(&chain));
}

/// A chain in DER, as a service presents it.
pub fn certificate(data: &[u8]) {
    let sent = split(data);
    let view = address_view(Visited { chains: vec![sent.clone()], unknown: None });
    assert!(view.unknown.is_some() || view.chains.len() == 1, "nothing is known, and nobody says why");
    for chain in &view.chains {
        assert_eq!(ders(&chain.certificates), sent, "other bytes than were sent");
        check(chain);
    }
}

/// A private key in DER, which is to fit a certificate.
pub fn key(data: &[u8]) {
    let Some((kind, der)) = data.split_first() else { return };
    let label = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"][usize::from(kind % 3)];
    let file = block(label, der);
    let fits = |leaf: &&str| {
        let leaf = pem::certificates(leaf.as_bytes()).unwrap().remove(0);
        pem::check_key(file.as_bytes(), &leaf).is_ok()
    };
    assert!(LEAVES.iter().filter(|leaf| fits(leaf)).count() <= 1, "one key, two certificates");
}

/// What a run before read of sets, with whatever in it.
pub fn sets(data: &[u8]) {
    for boot in ["", "a boot"] {
        sets::recall(data, boot);
        sets::recall(&sets::sealed(data), boot);
    }
}

/// What holds for every chain.
fn check(chain: &Chain) {
    assert!(chain.linked() < chain.certificates.len());
    let id = GenerationId::of(chain);
    assert_eq!(GenerationId::parse(id.as_str()), Some(id));
    let base: DnsName = "mx.example.com.".parse().unwrap();
    let other = &pem::chain(B.cert.as_bytes()).unwrap();
    for number in 0..12 {
        let param: Param = format!("{}{}{}", 2 + number / 6, number / 3 % 2, number % 3).parse().unwrap();
        let required = Set::from([param.group()]);
        let holds = |records: &Set<Association>, chain: &Chain, wall| {
            satisfied(records, chain, &base, wall, &required, &Set::new()).is_ok()
        };
        assert!(!holds(&Set::new(), chain, 0), "no record at all matches");
        let Ok(record) = chain.association(param) else {
            assert!(param.usage() == 2 && chain.linked() == 0);
            continue;
        };
        assert_eq!(record.to_string().parse().as_ref(), Ok(&record));
        let records = Set::from([record]);
        let within = chain.certificates.iter().take(2).all(|one| one.not_before <= one.not_after);
        let walls = [chain.not_before(), chain.not_after(), i64::MIN, i64::MAX, 1_800_000_000];
        for wall in walls {
            let matches = holds(&records, chain, wall);
            assert!(matches || param.usage() == 2, "a chain does not match its own record");
            assert!(!matches || param.usage() == 3 || within && !chain.names.is_empty());
        }
        let same = match param.selector() {
            0 => other.certificates[0].der == chain.certificates[0].der,
            _ => other.certificates[0].spki == chain.certificates[0].spki,
        };
        assert!(param.usage() == 2 || holds(&records, other, 0) == same, "another chain matches");
    }
    for one in chain.certificates.iter() {
        let _ = (pem::is_authority(one), pem::key_type(one), format!("{one:?}"));
    }
}

fn ders(certificates: &[Certificate]) -> Vec<Vec<u8>> {
    certificates.iter().map(|one| one.der.to_vec()).collect()
}

/// The DER objects that stand one after the other; what is left over is one more.
fn split(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let [0x30, 0x82, high, low, ..] = *data {
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        let (one, rest) = data.split_at(length.min(data.len()));
        found.push(one.to_vec());
        data = rest;
    }
    if !data.is_empty() || found.is_empty() {
        found.push(data.to_vec());
    }
    found
}

fn block(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
