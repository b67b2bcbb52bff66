//! One host: a certificate from certbot, a service that loads it at start and on reload, and daneroll between them.

use crate::{
    lab::{ACME, Lab, Primary, SERVERS},
    namespace::must,
    oracle,
    sampler::Sampler,
    servers::{files_below, spki_sha256},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub const LINEAGE: &str = "mx.example.test";

/// The service: it takes a copy of the certificate when it is told to reload. With a file `slow` beside it, it takes
/// its time before that, once, and leaves in `slow.pid` whom to look for.
const RELOAD: &str = r#"#!/bin/sh
cd "@DIR@" || exit 1
if rm slow 2>/dev/null; then sleep 60 & echo $$ $! >slow.new; mv slow.new slow.pid; wait; fi
cp dane/mx.example.test/fullchain.pem presented.new && mv presented.new presented.pem && echo reloaded >>reloads
"#;

/// The laboratory with one lineage under daneroll.
pub struct World {
    /// The servers.
    pub lab: Lab,
    name: &'static str,
    begun: Instant,
}

/// How a run of daneroll ended, and what it said.
#[derive(Debug)]
pub struct Run {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output and error.
    pub said: String,
}

/// What a run that has nothing to do must leave alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    links: BTreeMap<PathBuf, PathBuf>,
    serial: String,
    reloads: usize,
}

impl World {
    /// Starts the servers, issues the first certificate, writes the configuration and builds the dane directory.
    pub fn start(name: &'static str, api: &str, settle: u32) -> World {
        World::with_service(name, api, settle, "probe = off\nhold = 1\nreload = @DIR@/reload\n")
    }

    /// The same with a service of another kind: its lines of the configuration.
    pub fn with_service(name: &'static str, api: &str, settle: u32, service: &str) -> World {
        World::among(Primary::Updates, name, api, settle, service)
    }

    /// The same with other name servers.
    pub fn among(primary: Primary, name: &'static str, api: &str, settle: u32, service: &str) -> World {
        let world = World::empty(primary, name);
        let args = ["certonly", "--standalone", "--http-01-port", "5002", "--server", ACME, "--agree-tos"];
        world.certbot(&[&args[..], &["--register-unsafely-without-email", "-d", LINEAGE]].concat());
        world.set_up(api, settle, service);
        world
    }

    /// Servers only.
    pub fn empty(primary: Primary, name: &'static str) -> World {
        let begun = Instant::now();
        let world = World { lab: Lab::start(primary).unwrap(), name, begun };
        world.tell("servers are up");
        world
    }

    /// Writes the configuration and builds the dane directory; there is a certificate.
    pub fn set_up(&self, api: &str, settle: u32, service: &str) {
        self.configure(api, settle, service);
        self.run(&["--config-test"]).expect(0);
        self.run(&["--reset"]).expect(0);
        must(Command::new(self.lab.path("reload")).current_dir(self.lab.path(""))).unwrap();
        fs::remove_file(self.lab.path("reloads")).unwrap();
        self.tell("certificate issued, dane directory built");
    }

    /// Says how far the test is, past the capture of the test harness.
    pub fn tell(&self, what: &str) {
        let (name, time) = (self.name, self.begun.elapsed().as_secs_f64());
        let _ = writeln!(std::io::stderr(), "system {name}: {time:5.1} s  {what}");
    }

    /// Runs daneroll with these options to its end, a minute at most.
    pub fn run(&self, options: &[&str]) -> Run {
        let mut command = self.lab.command("timeout");
        command.args(["--kill-after=5", "60", daneroll(), "-c", &self.lab.text("daneroll.conf"), "-l-"]).args(options);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Run { code: output.status.code().unwrap_or(-1), said: String::from_utf8(said).unwrap() }
    }

    /// Starts a plain run and kills it as soon as `now` says so; false if it ended before.
    pub fn kill_plain_run(&self, now: impl Fn() -> bool) -> bool {
        let mut command = self.lab.command(daneroll());
        command.args(["-c", &self.lab.text("daneroll.conf")]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if now() {
                child.kill().unwrap();
                child.wait().unwrap();
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Renews with certbot, daneroll being its pre and post hook.
    pub fn renew(&self) {
        let hook = |word: &str| format!("{} -c {} {word}", daneroll(), self.lab.text("daneroll.conf"));
        let (pre, post) = (hook("--pre"), hook("--post"));
        let args = ["renew", "--force-renewal", "--no-random-sleep-on-renew", "--pre-hook", &pre, "--post-hook", &post];
        let said = self.certbot(&args);
        // certbot only reports a hook that fails and goes on.
        assert!(!said.contains("error code"), "a hook failed:\n{said}\n{}", self.lab.tail("daneroll"));
        self.tell("certificate renewed");
    }

    /// The key that generation `number` of the lineage needs in a 3 1 1 record, as openssl sees it.
    pub fn key(&self, number: u32) -> String {
        spki_sha256(&self.lab.path(&format!("le/archive/{LINEAGE}/cert{number}.pem"))).unwrap()
    }

    /// Which generation the dane directory shows: every file must be the one of certbot's archive.
    pub fn served(&self) -> u32 {
        let content = |path: PathBuf| fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is = |number: u32| {
            let same = |file: &str| {
                content(self.lab.path(&format!("dane/{LINEAGE}/{file}.pem")))
                    == content(self.lab.path(&format!("le/archive/{LINEAGE}/{file}{number}.pem")))
            };
            same("cert") && same("chain") && same("fullchain") && same("privkey")
        };
        let newest = (1..).take_while(|n| self.lab.path(&format!("le/archive/{LINEAGE}/cert{n}.pem")).exists()).count();
        (1..=newest as u32).find(|&number| is(number)).expect("the dane directory shows one generation, whole")
    }

    /// Both servers show exactly these keys, now or within five seconds.
    pub fn expect_records(&self, keys: &[&str]) {
        let wanted: BTreeSet<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let deadline = Instant::now() + Duration::from_secs(5);
        for server in SERVERS {
            let mut records = self.lab.tlsa(server);
            while records != wanted && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(50));
                records = self.lab.tlsa(server);
            }
            let tails = ["hidden", "named", "knot"].map(|label| format!("{label}:\n{}", self.lab.tail(label)));
            assert_eq!(records, wanted, "at {server}; {}", tails.join("\n"));
        }
    }

    /// How often the service has loaded its certificate since the dane directory was built.
    pub fn reloads(&self) -> usize {
        fs::read_to_string(self.lab.path("reloads")).unwrap_or_default().lines().count()
    }

    /// Plain runs, one a second as an eager cron would, until both servers show nothing but the key of `number` and the
    /// dane directory serves it. A minute at most.
    pub fn roll_over_to(&self, number: u32) {
        self.roll_over_with(number, &[]);
    }

    /// The same where others have records, too.
    pub fn roll_over_with(&self, number: u32, others: &[&str]) {
        let wanted: BTreeSet<String> = others.iter().map(|&key| key.to_owned()).chain([self.key(number)]).collect();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut last = self.served();
        loop {
            let run = self.run(&[]);
            run.expect(0);
            let served = self.served();
            if served != last {
                self.tell(&format!("switched to generation {served}"));
                last = served;
            }
            if served == number && SERVERS.iter().all(|server| self.lab.tlsa(server) == wanted) {
                self.tell("old record gone");
                return;
            }
            assert!(Instant::now() < deadline, "no end after a minute; the last run said:\n{}", run.said);
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Looks all the time at what servers and files show, until [`World::expect_peace`].
    pub fn watch(&self) -> Sampler {
        let starting = self.lab.path(&format!("dane/{LINEAGE}/fullchain.pem"));
        let files = vec![("a service that starts", starting), ("the service", self.lab.path("presented.pem"))];
        Sampler::start(&self.lab, files)
    }

    /// No client with whatever cache saw a certificate that its records did not match.
    pub fn expect_peace(&self, watch: Sampler) {
        let log = watch.stop();
        let (answers, looks, lost) = (log.shown.len(), log.presented.len(), log.unanswered);
        self.tell(&format!("{answers} answers and {looks} looks at certificates judged, {lost} questions unanswered"));
        assert!(answers > 100 && lost * 10 < answers, "the watch saw too little");
        let found = oracle::violations(&log.shown, &log.presented, BTreeSet::contains);
        assert!(found.is_empty(), "{} mismatches, such as\n{}", found.len(), found[..found.len().min(5)].join("\n"));
    }

    /// A further plain run has nothing to do, and what the journal holds can be read.
    pub fn expect_rest(&self) {
        // The run that sees the old record gone may still note it.
        self.run(&[]).expect(0);
        let before = self.picture();
        self.run(&[]).expect(0);
        assert_eq!(self.picture(), before, "a run with nothing to do changed something");
        let files = files_below(&self.lab.path("state"));
        let json: Vec<_> = files.iter().filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
        assert!(!json.is_empty(), "no journal in {files:?}");
        for file in json {
            let text = fs::read_to_string(file).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
    }

    fn picture(&self) -> Picture {
        let links = files_below(&self.lab.path("dane")).into_iter().filter_map(|path| {
            let target = fs::read_link(&path).ok()?;
            Some((path, target))
        });
        Picture { links: links.collect(), serial: self.lab.serial(SERVERS[0]), reloads: self.reloads() }
    }

    fn configure(&self, api: &str, settle: u32, service: &str) {
        let dir = self.lab.text("");
        let dir = dir.trim_end_matches('/');
        let (api, service) = (api.replace("@DIR@", dir), service.replace("@DIR@", dir));
        let text = format!(
            "letsencrypt_directory = {dir}/le\n\
             dane_directory = {dir}/dane\n\
             state_directory = {dir}/state\n\
             log = {dir}/daneroll.log\n\
             resolver = 127.0.0.53\n\
             trust_anchor = {dir}/anchor.key\n\
             ttl = 0\n\
             settle = {settle}\n\
             record_ttl = 2\n\
             {service}\
             [{LINEAGE}]\n\
             tlsa = 311 25\n\
             api = {api}\n"
        );
        fs::write(self.lab.path("daneroll.conf"), text).unwrap();
        fs::write(self.lab.path("reload"), RELOAD.replace("@DIR@", dir)).unwrap();
        must(Command::new("chmod").arg("755").arg(self.lab.path("reload"))).unwrap();
    }

    fn certbot(&self, args: &[&str]) -> String {
        let said = self.lab.certbot("le", args);
        said.unwrap_or_else(|error| panic!("{error}\npebble:\n{}", self.lab.tail("pebble")))
    }
}

impl Run {
    /// Panics with everything that was said unless the exit code is this one.
    pub fn expect(&self, code: i32) {
        assert_eq!(self.code, code, "daneroll said:\n{}", self.said);
    }
}

/// The program under test; `DANEROLL` names another one, such as that of an installed package.
pub fn daneroll() -> &'static str {
    static PATH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PATH.get_or_init(|| std::env::var("DANEROLL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_daneroll").to_owned()))
}
