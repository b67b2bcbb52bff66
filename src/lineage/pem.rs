//! PEM and DER into chains and keys. All input is hostile.

use super::memo::{Memo, known};
use crate::tlsa::{Certificate, Chain};
use data_encoding::BASE64;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error as PemError, PemObject},
};
use std::sync::Arc;
use x509_cert::{
    Certificate as X509,
    der::{
        Decode, Encode,
        asn1::{AnyRef, UintRef},
        oid::ObjectIdentifier,
    },
    ext::pkix::{BasicConstraints, SubjectAltName, name::GeneralName},
    spki::SubjectPublicKeyInfoRef,
};

thread_local! {
    static CERTIFICATES: Memo<Vec<Certificate>> = Memo::default();
    static CHAINS: Memo<Chain> = Memo::default();
    static SENT: Memo<Chain> = Memo::default();
    static KEYS: Memo<()> = Memo::default();
    static ISSUERS: Memo<Certificate> = Memo::default();
}

/// The certificates of a PEM file in their order; anything else in it is passed over. None at all is not an error here.
pub fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    known(&CERTIFICATES, &[pem], || parse(pem))
}

/// The same as they stand there, not looked into.
pub fn ders(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let broken = |error| format!("broken PEM: {}", pem_error(error));
    CertificateDer::pem_slice_iter(pem).map(|der| der.map_err(broken)).collect()
}

fn parse(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let sections = CertificateDer::pem_slice_iter(pem).enumerate();
    sections
        .map(|(at, der)| {
            let der = der.map_err(|error| format!("broken PEM: {}", pem_error(error)))?;
            let read = match at {
                0 => certificate(&der),
                // Thousands of chains have these in common.
                _ => known(&ISSUERS, &[&der], || certificate(&der)),
            };
            read.map_err(|error| format!("certificate {}: {error}", at + 1))
        })
        .collect()
}

fn pem_error(error: PemError) -> String {
    match error {
        PemError::MissingSectionEnd { .. } => "a section has no end: the file is cut off".into(),
        other => format!("{other:?}"),
    }
}

fn certificate(der: &CertificateDer<'_>) -> Result<Certificate, String> {
    let parsed = X509::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
    let tbs = parsed.tbs_certificate();
    let spki = tbs.subject_public_key_info().to_der().map_err(|error| format!("public key: {error}"))?;
    let validity = tbs.validity();
    Ok(Certificate {
        der: Arc::from(der.as_ref()),
        spki: Arc::from(spki),
        not_before: validity.not_before.to_unix_duration().as_secs() as i64,
        not_after: validity.not_after.to_unix_duration().as_secs() as i64,
    })
}

/// A full chain: the leaf first. Fails without any certificate.
pub fn chain(pem: &[u8]) -> Result<Chain, String> {
    known(&CHAINS, &[pem], || made_of(parse(pem)?))
}

/// A chain as a server sent it: certificates in DER, the leaf first.
pub fn sent(ders: &[Vec<u8>]) -> Result<Chain, String> {
    let parts: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
    let certificates = || parts.iter().map(|der| certificate(&CertificateDer::from(*der))).collect::<Result<_, _>>();
    known(&SENT, &parts, || made_of(certificates()?))
}

fn made_of(certificates: Vec<Certificate>) -> Result<Chain, String> {
    let leaf = certificates.first().ok_or("no certificate in it")?;
    let names = names(leaf)?;
    Ok(Chain::new(certificates, names))
}

/// The DNS names in the leaf's subjectAltName.
fn names(leaf: &Certificate) -> Result<Vec<String>, String> {
    let parsed = X509::from_der(&leaf.der).map_err(|error| error.to_string())?;
    let found = parsed.tbs_certificate().get_extension::<SubjectAltName>();
    let names =
        found.map_err(|error| format!("subjectAltName: {error}"))?.map(|(_, names)| names.0).unwrap_or_default();
    let dns = names.into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    });
    Ok(dns.collect())
}

/// Is it the certificate of an authority (RFC 5280 section 4.2.1.9)?
pub fn is_authority(certificate: &Certificate) -> bool {
    let parsed = X509::from_der(&certificate.der);
    let constraints = parsed.map(|parsed| parsed.tbs_certificate().get_extension::<BasicConstraints>());
    matches!(constraints, Ok(Ok(Some((_, BasicConstraints { ca: true, .. })))))
}

/// The kind of a certificate's key as people call it: `ECDSA P-256`, `RSA 2048`, `Ed25519`; the algorithm's OID of any other.
pub fn key_type(certificate: &Certificate) -> String {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    let Ok(key) = SubjectPublicKeyInfoRef::from_der(&certificate.spki) else { return "unknown".into() };
    let algorithm = &key.algorithm;
    match algorithm.oid {
        RSA => modulus_bits(key.subject_public_key.raw_bytes()).map_or("RSA".into(), |bits| format!("RSA {bits}")),
        ECDSA => algorithm.parameters_oid().map_or("ECDSA".into(), |curve| format!("ECDSA {}", curve_name(curve))),
        other if other.to_string() == "1.3.101.112" => "Ed25519".into(),
        other => other.to_string(),
    }
}

/// Length of the modulus in an RSAPublicKey (RFC 8017 appendix A.1.1).
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let modulus = AnyRef::from_der(key).ok()?.sequence(|fields| {
        let modulus = UintRef::decode(fields)?;
        UintRef::decode(fields).map(|_| modulus)
    });
    let modulus = modulus.ok()?;
    let leading = modulus.as_bytes().first()?.leading_zeros();
    (modulus.as_bytes().len() * 8).checked_sub(leading as usize)
}

/// What NIST calls a curve (RFC 5480 section 2.1.1.1).
fn curve_name(curve: ObjectIdentifier) -> String {
    match curve.to_string().as_str() {
        "1.2.840.10045.3.1.7" => "P-256".into(),
        "1.3.132.0.34" => "P-384".into(),
        "1.3.132.0.35" => "P-521".into(),
        other => other.into(),
    }
}

/// Checks that a PEM file holds a private key and that it is the leaf's.
pub fn check_key(pem: &[u8], leaf: &Certificate) -> Result<(), String> {
    known(&KEYS, &[pem, &leaf.spki], || belongs(pem, leaf))
}

fn belongs(pem: &[u8], leaf: &Certificate) -> Result<(), String> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => "no private key in it (an encrypted one cannot be used)".to_string(),
        other => format!("broken PEM: {}", pem_error(other)),
    })?;
    match public_key(&key)? == *leaf.spki {
        true => Ok(()),
        false => Err("the key does not belong to the certificate".into()),
    }
}

/// SubjectPublicKeyInfo of a private key, DER.
pub fn public_key(key: &PrivateKeyDer<'_>) -> Result<Vec<u8>, String> {
    let key = rustls::crypto::ring::sign::any_supported_type(key).map_err(|_| {
        "not a private key that can be used: RSA of 2048 bits and more, ECDSA P-256 or P-384, Ed25519".to_string()
    })?;
    Ok(key.public_key().ok_or("its public key cannot be told")?.to_vec())
}

/// The private keys of a PEM file, in their order. None at all is not an error, an encrypted one is.
pub fn keys(pem: &[u8]) -> Result<Vec<PrivateKeyDer<'static>>, String> {
    let holds = |word: &[u8]| pem.windows(word.len()).any(|part| part == word);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err("the private key is encrypted, and nobody is there to ask for its pass phrase".into());
    }
    let keys = PrivateKeyDer::pem_slice_iter(pem);
    keys.map(|key| key.map_err(|error| format!("broken PEM: {}", pem_error(error)))).collect()
}

/// DER in PEM (RFC 7468), with a line end behind it.
pub fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// The names in a certificate that lead from one to the next, DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Names {
    /// Whose it is.
    pub subject: Vec<u8>,
    /// Who issued it.
    pub issuer: Vec<u8>,
}

/// Subject and issuer of a certificate.
pub fn names_of(certificate: &Certificate) -> Result<Names, String> {
    let parsed = X509::from_der(&certificate.der).map_err(|error| format!("not a certificate: {error}"))?;
    let der = |name: &x509_cert::name::Name| name.to_der().map_err(|error| format!("a name in it: {error}"));
    let tbs = parsed.tbs_certificate();
    Ok(Names { subject: der(tbs.subject())?, issuer: der(tbs.issuer())? })
}
