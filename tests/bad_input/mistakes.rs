//! Mistakes of an operator, each once, against the real program: what it says names the cure. Where a mistake has kinds, all of them are
//! in `tests/bad-config` and in the tables of its own subject; this table is for the cures.

use crate::{
    dns_server::{DnsServer, Fault, SECRET},
    lab::{LINEAGE, Lab, is_root},
    people::{give_away, make_read_only, mount, with_mounts},
};
use data_encoding::BASE64;
use hickory_resolver::proto::{op::ResponseCode, rr::rdata::tsig::TsigError};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

/// What the program says in all: both streams, and the log.
fn said(lab: &Lab, command: &mut Command) -> String {
    let _ = fs::remove_file(lab.path("log"));
    let run = crate::lab::run(command).speaks_plainly();
    format!("{}{}{}", run.out, run.err, lab.read("log"))
}

#[track_caller]
fn names_the_cure(what: &str, said: &str, words: &[&str]) {
    let lacks: Vec<&&str> = words.iter().filter(|word| !said.contains(**word)).collect();
    assert!(lacks.is_empty(), "{what}: {lacks:?} not in:\n{said}");
}

fn mode(lab: &Lab, name: &str, mode: u32) {
    fs::set_permissions(lab.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// In configuration and files.
#[test]
fn on_this_host() {
    let key = |lab: &Lab| {
        fs::write(lab.path("key"), "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\n").unwrap();
        mode(lab, "key", 0o644);
        lab.configure(&format!("api = rfc2136 127.0.0.1 key:{}", lab.text("key")));
    };
    type Mistake<'a> = (&'a str, &'a dyn Fn(&Lab), &'a [&'a str], &'a [&'a str]);
    let mistakes: &[Mistake<'_>] = &[
        ("no configuration", &|lab| fs::remove_file(lab.path("conf")).unwrap(), &[], &["/conf", "-c"]),
        (
            "a typo in a key",
            &|lab| lab.configure("relaod = /bin/true"),
            &["-t"],
            &[":13:1:", "did you mean \"reload\"?"],
        ),
        ("a provider with a typo", &|lab| lab.configure("api = rfc2163 x"), &["-t"], &["did you mean \"rfc2136\"?"]),
        ("a duration", &|lab| lab.configure("hold = soon"), &["-t"], &["not a duration", "15m"]),
        ("a relative path", &|lab| lab.configure("reload = bin/x"), &["-t"], &["write the path from \"/\" on"]),
        ("everybody may write the configuration", &|lab| mode(lab, "conf", 0o666), &[], &["chmod o-w"]),
        ("everybody may read the key", &key, &["-t"], &["chmod o="]),
        (
            "the key is not there",
            &|lab| lab.configure("api = rfc2136 127.0.0.1 key:/gone"),
            &["-t"],
            &["/gone cannot be read"],
        ),
        ("a hook that is not executable", &|lab| mode(lab, "provider", 0o644), &[], &["chmod +x"]),
        ("a hook that everybody may write", &|lab| mode(lab, "provider", 0o757), &[], &["chmod o-w"]),
        ("a folder of hooks that everybody may write", &|lab| mode(lab, "", 0o777), &[], &["chmod o-w"]),
        ("no hook", &|lab| fs::remove_file(lab.path("provider")).unwrap(), &[], &["/provider", "does not exist"]),
        (
            "no such directory",
            &|lab| fs::rename(lab.path("le"), lab.path("elsewhere")).unwrap(),
            &[],
            &["/le/live", "letsencrypt_directory"],
        ),
        (
            "no such lineage",
            &|lab| {
                lab.write_configuration(format!("{}[mx.example.tset]\ntlsa = 311 25\napi = exec true\n", lab.head()))
            },
            &["-t"],
            &["[mx.example.tset]", "no lineage of that name"],
        ),
        ("no reload", &|lab| lab.configure("reload = no-such-program"), &[], &["no-such-program"]),
        ("two commands", &|_| (), &["--pre", "--post"], &["one command at a time"]),
        ("a command with a typo", &|_| (), &["stauts"], &["unknown command \"stauts\"", "--help"]),
    ];
    for (what, make, arguments, words) in mistakes {
        let lab = Lab::new();
        if !["no configuration", "no such lineage"].contains(what) {
            lab.run(&["--reset"]);
        }
        make(&lab);
        if *what == "no reload" {
            // A reload is owed after a switch only.
            lab.run(&[]);
            lab.run(&["--pre"]);
            lab.issue(LINEAGE, 2, &crate::lab::Issued::new());
            lab.run(&["--post"]);
        }
        names_the_cure(what, &said(&lab, &mut lab.command(arguments)), words);
    }
}

/// Files of somebody else's, and a sandbox that is too tight.
#[test]
fn that_root_makes() {
    if !is_root("files of another user, mounts") {
        return;
    }
    let lab = Lab::new();
    give_away(&lab.path("conf"));
    names_the_cure(
        "another's configuration",
        &said(&lab, &mut lab.command(&[])),
        &["belongs to user 65534", "chown root"],
    );
    let lab = Lab::new();
    lab.run(&["--reset"]);
    give_away(&lab.path("provider"));
    names_the_cure("another's hook", &said(&lab, &mut lab.command(&[])), &["belongs to user 65534", "chown root"]);
    with_mounts(|lab| {
        mount(&lab.path("state"), "1m");
        make_read_only(&lab.path("state"));
        let mut command = lab.command(&[]);
        command.env("INVOCATION_ID", "0123").stdin(Stdio::null());
        names_the_cure("a sandbox", &said(lab, &mut command), &["systemctl edit daneroll.service", "ReadWritePaths="]);
    });
}

/// On the way to the name server, and there.
#[test]
fn at_the_name_server() {
    let faults: [(&str, Option<Fault>, &[&str]); 7] = [
        ("the port is closed", None, &["127.0.0.1 port 1", "refused the connection", "see that it runs"]),
        ("another name of the key", Some(Fault::Tsig(TsigError::BadKey)), &["BADKEY", "compare name and algorithm"]),
        ("another secret", Some(Fault::Tsig(TsigError::BadSig)), &["BADSIG", "copy the key file anew"]),
        ("a clock that is wrong", Some(Fault::Clock(4000)), &["4000 s ahead of ours", "set the clocks right"]),
        ("the key may not", Some(Fault::Code(ResponseCode::Refused)), &["REFUSED", "update-policy"]),
        ("another server", Some(Fault::Code(ResponseCode::NotAuth)), &["NOTAUTH", "name the primary server"]),
        ("no updates", Some(Fault::Code(ResponseCode::NotImp)), &["NOTIMP", "use another `api`"]),
    ];
    for (what, fault, words) in faults {
        let lab = Lab::new();
        let server = DnsServer::start("example.test.", Some("k."));
        let address = if fault.is_some() { server.address.to_string() } else { "127.0.0.1:1".into() };
        server.state().faults.extend(fault);
        let secret = BASE64.encode(SECRET);
        fs::write(lab.path("key"), format!("key k {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n")).unwrap();
        mode(&lab, "key", 0o600);
        lab.configure(&format!("api = rfc2136 {address} key:{} zone:example.test", lab.text("key")));
        lab.run(&["--reset"]);
        let said = said(&lab, &mut lab.command(&[]));
        names_the_cure(what, &said, words);
        assert!(!said.contains(&secret), "{said}");
    }
    // Nobody delegates the zone to anybody: the resolver knows another one only.
    let (lab, resolver) = (Lab::new(), DnsServer::start("elsewhere.test.", None));
    let head = lab.head().replace("verify = provider\n", &format!("resolver = {}\n", resolver.address));
    let section = format!("[{LINEAGE}]\ntlsa = 311 25\napi = exec {}\n", lab.text("provider"));
    lab.write_configuration(head + &section);
    names_the_cure("not delegated", &said(&lab, &mut lab.command(&["--reset"])), &["delegated"]);
}
