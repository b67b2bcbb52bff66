//! Renewals of every kind.

use super::{Scene, clean};
use crate::{
    host::{Host, Lineage},
    look::Kind,
    network::{ACME, Zone},
    renewer::Renewer,
    watch::Verdicts,
};
const RELOADS: &str = "reload = postfix -c @HOME@/etc reload\nreload = doveadm -c @HOME@/dovecot.conf reload\n\
                       reload = nginx -p @HOME@ -c @HOME@/nginx.conf -s reload\n";

/// The usual way, with three services: or, at PowerDNS, with one.
pub fn renewal(scene: &Scene) -> Verdicts {
    let mut host = scene.host();
    if scene.place.zone == Zone::Example {
        host.ports = vec![25, 443, 993];
        host.issue(&[]);
        host.configure(RELOADS);
        host.daneroll().run(&["--reset"]).expect(0);
        host.start_postfix("dane");
        host.start_others();
        host.watch(scene.fingers);
        host.publish_first();
    } else {
        host.begin("", scene.fingers);
    }
    let timer = host.timer();
    host.renew(&[]);
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 1)
}

/// Two renewals come while knot holds up the switch to the one before, and one more when it does no longer.
pub fn overtaken(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("settle = 2\n", scene.fingers);
    let (network, zone) = (scene.network, scene.place.zone.name());
    network.knotc_for("zone-freeze", zone);
    let timer = host.timer();
    host.renew(&[]);
    host.renew(&[]);
    assert_eq!(host.served(&host.lineages[0].name), Some(1), "switched though a server lags");
    network.knotc_for("zone-thaw", zone);
    host.renew(&[]);
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 1)
}

/// A host with an RSA and an ECDSA certificate.
fn of_both_kinds<'a>(scene: &Scene<'a>) -> Host<'a> {
    let mut host = scene.host();
    let lineage = |(name, kind): (&str, Kind)| Lineage {
        name: format!("{}-{name}", host.lineages[0].name),
        kind,
        ..host.lineages[0].clone()
    };
    host.lineages = [("rsa", Kind::Rsa), ("ecdsa", Kind::Ecdsa)].map(lineage).to_vec();
    host
}

/// Both are renewed in one run of certbot.
pub fn two_kinds(scene: &Scene) -> Verdicts {
    let host = of_both_kinds(scene);
    host.begin("", scene.fingers);
    let timer = host.timer();
    host.renew(&[]);
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 2)
}

/// With the same key nothing needs to be published; then with a new one.
pub fn reused(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.issue(&["--reuse-key"]);
    // So that plain runs see the first record everywhere before the renewal, as they do within an hour.
    host.configure("recheck = 1\n");
    host.daneroll().run(&["--reset"]).expect(0);
    host.start_postfix("dane");
    host.watch(scene.fingers);
    host.publish_first();
    let timer = host.timer();
    let records = host.wanted();
    host.renew(&[]);
    assert_eq!(host.wanted(), records, "the key was to be the same");
    host.until_done();
    let others = host.see(|log| {
        let answers = log.shown.values().flatten().filter(|answer| !answer.records.is_empty());
        answers.filter(|answer| !answer.records.iter().eq(&records)).count()
    });
    assert_eq!(others, 0, "the records were touched");
    host.renew(&["--new-key"]);
    assert_ne!(host.wanted(), records, "the key was to be a new one");
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 2)
}

/// The other authority issues.
pub fn intermediate(scene: &Scene) -> Verdicts {
    let mut host = scene.host();
    host.lineages[0].parameters = &[[3, 1, 1], [2, 1, 1]];
    host.begin("", scene.fingers);
    let timer = host.timer();
    let before = host.wanted();
    host.renew(&["--server", ACME[1], "--agree-tos", "--register-unsafely-without-email"]);
    assert!(host.wanted().is_disjoint(&before), "the intermediate was to be another");
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 1)
}

/// Each renewal follows the switch to the one before at once.
pub fn twenty(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("record_ttl = 1\n", scene.fingers);
    let timer = host.timer();
    for _ in 0..20 {
        host.renew(&[]);
        host.until("the switch", || host.is_current(&host.lineages[0]));
    }
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 20)
}

/// Nobody tells daneroll anything.
pub fn no_hook(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("pin = always\n", scene.fingers);
    let timer = host.timer();
    host.renew_without_hooks(&[]);
    host.until_done();
    timer.stop();
    host.expect_rest(true);
    clean(&host, 1)
}

/// lego has overwritten its files when it calls its hook; once, nobody tells daneroll.
pub fn lego(scene: &Scene) -> Verdicts {
    let mut host = scene.host();
    host.renewer = Renewer::Lego;
    host.begin("", scene.fingers);
    let timer = host.timer();
    let hook = host.hook("deploy");
    for words in [&["--renew-hook", &hook][..], &[]] {
        host.lego(&[&["renew", "--days", "4000", "--no-random-sleep"], words].concat());
        host.tell("renewed");
        host.until_done();
    }
    timer.stop();
    host.expect_rest(true);
    clean(&host, 2)
}
