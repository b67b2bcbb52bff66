//! Do key and certificate belong together?

use ring::{digest, signature};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{cell::RefCell, collections::HashMap};
use x509_cert::{Certificate, der::Decode};

/// The certificates of a file that holds a key too, in PEM as they stand in it.
pub fn certificates(pem: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(pem);
    let blocks = text.split_inclusive("-----END CERTIFICATE-----\n");
    blocks
        .filter_map(|block| block.find("-----BEGIN CERTIFICATE-----").map(|begin| &block[begin..]))
        .collect::<String>()
        .into()
}

/// The certificates of a PEM file in DER.
pub fn ders(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem).flatten().map(|der| der.to_vec()).collect()
}

thread_local! {
    /// Pairs that were examined before: the same few come again and again.
    static EXAMINED: RefCell<HashMap<Vec<u8>, Result<(), String>>> = RefCell::default();
}

/// Does the key belong to the first certificate?
pub fn fits(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let mut context = digest::Context::new(&digest::SHA256);
    [chain, b"\0", key].iter().for_each(|part| context.update(part));
    let id = context.finish().as_ref().to_vec();
    EXAMINED.with_borrow_mut(|examined| examined.entry(id).or_insert_with(|| examine(chain, key)).clone())
}

fn examine(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let leaf = CertificateDer::from_pem_slice(chain).map_err(|why| format!("no certificate: {why}"))?;
    let leaf = Certificate::from_der(&leaf).map_err(|why| format!("not a certificate: {why}"))?;
    let spki = leaf.tbs_certificate().subject_public_key_info();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| format!("no private key: {why}"))?;
    let public = public_key(key.secret_der()).ok_or("a private key of no known kind")?;
    if spki.subject_public_key.raw_bytes() == public { Ok(()) } else { Err("key and certificate do not match".into()) }
}

/// The public key, as it stands in a certificate, of a private key in PKCS #8.
fn public_key(pkcs8: &[u8]) -> Option<Vec<u8>> {
    use signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, KeyPair};
    let random = ring::rand::SystemRandom::new();
    for curve in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
        if let Ok(pair) = signature::EcdsaKeyPair::from_pkcs8(curve, pkcs8, &random) {
            return Some(pair.public_key().as_ref().to_vec());
        }
    }
    if let Ok(pair) = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
        return Some(pair.public_key().as_ref().to_vec());
    }
    signature::RsaKeyPair::from_pkcs8(pkcs8).ok().map(|pair| pair.public_key().as_ref().to_vec())
}
