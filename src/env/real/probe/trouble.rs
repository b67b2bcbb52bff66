//! Why a session came to nothing.

use super::{clock::Step, talk::is_end, words::quote_bytes};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::io;

/// Why a session did not come to a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server turned down what we offered, as one does that has no certificate for the kind of key that we asked for.
    Declined,
    /// The server closed instead of sending the first byte of TLS.
    Dropped,
    /// Anything else, in words.
    Other(String),
}

impl Trouble {
    /// A session that ended with this alert or flaw. `first` is what the server sent first instead of, or in, TLS.
    pub(super) fn of(error: &Error, first: &[u8]) -> Trouble {
        use AlertDescription::{
            AccessDenied, HandshakeFailure, InsufficientSecurity, ProtocolVersion, UnrecognisedName,
        };
        Trouble::Other(match error {
            // OpenSSL and GnuTLS send the first; RFC 8446 section 6.2 knows the second, too; rustls sends the third.
            Error::AlertReceived(HandshakeFailure | InsufficientSecurity | AccessDenied) => return Trouble::Declined,
            Error::AlertReceived(UnrecognisedName) => "knows no certificate for this name (TLS alert)".to_owned(),
            Error::AlertReceived(ProtocolVersion) => too_old(first),
            Error::AlertReceived(alert) => format!("ends the handshake with the TLS alert {alert:?}"),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => too_old(first),
            Error::InvalidMessage(_) if !is_tls(first) => {
                format!("answers with something other than TLS: {}", quote_bytes(first))
            }
            Error::InvalidCertificate(CertificateError::BadSignature) => {
                "does not prove that it holds the key of its certificate".to_owned()
            }
            Error::InvalidCertificate(flaw) => format!("presents a certificate that cannot be read: {flaw}"),
            Error::NoCertificatesPresented => "presents no certificate".to_owned(),
            other => format!("the TLS handshake failed: {other}"),
        })
    }

    pub(super) fn late(step: &Step) -> Trouble {
        Trouble::Other(format!("the TLS handshake was not through {}", step.in_words()))
    }

    /// The connection ended; `first` as before.
    pub(super) fn closed(first: &[u8]) -> Trouble {
        match first {
            [] => Trouble::Dropped,
            _ => Trouble::Other("closed the connection in the middle of the TLS handshake".to_owned()),
        }
    }

    pub(super) fn broken(error: &io::Error, first: &[u8]) -> Trouble {
        match is_end(error) {
            true => Trouble::closed(first),
            false => Trouble::Other(format!("the connection broke during the TLS handshake: {error}")),
        }
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Trouble {
        Trouble::Other(reason)
    }
}

fn is_tls(first: &[u8]) -> bool {
    // Content type, and the first half of a version that has not changed since SSL 3.0.
    matches!(first, [20..=24, 3, ..] | [20..=24] | [])
}

fn too_old(first: &[u8]) -> String {
    let wanted = match first {
        // A ServerHello at the beginning of a record names the version that the server chose.
        [22, 3, _, _, _, 2, _, _, _, 3, minor, ..] => match minor {
            0 => " (it wants SSL 3.0)",
            1 => " (it wants TLS 1.0)",
            2 => " (it wants TLS 1.1)",
            _ => "",
        },
        _ => "",
    };
    format!("speaks no TLS version that is still in use{wanted}")
}
