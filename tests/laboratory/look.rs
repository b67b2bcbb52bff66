//! What a server presents, seen by a handshake that trusts anything.

use data_encoding::BASE64;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, Stream,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// Which certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Any,
    Rsa,
    Ecdsa,
}

/// What comes before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Nothing,
    Smtp,
}

const LIMIT: Duration = Duration::from_secs(10);

/// The chain that is presented, in PEM.
pub fn look(address: SocketAddr, host: &str, before: Before, kind: Kind) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    if before == Before::Smtp {
        start_tls(&stream)?;
    }
    let witness = Arc::new(Witness { kind, chain: Mutex::default() });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    if before == Before::Smtp {
        let _ = Stream::new(&mut session, &mut stream).write_all(b"QUIT\r\n");
    }
    session.send_close_notify();
    let _ = session.complete_io(&mut stream);
    let chain = witness.chain.lock().unwrap();
    Ok(chain.iter().map(|der| pem(der)).collect())
}

fn start_tls(mut stream: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream);
    for (said, wanted) in [("", "220 "), ("EHLO client.test\r\n", "250 "), ("STARTTLS\r\n", "220 ")] {
        stream.write_all(said.as_bytes())?;
        let mut line = String::new();
        while !line.starts_with(wanted) {
            let goes_on = line.is_empty() || line.as_bytes().get(3) == Some(&b'-');
            line.clear();
            if !goes_on || lines.read_line(&mut line)? == 0 {
                return Err(io::Error::other(format!("no {wanted:?} after {said:?}, but {line:?}")));
            }
        }
    }
    Ok(())
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[derive(Debug)]
struct Witness {
    kind: Kind,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.chain.lock().unwrap() = [leaf].into_iter().chain(above).map(|cert| cert.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let rsa = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let ecdsa = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384];
        match self.kind {
            Kind::Any => [ecdsa, rsa].concat(),
            Kind::Rsa => rsa.to_vec(),
            Kind::Ecdsa => ecdsa.to_vec(),
        }
    }
}
