//! Names: query names whose CNAMEs lead to one RRset, and CNAMEs that change.

use super::{EE, HOUR, MX, OWNER, count, serves};
use crate::{
    certs::Renewal,
    lab::{APEX, Lab, MINUTE, Setup},
};
use daneroll::{
    env::sim::zone::{Zone, alias, name},
    tlsa::Association,
};
use hickory_resolver::proto::rr::RecordType;

const TARGET: &str = "tlsa.example.com";
const OTHER: &str = "other.example.com";
const WWW: &str = "www.example.com";
const WWW_OWNER: &str = "_443._tcp.www.example.com";
const APIS: [&str; 2] = ["rfc2136 ns1.example.com", "exec /sim/provider follow"];

/// A laboratory whose query names lead to `TARGET`, its first records published there and known to every cache.
fn leading(setup: Setup, api: &str, queries: &[&str]) -> Lab {
    let lab = setup.secondary("ns2", 60).global(&format!("ttl = 3600\napi = {api}")).start();
    queries.iter().for_each(|query| lead(&lab, query, Some(TARGET)));
    begin(lab)
}

/// The same with two lineages and a record of each parameter for each. A program that adds records one by one cannot bring the
/// first ones of two lineages at once: it finds them there.
fn two_leading(setup: Setup, api: &str, parameters: &[[u8; 3]]) -> Lab {
    let lab = setup.secondary("ns2", 60).global(&format!("ttl = 3600\napi = {api}")).start();
    [OWNER, WWW_OWNER].iter().for_each(|query| lead(&lab, query, Some(TARGET)));
    if api.starts_with("exec") {
        let all = [MX, WWW].into_iter().flat_map(|of| parameters.iter().map(move |kind| (of, *kind)));
        all.for_each(|(of, kind)| lab.publish(TARGET, 3600, &lab.record(of, 1, kind)));
    }
    begin(lab)
}

fn begin(lab: Lab) -> Lab {
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(2 * HOUR, 14 * HOUR);
    lab.assert_clean();
    lab
}

/// Puts a CNAME at a name, or takes it away.
fn lead(lab: &Lab, query: &str, target: Option<&str>) {
    let edit = |zone: &mut Zone| {
        zone.delete_set(&name(query), RecordType::CNAME);
        target.is_none_or(|target| zone.add(&name(query), 1800, alias(target)))
    };
    assert!(lab.world.edit_zone(&name(APEX), edit));
}

/// How often a record was added to or deleted from the zone by its provider since the last time.
fn edits(lab: &Lab) -> usize {
    let trace = lab.world.trace();
    trace.iter().filter(|effect| effect.contains(" run /sim/provider") || effect.contains(" exchange ")).count()
}

fn sorted(mut records: Vec<Association>) -> Vec<Association> {
    records.sort();
    records
}

/// Two query names of one lineage lead to one target: each record is published once and deleted once.
#[test]
fn two_names_of_a_lineage_lead_to_one_target() {
    for api in APIS {
        let lab = leading(Lab::with(MX, "311 25").tlsa("311 465"), api, &[OWNER, "_465._tcp.mx.example.com"]);
        assert_eq!(lab.published(TARGET), [lab.record(MX, 1, EE)], "{api}");
        edits(&lab);
        lab.renew(MX, Renewal::default());
        assert_eq!(edits(&lab), 1, "{api}: one addition");
        lab.cron(2 * HOUR, 14 * HOUR);
        lab.assert_clean();
        assert_eq!((serves(&lab), lab.published(TARGET)), (vec![2], vec![lab.record(MX, 2, EE)]), "{api}");
        assert_eq!(edits(&lab), 1, "{api}: one delete");
        let files = lab.world.look(|state| state.disk.list("/var/lib/daneroll/owners".as_ref())).unwrap();
        assert_eq!(files.len(), 2);
    }
}

/// Two lineages lead to one target: the record of the one that is not renewed stays, and so does each that others still need.
#[test]
fn two_lineages_lead_to_one_target() {
    for api in APIS {
        for parameters in ["311", "301"] {
            let setup = Lab::with(MX, "311 25").lineage(WWW).tlsa(&format!("{parameters} 443"));
            let kinds: &[[u8; 3]] = if parameters == "311" { &[EE] } else { &[EE, [3, 0, 1]] };
            let lab = two_leading(setup, api, kinds);
            lab.renew(MX, Renewal::default());
            lab.cron(2 * HOUR, 14 * HOUR);
            lab.assert_clean();
            assert_eq!(serves(&lab), [2], "{api} {parameters}: {}", lab.told());
            lab.renew(WWW, Renewal::default());
            lab.cron(2 * HOUR, 14 * HOUR);
            lab.assert_clean();
            let wanted = [MX, WWW].into_iter().flat_map(|of| kinds.iter().map(move |kind| (of, *kind)));
            let wanted: Vec<_> = wanted.map(|(of, kind)| lab.record(of, 2, kind)).collect();
            assert_eq!(sorted(lab.published(TARGET)), sorted(wanted), "{api} {parameters}");
        }
    }
}

/// A line leaves the configuration while its name leads to where others are: what they need stays.
#[test]
fn a_name_that_leads_there_is_no_longer_configured() {
    for api in APIS {
        let setup = Lab::with(MX, "311 25").lineage(WWW).tlsa("311 443");
        let mut lab = two_leading(setup, api, &[EE]);
        lab.reconfigure(|setup| setup.without_line("tlsa = 311 443").line("tlsa = 311 8443"));
        lab.run(&[]);
        assert!(lab.published(TARGET).contains(&lab.record(MX, 1, EE)), "{api}");
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, 14 * HOUR);
        assert_eq!(serves(&lab), [2], "{api}: {}", lab.told());
        assert!(lab.published(TARGET).contains(&lab.record(MX, 2, EE)), "{api}");
        // The service there was left to itself, by the operator; but the mail service never failed.
        let violations = lab.oracle.violations();
        assert!(violations.iter().all(|violation| !violation.service.contains(MX)), "{violations:?}");
    }
}

/// A CNAME that leads elsewhere, or is gone, in the middle of a rollover: the records come to the new place, the wait begins anew,
/// and what was published at the old place does not stay there.
#[test]
fn a_cname_changes_during_a_rollover() {
    for api in APIS {
        for (to, at) in [(Some(OTHER), OTHER), (None, OWNER)] {
            for moment in [0, 100 * MINUTE] {
                let lab = leading(Lab::with(MX, "311 25"), api, &[OWNER]);
                lab.renew(MX, Renewal::default());
                lab.cron(10 * MINUTE, moment);
                lead(&lab, OWNER, to);
                lab.cron(HOUR, 30 * HOUR);
                lab.assert_clean();
                assert_eq!(serves(&lab), [2], "{api} {to:?} {moment}: {}", lab.told());
                assert_eq!(lab.published(at), [lab.record(MX, 2, EE)], "{api} {to:?} {moment}: {}", lab.told());
                if api.starts_with("exec") {
                    lab.assert_told(&[
                        "waiting to delete",
                        "a CNAME led to tlsa.example.com. and does so no longer",
                        "by hand",
                    ]);
                    lab.world.edit_zone(&name(APEX), |zone| zone.delete_set(&name(TARGET), RecordType::TLSA));
                    lab.pass(MINUTE);
                    assert_eq!(lab.run(&[]), 0);
                    assert!(!lab.told().contains("waiting to delete"), "{}", lab.told());
                }
                assert_eq!(count(&lab, TARGET), 0, "{api} {to:?} {moment}: what was left behind");
            }
        }
    }
}

/// One of two query names is led elsewhere: what the other needs stays where it is.
#[test]
fn one_of_two_names_is_led_elsewhere() {
    for api in APIS {
        let lab = leading(Lab::with(MX, "311 25").tlsa("311 465"), api, &[OWNER, "_465._tcp.mx.example.com"]);
        lab.renew(MX, Renewal::default());
        lead(&lab, OWNER, Some(OTHER));
        lab.cron(HOUR, 30 * HOUR);
        lab.assert_clean();
        assert_eq!(serves(&lab), [2], "{api}: {}", lab.told());
        for place in [TARGET, OTHER] {
            assert_eq!(lab.published(place), [lab.record(MX, 2, EE)], "{api} {place}");
        }
        quiet(&lab);
    }
}

/// Nothing is left to do.
fn quiet(lab: &Lab) {
    let serial = lab.serial();
    lab.cron(2 * HOUR, 6 * HOUR);
    assert_eq!(lab.serial(), serial, "{}", lab.told());
}
