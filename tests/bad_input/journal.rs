//! Locks and the journal.

use crate::lab::{LINEAGE, Lab};
use std::{fs, path::PathBuf};

fn owner_file(lab: &Lab) -> PathBuf {
    lab.path("state/owners").join(format!("_25._tcp.{LINEAGE}.json"))
}

#[test]
fn a_lock_that_cannot_be_made() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("state/lock")).unwrap();
    for command in [&[][..], &["--post"], &["--reset"], &["deploy"]] {
        lab.run(command).fails(4, &[&lab.text("state/lock")]);
    }
    assert_eq!(lab.calls(), 0);
    lab.run(&["-l", "/nonexistent/log"]).speaks_plainly();
    assert_eq!(lab.run(&["-q", "-l", "/nonexistent/log"]).code, 20);
}

#[test]
fn another_run_holds_the_lock() {
    let lab = Lab::settled();
    let lock = fs::OpenOptions::new().write(true).open(lab.path("state/lock")).unwrap();
    lock.lock().unwrap();
    let before = lab.picture();
    let run = lab.run(&[]).ends(32);
    assert!(lab.read("log").contains(&lab.text("state/lock")), "{run:#?}");
    assert!(lab.picture() == before, "files have changed");
    lab.run(&["--pre"]).ends(0);
    assert!(lab.path("state/pins").join(format!("{LINEAGE}.held")).exists());
    drop(lock);
    lab.run(&["--post"]).ends(0);
    let served = fs::read_link(lab.path("dane").join(LINEAGE).join(".served")).unwrap();
    assert!(served.ends_with(format!("le/live/{LINEAGE}")), "{served:?}: the pin is gone again");
}

#[test]
fn of_a_later_version() {
    for name in ["owners", "lineages", "clock"] {
        let lab = Lab::settled();
        let file = match name {
            "owners" => owner_file(&lab),
            "lineages" => lab.path("state/lineages").join(format!("{LINEAGE}.json")),
            _ => lab.path("state/clock.json"),
        };
        let text = fs::read_to_string(&file).unwrap().replacen("\"version\": 1", "\"version\": 2", 1);
        fs::write(&file, &text).unwrap();
        let before = lab.picture();
        for command in [&[][..], &["--post"], &["--dry-run"]] {
            lab.run(command).fails(1, &[file.to_str().unwrap(), "format 2", "later daneroll"]);
        }
        assert_eq!((lab.picture(), fs::read_to_string(&file).unwrap()), (before, text), "{name}");
        lab.run(&["--pre"]).ends(0);
    }
}

#[test]
fn garbage_in_the_journal() {
    for garbage in [
        &b""[..],
        b"\xff\xfe\0",
        b"{",
        b"{\"version\":1}",
        b"[[[[[[[[",
        b"{\"version\":1,\"name\":\"x\",\"document\":7}",
    ] {
        for name in ["run.json", "clock.json"] {
            let lab = Lab::settled();
            fs::write(lab.path("state").join(name), garbage).unwrap();
            let run = lab.run(&[]).speaks_plainly();
            if name == "run.json" {
                assert_eq!((run.code, run.errors().len()), (0, 0), "{run:#?}");
            } else {
                run.fails(1, &["clock.json", "damaged"]);
            }
            lab.run(&[]).ends(0);
            let rewritten = fs::read(lab.path("state").join(name)).unwrap();
            serde_json::from_slice::<serde_json::Value>(&rewritten).unwrap();
        }
        let lab = Lab::settled();
        fs::write(owner_file(&lab), garbage).unwrap();
        let run = lab.run(&[]);
        run.fails(1, &[owner_file(&lab).to_str().unwrap(), "damaged", "kept as"]);
        assert_eq!(fs::read(owner_file(&lab).with_extension("json.damaged")).unwrap(), garbage);
        lab.run(&[]).ends(0);
        assert_eq!(lab.read("calls").lines().filter(|line| line.starts_with("delete")).count(), 0);
    }
}

#[test]
fn a_journal_file_that_is_a_directory() {
    let lab = Lab::settled();
    fs::remove_file(owner_file(&lab)).unwrap();
    fs::create_dir(owner_file(&lab)).unwrap();
    let before = lab.picture();
    lab.run(&[]).fails(1, &[owner_file(&lab).to_str().unwrap()]);
    assert!(lab.picture() == before, "files have changed");
    lab.run(&["--pre"]).ends(0);
}

#[test]
fn a_lost_journal() {
    let lab = Lab::settled();
    fs::remove_dir_all(lab.path("state")).unwrap();
    lab.run(&[]).ends(0);
    assert!(!lab.read("calls").contains("delete"));
}
