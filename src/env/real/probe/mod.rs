//! The way to TLS: how each protocol gets there, and the handshake. Nothing here opens sockets.

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

pub use clock::Clock;
pub use handshake::{Session, handshake};
pub use keys::{KeyKind, client_config};
pub use parting::Parting;
pub use talk::{Stream, Talk};
pub use trouble::Trouble;

use crate::probe::Protocol;

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
