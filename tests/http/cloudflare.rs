//! `api = cloudflare` against the stand-in.

use crate::{
    A, B, add, change, context, delete, keeping, name, real, record,
    server::{Manner, Reply},
    shown,
    standin::{EMAIL, KEY, StandIn, State, TOKEN, Wrong, ZONE, envelope, lost, refusal, throttled},
};
use daneroll::{
    config::Secret,
    provider::{
        Change, Operation, Outcome, Provider,
        cloudflare::{Cloudflare, Known, Login, Zone},
        http::Base,
    },
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FOREIGN: &str = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";

fn config(standin: &StandIn) -> Cloudflare {
    Cloudflare {
        login: Login::Token(Secret(TOKEN.into())),
        source: "/etc/cf.ini".into(),
        zone: None,
        base: Base::parse(&standin.url()).unwrap(),
        known: Known::default(),
    }
}

/// A foreign record and records 1 and 2 at `A` (TTL 77); nothing at `B`.
fn standin() -> StandIn {
    let standin = StandIn::start();
    let at = A.trim_end_matches('.');
    standin.state().insert(at, 77, (3, 1, 1, FOREIGN));
    standin.state().insert(at, 77, (3, 1, 1, &record(1).hex()));
    standin.state().insert(at, 77, (3, 1, 1, &record(2).hex()));
    standin
}

fn apply(standin: &StandIn, changes: &[Change]) -> Vec<Outcome> {
    apply_with(&config(standin), standin, changes)
}

fn apply_with(config: &Cloudflare, standin: &StandIn, changes: &[Change]) -> Vec<Outcome> {
    let outcomes = config.apply(&real(), &context(), changes);
    let state = standin.state();
    assert!(state.surprises.is_empty(), "{:#?}", state.surprises);
    outcomes
}

/// The first byte and the TTL of each record at an owner.
fn at(state: &State, owner: &str) -> Vec<(u8, u64)> {
    let rows = state.rows.iter().filter(|row| row.name == owner.trim_end_matches('.'));
    rows.map(|row| (u8::from_str_radix(&row.data.3[..2], 16).unwrap(), row.ttl)).collect()
}

#[test]
fn single_records_are_made_and_deleted() {
    use Outcome::{Already, Done};
    let with = |more: &[(u8, u64)]| [&[(0xf0, 77), (1, 77), (2, 77)], more].concat();
    for (changes, outcomes, a, b) in [
        (vec![add(A, 3)], vec![Done], with(&[(3, 77)]), vec![]),
        (vec![add(B, 3)], vec![Done], with(&[]), vec![(3, 3600)]),
        (vec![add(B, 3), add(B, 4), add(B, 3)], vec![Done, Done, Already], with(&[]), vec![(3, 3600), (4, 3600)]),
        (vec![add(A, 1)], vec![Already], with(&[]), vec![]),
        (vec![delete(A, 3), delete(B, 1)], vec![Already, Already], with(&[]), vec![]),
        (vec![delete(A, 1), add(A, 1)], vec![Done, Done], vec![(0xf0, 77), (2, 77), (1, 77)], vec![]),
        (vec![add(A, 3), keeping(delete(A, 1), 3)], vec![Done, Done], vec![(0xf0, 77), (2, 77), (3, 77)], vec![]),
    ] {
        let standin = standin();
        assert_eq!(apply(&standin, &changes), outcomes, "{changes:?}");
        let state = standin.state();
        assert_eq!((at(&state, A), at(&state, B)), (a, b), "{changes:?}");
    }
    let standin = standin();
    let outcomes = apply(&standin, &[keeping(delete(A, 1), 9), delete(A, 2)]);
    assert!(
        matches!(&outcomes[..], [Outcome::NotYet(text), Outcome::Temporary(_)] if text.contains("0909")),
        "{outcomes:?}"
    );
    assert_eq!(at(&standin.state(), A), with(&[]));
}

#[test]
fn ttls() {
    for (ttl, existing, expected) in [
        (1, None, Ok(1)),
        (60, None, Ok(60)),
        (30, None, Err("set `record_ttl` to 60")),
        (30, Some(1), Ok(1)),
        (0, None, Err("9021")),
    ] {
        let standin = StandIn::start();
        if let Some(ttl) = existing {
            standin.state().insert(A.trim_end_matches('.'), ttl, (3, 1, 1, FOREIGN));
        }
        let outcome = apply(&standin, &[Change { ttl, ..add(A, 3) }]).pop().unwrap();
        match expected {
            Ok(ttl) => assert_eq!(at(&standin.state(), A).last(), Some(&(3, ttl))),
            Err(text) => {
                assert!(shown(&outcome).starts_with("Failed") && shown(&outcome).contains(text), "{outcome:?}")
            }
        }
    }
}

#[test]
fn e_mail_and_key() {
    let standin = standin();
    let login = Login::Key { email: EMAIL.into(), key: Secret(KEY.into()) };
    assert_eq!(apply_with(&Cloudflare { login, ..config(&standin) }, &standin, &[add(A, 3)]), [Outcome::Done]);
}

#[test]
fn all_pages_are_read() {
    for (page, counts) in [(1, true), (2, true), (3, true), (2, false), (100, false)] {
        let standin = standin();
        (standin.state().page, standin.state().counts) = (page, counts);
        assert_eq!(apply(&standin, &[add(A, 2), delete(A, 1)]), [Outcome::Already, Outcome::Done], "{page}");
        let reads = standin.calls().iter().filter(|call| *call == "GET dns_records").count();
        assert_eq!(reads, 3_usize.div_ceil(page) + usize::from(!counts), "{page}");
    }
}

#[test]
fn zones_are_found() {
    let zone = |name: &str, status: &str| (ZONE.to_owned(), name.to_owned(), status.to_owned());
    let other = |name: &str, status: &str| ("f".repeat(32), name.to_owned(), status.to_owned());
    let owner = "_25._tcp.mx.sub.example.co.uk.";
    for (zones, told, configured, expected) in [
        (vec![zone("example.co.uk", "active")], None, None, "Done"),
        (vec![zone("example.co.uk", "active")], Some("example.co.uk"), None, "Done"),
        (vec![zone("example.co.uk", "active")], Some("sub.example.co.uk"), None, "(asked for sub.example.co.uk)"),
        (vec![zone("sub.example.co.uk", "active"), other("example.co.uk", "active")], None, None, "Done"),
        (
            vec![other("sub.example.co.uk", "active"), zone("example.co.uk", "active")],
            Some("example.co.uk"),
            None,
            "Done",
        ),
        (
            vec![other("sub.example.co.uk", "active"), zone("example.co.uk", "active")],
            None,
            Some("example.co.uk"),
            "Done",
        ),
        (vec![zone("example.co.uk", "active")], None, Some(ZONE), "Done"),
        (
            vec![zone("example.co.uk", "active")],
            None,
            Some("ffffffffffffffffffffffffffffffff"),
            "correct or leave out `zone:`",
        ),
        (vec![zone("example.co.uk", "active")], None, Some("example.com"), "is not in zone example.com."),
        (vec![zone("example.co.uk", "pending")], None, None, "Done"),
        (vec![zone("example.co.uk", "active"), other("example.co.uk", "moved")], None, None, "Done"),
        (vec![zone("example.co.uk", "active"), other("example.co.uk", "active")], None, None, "several zones"),
        (vec![], None, None, "(asked for mx.sub.example.co.uk, sub.example.co.uk, example.co.uk, co.uk)"),
        (vec![], Some("example.co.uk"), None, "secret in /etc/cf.ini"),
    ] {
        let standin = StandIn::start();
        standin.state().zones = zones.clone();
        let zone = configured.map(|text| if text.len() == 32 { Zone::Id(text.into()) } else { Zone::Name(name(text)) });
        let config = Cloudflare { zone, ..config(&standin) };
        let outcome = apply_with(&config, &standin, &[Change { zone: told.map(name), ..add(owner, 3) }]).pop().unwrap();
        let text = shown(&outcome);
        let fits =
            if expected == "Done" { text == expected } else { text.starts_with("Failed") && text.contains(expected) };
        assert!(fits, "{zones:?} {told:?} {configured:?}: {text}");
        let made = standin.calls().iter().any(|call| call.contains("POST") && expected == "Done");
        assert_eq!((made, standin.state().rows.len()), (expected == "Done", usize::from(made)));
    }
}

#[test]
fn identifiers_are_asked_for_once() {
    let standin = standin();
    let config = config(&standin);
    apply_with(&config, &standin, &[add(A, 3), add(B, 3)]);
    assert_eq!(
        standin.calls(),
        ["GET zones", "GET dns_records", "POST dns_records", "GET dns_records", "POST dns_records"]
    );
    apply_with(&config, &standin, &[delete(A, 3)]);
    assert_eq!(standin.calls(), ["GET dns_records", "DELETE record"]);
    // The zone was taken away and set up anew: found again at the next run.
    standin.state().zones[0].0 = "e".repeat(32);
    let outcome = apply_with(&config, &standin, &[add(B, 4)]).pop().unwrap();
    assert!(shown(&outcome).contains("by this identifier"), "{outcome:?}");
    assert_eq!(apply_with(&config, &standin, &[add(B, 4)]), [Outcome::Done]);
}

/// What a fault makes of adding a record: kind and words, and whether the record is there.
struct Case(&'static str, Wrong, &'static str, &'static str, bool);

#[test]
fn refusals_and_breakdowns() {
    use Wrong::{DoesAndSays, Says};
    let cases = [
        Case(
            "GET",
            Says(refusal(403, 10000, "Authentication error")),
            "Failed",
            "permission Zone Read or DNS Edit",
            false,
        ),
        Case("GET", Says(refusal(403, 9109, "Invalid access token")), "Failed", "may have expired", false),
        Case("GET", Says(refusal(400, 6003, "Invalid request headers")), "Failed", "secret in /etc/cf.ini", false),
        Case("GET", Says(refusal(403, 9103, "Unknown X-Auth-Key")), "Failed", "expired, or been rolled", false),
        Case("GET", Says(Reply::new(401, "")), "Failed", "status 401", false),
        Case("POST", Says(refusal(403, 10000, "Authentication error")), "Failed", "DNS Edit", false),
        Case("POST", Says(refusal(400, 81045, "The record quota has been exceeded.")), "Failed", "quota", false),
        Case("POST", Says(refusal(400, 81057, "The record already exists.")), "Already", "", false),
        Case("POST", Says(refusal(400, 81058, "An identical record already exists.")), "Already", "", false),
        Case("*", Says(refusal(500, 1, "Oops")), "Temporary", "trouble of its own (status 500: 1 Oops)", false),
        Case("*", Says(Reply::new(521, "<html>down")), "Temporary", "(status 521)", false),
        Case("*", Says(lost()), "Temporary", "broke off", false),
        Case("*", Says(Reply::in_manner(Manner::Silence)), "Temporary", "no whole answer within 2 s", false),
        Case("*", Says(Reply::in_manner(Manner::Half)), "Temporary", "broke off", false),
        Case("*", Says(Reply::in_manner(Manner::Flood)), "Temporary", "more than 4194304 bytes", false),
        Case("*", Says(Reply::new(302, "")), "Failed", "sends us elsewhere (status 302)", false),
        Case("*", Says(Reply::new(200, "<html> Log in")), "Failed", "\"<html> Log in\"", false),
        Case("*", Says(Reply::new(404, "nginx")), "Failed", "is the address right", false),
        Case("*", Says(Reply::new(200, "")), "Failed", "an empty answer", false),
        Case("*", Says(Reply::new(200, "{\"success\":true,\"result\":[")), "Failed", "not what Cloudflare", false),
        Case("*", Says(Reply::new(200, "{\"result\":[]}")), "Failed", "not what Cloudflare", false),
        Case("*", Says(Reply::new(200, "{\"success\":\"yes\"}")), "Failed", "not what Cloudflare", false),
        Case("*", Says(envelope(200, true, json!([]), Value::Null)), "Failed", "no list of zones", false),
        Case(
            "*",
            Says(envelope(200, true, json!([]), json!([{ "id": "x", "name": "example.com" }]))),
            "Failed",
            "other zones",
            false,
        ),
        Case(
            "*",
            Says(envelope(200, true, json!([]), json!([{ "name": "example.test" }]))),
            "Failed",
            "without an identifier",
            false,
        ),
        Case(
            "*",
            Says(envelope(200, true, json!([]), json!([{ "id": "../x", "name": "example.test" }]))),
            "Failed",
            "identifier",
            false,
        ),
        Case("*", Says(envelope(200, false, json!([]), Value::Null)), "Failed", "refuses (status 200)", false),
        Case("POST", Says(envelope(200, false, json!([]), Value::Null)), "Failed", "refuses", false),
        Case("POST", Says(envelope(200, true, json!([]), json!({ "id": "x" }))), "Failed", "shows another", false),
        // Done, and not said or said badly.
        Case("POST", DoesAndSays(lost()), "Done", "", true),
        Case("POST", DoesAndSays(Reply::in_manner(Manner::Silence)), "Done", "", true),
        Case("POST", DoesAndSays(Reply::new(502, "bad gateway")), "Done", "", true),
        Case("POST", DoesAndSays(Reply::new(200, "{\"succ")), "Done", "", true),
        Case("POST", DoesAndSays(envelope(200, true, json!([]), Value::Null)), "Done", "", true),
    ];
    std::thread::scope(|scope| {
        for Case(method, wrong, kind, words, there) in cases {
            scope.spawn(move || {
                let standin = standin();
                standin.fault(method, 1000, wrong);
                let outcome = apply(&standin, &[add(A, 3)]).pop().unwrap();
                let text = shown(&outcome);
                assert!(
                    text.starts_with(kind) && text.contains(words) && !text.contains(TOKEN),
                    "{method} {words}: {text}"
                );
                let state = standin.state();
                let found = at(&state, A);
                assert_eq!(found.contains(&(3, 77)), there, "{text}");
                assert!(found.starts_with(&[(0xf0, 77), (1, 77), (2, 77)]), "{found:?}");
            });
        }
    });
}

#[test]
fn deletes_whose_answer_is_lost() {
    for (wrong, expected, there) in [
        (Wrong::DoesAndSays(lost()), "Done", false),
        (Wrong::DoesAndSays(Reply::new(504, "")), "Done", false),
        (Wrong::DoesAndSays(envelope(200, true, json!([]), json!({}))), "Done", false),
        (Wrong::Says(lost()), "Temporary", true),
        (Wrong::Says(refusal(404, 81044, "Record does not exist.")), "Already", true),
    ] {
        let standin = standin();
        standin.fault("DELETE", 1, wrong);
        let outcome = apply(&standin, &[keeping(delete(A, 1), 2)]).pop().unwrap();
        assert!(shown(&outcome).starts_with(expected), "{outcome:?}");
        assert_eq!(at(&standin.state(), A).contains(&(1, 77)), there, "{outcome:?}");
    }
}

#[test]
fn other_writers_are_left_alone() {
    let standin = standin();
    standin.fault(
        "POST",
        1,
        Wrong::Meanwhile(|state| {
            state.insert(A.trim_end_matches('.'), 77, (3, 1, 1, &record(0xe0).hex()));
            state.rows.retain(|row| !row.data.3.starts_with("02"));
        }),
    );
    assert_eq!(apply(&standin, &[add(A, 3)]), [Outcome::Done]);
    assert_eq!(at(&standin.state(), A), [(0xf0, 77), (1, 77), (0xe0, 77), (3, 77)]);
    // Somebody makes or deletes the same record first.
    standin.fault(
        "POST",
        1,
        Wrong::Meanwhile(|state| state.insert(A.trim_end_matches('.'), 77, (3, 1, 1, &record(4).hex()))),
    );
    standin.fault("DELETE", 1, Wrong::Meanwhile(|state| state.rows.retain(|row| !row.data.3.starts_with("01"))));
    assert_eq!(apply(&standin, &[add(A, 4), delete(A, 1)]), [Outcome::Already, Outcome::Already]);
    assert_eq!(at(&standin.state(), A), [(0xf0, 77), (0xe0, 77), (3, 77), (4, 77)]);
}

#[test]
fn requests_are_held_back_as_asked_and_not_for_ever() {
    let standin = standin();
    standin.fault("*", 1, Wrong::Says(throttled(1)));
    let began = Instant::now();
    assert_eq!(apply(&standin, &[add(A, 3)]), [Outcome::Done]);
    assert!(began.elapsed() >= Duration::from_secs(1));
    for seconds in [31, 3600, u64::MAX] {
        standin.fault("*", 1, Wrong::Says(throttled(seconds)));
        let began = Instant::now();
        let outcomes = apply(&standin, &[add(A, 4), add(B, 4)]);
        assert!(began.elapsed() < Duration::from_secs(2));
        assert!(
            outcomes.iter().all(|o| shown(o).starts_with("Temporary") && shown(o).contains("status 429")),
            "{outcomes:?}"
        );
    }
}

#[test]
fn an_outage_is_met_once() {
    let standin = standin();
    for (wrong, kind) in [
        (Wrong::Says(Reply::new(503, "")), "Temporary: not tried: "),
        (Wrong::Says(refusal(401, 1000, "Invalid API Token")), "Failed: not tried: "),
    ] {
        standin.state().faults.clear();
        standin.fault("*", 1000, wrong);
        standin.calls();
        let outcomes = apply(&standin, &[add(A, 4), add(B, 4), delete("_443._tcp.example.test", 1)]);
        assert_eq!(standin.calls().len(), 1);
        assert!(outcomes[1..].iter().all(|outcome| shown(outcome).starts_with(kind)), "{outcomes:?}");
    }
    // What is closed is this zone, and one refused record is no outage.
    standin.state().faults.clear();
    standin.fault("POST", 1, Wrong::Says(refusal(400, 9005, "Content for TLSA record is invalid.")));
    let outcomes = apply(&standin, &[add(A, 4), add(B, 4), change(Operation::Add, A, 5)]);
    let kinds: Vec<String> =
        outcomes.iter().map(|outcome| shown(outcome).split(':').next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["Failed", "Done", "Temporary"]);
}
