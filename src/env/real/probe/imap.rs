//! IMAP: greeting, CAPABILITY, STARTTLS (RFC 9051 sections 6.1.1, 6.2.1 and 7.1).

use super::{
    talk::{Stream, Talk},
    words::quote,
};

const LOGOUT: &[u8] = b"a9 LOGOUT\r\n";

/// Leads to the server's go-ahead.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>) -> Result<(), String> {
    let greeting = talk.line().await?;
    match first_words(&greeting).as_str() {
        "* OK" => {}
        "* PREAUTH" => {
            return Err(talk.leave(LOGOUT, "greets with PREAUTH, which rules out STARTTLS".to_owned()).await);
        }
        "* BYE" => return Err(format!("turns us away: {}", quote(&greeting))),
        _ => return Err(format!("answers with something other than IMAP: {}", quote(&greeting))),
    }
    talk.say(b"a1 CAPABILITY\r\n", "answer to CAPABILITY").await?;
    let capabilities = reply(talk, "a1", "refuses CAPABILITY").await?;
    if !capabilities.iter().any(|line| offers(line)) {
        return Err(talk.leave(LOGOUT, "does not offer STARTTLS".to_owned()).await);
    }
    talk.say(b"a2 STARTTLS\r\n", "answer to STARTTLS").await?;
    reply(talk, "a2", "refuses STARTTLS").await.map(drop)
}

fn offers(line: &str) -> bool {
    first_words(line) == "* CAPABILITY" && line.split_whitespace().any(|word| word.eq_ignore_ascii_case("STARTTLS"))
}

fn first_words(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ").to_ascii_uppercase()
}

/// What comes before the tagged line, if that says OK.
async fn reply<S: Stream>(talk: &mut Talk<S>, tag: &str, refusal: &str) -> Result<Vec<String>, String> {
    let mut untagged = Vec::new();
    loop {
        let line = talk.line().await?;
        if line.starts_with("* ") {
            untagged.push(line);
            continue;
        }
        let Some(result) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) else {
            return Err(format!("answers with something other than IMAP: {}", quote(&line)));
        };
        if result.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("OK")) {
            return Ok(untagged);
        }
        return Err(talk.leave(LOGOUT, format!("{refusal}: {}", quote(result))).await);
    }
}
