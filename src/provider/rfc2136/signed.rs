//! An update on the wire: signed with TSIG, and the answer verified and understood.

use super::{Place, Trouble, TsigKey, words};
use crate::{name::DnsName, provider::Outcome};
use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        TSigVerifier, TSigner,
        rdata::tsig::{TSIG, TsigAlgorithm, TsigError},
    },
};
use std::fmt::Display;

/// How far the clocks may be apart, seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// A message ready to be sent.
pub(super) struct Request {
    /// Wire format, without length prefix.
    pub bytes: Vec<u8>,
    id: u16,
    signed: Option<Signed>,
}

struct Signed {
    verifier: TSigVerifier,
    key: DnsName,
}

impl Request {
    /// Signs `message` if there is a key. `now` is Unix time.
    pub(super) fn new(
        server: &Place,
        key: Option<&TsigKey>,
        mut message: Message,
        now: i64,
    ) -> Result<Request, Outcome> {
        let failed = |why: String| Outcome::Failed(format!("{server}: the update cannot be written: {why}"));
        let signed = key.map(|key| sign(&mut message, key, now)).transpose().map_err(failed)?;
        let bytes = message.to_vec().map_err(|error| failed(error.to_string()))?;
        // hickory cuts what does not fit and says so in this bit only.
        let cut = bytes.get(2).is_none_or(|flags| flags & 2 != 0);
        if cut || bytes.len() > usize::from(u16::MAX) {
            return Err(failed("the RRset does not fit into one message".into()));
        }
        Ok(Request { bytes, id: message.id, signed })
    }

    /// What the answer means for this update, `update` being what messages call it. `now` is Unix time.
    pub(super) fn understand(self, update: &impl Display, bytes: &[u8], now: i64) -> Result<(), Trouble> {
        let failed = |what: String| Err(Trouble::All(Outcome::Failed(format!("{update}: {what}"))));
        let answer = match Message::from_vec(bytes) {
            Ok(answer) => answer,
            Err(error) => return failed(format!("its answer to the update cannot be parsed: {error}")),
        };
        if (answer.id, answer.message_type, answer.op_code) != (self.id, MessageType::Response, OpCode::Update) {
            return failed("what it sent is no answer to the update".into());
        }
        let tsig = answer.signature.as_ref().map(|record| &record.data);
        if let (Some(signed), Some(tsig)) = (&self.signed, tsig)
            && let Some(error) = tsig.error
        {
            return failed(words::tsig(&signed.key, error, clocks_differ(tsig, now)));
        }
        let (code, unsigned) = (answer.response_code, self.signed.is_some() && tsig.is_none());
        match (self.signed, tsig) {
            (Some(signed), Some(tsig)) => {
                if let Err(what) = signed.verify(tsig, bytes) {
                    return failed(what);
                }
            }
            (Some(_), None) if code == ResponseCode::NoError => {
                return failed("its answer is not signed, so whether the update was made is not known".into());
            }
            _ => {}
        }
        words::update_refused(update, code, unsigned)
    }
}

impl Signed {
    fn verify(mut self, tsig: &TSIG, bytes: &[u8]) -> Result<(), String> {
        // hickory subtracts the one from the other without looking.
        let plausible = tsig.time >= u64::from(tsig.fudge);
        match plausible.then(|| self.verifier.verify(bytes)) {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(format!(
                "the signature of its answer does not hold ({error}), so whether the update was made is not known"
            )),
            None => Err("its answer was signed in 1970, so whether the update was made is not known".into()),
        }
    }
}

fn sign(message: &mut Message, key: &TsigKey, now: i64) -> Result<Signed, String> {
    let algorithm = match key.algorithm.trim_end_matches('.') {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        other => {
            return Err(format!("key {} has algorithm {other}: use hmac-sha256, hmac-sha384 or hmac-sha512", key.name));
        }
    };
    let signer = TSigner::new(key.secret.0.clone(), algorithm, key.name.to_name(), FUDGE);
    let time = u64::try_from(now).unwrap_or_default();
    let verifier = signer
        .map_err(|error| error.to_string())
        .and_then(|signer| message.finalize(&signer, time).map_err(|error| error.to_string()))?;
    let verifier = verifier.ok_or("the signer gave nothing to verify the answer with")?;
    Ok(Signed { verifier, key: key.name.clone() })
}

/// By how many seconds the server's clock is ahead of ours, if its refusal tells (RFC 8945 section 5.2.3).
fn clocks_differ(tsig: &TSIG, now: i64) -> Option<i64> {
    let [a, b, c, d, e, f] = *tsig.other.as_slice() else { return None };
    let theirs = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    (tsig.error == Some(TsigError::BadTime)).then_some(theirs - now)
}
