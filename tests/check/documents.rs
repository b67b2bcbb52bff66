//! What machines read: JSON against its schema, metrics against `promtool`, and that the manual names every finding.

use crate::{
    certs::Renewal,
    lab::{CONFIG, DAY, HOUR, Lab},
    program::{installed, skip},
    world::{check, document, lab},
};
use daneroll::{env::Files, report::check::Kind};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn fed(command: &mut Command, text: &str) -> (bool, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn documents_fit_the_schema() {
    let python = "/usr/bin/python3";
    let there = Command::new(python).args(["-c", "import jsonschema"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return skip("check: JSON against its schema: needs python3-jsonschema");
    }
    let script = "import json, sys, jsonschema\n\
                  schema = json.load(open(sys.argv[1]))\n\
                  jsonschema.Draft7Validator.check_schema(schema)\n\
                  jsonschema.Draft7Validator(schema).validate(json.load(sys.stdin))\n";
    let schema = format!("{ROOT}/contrib/monitoring/check.schema.json");
    for (what, lab) in labs() {
        let text = document(&lab.world, &[]).to_string();
        let (fits, told) = fed(Command::new(python).args(["-c", script, &schema]), &text);
        assert!(fits, "{what}: {told}\n{text}");
    }
    let (fits, _) = fed(Command::new(python).args(["-c", script, &schema]), "{\"version\": 1}");
    assert!(!fits, "a schema that everything fits");
}

/// Worlds in which everything occurs that a document can hold.
fn labs() -> Vec<(&'static str, Lab)> {
    let rolling = lab(|setup| setup.lineage("www.example.com").tlsa("311 443").line("probe = off"));
    rolling.renew("mx.example.com", Renewal::default());
    let dead = lab(|setup| setup);
    dead.world.change(|state| state.dns.resolvers.clear());
    let broken = lab(|setup| setup);
    let text = broken.setup.config() + "patience = never\n";
    broken.world.remove(Path::new(CONFIG)).unwrap();
    broken.world.change(|state| state.disk.create(Path::new(CONFIG), text.as_bytes(), 0o644).unwrap());
    vec![("idle", lab(|setup| setup)), ("rolling", rolling), ("dead", dead), ("broken", broken)]
}

#[test]
fn metrics_please_promtool() {
    let promtool = installed("promtool", "check: metrics against promtool");
    for (what, lab) in labs() {
        lab.world.change(|state| state.disk.make_dir(Path::new("/metrics"), 0o755).unwrap());
        check(&lab.world, &["--prometheus", "/metrics/check.prom"]);
        let text = String::from_utf8(lab.world.read(Path::new("/metrics/check.prom")).unwrap()).unwrap();
        assert_eq!(lab.world.stat(Path::new("/metrics/check.prom"), true).unwrap().mode, 0o644);
        assert!(
            text.contains("daneroll_check_timestamp_seconds ") && text.lines().all(|l| l.contains("daneroll_check_"))
        );
        if promtool {
            let (fine, told) = fed(Command::new("promtool").args(["check", "metrics"]), &text);
            assert!(fine && told.is_empty(), "{what}: {told}\n{text}");
        }
    }
}

#[test]
fn runs_write_metrics_of_their_own() {
    let promtool = installed("promtool", "run: metrics against promtool");
    let lab = lab(|setup| setup.global("prometheus_file = /run/daneroll.prom"));
    lab.renew("mx.example.com", Renewal::default());
    lab.pass(HOUR / 2);
    assert_eq!(lab.run(&[]), 0);
    let metrics = || String::from_utf8(lab.world.read(Path::new("/run/daneroll.prom")).unwrap()).unwrap();
    let text = metrics();
    for line in [
        "daneroll_last_run_exit_code 0\n",
        "daneroll_last_run_troubles 0\n",
        "daneroll_pending_waits{lineage=\"mx.example.com\",step=\"switch\"} 1\n",
        "daneroll_wait_left_seconds{lineage=\"mx.example.com\",step=\"switch\"} ",
        "daneroll_certificate_expiry_timestamp_seconds{lineage=\"mx.example.com\"} ",
        &format!("daneroll_last_run_timestamp_seconds {}\n", lab.world.look(|state| state.wall())),
    ] {
        assert!(text.contains(line), "{line:?} is not in: {text}");
    }
    assert!(!text.contains("daneroll_check_"), "both files may lie in one directory: {text}");
    assert_eq!(lab.world.stat(Path::new("/run/daneroll.prom"), true).unwrap().mode, 0o644);
    if promtool {
        let (fine, told) = fed(Command::new("promtool").args(["check", "metrics"]), &text);
        assert!(fine && told.is_empty(), "{told}\n{text}");
    }
    lab.pass(DAY);
    assert_eq!(lab.run(&[]), 0);
    assert!(!metrics().contains("step=\"switch\""), "{}", metrics());
    let refused = check(&lab.world, &["--prometheus", "/run/daneroll.prom"]);
    assert!(refused.text.contains("[not-written]"), "{}", refused.text);
    assert!(metrics().contains("daneroll_last_run_exit_code"));
}

#[test]
fn rules_please_promtool() {
    if installed("promtool", "alert rules against promtool") {
        let rules = format!("{ROOT}/contrib/monitoring/check.rules.yml");
        let output = Command::new("promtool").args(["check", "rules", &rules]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let rules = std::fs::read_to_string(rules).unwrap();
        let lab = lab(|setup| setup.global("prometheus_file = /run/run.prom"));
        lab.run(&[]);
        check(&lab.world, &["--prometheus", "/run/check.prom"]);
        let read = |path: &str| String::from_utf8(lab.world.read(Path::new(path)).unwrap()).unwrap();
        let known = read("/run/run.prom") + &read("/run/check.prom");
        let names =
            rules.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|word| word.starts_with("daneroll_"));
        assert!(names.clone().count() > 3);
        for name in names {
            assert!(known.contains(&format!("# TYPE {name} ")), "no such metric: {name}");
        }
    }
}

#[test]
fn the_manual_and_the_schema_name_every_finding() {
    for file in ["man/daneroll-check.8", "contrib/monitoring/check.schema.json"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        for kind in Kind::ALL {
            let named =
                text.lines().any(|line| line.starts_with(".It") && line.split(' ').any(|word| word == kind.name()))
                    || text.contains(&format!("\"{}\"", kind.name()));
            assert!(named, "{} is not in {file}", kind.name());
        }
    }
}
