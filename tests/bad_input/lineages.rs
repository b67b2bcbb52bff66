//! What the ACME client left is incomplete, torn or wrong.

use crate::lab::{Issued, LINEAGE, Lab, is_root};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn files_that_do_not_fit() {
    let (other, next) = (Issued::new(), Issued::new());
    let replace = |name: &str, text: &str| {
        let files = next.files();
        files.map(|(file, contents)| (file, if file == name { text.to_owned() } else { contents }))
    };
    for (name, files, words) in [
        ("empty", replace("fullchain", ""), "fullchain.pem: no certificate in it"),
        ("cut off", replace("fullchain", &next.cert[..100]), "fullchain.pem: broken PEM"),
        (
            "not a certificate",
            replace("fullchain", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "fullchain.pem: certificate 1: not a certificate",
        ),
        ("empty key", replace("privkey", ""), "privkey.pem: no private key in it"),
        ("foreign key", replace("privkey", &other.key), "privkey.pem: the key does not belong to the certificate"),
        ("foreign chain", replace("chain", &other.chain), "chain.pem: does not fit fullchain.pem"),
        ("binary", replace("fullchain", "\u{0}\u{1}\u{7f}"), "fullchain.pem: no certificate in it"),
        (
            "broken base64",
            replace("cert", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
            "cert.pem: broken PEM",
        ),
    ] {
        let lab = Lab::settled();
        lab.run(&["--pre"]).ends(0);
        lab.archive(LINEAGE, 2, &files);
        next.files().iter().for_each(|(file, _)| lab.lead(LINEAGE, file, 2));
        // The client has gone on, so the links move from its archive to our store.
        lab.run(&[]);
        let before = lab.picture();
        for arguments in [&[][..], &["--dry-run"]] {
            let run = lab.run(arguments);
            assert!(run.code == 1, "{name}: {run:#?}");
            if arguments.is_empty() {
                run.fails(1, &[LINEAGE, words]);
            }
        }
        assert_eq!(lab.picture(), before, "{name}");
        assert_eq!(lab.calls(), 1, "{name}");
    }
}

#[test]
fn half_moved_links() {
    let lab = Lab::settled();
    lab.run(&["--pre"]).ends(0);
    let next = Issued::new();
    lab.archive(LINEAGE, 2, &next.files());
    lab.lead(LINEAGE, "cert", 2);
    lab.run(&[]).fails(1, &[LINEAGE, "cert.pem", "a renewal is under way or broke off"]);
    let before = lab.picture();
    lab.lead(LINEAGE, "fullchain", 2);
    lab.run(&[]).fails(1, &[LINEAGE, "privkey.pem"]);
    assert_eq!(lab.calls(), 1);
    assert_eq!(before.keys().collect::<Vec<_>>(), lab.picture().keys().collect::<Vec<_>>());
    lab.issue(LINEAGE, 2, &next);
    lab.run(&["--post"]).ends(0);
    assert_eq!(lab.calls(), 2, "the new record is published as soon as the set is whole");
}

#[test]
fn no_chain() {
    let lab = Lab::new();
    let mut alone = Issued::new();
    alone.chain.clear();
    lab.issue(LINEAGE, 1, &alone);
    lab.configure("tlsa = 211 25\ntlsa = 311 443\n");
    lab.run(&[]).fails(1, &[LINEAGE, "_25._tcp", "211"]);
    assert_eq!(lab.calls(), 1, "the record of usage 3 is published");
    lab.configure("tlsa = 311 443\n");
    lab.run(&[]).ends(0);
}

#[test]
fn a_key_that_may_not_be_read() {
    if !is_root("a key that may not be read") {
        return;
    }
    let lab = Lab::settled();
    lab.run(&["--pre"]).ends(0);
    lab.issue(LINEAGE, 2, &Issued::new());
    let key = lab.path("le/archive").join(LINEAGE).join("privkey2.pem");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    lab.run(&[]);
    let before = lab.picture();
    lab.run(&[]).fails(1, &[LINEAGE, "privkey.pem"]);
    assert!(lab.picture() == before, "files have changed");
    for part in ["state", "dane", "log"] {
        crate::people::give_away(&lab.path(part));
    }
    fs::remove_dir(&key).unwrap();
    fs::write(&key, "x").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let run = lab.run_as_nobody(&["-lno"]);
    run.fails(1, &[LINEAGE, "privkey.pem", "ermission denied"]);
}

#[test]
fn lineages_that_are_gone() {
    let lab = Lab::settled();
    fs::remove_dir_all(lab.path("le/live").join(LINEAGE)).unwrap();
    lab.run(&[]).fails(1, &[LINEAGE, "live"]);
    // Services read the same certificate from the store now, and nothing else happens.
    let served = lab.path("dane").join(LINEAGE);
    assert!(fs::read(served.join("fullchain.pem")).unwrap().starts_with(b"-----BEGIN CERTIFICATE"));
    let before = lab.picture();
    lab.run(&[]).fails(1, &[LINEAGE, "live"]);
    assert!(lab.picture() == before);
    fs::remove_dir_all(lab.path("le")).unwrap();
    lab.run(&[]).fails(1, &[LINEAGE, "live"]);
}
