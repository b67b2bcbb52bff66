//! What a DANE client needs: TLSA records that DNSSEC validates, and TLS that leaves the judgement to them.

use crate::{
    Fallible,
    clients::Cached,
    zone::{APEX, key_of},
};
use hickory_resolver::proto::{
    dnssec::{
        Verifier,
        rdata::{DNSKEY, DNSSECRData},
    },
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{DNSClass, Name, RData, Record, RecordType},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

/// What all clients know alike.
pub struct Dane {
    /// The two name servers.
    pub servers: [SocketAddr; 2],
    /// The name of the TLSA records.
    pub owner: Name,
    /// The key that the zone is signed with.
    pub anchor: DNSKEY,
    /// The name for SNI.
    pub host: ServerName<'static>,
    /// TLS that takes any certificate.
    pub tls: Arc<ClientConfig>,
}

impl Dane {
    /// Asks one of the two servers for the TLSA records. That it has none is an answer too: one without keys, which the
    /// caller counts as a mismatch, for this service never meant to leave DANE.
    pub fn look_up(&self, server: usize) -> Fallible<Cached> {
        let answer = ask(self.servers[server], &self.owner)?;
        let (records, signatures): (Vec<&Record>, Vec<&Record>) = answer
            .answers
            .iter()
            .filter(|record| record.name == self.owner)
            .partition(|record| record.record_type() == RecordType::TLSA);
        if !records.is_empty() && !signatures.iter().any(|signature| self.is_valid(signature, &records)) {
            return Err("the TLSA records are not signed with the zone's key".into());
        }
        let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
        let keys = records.into_iter().filter_map(key_of).collect();
        Ok(Cached { keys, until: Instant::now() + Duration::from_secs(ttl.into()), server })
    }

    fn is_valid(&self, signature: &Record, records: &[&Record]) -> bool {
        let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &signature.data else { return false };
        let covers = rrsig.input().type_covered == RecordType::TLSA && rrsig.input().signer_name.to_string() == APEX;
        covers && self.anchor.verify_rrsig(&self.owner, DNSClass::IN, rrsig, records.iter().copied()).is_ok()
    }
}

fn ask(server: SocketAddr, owner: &Name) -> Fallible<Message> {
    static NEXT_ID: AtomicU16 = AtomicU16::new(1);
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(owner.clone(), RecordType::TLSA));
    let mut edns = Edns::new();
    edns.set_max_payload(1232).set_dnssec_ok(true);
    question.set_edns(edns);

    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(server)?;
    socket.send(&question.to_vec()?)?;
    let mut buffer = [0; 1232];
    let length = socket.recv(&mut buffer)?;
    let answer = Message::from_vec(&buffer[..length])?;
    if answer.metadata.id != id || !answer.metadata.authoritative {
        return Err("a strange answer".into());
    }
    Ok(answer)
}

/// TLS as a DANE-EE client sets it up: names, dates and issuers do not count (RFC 7671 section 5.1), and every connection
/// is a full handshake.
pub fn tls() -> Fallible<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Checks that the service has the private key, and nothing else; the TLSA records are compared afterwards.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
