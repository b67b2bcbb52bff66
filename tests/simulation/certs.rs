//! Certificates of a small CA with two intermediates.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

/// Kind of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    #[default]
    P256,
    P384,
    Ed25519,
    /// 2048 bits. There are only four such keys, which come again and again.
    Rsa,
}

/// `ring` cannot make RSA keys.
const RSA_KEYS: &str = include_str!("rsa.pem");
const END: &str = "-----END PRIVATE KEY-----\n";

/// A key by its number: the same number is the same key, in every world of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub Algorithm, pub usize);

impl Key {
    fn make(self) -> KeyPair {
        match self.0 {
            Algorithm::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            Algorithm::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
            Algorithm::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
            Algorithm::Rsa => {
                KeyPair::from_pem(RSA_KEYS.split_inclusive(END).cycle().nth(self.1 % 4).unwrap()).unwrap()
            }
        }
    }
}

/// What an order to the CA says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    pub names: Vec<String>,
    pub key: Key,
    /// Which of the two intermediates issues it.
    pub issuer: usize,
    /// Days, counted from 1970-01-01.
    pub valid_from: i64,
    pub valid_days: i64,
    /// Number of the certificate: two with the same key differ by it.
    pub serial: u64,
}

/// An issued certificate, all in PEM.
#[derive(Debug)]
pub struct Issued {
    pub cert: String,
    pub chain: String,
    pub fullchain: String,
    pub key: String,
}

struct Ca {
    intermediates: Vec<(String, Issuer<'static, KeyPair>)>,
    keys: HashMap<Key, Rc<KeyPair>>,
    issued: HashMap<Order, Rc<Issued>>,
}

/// Certificates that a thread keeps, about 5 KiB each.
const REMEMBERED_AT_MOST: usize = 10_000;

thread_local! {
    /// Making certificates is slow, and histories do not care which they get: one CA for all worlds of a thread.
    static CA: RefCell<Ca> = RefCell::new(Ca::new());
}

fn day(day: i64) -> impl Fn(CertificateParams, i64) -> CertificateParams {
    let at = |days: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(days as u64 * 86_400);
    move |mut params, days| {
        params.not_before = at(day);
        params.not_after = at(day + days);
        params
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = day(20_000)(CertificateParams::new(Vec::new()).unwrap(), 36_500);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Ca {
    fn new() -> Ca {
        let root = Issuer::new(authority("Simulated root"), KeyPair::generate().unwrap());
        let intermediate = |number: usize| {
            let (params, key) = (authority(&format!("Simulated intermediate {number}")), KeyPair::generate().unwrap());
            (params.signed_by(&key, &root).unwrap().pem(), Issuer::new(params, key))
        };
        Ca { intermediates: (1..=2).map(intermediate).collect(), keys: HashMap::new(), issued: HashMap::new() }
    }

    fn issue(&mut self, order: &Order) -> Rc<Issued> {
        if let Some(issued) = self.issued.get(order) {
            return issued.clone();
        }
        let new_key = || Rc::new(order.key.make());
        let key = self.keys.entry(order.key).or_insert_with(new_key).clone();
        let mut params = day(order.valid_from)(CertificateParams::new(order.names.clone()).unwrap(), order.valid_days);
        params.distinguished_name.push(DnType::CommonName, order.names[0].as_str());
        params.serial_number = Some((order.serial + 1).into());
        let (chain, issuer) = &self.intermediates[order.issuer % self.intermediates.len()];
        let cert = params.signed_by(&*key, issuer).unwrap().pem();
        let fullchain = format!("{cert}{chain}");
        let issued = Rc::new(Issued { cert, chain: chain.clone(), fullchain, key: key.serialize_pem() });
        if self.issued.len() >= REMEMBERED_AT_MOST {
            self.issued.clear();
        }
        self.issued.insert(order.clone(), issued.clone());
        issued
    }
}

/// Issues a certificate; the same order gets the same one.
pub fn issue(order: &Order) -> Rc<Issued> {
    CA.with_borrow_mut(|ca| ca.issue(order))
}
