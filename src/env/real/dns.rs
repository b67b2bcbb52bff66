//! One DNS question and what fits it (RFC 1035, RFC 6891).

use crate::env::{Answered, Ask};
use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::DNSClass,
};

/// What we say that we can take, and what passes every network unfragmented (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// The question as a message, under an id by chance.
pub(super) fn question(ask: &Ask) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = ask.recursion;
    message.metadata.checking_disabled = ask.checking_disabled;
    message.add_query(Query::query(ask.name.to_name(), ask.kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

/// What these bytes are worth as the answer to a question that was sent with this id: the message, why it is of no use, or `None` if
/// they answer another question.
pub fn answer(ask: &Ask, id: u16, bytes: &[u8]) -> Option<Answered> {
    match fits(ask, id, bytes) {
        Fit::Answer(message) => Some(Ok(*message)),
        Fit::Useless(why) => Some(Err(why)),
        Fit::Foreign => None,
    }
}

pub(super) enum Fit {
    Answer(Box<Message>),
    /// It answers our question, and we cannot use it.
    Useless(String),
    /// It answers somebody else's question, or is forged.
    Foreign,
}

pub(super) fn fits(ask: &Ask, id: u16, bytes: &[u8]) -> Fit {
    // Id and QR are read first: only what carries our id deserves a complaint.
    match bytes {
        [high, low, flags, ..] if [*high, *low] == id.to_be_bytes() && flags & 0x80 != 0 => {}
        _ => return Fit::Foreign,
    }
    let message = match Message::from_vec(bytes) {
        Ok(message) => message,
        Err(error) => return Fit::Useless(format!("its answer cannot be parsed: {error}")),
    };
    match message.queries.as_slice() {
        [query] if repeats(ask, query) && is_answer(&message) => Fit::Answer(Box::new(message)),
        // A server that does not know EDNS may send back a bare header (RFC 6891 section 7).
        [] if message.response_code != ResponseCode::NoError => {
            Fit::Useless(format!("answers with an error and no question: {}", message.response_code))
        }
        _ => Fit::Foreign,
    }
}

fn is_answer(message: &Message) -> bool {
    message.message_type == MessageType::Response && message.op_code == OpCode::Query
}

fn repeats(ask: &Ask, query: &Query) -> bool {
    ask.name.is(query.name()) && query.query_type() == ask.kind && query.query_class() == DNSClass::IN
}
