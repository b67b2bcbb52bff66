//! Certificates, keys and TLSA records of all kinds, against what OpenSSL says of them (`tests/data`).
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use daneroll::{
    env::sim::World,
    lineage::{certbot::read_set, pem},
    name::DnsName,
    small::Set,
    tlsa::{Association, Certificate, Chain, Group, Mismatch, Param, satisfied, stranded},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const KINDS: [&str; 3] = ["rsa", "ecdsa", "ed25519"];
/// A moment at which all of them are valid: 2030.
const WALL: i64 = 1_900_000_000;

fn data(name: &str) -> String {
    fs::read_to_string(Path::new("tests/data").join(name)).unwrap()
}

fn fullchain(kind: &str) -> String {
    data(&format!("{kind}-fullchain.pem"))
}

fn chain(kind: &str) -> Chain {
    pem::chain(fullchain(kind).as_bytes()).unwrap()
}

/// Leaf and issuer, each with its end.
fn parts(kind: &str) -> (String, String) {
    let text = fullchain(kind);
    let (leaf, issuer) = text.split_at(text[1..].find("-----BEGIN").unwrap() + 1);
    (leaf.into(), issuer.into())
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

#[test]
fn chains_are_the_same_if_their_certificates_are() {
    for (one, other, same) in [("ecdsa", "ecdsa", true), ("ecdsa", "rsa", false)] {
        assert_eq!(chain(one) == chain(other), same, "{one} {other}");
    }
    assert_ne!(chain("ecdsa"), pem::chain(parts("ecdsa").0.as_bytes()).unwrap(), "with its issuer, and without");
}

#[test]
fn all_parameters_as_openssl_has_them() {
    let mut count = 0;
    for line in data("tlsa.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let param: Param = words[1..4].concat().parse().unwrap();
        let record = chain(words[0]).association(param).unwrap();
        assert_eq!(record.to_string(), words[1..].join(" "), "{line:.20}");
        assert!(chain(words[0]).matches(&record, &name("mx.example.com"), WALL), "{line:.20}");
        assert_eq!(record.to_string().parse::<Association>().unwrap(), record);
        count += 1;
    }
    assert_eq!(count, 36);
}

#[test]
fn usage_2_needs_path_dates_and_name() {
    let chain = chain("ecdsa");
    let record = |param: &str| chain.association(param.parse().unwrap()).unwrap();
    let (start, end) = (chain.not_before(), chain.not_after());
    for (param, base, wall, matches) in [
        ("211", "mx.example.com", WALL, true),
        ("211", "MX.Example.Com.", WALL, true),
        ("211", "a.wild.example.com", WALL, true),
        ("211", "a.b.wild.example.com", WALL, false),
        ("211", "wild.example.com", WALL, false),
        ("211", "other.example.com", WALL, false),
        ("211", "mx.example.com", start - 3600, false),
        ("211", "mx.example.com", end + 3600, false),
        ("311", "mx.example.com", end + 3600, true), // usage 3 looks at nothing but the leaf
        ("311", "other.example.com", WALL, true),
        ("201", "mx.example.com", WALL, true),
    ] {
        assert_eq!(chain.matches(&record(param), &name(base), wall), matches, "{param} {base} {wall}");
    }
    let mut as_usage = record("311");
    for usage in [0, 1, 2, 4, 255] {
        as_usage.usage = usage;
        assert!(!chain.matches(&as_usage, &name("mx.example.com"), WALL), "{usage}");
    }
}

#[test]
fn chains_in_odd_order() {
    let ((leaf, issuer), (_, stranger)) = (parts("ecdsa"), parts("rsa"));
    for (text, certificates, linked) in [
        (format!("{leaf}{issuer}"), 2, 1),
        (leaf.clone(), 1, 0),
        (format!("{leaf}{stranger}"), 2, 0),
        (format!("{leaf}{stranger}{issuer}"), 3, 0),
        (format!("{leaf}{issuer}{stranger}"), 3, 1),
        (format!("{leaf}{leaf}"), 2, 0),
        (format!("{issuer}{leaf}"), 2, 0),
        (format!("# for mx\n\n{leaf}\r\ntext\n{issuer}"), 2, 1),
        (format!("{}{leaf}{issuer}", data("ecdsa.key")), 2, 1), // a bundle: the key is passed over
    ] {
        let chain = pem::chain(text.as_bytes()).unwrap();
        assert_eq!((chain.certificates.len(), chain.linked()), (certificates, linked));
        let issuers = chain.association("211".parse().unwrap());
        assert_eq!(issuers.is_ok(), linked > 0, "never the leaf's hash");
    }
}

#[test]
fn broken_certificates() {
    let (leaf, issuer) = parts("ecdsa");
    for (text, why) in [
        (String::new(), "no certificate in it"),
        ("\0\u{fffd}not PEM".into(), "no certificate in it"),
        (data("ecdsa.key"), "no certificate in it"),
        (leaf[..leaf.len() / 2].into(), "cut off"),
        (format!("{leaf}{}", &issuer[..issuer.len() / 2]), "cut off"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(), "not a certificate"),
        ("-----BEGIN CERTIFICATE-----\n§§§\n-----END CERTIFICATE-----\n".into(), "broken PEM"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".into(), "not a certificate"),
    ] {
        let error = pem::chain(text.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn keys() {
    for (file, kind, why) in [
        ("rsa.key", "rsa", ""),
        ("rsa-pkcs1.key", "rsa", ""),
        ("ecdsa.key", "ecdsa", ""),
        ("ecdsa-sec1.key", "ecdsa", ""),
        ("ed25519.key", "ed25519", ""),
        ("rsa.key", "ecdsa", "does not belong"),
        ("ecdsa.key", "rsa", "does not belong"),
        ("ed25519.key", "ecdsa", "does not belong"),
        ("encrypted.key", "ecdsa", "encrypted"),
        ("unsupported.key", "ecdsa", "not a private key that can be used"),
        ("ecdsa-fullchain.pem", "ecdsa", "no private key in it"),
    ] {
        let checked = pem::check_key(data(file).as_bytes(), &chain(kind).certificates[0]);
        match checked {
            Ok(()) => assert_eq!(why, "", "{file} {kind}"),
            Err(error) => assert!(!why.is_empty() && error.contains(why), "{file} {kind}: {error}"),
        }
    }
    let key = data("rsa.key");
    let error = pem::check_key(&key.as_bytes()[..key.len() / 2], &chain("rsa").certificates[0]).unwrap_err();
    assert!(error.contains("cut off"), "{error}");
    let with_chain = data("ecdsa.key") + &fullchain("ecdsa");
    pem::check_key(with_chain.as_bytes(), &chain("ecdsa").certificates[0]).unwrap();
}

/// A set of files; `None` leaves one out.
fn set(files: &[(&str, Option<String>)]) -> Result<daneroll::lineage::Generation, String> {
    let (leaf, issuer) = parts("ecdsa");
    let world = World::new();
    let dir = PathBuf::from("/live");
    world.change(|state| {
        state.disk.make_dir(&dir, 0o700).unwrap();
        let whole = [("cert.pem", &leaf), ("chain.pem", &issuer), ("fullchain.pem", &fullchain("ecdsa"))];
        let key = data("ecdsa.key");
        for (name, text) in whole.into_iter().chain([("privkey.pem", &key)]) {
            let other = files.iter().find(|(other, _)| *other == name).map(|(_, text)| text.clone());
            if let Some(text) = other.unwrap_or_else(|| Some(text.clone())) {
                state.disk.create(&dir.join(name), text.as_bytes(), 0o600).unwrap();
            }
        }
        state.disk.create(&dir.join("README"), b"", 0o600).unwrap();
        state.disk.create(&dir.join("bundle.pem"), b"", 0o600).unwrap();
    });
    read_set(&world, &dir)
}

#[test]
fn sets_of_files() {
    let (leaf, issuer) = parts("ecdsa");
    let rsa = parts("rsa");
    for (files, why) in [
        (&[][..], ""),
        (&[("cert.pem", None), ("chain.pem", None)], ""),
        (&[("chain.pem", Some(String::new())), ("fullchain.pem", Some(leaf.clone()))], ""),
        (&[("fullchain.pem", None)], "/live/fullchain.pem"),
        (&[("privkey.pem", None)], "/live/privkey.pem"),
        (&[("fullchain.pem", Some(String::new()))], "/live/fullchain.pem: no certificate in it"),
        (&[("privkey.pem", Some(String::new()))], "/live/privkey.pem: no private key"),
        (&[("privkey.pem", Some(data("rsa.key")))], "/live/privkey.pem: the key does not belong"),
        (&[("cert.pem", Some(rsa.0.clone()))], "/live/cert.pem: does not fit fullchain.pem"),
        (&[("cert.pem", Some(String::new()))], "/live/cert.pem: does not fit"),
        (&[("cert.pem", Some(leaf[..99].into()))], "/live/cert.pem: broken PEM"),
        (&[("chain.pem", Some(rsa.1.clone()))], "/live/chain.pem: does not fit"),
        (&[("chain.pem", Some(String::new()))], "/live/chain.pem: does not fit"),
        (&[("fullchain.pem", Some(leaf.clone()))], "/live/chain.pem: does not fit"),
        (&[("fullchain.pem", Some(format!("{issuer}{leaf}")))], "/live/privkey.pem: the key does not belong"),
        (&[("fullchain.pem", Some(rsa.0.clone() + &rsa.1))], "/live/privkey.pem: the key does not belong"),
    ] {
        match set(files) {
            Ok(generation) => {
                assert_eq!(why, "", "{files:.40?}");
                let names: Vec<&str> = generation.files.iter().map(|(name, _)| name.as_str()).collect();
                assert!(!names.contains(&"README") && !names.contains(&"bundle.pem"), "{names:?}");
            }
            Err(error) => assert!(!why.is_empty() && error.contains(why), "{error}"),
        }
    }
}

/// RFC 7671 section 9: in each group, for each digest type in it, one record must match.
#[test]
fn digest_agility() {
    let (chain, base) = (chain("ecdsa"), name("mx.example.com"));
    // `311` is ours, `!312` is another's, `?` before a number nobody can use.
    let record = |text: &str| {
        let digits = text.trim_start_matches('!').as_bytes();
        match text.parse::<Param>() {
            Ok(param) => chain.association(param).unwrap(),
            _ => Association {
                usage: digits[0] - b'0',
                selector: digits[1] - b'0',
                matching: digits[2] - b'0',
                data: vec![7; 32],
            },
        }
    };
    let ee: Group = (3, 1);
    for (records, required, expected) in [
        ("311", &[ee][..], Ok(())),
        ("311 !311", &[ee], Ok(())),
        ("311 312", &[ee], Ok(())),
        ("311 !312", &[ee], Err(Mismatch::Wrong(ee, 2))),
        ("311 312 !312", &[ee], Ok(())),
        ("!311", &[ee], Err(Mismatch::Wrong(ee, 1))),
        ("", &[ee], Err(Mismatch::Missing(ee))),
        ("", &[], Ok(())),
        ("!311", &[], Ok(())),
        ("211", &[ee], Err(Mismatch::Missing(ee))),
        ("311 !211", &[ee], Ok(())), // a group that only others publish
        ("311", &[ee, (2, 1)], Err(Mismatch::Missing((2, 1)))),
        ("311 211", &[ee, (2, 1)], Ok(())),
        ("311 !319", &[ee], Ok(())), // a type that nobody has defined
        ("!319", &[ee], Err(Mismatch::Missing(ee))),
        ("310 311", &[ee], Ok(())),
        ("311 !310", &[ee], Err(Mismatch::Wrong(ee, 0))),
    ] {
        let records: Set<Association> = records.split_whitespace().map(record).collect();
        let required = required.iter().copied().collect();
        assert_eq!(satisfied(&records, &chain, &base, WALL, &required, &Set::new()), expected, "{records:?}");
    }
    // A group that is ours without being required: what is there must match.
    let present = Set::from([ee]);
    for (records, ok) in [("", true), ("311", true), ("!311", false), ("311 !312", false)] {
        let records: Set<Association> = records.split_whitespace().map(record).collect();
        let satisfied = satisfied(&records, &chain, &base, WALL, &Set::new(), &present);
        assert_eq!(satisfied.is_ok(), ok, "{records:?}");
    }
}

/// Whoever knows but one digest must not be left with records of others that fit the former certificate only.
#[test]
fn nobody_is_stranded() {
    let (from, to, base) = (chain("rsa"), chain("ecdsa"), name("mx.example.com"));
    // `<` is the former certificate's, `>` the next one's, `!` nobody's.
    let record = |text: &str| {
        let param: Param = text[1..].parse().unwrap();
        match &text[..1] {
            "<" => from.association(param).unwrap(),
            ">" => to.association(param).unwrap(),
            _ => Association { data: vec![7; 32], ..to.association(param).unwrap() },
        }
    };
    for (records, expected) in [
        (">311 <301", Ok(())), // each client knows SHA-256 here
        (">312 <301", Err(Mismatch::Stranded((3, 0), 1))),
        (">311 <302", Err(Mismatch::Stranded((3, 0), 2))),
        (">312 <300", Err(Mismatch::Stranded((3, 0), 0))),
        (">312 <301 >301", Ok(())),
        (">312 <301 >300", Ok(())),
        (">310 <301 <302", Ok(())),
        (">312 !301", Ok(())), // they failed before as well
        (">312", Ok(())),
        ("", Ok(())),
    ] {
        let records: Set<Association> = records.split_whitespace().map(record).collect();
        assert_eq!(stranded(&records, &from, &to, &base, WALL), expected, "{records:?}");
    }
}

#[test]
fn records_and_parameters_as_text() {
    for (text, read) in [
        ("3 1 1 00ff", Some("3 1 1 00ff")),
        ("3 1 1 00 FF", Some("3 1 1 00ff")),
        ("255 255 255 00", Some("255 255 255 00")),
        ("3 1 1 0", None),
        ("3 1 1 zz", None),
        ("3 1 256 00", None),
        ("3 1", None),
        ("", None),
    ] {
        assert_eq!(text.parse::<Association>().ok().map(|record| record.to_string()).as_deref(), read, "{text}");
    }
    for (text, valid) in [
        ("311", true),
        ("200", true),
        ("111", false),
        ("411", false),
        ("313", false),
        ("3111", false),
        ("", false),
        ("3 1", false),
    ] {
        assert_eq!(text.parse::<Param>().is_ok(), valid, "{text}");
    }
    assert!("111".parse::<Param>().unwrap_err().contains("usages 0 and 1"));
    let (record, param): (Association, Param) = ("3 1 1 00ff".parse().unwrap(), "311".parse().unwrap());
    assert_eq!(format!("{record:?} {param:?}"), "3 1 1 00ff 311");
    assert_eq!(format!("{:?}", chain("ecdsa").certificates[0]).len(), "Certificate(0123456789ab)".len());
    assert_eq!(KINDS.map(|kind| chain(kind).certificates.len()), [2, 2, 2]);
}

#[test]
fn kinds_of_keys_and_authorities() {
    for (kind, key) in [("rsa", "RSA 2048"), ("ecdsa", "ECDSA P-256"), ("ed25519", "Ed25519")] {
        let chain = chain(kind);
        assert_eq!(pem::key_type(&chain.certificates[0]), key);
        let authorities: Vec<bool> = chain.certificates.iter().map(pem::is_authority).collect();
        assert_eq!(authorities, [false, true], "{kind}");
        let torn = Certificate { spki: chain.certificates[0].spki[..20].into(), ..chain.certificates[0].clone() };
        assert_eq!(pem::key_type(&torn), "unknown");
    }
}
