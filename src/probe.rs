//! What services speak before TLS.

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
