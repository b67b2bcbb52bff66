//! Clients that go by TLSA records (RFC 6698, 7671, 7672): which RRset lets which chain pass. Shares no code with
//! `daneroll::tlsa`.

#![allow(dead_code, reason = "not each test uses everything")]

use daneroll::name::DnsName;
use hickory_resolver::proto::rr::rdata::TLSA;
use ring::digest::{SHA256, SHA512, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_cert::der::{Decode, Encode, asn1::ObjectIdentifier};

/// Which digests a client knows. Full data (type 0) everyone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Sha256,
    Sha512,
    Both,
}

/// Whether a client lets a service pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No usable record: not a matter of DANE.
    NoDane,
    Matches,
    Fails,
}

/// One TLSA record, as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub data: Vec<u8>,
}

impl From<&TLSA> for Record {
    fn from(tlsa: &TLSA) -> Record {
        Record {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }
    }
}

/// A certificate as a client sees it.
pub struct Cert {
    whole: Vec<u8>,
    spki: Vec<u8>,
    names: Vec<String>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    from: i64,
    to: i64,
}

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

impl Cert {
    fn parse(der: &[u8]) -> Option<Cert> {
        let cert = x509_cert::Certificate::from_der(der).ok()?;
        let tbs = cert.tbs_certificate();
        let names = tbs.extensions().into_iter().flatten().filter(|extension| extension.extn_id == SUBJECT_ALT_NAME);
        Some(Cert {
            whole: der.to_vec(),
            spki: tbs.subject_public_key_info().to_der().ok()?,
            names: names.flat_map(|extension| dns_names(extension.extn_value.as_bytes())).collect(),
            subject: tbs.subject().to_der().ok()?,
            issuer: tbs.issuer().to_der().ok()?,
            from: tbs.validity().not_before.to_unix_duration().as_secs() as i64,
            to: tbs.validity().not_after.to_unix_duration().as_secs() as i64,
        })
    }

    /// Does the record's data fit this certificate?
    fn fits(&self, record: &Record) -> bool {
        let object = match record.selector {
            0 => &self.whole,
            1 => &self.spki,
            _ => return false,
        };
        match record.matching {
            0 => *object == record.data,
            1 => digest(&SHA256, object).as_ref() == record.data,
            2 => digest(&SHA512, object).as_ref() == record.data,
            _ => false,
        }
    }

    fn is_for(&self, base: &str) -> bool {
        let above = base.split_once('.').map(|(_, above)| format!("*.{above}"));
        self.names.iter().any(|name| name == base || Some(name) == above.as_ref())
    }
}

/// The dNSName entries of a subjectAltName: implicitly tagged [2] in a SEQUENCE, all lengths short or one byte long.
fn dns_names(mut der: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    der = element(der).map(|(_, content, _)| content).unwrap_or_default();
    while let Some((tag, content, rest)) = element(der) {
        if tag == 0x82 {
            names.push(String::from_utf8_lossy(content).to_lowercase());
        }
        der = rest;
    }
    names
}

fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, start) = match *der.get(1)? {
        0x81 => (usize::from(*der.get(2)?), 3),
        0x82 => (usize::from(*der.get(2)?) << 8 | usize::from(*der.get(3)?), 4),
        short => (usize::from(short), 2),
    };
    Some((der[0], der.get(start..start + length)?, der.get(start + length..)?))
}

/// Is a client of this kind content with a chain, given an RRset? RFC 7671: usages 0 and 1 are unusable (RFC 7672 section
/// 3.1.3), a digest type that the client does not know too; within one usage and selector only the strongest digest type
/// that it knows counts, and full data always. One matching record suffices.
pub fn judge(records: &[Record], pem: &[u8], base: &DnsName, wall: i64, client: Client) -> Verdict {
    judge_chain(records, &chain_of(pem), base, wall, client)
}

/// The certificates of a chain in PEM, as a client sees them.
pub fn chain_of(pem: &[u8]) -> Vec<Cert> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).filter_map(|der| Cert::parse(&der)).collect()
}

/// The same for a chain that was taken apart before.
pub fn judge_chain(records: &[Record], chain: &[Cert], base: &DnsName, wall: i64, client: Client) -> Verdict {
    let knows = |matching: u8| match client {
        Client::Sha256 => matching <= 1,
        Client::Sha512 => matching == 0 || matching == 2,
        Client::Both => matching <= 2,
    };
    let usable: Vec<&Record> = records
        .iter()
        .filter(|record| matches!(record.usage, 2 | 3) && record.selector <= 1 && knows(record.matching))
        .collect();
    if usable.is_empty() {
        return Verdict::NoDane;
    }
    let strongest = |record: &Record| {
        let group = usable.iter().filter(|other| (other.usage, other.selector) == (record.usage, record.selector));
        group.map(|other| other.matching).max() == Some(record.matching)
    };
    let counts = usable.iter().filter(|record| record.matching == 0 || strongest(record));
    let matched = counts.into_iter().any(|record| matches_chain(record, chain, base, wall));
    if matched { Verdict::Matches } else { Verdict::Fails }
}

fn matches_chain(record: &Record, chain: &[Cert], base: &DnsName, wall: i64) -> bool {
    let Some(leaf) = chain.first() else { return false };
    if record.usage == 3 {
        return leaf.fits(record);
    }
    // The path goes up by names; whether signatures hold is the business of the CA in this world.
    let linked = chain.windows(2).take_while(|pair| pair[0].issuer == pair[1].subject).count();
    let Some(above) = chain[1..=linked].iter().position(|cert| cert.fits(record)) else { return false };
    let path = &chain[..above + 2];
    leaf.is_for(base.without_dot()) && path.iter().all(|cert| cert.from <= wall && wall <= cert.to)
}

/// The record of a chain, for tests that publish by hand: `parameters` like `[3, 1, 1]`.
pub fn record_of(pem: &[u8], [usage, selector, matching]: [u8; 3]) -> daneroll::tlsa::Association {
    let certs: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    let cert = Cert::parse(&certs[usize::from(usage == 2)]).unwrap();
    let object = if selector == 0 { &cert.whole } else { &cert.spki };
    let data = match matching {
        0 => object.clone(),
        1 => digest(&SHA256, object).as_ref().to_vec(),
        _ => digest(&SHA512, object).as_ref().to_vec(),
    };
    daneroll::tlsa::Association { usage, selector, matching, data }
}

/// SHA-256 of the key in the first certificate: what `3 1 1` says.
pub fn key_digest(pem: &[u8]) -> Option<Vec<u8>> {
    let leaf = CertificateDer::from_pem_slice(pem).ok().and_then(|der| Cert::parse(&der))?;
    Some(digest(&SHA256, &leaf.spki).as_ref().to_vec())
}
