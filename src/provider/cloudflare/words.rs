//! Cloudflare's refusals in plain words, each with its cure.

use super::answer::{Complaint, Trouble};
use crate::provider::{Outcome, http::said};

/// The secret is no good, for whatever it is used.
const SECRET: [i64; 15] = [1000, 6003, 6100, 6101, 6102, 6103, 6104, 6105, 6106, 6111, 9103, 9106, 9107, 10001, 10502];
/// The secret may not do this.
const FORBIDDEN: [i64; 3] = [9109, 10000, 10013];
/// The zone's identifier is wrong.
const ZONE: [i64; 4] = [1001, 1049, 7000, 7003];
const TTL: i64 = 9021;
const EXISTS: [i64; 2] = [81057, 81058];
const MISSING: i64 = 81044;
/// "Please wait and consider throttling your request speed".
const THROTTLED: i64 = 971;

/// What a refusal means.
pub(super) fn refused(server: &str, source: &str, status: u16, complaints: &[Complaint]) -> Trouble {
    let has = |codes: &[i64]| complaints.iter().any(|complaint| codes.contains(&complaint.code));
    let said = match all(complaints) {
        said if said.is_empty() => format!("status {status}"),
        said => said,
    };
    let failed = |what: &str| Outcome::Failed(format!("{server} {what} ({said})"));
    if has(&EXISTS) {
        Trouble::Exists
    } else if has(&[MISSING]) {
        Trouble::Missing
    } else if has(&[THROTTLED]) {
        Trouble::All(Outcome::Temporary(format!("{server} wants fewer requests ({said})")))
    } else if has(&SECRET) || status == 401 {
        Trouble::All(failed(&format!(
            "does not accept the secret in {source}: has it expired, or been rolled or revoked? Make a token with the permissions \
             Zone Read and DNS Edit and write it there"
        )))
    } else if has(&FORBIDDEN) || status == 403 {
        Trouble::Zone(failed(&format!(
            "does not let the secret in {source} do this: it may have expired, or lacks the permission Zone Read or DNS Edit for \
             this zone"
        )))
    } else if has(&[TTL]) {
        Trouble::One(failed("does not take this TTL: set `record_ttl` to 60 s or more"))
    } else if has(&ZONE) {
        Trouble::Zone(failed("does not know the zone by this identifier: correct or leave out `zone:`"))
    } else {
        Trouble::One(failed("refuses"))
    }
}

/// Codes and messages in a row.
pub(super) fn all(complaints: &[Complaint]) -> String {
    let one = |complaint: &Complaint| said(&format!("{} {}", complaint.code, complaint.message.trim_end_matches('.')));
    complaints.iter().take(5).map(one).collect::<Vec<_>>().join("; ")
}
