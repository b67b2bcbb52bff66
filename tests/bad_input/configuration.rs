//! The configuration file.

use crate::lab::{LINEAGE, Lab, is_root};
use std::fs;

#[test]
fn cannot_be_read() {
    let lab = Lab::settled();
    let before = lab.picture();
    let conf = lab.text("conf");
    fs::rename(lab.path("conf"), lab.path("away")).unwrap();
    for command in ["", "--config-test", "--post", "--reset", "--dry-run"] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["-lno"]).collect();
        lab.run(&arguments).fails(1, &[&conf, "cannot be read", "No such file"]);
    }
    fs::create_dir(lab.path("conf")).unwrap();
    lab.run(&["-lno"]).fails(1, &[&conf, "not a regular file"]);
    fs::remove_dir(lab.path("conf")).unwrap();
    fs::rename(lab.path("away"), lab.path("conf")).unwrap();
    assert!(lab.picture() == before, "files have changed");
}

#[test]
fn is_closed_to_us() {
    if !is_root("a configuration that may not be read") {
        return;
    }
    let lab = Lab::settled();
    fs::set_permissions(lab.path("conf"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let before = lab.picture();
    lab.run_as_nobody(&["-lno"]).fails(1, &[&lab.text("conf"), "ermission"]);
    assert!(lab.picture() == before, "files have changed");
}

#[test]
fn errors_are_all_told_and_stop_only_their_section() {
    let lab = Lab::new();
    let good = format!("[{LINEAGE}]\ntlsa = 311 25\napi = exec {}\n", lab.text("provider"));
    let bad = "[other.example]\ntlsa = 911 25\nfrobnicate = 1\napi = exec /bin/true\n";
    lab.write_configuration(format!("{}{good}{bad}", lab.head()));
    let tested = lab.run(&["--config-test"]).speaks_plainly();
    assert_eq!((tested.code, tested.errors().len()), (3, 2), "{tested:#?}");
    for part in ["conf:14:", "conf:15:", "\n      tlsa = 911 25\n             ^^^\n", "911", "frobnicate"] {
        assert!(tested.err.contains(part), "{tested:#?}");
    }
    assert_eq!(lab.calls(), 0, "a test changes nothing");
    assert!(!lab.path("state").exists() && !lab.path("dane").exists());
    let run = lab.run(&[]).speaks_plainly();
    assert_eq!((run.code, run.errors().len(), lab.calls()), (3, 2, 1), "{run:#?}");
}

#[test]
fn is_not_text() {
    let lab = Lab::settled();
    let text = fs::read(lab.path("conf")).unwrap();
    let served = lab.path("dane").join(LINEAGE).join("fullchain.pem");
    let shown = fs::read(&served).unwrap();
    for (bytes, words) in [
        ([b"\xef\xbb\xbf", text.as_slice()].concat(), "byte order mark"),
        ([text.as_slice(), b"# caf\xe9\n"].concat(), "byte 0xe9 is not UTF-8"),
        (b"\xff\xfe[\0a\0".to_vec(), "byte 0xff is not UTF-8"),
        ([text.as_slice(), b"log\0 = x\n"].concat(), "control character"),
        (vec![b'x'; 33 << 20], "32 MiB"),
    ] {
        let before = lab.picture();
        lab.write_configuration(&bytes);
        lab.run(&["--config-test", "-lno"]).fails(3, &[&lab.text("conf"), words]);
        assert_eq!(lab.picture().len(), before.len());
        let state = ["-lno", "--state-directory", &lab.text("state"), "-D", &lab.text("dane"), "-C", &lab.text("le")];
        lab.run(&state).fails(3, &[&lab.text("conf"), words]);
        assert_eq!(fs::read(&served).unwrap(), shown, "the lineage may be pinned now, to what is served");
    }
    assert_eq!(lab.calls(), 1);
}

#[test]
fn a_test_tells_by_its_exit_code() {
    let lab = Lab::new();
    lab.run(&["-t"]).ends(0);
    assert!(lab.run(&["-t"]).out.contains("1 section, no errors"));
    for (lines, code) in [("bogus = 1\n", 3), ("hold = soon\n", 3), ("", 0)] {
        lab.configure(lines);
        assert_eq!(lab.run(&["-t"]).speaks_plainly().code, code, "{lines}");
    }
    assert_eq!(lab.run(&["-t", "--frob"]).code, 2);
    fs::rename(lab.path("le"), lab.path("elsewhere")).unwrap();
    let run = lab.run(&["-t"]).ends(0);
    assert!(run.out.contains("there is no lineage of that name"), "{run:#?}");
}

#[test]
fn the_renewal_comes_regardless() {
    let lab = Lab::settled();
    lab.configure("bogus = 1\n");
    assert_eq!(lab.run(&["--pre"]).speaks_plainly().code, 3);
    assert!(
        fs::read_link(lab.path("dane").join(LINEAGE).join(".served")).unwrap().to_str().unwrap().contains("generation")
    );
    lab.configure("");
    lab.run(&["--post"]).ends(0);
}
