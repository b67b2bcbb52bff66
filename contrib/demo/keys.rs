//! Keys, told apart by the SHA-256 of their SubjectPublicKeyInfo: what a `3 1 1` TLSA record holds (RFC 6698 section 2.1).

use crate::Fallible;
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{fmt, path::Path};
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

/// SHA-256 of a public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// The key of a certificate in DER.
    pub fn of_certificate(der: &[u8]) -> Fallible<KeyId> {
        let certificate = Certificate::from_der(der)?;
        let spki = certificate.tbs_certificate().subject_public_key_info().to_der()?;
        Ok(KeyId(digest(&SHA256, &spki).as_ref().try_into()?))
    }

    /// The key of the first certificate in a PEM file.
    pub fn of_file(path: &Path) -> Fallible<KeyId> {
        KeyId::of_certificate(&CertificateDer::from_pem_file(path)?)
    }
}

/// Eight hexadecimal digits tell the two or three keys of this world apart.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
