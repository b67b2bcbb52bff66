//! What ACME clients do to hooks, and hooks to each other (S24 … S40).

mod lineages;

use super::tools::*;
use crate::{
    certs::{Flaw, Renewal},
    lab::{CONFIG, DANE, DAY, HOUR, LETSENCRYPT, Lab, STATE},
};
use daneroll::env::{
    Command, Env, Files,
    sim::{dns::Updates, service::Reads},
};
use std::{path::Path, time::Duration};

fn reuse() -> Renewal {
    Renewal { reuse_key: true, ..Renewal::default() }
}

/// S24: what a post hook is told can be wrong, empty, or of another lineage.
#[test]
fn s24_post_hook_that_knows_nothing() {
    for (lineage, domains) in
        [(None, ""), (Some(WWW), "www.example.com"), (Some(MX), ""), (Some("gone"), "a b"), (None, "mx.example.com")]
    {
        let lab = two();
        first_use(&lab);
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal::default());
        assert_eq!(hook(&lab.world, &["--post"], &hints(lineage, domains)), 0, "{lineage:?}");
        assert_eq!(lab.published(OWNER).len(), 2, "{lineage:?}: published by the hook itself");
        assert!(!is_pinned(&lab.world, WWW), "{lineage:?}: the run is over for every lineage");
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
        lab.assert_settled(WWW);
        assert!(!is_pinned(&lab.world, MX), "{lineage:?}");
    }
}

/// S25: the pre hook could pin one lineage only, and certbot renewed both all the same.
#[test]
fn s25_pre_hook_that_failed() {
    let lab = two();
    first_use(&lab);
    lab.world.fail_paths(format!("{STATE}/pins/{WWW}.lock"), nix::errno::Errno::EROFS);
    assert_eq!(lab.run(&["--pre"]), 1);
    assert!(is_pinned(&lab.world, MX), "trouble with one lineage is that one's only");
    lab.world.clear_faults();
    lab.certbot.renew(MX, Renewal::default());
    lab.certbot.renew(WWW, Renewal::default());
    lab.run(&["--post"]);
    lab.run(&[]);
    assert!(shows(&lab, WWW, 1), "back to the certificate that is published");
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
    lab.assert_settled(WWW);
}

/// Moves links of `live/` to an archive number, as certbot goes on.
fn move_links(lab: &Lab, kinds: &[&str], number: usize) {
    for kind in kinds {
        let target = format!("../../archive/{MX}/{kind}{number}.pem");
        let link = format!("{LETSENCRYPT}/live/{MX}/{kind}.pem");
        lab.world.point(Path::new(&link), Path::new(&target)).unwrap();
    }
}

const KINDS: [&str; 4] = ["cert", "chain", "fullchain", "privkey"];

/// S26: the plain run from cron comes at every moment of a renewal.
#[test]
fn s26_plain_run_during_a_renewal() {
    for moved in 0..=4 {
        for missing in [false, true] {
            let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
            first_use(&lab);
            assert_eq!(lab.run(&["--pre"]), 0);
            assert_eq!(lab.run(&[]), 0);
            assert!(is_pinned(&lab.world, MX), "only --post releases a pin");
            lab.certbot.renew(MX, Renewal { flaw: Flaw::LinksMoved(moved), ..Renewal::default() });
            if missing && moved < 4 {
                let link = format!("{LETSENCRYPT}/live/{MX}/{}.pem", KINDS[moved]);
                lab.world.remove(Path::new(&link)).unwrap();
            }
            lab.run(&[]);
            assert!(shows(&lab, MX, 1) && is_pinned(&lab.world, MX), "{moved}");
            move_links(&lab, &KINDS[moved..], 2);
            assert_eq!(lab.run(&[]), 0);
            assert!(shows(&lab, MX, 1) && is_pinned(&lab.world, MX), "{moved}");
            assert_eq!(lab.run(&["--post"]), 0);
            lab.cron(2 * HOUR, DAY);
            lab.assert_settled(MX);
        }
    }
}

/// S26: the post hook comes only when plain runs have done everything.
#[test]
fn s26_post_hook_days_later() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    first_use(&lab);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
    assert!(is_pinned(&lab.world, MX));
    assert_eq!(lab.run(&["--post"]), 0);
    assert!(!is_pinned(&lab.world, MX));
    lab.assert_settled(MX);
}

/// S27: `--pre`, then a renewal, while a plain run waits for a provider that takes two minutes, with an exec hook or an update.
#[test]
fn s27_pre_during_a_slow_provider() {
    for exec in [true, false] {
        for seconds in [10, 120] {
            let setup = Lab::with(MX, "311 25").lineage(WWW).tlsa("311 443").reads(Reads::Anytime);
            let lab = if exec { setup.api_exec() } else { setup.api_rfc2136() }.start();
            first_use(&lab);
            assert_eq!(lab.run(&["--pre"]), 0);
            lab.certbot.renew(WWW, Renewal::default());
            lab.world.change(|state| state.dns.next_updates.push_back(Updates::Slow(seconds)));
            let certbot = lab.certbot.clone();
            lab.world.after(Duration::from_secs(5), move |world| {
                assert_eq!(process(world, &["--pre"]), 0, "it waits for nobody");
                certbot.renew(MX, Renewal::default());
            });
            lab.run(&["--post"]);
            assert!(shows(&lab, MX, 1), "{exec} {seconds}");
            assert!(is_pinned(&lab.world, MX), "{exec} {seconds}: a pin that is newer than the run");
            lab.run(&["--post"]);
            lab.cron(4 * HOUR, 2 * DAY);
            lab.assert_settled(MX);
            lab.assert_settled(WWW);
        }
    }
}

/// S27: the provider itself is what runs `--pre` and the renewal.
#[test]
fn s27_pre_out_of_the_provider() {
    let lab = two();
    first_use(&lab);
    lab.renew(WWW, Renewal::default());
    lab.cron(HOUR, 3 * HOUR);
    configure(&lab, |text| text.replace("/sim/provider", "/sim/nested"));
    let certbot = lab.certbot.clone();
    let once = std::cell::Cell::new(true);
    lab.world.program("/sim/nested", move |world, command| {
        if once.take() {
            assert_eq!(process(world, &["--pre"]), 0);
            certbot.renew(MX, Renewal::default());
        }
        world.run(&Command { argv: vec!["/sim/provider".into()], ..command.clone() })
    });
    lab.cron(2 * HOUR, DAY);
    assert_eq!(lab.certbot.number(MX), 2, "the provider was called");
    assert!(is_pinned(&lab.world, MX) && shows(&lab, MX, 2));
    assert_eq!(lab.run(&["--post"]), 0);
    lab.assert_settled(MX);
    lab.assert_settled(WWW);
}

/// S27: `--pre` and a renewal after every third effect of the plain run that would release a pin, or switch.
#[test]
fn s27_pre_after_every_effect() {
    let prepare = |renewed: bool| {
        let lab = Lab::with(MX, "311 25").global("ttl = 600").reads(Reads::Anytime).start();
        quick_start(&lab);
        if renewed {
            lab.renew(MX, Renewal::default());
            lab.pass(2 * HOUR + 60);
        } else {
            assert_eq!(lab.run(&["--pre"]), 0);
            lab.world.remove(Path::new(&format!("{STATE}/pins/{MX}.held"))).unwrap();
        }
        lab
    };
    for renewed in [false, true] {
        let lab = prepare(renewed);
        assert_eq!(lab.run(&[]), 0);
        let effects = lab.world.effects();
        assert!(effects > 5);
        for effect in (1..=effects).step_by(3) {
            let lab = prepare(renewed);
            let certbot = lab.certbot.clone();
            lab.world.interject(effect, move |world| {
                // Within the lineage's lock nothing else can act here, for the one process waits for the other.
                if process(world, &["--pre"]) == 0 {
                    certbot.renew(MX, Renewal::default());
                }
            });
            cron_any(&lab, HOUR, HOUR);
            lab.assert_clean();
            assert_eq!(lab.run(&["--post"]), 0, "{effect}");
            cron_any(&lab, 2 * HOUR, 12 * HOUR);
            lab.assert_settled(MX);
        }
    }
}

/// S28: renewed by something that ran no hook. Going back to what is published is the first thing that the next run does.
#[test]
fn s28_renewed_without_hooks() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    lab.certbot.renew(MX, Renewal::default());
    assert!(shows(&lab, MX, 2), "`pin = renewal` follows live/ when idle");
    lab.pass(1800);
    assert_eq!(lab.run(&[]), 1, "it was broken, and that is told");
    assert!(shows(&lab, MX, 1));
    assert_eq!(lab.published(OWNER).len(), 2, "and the rollover begins at once");
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
    assert!(!is_pinned(&lab.world, MX));
}

/// S28 with processes that read the files at any time: nobody can help that, but it ends with the next run.
#[test]
fn s28_lasts_until_the_next_run() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    first_use(&lab);
    lab.certbot.renew(MX, Renewal::default());
    lab.pass(1800);
    lab.run(&[]);
    let (recovered, before) = (lab.world.now(), lab.oracle.violations().len());
    lab.cron(2 * HOUR, DAY);
    assert!(before > 0 && lab.oracle.violations().iter().all(|violation| violation.at < recovered));
    assert!(shows(&lab, MX, 2));
}

/// S28 with `pin = always`: nothing happens to clients at all.
#[test]
fn s28_pinned_always() {
    let lab = Lab::with(MX, "311 25").line("pin = always").reads(Reads::Anytime).start();
    first_use(&lab);
    for _ in 0..6 {
        lab.certbot.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
    assert!(is_pinned(&lab.world, MX));
}

/// S29: the key is reused, so there is nothing to publish, nothing to wait for, and nothing to delete.
#[test]
fn s29_key_reused() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    first_use(&lab);
    let serial = lab.serial();
    for number in 2..5 {
        lab.renew(MX, reuse());
        assert_eq!(lab.run(&[]), 0);
        assert!(shows(&lab, MX, number), "switched at once");
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
    assert_eq!(lab.serial(), serial, "no change of the zone");
}

/// S31: a call runs into its time limit, and its child publishes, or deletes, long after.
#[test]
fn s31_provider_acts_late() {
    for late in [60, 400, 5 * HOUR] {
        for deletes in [false, true] {
            let lab = Lab::with(MX, "311 25").start();
            first_use(&lab);
            if deletes {
                lab.renew(MX, Renewal::default());
                until_switched(&lab, MX, 900);
            }
            lab.world.change(|state| state.dns.next_updates.push_back(Updates::SilentLater(late)));
            if !deletes {
                assert_eq!(lab.run(&["--pre"]), 0);
                lab.certbot.renew(MX, Renewal::default());
                assert_eq!(lab.run(&["--post"]), 1, "told");
            }
            cron_any(&lab, 4 * HOUR, 2 * DAY);
            lab.assert_settled(MX);
        }
    }
}

/// S31: what comes late is the record of a generation that was withdrawn meanwhile. It is nobody's then, and does no harm.
#[test]
fn s31_provider_publishes_what_was_withdrawn() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    let late = lab.record(MX, 2, [3, 1, 1]);
    lab.world.change(|state| state.dns.next_updates.extend([Updates::SilentLater(DAY), Updates::Exit(2)]));
    lab.run(&["--post"]);
    for _ in 0..2 {
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal::default());
        lab.run(&["--post"]);
    }
    cron_any(&lab, 4 * HOUR, 3 * DAY);
    lab.assert_clean();
    assert!(shows(&lab, MX, 4));
    let published = lab.published(OWNER);
    assert!(published.len() == 1 || (published.len() == 2 && published.contains(&late)), "{published:?}");
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_clean();
    assert!(shows(&lab, MX, 5));
}

/// S38: one certbot run, two lineages, daneroll as deploy hook of each: the first call leaves the second lineage alone.
#[test]
fn s38_deploy_hooks() {
    for with_post in [true, false] {
        let lab = Lab::with(MX, "311 25").lineage(WWW).tlsa("311 443").reads(Reads::Anytime).start();
        first_use(&lab);
        assert_eq!(lab.run(&["--pre"]), 0);
        for lineage in [MX, WWW] {
            lab.certbot.renew(lineage, Renewal::default());
            assert_eq!(hook(&lab.world, &["deploy"], &hints(Some(lineage), lineage)), 0);
            assert!(is_pinned(&lab.world, MX) && is_pinned(&lab.world, WWW));
        }
        assert_eq!([lab.published(OWNER).len(), lab.published("_443._tcp.www.example.com").len()], [2, 2]);
        if with_post {
            assert_eq!(hook(&lab.world, &["--post"], &hints(Some(WWW), WWW)), 0);
        }
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
        lab.assert_settled(WWW);
        assert_eq!(is_pinned(&lab.world, MX), !with_post);
    }
}

/// S38: a deploy hook publishes for its own lineage only, and takes no time to look whether the records are up.
#[test]
fn s38_deploy_is_for_one_lineage() {
    let lab = two();
    first_use(&lab);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    lab.certbot.renew(WWW, Renewal::default());
    let before = lab.world.now();
    assert_eq!(hook(&lab.world, &["deploy"], &hints(Some(MX), MX)), 0);
    assert!(lab.world.now() - before < 1000);
    assert_eq!([lab.published(OWNER).len(), lab.published("_443._tcp.www.example.com").len()], [2, 1]);
}

/// S39: renewed twice before the first wait is over, with the same key and with a new one, in either order.
#[test]
fn s39_renewed_twice() {
    for (parameters, gap) in [("311 25", 60), ("311 25", 3 * HOUR), ("301 25", HOUR), ("211 25", 600)] {
        for (first, second) in
            [(reuse(), Renewal::default()), (Renewal::default(), reuse()), (reuse(), reuse()), Default::default()]
        {
            let lab = Lab::with(MX, parameters).reads(Reads::Anytime).start();
            first_use(&lab);
            lab.renew(MX, first);
            lab.cron(1800, gap);
            lab.renew(MX, second);
            lab.cron(2 * HOUR, DAY);
            lab.assert_settled(MX);
        }
    }
}

/// S39 without end: renewed every hour, and still switched again and again.
#[test]
fn s39_renewed_faster_than_the_wait() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    first_use(&lab);
    for _ in 0..12 {
        lab.renew(MX, Renewal::default());
        assert!(lab.published(OWNER).len() <= 6, "those in between are withdrawn");
        lab.cron(1200, HOUR);
    }
    assert!((lab.certbot.number(MX) - 4..).any(|number| shows(&lab, MX, number)), "the switch is not starved");
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
}

/// S40: two lineages publish the very same `2 1 1` at one owner; one of them moves on to another issuer, then the other.
#[test]
fn s40_one_record_for_two_lineages() {
    let lines = |service: &str| format!("reload = /sim/reload {service}");
    let lab = Lab::with(MX, "211 25 mx.example.com").lineage("ecdsa").line("tlsa = 211 25 mx.example.com");
    let lab = lab.line(&lines("second")).start();
    lab.certbot.delete("ecdsa");
    lab.certbot.issue("ecdsa", &["mx.example.com"], 90);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    serve_as(&lab, "second", 25, MX, "ecdsa", Reads::Anytime);
    lab.cron(4 * HOUR, 3 * DAY);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 1, [2, 1, 1])]);
    let other = Renewal { issuer: 1, ..Renewal::default() };
    lab.renew("ecdsa", other);
    lab.cron(4 * HOUR, 2 * DAY);
    assert!(shows(&lab, "ecdsa", 2));
    assert_eq!(lab.published(OWNER).len(), 2, "the first still needs the old one");
    lab.renew(MX, other);
    lab.cron(2 * HOUR, DAY);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, [2, 1, 1])]);
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    assert_eq!(lab.published(OWNER).len(), 2);
    lab.assert_clean();
}

/// S40: one of two lineages with the very same record leaves DANE. The record stays, and the leaving comes to its end.
#[test]
fn s40_one_of_two_lineages_leaves() {
    let lab = Lab::with(MX, "211 25 mx.example.com").lineage("ecdsa").line("tlsa = 211 25 mx.example.com");
    let lab = lab.line("reload = /sim/reload second").line("pin = always").start();
    lab.certbot.delete("ecdsa");
    lab.certbot.issue("ecdsa", &["mx.example.com"], 90);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.cron(4 * HOUR, 3 * DAY);
    assert_eq!(lab.run(&["withdraw", "ecdsa"]), 0);
    lab.cron(4 * HOUR, DAY);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 1, [2, 1, 1])]);
    assert!(!is_pinned(&lab.world, "ecdsa"), "it follows live/ again");
    lab.assert_clean();
}

/// S35, S40: the section of one of two lineages with the very same record is removed. It goes on being served, and so the
/// record stays when the other lineage moves on.
#[test]
fn s40_one_of_two_lineages_loses_its_section() {
    let lab = Lab::with(MX, "211 25 mx.example.com").lineage("ecdsa").line("tlsa = 211 25 mx.example.com");
    let lab = lab.line("reload = /sim/reload second").start();
    lab.certbot.delete("ecdsa");
    lab.certbot.issue("ecdsa", &["mx.example.com"], 90);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    serve_as(&lab, "second", 25, MX, "ecdsa", Reads::Anytime);
    lab.cron(4 * HOUR, 3 * DAY);
    configure(&lab, |text| text[..text.find("[ecdsa]").unwrap()].to_string());
    cron_any(&lab, 4 * HOUR, DAY);
    lab.renew(MX, Renewal { issuer: 1, ..Renewal::default() });
    cron_any(&lab, 2 * HOUR, 2 * DAY);
    assert!(shows(&lab, MX, 2));
    assert!(lab.published(OWNER).contains(&lab.record("ecdsa", 1, [2, 1, 1])));
    lab.assert_clean();
}

/// `--pre` pins whatever it can, also when the configuration is wrong, unreadable or gone.
#[test]
fn pre_with_a_broken_configuration() {
    type Break = fn(&Lab);
    let cases: [(&str, Break, i32); 4] = [
        ("an error in a section", |lab| configure(lab, |text| text.replace("tlsa = 311 25", "tlsa = 911 25")), 3),
        ("an error before the sections", |lab| configure(lab, |text| format!("nonsense = 1\n{text}")), 3),
        ("no file", |lab| lab.world.remove(Path::new(CONFIG)).unwrap(), 1),
        ("not text", |lab| lab.world.write(Path::new(CONFIG), b"\xff\xfe", 0o644).unwrap(), 1),
    ];
    for (what, damage, exit) in cases {
        let lab = Lab::with(MX, "311 25").lineage(WWW).tlsa("311 443").reads(Reads::Anytime).start();
        first_use(&lab);
        let text = lab.setup.config();
        damage(&lab);
        let got = lab.run(&["--pre"]);
        assert!(got == exit || (what == "not text" && got == 3), "{what}: {got}");
        assert!(is_pinned(&lab.world, MX) && is_pinned(&lab.world, WWW), "{what}");
        lab.certbot.renew(MX, Renewal::default());
        lab.certbot.renew(WWW, Renewal::default());
        assert_ne!(lab.run(&["--post"]), 0, "{what}");
        cron_any(&lab, 12 * HOUR, 10 * DAY);
        assert!(shows(&lab, MX, 1), "{what}: neither switched nor pruned");
        configure_again(&lab, &text);
        lab.run(&["--post"]);
        lab.cron(4 * HOUR, 2 * DAY);
        lab.assert_settled(MX);
        lab.assert_settled(WWW);
    }
}

fn configure_again(lab: &Lab, text: &str) {
    lab.world.write(Path::new(CONFIG), text.as_bytes(), 0o644).unwrap();
}

/// The run lock keeps `--pre` from nothing; `--post` waits for it, and gives up after a quarter of an hour.
#[test]
fn hooks_while_another_run_is_busy() {
    for (held, exit) in [(60, 0), (2 * HOUR, 32)] {
        let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
        first_use(&lab);
        let lock = lab.world.lock(Path::new(&format!("{STATE}/lock")), Duration::ZERO).unwrap().unwrap();
        lab.world.after(Duration::from_secs(held), move |_| drop(lock));
        let before = lab.world.now();
        assert_eq!(lab.run(&["--pre"]), 0);
        assert!(is_pinned(&lab.world, MX) && lab.world.now() - before < 1000);
        lab.certbot.renew(MX, Renewal::default());
        assert_eq!(lab.run(&["--post"]), exit, "{held}");
        assert_eq!(lab.published(OWNER).len(), if exit == 0 { 2 } else { 1 });
        assert!(shows(&lab, MX, 1));
        lab.pass(2 * HOUR);
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
        assert!(!lab.world.list(Path::new(DANE)).unwrap().is_empty());
    }
}

/// A hook can run from a world where nothing was ever set up: it says so, and harms nothing.
#[test]
fn hooks_before_the_first_use() {
    let lab = Lab::with(MX, "311 25").start();
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    assert_eq!(lab.run(&["--post"]), 0);
    lab.serve();
    lab.cron(4 * HOUR, 4 * DAY);
    lab.assert_settled(MX);
}
