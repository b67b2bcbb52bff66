//! `check` in the simulated world: the real command against simulated files, name servers and services.

use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, Lab, RESOLVER, Setup},
};
use daneroll::{
    Report, cli, config,
    env::{
        Files,
        sim::{
            World,
            dns::Mode,
            service::Service,
            zone::{address, alias, mail, name},
        },
    },
};
use hickory_resolver::proto::rr::{RData, RecordType, rdata::MX};
use serde_json::{Value, json};
use std::{ffi::OsString, path::Path};

/// Runs `check` with these arguments.
pub fn check(world: &World, args: &[&str]) -> Report {
    let words = ["daneroll", "check"].iter().chain(args).map(OsString::from);
    let arguments = cli::parse(words).unwrap_or_else(|exit| panic!("{args:?}: {}", exit.text));
    let run = |world: &World| {
        let loaded = config::load(world, &arguments.config, &arguments.overrides);
        daneroll::run(world, &arguments, &cli::Hints::default(), &loaded)
    };
    // Faults hit only what runs in there.
    world.survive(run).unwrap()
}

/// The document.
pub fn document(world: &World, args: &[&str]) -> Value {
    let report = check(world, &[args, &["--json"]].concat());
    let document: Value = serde_json::from_str(&report.text).unwrap();
    assert_eq!(document["exit"], report.exit, "{}", report.text);
    document
}

/// `SEVERITY kind` of each finding, without remarks and without what DNSSEC says: the laboratory decides what validates.
fn findings(world: &World, args: &[&str]) -> Vec<String> {
    let document = document(world, args);
    let told = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| format!("{} {}", finding["severity"].as_str().unwrap(), finding["kind"].as_str().unwrap()));
    let passed = ["insecure", "mail-insecure", "security-unknown", "bogus"];
    told.filter(|told| !told.starts_with("OK ") && !passed.iter().any(|kind| told.ends_with(&format!(" {kind}"))))
        .collect()
}

pub fn lab(lines: impl FnOnce(Setup) -> Setup) -> Lab {
    let lab = lines(Lab::with("mx.example.com", "311 25").secondary("ns2", 60)).start();
    lab.first_use();
    lab
}

#[test]
fn nothing_to_complain_about() {
    let lab = lab(|setup| setup);
    assert_eq!(findings(&lab.world, &[]), [""; 0]);
    let document = document(&lab.world, &[]);
    let owner = &document["owners"][0];
    assert_eq!((&owner["owner"], &owner["lineages"][0]), (&"_25._tcp.mx.example.com".into(), &"mx.example.com".into()));
    assert_eq!(owner["servers"].as_array().unwrap().len(), 2);
    assert_eq!((&owner["addresses"][0]["chains"], &owner["ttl"]), (&1.into(), &3600.into()));
    let text = check(&lab.world, &[]).text;
    assert!(text.starts_with("DANEROLL ") && text.lines().next().unwrap().contains(" | owners=1;"), "{text}");
    assert!(text.contains("[pin-always]"), "{text}");
}

#[test]
fn what_is_wrong_is_found() {
    type Harm = fn(&Lab);
    let cases: [(&str, Harm, &[&str]); 15] = [
        ("a renewal that ran no hook, and a service that was restarted", unnoticed, &["CRITICAL mismatch"]),
        ("records gone", records_gone, &["WARNING no-records"]),
        (
            "a silent secondary",
            |lab| lab.world.set_server("ns2.example.com", |s| s.mode = Mode::Down),
            &["WARNING servers-silent"],
        ),
        (
            "a refusing secondary",
            |lab| lab.world.set_server("ns2.example.com", |s| s.mode = Mode::Refuses),
            &["WARNING servers-silent"],
        ),
        (
            "dead resolver",
            |lab| lab.world.change(|s| s.dns.resolvers.clear()),
            &["UNKNOWN no-servers", "UNKNOWN not-seen", "UNKNOWN mail-unknown"],
        ),
        ("greylisting", |lab| service(lab, |s| s.refuses = Some("450 later".into())), &["UNKNOWN not-seen"]),
        ("another service at IPv6", other_at_ipv6, &["CRITICAL mismatch"]),
        ("not run for a week", |lab| lab.pass(7 * DAY), &["WARNING run-late"]),
        (
            "3 0 1 beside it",
            |lab| lab.publish(OWNER, 3600, &lab.record("mx.example.com", 1, [3, 0, 1])),
            &["WARNING servers-differ", "WARNING whole-certificate"],
        ),
        ("TTL of eight weeks", long_ttl, &["WARNING ttl-too-long"]),
        ("certificate at its end", |lab| lab.cron(6 * HOUR, 81 * DAY), &["CRITICAL expiry"]),
        ("a second mail host without records", second_host, &["WARNING mail-host-uncovered"]),
        ("Postfix reads live/", postfix, &["WARNING reads-live"]),
        ("nginx reads live/, by a link", nginx, &["WARNING reads-live"]),
        ("journal of somebody else", |lab| lab.world.fail_paths(crate::lab::STATE, nix::errno::Errno::EACCES), &[]),
    ];
    let mut wrong = Vec::new();
    for (what, harm, expected) in cases {
        let lab = lab(|setup| setup);
        harm(&lab);
        let found = findings(&lab.world, &[]);
        if found != *expected {
            wrong.push(format!("{what}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const OWNER: &str = "_25._tcp.mx.example.com";

fn records_gone(lab: &Lab) {
    lab.published(OWNER).iter().for_each(|record| lab.unpublish(OWNER, record));
    lab.pass(120);
}

fn unnoticed(lab: &Lab) {
    lab.certbot.renew("mx.example.com", Renewal::default());
    lab.world.change(|state| state.restart_service("mx.example.com:25"));
}

fn service(lab: &Lab, change: impl FnOnce(&mut Service)) {
    lab.world.change(|state| change(state.services.get_mut("mx.example.com:25").unwrap()));
}

fn edit(lab: &Lab, owner: &str, ttl: u32, data: RData) {
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(owner), ttl, data));
    lab.pass(120);
}

fn other_at_ipv6(lab: &Lab) {
    edit(lab, "mx.example.com", 3600, address("2001:db8::25".parse().unwrap()));
    lab.certbot.issue("other", &["mx.example.com"], 90);
    service(lab, |service| service.at = Some([192, 0, 2, 25].into()));
    let mut other = Service::new("other", "mx.example.com", 25, "/etc/letsencrypt/live/other");
    other.at = Some("2001:db8::25".parse().unwrap());
    lab.world.serve(other);
}

fn long_ttl(lab: &Lab) {
    let record = lab.published(OWNER).remove(0);
    lab.publish(OWNER, 60 * DAY as u32 / 2, &record);
    lab.pass(120);
}

fn second_host(lab: &Lab) {
    edit(lab, "mx2.example.com", 3600, address([192, 0, 2, 26].into()));
    for host in ["mx.example.com", "mx2.example.com"] {
        edit(lab, APEX, 3600, RData::MX(MX::new(10, name(host).to_name())));
    }
    let text = document(&lab.world, &[]).to_string();
    assert!(
        text.contains(
            "mail hosts of example.com have no TLSA records, so mail can be diverted to them: mx2.example.com"
        )
    );
}

fn write(lab: &Lab, path: &str, text: &str) {
    lab.world.change(|state| {
        for dir in Path::new(path).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev().skip(1) {
            let _ = state.disk.make_dir(dir, 0o755);
        }
        state.disk.create(Path::new(path), text.as_bytes(), 0o644).unwrap();
    });
}

fn postfix(lab: &Lab) {
    write(
        lab,
        "/etc/postfix/main.cf",
        "# live\nsmtpd_tls_cert_file = /etc/letsencrypt/live/mx.example.com/fullchain.pem\n",
    );
    let document = document(&lab.world, &[]).to_string();
    assert!(document.contains("/etc/postfix/main.cf:2"), "{document}");
    assert!(document.contains("write /etc/daneroll/dane/mx.example.com/fullchain.pem"), "{document}");
    assert_eq!(lab.run(&["-t"]), 0);
}

fn nginx(lab: &Lab) {
    // Not enabled, and left behind.
    for unused in ["sites-available/www", "conf.d/www.conf~", "conf.d/www.conf.dpkg-old"] {
        write(lab, &format!("/etc/nginx/{unused}"), "ssl_certificate /etc/letsencrypt/live/mx.example.com/cert.pem;");
    }
    let site = "server {\n  ssl_certificate /etc/letsencrypt/live/mx.example.com/fullchain.pem;\n}\n";
    write(lab, "/etc/nginx/sites-enabled/x", "");
    write(lab, "/srv/nginx/mx", site);
    lab.world.remove(Path::new("/etc/nginx/sites-enabled/x")).unwrap();
    lab.world.point(Path::new("/etc/nginx/sites-enabled/mx"), Path::new("/srv/nginx/mx")).unwrap();
}

#[test]
fn an_alias_is_another_owner() {
    let lab = lab(|setup| setup);
    edit(&lab, "www.example.com", 3600, alias("mx.example.com"));
    write(&lab, "/etc/resolver-only", &format!("resolver = {RESOLVER}\ndnssec = resolver\n"));
    let found = findings(&lab.world, &["-c", "/etc/resolver-only", "--host", "www.example.com:25"]);
    assert!(found.contains(&"WARNING no-records".to_owned()), "{found:?}");
}

#[test]
fn hosts_need_no_configuration() {
    let lab = lab(|setup| setup);
    write(&lab, "/etc/resolver-only", &format!("resolver = {RESOLVER}\ndnssec = resolver\n"));
    lab.world.remove(Path::new(crate::lab::CONFIG)).unwrap();
    let with = |args: &[&str]| findings(&lab.world, args);
    assert_eq!(with(&["-c", "/etc/resolver-only", "--host", "mx.example.com:25"]), [""; 0]);
    let none = ["WARNING no-records", "UNKNOWN not-seen"];
    assert_eq!(with(&["-c", "/etc/resolver-only", "--host", "mx.example.com:443"]), none);
    // Without any file it is the same but for what validates.
    let seen = document(&lab.world, &["--host", "mx.example.com:25"]);
    assert_eq!(seen["owners"][0]["lineages"], json!([]));
    assert!(!seen.to_string().contains("\"configuration\""), "{seen}");
    assert_eq!(with(&[]), ["UNKNOWN configuration"]);
    assert_eq!(check(&lab.world, &[]).exit, 3);
    let named = with(&["-c", "/nowhere", "--host", "mx.example.com:25"]);
    assert!(named.contains(&"UNKNOWN configuration".to_owned()), "{named:?}");
}

#[test]
fn lineages_and_usage() {
    let lab = lab(|setup| setup.lineage("www.example.com").tlsa("311 443"));
    let owners = |args: &[&str]| document(&lab.world, args)["owners"].as_array().unwrap().len();
    for (args, expected) in [
        (&[][..], 2),
        (&["www.example.com"], 1),
        (&["WWW.example.com", "mx.example.com"], 2),
        (&["--host", "mx.example.com:25"], 1),
        (&["www.example.com", "--host", "mx.example.com:25"], 2),
        (&["mx.example.com", "--host", "mx.example.com:25"], 1),
        (&["nobody"], 0),
    ] {
        assert_eq!(owners(args), expected, "{args:?}");
    }
    for args in [&["nobody"][..], &["--host", "mx.example.com"], &["--host", "mx.example.com:25:smpt"]] {
        let report = check(&lab.world, args);
        assert_eq!(report.exit, 3, "{args:?}");
        assert!(report.text.starts_with("DANEROLL UNKNOWN - configuration: "), "{}", report.text);
    }
}

#[test]
fn a_check_ends_in_time_and_changes_nothing() {
    let silences: [fn(&World); 4] = [
        |world| world.change(|state| state.dns.resolvers.clear()),
        |world| world.set_server("ns1.example.com", |server| server.mode = Mode::Down),
        |world| {
            ["ns1.example.com", "ns2.example.com"].iter().for_each(|s| world.set_server(s, |s| s.mode = Mode::Down))
        },
        |world| world.change(|state| state.services.clear()),
    ];
    for (at, silence) in silences.into_iter().enumerate() {
        for limit in [1, 2, 10] {
            let lab = lab(|setup| setup);
            silence(&lab.world);
            let (began, changes) = (lab.world.now(), lab.world.look(|state| state.disk.changes));
            let report = check(&lab.world, &["-t", &limit.to_string()]);
            assert!(lab.world.now() - began <= limit * 1000, "silence {at}: {} ms", lab.world.now() - began);
            assert_ne!(report.exit, 0, "silence {at}");
            assert_eq!(lab.world.look(|state| state.disk.changes), changes);
        }
    }
}

#[test]
fn a_stuck_rollover_is_told() {
    let lab = lab(|setup| setup.valid_days(20));
    lab.world.set_server("ns2.example.com", |server| server.frozen = true);
    lab.renew("mx.example.com", Renewal::default());
    lab.cron(6 * HOUR, 2 * DAY);
    let found = findings(&lab.world, &[]);
    assert!(found.contains(&"WARNING overdue".to_owned()), "{found:?}");
    assert!(found.contains(&"WARNING servers-differ".to_owned()), "{found:?}");
    let document = document(&lab.world, &[]).to_string();
    assert!(document.contains("does not show it"), "{document}");
}

/// Lines whose hosts are looked up: each host is an owner, as the DNS and the certificate tell now.
#[test]
fn hosts_that_are_looked_up() {
    let setup =
        Lab::with("mx.example.com", "311 25").only("311 25 mx:example.com").line("tlsa = 211 25 mx:example.com");
    let setup = setup.line("tlsa = 311 443 san").names(&["mx.example.com", "*.example.com"]);
    let lab = setup.service(25, "mx.example.com").service(443, "mx.example.com").start();
    lab.first_use();
    let seen = document(&lab.world, &[]);
    let owners: Vec<_> = seen["owners"].as_array().unwrap().iter().map(|owner| owner["owner"].clone()).collect();
    assert_eq!(owners, ["_25._tcp.mx.example.com", "_443._tcp.mx.example.com"], "{seen:#}");
    assert!(seen.to_string().contains("leaves out what is no host's name: *.example.com"), "{seen:#}");
    assert_eq!(findings(&lab.world, &[]), [""; 0]);
    // A mail host that joins has no records yet; where nobody can tell the mail hosts, that is told.
    let another = |zone: &mut daneroll::env::sim::zone::Zone| {
        zone.add(&name("mx2.example.com"), 3600, address([192, 0, 2, 25].into()));
        zone.add(&name(APEX), 3600, mail(20, "mx2.example.com"))
    };
    lab.world.edit_zone(&name(APEX), another);
    lab.pass(60);
    let found = findings(&lab.world, &[]);
    assert!(found.contains(&"WARNING no-records".to_owned()), "{found:?}");
    lab.world.edit_zone(&name(APEX), |zone| zone.delete_set(&name(APEX), RecordType::MX));
    let found = findings(&lab.world, &[]);
    assert!(found.contains(&"UNKNOWN hosts-unknown".to_owned()), "{found:?}");
}

/// International names in either form.
#[test]
fn international_names() {
    const SECTION: &str = "bücher.example.com";
    const LINEAGE: &str = "xn--bcher-kva.example.com";
    for (section, asked) in [(SECTION, LINEAGE), (LINEAGE, SECTION), (SECTION, "BÜCHER.example.com")] {
        let mut lab = Lab::with(LINEAGE, "311 25").start();
        let text = lab.setup.config().replace(&format!("[{LINEAGE}]"), &format!("[{section}]"));
        lab.world.change(|state| state.disk.overwrite(Path::new(crate::lab::CONFIG), text.as_bytes(), 0o644).unwrap());
        lab.first_use();
        lab.assert_settled(LINEAGE);
        let seen = document(&lab.world, &[asked, "--host", &format!("{asked}:25")]);
        let owners = seen["owners"].as_array().unwrap();
        assert_eq!((owners.len(), &owners[0]["owner"]), (1, &"_25._tcp.xn--bcher-kva.example.com".into()), "{seen:#}");
        assert!(!seen.to_string().contains("there is no section"), "{seen:#}");
        assert_eq!(lab.run(&["withdraw", asked]), 0, "{}", lab.told());
        assert!(!lab.is_published(&format!("_25._tcp.{LINEAGE}")), "{}", lab.told());
        lab.reconfigure(|setup| setup);
    }
    let lab = lab(|setup| setup);
    let report = check(&lab.world, &["--host", "xn--a.example:25"]);
    assert!(report.text.contains("\"xn--a\" begins like an international name and is none"), "{}", report.text);
}
