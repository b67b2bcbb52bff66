//! Zones that BIND's own tools have signed, with NSEC and NSEC3, whole and broken: what are their answers worth?

use crate::{
    namespace::{Namespace, must},
    ready,
};
use daneroll::{
    config::{self, Config, Overrides, System},
    env::real::Real,
    facts::Security,
    name::DnsName,
    observe::{discover::Resolver, dnssec::Validator},
};
use hickory_resolver::proto::rr::RecordType;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

const SERVER: &str = "127.0.0.11";

/// What `dnssec-signzone` gets for each zone beside the keys; children come before their parents, whose DS records they are.
const ZONES: [(&str, &str, &str); 6] = [
    (
        "nsec.test",
        "",
        "_25._tcp.mx TLSA 3 1 1 @\n_25._tcp.text TXT here\n*._tcp.wild TLSA 3 1 1 @\nalias CNAME _25._tcp.mx.test.\n",
    ),
    ("old.test", "-P -s 20200101000000 -e 20200201000000", "_25._tcp.mx TLSA 3 1 1 @\n"),
    ("unsigned.test", "none", "_25._tcp.mx TLSA 3 1 1 @\n"),
    ("plain", "none", "_25._tcp.mx TLSA 3 1 1 @\n"),
    (
        "test",
        "-3 - -H 0",
        "_25._tcp.mx TLSA 3 1 1 @\n_25._tcp.text TXT here\n*._tcp.wild TLSA 3 1 1 @\nforged TXT true\n\
         nsec NS ns.\nold NS ns.\nunsigned NS ns.\n",
    ),
    (".", "-3 ABCD -H 5 -A", "test NS ns.\nplain NS ns.\nns A 127.0.0.11\n"),
];

#[test]
fn zones_signed_by_bind() {
    if !ready("validation") {
        return;
    }
    let namespace = Namespace::new(&[SERVER], SERVER).unwrap();
    sign(namespace.dir());
    serve(&namespace);
    thread::scope(|scope| scope.spawn(|| judge(&namespace)).join().unwrap());
}

fn judge(namespace: &Namespace) {
    namespace.enter().unwrap();
    for (query, kind, expected) in [
        ("_25._tcp.mx.test", RecordType::TLSA, "secure 1"),
        ("_25._tcp.text.test", RecordType::TLSA, "secure 0"), // NSEC3: no such type
        ("_25._tcp.none.test", RecordType::TLSA, "secure 0"), // NSEC3: no such name
        ("_tcp.mx.test", RecordType::TLSA, "secure 0"),       // an empty non-terminal
        ("_25._tcp.wild.test", RecordType::TLSA, "secure 1"), // from a wildcard
        ("_25._tcp.mx.nsec.test", RecordType::TLSA, "secure 1"),
        ("_25._tcp.text.nsec.test", RecordType::TLSA, "secure 0"),
        ("_25._tcp.none.nsec.test", RecordType::TLSA, "secure 0"),
        ("_25._tcp.wild.nsec.test", RecordType::TLSA, "secure 1"),
        ("alias.nsec.test", RecordType::TLSA, "secure 0"), // the CNAME only: its target is in another zone
        ("_25._tcp.mx.unsigned.test", RecordType::TLSA, "insecure 1"), // NSEC3: a delegation without DS
        ("_25._tcp.none.unsigned.test", RecordType::TLSA, "insecure 0"),
        ("_25._tcp.mx.plain", RecordType::TLSA, "insecure 1"), // NSEC3 with opt-out
        ("_25._tcp.mx.old.test", RecordType::TLSA, "bogus"),
        ("_25._tcp.none.old.test", RecordType::TLSA, "bogus"),
        ("forged.test", RecordType::TXT, "bogus"),
        ("ns", RecordType::A, "secure 1"),
    ] {
        let config = configuration(namespace.dir());
        let env = Real::new("/proc/self/exe".into());
        let validator = Validator::new(config.dnssec, config.trust_anchor.as_ref());
        let servers = vec![SocketAddr::new(SERVER.parse().unwrap(), 53)];
        let resolver = Resolver::new(&env, servers).judging(Rc::new(validator));
        let query: DnsName = query.parse().unwrap();
        let (message, security) = resolver.validated(&[(query.clone(), kind)]).remove(0).unwrap();
        let count = message.answers.iter().filter(|record| record.record_type() == kind).count();
        let found = match &security {
            Security::Secure => format!("secure {count}"),
            Security::Insecure => format!("insecure {count}"),
            Security::Bogus(_) => "bogus".into(),
            Security::Unknown(why) => format!("unknown: {why}"),
        };
        assert_eq!(found, expected, "{query} {kind}: {security:?}");
    }
}

/// A configuration with the root's key as trust anchor.
fn configuration(dir: &Path) -> Config {
    let (path, env) = (dir.join("daneroll.conf"), Real::new("/proc/self/exe".into()));
    let loaded = config::load_from(&System(&env), &path, &Overrides::default()).unwrap();
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    loaded.config
}

/// Makes and signs the zones, and spoils one record after that.
fn sign(dir: &Path) {
    for (zone, options, records) in ZONES {
        let records = records.replace('@', &"07".repeat(32));
        let text = format!("$TTL 300\n@ SOA ns. host. 1 3600 600 86400 300\n@ NS ns.\n{records}");
        let (source, signed) = (format!("zone-{zone}source"), format!("zone-{zone}"));
        fs::write(dir.join(&source), &text).unwrap();
        if options == "none" {
            fs::write(dir.join(&signed), &text).unwrap();
            continue;
        }
        let mut keygen = Command::new("dnssec-keygen");
        must(keygen.current_dir(dir).args(["-q", "-f", "KSK", "-a", "13", zone])).unwrap();
        let mut signer = Command::new("dnssec-signzone");
        signer.current_dir(dir).args(["-q", "-S", "-z", "-g", "-o", zone, "-f", &signed]);
        must(signer.args(options.split_whitespace()).arg(&source)).unwrap();
    }
    let test = fs::read_to_string(dir.join("zone-test")).unwrap();
    assert_eq!(test.matches("\"true\"").count(), 1, "{test}");
    fs::write(dir.join("zone-test"), test.replace("\"true\"", "\"false\"")).unwrap();
    let keys = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let is_roots = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("K.+013") && name.ends_with(".key")
    };
    fs::copy(keys.into_iter().find(is_roots).expect("the root's key"), dir.join("anchor.key")).unwrap();
    fs::write(dir.join("daneroll.conf"), format!("trust_anchor = {}/anchor.key\n", dir.display())).unwrap();
}

fn serve(namespace: &Namespace) {
    let dir = namespace.dir().display();
    let zones: Vec<String> = ZONES
        .iter()
        .map(|(zone, ..)| {
            format!("zone \"{zone}\" {{ type primary; file \"{dir}/zone-{zone}\"; check-names ignore; }};\n")
        })
        .collect();
    let conf = format!(
        "options {{ directory \"{dir}\"; pid-file none; session-keyfile none; listen-on {{ {SERVER}; }}; listen-on-v6 {{ none; }};\n\
         recursion no; dnssec-validation no; notify no; }};\ncontrols {{ }};\n{}",
        zones.concat()
    );
    fs::write(namespace.dir().join("named.conf"), conf).unwrap();
    // Where AppArmor confines the installed program by its path, it could not read our files.
    let copy = namespace.dir().join("named.copy");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|dir| dir.join("named")).find(|file| file.is_file()).unwrap();
    // By another process: a child that some thread forks just then would hold our file open for writing, "text file busy".
    assert!(Command::new("cp").arg(installed).arg(&copy).status().unwrap().success());
    let file = namespace.dir().join("named.conf");
    let argv = [copy.to_str().unwrap(), "-g", "-c", file.to_str().unwrap()];
    namespace.serve("named", &argv, &[]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let log = || fs::read_to_string(namespace.dir().join("named.log")).unwrap_or_default();
    while !log().contains("all zones loaded") {
        assert!(Instant::now() < deadline, "named does not come up:\n{}", log());
        thread::sleep(Duration::from_millis(50));
    }
}
