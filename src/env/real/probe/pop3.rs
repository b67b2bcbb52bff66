//! POP3: greeting, CAPA, STLS (RFC 1939, RFC 2449 section 5, RFC 2595 section 4).

use super::{
    talk::{Stream, Talk},
    words::quote,
};

const QUIT: &[u8] = b"QUIT\r\n";

/// Leads to the server's go-ahead.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>) -> Result<(), String> {
    status(talk, "turns us away").await?;
    talk.say(b"CAPA\r\n", "answer to CAPA").await?;
    status(talk, "refuses CAPA, so it does not offer STLS").await?;
    let mut offered = false;
    loop {
        let line = talk.line().await?;
        if line == "." {
            break;
        }
        offered |= line.trim().eq_ignore_ascii_case("STLS");
    }
    if !offered {
        return Err(talk.leave(QUIT, "does not offer STLS".to_owned()).await);
    }
    talk.say(b"STLS\r\n", "answer to STLS").await?;
    status(talk, "refuses STLS").await
}

async fn status<S: Stream>(talk: &mut Talk<S>, refusal: &str) -> Result<(), String> {
    let line = talk.line().await?;
    if line.starts_with("+OK") {
        return Ok(());
    }
    if line.starts_with("-ERR") {
        return Err(talk.leave(QUIT, format!("{refusal}: {}", quote(&line))).await);
    }
    Err(format!("answers with something other than POP3: {}", quote(&line)))
}
