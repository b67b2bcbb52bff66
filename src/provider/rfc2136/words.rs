//! What servers answer, in plain words, each with its cure.

use super::Trouble;
use crate::{name::DnsName, provider::Outcome};
use hickory_resolver::proto::{op::ResponseCode, rr::rdata::tsig::TsigError};
use std::fmt::Display;

/// The response code of an update (RFC 2136 section 2.2); `update` names server, zone and owners. `unsigned`: we signed, and this
/// answer is not signed.
pub(super) fn update_refused(update: &impl Display, code: ResponseCode, unsigned: bool) -> Result<(), Trouble> {
    let what = match code {
        ResponseCode::NoError => return Ok(()),
        ResponseCode::NXRRSet => return Err(Trouble::Changed { vanished: true }),
        ResponseCode::YXRRSet => return Err(Trouble::Changed { vanished: false }),
        // Where PowerDNS cannot verify a signature it says no more than this.
        ResponseCode::Refused if unsigned => {
            "refuses the update (REFUSED) and signs no answer: it may not know the key, or have another secret or algorithm \
             for it, or a clock more than 300 s off; or take no updates from this host (PowerDNS: dnsupdate, \
             allow-dnsupdate-from, `pdnsutil list-tsig-keys`)"
        }
        ResponseCode::Refused => {
            "refuses the update (REFUSED): allow this key to change TLSA records there (BIND: update-policy or allow-update; \
             PowerDNS: TSIG-ALLOW-DNSUPDATE of the zone), and name the primary server in the `api` line"
        }
        ResponseCode::ServFail => {
            "failed to make the update (SERVFAIL): see its log; often it may not write its journal beside the zone file"
        }
        ResponseCode::NotAuth => {
            "is not an authority for this zone, or does not take this key or any update without one for it (NOTAUTH): name the \
             primary server in the `api` line, see that `zone:` is the apex of the zone, and give the key's file as `key:`"
        }
        ResponseCode::NotZone => "says that the owner is not in this zone (NOTZONE): correct `zone:` in the `api` line",
        ResponseCode::NotImp => {
            "does not take dynamic updates (NOTIMP, as NSD, which is never a primary for them): name the server that does, \
             or use another `api`"
        }
        ResponseCode::FormErr => {
            "does not understand the update (FORMERR): does it support RFC 2136 with prerequisites?"
        }
        ResponseCode::YXDomain | ResponseCode::NXDomain => {
            "says that a name exists that should not, or the reverse (YXDOMAIN, NXDOMAIN), which we did not ask"
        }
        _ => {
            return Err(Trouble::Owner(Outcome::Failed(format!("{update}: answers with {code}"))));
        }
    };
    let outcome = Outcome::Failed(format!("{update}: {what}"));
    Err(match code {
        ResponseCode::NotAuth | ResponseCode::NotImp => Trouble::All(outcome),
        _ => Trouble::Owner(outcome),
    })
}

/// A TSIG error (RFC 8945 section 3); `ahead`: by how many seconds the server's clock is ahead of ours.
pub(super) fn tsig(key: &DnsName, error: TsigError, ahead: Option<i64>) -> String {
    match (error, ahead) {
        (TsigError::BadKey, _) => {
            format!(
                "does not take the TSIG key {key} (BADKEY): compare name and algorithm with the server's, byte for byte; knot \
                 says so too where no `acl` of the zone lets the key update TLSA records"
            )
        }
        (TsigError::BadSig, _) => {
            format!("the secret of the TSIG key {key} is not the server's (BADSIG): copy the key file anew")
        }
        (TsigError::BadTime, Some(ahead)) => {
            let direction = if ahead < 0 { "behind" } else { "ahead of" };
            let by = ahead.unsigned_abs();
            format!("its clock is {by} s {direction} ours (BADTIME): TSIG allows 300 s; set the clocks right")
        }
        (TsigError::BadTime, None) => "its clock and ours differ by more than 300 s (BADTIME): set them right".into(),
        (TsigError::BadTrunc, _) => {
            format!("wants shorter signatures for the TSIG key {key} (BADTRUNC): this is not supported")
        }
        (TsigError::Unknown(code), _) => format!("refuses the signature with the TSIG key {key}, TSIG error {code}"),
    }
}

/// The response code of a question to the server about its own data.
pub(super) fn question_refused(server: &impl Display, name: &DnsName, code: ResponseCode) -> Outcome {
    let text = match code {
        ResponseCode::Refused => format!(
            "{server} refuses to answer questions about {name} (REFUSED): name the primary server of its zone, and let this \
             host ask it (BIND: allow-query)"
        ),
        ResponseCode::ServFail => {
            format!("{server} cannot answer questions about {name} (SERVFAIL): see its log; is the zone loaded?")
        }
        code => format!("{server} answers a question about {name} with {code}"),
    };
    match code {
        ResponseCode::ServFail => Outcome::Temporary(text),
        _ => Outcome::Failed(text),
    }
}
