//! What validating clients would meet: at every instant, every answer that a cache may hold against every chain that a
//! service may present. Shares no code with `daneroll::tlsa`.

use daneroll::{
    env::sim::{
        World,
        history::{Answer, Entry},
        zone::name,
    },
    name::DnsName,
};
use hickory_resolver::proto::rr::{RData, rdata::TLSA};
use ring::digest::{SHA256, SHA512, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};
use x509_cert::der::{Decode, Encode, asn1::ObjectIdentifier};

/// A moment at which a client would have failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Milliseconds since the world began.
    pub at: u64,
    pub service: String,
    pub why: String,
}

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
struct Cert {
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
    let chain: Vec<Cert> =
        CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).filter_map(|der| Cert::parse(&der)).collect();
    let counts = usable.iter().filter(|record| record.matching == 0 || strongest(record));
    let matched = counts.into_iter().any(|record| matches_chain(record, &chain, base, wall));
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

/// Watches a world and notes every violation.
#[derive(Clone)]
pub struct Oracle {
    inner: Rc<Inner>,
}

/// Records, chain, base domain, day. A chain is known by its address; those that were judged stay alive, so none is reused.
type Case = (Vec<Record>, usize, DnsName, i64);
/// The chain, and the client that fails.
type Judged = (Rc<[u8]>, Option<Client>);

#[derive(Default)]
struct Inner {
    seen: Cell<(u64, i64)>,
    open: RefCell<BTreeSet<(String, String)>>,
    outages: RefCell<BTreeMap<String, usize>>,
    judged: RefCell<HashMap<Case, Judged>>,
    violations: RefCell<Vec<Violation>>,
    checks: Cell<usize>,
}

impl Oracle {
    /// Watches from now on.
    pub fn new(world: &World) -> Oracle {
        let inner = Rc::new(Inner::default());
        let oracle = Oracle { inner: inner.clone() };
        inner.check(world);
        world.on_step(move |world| inner.check(world));
        oracle
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.inner.violations.borrow().clone()
    }

    /// How often a cached answer was held against a chain.
    pub fn checks(&self) -> usize {
        self.inner.checks.get()
    }

    /// # Panics
    /// If there was a violation.
    pub fn assert_clean(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{} violations, the first: {:#?}", violations.len(), violations[0]);
        assert!(self.checks() > 0, "the oracle had nothing to check");
    }
}

impl Inner {
    /// Caches only forget as time goes by, so what was right stays right until something changes, or a certificate ends:
    /// the wall clock counts in days.
    fn check(&self, world: &World) {
        let seen = world.look(|state| (state.changes, state.wall() / 86_400));
        if self.seen.replace(seen) == seen {
            return;
        }
        world.look(|state| {
            let mut now_open = BTreeSet::new();
            for (service_name, service) in &state.services {
                let known = self.outages.borrow().get(service_name).copied().unwrap_or(0);
                for outage in &service.outages[known..] {
                    self.note(outage.at, service_name, outage.why.clone());
                }
                self.outages.borrow_mut().insert(service_name.clone(), service.outages.len());
                for (entry, records) in cached(state, &service.query_name(), state.now(), 0) {
                    for chain in service.presented() {
                        let Some(client) = self.fails(&records, &chain, &service.base, state.wall()) else { continue };
                        let why = describe(&entry, &records, &chain, client);
                        now_open.insert((service_name.clone(), why.clone()));
                        if !self.open.borrow().contains(&(service_name.clone(), why.clone())) {
                            self.note(state.now(), service_name, why);
                        }
                    }
                }
            }
            self.open.replace(now_open);
        });
    }

    /// The client that would fail, if any would.
    fn fails(&self, records: &[Record], chain: &Rc<[u8]>, base: &DnsName, wall: i64) -> Option<Client> {
        self.checks.set(self.checks.get() + 1);
        let case = (records.to_vec(), chain.as_ptr() as usize, base.clone(), wall / 86_400);
        let judge = || {
            let clients = [Client::Sha256, Client::Sha512, Client::Both];
            let fails = |client: &Client| judge(records, chain, base, wall, *client) == Verdict::Fails;
            (chain.clone(), clients.into_iter().find(fails))
        };
        self.judged.borrow_mut().entry(case).or_insert_with(judge).1
    }

    fn note(&self, at: u64, service: &str, why: String) {
        self.violations.borrow_mut().push(Violation { at, service: service.to_owned(), why });
    }
}

/// The RRsets that caches may hold for a name, through all CNAMEs that they may hold.
fn cached(state: &daneroll::env::sim::State, owner: &DnsName, now: u64, depth: usize) -> Vec<(Entry, Vec<Record>)> {
    let mut found = Vec::new();
    for entry in state.dns.history.cached(owner, now) {
        match &entry.answer {
            Answer::Denied => {}
            Answer::Records(set) => {
                let record = |data: &RData| if let RData::TLSA(tlsa) = data { Some(Record::from(tlsa)) } else { None };
                found.push((entry.clone(), set.data.iter().filter_map(record).collect()));
            }
            Answer::Alias(target) if depth < 8 => found.extend(cached(state, target, now, depth + 1)),
            Answer::Alias(_) => {}
        }
    }
    found
}

fn describe(entry: &Entry, records: &[Record], chain: &[u8], client: Client) -> String {
    let hex = |bytes: &[u8]| bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
    let records = records.iter().map(|r| format!("{} {} {} {}…", r.usage, r.selector, r.matching, hex(&r.data)));
    let leaf = CertificateDer::from_pem_slice(chain).ok().and_then(|der| Cert::parse(&der));
    let leaf = leaf.map(|leaf| hex(digest(&SHA256, &leaf.spki).as_ref())).unwrap_or_default();
    format!(
        "{client:?} client: {} showed [{}] with TTL {} from {} ms on, and the key presented is {leaf}…",
        entry.server,
        records.collect::<Vec<_>>().join(", "),
        entry.ttl,
        entry.from,
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::{Algorithm, Key, Order, issue};

    fn order(key: usize, issuer: usize) -> Order {
        let names = vec!["mx.example.com".to_owned()];
        Order { names, key: Key(Algorithm::P256, key), issuer, valid_from: 20_800, valid_days: 90, serial: 0 }
    }

    const WALL: i64 = 20_833 * 86_400;

    #[test]
    fn clients() {
        let (ours, other) = (issue(&order(1, 0)), issue(&order(2, 1)));
        let record = |params, ours_or_other: &str| {
            let issued = if ours_or_other == "ours" { &ours } else { &other };
            let daneroll::tlsa::Association { usage, selector, matching, data } =
                record_of(issued.fullchain.as_bytes(), params);
            Record { usage, selector, matching, data }
        };
        use Client::*;
        use Verdict::*;
        type Case<'a> = (&'a str, &'a [([u8; 3], &'a str)], [Verdict; 3]);
        let cases: &[Case] = &[
            ("nothing", &[], [NoDane, NoDane, NoDane]),
            ("3 1 1", &[([3, 1, 1], "ours")], [Matches, NoDane, Matches]),
            ("another key", &[([3, 1, 1], "other")], [Fails, NoDane, Fails]),
            ("both keys", &[([3, 1, 1], "other"), ([3, 1, 1], "ours")], [Matches, NoDane, Matches]),
            ("3 0 0", &[([3, 0, 0], "ours")], [Matches, Matches, Matches]),
            ("3 1 2", &[([3, 1, 2], "ours")], [NoDane, Matches, Matches]),
            ("stronger wrong", &[([3, 1, 1], "ours"), ([3, 1, 2], "other")], [Matches, Fails, Fails]),
            ("other group", &[([3, 1, 1], "ours"), ([3, 0, 2], "other")], [Matches, Fails, Matches]),
            ("full data beside", &[([3, 1, 0], "ours"), ([3, 1, 2], "other")], [Matches, Matches, Matches]),
            ("2 1 1", &[([2, 1, 1], "ours")], [Matches, NoDane, Matches]),
            ("2 0 1", &[([2, 0, 1], "ours")], [Matches, NoDane, Matches]),
            ("another issuer", &[([2, 1, 1], "other")], [Fails, NoDane, Fails]),
            ("usage 1", &[([1, 1, 1], "ours")], [NoDane, NoDane, NoDane]),
        ];
        for (what, records, expected) in cases {
            let records: Vec<Record> = records.iter().map(|(params, whose)| record(*params, whose)).collect();
            let pem = ours.fullchain.as_bytes();
            let got = [Sha256, Sha512, Both].map(|client| judge(&records, pem, &name("mx.example.com"), WALL, client));
            assert_eq!(got, *expected, "{what}");
        }
    }

    #[test]
    fn usage_2_checks_name_and_dates() {
        let pem = issue(&order(1, 0)).fullchain.clone();
        let daneroll::tlsa::Association { usage, selector, matching, data } = record_of(pem.as_bytes(), [2, 1, 1]);
        let records = [Record { usage, selector, matching, data }];
        for (base, wall, verdict) in [
            ("mx.example.com", WALL, Verdict::Matches),
            ("other.example.com", WALL, Verdict::Fails),
            ("mx.example.com", WALL + 90 * 86_400, Verdict::Fails),
            ("mx.example.com", WALL - 90 * 86_400, Verdict::Fails),
        ] {
            assert_eq!(judge(&records, pem.as_bytes(), &name(base), wall, Client::Both), verdict, "{base} {wall}");
        }
    }
}
