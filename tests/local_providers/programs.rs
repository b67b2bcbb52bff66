//! `api = exec-json`, with real processes.

use super::{A, B, add, context, delete, name, record, text};
use daneroll::{
    env::real::Real,
    provider::{Change, Context, Provider, exec_json::ExecJson},
};
use std::time::Duration;

fn real() -> Real {
    Real::new(env!("CARGO_BIN_EXE_daneroll").into())
}

fn exec(argv: &[&str], changes: &[Change]) -> Vec<String> {
    let api = ExecJson { argv: argv.iter().map(|word| word.to_string()).collect(), user: None };
    api.apply(&real(), &context(), changes).iter().map(text).collect()
}

#[test]
fn the_request() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("env | sort >{0}/env; cat >>{0}/requests", dir.path().display());
    let live = Change { live: Some(record(2)), ttl: 0, ..delete(A, 1) };
    let of_net = Change { zone: Some(name("example.net")), ..add("_25._tcp.a.example.net.", 1) };
    let changes = [add(A, 2), of_net, live, Change { zone: None, ..add(B, 3) }];
    assert_eq!(exec(&["sh", "-c", &script], &changes), ["Done"; 4]);
    let requests = std::fs::read_to_string(dir.path().join("requests")).unwrap();
    let requests: Vec<serde_json::Value> = requests.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let zones: Vec<_> = requests.iter().map(|request| request["zone"].clone()).collect();
    assert_eq!(zones, [serde_json::Value::Null, "example.com.".into(), "example.net.".into()]);
    let expected = serde_json::json!({
        "version": 1, "zone": "example.com.", "renewed_domains": "a.example.com b.example.com", "letsencrypt_directory": "/etc/letsencrypt",
        "changes": [
            { "number": 1, "operation": "add", "owner": A, "ttl": 3600, "usage": 3, "selector": 1, "matching": 1, "data": "0202",
              "must_stay": null, "lineage": "a.example.com", "domain": "a.example.com", "port": 25, "protocol": "tcp" },
            { "number": 2, "operation": "delete", "owner": A, "ttl": 0, "usage": 3, "selector": 1, "matching": 1, "data": "0101",
              "must_stay": "0202", "lineage": "a.example.com", "domain": "a.example.com", "port": 25, "protocol": "tcp" },
        ]
    });
    assert_eq!(requests[1], expected);
    let vars = std::fs::read_to_string(dir.path().join("env")).unwrap();
    assert!(
        vars.lines().all(|var| ["IFS=", "PATH=", "PWD=", "_=", "\t", ""]
            .iter()
            .any(|known| var == *known || var.starts_with(known))),
        "{vars}"
    );
    assert!(!vars.contains("HOME="), "{vars}");
}

/// The outcomes of an addition and of a deletion.
#[test]
fn answers() {
    let one = r#"{"number":1,"outcome":"done"}"#;
    for (code, answer, expected) in [
        (0, String::new(), ["Done", "Done"]),
        (3, "echo one; echo two".into(), ["Failed: failed with exit code 3: two"; 2]),
        (127, String::new(), ["Failed: failed with exit code 127"; 2]),
        (128, "echo away".into(), ["Temporary: reports trouble that passes (exit code 128): away"; 2]),
        (0, outcomes(one), ["Done", "Failed: says nothing of this change in its answer"]),
        (5, outcomes(one), ["Done", "Failed: failed with exit code 5: more"]),
        (
            0,
            outcomes(&format!("{one},{}", r#"{"number":2,"outcome":"not-yet","why":" a\u001b[1m\nb "}"#)),
            ["Done", "NotYet: does not delete it yet: a\\u{1b}[1m\\nb"],
        ),
        (
            1,
            outcomes(r#"{"number":2,"outcome":"already"},{"number":1,"outcome":"not-yet"}"#),
            ["Failed: says \"not-yet\" to an addition", "Already"],
        ),
        (
            0,
            outcomes(r#"{"number":1,"outcome":"temporary"},{"number":2,"outcome":"failed","why":"no"}"#),
            ["Temporary: reports trouble that passes", "Failed: reports an error: no"],
        ),
        (
            0,
            outcomes(&format!("{one},{one}")),
            ["Failed: gave an answer that cannot be used: change 1 has two outcomes"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":3,"outcome":"done"}"#),
            ["Failed: gave an answer that cannot be used: there is no change 3"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":0,"outcome":"done"}"#),
            ["Failed: gave an answer that cannot be used: there is no change 0"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":1,"outcome":"perhaps"}"#),
            ["Failed: gave an answer that cannot be used: unknown variant"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":1,"outcome":"done","more":1}"#),
            ["Failed: gave an answer that cannot be used: unknown field"; 2],
        ),
        (
            0,
            outcomes(one).replace("version\":1", "version\":2"),
            ["Failed: gave an answer that cannot be used: its version is 2"; 2],
        ),
        (0, "echo '{'".into(), ["Failed: gave an answer that cannot be used: EOF"; 2]),
        (0, format!("{0}; {0}", outcomes(one)), ["Failed: gave an answer that cannot be used: more than one line"; 2]),
        (
            0,
            "head -c 70000 /dev/zero | tr '\\0' x".into(),
            ["Failed: gave an answer that cannot be used: it printed more than 64 KiB"; 2],
        ),
        (0, "kill -9 $$".into(), ["Failed: was ended by signal 9"; 2]),
    ] {
        let script = format!("cat >/dev/null; {}; exit {code}", if answer.is_empty() { ":" } else { &answer });
        let told = exec(&["sh", "-c", &script], &[add(A, 2), delete(A, 1)]);
        let told: Vec<String> =
            told.iter().map(|text| text.replace("`sh`, called for zone example.com, ", "")).collect();
        let fits = told.len() == 2
            && told.iter().zip(expected).all(|(told, expected)| match expected.contains("cannot be used") {
                true => told.starts_with(expected),
                false => told == expected,
            });
        assert!(fits, "{answer} {code}: {told:#?}");
    }
}

fn outcomes(list: &str) -> String {
    format!("echo; echo noise; echo '{{\"version\":1,\"outcomes\":[{}]}}'; echo more", list.replace('\\', "\\\\"))
}

#[test]
fn programs_that_do_not_read() {
    let many: Vec<Change> = (0..2000).map(|at| add(&format!("_25._tcp.h{at}.example.com."), 1)).collect();
    assert_eq!(exec(&["true"], &many), vec!["Done"; 2000]);
    let told = exec(&["/no/such/program"], &[add(A, 1)]);
    assert!(told[0].starts_with("Failed: ") && told[0].contains("does not exist"), "{told:?}");
    let api = ExecJson { argv: vec!["sleep".into(), "60".into()], user: None };
    let context = Context { timeout: Duration::from_secs(1), ..context() };
    let told = text(&api.apply(&real(), &context, &many)[1999]);
    assert!(told.contains("still running after 1 s"), "{told}");
}

/// A large request arrives whole, and its end is seen.
#[test]
fn the_sample() {
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/provider-json");
    let many: Vec<Change> = (0..500).map(|at| add(&format!("_25._tcp.h{at}.example.com."), 1)).collect();
    let changes = [&many[..], &[add(A, 1), add(A, 2), delete(B, 1)]].concat();
    let told = exec(&[hook], &changes);
    assert!(told[0].starts_with("Failed") && told[0].ends_with("fill in its functions"), "{}", told[0]);
    assert!(
        told[501].starts_with("Temporary") && told[501].ends_with("an earlier step at this owner has to succeed first")
    );
    assert_eq!(told[502], "Already");
}
