//! What validating clients would meet: at every instant, every answer that a cache may hold against every chain that a
//! service may present.

use crate::clients::{Client, Record, Verdict, chain_of, judge_chain, key_digest};
use daneroll::{
    env::sim::{
        World,
        history::{Answer, Entry},
    },
    name::DnsName,
};
use hickory_resolver::proto::rr::RData;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

/// A moment at which a client would have failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Milliseconds since the world began.
    pub at: u64,
    pub service: String,
    pub why: String,
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
            let certificates = chain_of(chain);
            let fails = |client: &Client| judge_chain(records, &certificates, base, wall, *client) == Verdict::Fails;
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
    let leaf = key_digest(chain).map(|digest| hex(&digest)).unwrap_or_default();
    format!(
        "{client:?} client: {} showed [{}] with TTL {} from {} ms on, and the key presented is {leaf}…",
        entry.server,
        records.collect::<Vec<_>>().join(", "),
        entry.ttl,
        entry.from,
    )
}

#[cfg(test)]
mod tests {
    use crate::{
        certs::{Algorithm, Key, Order, issue},
        clients::{Client, Record, Verdict, judge, record_of},
    };
    use daneroll::env::sim::zone::name;

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
