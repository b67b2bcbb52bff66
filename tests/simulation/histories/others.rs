//! What others do, as small models: each keeps its notes in memory, which no kill and no deleted journal takes away, so they do
//! better here than in the world.

use super::tale::{MX, OWNER};
use crate::{
    clients::record_of,
    lab::{DANE, Engine, HOUR, LETSENCRYPT, service_name, tireless},
};
use daneroll::{
    env::{
        Command, Env, Files,
        sim::{World, zone::name},
    },
    tlsa::Association,
};
use std::{cell::RefCell, path::Path, rc::Rc, time::Duration};

/// The last row of the table.
pub const OURS: &str = "daneroll";
/// What they wait, and DaneBot's propagation time, seconds.
const TTL: u64 = HOUR;
const PROPAGATION: u64 = 60;

/// A name, and how to make one.
type Named = (&'static str, fn() -> Engine);

/// All of them.
pub fn all() -> [Named; 6] {
    [
        ("replaces the record at renewal", || other(at_renewal)),
        ("replaces the record, waits, switches", || other(replace_wait_switch)),
        ("switches at once, delays the reload only", || other(delay_reload)),
        ("Alnitak: publishes, waits, deletes, switches, no reload", || other(alnitak)),
        ("DaneBot: publishes, sleeps, installs, deletes, no state", || other(danebot)),
        (OURS, || Rc::new(tireless)),
    ]
}

/// What a strategy remembers between its runs.
#[derive(Default)]
struct Notes {
    /// The chain that is installed, and the one that waits since when (milliseconds).
    installed: Vec<u8>,
    waiting: Option<(Vec<u8>, u64)>,
    old: Vec<Association>,
}

struct Host<'a> {
    world: &'a World,
    parameters: [u8; 3],
}

fn other(strategy: fn(&Host<'_>, &str, &mut Notes)) -> Engine {
    let notes = RefCell::new(Notes::default());
    Rc::new(move |world, args| {
        let mut notes = notes.borrow_mut();
        let host = Host { world, parameters: parameters(world) };
        match args {
            ["--reset"] if notes.installed.is_empty() => {
                host.pin(1);
                notes.installed = host.live().unwrap_or_default();
                host.publish(&notes.installed);
            }
            ["--reset"] => {}
            args => strategy(&host, args.first().copied().unwrap_or_default(), &mut notes),
        }
        0
    })
}

/// What the operator configured: the first line of all.
fn parameters(world: &World) -> [u8; 3] {
    let text = world.look(|state| state.disk.read(Path::new(crate::lab::CONFIG))).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let digits = text.lines().find_map(|line| line.strip_prefix("tlsa = ")).unwrap_or("311").as_bytes();
    [0, 1, 2].map(|at| digits[at] - b'0')
}

impl Host<'_> {
    fn live(&self) -> Option<Vec<u8>> {
        self.world.read(&Path::new(LETSENCRYPT).join("live").join(MX).join("fullchain.pem")).ok()
    }

    /// The archive number that `live/` shows.
    fn number(&self) -> usize {
        let link = Path::new(LETSENCRYPT).join("live").join(MX).join("fullchain.pem");
        let target = self.world.target(&link).unwrap_or_default();
        let digits: String = target.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(1)
    }

    /// The dane directory shows an archive number.
    fn pin(&self, number: usize) {
        let set = format!("{DANE}/.{number}");
        let _ = self.world.make_dir(Path::new(&set), 0o700);
        for kind in ["fullchain", "privkey"] {
            let target = format!("{LETSENCRYPT}/archive/{MX}/{kind}{number}.pem");
            let _ = self.world.point(Path::new(&format!("{set}/{kind}.pem")), Path::new(&target));
        }
        let _ = self.world.point(Path::new(&format!("{DANE}/{MX}")), Path::new(&format!(".{number}")));
    }

    /// The dane directory shows `live/`.
    fn follow(&self) {
        let live = format!("{LETSENCRYPT}/live/{MX}");
        let _ = self.world.point(Path::new(&format!("{DANE}/{MX}")), Path::new(&live));
    }

    fn reload(&self) {
        let argv = vec!["/sim/reload".to_owned(), service_name(25, MX)];
        let _ = self.world.run(&Command { argv, limit: Duration::from_secs(300), ..Command::default() });
    }

    fn published(&self) -> Vec<Association> {
        self.world.look(|state| state.dns.zone(&name("example.com")).associations(&name(OWNER)))
    }

    fn publish(&self, chain: &[u8]) {
        if let Some(record) = self.record(chain) {
            self.edit("publish", &record);
        }
    }

    /// Deletes all records but this chain's.
    fn keep_only(&self, chain: &[u8]) {
        let kept = self.record(chain);
        for record in self.published().into_iter().filter(|record| Some(record) != kept.as_ref()) {
            self.edit("delete", &record);
        }
    }

    /// The record of a chain, if its file is whole.
    fn record(&self, chain: &[u8]) -> Option<Association> {
        let whole = chain.ends_with(b"-----END CERTIFICATE-----\n");
        whole.then(|| record_of(chain, self.parameters))
    }

    fn edit(&self, operation: &str, record: &Association) {
        let hash = data_encoding::HEXLOWER.encode(&record.data);
        let vars = [
            ("TLSA_OPERATION", operation.to_owned()),
            ("TLSA_PORT", "25".into()),
            ("TLSA_PROTOCOL", "tcp".into()),
            ("TLSA_DOMAIN", MX.into()),
            ("TLSA_USAGE", record.usage.to_string()),
            ("TLSA_SELECTOR", record.selector.to_string()),
            ("TLSA_MATCHING", record.matching.to_string()),
            ("TLSA_HASH", hash),
        ];
        let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let argv = vec!["/sim/provider".to_owned()];
        let _ = self.world.run(&Command { argv, vars, limit: Duration::from_secs(300), ..Command::default() });
    }
}

fn is_hook(call: &str) -> bool {
    matches!(call, "--post" | "deploy")
}

/// The service reads `live/`; the hook replaces the record and reloads.
fn at_renewal(host: &Host<'_>, call: &str, notes: &mut Notes) {
    host.follow();
    let Some(live) = host.live().filter(|live| is_hook(call) && *live != notes.installed) else { return };
    host.publish(&live);
    host.keep_only(&live);
    host.reload();
    notes.installed = live;
}

/// The record is replaced at once, the certificate when the old record has left the caches.
fn replace_wait_switch(host: &Host<'_>, call: &str, notes: &mut Notes) {
    begin(host, call, notes, true);
    if waited(host, notes, TTL) && call.is_empty() {
        install(host, notes);
    }
}

/// The service's files change at once, and it is told of it later; records overlap.
fn delay_reload(host: &Host<'_>, call: &str, notes: &mut Notes) {
    host.follow();
    begin(host, call, notes, false);
    if waited(host, notes, 2 * TTL) && call.is_empty() {
        let Some((chain, _)) = notes.waiting.take() else { return };
        host.reload();
        host.keep_only(&chain);
        notes.installed = chain;
    }
}

/// Pins before the renewal; then the wait, the delete, and links that lead to `live/` again.
fn alnitak(host: &Host<'_>, call: &str, notes: &mut Notes) {
    begin(host, call, notes, false);
    if waited(host, notes, TTL) && call.is_empty() {
        let Some((chain, _)) = notes.waiting.take() else { return };
        let old = std::mem::take(&mut notes.installed);
        if let Some(record) = host.record(&old).filter(|old| Some(old) != host.record(&chain).as_ref()) {
            host.edit("delete", &record);
        }
        host.pin(host.number());
        notes.installed = chain;
    }
}

/// One process from beginning to end, without memory: what it installed is all that it can see.
fn danebot(host: &Host<'_>, call: &str, notes: &mut Notes) {
    let Some(live) = host.live().filter(|live| call != "--pre" && *live != notes.installed) else { return };
    if host.record(&live).is_none() {
        return;
    }
    host.publish(&live);
    host.world.sleep(Duration::from_secs(PROPAGATION + 2 * TTL));
    host.pin(host.number());
    host.reload();
    notes.installed = live.clone();
    host.keep_only(&live);
}

/// Publishes for a renewed certificate and takes down when; the first time only.
fn begin(host: &Host<'_>, call: &str, notes: &mut Notes, replaces: bool) {
    let known = notes.waiting.as_ref().map_or(&notes.installed, |(chain, _)| chain);
    let Some(live) = host.live().filter(|live| call != "--pre" && live != known) else { return };
    host.publish(&live);
    if replaces {
        host.keep_only(&live);
    }
    notes.waiting = Some((live, host.world.now()));
}

fn waited(host: &Host<'_>, notes: &Notes, seconds: u64) -> bool {
    notes.waiting.as_ref().is_some_and(|(_, since)| host.world.now() >= since + seconds * 1000)
}

fn install(host: &Host<'_>, notes: &mut Notes) {
    let Some((chain, _)) = notes.waiting.take() else { return };
    host.pin(host.number());
    host.reload();
    notes.installed = chain;
}
