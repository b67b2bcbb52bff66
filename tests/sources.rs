//! Files that clients overwrite: what is taken for a set, and what for half of one. All of it on a real disk.
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use daneroll::{
    env::real::Real,
    lineage::{
        pem,
        set::doubt,
        source::{CLIENTS, InPlace, Source},
    },
};
use nix::sys::stat::{Mode, makedev, mknod};
use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const NAME: &str = "mx.example.com";

fn data(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Of `e` (ECDSA), `r` (RSA) and `d` (Ed25519): leaf, issuer, key; and things that are found in such files.
fn part(word: &str) -> String {
    let kind = |letter: &str| match letter {
        "e" => "ecdsa",
        "r" => "rsa",
        _ => "ed25519",
    };
    let certificates = |letter: &str| {
        let text = data(&format!("{}-fullchain.pem", kind(letter)));
        let (leaf, issuer) = text.split_at(text.rfind("-----BEGIN").unwrap());
        (leaf.to_owned(), issuer.to_owned())
    };
    match word {
        "sec1" => format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", data("ecdsa-sec1.key")),
        "pkcs1" => data("rsa-pkcs1.key"),
        "encrypted" => data("encrypted.key"),
        "old" => "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n-----END RSA PRIVATE KEY-----\n".into(),
        "unsupported" => data("unsupported.key"),
        "text" => "subject=CN = mx.example.com\nBag Attributes\n".into(),
        "crlf" => data("ecdsa-fullchain.pem").replace('\n', "\r\n"),
        "no-end" => part("eK").trim_end().trim_end_matches('-').into(),
        "nul" => "\0\0\0".into(),
        "dh" => "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n".into(),
        word => match word.split_at(1) {
            (letter, "L") => certificates(letter).0,
            (letter, "I") => certificates(letter).1,
            (letter, _) => data(&format!("{}.key", kind(letter))),
        },
    }
}

/// What becomes of files that hold these words: the leaf's letter and how many certificates follow it, or why nothing does.
fn read(files: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let paths = files.split('|').enumerate().map(|(number, words)| {
        let path = dir.path().join(format!("{number}.pem"));
        fs::write(&path, words.split_whitespace().map(part).collect::<String>()).unwrap();
        path
    });
    told(&Source::pem(paths.collect()))
}

fn told(source: &Source) -> Result<String, String> {
    let set = source.in_place().unwrap().read(&real(), NAME)?;
    let chain = &set.generation.chain;
    let is = |letter: &&str| {
        pem::chain(part(&format!("{letter}L")).as_bytes()).unwrap().certificates[0] == chain.certificates[0]
    };
    let leaf = ["e", "r", "d"].into_iter().find(is).unwrap();
    // What is written must be read as the same again, and the key be the leaf's.
    let [cert, rest, full, key] = set.contents().map(|(_, bytes)| bytes);
    assert_eq!(pem::chain(&full).unwrap(), *chain);
    assert_eq!([cert.to_vec(), rest.to_vec()].concat(), full.to_vec());
    pem::check_key(&key, &chain.certificates[0]).unwrap();
    assert!(!format!("{set:?}").contains("KEY"));
    Ok(format!("{leaf}{}", chain.certificates.len() - 1))
}

fn real() -> Real {
    Real::new("/nonexistent".into())
}

#[test]
fn a_set_is_known_by_what_it_holds() {
    for (files, expected) in [
        ("eK eL eI", "e1"),
        ("eI eL eK", "e1"), // in the wrong order
        ("rL rI | rK", "r1"),
        ("dK | dI | dL", "d1"),
        ("eL eI | eI | eL | eK", "e1"), // again and again
        ("eL eI sec1", "e1"),
        ("rL rI pkcs1", "r1"),
        ("text eL text eI dh eK text", "e1"),
        ("crlf | eK", "e1"),
        ("eL | eK", "e0"),
        ("eL eI eK nul", "e1"),
    ] {
        assert_eq!(read(files).as_deref(), Ok(expected), "{files}");
    }
}

#[test]
fn what_does_not_fit_is_no_set() {
    for (files, why) in [
        ("eL eI", "no private key in it"),
        ("eK", "no certificate in it"),
        ("nul", "no private key in it"),
        ("eK rL rI", "the key does not belong to the certificate"),
        ("eL eI eK rK", "another private key"),
        ("eL eI eK sec1", "another private key"), // the same, and nobody should have to find that out
        ("eL eI rI eK", "holds a certificate that is not of the leaf's chain"),
        ("eL rI eK", "holds a certificate that is not of the leaf's chain"),
        ("eL eI rL rI eK", "holds a certificate that is not of the leaf's chain"),
        ("eL eI encrypted", "the private key is encrypted"),
        ("eL eI old", "the private key is encrypted"),
        ("eL eI unsupported", "not a private key that can be used"),
        ("eL eI no-end", "the file is cut off"),
    ] {
        match read(files) {
            Err(told) => assert!(told.contains(why) && told.contains(".pem"), "{files}: {told}"),
            Ok(set) => panic!("{files}: {set}"),
        }
    }
}

#[test]
fn only_regular_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mode = Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&at("pipe"), mode).unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("/dev/zero", at("zero")).unwrap();
    fs::write(at("huge"), vec![b'-'; 33 << 20]).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let mut cases = vec![
        ("pipe", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("socket", "is not a regular file"),
        ("zero", "is not a regular file"),
        ("loop", "loop"),
        ("dangling", "dangling"),
        ("missing", "missing"),
        ("huge", "longer than 32 MiB"),
    ];
    if mknod(&at("device"), nix::sys::stat::SFlag::S_IFCHR, mode, makedev(1, 5)).is_ok() {
        cases.push(("device", "is not a regular file"));
    }
    let begun = Instant::now();
    for (name, why) in cases {
        let error = told(&Source::pem(vec![at(name)])).unwrap_err();
        assert!(error.contains(why), "{name}: {error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A writer that truncates and writes slowly, for some seconds, while we look as fast as we can.
#[test]
fn a_slow_writer_is_never_believed_too_early() {
    let dir = tempfile::tempdir().unwrap();
    let (one, apart) = (dir.path().join("one.pem"), ["L", "I", "K"].map(|part| dir.path().join(part)));
    let sets = ["e", "r"].map(|kind| {
        let texts = ["L", "I", "K"].map(|which| part(&format!("{kind}{which}")));
        (texts.concat(), texts)
    });
    let write = |path: &Path, text: &str, step: usize| {
        let mut file = fs::File::create(path).unwrap();
        for part in text.as_bytes().chunks(step) {
            file.write_all(part).unwrap();
            thread::sleep(Duration::from_micros(50));
        }
    };
    let done = AtomicBool::new(false);
    let (mut whole, mut torn) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(4);
            while Instant::now() < end {
                for (all, texts) in &sets {
                    write(&one, all, 31);
                    apart.iter().zip(texts).for_each(|(path, text)| write(path, text, 31));
                    thread::sleep(Duration::from_millis(5));
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let sources = [Source::pem(vec![one.clone()]), Source::pem(apart.to_vec())];
        while !done.load(Ordering::Relaxed) {
            for source in &sources {
                match source.in_place().unwrap().read(&real(), NAME) {
                    Err(_) => torn += 1,
                    Ok(set) if doubt(&set.generation.chain, None).is_some() => torn += 1,
                    Ok(set) => {
                        whole += 1;
                        let [_, _, full, _] = set.contents().map(|(_, bytes)| bytes);
                        let known =
                            ["ecdsa", "rsa"].map(|kind| pem::chain(data(&format!("{kind}-fullchain.pem")).as_bytes()));
                        assert!(known.contains(&pem::chain(&full)));
                    }
                }
            }
        }
    });
    assert!(whole > 10 && torn > 10, "{whole} whole, {torn} torn");
}

/// What a client's source makes of a tree.
fn client(name: &str, dir: &Path, named: Option<&str>, lineage: &str) -> Result<Vec<PathBuf>, String> {
    let client = CLIENTS.into_iter().find(|client| client.name == name).unwrap();
    let parts = InPlace::new(client, vec![dir.into()], named.map(str::to_owned)).parts(&real(), lineage)?;
    let all = parts.needed.into_iter().chain(parts.optional);
    Ok(all.map(|path| path.strip_prefix(dir).unwrap().to_owned()).collect())
}

#[test]
fn names_of_legos_files() {
    for (lineage, named, stem) in [
        ("mx.example.com", None, "mx.example.com"),
        ("_.example.com", None, "_.example.com"),
        ("bücher.example", None, "xn--bcher-kva.example"),
        ("_.bücher.example", None, "_.xn--bcher-kva.example"),
        ("mx.example.com", Some("_.example.com"), "_.example.com"),
    ] {
        let expected = ["crt", "key", "issuer.crt"].map(|end| PathBuf::from(format!("certificates/{stem}.{end}")));
        assert_eq!(client("lego", Path::new("/l"), named, lineage).unwrap(), expected, "{lineage}");
    }
}

/// acme.sh makes `DOMAIN/` for RSA and `DOMAIN_ecc/` else, `*` and all; the files in it bear the domain alone.
#[test]
fn trees_of_acme_sh() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["a.example", "b.example_ecc", "c.example", "c.example_ecc", "*.d.example_ecc", "ca", "http.header"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for (lineage, named, expected) in [
        ("a.example", None, Ok(("a.example", "a.example"))),
        ("b.example", None, Ok(("b.example_ecc", "b.example"))),
        ("c.example", None, Err("say which")),
        ("c.example", Some("c.example_ecc"), Ok(("c.example_ecc", "c.example"))),
        ("c.example", Some("c.example"), Ok(("c.example", "c.example"))),
        ("c.example_ecc", None, Ok(("c.example_ecc", "c.example"))),
        ("_.d.example", None, Ok(("*.d.example_ecc", "*.d.example"))),
        ("e.example", None, Ok(("e.example_ecc", "e.example"))), // not there yet
    ] {
        match (client("acme.sh", dir.path(), named, lineage), expected) {
            (Ok(files), Ok((folder, domain))) => {
                let names = ["fullchain.cer", &format!("{domain}.cer"), &format!("{domain}.key"), "ca.cer"];
                assert_eq!(files, names.map(|name| Path::new(folder).join(name)), "{lineage}");
            }
            (Err(told), Err(why)) => assert!(told.contains(why), "{told}"),
            (found, expected) => panic!("{lineage}: {found:?}, not {expected:?}"),
        }
    }
}
