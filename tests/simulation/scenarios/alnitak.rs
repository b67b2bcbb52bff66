//! In Alnitak's place: a rollover that it left under way is taken over, once and for all, and no wait is shortened.

use super::tools::*;
use crate::{
    certs::Renewal,
    lab::{DANE, DAY, HOUR, LETSENCRYPT, Lab, Setup, daneroll},
};
use daneroll::{
    env::{Files, sim::When, sim::service::Reads},
    tlsa::Association,
};
use std::path::{Path, PathBuf};

const DATA: &str = "/var/alnitak/alnitak.data";
const KINDS: [&str; 4] = ["cert", "chain", "fullchain", "privkey"];
/// Long ago, by any time zone.
const THEN: &str = "1546300800";
/// A switch waits so long for what was shown before our first look: twice a day.
const FULL: u64 = 2 * DAY;

/// A host that Alnitak has looked after: links of single files into the archive, and the record of generation 1. Nothing else is
/// known of how it came there, and no service is looked at.
fn host(setup: Setup) -> Lab {
    let lab = setup.line("probe = off").strategy(in_place_of_alnitak).start();
    let text = lab.setup.config();
    lab.world.change(|state| state.disk.create(Path::new("/etc/alnitak.conf"), text.as_bytes(), 0o644)).unwrap();
    let made = Path::new(DANE).join(MX);
    lab.world.make_dir(&made, 0o700).unwrap();
    lab.world.make_dir(Path::new("/var/alnitak"), 0o755).unwrap();
    for kind in KINDS {
        let target = format!("../../../letsencrypt/archive/{MX}/{kind}1.pem");
        lab.world.point(&made.join(format!("{kind}.pem")), Path::new(&target)).unwrap();
    }
    lab.publish(OWNER, 3600, &lab.record(MX, 1, [3, 1, 1]));
    serve_as(&lab, "mx.example.com:25", 25, MX, MX, Reads::Anytime);
    lab
}

fn in_place_of_alnitak(world: &daneroll::env::sim::World, args: &[&str]) -> i32 {
    daneroll(world, &[&["-c", "/etc/alnitak.conf"], args].concat())
}

fn plain() -> Setup {
    Lab::with(MX, "311 25")
}

/// Alnitak's lines for the four links.
fn pins(pending: u8) -> String {
    let line = |kind: &&str| {
        format!(
            "{MX} \"{DANE}/{MX}/{kind}.pem\" \"{LETSENCRYPT}/live/{MX}/{kind}.pem\" \
             \"{LETSENCRYPT}/archive/{MX}/{kind}1.pem\" {pending}\n"
        )
    };
    KINDS.iter().map(line).collect()
}

fn published(record: &Association, pending: u8) -> String {
    format!("{MX} 311 25 tcp {MX} {THEN} {pending} {}\n", record.hex())
}

fn leave(lab: &Lab, lines: &str) {
    let text = format!("# alnitak 0.2.2\n# posthook mode 2019-01-01 00:00:00, {THEN}\n{lines}");
    lab.world.write(Path::new(DATA), text.as_bytes(), 0o600).unwrap();
}

fn aside(number: u32) -> PathBuf {
    let number = if number == 1 { String::new() } else { format!("-{number}") };
    PathBuf::from(format!("{DATA}.taken-over{number}"))
}

/// The renewal is over, and the new record was published: it is ours, as is the old one that Alnitak would have deleted. The
/// wait is done in full, whatever the file says.
#[test]
fn published_and_waiting() {
    for first in [&[][..], &["--post"], &["deploy"], &["--pre"], &["import-alnitak"]] {
        let lab = host(plain());
        lab.certbot.renew(MX, Renewal::default());
        let (old, new) = (lab.record(MX, 1, [3, 1, 1]), lab.record(MX, 2, [3, 1, 1]));
        lab.publish(OWNER, 3600, &new);
        leave(&lab, &(pins(1) + &published(&new, 0)));
        assert_eq!(lab.run(first), 0, "{first:?}: {}", lab.told());
        assert_eq!(lab.run(&["--post"]), 0, "{first:?}: {}", lab.told());
        assert!(lab.world.stat(Path::new(DATA), false).is_err() && lab.world.stat(&aside(1), false).is_ok());
        assert!(shows(&lab, MX, 1), "{first:?}");
        let before = lab.world.now();
        assert_switches_after(&lab, MX, FULL, "taken over");
        assert!(lab.world.now() - before >= FULL * 1000);
        // Both are ours: the old one goes without a look at any service.
        assert!(lab.published(OWNER).contains(&old));
        lab.cron(4 * HOUR, 3 * DAY);
        lab.assert_settled(MX);
        assert!(!is_pinned(&lab.world, MX));
    }
}

/// `pre` was called, and the renewal is still to come: pinned until the post hook, however often the plain run comes by.
#[test]
fn pinned_before_a_renewal() {
    let lab = host(plain());
    leave(&lab, &pins(0));
    lab.cron(4 * HOUR, 3 * DAY);
    assert!(is_pinned(&lab.world, MX));
    lab.certbot.renew(MX, Renewal::default());
    assert_eq!(lab.run(&["--post"]), 0);
    assert!(shows(&lab, MX, 1));
    assert_switches_after(&lab, MX, 2 * HOUR, "an owner that is known");
    lab.cron(4 * HOUR, 9 * DAY);
    assert!(!is_pinned(&lab.world, MX));
    // The post hook itself can be the first to come.
    let lab = host(plain());
    leave(&lab, &pins(0));
    assert_eq!(lab.run(&["--post"]), 0);
    lab.cron(4 * HOUR, 2 * DAY);
    assert!(!is_pinned(&lab.world, MX) && shows(&lab, MX, 1));
    lab.assert_settled(MX);
}

/// Publishing had failed: it is done now. A record that has to go goes, by our gates: not before something else matches.
#[test]
fn to_be_published_and_owed() {
    let lab = host(plain());
    for _ in 0..2 {
        lab.certbot.renew(MX, Renewal::default());
    }
    let (between, new) = (lab.record(MX, 2, [3, 1, 1]), lab.record(MX, 3, [3, 1, 1]));
    lab.publish(OWNER, 3600, &between);
    let owed =
        |record: &Association, failures| format!("{MX} delete 311 25 tcp {MX} {THEN} {failures} {}\n", record.hex());
    leave(&lab, &(pins(1) + &published(&new, 1) + &owed(&between, 7) + &published(&between, 1)));
    assert_eq!(lab.run(&[]), 0, "{}", lab.told());
    assert!(lab.published(OWNER).contains(&new));
    lab.cron(4 * HOUR, 6 * DAY);
    lab.assert_settled(MX);
    // What has to go is all that there is for the certificate that is served: it stays.
    let lab = host(plain());
    let served = lab.record(MX, 1, [3, 1, 1]);
    leave(&lab, &(pins(0) + &owed(&served, 1)));
    lab.cron(4 * HOUR, 6 * DAY);
    assert_eq!(lab.published(OWNER), [served]);
    lab.assert_clean();
}

/// What cannot be read is told by its line, once; the rest is taken over.
#[test]
fn damaged_lines() {
    let lab = host(plain());
    lab.certbot.renew(MX, Renewal::default());
    let new = lab.record(MX, 2, [3, 1, 1]);
    lab.publish(OWNER, 3600, &new);
    let other = "other.example 311 25 tcp other.example 1 0 ".to_string() + &"00".repeat(32) + "\n";
    leave(&lab, &(pins(1) + &published(&new, 0) + "mx.example.com 311 25 tcp mx.exa\n" + &other));
    assert_eq!(lab.run(&[]), 1);
    lab.assert_told(&[
        "/var/alnitak/alnitak.data:8:",
        "not taken over",
        "alnitak.data:9:",
        "no section \"other.example\"",
    ]);
    assert_switches_after(&lab, MX, FULL, "taken over");
    lab.cron(4 * HOUR, 3 * DAY);
    lab.assert_settled(MX);
    // A second file does not overwrite the first one's copy.
    leave(&lab, "# nothing\n");
    assert_eq!(lab.run(&[]), 0);
    assert!(lab.world.read(&aside(1)).is_ok_and(|text| text.len() > 100) && lab.world.read(&aside(2)).is_ok());
}

/// Only in Alnitak's place, or when asked to, and with `--dry-run` not at all.
#[test]
fn left_alone() {
    let lab = host(plain());
    let new = lab.record(MX, 1, [3, 1, 1]);
    leave(&lab, &(pins(0) + &published(&new, 0)));
    let there = |lab: &Lab| lab.world.stat(Path::new(DATA), false).is_ok();
    assert_eq!((daneroll(&lab.world, &[]), there(&lab)), (0, true));
    for dry in [&["import-alnitak", "--dry-run"][..], &["--dry-run"], &["status"], &["configtest"]] {
        assert_eq!((lab.run(dry), there(&lab)), (0, true), "{dry:?}");
    }
    let dry = {
        use daneroll::{cli, config};
        let words = ["alnitak", "-c", "/etc/alnitak.conf", "--dry-run"].map(std::ffi::OsString::from);
        let arguments = cli::parse(words.into_iter()).unwrap();
        let loaded = config::load(&lab.world, &arguments.config, &arguments.overrides);
        daneroll::run(&lab.world, &arguments, &cli::Hints::default(), &loaded).text
    };
    assert!(dry.starts_with("would keep mx.example.com pinned until the post hook\nwould adopt for mx"), "{dry}");
    assert_eq!((lab.run(&["import-alnitak", "/no/such/file"]), there(&lab)), (1, true));
    assert_eq!((daneroll(&lab.world, &["import-alnitak"]), there(&lab)), (0, false));
    leave(&lab, &pins(0).replace(DANE, "/another/dane"));
    assert_eq!(lab.run(&[]), 0);
    lab.assert_told(&["not in our dane directory"]);
}

/// Killed after each effect of the run that takes over: the next one does it, and all ends as if nothing had been.
#[test]
fn killed_while_taking_over() {
    let start = || {
        let lab = host(plain());
        lab.certbot.renew(MX, Renewal::default());
        let new = lab.record(MX, 2, [3, 1, 1]);
        lab.publish(OWNER, 3600, &new);
        leave(&lab, &(pins(1) + &published(&new, 0)));
        lab
    };
    let lab = start();
    assert_eq!(lab.run(&[]), 0);
    let effects = lab.world.effects();
    assert!(effects > 10, "{effects}");
    let all = std::env::var_os("DANEROLL_TEST_ALL").is_some();
    for effect in (1..=effects).filter(|effect| all || effect % 4 == 1) {
        let lab = start();
        lab.world.kill_at(effect, When::After);
        lab.run(&[]);
        assert!(shows(&lab, MX, 1), "{effect}");
        lab.cron(6 * HOUR, 7 * DAY);
        lab.assert_settled(MX);
        assert!(lab.world.stat(Path::new(DATA), false).is_err() && lab.world.stat(&aside(1), false).is_ok());
        assert!(lab.world.stat(&aside(2), false).is_err());
    }
}
