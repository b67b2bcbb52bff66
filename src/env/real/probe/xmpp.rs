//! XMPP: the stream's header, its features, `<starttls/>` (RFC 6120 sections 4 and 5).

use super::{
    talk::{Stream, Talk},
    words::quote,
    xml::{Tag, inner_tag, tag},
};

const END: &[u8] = b"</stream:stream>";

/// Leads to the server's go-ahead. `namespace` is that of the stream's content, `to` the domain that is asked for.
pub(super) async fn dialogue<S: Stream>(talk: &mut Talk<S>, namespace: &str, to: &str) -> Result<(), String> {
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' \
         to='{to}' version='1.0'>"
    );
    talk.say(header.as_bytes(), "answer to the stream header").await?;
    match tag(talk).await? {
        Tag::Open(name) if name == "stream" => {}
        other => return Err(format!("answers with something other than an XMPP stream: {}", show(&other))),
    }
    if !offers(talk).await? {
        return Err(talk.leave(END, "does not offer STARTTLS".to_owned()).await);
    }
    talk.say(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "answer to STARTTLS").await?;
    match tag(talk).await? {
        Tag::Empty(name) if name == "proceed" => Ok(()),
        Tag::Open(name) if name == "proceed" => through(talk, 1, &mut Vec::new()).await,
        other => Err(refusal(talk, other, "refuses STARTTLS").await),
    }
}

/// Do the features include STARTTLS?
async fn offers<S: Stream>(talk: &mut Talk<S>) -> Result<bool, String> {
    let mut features = Vec::new();
    match tag(talk).await? {
        Tag::Empty(name) if name == "features" => {}
        Tag::Open(name) if name == "features" => through(talk, 1, &mut features).await?,
        other => return Err(refusal(talk, other, "sends no features").await),
    }
    Ok(features.iter().any(|feature| feature == "starttls"))
}

/// Reads to the end of an element that is open, so many levels deep, and notes the names of its children.
async fn through<S: Stream>(talk: &mut Talk<S>, mut depth: usize, children: &mut Vec<String>) -> Result<(), String> {
    while depth > 0 {
        let (name, change) = match inner_tag(talk).await? {
            Tag::Close(_) => {
                depth -= 1;
                continue;
            }
            Tag::Empty(name) => (name, 0),
            Tag::Open(name) => (name, 1),
        };
        if depth == 1 {
            children.push(name);
        }
        depth += change;
    }
    Ok(())
}

/// Words for a tag that should not be there; of a stream error the condition, which is its first child.
async fn refusal<S: Stream>(talk: &mut Talk<S>, found: Tag, refusal: &str) -> String {
    let reason = match found {
        Tag::Open(name) if name == "error" => match inner_tag(talk).await {
            Ok(Tag::Open(condition) | Tag::Empty(condition)) => format!("ends the stream: {}", quote(&condition)),
            _ => "ends the stream with an error".to_owned(),
        },
        Tag::Close(name) if name == "stream" => "ends the stream".to_owned(),
        other => format!("{refusal}: {}", show(&other)),
    };
    talk.leave(END, reason).await
}

fn show(tag: &Tag) -> String {
    quote(&match tag {
        Tag::Open(name) => format!("<{name}>"),
        Tag::Empty(name) => format!("<{name}/>"),
        Tag::Close(name) => format!("</{name}>"),
    })
}
