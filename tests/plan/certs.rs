//! Generations by name. `A`, `B` … have keys of their own; `A'` is another certificate for the key of `A`. Behind a slash:
//! `A/2` comes from a second issuer, `A/-` has no issuer in its chain, `A/other` has another name. `E` expired yesterday, and
//! `P` has less than a third of its life left.

use daneroll::{
    lineage::{Generation, GenerationId, pem},
    name::DnsName,
    small::Set,
    tlsa::{Association, Chain},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex},
    time::Duration,
};

/// Unix time of all scenes.
pub const WALL: i64 = 20_000 * DAY;
pub const DAY: i64 = 86_400;

pub fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

struct Ca {
    issuers: BTreeMap<&'static str, (String, Issuer<'static, KeyPair>)>,
    keys: BTreeMap<String, KeyPair>,
    made: BTreeMap<String, Generation>,
}

static CA: LazyLock<Mutex<Ca>> = LazyLock::new(|| {
    let issuers = ["1", "2"].map(|number| {
        let mut params = dated(CertificateParams::new(Vec::new()).unwrap(), -1000, 1000);
        params.distinguished_name.push(DnType::CommonName, format!("Issuer {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        (number, (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key)))
    });
    Mutex::new(Ca { issuers: issuers.into(), keys: BTreeMap::new(), made: BTreeMap::new() })
});

/// Valid from so many days before [`WALL`] to so many after it.
fn dated(mut params: CertificateParams, from: i64, to: i64) -> CertificateParams {
    let day = |day: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs((WALL + day * DAY) as u64);
    (params.not_before, params.not_after) = (day(from), day(to));
    params
}

/// The generation of that name.
pub fn generation(spec: &str) -> Generation {
    let ca = &mut *CA.lock().unwrap();
    if let Some(made) = ca.made.get(spec) {
        return made.clone();
    }
    let (letter, kind) = spec.split_once('/').unwrap_or((spec, ""));
    let key = letter.trim_end_matches('\'').to_owned();
    let key = &*ca.keys.entry(key).or_insert_with(|| KeyPair::generate().unwrap());
    let host = if kind == "other" { "other.example.com" } else { "mx.example.com" };
    let (from, to) = match letter {
        "E" => (-90, -1),
        "P" => (-70, 20),
        _ => (-10, 80),
    };
    let mut params = dated(CertificateParams::new(vec![host.to_owned()]).unwrap(), from, to);
    params.distinguished_name.push(DnType::CommonName, spec);
    let (chain, issuer) = &ca.issuers[if kind == "2" { "2" } else { "1" }];
    let leaf = params.signed_by(key, issuer).unwrap().pem();
    let chain = pem::chain(format!("{leaf}{}", if kind == "-" { "" } else { chain }).as_bytes()).unwrap();
    let made = Generation { id: GenerationId::of(&chain), chain, files: Vec::new() };
    ca.made.insert(spec.to_owned(), made.clone());
    made
}

pub fn id(spec: &str) -> GenerationId {
    generation(spec).id
}

pub fn chain(spec: &str) -> Chain {
    generation(spec).chain
}

/// A record by its generation: `A` is 3 1 1, `A:201` is 2 0 1; `x`, `y`, `z` are somebody else's, `x:319` too.
pub fn record(spec: &str) -> Association {
    static MADE: Mutex<BTreeMap<String, Association>> = Mutex::new(BTreeMap::new());
    if let Some(made) = MADE.lock().unwrap().get(spec) {
        return made.clone();
    }
    let record = make_record(spec);
    MADE.lock().unwrap().insert(spec.to_owned(), record.clone());
    record
}

fn make_record(spec: &str) -> Association {
    let (of, param) = spec.split_once(':').unwrap_or((spec, "311"));
    let foreign = of.chars().all(|c| c.is_ascii_lowercase());
    match param.parse() {
        Ok(param) if !foreign => chain(of).association(param).unwrap(),
        _ => {
            let digit = |at: usize| param.as_bytes()[at] - b'0';
            Association { usage: digit(0), selector: digit(1), matching: digit(2), data: of.as_bytes().repeat(32) }
        }
    }
}

/// Records by name; `-` for none.
pub fn records<'a>(specs: impl IntoIterator<Item = &'a str>) -> Set<Association> {
    specs.into_iter().filter(|spec| *spec != "-").map(record).collect()
}

/// The names of all generations made so far, by id.
pub fn names() -> BTreeMap<GenerationId, String> {
    CA.lock().unwrap().made.iter().map(|(name, made)| (made.id.clone(), name.clone())).collect()
}

/// Names of records of keys: a key has one name only.
static KEYS: Mutex<BTreeMap<Association, String>> = Mutex::new(BTreeMap::new());

/// A record's name: its key's, or that of the first generation that has it. Those of issuers are named after `A` and `A/2`.
pub fn record_name(record: &Association) -> String {
    if record.group() != (3, 1) {
        return first_name(record);
    }
    let mut keys = KEYS.lock().unwrap();
    let key = || {
        let name = first_name(record);
        let (of, param) = name.split_once(':').map_or((name.as_str(), String::new()), |(of, p)| (of, format!(":{p}")));
        let letter = of.split(['\'', '/']).next().unwrap_or_default();
        format!("{letter}{param}")
    };
    keys.entry(record.clone()).or_insert_with(key).clone()
}

fn first_name(record: &Association) -> String {
    let param = format!("{}{}{}", record.usage, record.selector, record.matching);
    let suffix = if param == "311" { String::new() } else { format!(":{param}") };
    if record.usage == 2 {
        // An issuer's record has many generations: whichever tests made before, it is named after these.
        let _ = (generation("A"), generation("A/2"));
    }
    let made: Vec<(String, Chain)> =
        CA.lock().unwrap().made.iter().map(|(name, made)| (name.clone(), made.chain.clone())).collect();
    let parsed: Option<daneroll::tlsa::Param> = param.parse().ok();
    let is_its = |chain: &Chain| parsed.and_then(|param| chain.association(param).ok()).as_ref() == Some(record);
    match made.iter().find(|(_, chain)| is_its(chain)) {
        Some((name, _)) => name.clone() + &suffix,
        None => String::from_utf8_lossy(&record.data[..1]).into_owned() + &suffix,
    }
}
