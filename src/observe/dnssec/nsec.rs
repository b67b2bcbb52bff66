//! What a proved denial of DS records says about the name: does an unsigned zone begin there?

use crate::name::DnsName;
use data_encoding::BASE32_DNSSEC;
use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, NSEC3},
    op::Message,
    rr::{Name, RData, RecordType},
};

/// Do the records, which were proved before, leave room for an unsigned delegation at `name` (RFC 6840 section 4.4)? With NSEC3 and
/// opt-out any name that is not there may be one (RFC 5155 section 6).
pub(super) fn may_delegate(denial: &Message, name: &DnsName) -> bool {
    denial.authorities.iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            name.is(&record.name) && delegates(&nsec.type_bit_maps().collect::<Vec<_>>())
        }
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => nsec3_delegates(&record.name, nsec3, name),
        _ => false,
    })
}

/// NS without SOA is a delegation; with DS it would be a signed one.
fn delegates(types: &[RecordType]) -> bool {
    types.contains(&RecordType::NS) && !types.contains(&RecordType::SOA) && !types.contains(&RecordType::DS)
}

fn nsec3_delegates(owner: &Name, nsec3: &NSEC3, name: &DnsName) -> bool {
    let Some(from) = owner.iter().next().and_then(|label| BASE32_DNSSEC.decode(&label.to_ascii_lowercase()).ok())
    else {
        return false;
    };
    let Ok(hash) = nsec3.hash_algorithm().hash(nsec3.salt(), &name.to_name(), nsec3.iterations()) else { return false };
    let (hash, to) = (hash.as_ref(), nsec3.next_hashed_owner_name());
    if hash == &from[..] {
        return delegates(&nsec3.type_bit_maps().collect::<Vec<_>>());
    }
    // The last record of the circle leads back to its beginning.
    let between = if &from[..] < to { &from[..] < hash && hash < to } else { &from[..] < hash || hash < to };
    nsec3.opt_out() && between
}
