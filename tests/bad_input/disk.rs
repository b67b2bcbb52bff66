//! Full, read-only and forbidden file systems.

use crate::{
    lab::{Issued, LINEAGE, Lab, Run, is_root},
    people::{give_away, make_read_only, mount, with_mounts},
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Takes every block that is left, but leaves files and folders as they are.
fn fill(folder: &Path) {
    let mut file = fs::File::create(folder.join("ballast")).unwrap();
    for size in [64 << 10, 4096, 512, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

fn with_full(part: &str, work: impl FnOnce(&Lab) + Send) {
    if !is_root(&format!("a full disk for {part}")) {
        return;
    }
    with_mounts(|lab| {
        mount(&lab.path(part), "1M");
        lab.run(&["--reset"]).ends(0);
        fill(&lab.path(part));
        work(lab);
        fs::remove_file(lab.path(part).join("ballast")).unwrap();
        lab.run(&["--post"]).ends(0);
        lab.run(&[]).ends(0);
        assert!(lab.calls() > 0, "once there is room again, everything goes on");
    });
}

/// There may be more than one thing that cannot be written, but each is told, with its path and why.
fn is_full(run: Run, code: i32, part: &Path) {
    let run = run.speaks_plainly();
    assert_eq!(run.code, code, "{run:#?}");
    let told =
        run.errors().iter().any(|error| error.contains(part.to_str().unwrap()) && error.contains("No space left"));
    assert!(told && run.errors().len() <= 2, "{run:#?}");
}

#[test]
fn no_room_for_the_journal() {
    with_full("state", |lab| {
        let before = lab.picture();
        is_full(lab.run(&[]), 1, &lab.path("state"));
        assert_eq!(lab.calls(), 0, "nothing is published that cannot be written down");
        assert!(lab.picture() == before, "files have changed");
        lab.run(&["--dry-run"]).ends(0);
    });
}

#[test]
fn no_room_for_the_dane_directory() {
    with_full("dane", |lab| {
        // A first record waits for the end of what processes may still present.
        lab.configure("hold = 0\n");
        lab.issue(LINEAGE, 2, &Issued::new());
        let issued = lab.picture();
        is_full(lab.run(&["--pre"]), 1, &lab.path("dane"));
        // An empty folder may be left.
        let same = |(path, thing): (&PathBuf, &_)| path.is_dir() || issued.get(path) == Some(thing);
        assert!(lab.picture().iter().filter(|(path, _)| path.starts_with(lab.path("dane"))).all(same));
    });
}

#[test]
fn no_room_for_the_log() {
    with_full("logs", |lab| {
        let log = lab.text("logs/log");
        fs::write(lab.path("logs/log"), "").unwrap();
        let run = lab.run(&["-l", &log]);
        let run = run.fails(16, &[&log, "cannot be written", "No space left"]);
        assert_eq!(run.out, "");
        assert_eq!(lab.calls(), 1, "the log stops nothing");
    });
}

#[test]
fn read_only() {
    if !is_root("a read-only file system") {
        return;
    }
    for (part, code) in [("state", 4), ("dane", 1), ("logs", 17)] {
        with_mounts(|lab| {
            mount(&lab.path(part), "1M");
            let log = lab.text("logs/log");
            let arguments = if part == "logs" { vec!["-l", log.as_str()] } else { Vec::new() };
            lab.run(&["--reset"]).ends(0);
            lab.run(&[]).ends(0);
            if part == "dane" {
                lab.run(&["--pre"]).ends(0);
                lab.issue(LINEAGE, 2, &Issued::new());
            }
            make_read_only(&lab.path(part));
            let before = lab.picture();
            let code = if part == "logs" { 16 } else { code };
            let run = lab.run(&arguments);
            match part {
                // The new generation cannot be kept, and the links of the old one cannot be led to the store.
                "dane" => assert!(run.code == code && run.err.contains("Read-only file system"), "{run:#?}"),
                _ => drop(run.fails(code, &[&lab.text(part), "Read-only file system"])),
            }
            if part == "state" {
                lab.run(&["--pre"]).fails(1, &[&lab.text("state"), "Read-only file system"]);
            }
            if part != "dane" {
                assert_eq!(lab.picture(), before, "{part}");
            }
        });
    }
}

#[test]
fn not_permitted() {
    if !is_root("directories that may not be written") {
        return;
    }
    let lab = Lab::settled();
    let before = lab.picture();
    for parts in [&["state", "log"][..], &["dane", "log"], &["state", "dane"], &["log"]] {
        let lab = Lab::settled();
        parts.iter().for_each(|part| give_away(&lab.path(part)));
        crate::people::give_away(&lab.path("le"));
        if parts.contains(&"state") && !parts.contains(&"dane") {
            // The dane directory is root's alone: what services read cannot even be seen.
            lab.run_as_nobody(&[]).fails(1, &[&lab.text("dane"), "ermission denied"]);
        } else if !parts.contains(&"state") {
            lab.run_as_nobody(&[]).fails(4, &[&lab.text("state"), "ermission denied"]);
            lab.run_as_nobody(&["--pre"]).fails(1, &[&lab.text("state"), "ermission denied"]);
        } else {
            let run = lab.run_as_nobody(&[]);
            run.fails(16, &[&lab.text("log"), "ermission denied"]);
        }
    }
    assert!(lab.picture() == before, "files have changed");
}
