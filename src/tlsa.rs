//! TLSA records: what a certificate chain publishes, and whether a set of records matches a chain (RFC 6698, RFC 7671).
//! Everything here is pure.

mod linked;

use crate::name::DnsName;
use crate::small::Set;
use data_encoding::HEXLOWER;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

/// TLSA RDATA (RFC 6698 section 2.1), ours or anybody's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Association {
    /// Certificate usage, 0–255.
    pub usage: u8,
    /// Selector, 0–255.
    pub selector: u8,
    /// Matching type, 0–255.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

/// A set of records is judged within each (usage, selector) group (RFC 7671 section 9).
pub type Group = (u8, u8);

impl Association {
    /// The group that the record belongs to.
    pub fn group(&self) -> Group {
        (self.usage, self.selector)
    }

    /// The group and the matching type: what decides which clients go by it.
    pub fn kind(&self) -> (Group, u8) {
        (self.group(), self.matching)
    }

    /// Association data in lower-case hex.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.data)
    }
}

impl fmt::Display for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.usage, self.selector, self.matching, self.hex())
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Association {
    type Err = String;
    fn from_str(text: &str) -> Result<Association, String> {
        let mut words = text.split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (usage, selector, matching) = (number(), number(), number());
        match (usage, selector, matching, HEXLOWER.decode(words.collect::<String>().to_lowercase().as_bytes())) {
            (Some(usage), Some(selector), Some(matching), Ok(data)) => {
                Ok(Association { usage, selector, matching, data })
            }
            _ => Err(format!("not TLSA data: {text:?}")),
        }
    }
}

impl TryFrom<String> for Association {
    type Error = String;
    fn try_from(text: String) -> Result<Association, String> {
        text.parse()
    }
}

impl From<Association> for String {
    fn from(record: Association) -> String {
        record.to_string()
    }
}

/// The parameters of a record that we publish: usage 2 or 3, selector 0 or 1, matching type 0, 1 or 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Param {
    usage: u8,
    selector: u8,
    matching: u8,
}

impl Param {
    /// Certificate usage: 2 DANE-TA, 3 DANE-EE.
    pub fn usage(self) -> u8 {
        self.usage
    }
    /// Selector: 0 the certificate, 1 its public key.
    pub fn selector(self) -> u8 {
        self.selector
    }
    /// Matching type: 0 the whole, 1 SHA-256, 2 SHA-512.
    pub fn matching(self) -> u8 {
        self.matching
    }
    /// The group that such records belong to.
    pub fn group(self) -> Group {
        (self.usage, self.selector)
    }
    /// The same usage and selector with another matching type; `None` for one that we cannot compute.
    pub fn with_matching(self, matching: u8) -> Option<Param> {
        (matching <= 2).then_some(Param { matching, ..self })
    }
}

impl FromStr for Param {
    type Err = String;
    fn from_str(text: &str) -> Result<Param, String> {
        match text.as_bytes() {
            [usage @ b'2'..=b'3', selector @ b'0'..=b'1', matching @ b'0'..=b'2'] => {
                Ok(Param { usage: usage - b'0', selector: selector - b'0', matching: matching - b'0' })
            }
            [b'0'..=b'1', b'0'..=b'1', b'0'..=b'2'] => {
                Err("usages 0 and 1 are not usable for mail (RFC 7672 section 3.1.3): write 2xx or 3xx, most often 311".into())
            }
            _ => Err("TLSA parameters are three digits, usage 2 or 3, selector 0 or 1, matching type 0, 1 or 2: most often 311".into()),
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.usage, self.selector, self.matching)
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One certificate of a chain: its original bytes and what TLSA needs of it. The bytes are never encoded anew.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate as it was read, DER.
    pub der: Arc<[u8]>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Arc<[u8]>,
    /// Start of validity, Unix seconds.
    pub not_before: i64,
    /// End of validity, Unix seconds.
    pub not_after: i64,
}

impl Certificate {
    /// What a selector selects (RFC 6698 section 2.1.2).
    fn object(&self, selector: u8) -> Option<&[u8]> {
        match selector {
            0 => Some(&self.der),
            1 => Some(&self.spki),
            _ => None,
        }
    }

    /// Certificate association data for this selector and matching type (RFC 6698 sections 2.1.2–2.1.4).
    fn data(&self, selector: u8, matching: u8) -> Option<Vec<u8>> {
        let object = self.object(selector)?;
        match matching {
            0 => Some(object.to_vec()),
            1 => Some(digest::digest(&digest::SHA256, object).as_ref().to_vec()),
            2 => Some(digest::digest(&digest::SHA512, object).as_ref().to_vec()),
            _ => None,
        }
    }

    fn matches(&self, record: &Association) -> bool {
        let Some(object) = self.object(record.selector) else { return false };
        let is_digest = |algorithm| digest::digest(algorithm, object).as_ref() == record.data;
        match record.matching {
            0 => object == record.data,
            1 => is_digest(&digest::SHA256),
            2 => is_digest(&digest::SHA512),
            _ => false,
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.data(0, 1).unwrap_or_default();
        write!(f, "Certificate({})", HEXLOWER.encode(&id[..id.len().min(6)]))
    }
}

/// A certificate chain as a server sends it: the leaf, then what follows it in the file.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The leaf first. Never empty.
    pub certificates: Arc<[Certificate]>,
    /// DNS names the leaf is valid for (its subjectAltName), as written, with wildcards.
    pub names: Arc<[String]>,
    /// Signatures are verified once somebody asks: usage 3 never does.
    linked: Arc<OnceLock<usize>>,
}

/// All else follows from the certificates.
impl PartialEq for Chain {
    fn eq(&self, other: &Chain) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for Chain {}

/// A chain has no certificate after the leaf, so usage 2 has nothing to publish (RFC 7671 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoIssuer;

impl fmt::Display for NoIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no certificate that issued the leaf follows it in the full chain, so there is nothing that usage 2 could publish")
    }
}

impl Chain {
    /// A chain of one certificate at least, and the names of the leaf.
    pub fn new(certificates: Vec<Certificate>, names: Vec<String>) -> Chain {
        Chain { certificates: certificates.into(), names: names.into(), linked: Arc::default() }
    }

    /// How many certificates after the leaf are linked to it by valid signatures, counted from the leaf on.
    pub fn linked(&self) -> usize {
        *self.linked.get_or_init(|| linked::linked(&self.certificates))
    }

    /// The same, where it was found out before.
    pub fn known_links(&self) -> Option<usize> {
        self.linked.get().copied()
    }

    /// Takes over what was found out of the very same chain before.
    pub fn know_links(&self, linked: usize) {
        if linked < self.certificates.len() {
            let _ = self.linked.set(linked);
        }
    }

    /// What this chain publishes for `param`: the leaf for usage 3, for usage 2 the certificate that follows it.
    pub fn association(&self, param: Param) -> Result<Association, NoIssuer> {
        let certificate = match param.usage {
            2 if self.linked() == 0 => return Err(NoIssuer),
            2 => &self.certificates[1],
            _ => &self.certificates[0],
        };
        let data = certificate.data(param.selector, param.matching).unwrap_or_default();
        Ok(Association { usage: param.usage, selector: param.selector, matching: param.matching, data })
    }

    /// Does this record alone match the chain (RFC 7671 section 5)? Usage 3 looks at nothing but the leaf. Usage 2 needs
    /// a valid path up to the certificate it names, dates that hold at `wall` (Unix seconds), and the base domain among the
    /// leaf's names. Usages 0 and 1 never match: mail clients treat them as unusable.
    pub fn matches(&self, record: &Association, base: &DnsName, wall: i64) -> bool {
        match record.usage {
            3 => self.certificates[0].matches(record),
            2 => {
                let path = &self.certificates[..=self.linked()];
                let issuer = path.iter().skip(1).position(|certificate| certificate.matches(record));
                issuer.is_some_and(|above| {
                    path[..above + 2].iter().all(|c| c.not_before <= wall && wall <= c.not_after) && self.names(base)
                })
            }
            _ => false,
        }
    }

    /// Is a host among the names of the leaf?
    pub fn names(&self, host: &DnsName) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }

    /// End of validity of the leaf, Unix seconds.
    pub fn not_after(&self) -> i64 {
        self.certificates[0].not_after
    }

    /// Start of validity of the leaf, Unix seconds.
    pub fn not_before(&self) -> i64 {
        self.certificates[0].not_before
    }
}

/// Does a name from a certificate cover a host name? A wildcard stands for the whole leftmost label (RFC 6125 section 6.4.3).
fn covers(pattern: &str, host: &DnsName) -> bool {
    let host = host.without_dot();
    match pattern.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(_, above)| above.eq_ignore_ascii_case(rest)),
        None => pattern.trim_end_matches('.').eq_ignore_ascii_case(host),
    }
}

/// Why a set of records does not match a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Mismatch {
    /// The set has no record of a group that we publish.
    Missing(Group),
    /// The group has records of this matching type, and none of them matches.
    Wrong(Group, u8),
    /// A client that does not know the digests of our records goes by one of this kind, which is not ours and would not match.
    Stranded(Group, u8),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Missing((usage, selector)) => write!(f, "no {usage} {selector} x record"),
            Mismatch::Wrong((usage, selector), matching) => {
                write!(f, "no {usage} {selector} {matching} record that matches")
            }
            Mismatch::Stranded((usage, selector), matching) => {
                write!(
                    f,
                    "clients that do not know the digests of our records go by a {usage} {selector} {matching} record that is not ours and \
                     fits the old certificate only: delete it there, or add a `tlsa` line for {usage}{selector}{matching}"
                )
            }
        }
    }
}

/// Would a client that knows but one digest beside the full data be let down when `to` is presented in place of `from`? It has to go
/// by whatever records it can use, also by those of others in other groups (RFC 7671 section 5): that matters where we
/// publish no digest that it knows.
pub fn stranded(
    records: &Set<Association>,
    from: &Chain,
    to: &Chain,
    base: &DnsName,
    wall: i64,
) -> Result<(), Mismatch> {
    for unknown in [1, 2] {
        let mut usable = records.iter().filter(|record| record.matching <= 2 && record.matching != unknown);
        if usable.clone().any(|record| to.matches(record, base, wall)) {
            continue;
        }
        if let Some(record) = usable.find(|record| from.matches(record, base, wall)) {
            return Err(Mismatch::Stranded(record.group(), record.matching));
        }
    }
    Ok(())
}

/// Do these records match the chain for every client, whatever digests it knows? In each group of `required` there must be a
/// record, and in each group of `required` or `present` a matching one for each matching type that occurs there, for a client
/// uses the strongest type that it knows and ignores the others (RFC 7671 section 9). Types that nobody has defined count for
/// nobody.
pub fn satisfied(
    records: &Set<Association>,
    chain: &Chain,
    base: &DnsName,
    wall: i64,
    required: &Set<Group>,
    present: &Set<Group>,
) -> Result<(), Mismatch> {
    for &group in required {
        if !records.iter().any(|record| record.group() == group && record.matching <= 2) {
            return Err(Mismatch::Missing(group));
        }
    }
    let ours = |record: &&Association| {
        record.matching <= 2 && (required.contains(&record.group()) || present.contains(&record.group()))
    };
    let kinds: BTreeSet<(Group, u8)> = records.iter().filter(ours).map(|r| (r.group(), r.matching)).collect();
    for (group, matching) in kinds {
        let mut of_kind = records.iter().filter(|r| r.group() == group && r.matching == matching);
        if !of_kind.any(|record| chain.matches(record, base, wall)) {
            return Err(Mismatch::Wrong(group, matching));
        }
    }
    Ok(())
}
