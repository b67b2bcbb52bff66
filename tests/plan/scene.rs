//! A scene in one line: statements divided by `;`, all about one lineage `mx` at one owner (port 25) unless said otherwise.
//! Times are seconds ago, TTLs seconds.
//!
//! | statement | |
//! |---|---|
//! | `tlsa 311 201` | parameters of the lineage (311 at first) |
//! | `lineage NAME`, `port N` | from here on about this lineage, with this owner |
//! | `live A`, `follows`, `pinned A`, `foreign A`, `damaged A B`, `missing`, `unknown` | files; `live !` is unreadable |
//! | `stored A B`, `held`, `unlinked`, `archived` (links lead to the client's files) | more of them |
//! | `presented A`, `left P 500`, `waiting B C`, `remembers A` | the journal of the lineage |
//! | `deploy D`, `deployed D 400`, `reload R`, `reloaded R 400`, `reloads R 400` (only the journal), `hold 60`, `patience 60`, `shared`, `pin`, `provider` | its section |
//! | `atonce ns1` | what edits its zone, at that server, makes all changes in one |
//! | `unconfigured`, `withdrawn`, `forced B` | |
//! | `ns1 A B`, `ns1 ?`, `ns1 ?noroute`, `ns1 ?bogus`, `ns1 ?unsigned`, `ns1 -` | what an address shows now |
//! | `host ns2 ns1`, `unasked ns2` | the address bears that host name; it was not asked this time |
//! | `past ns1 A 60 100` | it showed that with TTL 60 until 100 s ago; `past ns1 ? 60 100` nobody knows what |
//! | `since ns1 50` | its answer was first seen then |
//! | `ours A`, `found A`, `publishing A`, `deleting A`, `deleted A` | records in the journal, of this lineage, 1000 s old |
//! | `aged A 299` | so old |
//! | `probe` | its services are looked at |
//! | `mx1 A B`, `mx1 A ?`, `mx1 ?`, `nohost`, `nowhere` | what an address of the service presents; `?`: not all is known |
//! | `seen A 50`, `unseen A 500 50`, `probed 50` | what probes told before: from so long ago to so long ago |
//! | `uninstalled 60` | since then nobody knows whether services were ever given what is served |
//! | `barred B`, `bogus`, `insecure` | |
//! | `noview`, `noservers`, `ttl 0` | |

use crate::certs::{WALL, generation, id, name, names, record, records};
use daneroll::{
    config::{Api, Config, Dnssec, Pin, Probe, Section, TlsaLine, Verify},
    env::Boot,
    facts::{AddressView, EndpointView, Facts, LineageFacts, OwnerView, Security, Served, ServerView},
    journal::{
        Journal, LineageDoc, Origin, Override, OwnerDoc, Past, Presented, RecordDoc, RecordState, Reloaded, Shown,
        Unfinished, Unseen,
        clock::{Clock, Stamp},
    },
    lineage::source::Source,
    name::DnsName,
    plan::{Action, Cause, Goal, Input, Plan, Step, check::check, plan},
    provider::{
        exec::Exec,
        rfc2136::{Place, Rfc2136},
    },
    small::Map,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// The moment of all scenes: 100 days on the journal's clock.
pub const NOW: Stamp = Stamp(100 * 86_400_000);

/// So many seconds before [`NOW`].
pub fn ago(seconds: u64) -> Stamp {
    Stamp(NOW.0 - seconds * 1000)
}

/// TTL of all answers in `nsN` statements.
pub const TTL: u64 = 3600;

/// Everything that a plan is made from.
#[derive(Clone)]
pub struct Scene {
    pub config: Config,
    pub sections: BTreeMap<String, Section>,
    pub facts: Facts,
    pub journal: Journal,
    lineage: String,
    port: u16,
}

pub fn query(port: u16) -> DnsName {
    static QUERIES: Mutex<BTreeMap<u16, DnsName>> = Mutex::new(BTreeMap::new());
    let new = || name(&format!("_{port}._tcp.mx.example.com"));
    QUERIES.lock().unwrap().entry(port).or_insert_with(new).clone()
}

/// `ns3` is 192.0.2.3.
pub fn address(server: &str) -> SocketAddr {
    format!("192.0.2.{}:53", server.trim_start_matches("ns")).parse().unwrap()
}

fn section(name: &str) -> Section {
    Section {
        name: name.into(),
        line: 1,
        source: Source::Certbot,
        tlsa: Vec::new(),
        wanted: Vec::new(),
        api: Api::of(Exec { argv: vec!["/sim/provider".into()], user: None, at_once: 1, temporary_from: 128 }),
        record_ttl: 300,
        hook: None,
        deploy: Arc::default(),
        reload: Arc::default(),
        verify: Verify::Authoritative,
        probe: Probe::Off,
        probe_address: Vec::new(),
        hold: None,
        settle: 0,
        recheck: 3600,
        patience: 86_400,
        shared: false,
        pin: Pin::Renewal,
        bundle: false,
        keep: 0,
        nameservers: Vec::new(),
        timeout: 300,
    }
}

impl Scene {
    /// Reads a script.
    pub fn new(script: &str) -> Scene {
        let config = Config {
            path: "/etc/daneroll/daneroll.conf".into(),
            letsencrypt_directory: "/etc/letsencrypt".into(),
            dane_directory: "/etc/daneroll/dane".into(),
            state_directory: "/var/lib/daneroll".into(),
            dane_mode: 0o700,
            dane_group: None,
            ttl: None,
            log: None,
            log_level: None,
            log_format: None,
            resolvers: Vec::new(),
            trust_anchor: None,
            dnssec: Dnssec::Validate,
            prometheus_file: None,
            notify: Vec::new(),
            stuck: None,
            sections: Vec::new(),
            broken: BTreeSet::new(),
        };
        let clock = Clock { epoch: "test".into(), boot: Boot { id: "boot".into(), millis: NOW.0 }, total: NOW.0 };
        let journal = Journal { clock, lineages: BTreeMap::new(), owners: BTreeMap::new() };
        let facts = Facts {
            now: NOW,
            wall: WALL,
            lineages: BTreeMap::new(),
            owners: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            mail: BTreeMap::new(),
        };
        let mut scene = Scene { config, sections: BTreeMap::new(), facts, journal, lineage: "mx".into(), port: 25 };
        scene.open_lineage("mx");
        scene.and(script)
    }

    /// The same with more statements.
    pub fn and(mut self, script: &str) -> Scene {
        for statement in script.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            self.state(words[0], &words[1..]);
        }
        self.config.sections = self.sections.values().cloned().collect();
        self
    }

    fn open_lineage(&mut self, name: &str) {
        self.lineage = name.into();
        let facts = LineageFacts {
            live: Err("unset".into()),
            in_place: false,
            doubted: None,
            served: Served::Missing,
            stored: Map::new(),
            linked_to_store: true,
            held: false,
            unlinked: Vec::new(),
        };
        self.facts.lineages.entry(name.into()).or_insert(facts);
        self.journal.lineages.entry(name.into()).or_default();
        self.sections.entry(name.into()).or_insert_with(|| section(name));
        self.line(&["311"]);
    }

    fn line(&mut self, params: &[&str]) {
        let line = |param: &&str| TlsaLine {
            param: param.parse().unwrap(),
            port: self.port,
            protocol: "tcp",
            domain: name("mx.example.com"),
            probe: None,
        };
        let lines: Vec<TlsaLine> = params.iter().map(line).collect();
        let port = self.port;
        if let Some(section) = self.sections.get_mut(&self.lineage) {
            section.tlsa.retain(|line| line.port != port);
            section.tlsa.extend(lines);
        }
        self.journal.owners.entry(query(port)).or_insert_with(|| OwnerDoc {
            zone: Some(name("example.com")),
            asked: Some(NOW),
            ..OwnerDoc::new(query(port))
        });
        self.view();
    }

    fn view(&mut self) -> &mut OwnerView {
        let query = query(self.port);
        self.facts.owners.entry(query.clone()).or_insert_with(|| OwnerView {
            target: query,
            zone: Some(name("example.com")),
            servers: Ok(Map::new()),
            by_provider: false,
            security: Security::Secure,
        })
    }

    fn owner(&mut self) -> &mut OwnerDoc {
        self.journal.owners.get_mut(&query(self.port)).unwrap()
    }

    fn files(&mut self) -> &mut LineageFacts {
        self.facts.lineages.get_mut(&self.lineage).unwrap()
    }

    fn doc(&mut self) -> &mut LineageDoc {
        self.journal.lineages.get_mut(&self.lineage).unwrap()
    }

    fn section(&mut self) -> &mut Section {
        self.sections.get_mut(&self.lineage).unwrap()
    }

    fn state(&mut self, verb: &str, words: &[&str]) {
        match verb {
            "tlsa" => self.line(words),
            "lineage" => self.open_lineage(words[0]),
            "port" => {
                self.port = words[0].parse().unwrap();
                self.line(&["311"]);
            }
            "ttl" => self.config.ttl = Some(words[0].parse().unwrap()),
            "noview" => drop(self.facts.owners.remove(&query(self.port))),
            "noservers" => self.view().servers = Err("no such zone".into()),
            "past" | "since" => self.history(verb, words),
            "bogus" => self.view().security = Security::Bogus("expired".into()),
            "insecure" => self.view().security = Security::Insecure,
            "aged" => {
                let record = record(words[0]);
                self.owner().records.get_mut(&record).unwrap().since = ago(words[1].parse().unwrap());
            }
            // The provider said so long ago that the owner's records are as they are; or was asked, and never did.
            "accepted" | "tried" => {
                let since = Some(ago(words[0].parse().unwrap()));
                for doc in self.owner().records.values_mut() {
                    match verb {
                        "tried" => doc.tried = since,
                        _ => doc.accepted = since,
                    }
                }
            }
            "unasked" => {
                let servers = self.view().servers.as_mut().unwrap();
                servers.remove(&address(words[0])).unwrap();
            }
            "host" => {
                let servers = self.view().servers.as_mut().unwrap();
                servers.get_mut(&address(words[0])).unwrap().name = words[1].into();
            }
            "probed" => self.owner().probed = Some(ago(words[0].parse().unwrap())),
            "nowhere" => _ = self.visits(),
            "nohost" => self.visits().addresses = Err("no address".into()),
            _ if verb.starts_with("mx") => self.presents(verb, words),
            _ if verb.starts_with("ns") => self.shows(verb, words),
            "ours" | "found" | "publishing" | "deleting" | "deleted" => self.record(verb, words),
            "live" | "follows" | "pinned" | "foreign" | "damaged" | "missing" | "unknown" | "stored" | "held"
            | "unlinked" | "archived" => self.file(verb, words),
            "seen" | "unseen" | "barred" | "presented" | "left" | "waiting" | "remembers" | "uninstalled"
            | "deployed" | "reloaded" | "reloads" | "withdrawn" | "forced" => {
                self.remember(verb, words);
            }
            _ => self.setting(verb, words),
        }
    }

    fn shows(&mut self, server: &str, words: &[&str]) {
        let answer = match words[0] {
            "?" | "?noroute" => Err("no answer".to_owned()),
            "?bogus" => Err("its answer is BOGUS: expired".to_owned()),
            "?unsigned" => Err("its answer cannot be validated: no DNSKEY".to_owned()),
            _ => Ok(Shown { records: Some(records(words.iter().copied())), ttl: TTL }),
        };
        let view = ServerView {
            name: server.into(),
            answer: answer.clone(),
            bogus: words[0] == "?bogus",
            serial: Some(1),
            listed: true,
            ns_ttl: 3600,
            no_route: words[0] == "?noroute",
        };
        if words[0] == "?bogus" {
            self.view().security = Security::Bogus("expired".into());
        }
        if let Ok(servers) = &mut self.view().servers {
            servers.insert(address(server), view);
        }
        let doc = self.owner().servers.entry(address(server)).or_default();
        (doc.name, doc.serial, doc.ns_ttl) = (server.into(), Some(1), 3600);
        if let Ok(shown) = answer {
            (doc.now, doc.since) = (Some(shown), Some(ago(100)));
        }
    }

    fn visits(&mut self) -> &mut EndpointView {
        let new = || EndpointView { addresses: Ok(BTreeMap::new()) };
        self.facts.endpoints.entry(query(self.port)).or_insert_with(new)
    }

    fn presents(&mut self, host: &str, words: &[&str]) {
        let address = format!("203.0.113.{}:25", host.trim_start_matches("mx")).parse().unwrap();
        let chains = words.iter().filter(|word| **word != "?").map(|word| generation(word).chain).collect();
        let unknown = words.contains(&"?").then(|| "refused".to_owned());
        if let Ok(addresses) = &mut self.visits().addresses {
            addresses.insert(address, AddressView { chains, unknown });
        }
    }

    fn history(&mut self, verb: &str, words: &[&str]) {
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let doc = self.owner().servers.get_mut(&address(words[0])).unwrap();
        if verb == "since" {
            doc.since = Some(ago(number(1)));
            return;
        }
        let end = words.len();
        let shown = &words[1..end - 2];
        let records = (shown[0] != "?").then(|| records(shown.iter().copied()));
        doc.past.push(Past { shown: Shown { records, ttl: number(end - 2) }, gone: ago(number(end - 1)) });
    }

    fn record(&mut self, verb: &str, words: &[&str]) {
        let lineage = self.lineage.clone();
        let origin = if verb == "found" { Origin::Found } else { Origin::Published };
        let state = match verb {
            "publishing" => RecordState::Publishing,
            "deleting" => RecordState::Deleting,
            "deleted" => RecordState::Deleted,
            _ => RecordState::Published,
        };
        let owner = self.owner();
        owner.lineages.insert(lineage.clone());
        for word in words {
            let new = || RecordDoc::new(origin, state, ago(1000));
            owner.records.entry(record(word)).or_insert_with(new).lineages.insert(lineage.clone());
        }
    }

    fn file(&mut self, verb: &str, words: &[&str]) {
        let files = self.files();
        match verb {
            "live" if words[0] == "!" => files.live = Err("torn".into()),
            "live" => files.live = Ok(generation(words[0])),
            "follows" => files.served = Served::Live,
            "pinned" => files.served = Served::Pinned(generation(words[0])),
            "foreign" => files.served = Served::Foreign(generation(words[0])),
            "damaged" => {
                let shows = words.get(1).map(|other| generation(other)).ok_or("gone".to_owned());
                files.served = Served::Damaged { pinned: id(words[0]), shows };
            }
            "missing" => files.served = Served::Missing,
            "unknown" => files.served = Served::Unknown("odd".into()),
            "stored" => files.stored = words.iter().map(|word| (id(word), generation(word))).collect(),
            "held" => files.held = true,
            "archived" => files.linked_to_store = false,
            _ => files.unlinked = vec!["cert.pem".into()],
        }
    }

    fn remember(&mut self, verb: &str, words: &[&str]) {
        let seconds = || words[1].parse::<u64>().unwrap();
        let presented = |left| {
            let not_after = generation(words[0]).chain.not_after();
            Presented::new(id(words[0]), not_after, left, 7200)
        };
        match verb {
            "presented" => {
                self.doc().served = Some(id(words[0]));
                self.doc().presented.push(presented(None));
            }
            "left" => self.doc().presented.push(presented(Some(ago(seconds())))),
            "seen" => self.left(words[0]).sight(ago(seconds()), ["203.0.113.9:25".parse().unwrap()].into()),
            "unseen" => {
                let last = ago(words[2].parse().unwrap());
                self.left(words[0]).unseen = Some(Unseen { since: ago(seconds()), last });
            }
            "uninstalled" => self.doc().uninstalled = Some(ago(words[0].parse().unwrap())),
            "barred" => self.doc().barred = Some(id(words[0])),
            "waiting" => self.doc().waiting = words.iter().map(|word| id(word)).collect(),
            "remembers" => self.doc().served = Some(id(words[0])),
            "withdrawn" => self.doc().withdrawn = true,
            "deployed" => {
                let command = vec![words[0].to_owned()];
                self.doc().deploys.push(Reloaded { command, began: ago(seconds()), ended: ago(seconds()) });
            }
            "forced" => self.doc().overrides.push(Override { generation: id(words[0]), at: ago(60), wall: WALL }),
            _ => {
                let command = vec![words[0].to_owned()];
                self.doc().reloads.push(Reloaded { command, began: ago(seconds()), ended: ago(seconds()) });
            }
        }
        match verb {
            "reloaded" => self.setting("reload", &words[..1]),
            "deployed" => self.setting("deploy", &words[..1]),
            _ => {}
        }
    }

    fn left(&mut self, word: &str) -> &mut Presented {
        let id = id(word);
        self.doc().presented.iter_mut().find(|presented| presented.generation == id).unwrap()
    }

    fn setting(&mut self, verb: &str, words: &[&str]) {
        let number = || words[0].parse::<u64>().unwrap();
        match verb {
            "deploy" => Arc::make_mut(&mut self.section().deploy).push(vec![words[0].to_owned()]),
            "reload" => Arc::make_mut(&mut self.section().reload).push(vec![words[0].to_owned()]),
            "hold" => self.section().hold = Some(number()),
            "patience" => self.section().patience = number(),
            "probe" => self.section().probe = Probe::Auto,
            "shared" => self.section().shared = true,
            "pin" => self.section().pin = Pin::Always,
            "keep" => self.section().keep = number() as usize,
            // Its client overwrites its files; what they hold is no set, or a doubtful one, since so long ago.
            "copied" => {
                self.files().in_place = true;
                self.section().pin = Pin::Always;
            }
            "torn" | "doubted" => {
                let generation = (verb == "doubted").then(|| id("D"));
                let since = ago(number());
                self.files().live = Err("the key does not fit".into());
                self.doc().unfinished = Some(Unfinished { since, generation });
            }
            "provider" => self.section().verify = Verify::Provider,
            "atonce" => {
                let servers = vec![Place { host: words[0].into(), port: 53 }];
                self.section().api = Api::of(Rfc2136 { servers, key: None, zone: None });
            }
            "unconfigured" => drop(self.sections.remove(&self.lineage)),
            other => panic!("no statement {other:?}"),
        }
    }

    pub fn input(&self) -> Input<'_> {
        Input { config: &self.config, sections: &self.sections, facts: &self.facts, journal: &self.journal }
    }

    /// The plan. The checker has nothing to say against it, and making it twice gives the same.
    pub fn plan(&self) -> Plan {
        let made = plan(self.input());
        assert_eq!(made, plan(self.input()), "not deterministic");
        let checked = check(self.input(), made.clone());
        assert_eq!(made, checked, "the checker objects");
        made
    }

    /// The actions in the words of scripts, `, ` between them.
    pub fn actions(&self) -> String {
        self.plan().actions.iter().map(action).collect::<Vec<_>>().join(", ")
    }

    /// The waits: `switch B: cached notshown`, with each kind of reason once.
    pub fn waits(&self) -> String {
        let mut told = Vec::new();
        for wait in self.plan().waits {
            assert!(!wait.reasons.is_empty(), "{:?} waits for nothing", wait.step);
            let mut kinds: Vec<String> = wait.reasons.iter().map(crate::reasons::kind).collect();
            kinds.sort();
            kinds.dedup();
            told.push(format!("{}: {}", step(&wait.step), kinds.join(" ")));
        }
        told.sort();
        told.join(", ")
    }

    /// The troubles' texts.
    pub fn troubles(&self) -> String {
        self.plan().troubles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }
}

fn generation_name(id: &daneroll::lineage::GenerationId) -> String {
    names().get(id).cloned().unwrap_or_else(|| id.to_string())
}

fn at(query: &DnsName) -> String {
    let port = query.as_str().split('.').next().unwrap().trim_start_matches('_');
    if port == "25" { String::new() } else { format!("@{port}") }
}

fn of(lineage: &str) -> String {
    if lineage == "mx" { String::new() } else { format!("{lineage}.") }
}

/// An action in a few words.
pub fn action(action: &Action) -> String {
    use crate::certs::record_name;
    match action {
        Action::Store { lineage, generation } => format!("store {}{}", of(lineage), generation_name(generation)),
        Action::Arrange { lineage, goal: Goal::Live, .. } => format!("arrange {}live", of(lineage)),
        Action::Arrange { lineage, goal: Goal::Generation(id), .. } => {
            format!("arrange {}{}", of(lineage), generation_name(id))
        }
        Action::Adopt { query, record, .. } => format!("adopt {}{}", record_name(record), at(query)),
        Action::Add(edit) => format!("add {}{}", record_name(&edit.record), at(&edit.query)),
        Action::Switch { lineage, to, cause, .. } => {
            let mark = if *cause == Cause::Ready { "" } else { "!" };
            format!("switch{mark} {}{}", of(lineage), generation_name(to))
        }
        Action::Deploy { lineage, command, generation, .. } => {
            format!("deploy {} {}{}", command.join(" "), of(lineage), generation_name(generation))
        }
        Action::Reload { command, .. } => format!("reload {}", command.join(" ")),
        Action::Delete(edit) => format!("delete {}{}", record_name(&edit.record), at(&edit.query)),
        Action::Forget { lineage, generation, keep } => {
            format!("{} {}{}", if *keep { "rest" } else { "forget" }, of(lineage), generation_name(generation))
        }
        Action::Leave { lineage } => format!("leave {lineage}"),
    }
}

fn step(step: &Step) -> String {
    use crate::certs::record_name;
    match step {
        Step::Install(id) => format!("install {}", generation_name(id)),
        Step::Switch(id) => format!("switch {}", generation_name(id)),
        Step::Publish(_) => "publish".into(),
        Step::Delete(query, record) => format!("delete {}{}", record_name(record), at(query)),
        Step::Retire(id) => format!("retire {}", generation_name(id)),
        Step::Leave => "leave".into(),
        Step::Find(_) => "find".into(),
        Step::Copy => "copy".into(),
    }
}

/// One line a case: scene, actions, waits. All that fail are told together.
pub fn table<S: AsRef<str>>(cases: &[(S, &str, &str)]) {
    let mut wrong = String::new();
    for (script, actions, waits) in cases {
        let scene = Scene::new(script.as_ref());
        let (planned, waiting) = (scene.actions(), scene.waits());
        if (planned.as_str(), waiting.as_str()) != (*actions, *waits) {
            wrong += &format!(
                "{}\n  is       {planned:?}, {waiting:?}\n  not      {actions:?}, {waits:?}\n",
                script.as_ref()
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The same with scripts that begin alike.
pub fn table_of(begin: &str, cases: &[(&str, &str, &str)]) {
    let cases: Vec<_> = cases.iter().map(|(script, a, w)| (format!("{begin}{script}"), *a, *w)).collect();
    table(&cases);
}
