//! Whole rollovers with the real program: a credential that is wrong at first, a record of somebody else in the RRset, another that
//! comes in the midst, an update whose answer is lost, one that is refused; and at the end just the new record beside those of others.

use crate::{
    dns_server::DnsServer,
    lab::{Issued, LINEAGE, Lab, until},
    name,
    pdns::{KEY, Pdns},
    powerdns::through,
    server::{Reply, Request, recorder},
    standin::{StandIn, State, TOKEN, Wrong, lost, refusal, throttled},
};
use daneroll::tlsa::Association;
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const OWNER: &str = "_25._tcp.mx.example.test";
/// Of others: there from the start, and added in the midst.
const FOREIGN: [&str; 2] = [
    "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0",
    "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0",
];

/// The hash of a generation's key, made without the program's help.
fn hash(issued: &Issued) -> String {
    let key = rcgen::KeyPair::from_pem(&issued.key).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    data_encoding::HEXLOWER.encode(digest(&SHA256, &spki).as_ref())
}

/// A file that only its owner reads.
pub fn secret(lab: &Lab, file: &str, text: &str) -> String {
    fs::write(lab.path(file), text).unwrap();
    fs::set_permissions(lab.path(file), PermissionsExt::from_mode(0o600)).unwrap();
    lab.text(file)
}

/// Everything is waited for, but no time is: TTLs and name servers decide.
fn configure(lab: &Lab, api: &str, resolver: SocketAddr, server: SocketAddr) {
    let head = lab.head().replace("verify = provider\n", "");
    lab.write_configuration(format!(
        "{head}hold = 0\nrecheck = 0\nrecord_ttl = 1\nresolver = {resolver}\ndnssec = resolver\n[{LINEAGE}]\ntlsa = 311 25\n\
         nameservers = {server}\napi = {api}\n"
    ));
}

/// Two generations; before each call the test may put something in the way.
fn roll(lab: &Lab, records: impl Fn() -> BTreeSet<String>, mut before: impl FnMut(&str)) {
    let generations = [Issued::new(), Issued::new()];
    let hashes = [hash(&generations[0]), hash(&generations[1])];
    let with = |of_others: &[&str], ours: &[&String]| -> BTreeSet<String> {
        of_others.iter().map(|text| text.to_string()).chain(ours.iter().map(|text| text.to_string())).collect()
    };
    lab.issue(LINEAGE, 1, &generations[0]);
    before("reset");
    lab.run(&["--reset"]).ends(0);
    lab.run(&["--pre"]).ends(0);
    lab.run(&[]).ends(0);
    assert_eq!(records(), with(&[], &[&hashes[0]]), "{}", lab.read("log"));
    before("foreign");
    lab.issue(LINEAGE, 2, &generations[1]);
    before("post");
    lab.run(&["--post"]).speaks_plainly();
    before("published");
    until("the rollover is done", || {
        let run = lab.run(&["-l-"]).speaks_plainly();
        assert!(run.code == 0 || run.err.contains("refuses") && run.err.contains("Not today"), "{run:#?}");
        let served = lab.read(&format!("dane/{LINEAGE}/cert.pem"));
        let now = records();
        assert!(now.contains(&hashes[0]) || served == generations[1].cert, "the old record went before the switch");
        assert!(now.contains(FOREIGN[0]), "somebody else's record is gone");
        served == generations[1].cert && !now.contains(&hashes[0])
    });
    assert_eq!(records(), with(&FOREIGN, &[&hashes[1]]), "{}", lab.read("log"));
    lab.run(&[]).ends(0);
}

#[test]
fn through_cloudflares_stand_in() {
    let (standin, dns) = (StandIn::start(), Arc::new(DnsServer::start("example.test", None)));
    dns.state().denial_ttl = Some(0);
    let shown = dns.clone();
    standin.state().watcher = Some(Box::new(move |rows| {
        let mut rrsets = shown.state();
        rrsets.rrsets.clear();
        for row in rows {
            let (usage, selector, matching, hex) = &row.data;
            let record: Association = format!("{usage} {selector} {matching} {hex}").parse().unwrap();
            let rrset = rrsets.rrsets.entry(name(&row.name)).or_default();
            rrset.0 = u32::try_from(row.ttl).unwrap();
            rrset.1.insert(record);
        }
    }));
    let lab = Lab::new();
    let file = secret(&lab, "cf.ini", "dns_cloudflare_api_token = long-expired-token\n");
    configure(&lab, &format!("cloudflare {file} url:{}", standin.url()), dns.address, dns.address);
    // With a token that has expired nothing happens, and the cure is told.
    lab.run(&["--reset"]).ends(0);
    lab.run(&[]).fails(1, &[&file, "expired", "DNS Edit"]);
    secret(&lab, "cf.ini", &format!("dns_cloudflare_api_token = {TOKEN}\n"));
    let add_foreign: fn(&mut State) = |state| state.insert(OWNER, 1, (3, 1, 1, FOREIGN[1]));
    let records = || standin.state().rows.iter().map(|row| row.data.3.to_lowercase()).collect();
    roll(&lab, records, |step| {
        if step == "foreign" {
            standin.state().insert(OWNER, 1, (3, 1, 1, FOREIGN[0]));
        }
        if step == "post" {
            standin.fault("GET", 1, Wrong::Says(throttled(1)));
            standin.fault("POST", 1, Wrong::DoesAndSays(lost()));
            standin.fault("GET", 1, Wrong::Meanwhile(add_foreign));
            standin.fault("DELETE", 1, Wrong::Says(refusal(400, 9999, "Not today.")));
            standin.fault("DELETE", 1, Wrong::DoesAndSays(Reply::new(504, "")));
        }
    });
    let state = standin.state();
    assert!(state.surprises.is_empty(), "{:#?}", state.surprises);
    assert!(state.rows.iter().all(|row| row.ttl == 1), "an RRset keeps its TTL: {:?}", state.rows);
    assert!(state.faults.iter().all(|fault| fault.times == 0));
}

#[test]
fn through_powerdns() {
    let Some(pdns) = Pdns::start().map(Arc::new) else { return };
    let resolver = DnsServer::start("example.test", None);
    let lab = Lab::new();
    let file = secret(&lab, "pdns.key", "changed-since\n");
    configure(&lab, &format!("powerdns {} key:{file}", pdns.url()), resolver.address, pdns.dns);
    pdns.quick_denials();
    lab.run(&["--reset"]).ends(0);
    lab.run(&[]).fails(1, &[&file, "401", "api-key"]);
    secret(&lab, "pdns.key", &format!("{KEY}\n"));
    // Once an answer is lost, and once an update refused.
    let (lose, refuse) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (loses, refuses) = (lose.clone(), refuse.clone());
    let once = |flag: &AtomicBool, request: &Request| request.method == "PATCH" && flag.swap(false, Ordering::Relaxed);
    let before = move |request: &Request, _: &Pdns| {
        once(&refuses, request).then(|| Reply::new(422, "{\"error\": \"Not today\"}"))
    };
    let after = move |request: &Request, _: &Pdns| once(&loses, request).then(lost);
    let between = through(&pdns, Box::new(before), Box::new(after));
    configure(&lab, &format!("powerdns http://{between} key:{file}"), resolver.address, pdns.dns);
    let hexes = || pdns.at(&format!("{OWNER}.")).2.into_iter().map(|(content, _)| content[6..].to_owned()).collect();
    roll(&lab, hexes, |step| {
        let more = match step {
            "foreign" => FOREIGN[0],
            "post" => {
                lose.store(true, Ordering::Relaxed);
                FOREIGN[1]
            }
            "published" => return refuse.store(true, Ordering::Relaxed),
            _ => return,
        };
        let now = pdns.at(&format!("{OWNER}.")).2.into_iter().map(|(content, _)| content);
        let all: Vec<String> = now.chain([format!("3 1 1 {more}")]).collect();
        let all: Vec<_> = all.iter().map(|content| (content.as_str(), false)).collect();
        pdns.set(&format!("{OWNER}."), 1, &all);
    });
    assert!(!lose.load(Ordering::Relaxed) && !refuse.load(Ordering::Relaxed));
    assert_eq!(pdns.at(&format!("{OWNER}.")).0, 1, "an RRset keeps its TTL");
}

#[test]
fn proxies_of_the_environment_are_heeded_but_for_this_host() {
    let (proxy, seen) = recorder(Reply::new(407, ""));
    let lab = Lab::new();
    let file = secret(&lab, "cf.ini", "dns_cloudflare_api_token = abc\n");
    for (url, through) in [("http://api.example.test/v4", true), ("http://127.0.0.1:9/v4", false)] {
        lab.configure(&format!("api = cloudflare {file} url:{url}\n"));
        lab.run(&["--reset"]);
        let mut command = lab.command(&["-l-"]);
        command.env("http_proxy", format!("http://{proxy}")).env("HTTPS_PROXY", "http://127.0.0.1:1");
        let run = crate::lab::run(&mut command).speaks_plainly();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(!seen.is_empty(), through, "{run:#?}");
        assert!(seen.iter().all(|request| request.target.starts_with("http://api.example.test/v4/zones?")));
        assert!(format!("{}{}", run.out, run.err).contains(if through { "status 407" } else { "Connection refused" }));
    }
}
