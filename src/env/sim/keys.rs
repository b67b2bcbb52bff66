//! The key that signs every zone of the simulated world.

use crate::name::DnsName;
use hickory_resolver::proto::{dnssec::rdata::sig::SigInput, rr::DNSClass};
use hickory_resolver::proto::{
    dnssec::{
        Algorithm, DigestType, SigningKey, TBS,
        crypto::EcdsaSigningKey,
        rdata::{DNSKEY, DS},
    },
    rr::Record,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::sync::OnceLock;

/// Its algorithm.
pub const ALGORITHM: Algorithm = Algorithm::ECDSAP256SHA256;

struct Key {
    signing: EcdsaSigningKey,
    public: DNSKEY,
    tag: u16,
}

/// One key for all: zones differ in their names, and signatures name the zone.
fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let make = || -> Option<Key> {
            let random = ring::rand::SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).ok()?;
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).ok()?;
            let signing = EcdsaSigningKey::from_ecdsa(pair, ALGORITHM);
            let public = DNSKEY::with_flags(257, signing.to_public_key().ok()?);
            let tag = public.calculate_key_tag().ok()?;
            Some(Key { signing, public, tag })
        };
        make().unwrap_or_else(|| panic!("no key for the simulated zones"))
    })
}

/// The public key, KSK and ZSK in one.
pub fn public() -> DNSKEY {
    key().public.clone()
}

/// Its key tag.
pub fn tag() -> u16 {
    key().tag
}

/// The DS record for a zone.
///
/// # Panics
/// If the digest is of an unknown type: the test is wrong.
pub fn delegation_signer(zone: &DnsName, digest: DigestType) -> DS {
    let bytes = key().public.to_digest(&zone.to_name(), digest).unwrap_or_else(|why| panic!("no digest: {why}"));
    DS::new(tag(), ALGORITHM, digest, bytes.as_ref().to_vec())
}

/// A signature that verifies.
pub fn sign(input: &SigInput, records: &[Record]) -> Vec<u8> {
    let signed = records.first().and_then(|first| {
        let bytes = TBS::from_input(&first.name, DNSClass::IN, input, records.iter()).ok()?;
        key().signing.sign(&bytes).ok()
    });
    signed.unwrap_or_default()
}
