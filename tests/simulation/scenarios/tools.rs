//! What the scenarios of hooks, rules and directories share.

use crate::lab::{CONFIG, DANE, DAY, HOUR, Lab, service_name};
use daneroll::{
    cli::{self, Hints},
    config,
    env::{
        Command, Files,
        sim::{
            World,
            service::{Reads, Service},
        },
    },
};
use std::{cell::Cell, ffi::OsString, path::Path, rc::Rc};

pub const MX: &str = "mx.example.com";
pub const WWW: &str = "www.example.com";
pub const OWNER: &str = "_25._tcp.mx.example.com";

/// Runs the program as a process of its own, with what an ACME client told it. It can run beside another one.
pub fn hook(world: &World, args: &[&str], hints: &Hints) -> i32 {
    let words = std::iter::once("daneroll").chain(args.iter().copied()).map(OsString::from);
    let arguments = cli::parse(words).unwrap_or_else(|exit| panic!("{args:?}: {}", exit.text));
    let run = |world: &World| {
        let loaded = config::load(world, &arguments.config, &arguments.overrides);
        i32::from(daneroll::run(world, &arguments, hints, &loaded).exit)
    };
    if std::env::var_os("DANEROLL_TEST_LOG").is_none() {
        return world.survive(run).unwrap();
    }
    let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_test_writer().finish();
    let exit = tracing::subscriber::with_default(subscriber, || world.survive(run)).unwrap();
    eprintln!("{:>9} {args:?} {hints:?} exit {exit}", world.now() / 1000);
    exit
}

/// The same without a word from an ACME client.
pub fn process(world: &World, args: &[&str]) -> i32 {
    hook(world, args, &Hints::default())
}

/// `RENEWED_LINEAGE` and `RENEWED_DOMAINS`.
pub fn hints(lineage: Option<&str>, domains: &str) -> Hints {
    let renewed_lineage = lineage.map(|name| format!("/etc/letsencrypt/live/{name}").into());
    Hints { renewed_lineage, renewed_domains: domains.to_owned(), certificate: None }
}

/// A mail host and a web host, a lineage each.
pub fn two() -> Lab {
    Lab::with(MX, "311 25").lineage(WWW).tlsa("311 443").start()
}

/// Edits the configuration file.
pub fn configure(lab: &Lab, edit: impl FnOnce(String) -> String) {
    let text = String::from_utf8(lab.world.read(Path::new(CONFIG)).unwrap()).unwrap();
    lab.world.write(Path::new(CONFIG), edit(text).as_bytes(), 0o644).unwrap();
}

/// A plain run every so many seconds, whatever each ends with; how many failed.
pub fn cron_any(lab: &Lab, every: u64, how_long: u64) -> usize {
    let until = lab.world.now() + how_long * 1000;
    let mut failed = 0;
    while lab.world.now() < until {
        failed += usize::from(lab.run(&[]) != 0);
        lab.pass(every);
    }
    failed
}

/// What services read in the dane directory.
pub fn shown(lab: &Lab, lineage: &str) -> Vec<u8> {
    lab.world.read(&Path::new(DANE).join(lineage).join("fullchain.pem")).unwrap_or_default()
}

/// Does the dane directory show that archive number?
pub fn shows(lab: &Lab, lineage: &str, number: usize) -> bool {
    shown(lab, lineage) == lab.certbot.fullchain(lineage, number)
}

/// Is the lineage pinned, rather than following `live/`?
pub fn is_pinned(world: &World, lineage: &str) -> bool {
    let target = world.target(&Path::new(DANE).join(lineage).join(".served"));
    target.is_ok_and(|target| target.to_string_lossy().starts_with(".generation-"))
}

/// Runs every so many seconds until the lineage's newest generation is served: the seconds that took, or `None` after 60 runs.
pub fn until_switched(lab: &Lab, lineage: &str, every: u64) -> Option<u64> {
    let began = lab.world.now();
    let newest = lab.certbot.number(lineage);
    for _ in 0..60 {
        lab.run(&[]);
        if shows(lab, lineage, newest) {
            return Some((lab.world.now() - began) / 1000);
        }
        lab.pass(every);
    }
    None
}

/// Asserts that the switch comes so many seconds from now: not before, and not much later.
pub fn assert_switches_after(lab: &Lab, lineage: &str, seconds: u64, what: &str) {
    let every = (seconds / 24).max(300);
    let took = until_switched(lab, lineage, every);
    let late = seconds + 3 * every;
    assert!(took.is_some_and(|took| (seconds..=late).contains(&took)), "{what}: {took:?}, not {seconds} s");
    lab.assert_clean();
}

/// Every chain that the service at a port presents.
pub fn presented(lab: &Lab, port: u16, domain: &str) -> Vec<Vec<u8>> {
    let chains = lab.world.look(|state| state.services[&service_name(port, domain)].presented());
    chains.iter().map(|chain| chain.to_vec()).collect()
}

/// Has a service's new processes read the files at any time.
pub fn anytime(lab: &Lab, service: &str) {
    lab.world.change(|state| {
        state.services.get_mut(service).unwrap().reads = Reads::Anytime;
        state.restart_service(service);
    });
}

/// Serves a lineage at a port of a domain under a name of its own.
pub fn serve_as(lab: &Lab, service: &str, port: u16, domain: &str, lineage: &str, reads: Reads) {
    lab.world.serve(Service::new(service, domain, port, Path::new(DANE).join(lineage)).reads(reads));
}

/// Installs `/sim/counted NAME…`, which reloads services and counts how often it was called.
pub fn counted_reload(lab: &Lab) -> Rc<Cell<usize>> {
    let count = Rc::new(Cell::new(0));
    let counter = count.clone();
    lab.world.program("/sim/counted", move |world, command| {
        use daneroll::env::Env;
        counter.set(counter.get() + 1);
        let mut last = daneroll::env::Ended { status: daneroll::env::Status::Exited(0), output: String::new() };
        for service in &command.argv[1..] {
            last = world.run(&Command { argv: vec!["/sim/reload".into(), service.clone()], ..command.clone() });
        }
        last
    });
    count
}

/// What an operator does first, with few runs: longer than a day's TTL counts twice before the first look.
pub fn first_use(lab: &Lab) {
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.cron(8 * HOUR, 3 * DAY);
}

/// The same with one plain run only.
pub fn just_started(lab: &Lab) {
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    assert_eq!(lab.run(&[]), 0);
}

/// Takes a lab through its first use in a few hours rather than days; `ttl` has to be set.
pub fn quick_start(lab: &Lab) {
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.cron(HOUR, 4 * HOUR);
}
