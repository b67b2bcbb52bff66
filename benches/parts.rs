//! What the parts cost in which the kernel has no share, for each of 100, 1,000 and 10,000 lineages: `cargo bench`. Whole processes are
//! measured by tests/bench/run, beside Alnitak and bare system calls.
//!
//! Printed are microseconds for each lineage, the best of some, and how many times the work of 1,000 lineages that of 10,000
//! takes. It is no test: whatever it measures, it ends with 0.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise, and prints"
)]

use daneroll::{
    config::{self, Loaded, Overrides, System},
    env::{Boot, Kind, Print, Stat, sim::World},
    facts::{Facts, LineageFacts, OwnerView, PROVIDER, Security, Served, ServerView},
    journal::{Journal, Shown, clock::Clock},
    lineage::{
        Generation, GenerationId, pem,
        sets::{self, Looked},
    },
    name::DnsName,
    observe::remember::{Configured, remember},
    plan::{Action, Input, Plan, check::check, plan},
    small::{Map, Set},
    tlsa::satisfied,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeMap,
    fmt::Write,
    hint::black_box,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const BOOT: &str = "bench";
const SIZES: [usize; 3] = [100, 1000, 10_000];
/// A year that certificates of rcgen are valid in, Unix seconds.
const WALL: i64 = 1_700_000_000;

/// A full chain and its key, PEM.
type Pair = (String, String);

fn pairs() -> Vec<Pair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let pair = |number: usize| {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name(number)]).unwrap().signed_by(&key, &issuer).unwrap();
        (format!("{}{authority}", leaf.pem()), key.serialize_pem())
    };
    (0..SIZES[2]).map(pair).collect()
}

fn name(number: usize) -> String {
    format!("h{number:05}.bench.example")
}

/// The best time of some runs. Each has a thread of its own, for what is remembered belongs to the thread.
fn best<T>(work: impl Fn() -> T + Sync) -> Duration {
    let once = || {
        let began = Instant::now();
        black_box(work());
        began.elapsed()
    };
    (0..5).map(|_| thread::scope(|scope| scope.spawn(once).join().unwrap())).min().unwrap_or_default()
}

/// A line of the table.
fn row(work: &str, time: impl Fn(usize) -> Duration) -> [Duration; 3] {
    let times = SIZES.map(time);
    let mut line = format!("| {work} |");
    for (size, time) in SIZES.iter().zip(times) {
        let _ = write!(line, " {:.2} |", time.as_secs_f64() * 1e6 / *size as f64);
    }
    println!("{line} {:.1} |", times[2].as_secs_f64() / times[1].as_secs_f64());
    times
}

fn configuration(lineages: usize) -> String {
    let sections = (0..lineages).map(|number| {
        let name = name(number);
        format!("[{name}]\ntlsa = 311 25\ntlsa = 311 443\n")
    });
    "api = exec /sim/provider\nreload = /sim/reload\nverify = provider\nprobe = off\nttl = 0\n".to_owned()
        + &sections.collect::<String>()
}

fn parsed(text: &str) -> Loaded {
    config::parse(
        Path::new("/etc/daneroll/daneroll.conf"),
        text.as_bytes(),
        &Overrides::default(),
        &System(&World::new()),
    )
}

/// What a stat would tell of the files of a set.
fn looked(number: usize) -> Looked {
    let stat = |file: u64| {
        let (inode, modified) = (4 * number as u64 + file, (WALL, 0));
        let print = Some(Print { device: 1, inode, size: 1000, modified });
        let (kind, changed) = (Kind::File, Some(modified));
        Some(Stat { kind, device: 1, inode, size: 1000, mode: 0o600, uid: 0, gid: 0, changed, print })
    };
    Looked::new("bench", &[0, 1, 2, 3].map(stat)).unwrap()
}

/// Reads sets as if from files that were never seen.
fn read(pairs: &[Pair]) {
    for (number, (full, key)) in pairs.iter().enumerate() {
        let chain = pem::chain(full.as_bytes()).unwrap();
        pem::check_key(key.as_bytes(), &chain.certificates[0]).unwrap();
        sets::remember(&looked(number), &GenerationId::of(&chain), &chain);
    }
}

/// A host whose lineages are all new: every record is to be published.
fn first_use(loaded: &Loaded, generations: &[Generation]) -> (Facts, Journal) {
    let lineage = |generation: &Generation| LineageFacts {
        live: Ok(generation.clone()),
        in_place: false,
        doubted: None,
        served: Served::Live,
        stored: Map::new(),
        linked_to_store: false,
        held: false,
        unlinked: Vec::new(),
    };
    let names = loaded.config.sections.iter().map(|section| section.name.clone());
    let lineages = names.zip(generations.iter().map(lineage)).collect();
    let mut configured = Configured::new();
    for section in &loaded.config.sections {
        for line in &section.tlsa {
            configured.entry(line.query_name().unwrap()).or_default().insert(section.name.clone());
        }
    }
    let owners = configured.keys().map(|query| (query.clone(), empty(query))).collect();
    let facts = Facts { wall: WALL, lineages, owners, ..Facts::empty() };
    let clock = Clock::start(Boot { id: BOOT.into(), millis: 0 });
    let mut journal = Journal { clock, lineages: BTreeMap::new(), owners: BTreeMap::new() };
    remember(&mut journal, &facts, Some(0), 0, &configured);
    (facts, journal)
}

/// There is no record yet.
fn empty(query: &DnsName) -> OwnerView {
    let answer = Ok(Shown { records: Some(Set::new()), ttl: 0 });
    let name = "bench".to_owned();
    let server = ServerView { name, answer, bogus: false, serial: None, listed: true, ns_ttl: 0, no_route: false };
    let servers = Ok(Map::from([(PROVIDER, server)]));
    OwnerView { target: query.clone(), zone: None, servers, by_provider: true, security: Security::Secure }
}

fn planned(loaded: &Loaded, facts: &Facts, journal: &Journal) -> Plan {
    let sections = loaded.config.sections.iter().map(|section| (section.name.clone(), section.clone())).collect();
    let input = Input { config: &loaded.config, sections: &sections, facts, journal };
    check(input, plan(input))
}

fn main() {
    // `cargo test` calls benches, too.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let pairs = pairs();
    let texts: BTreeMap<usize, String> = SIZES.map(|size| (size, configuration(size))).into();
    println!("| work | 100 | 1,000 | 10,000: µs each | times 1,000 |\n|---|---:|---:|---:|---:|");
    row("a configuration is parsed", |size| best(|| parsed(&texts[&size])));
    let read_anew = row("sets are read and checked", |size| best(|| read(&pairs[..size])));
    let kept = |size: usize| {
        let keep = || {
            read(&pairs[..size]);
            sets::to_write(BOOT).unwrap()
        };
        thread::scope(|scope| scope.spawn(keep).join().unwrap())
    };
    let recalled = row("sets are recalled", |size| {
        let bytes = kept(size);
        let all = || {
            sets::recall(&bytes, BOOT);
            (0..size).filter_map(|number| sets::known(&looked(number))).count()
        };
        assert_eq!(thread::scope(|scope| scope.spawn(all).join().unwrap()), size);
        best(all)
    });
    let generations: Vec<Generation> = pairs
        .iter()
        .map(|(full, _)| {
            let chain = pem::chain(full.as_bytes()).unwrap();
            Generation { id: GenerationId::of(&chain), chain, files: Vec::new() }
        })
        .collect();
    row("a first use is planned and checked", |size| {
        let loaded = parsed(&texts[&size]);
        let (facts, journal) = first_use(&loaded, &generations[..size]);
        let Plan { actions, troubles, .. } = planned(&loaded, &facts, &journal);
        let added = actions.iter().filter(|action| matches!(action, Action::Add(_))).count();
        assert_eq!((added, troubles), (2 * size, Vec::new()));
        best(|| planned(&loaded, &facts, &journal))
    });
    let sets: Vec<Set<_>> = generations
        .iter()
        .map(|generation| {
            ["311", "312"].map(|param| generation.chain.association(param.parse().unwrap()).unwrap()).into()
        })
        .collect();
    let (base, required) = (name(0).parse().unwrap(), Set::from([(3, 1)]));
    row("a chain is matched with 3 1 1 and 3 1 2", |size| {
        let matches = |(generation, set): (&Generation, &Set<_>)| {
            satisfied(set, &generation.chain, &base, WALL, &required, &Set::new()).is_ok()
        };
        let all = || generations[..size].iter().zip(&sets).filter(|pair| matches(*pair)).count();
        assert_eq!(all(), size);
        best(all)
    });
    row("for comparison: SHA-256 over a certificate", |size| {
        let hashed = |generation: &Generation| digest(&SHA256, &generation.chain.certificates[0].der);
        let all = || generations[..size].iter().map(hashed).filter(|digest| digest.as_ref()[0] == 0).count();
        best(all)
    });
    let times = read_anew[1].as_secs_f64() / recalled[1].as_secs_f64();
    println!("\n1,000 sets are recalled in 1/{times:.0} of the time that it takes to read them.");
}
