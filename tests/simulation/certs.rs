//! Certificates of a small CA with two intermediates, and certbot's way of putting them into `live/` and `archive/`.

use daneroll::env::sim::World;
use nix::errno::Errno;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

/// Kind of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    P256,
    P384,
    /// The default: key and signatures follow from the number, so that a history is the same each time it is played.
    #[default]
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
            Algorithm::Ed25519 => ed25519(self.1 as u64),
            Algorithm::Rsa => {
                KeyPair::from_pem(RSA_KEYS.split_inclusive(END).cycle().nth(self.1 % 4).unwrap()).unwrap()
            }
        }
    }
}

/// A key in PKCS #8 (RFC 8410 section 7) whose seed is a number.
fn ed25519(number: u64) -> KeyPair {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let seed = ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes());
    let der = PrivatePkcs8KeyDer::from([&HEAD[..], seed.as_ref()].concat());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).unwrap()
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
    params.serial_number = Some(1.into());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Ca {
    fn new() -> Ca {
        let root = Issuer::new(authority("Simulated root"), ed25519(u64::MAX));
        let intermediate = |number: usize| {
            let params = authority(&format!("Simulated intermediate {number}"));
            let key = ed25519(u64::MAX - number as u64);
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

/// How a renewal goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Renewal {
    /// `--reuse-key`
    pub reuse_key: bool,
    pub algorithm: Algorithm,
    pub issuer: usize,
    pub flaw: Flaw,
}

/// What is wrong with what a renewal leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    #[default]
    None,
    /// `privkey` is the key of another certificate.
    WrongKey,
    /// `chain` is empty, and `fullchain` the leaf alone.
    EmptyChain,
    /// certbot was killed when it had moved so many of the four links.
    LinksMoved(usize),
    /// `cert` and `fullchain` break off in the middle.
    Torn,
    /// `privkey` cannot be read.
    Unreadable,
}

/// certbot on the simulated host. Every step of it can be observed, and an event between two of them.
#[derive(Clone)]
pub struct Certbot {
    world: World,
    root: PathBuf,
    lineages: Rc<RefCell<BTreeMap<String, Lineage>>>,
    keys: Rc<Cell<usize>>,
}

#[derive(Clone)]
struct Lineage {
    names: Vec<String>,
    number: usize,
    key: Key,
    valid_days: i64,
}

const KINDS: [&str; 4] = ["cert", "chain", "fullchain", "privkey"];
const KEPT: usize = 5;

impl Certbot {
    /// certbot with this configuration directory.
    pub fn new(world: &World, root: &str) -> Certbot {
        Certbot::with_keys(world, root, Rc::default())
    }

    /// That of another host: it makes other keys.
    pub fn elsewhere(&self, root: &str) -> Certbot {
        Certbot::with_keys(&self.world, root, self.keys.clone())
    }

    fn with_keys(world: &World, root: &str, keys: Rc<Cell<usize>>) -> Certbot {
        let certbot = Certbot { world: world.clone(), root: PathBuf::from(root), lineages: Rc::default(), keys };
        certbot.step(|disk| {
            for dir in ["", "live", "archive"] {
                make_all(disk, &certbot.root.join(dir));
            }
        });
        certbot
    }

    /// A first issuance, or one after [`Certbot::delete`]: numbers start at 1.
    pub fn issue(&self, lineage: &str, names: &[&str], valid_days: i64) {
        let key = self.new_key(Algorithm::default());
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.lineages.borrow_mut().insert(lineage.to_owned(), Lineage { names, number: 0, key, valid_days });
        self.step(|disk| {
            make_all(disk, &self.root.join("live").join(lineage));
            make_all(disk, &self.root.join("archive").join(lineage));
        });
        self.renew(lineage, Renewal { reuse_key: true, ..Renewal::default() });
    }

    /// The names of the certificates to come.
    pub fn certify(&self, lineage: &str, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.lineages.borrow_mut().get_mut(lineage).unwrap().names = names;
    }

    /// Renews: writes the four files of the next number, moves the four links one by one, prunes the archive.
    pub fn renew(&self, lineage: &str, renewal: Renewal) {
        let (number, files) = self.next(lineage, renewal);
        let archive = self.root.join("archive").join(lineage);
        for (kind, text) in KINDS.iter().zip(files) {
            let (path, mode) =
                (archive.join(format!("{kind}{number}.pem")), if *kind == "privkey" { 0o600 } else { 0o644 });
            self.step(|disk| disk.create(&path, text.as_bytes(), mode).unwrap());
        }
        let moved = if let Flaw::LinksMoved(count) = renewal.flaw { count } else { KINDS.len() };
        for kind in &KINDS[..moved] {
            self.point(lineage, kind, number);
        }
        if renewal.flaw == Flaw::Unreadable {
            self.world.fail_paths(archive.join(format!("privkey{number}.pem")), Errno::EACCES);
        }
        if number > KEPT {
            for kind in KINDS {
                let old = archive.join(format!("{kind}{}.pem", number - KEPT));
                self.step(|disk| _ = disk.remove(&old));
            }
        }
    }

    /// `certbot delete`: link by link, file by file.
    pub fn delete(&self, lineage: &str) {
        self.lineages.borrow_mut().remove(lineage);
        for dir in ["live", "archive"] {
            let dir = self.root.join(dir).join(lineage);
            for name in self.world.look(|state| state.disk.list(&dir)).unwrap() {
                self.step(|disk| disk.remove(&dir.join(&name)).unwrap());
            }
            self.step(|disk| disk.remove_dir(&dir).unwrap());
        }
    }

    /// The full chain of one archive number, as it was issued.
    pub fn fullchain(&self, lineage: &str, number: usize) -> Vec<u8> {
        let path = self.root.join("archive").join(lineage).join(format!("fullchain{number}.pem"));
        self.world.look(|state| state.disk.read(&path)).unwrap().to_vec()
    }

    /// The archive number of the newest issuance.
    pub fn number(&self, lineage: &str) -> usize {
        self.lineages.borrow()[lineage].number
    }

    /// Keys are counted in each world, so that every world of a thread uses the same few.
    fn new_key(&self, algorithm: Algorithm) -> Key {
        self.keys.set(self.keys.get() + 1);
        Key(algorithm, self.keys.get())
    }

    fn next(&self, lineage: &str, renewal: Renewal) -> (usize, [String; 4]) {
        let key = self.new_key(renewal.algorithm);
        let mut lineages = self.lineages.borrow_mut();
        let state = lineages.get_mut(lineage).unwrap_or_else(|| panic!("no lineage {lineage}"));
        state.number += 1;
        if !renewal.reuse_key {
            state.key = key;
        }
        let valid_from = self.world.look(|world| world.wall()) / 86_400 - 1;
        let order = Order {
            names: state.names.clone(),
            key: state.key,
            issuer: renewal.issuer,
            valid_from,
            valid_days: state.valid_days,
            serial: state.number as u64,
        };
        let issued = issue(&order);
        let mut files = [issued.cert.clone(), issued.chain.clone(), issued.fullchain.clone(), issued.key.clone()];
        match renewal.flaw {
            Flaw::WrongKey => {
                files[3] = issue(&Order { key: Key(key.0, key.1 + 1_000_001), ..order }).key.clone();
            }
            Flaw::EmptyChain => (files[1], files[2]) = (String::new(), files[0].clone()),
            Flaw::Torn => {
                for file in [0, 2] {
                    let half = files[file].len() / 3;
                    files[file].truncate(half);
                }
            }
            Flaw::None | Flaw::LinksMoved(_) | Flaw::Unreadable => {}
        }
        (state.number, files)
    }

    /// Unlinks and links one file of `live/`, as certbot does: for a moment there is none.
    fn point(&self, lineage: &str, kind: &str, number: usize) {
        let link = self.root.join("live").join(lineage).join(format!("{kind}.pem"));
        let target = format!("../../archive/{lineage}/{kind}{number}.pem");
        self.step(|disk| _ = disk.remove(&link));
        self.step(|disk| disk.symlink(&link, Path::new(&target)).unwrap());
    }

    fn step(&self, step: impl FnOnce(&mut daneroll::env::sim::disk::Disk)) {
        self.world.change(|state| step(&mut state.disk));
    }
}

/// Makes a directory and those above it, with certbot's mode.
fn make_all(disk: &mut daneroll::env::sim::disk::Disk, dir: &Path) {
    let missing: Vec<&Path> = dir.ancestors().filter(|dir| disk.inode(dir, true).is_err()).collect();
    for dir in missing.iter().rev() {
        disk.make_dir(dir, 0o700).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daneroll::env::Files;

    const NAME: &str = "mx.example.com";

    fn certbot() -> (World, Certbot) {
        let world = World::new();
        let certbot = Certbot::new(&world, "/etc/letsencrypt");
        certbot.issue(NAME, &[NAME], 90);
        (world, certbot)
    }

    fn list(world: &World, dir: &str) -> Vec<String> {
        let names = world.list(&Path::new("/etc/letsencrypt").join(dir).join(NAME)).unwrap();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    fn live(world: &World, kind: &str) -> String {
        let path = format!("/etc/letsencrypt/live/{NAME}/{kind}.pem");
        String::from_utf8(world.read(Path::new(&path)).unwrap()).unwrap()
    }

    #[test]
    fn numbers_links_and_pruning() {
        let (world, certbot) = certbot();
        for number in 2..=7 {
            certbot.renew(NAME, Renewal::default());
            assert_eq!(certbot.number(NAME), number);
        }
        assert_eq!(list(&world, "live"), ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]);
        let archive = list(&world, "archive");
        let numbers = archive.iter().filter_map(|name| name.strip_prefix("cert")?.strip_suffix(".pem"));
        assert_eq!(numbers.collect::<Vec<_>>(), ["3", "4", "5", "6", "7"]);
        let link = world.target(Path::new("/etc/letsencrypt/live/mx.example.com/privkey.pem")).unwrap();
        assert_eq!(link, Path::new("../../archive/mx.example.com/privkey7.pem"));
        assert_eq!(live(&world, "fullchain"), live(&world, "cert") + &live(&world, "chain"));
        certbot.delete(NAME);
        certbot.issue(NAME, &[NAME], 90);
        assert_eq!(list(&world, "archive"), ["cert1.pem", "chain1.pem", "fullchain1.pem", "privkey1.pem"]);
    }

    #[test]
    fn keys_and_issuers() {
        let (world, certbot) = certbot();
        let now = || (live(&world, "privkey"), live(&world, "cert"), live(&world, "chain"));
        let first = now();
        certbot.renew(NAME, Renewal { reuse_key: true, ..Renewal::default() });
        let second = now();
        assert!(first.0 == second.0 && first.1 != second.1 && first.2 == second.2);
        certbot.renew(NAME, Renewal { issuer: 1, algorithm: Algorithm::Ed25519, ..Renewal::default() });
        let third = now();
        assert!(second.0 != third.0 && second.2 != third.2);
        let (other_world, _) = self::certbot();
        assert_eq!(live(&other_world, "privkey"), first.0, "all worlds of a thread use the same few keys");
    }

    /// What a service makes of each flaw.
    #[test]
    fn flaws() {
        for (flaw, algorithm, works) in [
            (Flaw::None, Algorithm::P256, true),
            (Flaw::None, Algorithm::P384, true),
            (Flaw::None, Algorithm::Ed25519, true),
            (Flaw::None, Algorithm::Rsa, true),
            (Flaw::WrongKey, Algorithm::Rsa, false),
            (Flaw::EmptyChain, Algorithm::P256, true),
            (Flaw::LinksMoved(2), Algorithm::P256, true),
            (Flaw::WrongKey, Algorithm::P256, false),
            (Flaw::LinksMoved(3), Algorithm::P256, false),
            (Flaw::Torn, Algorithm::P256, false),
        ] {
            let (world, certbot) = certbot();
            certbot.renew(NAME, Renewal { flaw, algorithm, ..Renewal::default() });
            world.serve(daneroll::env::sim::service::Service::new(
                "smtp",
                NAME,
                25,
                "/etc/letsencrypt/live/mx.example.com",
            ));
            let outages = world.look(|state| state.services["smtp"].outages.clone());
            assert_eq!(outages.is_empty(), works, "{flaw:?} {algorithm:?} {outages:?}");
        }
        let (world, certbot) = certbot();
        certbot.renew(NAME, Renewal { flaw: Flaw::Unreadable, ..Renewal::default() });
        let key = Path::new("/etc/letsencrypt/live/mx.example.com/privkey.pem");
        assert!(world.survive(|world| world.read(key).is_err()).unwrap());
    }
}
