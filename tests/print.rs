//! `daneroll print`, against what OpenSSL says of the certificates.
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "bad_input/lab.rs"]
mod lab;
#[path = "common/schema.rs"]
mod schema;

use lab::{Issued, LINEAGE, Lab, Run};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

const OWNER: &str = "_25._tcp.mx.example.test.";

fn print(lab: &Lab, arguments: &[&str]) -> Run {
    lab.run(&[&["print"], arguments].concat())
}

fn live(lab: &Lab, file: &str) -> String {
    lab.text(&format!("le/live/{LINEAGE}/{file}"))
}

/// Certificate association data as OpenSSL's command line makes it; nothing without OpenSSL.
fn by_openssl(certificate: &str, selector: u8, matching: u8) -> Option<String> {
    let object = match selector {
        0 => "openssl x509 -in \"$0\" -outform DER",
        _ => "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER",
    };
    let digest = ["cat", "openssl dgst -sha256 -binary", "openssl dgst -sha512 -binary"][usize::from(matching)];
    let script = format!("command -v openssl >/dev/null || exit 77; {object} | {digest}");
    let output = Command::new("sh").args(["-c", &script, certificate]).stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(77) {
        lab::skip("TLSA data against OpenSSL: openssl is not installed");
        return None;
    }
    assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn all_parameters_as_openssl_has_them() {
    let lab = Lab::new();
    for usage in [2, 3] {
        let file = live(&lab, if usage == 2 { "chain.pem" } else { "cert.pem" });
        for (selector, matching) in (0..2).flat_map(|selector| (0..3).map(move |matching| (selector, matching))) {
            let Some(data) = by_openssl(&file, selector, matching) else { return };
            let param = format!("{usage}{selector}{matching}");
            let line = format!("{LINEAGE} {usage} {selector} {matching} {data} {file}\n");
            assert_eq!(print(&lab, &[&format!("{param}:{LINEAGE}")]).ends(0).out, line);
            // The full chain tells the same, and so does the file alone.
            for path in [&file, &live(&lab, "fullchain.pem")] {
                assert_eq!(
                    print(&lab, &[&format!("{param}:{path}")]).ends(0).out,
                    line.replace(&file, path),
                    "{param} {path}"
                );
            }
        }
    }
}

#[test]
fn what_is_named() {
    let lab = Lab::new();
    lab.issue(LINEAGE, 2, &Issued::new());
    lab.issue(LINEAGE, 10, &Issued::new());
    fs::copy(live(&lab, "cert.pem"), lab.path("elsewhere.pem")).unwrap();
    let data = |name: &str| by_openssl(&lab.text(name), 1, 1);
    let archive = |number: u32| format!("le/archive/{LINEAGE}/cert{number}.pem");
    let Some(newest) = data(&archive(10)) else { return };
    let (first, second) = (data(&archive(1)).unwrap(), data(&archive(2)).unwrap());
    let line = |lineage: &str, data: &str, path: PathBuf| format!("{lineage} 3 1 1 {data} {}\n", path.display());
    let shown = line(LINEAGE, &newest, live(&lab, "cert.pem").into());
    let all = [(1, &first), (2, &second), (10, &newest)].map(|(n, data)| line(LINEAGE, data, lab.path(&archive(n))));
    let shown_too = shown.clone();
    let elsewhere = line("-", &newest, lab.path("elsewhere.pem"));
    for (what, expected) in [
        ("", shown.clone()),
        ("311:mx.example.test", shown.clone()),
        ("311:MX.EXAMPLE.TEST", shown.clone()),
        ("311:live/mx.example.test", shown.clone()),
        ("311:archive/mx.example.test", all.concat()),
        (&format!("311:{}", lab.text("elsewhere.pem")), elsewhere),
        (&format!("311:{}", lab.text(&archive(1))), all[0].clone()),
        (&format!("311:{}/", lab.path("le/live").join(LINEAGE).display()), shown_too),
    ] {
        let what: Vec<&str> = what.split_whitespace().collect();
        assert_eq!(print(&lab, &what).ends(0).out, expected, "{what:?}");
        assert_eq!(lab.run(&[&["tlsa"], &what[..]].concat()).ends(0).out, expected);
    }
    assert!(!lab.path("log").exists() && !lab.path("state").exists(), "it only looks");
}

#[test]
fn zone_lines_and_documents() {
    let lab = Lab::new();
    lab.configure(
        "tlsa = 311 25\ntlsa = 311 443 www.example.test\ntlsa = 201 25\ntlsa = 311 tcp 25\nrecord_ttl = 300\n",
    );
    let Some(key) = by_openssl(&live(&lab, "cert.pem"), 1, 1) else { return };
    let issuer = by_openssl(&live(&lab, "chain.pem"), 0, 1).unwrap();
    let first = format!("{OWNER} 300 IN TLSA 3 1 1 {key}\n_443._tcp.www.example.test. 300 IN TLSA 3 1 1 {key}\n");
    let second = format!("{OWNER} 300 IN TLSA 2 0 1 {issuer}\n");
    assert_eq!(print(&lab, &["--zone"]).ends(0).out, first.clone() + &second);
    assert_eq!(print(&lab, &["--zone", "201:mx.example.test"]).ends(0).out, second);
    assert_eq!(print(&lab, &["--zone", "311:mx.example.test", "311:archive/mx.example.test"]).ends(0).out, first);
    assert_eq!(print(&lab, &["--zone", "312:mx.example.test"]).fails(1, &["no owner name", "tlsa = 312"]).out, "");
    let document = |arguments: &[&str]| -> serde_json::Value {
        let told = print(&lab, &[&["--json"], arguments].concat()).out;
        schema::validate("print", &told);
        serde_json::from_str(&told).unwrap()
    };
    let told = document(&["311:mx.example.test", "311:nope"]);
    let record = &told["records"][0];
    assert_eq!((&record["data"], &record["ttl"], &record["owners"][0]), (&key.into(), &300.into(), &OWNER.into()));
    assert_eq!((&told["version"], told["errors"].as_array().unwrap().len()), (&1.into(), 1));
}

/// Lines whose hosts are looked up: the certificate tells its names; mail hosts are known when a run has found them.
#[test]
fn hosts_that_are_looked_up() {
    let lab = Lab::new();
    lab.configure("tlsa = 311 443 san\ntlsa = 301 25 mx:example.test\nrecord_ttl = 300\n");
    let Some(key) = by_openssl(&live(&lab, "cert.pem"), 1, 1) else { return };
    let line = format!("_443._tcp.mx.example.test. 300 IN TLSA 3 1 1 {key}\n");
    let words = ["no owner name", "the hosts of \"mx:example.test\" are not known yet"];
    assert_eq!(print(&lab, &["--zone"]).fails(1, &words).out, line);
    assert_eq!(print(&lab, &[]).ends(0).out.lines().count(), 2, "what is not for a zone needs no owner");
}

#[test]
fn what_cannot_be_printed() {
    let lab = Lab::new();
    fs::write(lab.path("leaf.pem"), lab.read(&format!("le/live/{LINEAGE}/cert.pem"))).unwrap();
    fs::write(lab.path("empty.pem"), "").unwrap();
    let file = |param: &str, name: &str| format!("{param}:{}", lab.text(name));
    for (what, words) in [
        ("311:nope", &["no lineage \"nope\"", "there are mx.example.test"][..]),
        ("311:archive/nope", &["nope", "No such file"]),
        (&file("311", "missing.pem"), &["missing.pem", "No such file"]),
        (&file("311", "empty.pem"), &["empty.pem", "no certificate in it"]),
        (&file("211", "leaf.pem"), &["leaf.pem", "no certificate that issued"]),
    ] {
        let run = print(&lab, &[what, "311:mx.example.test"]).fails(1, words);
        assert_eq!(run.out.lines().count(), 1, "the others are printed: {what}");
    }
    // What means nothing is an error of the command line, as with Alnitak.
    for (what, words) in [
        ("111:mx.example.test", "usages 0 and 1 are not usable"),
        ("413:mx.example.test", "three digits"),
        ("mx.example.test", "PARAMETERS:CERTIFICATE"),
        ("311:", "names no certificate"),
        ("311://", "names no certificate"),
    ] {
        let run = print(&lab, &[what, "311:mx.example.test"]).fails(2, &[words]);
        assert_eq!(run.out, "", "{what}");
    }
}

#[test]
fn with_configurations_that_are_broken_or_missing() {
    let lab = Lab::new();
    let good = print(&lab, &["311:mx.example.test"]).ends(0).out;
    let section =
        |name: &str, param: &str| format!("[{name}]\ntlsa = {param} 25\napi = exec {}\n", lab.text("provider"));
    lab.write_configuration(format!("{}{}{}", lab.head(), section(LINEAGE, "311"), section("other.test", "999")));
    let run = print(&lab, &[]);
    assert_eq!((run.code, &run.out), (3, &good), "{run:#?}");
    let le = lab.text("le");
    fs::remove_file(lab.path("conf")).unwrap();
    assert_eq!(print(&lab, &["-C", &le, "311:mx.example.test"]).ends(0).out, good);
    let run = print(&lab, &["-C", &le]);
    assert!(run.code == 1 && run.out.is_empty() && run.err.contains("cannot be read"), "{run:#?}");
}

/// Neither the key nor the journal is needed.
#[test]
fn for_everybody_who_may_read() {
    if !lab::is_root("print for somebody who may not read keys") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::settled();
    let key = lab.path(&format!("le/archive/{LINEAGE}/privkey1.pem"));
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    let expected = print(&lab, &[]).ends(0).out;
    assert_eq!(lab.run_as_nobody(&["print"]).ends(0).out, expected);
}
