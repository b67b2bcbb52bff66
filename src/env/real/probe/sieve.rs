//! ManageSieve: capabilities, STARTTLS (RFC 5804 sections 1.3, 1.7 and 2.2).

use super::{
    talk::{Stream, Talk},
    words::quote,
};

const LOGOUT: &[u8] = b"LOGOUT\r\n";

/// Leads to the server's go-ahead.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>) -> Result<(), String> {
    let capabilities = reply(talk, "turns us away").await?;
    if !capabilities.iter().any(|line| offers(line)) {
        return Err(talk.leave(LOGOUT, "does not offer STARTTLS".to_owned()).await);
    }
    talk.say(b"STARTTLS\r\n", "answer to STARTTLS").await?;
    reply(talk, "refuses STARTTLS").await.map(drop)
}

fn offers(line: &str) -> bool {
    line.trim().trim_matches('"').eq_ignore_ascii_case("STARTTLS")
}

/// What comes before OK.
async fn reply<S: Stream>(talk: &mut Talk<S>, refusal: &str) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    loop {
        let line = whole_line(talk).await?;
        let word: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
        match word.to_ascii_uppercase().as_str() {
            "OK" => return Ok(lines),
            "NO" | "BYE" => return Err(talk.leave(LOGOUT, format!("{refusal}: {}", quote(&line))).await),
            "" if line.starts_with(['"', '{']) => lines.push(line),
            _ => return Err(format!("answers with something other than ManageSieve: {}", quote(&line))),
        }
    }
}

/// A line with the literals in it: `{5}`, a line end, five bytes, and the line goes on.
async fn whole_line<S: Stream>(talk: &mut Talk<S>) -> Result<String, String> {
    let mut line = talk.line().await?;
    while let Some(length) = literal(&line) {
        line.push_str(&String::from_utf8_lossy(&talk.exactly(length).await?));
        line.push_str(&talk.line().await?);
    }
    Ok(line)
}

fn literal(line: &str) -> Option<usize> {
    let (_, length) = line.strip_suffix('}')?.rsplit_once('{')?;
    length.strip_suffix('+').unwrap_or(length).parse().ok()
}
