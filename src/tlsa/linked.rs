//! How far a chain is linked by signatures.

use super::Certificate;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// How many certificates after the leaf are linked to it, each by a valid signature, as a client would build the path
/// (RFC 7671 section 5.2). Dates are looked at by whoever matches, at the time of matching.
pub(super) fn linked(certificates: &[Certificate]) -> usize {
    let ders: Vec<CertificateDer<'_>> = certificates.iter().map(|c| CertificateDer::from(c.der.as_ref())).collect();
    let Some(Ok(leaf)) = ders.first().map(EndEntityCert::try_from) else { return 0 };
    let latest_start = certificates.iter().map(|c| c.not_before).max().unwrap_or(0);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(latest_start.max(0) as u64));
    let reaches = |above: &usize| {
        let Ok(anchor) = anchor_from_trusted_cert(&ders[*above]) else { return false };
        let between = &ders[1..*above];
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(algorithms, &[anchor], between, time, KeyUsage::server_auth(), None, None).is_ok()
    };
    (1..ders.len()).take_while(reaches).count()
}
