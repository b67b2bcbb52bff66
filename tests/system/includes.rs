//! `api = zonefile`: BIND, knot and NSD serve a zone that includes a file of ours. Each renewal meets a refresh command that fails, a
//! run that is killed between the write and the refresh, a refresh that runs into its time limit after it has taken effect, a record
//! of somebody else in the RRset, and another program that writes to the same file all the time.

use crate::{
    lab::Primary,
    namespace::{must, runs},
    ready,
    world::World,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const API: &str = "zonefile @DIR@/zones/{zone}.tlsa refresh: @DIR@/refresh {zone}";
const SERVICE: &str = "probe = off\nhold = 1\ntimeout = 3\nreload = @DIR@/reload\n";

/// A record of another host, in a form that we never use.
const FOREIGN: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00112233445566778899aabbccddeeff";
const BY_HAND: &str = "; kept by hand\n_25._tcp.mx.example.test. 2 in TLSA ( 3 1 1\n\tF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF\n\
                       \t00112233445566778899AABBCCDDEEFF ) ; of the other host\n";

/// Runs the command of the operator, unless a file beside it says otherwise: `refuse` makes it fail, `hang` hold it up before, `late`
/// after it has done its work.
const REFRESH: &str = r#"#!/bin/sh
cd "@DIR@" || exit 1
if [ -e refuse ]; then echo "the name server is away"; exit 1; fi
if rm hang 2>/dev/null; then echo $$ >hang.new; mv hang.new hang.pid; sleep 60; fi
@COMMAND@ || exit
if rm late 2>/dev/null; then sleep 60; fi
"#;

#[test]
fn bind_serves_an_included_file() {
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/refresh-bind");
    story(Primary::Bind, "include-bind", &format!("{hook} $1 @DIR@/zones/$1.zone -s 127.0.0.11 -k @DIR@/rndc.key"));
}

#[test]
fn knot_serves_an_included_file() {
    story(Primary::Knot, "include-knot", "knotc -s @DIR@/knot/knot.sock -b zone-reload $1");
}

#[test]
fn nsd_serves_an_included_file() {
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/refresh-nsd");
    let files = "@DIR@/zones/$1.zone @DIR@/zones/$1.signed @DIR@/keys -c @DIR@/nsd.conf";
    story(Primary::Nsd, "include-nsd", &format!("{hook} $1 {files}"));
}

/// Stops the writer, also when the story ends badly.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Story {
    world: World,
    file: PathBuf,
}

fn story(primary: Primary, name: &'static str, command: &str) {
    if !ready(name) {
        return;
    }
    let story = Story::begin(primary, name, command);
    let Story { world, file } = &story;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| story.write_on(&stop));
        let stopping = Stopping(&stop);
        let watch = world.watch();
        story.refused();
        story.killed();
        story.late();
        world.expect_peace(watch);
        drop(stopping);
        let lines = writer.join().unwrap();
        let text = fs::read_to_string(file).unwrap();
        let lost: Vec<_> = lines.iter().filter(|line| !text.contains(line.as_str())).collect();
        assert!(
            lines.len() > 10 && lost.is_empty(),
            "of {} lines of another writer these are lost: {lost:?}",
            lines.len()
        );
        assert!(text.starts_with(BY_HAND), "{text}");
        world.tell(&format!("{} lines of another program are all there", lines.len()));
    });
    let stat = fs::metadata(file).unwrap();
    assert_eq!((stat.mode() & 0o777, stat.uid()), (0o640, 1), "owner and mode of the file");
    assert_eq!(world.reloads(), 1);
    world.expect_rest();
    world.tell("done");
}

impl Story {
    /// The foreign record is up, and then the first of ours beside it.
    fn begin(primary: Primary, name: &'static str, command: &str) -> Story {
        let world = World::among(primary, name, API, 20, SERVICE);
        let dir = world.lab.text("");
        let script = REFRESH.replace("@COMMAND@", command).replace("@DIR@", dir.trim_end_matches('/'));
        fs::write(world.lab.path("refresh"), script).unwrap();
        fs::set_permissions(world.lab.path("refresh"), fs::Permissions::from_mode(0o755)).unwrap();
        let file = world.lab.path("zones/example.test.tlsa");
        fs::write(&file, BY_HAND).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(&file, Some(1), None).unwrap();
        let mut first = world.lab.command("env");
        must(first.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", &world.lab.text("refresh"), "example.test"])).unwrap();
        world.expect_records(&[FOREIGN]);
        world.run(&[]).expect(0);
        world.expect_records(&[FOREIGN, &world.key(1)]);
        world.tell("first record published, beside a foreign one");
        Story { world, file }
    }

    /// Another program that minds the lock: one line after the other.
    fn write_on(&self, stop: &AtomicBool) -> Vec<String> {
        let (file, lock) = (self.file.display(), self.file.with_extension("tlsa.lock"));
        let mut lines = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let line = format!("w{}.example.test. 2 IN TXT by-another-program", lines.len());
            let script = format!("echo '{line}' >>'{file}'");
            must(Command::new("flock").arg(&lock).args(["sh", "-c", &script])).unwrap();
            lines.push(line);
            thread::sleep(Duration::from_millis(150));
        }
        lines
    }

    fn has(&self, key: &str) -> bool {
        fs::read_to_string(&self.file).unwrap().contains(key)
    }

    fn owes(&self) -> bool {
        self.world.lab.path("state/refresh/example.test.json").exists()
    }

    /// The file has the new record, the name server has not been told, and each run says so until it has.
    fn refused(&self) {
        let world = &self.world;
        let refuse = world.lab.path("refuse");
        fs::write(&refuse, "").unwrap();
        world.renew();
        let (old, new) = (world.key(1), world.key(2));
        assert!(self.has(&new) && self.owes());
        for _ in 0..2 {
            let run = world.run(&[]);
            run.expect(0);
            let told = run.said.contains("the name server is away") && run.said.contains("(owed for");
            assert!(told, "{}", run.said);
        }
        world.expect_records(&[FOREIGN, &old]);
        world.tell("the refresh fails, and is owed");
        fs::remove_file(&refuse).unwrap();
        world.run(&[]).expect(0);
        assert!(!self.owes());
        world.expect_records(&[FOREIGN, &old, &new]);
        world.tell("both records are up");
    }

    /// Killed after the old record has gone from the file, and before the name server has been told.
    fn killed(&self) {
        let world = &self.world;
        let deadline = Instant::now() + Duration::from_secs(60);
        // The run that switches may stay until the old record is due to go.
        fs::write(world.lab.path("hang"), "").unwrap();
        let pid = || fs::read_to_string(world.lab.path("hang.pid")).unwrap_or_default();
        while !world.kill_plain_run(|| !pid().is_empty()) {
            assert!(Instant::now() < deadline, "no run came to the delete within a minute");
            thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(world.served(), 2);
        let (old, new) = (world.key(1), world.key(2));
        assert!(!self.has(&old) && self.has(&new) && self.owes());
        world.expect_records(&[FOREIGN, &old, &new]);
        while runs(pid().trim()) {
            assert!(Instant::now() < deadline, "the refresh command outlives the killed run");
            thread::sleep(Duration::from_millis(20));
        }
        world.tell("killed between the write and the refresh");
    }

    /// The command does its work and then takes too long: nobody knows, until the name servers show it.
    fn late(&self) {
        let world = &self.world;
        fs::write(world.lab.path("late"), "").unwrap();
        let run = world.run(&[]);
        run.expect(0);
        assert!(run.said.contains("ran into its time limit of 3 s"), "{}", run.said);
        world.expect_records(&[FOREIGN, &world.key(2)]);
        let run = world.run(&[]);
        run.expect(0);
        assert!(!run.said.contains("time limit"), "{}", run.said);
        world.tell("the last refresh took effect, and too long");
    }
}
