//! Something stands where the program wants to put its own.

use crate::lab::{LINEAGE, Lab};
use std::{fs, os::unix::fs::symlink};

#[test]
fn a_foreign_file_in_the_way_of_a_link() {
    let lab = Lab::settled();
    let link = lab.path("dane").join(LINEAGE).join("cert.pem");
    fs::remove_file(&link).unwrap();
    fs::write(&link, "mine").unwrap();
    for command in [&["--reset"][..], &[], &["--pre"]] {
        lab.run(command).fails(1, &[link.to_str().unwrap(), "move it elsewhere"]);
        assert_eq!(fs::read_to_string(&link).unwrap(), "mine");
    }
    fs::remove_file(&link).unwrap();
    lab.run(&["--post"]).ends(0);
    lab.run(&[]).ends(0);
    assert!(link.is_symlink());
}

#[test]
fn a_directory_of_somebody_elses() {
    let lab = Lab::new();
    let file = lab.path("dane").join(LINEAGE).join("cert.pem");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "mine").unwrap();
    for command in [&["--reset"][..], &[]] {
        lab.run(command).fails(1, &[file.parent().unwrap().to_str().unwrap(), "move it elsewhere"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
    assert_eq!(lab.calls(), 0);
}

#[test]
fn a_file_instead_of_a_directory() {
    for part in ["dane", &format!("dane/{LINEAGE}"), &format!("dane/{LINEAGE}/.served"), "dane/.store"] {
        let lab = Lab::new();
        fs::create_dir_all(lab.path(part).parent().unwrap()).unwrap();
        fs::write(lab.path(part), "mine").unwrap();
        for command in [&["--reset"][..], &[]] {
            let run = lab.run(command);
            assert_eq!(run.code, 1, "{part} {command:?}: {run:#?}");
            run.fails(1, &[&lab.text(part)]);
            assert_eq!(lab.read(part), "mine", "{part}");
        }
    }
}

#[test]
fn a_parent_that_leads_nowhere() {
    let lab = Lab::settled();
    symlink(lab.path("nowhere"), lab.path("lost")).unwrap();
    let lost = lab.text("lost/dane");
    lab.run(&["-D", &lost]).fails(1, &[&lab.text("lost")]);
    lab.run(&["--reset", "-D", &lost]).fails(1, &[&lab.text("lost")]);
    lab.run(&["--state-directory", &lab.text("lost/state")]).fails(4, &[&lab.text("lost")]);
    assert!(!lab.path("nowhere").exists());
    lab.run(&[]).ends(0);
}

#[test]
fn a_state_directory_that_is_a_file() {
    let lab = Lab::new();
    fs::write(lab.path("state"), "mine").unwrap();
    lab.run(&[]).fails(4, &[&lab.text("state")]);
    lab.run(&["--pre"]).fails(1, &[&lab.text("state")]);
    assert_eq!(lab.read("state"), "mine");
}
