//! What many do: a deploy hook that replaces the record and reloads.

use super::Scene;
use crate::{clients::Record, host::Host, watch::Verdicts};
use std::{collections::BTreeSet, thread, time::Duration};

/// Both measures must see what comes of it, or they are worth nothing.
pub fn naive(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.issue(&[]);
    host.start_postfix("le/live");
    host.watch_live(scene.fingers);
    replace(&host, &BTreeSet::new());
    host.until("the first record", || host.records_are(&host.wanted()));
    host.be_strict();
    for _ in 0..3 {
        let old = host.wanted();
        host.renew_without_hooks(&[]);
        replace(&host, &old);
        host.reload_postfix();
        // As long as some cache has the old record, and a while in peace.
        thread::sleep(Duration::from_secs(7));
    }
    let verdicts = host.stop();
    let (failed, violations) = (verdicts.failed.len(), verdicts.violations.len());
    host.tell(&format!("{failed} of {} clients failed; {violations} violations", verdicts.samples));
    assert!(failed > 0, "no client was harmed");
    assert!(violations > 0, "the oracle saw nothing");
    Verdicts { switches: Vec::new(), ..verdicts }
}

fn replace(host: &Host, old: &BTreeSet<Record>) {
    let owner = format!("_25._tcp.{}.", host.place.name());
    let line = |what: &str, record: &Record| {
        let data = data_encoding::HEXLOWER.encode(&record.data);
        format!("update {what} TLSA {} {} {} {data}\n", record.usage, record.selector, record.matching)
    };
    let adds: String = host.wanted().iter().map(|record| line(&format!("add {owner} 5"), record)).collect();
    let deletes: String = old.iter().map(|record| line(&format!("delete {owner}"), record)).collect();
    let zone = host.place.zone;
    host.network.update(zone.name(), zone.servers()[0], &(deletes + &adds)).unwrap();
}
