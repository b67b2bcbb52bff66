//! A server may have a certificate for each kind of key, and shows the one that fits what its client offers.

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedCipherSuite,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// A kind of key that a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA and EdDSA.
    Ecdsa,
    /// RSA.
    Rsa,
}

impl KeyKind {
    /// Each of them.
    pub const ALL: [KeyKind; 2] = [KeyKind::Ecdsa, KeyKind::Rsa];

    fn signs_with(self, scheme: SignatureScheme) -> bool {
        is_rsa(scheme) == (self == KeyKind::Rsa)
    }

    /// May a client that wants such a key offer this? In TLS 1.3 the scheme decides, and one with PKCS #1 v1.5 then stands for
    /// signatures inside certificates only (RFC 8446 section 4.2.3); in TLS 1.2 the cipher suite decides. So these are offered
    /// always: an ECDSA certificate that an RSA key has signed would else be kept back by servers that look at the whole chain.
    fn offers(self, scheme: SignatureScheme) -> bool {
        use SignatureScheme::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
        self.signs_with(scheme) || matches!(scheme, RSA_PKCS1_SHA256 | RSA_PKCS1_SHA384 | RSA_PKCS1_SHA512)
    }

    fn uses(self, suite: &SupportedCipherSuite) -> bool {
        match suite {
            SupportedCipherSuite::Tls12(suite) => suite.sign.iter().any(|&scheme| self.signs_with(scheme)),
            SupportedCipherSuite::Tls13(_) => true,
        }
    }
}

fn is_rsa(scheme: SignatureScheme) -> bool {
    use SignatureScheme::*;
    matches!(
        scheme,
        RSA_PKCS1_SHA1
            | RSA_PKCS1_SHA256
            | RSA_PKCS1_SHA384
            | RSA_PKCS1_SHA512
            | RSA_PSS_SHA256
            | RSA_PSS_SHA384
            | RSA_PSS_SHA512
    )
}

/// A client that takes any chain with such a key, if its server proves that it holds the key. Every session is a fresh one:
/// a resumed one shows no certificate.
pub fn client_config(kind: KeyKind) -> Result<Arc<ClientConfig>, String> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| kind.uses(suite));
    let verifier = Verifier::new(kind, &provider);
    let builder = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("cannot prepare for TLS: {error}"))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config.into())
}

#[derive(Debug)]
struct Verifier {
    kind: KeyKind,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(kind: KeyKind, provider: &CryptoProvider) -> Verifier {
        Verifier { kind, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    /// What the chain is worth is judged later, against TLSA records and with the lineage at hand.
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let all = self.algorithms.supported_schemes().into_iter();
        all.filter(|&scheme| self.kind.offers(scheme)).collect()
    }
}
