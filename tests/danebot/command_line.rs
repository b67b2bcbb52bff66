//! DaneBot's words: what they mean, and what is no call of his.

use daneroll::{
    cli::{
        Exit,
        danebot::{Call, called, parse},
    },
    name::DnsName,
};
use std::ffi::OsString;

/// A key, in Base64.
const SECRET: &str = "c2VjcmV0";
const LEAST: &str = "--cert-file c.pem -d mx.example.com --hook h --rfc2136-nameserver ns1.example.com --tcp 25";

fn read(line: &str, env: &[(&str, &str)]) -> Result<Call, Exit> {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    parse(&words, |name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
}

const ENV: [(&str, &str); 2] = [("DANEBOT_RFC2136_TSIG_KEY", "from-env"), ("DANEBOT_RFC2136_TSIG_SECRET", SECRET)];

fn sound(line: &str) -> Call {
    read(line, &ENV).unwrap_or_else(|exit| panic!("{line}: {}", exit.text))
}

#[test]
fn defaults() {
    let call = sound(LEAST);
    assert_eq!((call.propagation, call.ttl, call.probe, call.ports), (60, 3600, false, vec![25]));
    assert_eq!((call.key.algorithm.as_str(), call.key.name.as_str()), ("hmac-sha256", "from-env."));
    assert_eq!((call.server.host.as_str(), call.server.port), ("ns1.example.com", 53));
}

/// `more words => what they say`.
#[test]
fn words() {
    let names = |call: &Call| call.domains.iter().map(DnsName::to_string).collect::<Vec<_>>().join(" ");
    for (more, told) in [
        ("--domain b.example.com -d MX.example.com", "mx.example.com. b.example.com."),
        ("-db.example.com.", "mx.example.com. b.example.com."),
        ("-d bücher.example", "mx.example.com. xn--bcher-kva.example."),
    ] {
        assert_eq!(names(&sound(&format!("{LEAST} {more}"))), told, "{more}");
    }
    for (more, ports) in [("--tcp 465 --tcp 25", vec![25, 465]), ("--tcp=443", vec![25, 443])] {
        assert_eq!(sound(&format!("{LEAST} {more}")).ports, ports, "{more}");
    }
    for (server, host, port) in [
        ("192.0.2.1", "192.0.2.1", 53),
        ("[2001:db8::1]", "2001:db8::1", 53),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353),
        ("ns2:54", "ns2", 54),
    ] {
        let call = sound(&format!("{LEAST} --rfc2136-nameserver {server}"));
        assert_eq!((call.server.host.as_str(), call.server.port), (host, port), "{server}");
    }
    let call =
        sound(&format!("{LEAST} --prop 7 --ttl 300 --probe --rfc2136-tsig-key flag --rfc2136-tsig-a HMAC-SHA512"));
    assert_eq!((call.propagation, call.ttl, call.probe), (7, 300, true));
    assert_eq!((call.key.name.as_str(), call.key.algorithm.as_str()), ("flag.", "hmac-sha512"), "the flag wins");
    assert_eq!(sound(&format!("{LEAST} --rfc2136-tsig-secret b3RoZXI=")).key.secret.0, b"other");
    assert_eq!(sound(&format!("{LEAST} --resolver ::1 --resolver 192.0.2.1:54")).resolvers.len(), 2);
}

#[test]
fn errors() {
    let without = |flag: &str| {
        let words: Vec<&str> = LEAST.split(' ').collect();
        let at = words.iter().position(|word| *word == flag).unwrap();
        [&words[..at], &words[at + 2..]].concat().join(" ")
    };
    for flag in ["--cert-file", "-d", "--hook", "--rfc2136-nameserver", "--tcp"] {
        let exit = read(&without(flag), &ENV).unwrap_err();
        assert_eq!((exit.code, exit.to_stderr), (2, true), "{flag}: {}", exit.text);
    }
    for (more, env, told) in [
        ("", &ENV[..1], "DANEBOT_RFC2136_TSIG_SECRET is not set"),
        ("", &ENV[1..], "--rfc2136-tsig-key is missing"),
        ("--rfc2136-tsig-algo hmac-md5", &ENV, "hmac-md5 is not supported"),
        ("--rfc2136-tsig-secret !!!", &ENV, "not Base64"),
        ("--tcp 0", &ENV, "--tcp"),
        ("--tcp 65536", &ENV, "--tcp"),
        ("--ttl soon", &ENV, "--ttl"),
        ("--propagation-time -1", &ENV, "-1"),
        ("-d *.example.com", &ENV, "a wildcard is no host"),
        ("--rfc2136-nameserver [::1", &ENV, "bracket"),
        ("--frobnicate", &ENV, "--frobnicate"),
        ("word", &ENV, "word"),
    ] {
        let exit = read(&format!("{LEAST} {more}"), env).expect_err(more);
        assert!(exit.code == 2 && exit.text.contains(told), "{more}: {}", exit.text);
        assert!(!exit.text.contains(SECRET), "{more}");
    }
    let help = read("--help", &[]).unwrap_err();
    assert_eq!((help.code, help.to_stderr), (0, false));
    for word in ["--propagation-time", "[default: 60]", "[default: 3600]", "DANEBOT_KEY", "XDG_STATE_HOME"] {
        assert!(help.text.contains(word), "{word}");
    }
}

#[test]
fn by_name_or_by_word() {
    for (line, is) in [
        ("daneroll danebot -d a", Some(2)),
        ("/usr/bin/danebot -d a", Some(2)),
        ("./danebot.py -d a", Some(2)),
        ("danebot danebot", Some(1)),
        ("daneroll -q danebot", None),
        ("daneroll", None),
        ("mydanebot -d a", None),
    ] {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(called(&words).map(<[_]>::len), is, "{line}");
    }
}
