//! Certificates for the services that are probed.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;

/// The base domain in all of these tests.
pub const HOST: &str = "mx.example.test";

/// `ring` cannot make RSA keys.
const RSA_KEYS: &str = include_str!("../simulation/rsa.pem");
const END: &str = "-----END PRIVATE KEY-----\n";

/// A chain and its key.
#[derive(Clone)]
pub struct Cert {
    /// As it is to be sent: DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The same in PEM.
    pub pem: String,
    /// PKCS #8 in PEM.
    pub key: String,
}

impl Cert {
    /// A fresh P-256 key, under a CA of its own that is sent as well.
    pub fn ecdsa() -> Cert {
        Cert::issue(&KeyPair::generate().unwrap())
    }

    /// A fresh Ed25519 key.
    pub fn ed25519() -> Cert {
        Cert::issue(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap())
    }

    /// One of four RSA keys.
    pub fn rsa(number: usize) -> Cert {
        Cert::issue(&KeyPair::from_pem(RSA_KEYS.split_inclusive(END).nth(number).unwrap()).unwrap())
    }

    fn issue(key: &KeyPair) -> Cert {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let root = ca.self_signed(&ca_key).unwrap();
        let leaf = CertificateParams::new([HOST.to_owned()]).unwrap();
        let leaf = leaf.signed_by(key, &Issuer::new(ca, ca_key)).unwrap();
        let (chain, pem) = (vec![leaf.der().to_vec(), root.der().to_vec()], leaf.pem() + &root.pem());
        Cert { chain, pem, key: key.serialize_pem() }
    }

    /// The same without the CA.
    pub fn alone(mut self) -> Cert {
        self.chain.truncate(1);
        let end = "-----END CERTIFICATE-----\n";
        self.pem = self.pem.replace("\r\n", "\n").split_inclusive(end).take(1).collect();
        self
    }

    /// Key and chain in one file.
    pub fn bundle(&self) -> String {
        format!("{}{}", self.key, self.pem)
    }

    /// The same chain with the key of another.
    pub fn with_key_of(&self, other: &Cert) -> Cert {
        Cert { key: other.key.clone(), ..self.clone() }
    }

    /// A server of our own that shows it, whether or not the key fits.
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        let chain = self.chain.iter().cloned().map(CertificateDer::from).collect();
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
        let builder = ServerConfig::builder_with_provider(ring::default_provider().into());
        builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth().with_cert_resolver(resolver).into()
    }
}
