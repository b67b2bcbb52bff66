//! PostgreSQL: SSLRequest, to which one byte is the answer (Frontend/Backend Protocol, section SSL Session Encryption).

use super::{
    talk::{Stream, Talk},
    words::quote_bytes,
};

/// Its length, 8, and the number 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Leads to the server's go-ahead.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>) -> Result<(), String> {
    talk.say(&SSL_REQUEST, "answer to SSLRequest").await?;
    match talk.byte().await? {
        b'S' => Ok(()),
        b'N' => Err("does not offer TLS".to_owned()),
        b'E' => Err("answers SSLRequest with an error, as when it has too many connections".to_owned()),
        other => Err(format!("answers with something other than PostgreSQL: {}", quote_bytes(&[other]))),
    }
}
