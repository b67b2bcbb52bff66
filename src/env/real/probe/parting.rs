//! How to leave a service that we came to only for its certificate, so that it need not log a lost connection.

use super::{Protocol, ldap::UNBIND};

/// What is said under TLS before it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    /// Does the server speak first? Then it is heard out.
    pub(super) after_greeting: bool,
    /// Empty if there is nothing to say.
    pub(super) words: &'static [u8],
}

impl Parting {
    /// The usual words of a protocol; a port tells what is spoken under TLS from the first byte on.
    pub fn of(protocol: Protocol, port: u16) -> Parting {
        let words: &[u8] = match (protocol, port) {
            (Protocol::Smtp | Protocol::Pop3, _) | (Protocol::Tls, 465 | 995) => b"QUIT\r\n",
            (Protocol::Imap, _) | (Protocol::Tls, 993) => b"a9 LOGOUT\r\n",
            (Protocol::Sieve, _) => b"LOGOUT\r\n",
            (Protocol::Ldap, _) | (Protocol::Tls, 636) => UNBIND,
            // A stream or a session would have to be begun first.
            (Protocol::XmppClient | Protocol::XmppServer | Protocol::Postgres | Protocol::Tls, _) => b"",
        };
        // ManageSieve greets once more under TLS (RFC 5804 section 2.2).
        let speaks_first = protocol == Protocol::Sieve || (protocol == Protocol::Tls && port != 636);
        Parting { after_greeting: speaks_first && !words.is_empty(), words }
    }
}
