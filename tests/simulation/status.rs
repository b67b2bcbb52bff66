//! `daneroll status` of a zone on several servers, in the simulated world: memory tells what the last look saw.

use crate::{
    certs::Renewal,
    lab::{APEX, Lab},
};
use daneroll::{
    cli, config,
    env::sim::{
        dns::Mode,
        zone::{mail, name},
    },
};
use hickory_resolver::proto::rr::RecordType;
use serde_json::Value;
use std::ffi::OsString;

const NAME: &str = "mx.example.com";

fn lineage(lab: &Lab, more: &[&str]) -> Value {
    daneroll_status(lab, more)["lineages"][0].clone()
}

fn daneroll_status(lab: &Lab, more: &[&str]) -> Value {
    let words = [&["daneroll", "status", "--json"], more].concat();
    let arguments = cli::parse(words.into_iter().map(OsString::from)).unwrap();
    let loaded = config::load(&lab.world, &arguments.config, &arguments.overrides);
    let report = daneroll::run(&lab.world, &arguments, &cli::Hints::default(), &loaded);
    assert_eq!(report.exit, 0, "{}", report.text);
    serde_json::from_str(&report.text).unwrap()
}

fn records(lineage: &Value) -> Vec<(String, u64)> {
    let records = lineage["owners"][0]["records"].as_array().unwrap().iter();
    records.map(|r| (r["state"].as_str().unwrap().to_owned(), r["shown_by"].as_u64().unwrap())).collect()
}

fn known(records: &[(&str, u64)]) -> Vec<(String, u64)> {
    records.iter().map(|(state, shown_by)| ((*state).to_owned(), *shown_by)).collect()
}

/// A secondary that lags by half an hour: from publishing to settled.
#[test]
fn a_rollover_from_memory() {
    let lab = Lab::with(NAME, "311 25").secondary("ns2", 1800).start();
    lab.first_use();
    assert_eq!(records(&lineage(&lab, &[])), known(&[("published", 2)]));
    lab.renew(NAME, Renewal::default());
    let (mut phases, mut first) = (Vec::new(), None);
    for _ in 0..200 {
        let now = lineage(&lab, &[]);
        first.get_or_insert(records(&now));
        assert!(!now.to_string().contains("not-asked"), "the journal knows an answer: {now:#}");
        let phase = now["phase"].as_str().unwrap().to_owned();
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
        lab.pass(600);
        assert_eq!(lab.run(&[]), 0);
    }
    assert_eq!(first.unwrap(), known(&[("published", 2), ("publishing", 1)]));
    assert_eq!(phases, ["waiting-for-servers", "waiting-for-caches", "holding", "deleting", "settled"]);
    assert_eq!(records(&lineage(&lab, &[])), known(&[("published", 2)]));
    lab.assert_settled(NAME);
}

/// Who did not answer the last run is named, though the journal holds his answer from before.
#[test]
fn a_server_that_fell_silent() {
    let lab = Lab::with(NAME, "311 25").secondary("ns2", 0).start();
    lab.first_use();
    lab.world.change(|state| state.dns.server("ns2.example.com").mode = Mode::Down);
    lab.renew(NAME, Renewal::default());
    let memory = lineage(&lab, &[]);
    let live = lineage(&lab, &["--live"]);
    for told in [&memory, &live] {
        assert_eq!(told["phase"], "waiting-for-servers");
        let silent = told["owners"][0]["servers"].as_array().unwrap().iter().find(|server| !server["why"].is_null());
        assert_eq!(silent.unwrap()["name"], "ns2.example.com", "{told:#}");
    }
    // It missed the change, and says so now.
    lab.world.change(|state| state.dns.server("ns2.example.com").mode = Mode::Answers);
    assert_eq!(lab.run(&[]), 0);
    let told = lineage(&lab, &[]);
    assert!(told["owners"][0]["servers"].as_array().unwrap().iter().all(|server| server["why"].is_null()));
    assert_eq!(told["awaits"][0]["reasons"][0]["reason"], "not-shown", "{told:#}");
    assert_eq!(records(&told), known(&[("published", 2), ("publishing", 1)]));
    lab.assert_clean();
}

/// What lines stand for whose hosts are looked up, and why nobody knows it yet.
#[test]
fn hosts_that_are_looked_up() {
    let setup = Lab::with(NAME, "311 25").only("311 25 mx:example.com").line("tlsa = 311 443 san");
    let lab = setup.names(&[NAME, "*.example.com"]).service(25, NAME).service(443, NAME).start();
    let mail_hosts = |there: bool| {
        lab.world.edit_zone(&name(APEX), |zone| {
            zone.delete_set(&name(APEX), RecordType::MX);
            !there
                || zone.add(&name(APEX), 60, mail(10, NAME)) && zone.add(&name(APEX), 60, mail(10, "mx2.example.com"))
        });
    };
    mail_hosts(false);
    assert_eq!(lab.run(&["--reset"]), 1);
    let told = daneroll_status(&lab, &[]);
    assert!(told.to_string().contains("has no MX records"), "{told:#}");
    let awaits = told["lineages"][0]["awaits"].as_array().unwrap();
    let find = awaits.iter().find(|wait| wait["step"] == "find").unwrap();
    assert!(find["reasons"][0]["text"].as_str().unwrap().contains("has no MX records"), "{told:#}");
    assert_eq!(told["lineages"][0]["hosts"][0]["hosts"], serde_json::json!([]));
    mail_hosts(true);
    lab.serve();
    lab.pass(3600);
    lab.cron(3600, 7200);
    let told = lineage(&lab, &[]);
    let expected = serde_json::json!([
        { "from": "mx:example.com", "hosts": ["mx.example.com.", "mx2.example.com."], "leaving": [], "left_out": [] },
        { "from": "san", "hosts": ["mx.example.com."], "leaving": [], "left_out": ["*.example.com"] },
    ]);
    assert_eq!(told["hosts"], expected);
    lab.world.edit_zone(&name(APEX), |zone| zone.delete(&name(APEX), &mail(10, "mx2.example.com")));
    assert_eq!(lab.run(&[]), 0);
    let told = lineage(&lab, &[]);
    let hosts = &told["hosts"][0];
    assert_eq!((&hosts["hosts"][0], &hosts["leaving"][0]), (&"mx.example.com.".into(), &"mx2.example.com.".into()));
}
