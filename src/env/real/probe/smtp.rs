//! SMTP: greeting, EHLO, STARTTLS (RFC 5321, RFC 3207). One command at a time; the next one only after a whole reply.

use super::{
    talk::{Stream, Talk},
    words::quote,
};

/// A whole reply: its code, and the text of each line.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// Leads to the server's go-ahead. `name` is what EHLO says.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>, name: &str) -> Result<(), String> {
    let greeting = reply(talk).await?;
    let refusal = match greeting.code {
        400..500 => "turns us away for now (greylisting, or it is busy), from which nothing follows",
        _ => "turns us away",
    };
    expect(talk, &greeting, 220, refusal).await?;
    talk.say(format!("EHLO {name}\r\n").as_bytes(), "answer to EHLO").await?;
    let hello = reply(talk).await?;
    expect(talk, &hello, 250, "refuses EHLO").await?;
    // The first line is the server's name.
    if !hello.lines.iter().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(talk.leave(b"QUIT\r\n", "does not offer STARTTLS".to_owned()).await);
    }
    talk.say(b"STARTTLS\r\n", "answer to STARTTLS").await?;
    let go_ahead = reply(talk).await?;
    expect(talk, &go_ahead, 220, "refuses STARTTLS").await
}

async fn expect<S: Stream>(talk: &mut Talk<S>, reply: &Reply, code: u16, refusal: &str) -> Result<(), String> {
    if reply.code == code {
        return Ok(());
    }
    let said = quote(&format!("{} {}", reply.code, reply.lines.join(" ")));
    Err(talk.leave(b"QUIT\r\n", format!("{refusal}: {said}")).await)
}

async fn reply<S: Stream>(talk: &mut Talk<S>) -> Result<Reply, String> {
    let mut reply = Reply { code: 0, lines: Vec::new() };
    loop {
        let line = talk.line().await?;
        let Some((code, is_last, text)) = parse(&line) else {
            return Err(format!("answers with something other than SMTP: {}", quote(&line)));
        };
        if !reply.lines.is_empty() && code != reply.code {
            return Err(format!("mixes codes within one reply: {}", quote(&line)));
        }
        reply.code = code;
        reply.lines.push(text.to_owned());
        if is_last {
            return Ok(reply);
        }
    }
}

/// Code, whether it is the last line, text.
fn parse(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.parse().ok())??;
    match rest.chars().next() {
        None => Some((code, true, "")),
        Some(' ') => Some((code, true, &rest[1..])),
        Some('-') => Some((code, false, &rest[1..])),
        Some(_) => None,
    }
}
