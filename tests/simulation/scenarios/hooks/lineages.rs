//! Lineages that are pruned, deleted, torn, renamed, added and removed (S33 … S35).

use super::*;

/// S33: certbot prunes the archive of what is served while the switch is blocked.
#[test]
fn s33_pruned_while_served() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 0).start();
    first_use(&lab);
    lab.world.set_server("ns2.example.com", |server| server.frozen = true);
    let first = shown(&lab, MX);
    for _ in 0..7 {
        lab.renew(MX, Renewal::default());
        cron_any(&lab, 3 * HOUR, 3 * HOUR);
        assert!(shown(&lab, MX) == first, "what is served is still there");
        lab.world.change(|state| state.restart_service("mx.example.com:25"));
    }
    lab.world.set_server("ns2.example.com", |server| server.frozen = false);
    lab.cron(4 * HOUR, 2 * DAY);
    lab.assert_settled(MX);
}

/// S33: the same with processes that read the files at any moment, the one between pruning and post hook too.
#[test]
fn s33_pruned_while_new_processes_read() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 0).reads(Reads::Anytime).start();
    first_use(&lab);
    lab.world.set_server("ns2.example.com", |server| server.frozen = true);
    for _ in 0..7 {
        lab.renew(MX, Renewal::default());
        cron_any(&lab, 3 * HOUR, 3 * HOUR);
    }
    lab.world.set_server("ns2.example.com", |server| server.frozen = false);
    lab.cron(4 * HOUR, 2 * DAY);
    lab.assert_settled(MX);
}

/// S33: `certbot delete`, and a new certificate whose numbers start at 1 again: while idle, and while a rollover is under way;
/// with and without a plain run in between.
#[test]
fn s33_deleted_and_issued_again() {
    for always in [false, true] {
        for rolling in [false, true] {
            for run_between in [false, true] {
                let setup = Lab::with(MX, "311 25");
                let lab = if always { setup.line("pin = always") } else { setup }.start();
                first_use(&lab);
                if rolling {
                    lab.renew(MX, Renewal::default());
                }
                let (served, case) = (shown(&lab, MX), format!("{always} {rolling} {run_between}"));
                lab.certbot.delete(MX);
                if run_between {
                    lab.run(&[]);
                    assert!(shown(&lab, MX) == served, "{case}: from the store");
                }
                lab.certbot.issue(MX, &[MX], 90);
                lab.run(&[]);
                assert!(shown(&lab, MX) == served, "{case}: back to what is published");
                lab.cron(4 * HOUR, 2 * DAY);
                lab.assert_settled(MX);
            }
        }
    }
}

/// S34: half a generation is no candidate, whatever is wrong with it; the next whole one is.
#[test]
fn s34_half_a_generation() {
    for flaw in [
        Flaw::LinksMoved(1),
        Flaw::LinksMoved(2),
        Flaw::LinksMoved(3),
        Flaw::Torn,
        Flaw::WrongKey,
        Flaw::EmptyChain,
        Flaw::Unreadable,
    ] {
        let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
        first_use(&lab);
        let serial = lab.serial();
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal { flaw, ..Renewal::default() });
        let whole = flaw == Flaw::EmptyChain;
        assert_eq!(lab.run(&["--post"]), i32::from(!whole), "{flaw:?} is told");
        assert_eq!(cron_any(&lab, 2 * HOUR, DAY), if whole { 0 } else { 12 }, "{flaw:?}: at each run");
        assert_eq!(lab.serial() == serial, !whole, "{flaw:?}");
        assert!(shows(&lab, MX, if whole { 2 } else { 1 }), "{flaw:?}");
        lab.world.clear_faults();
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// S34 without hooks: what was served is in the store, and services get it back.
#[test]
fn s34_half_a_generation_without_hooks() {
    for flaw in [Flaw::LinksMoved(1), Flaw::LinksMoved(3), Flaw::Torn, Flaw::WrongKey] {
        let lab = Lab::with(MX, "311 25").start();
        first_use(&lab);
        lab.certbot.renew(MX, Renewal { flaw, ..Renewal::default() });
        assert_eq!(lab.run(&[]), 1, "{flaw:?} is told");
        assert!(shows(&lab, MX, 1), "{flaw:?}");
        lab.world.change(|state| state.restart_service("mx.example.com:25"));
        lab.assert_clean();
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// S35: a lineage gets a section, and loses it again: then it stays pinned, its records stand, and nothing is switched.
#[test]
fn s35_added_and_removed() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    lab.certbot.issue(WWW, &[WWW], 90);
    lab.cron(HOUR, HOUR);
    serve_as(&lab, "www", 443, WWW, WWW, Reads::Anytime);
    let section = format!("\n[{WWW}]\ntlsa = 311 443\nprobe_address = 192.0.2.80\nreload = /sim/reload www\n");
    let owner = "_443._tcp.www.example.com";
    configure(&lab, |text| text + &section);
    lab.cron(2 * HOUR, DAY);
    assert_eq!(lab.published(owner), [lab.record(WWW, 1, [3, 1, 1])]);
    configure(&lab, |text| text.replace(&section, ""));
    for number in 2..4 {
        lab.renew(WWW, Renewal::default());
        lab.cron(12 * HOUR, 10 * DAY);
        assert!(is_pinned(&lab.world, WWW) && shows(&lab, WWW, 1), "{number}");
        assert_eq!(lab.published(owner), [lab.record(WWW, 1, [3, 1, 1])]);
    }
    lab.renew(MX, Renewal::default());
    lab.cron(4 * HOUR, 2 * DAY);
    lab.assert_settled(MX);
    configure(&lab, |text| text + &section);
    lab.cron(4 * HOUR, 3 * DAY);
    assert!(shows(&lab, WWW, 3) && !is_pinned(&lab.world, WWW));
    assert_eq!(lab.published(owner), [lab.record(WWW, 3, [3, 1, 1])]);
    lab.assert_clean();
}

/// S35: removed while a rollover is under way: both records stay.
#[test]
fn s35_removed_during_a_rollover() {
    let lab = two();
    first_use(&lab);
    lab.renew(WWW, Renewal::default());
    let text = lab.setup.config();
    configure(&lab, |text| text[..text.find("\n[www").unwrap()].to_owned());
    lab.cron(12 * HOUR, 30 * DAY);
    assert!(shows(&lab, WWW, 1));
    assert_eq!(lab.published("_443._tcp.www.example.com").len(), 2);
    configure(&lab, |_| text);
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(WWW);
}

/// S35: certbot renamed it to `-0001`, and the operator's section follows; services go on reading the old directory until they
/// are pointed to the new one.
#[test]
fn s35_renamed() {
    let renamed = "mx.example.com-0001";
    let lab = Lab::with(MX, "311 25 mx.example.com").start();
    first_use(&lab);
    lab.certbot.issue(renamed, &[MX], 90);
    lab.certbot.renew(renamed, Renewal::default());
    lab.certbot.delete(MX);
    cron_any(&lab, 2 * HOUR, DAY);
    configure(&lab, |text| text.replace("[mx.example.com]", &format!("[{renamed}]")));
    lab.cron(4 * HOUR, 3 * DAY);
    let records = lab.published(OWNER);
    assert_eq!(records.len(), 2, "the old one stands, for nobody said that it is not needed: {records:?}");
    assert!(!shown(&lab, MX).is_empty() || presented(&lab, 25, MX).len() == 1);
    serve_as(&lab, "mx.example.com:25", 25, MX, renamed, Reads::OnReload);
    for _ in 0..2 {
        lab.renew(renamed, Renewal::default());
        lab.cron(4 * HOUR, 2 * DAY);
        assert!(shows(&lab, renamed, lab.certbot.number(renamed)));
    }
    lab.assert_clean();
}

/// S35: sections in other case than the directory, and lineages whose names say nothing.
#[test]
fn s35_names() {
    for (lineage, section) in [("mx.example.com", "MX.Example.COM"), ("Mail_Cert+1", "mail_cert+1"), ("a b", "a b")] {
        let lab = Lab::with(lineage, "311 25 mx.example.com").start();
        configure(&lab, |text| text.replace(&format!("[{lineage}]"), &format!("[{section}]")));
        first_use(&lab);
        for _ in 0..2 {
            lab.renew(lineage, Renewal::default());
            lab.cron(2 * HOUR, DAY);
        }
        lab.assert_settled(lineage);
    }
}
