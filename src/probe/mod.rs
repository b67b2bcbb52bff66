//! The way to TLS: which protocols there are, how each gets there, and the handshake. Nothing here opens sockets.

mod clock;
mod handshake;
mod imap;
mod keys;
mod ldap;
mod parting;
mod pop3;
mod postgres;
mod sieve;
mod smtp;
mod talk;
mod trouble;
mod words;
mod xml;
mod xmpp;

pub use clock::{Clock, STEP};
pub use handshake::{Session, handshake};
pub use keys::{KeyKind, client_config};
pub use parting::Parting;
pub use talk::{Stream, Talk};
pub use trouble::Trouble;

use std::fmt;

/// What a service speaks before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// STARTTLS (RFC 3207).
    Smtp,
    /// STARTTLS (RFC 9051 section 6.2.1).
    Imap,
    /// STLS (RFC 2595 section 4).
    Pop3,
    /// `<starttls/>` in a client's stream (RFC 6120 section 5).
    XmppClient,
    /// `<starttls/>` in a server's stream.
    XmppServer,
    /// The extended operation StartTLS (RFC 4511 section 4.14).
    Ldap,
    /// SSLRequest.
    Postgres,
    /// STARTTLS (RFC 5804 section 2.2).
    Sieve,
    /// Nothing: TLS from the first byte on.
    Tls,
}

impl Protocol {
    /// All of them, by the names that the configuration uses.
    pub const NAMES: [(&str, Protocol); 9] = [
        ("smtp", Protocol::Smtp),
        ("imap", Protocol::Imap),
        ("pop3", Protocol::Pop3),
        ("xmpp-client", Protocol::XmppClient),
        ("xmpp-server", Protocol::XmppServer),
        ("ldap", Protocol::Ldap),
        ("postgres", Protocol::Postgres),
        ("sieve", Protocol::Sieve),
        ("tls", Protocol::Tls),
    ];

    /// What services at this TCP port usually speak.
    pub fn by_port(port: u16) -> Protocol {
        match port {
            25 | 587 | 2525 => Protocol::Smtp,
            143 => Protocol::Imap,
            110 => Protocol::Pop3,
            5222 => Protocol::XmppClient,
            5269 => Protocol::XmppServer,
            389 => Protocol::Ldap,
            5432 => Protocol::Postgres,
            4190 => Protocol::Sieve,
            _ => Protocol::Tls,
        }
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        Protocol::NAMES.iter().find(|(_, protocol)| *protocol == self).map_or("tls", |(name, _)| name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who talks to whom.
#[derive(Clone, Debug)]
pub struct Names {
    /// What EHLO says of us: a name or an address literal (RFC 5321 section 4.1.3).
    pub client: String,
    /// The base domain, without the final dot.
    pub server: String,
}

/// Leads a fresh connection to the point where TLS begins. Errors are reasons in words.
pub async fn way_to_tls<S: Stream>(protocol: Protocol, mut talk: Talk<S>, names: &Names) -> Result<S, String> {
    match protocol {
        Protocol::Smtp => smtp::dialogue(&mut talk, &names.client).await?,
        Protocol::Imap => imap::dialogue(&mut talk).await?,
        Protocol::Pop3 => pop3::dialogue(&mut talk).await?,
        Protocol::XmppClient => xmpp::dialogue(&mut talk, "jabber:client", &names.server).await?,
        Protocol::XmppServer => xmpp::dialogue(&mut talk, "jabber:server", &names.server).await?,
        Protocol::Ldap => ldap::dialogue(&mut talk).await?,
        Protocol::Postgres => postgres::dialogue(&mut talk).await?,
        Protocol::Sieve => sieve::dialogue(&mut talk).await?,
        Protocol::Tls => {}
    }
    talk.into_stream()
}
