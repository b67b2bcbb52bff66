//! The providers against real processes and a name server that does TSIG, prerequisites, and whatever may go wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[allow(dead_code, reason = "not each uses everything")]
#[path = "common/changes.rs"]
mod changes;
#[path = "common/dns_server.rs"]
mod dns_server;

use changes::{add, change, context, delete, keeping, name, record};
use daneroll::{
    config::Secret,
    env::real::Real,
    provider::{
        Change, Context, Operation, Outcome, Provider,
        exec::Exec,
        rfc2136::{Place, Rfc2136, TsigKey},
    },
    tlsa::Association,
};
use dns_server::{DnsServer, Fault, SECRET, State};
use hickory_resolver::proto::{op::ResponseCode, rr::rdata::tsig::TsigError};
use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

const KEY: &str = "daneroll.example.";
const A: &str = "_25._tcp.a.example.com.";
const B: &str = "_25._tcp.b.example.com.";

fn real() -> Real {
    Real::new(env!("CARGO_BIN_EXE_daneroll").into())
}

// api = exec

fn exec(script: &str, changes: &[Change], temporary_from: i32) -> Vec<Outcome> {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Exec { argv, user: None, at_once: 1, temporary_from }.apply(&real(), &context(), changes)
}

#[test]
fn exit_codes() {
    use Operation::{Add, Delete};
    for (operation, script, least, expected) in [
        (Add, "exit 0", 128, "Done"),
        (Add, "exit 1", 128, "Already"),
        (Add, "exit 2", 128, "Failed: failed with exit code 2"),
        (Add, "exit 127", 128, "Failed: failed with exit code 127"),
        (Add, "exit 128", 128, "Temporary: reports trouble that passes (exit code 128)"),
        (Add, "exit 199", 200, "Failed: failed with exit code 199"),
        (Add, "exit 200", 200, "Temporary: reports trouble that passes (exit code 200)"),
        (Delete, "exit 0", 128, "Done"),
        (Delete, "exit 1", 128, "NotYet: does not see the record that must stay (exit code 1)"),
        (Delete, "exit 2", 128, "Failed: failed with exit code 2"),
        (Delete, "exit 255", 200, "Temporary: reports trouble that passes (exit code 255)"),
        (Add, "kill -9 $$", 128, "Failed: was ended by signal 9"),
        (Add, "echo one; echo ' two '; echo; exit 3", 128, "Failed: failed with exit code 3: two"),
        (Add, "printf 'a\\033[31m\\377\\n'; exit 3", 128, "Failed: failed with exit code 3: a\\u{1b}[31m\u{fffd}"),
    ] {
        let outcome = exec(script, &[change(operation, A, 1)], least).pop().unwrap();
        assert_eq!(shown(&outcome), expected, "{script}");
    }
}

/// The kind of outcome, and its sentence without the part that is the same in all.
fn shown(outcome: &Outcome) -> String {
    let text = changes::shown(outcome);
    match text.split_once(": `/bin/sh`, called to ").and_then(|(kind, rest)| Some((kind, rest.split_once(", ")?.1))) {
        Some((kind, plain)) => format!("{kind}: {plain}"),
        None => text,
    }
}

#[test]
fn programs_that_do_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    for (program, expected) in [
        ("/no/such/provider", "does not exist"),
        (plain.to_str().unwrap(), "not executable"),
        ("no-such-provider", "no program `no-such-provider` in PATH"),
    ] {
        let argv = vec![program.to_owned()];
        let api = Exec { argv, user: None, at_once: 1, temporary_from: 128 };
        let outcome = api.apply(&real(), &context(), &[add(A, 1)]).pop().unwrap();
        let Outcome::Failed(text) = outcome else { panic!("{outcome:?}") };
        assert!(text.contains(expected) && text.contains(program) && text.contains(A), "{text}");
    }
    let api = Exec { argv: vec!["sleep".into(), "60".into()], user: None, at_once: 1, temporary_from: 128 };
    let outcome = api.apply(&real(), &Context { timeout: Duration::from_secs(1), ..context() }, &[add(A, 1)]);
    assert!(matches!(&outcome[..], [Outcome::Failed(text)] if text.contains("still running after 1 s")), "{outcome:?}");
}

#[test]
fn environment_of_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("provider");
    let script =
        format!("#!/bin/sh\nenv -0 | sort -z | tr '\\0' ';' >> {}/env\necho >> {0}/env\n", dir.path().display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let api = Exec { argv: vec![program.to_str().unwrap().into()], user: None, at_once: 1, temporary_from: 128 };
    let publish = Change { zone: None, domain: name("MX.mail.Example.com"), ..add(A, 0xAB) };
    let outcomes = api.apply(&real(), &context(), &[publish, keeping(delete(A, 1), 2)]);
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
    let seen = std::fs::read_to_string(dir.path().join("env")).unwrap();
    // PWD comes from the shell itself.
    let seen: Vec<_> = seen.split(';').filter(|var| !var.trim_start().starts_with("PWD=")).collect();
    let common = "LETSENCRYPT_DIR=/etc/letsencrypt;\
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;RENEWED_DOMAINS=a.example.com b.example.com;";
    let expected = format!(
        "IFS= \t\n;{common}TLSA_DOMAIN=mx.mail.example.com;TLSA_HASH={};TLSA_MATCHING=1;TLSA_OPERATION=publish;TLSA_PARAM=311;\
         TLSA_PORT=25;TLSA_PROTOCOL=tcp;TLSA_SELECTOR=1;TLSA_USAGE=3;ZONE_DOMAIN=example.com;\n\
         IFS= \t\n;{common}TLSA_DOMAIN=a.example.com;TLSA_HASH={};TLSA_LIVE_HASH={};TLSA_MATCHING=1;TLSA_OPERATION=delete;\
         TLSA_PARAM=311;TLSA_PORT=25;TLSA_PROTOCOL=tcp;TLSA_SELECTOR=1;TLSA_USAGE=3;ZONE_DOMAIN=example.com;\n",
        "ab".repeat(32),
        "01".repeat(32),
        "02".repeat(32),
    );
    assert_eq!(seen.join(";"), expected);
}

/// Calls at one owner are made in their order, and one that fails ends them; at others they go on.
#[test]
fn calls_at_different_owners_may_run_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    // Each call waits until one for every owner is under way.
    let script = format!(
        "touch {path}/$TLSA_DOMAIN; n=0; until [ $(ls {path} | wc -l) = 3 ]; do sleep 0.05; n=$((n+1)); [ $n -lt 100 ] || exit 9; done; \
         [ $TLSA_DOMAIN != b.example.com ]"
    );
    let argv = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let owner = |host: &str, byte| Change { domain: name(host), ..add(&format!("_25._tcp.{host}"), byte) };
    let changes = [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2)]
        .map(|(host, byte)| owner(&format!("{host}.example.com"), byte));
    let api = Exec { argv, user: None, at_once: 8, temporary_from: 128 };
    let outcomes = api.apply(&real(), &context(), &changes);
    let told: Vec<String> = outcomes.iter().map(shown).collect();
    assert_eq!(told, ["Done", "Already", "Done", "Done", "Already"]);
}

/// A zone that hangs costs its time limit once, and the others are served; one zone after another, and all is given up.
#[test]
fn a_zone_that_hangs() {
    let changes = |zones: &[&str]| -> Vec<Change> {
        let of = |zone: &&str| {
            ["x", "y"].map(|host| Change {
                zone: Some(name(zone)),
                domain: name(zone),
                ..add(&format!("_25._tcp.{host}.{zone}"), 1)
            })
        };
        zones.iter().flat_map(of).collect()
    };
    let context = Context { timeout: Duration::from_secs(1), ..context() };
    let argv = ["/bin/sh", "-c", "case $ZONE_DOMAIN in slow*) sleep 60;; esac"].map(str::to_owned).to_vec();
    for (at_once, zones, expected) in [
        (1, &["slow.a", "b", "c"][..], "Failed Temporary Done Done Done Done"),
        (
            1,
            &["slow.a", "slow.b", "slow.c", "d"],
            "Failed Temporary Failed Temporary Failed Temporary Temporary Temporary",
        ),
        (16, &["slow.a", "b", "c"], "Failed Failed Done Done Done Done"),
    ] {
        let api = Exec { argv: argv.clone(), user: None, at_once, temporary_from: 128 };
        let outcomes = api.apply(&real(), &context, &changes(zones));
        let told: Vec<String> =
            outcomes.iter().map(|outcome| shown(outcome).split(':').next().unwrap().to_owned()).collect();
        assert_eq!(told.join(" "), expected, "{zones:?}: {outcomes:?}");
    }
}

// api = rfc2136

fn key() -> TsigKey {
    TsigKey { name: name(KEY), algorithm: "hmac-sha256".into(), secret: Secret(SECRET.to_vec()) }
}

fn place(address: SocketAddr) -> Place {
    Place { host: address.ip().to_string(), port: address.port() }
}

fn config(address: SocketAddr) -> Rfc2136 {
    Rfc2136 { servers: vec![place(address)], key: Some(key()), zone: None }
}

/// A server of example.com that has a foreign record and records 1 and 2 at `A` (TTL 77), and nothing at `B`.
fn server() -> DnsServer {
    let server = DnsServer::start("example.com", Some(KEY));
    let records = [record(0xF0), record(1), record(2)].into();
    server.state().rrsets.insert(name(A), (77, records));
    server
}

fn update(server: &DnsServer, changes: &[Change]) -> Vec<Outcome> {
    config(server.address).apply(&real(), &context(), changes)
}

/// The RRset at this owner: TTL, and the first byte of each record.
fn at(state: &State, owner: &str) -> (u32, Vec<u8>) {
    let rrset = state.rrsets.get(&name(owner)).cloned().unwrap_or_default();
    (rrset.0, rrset.1.iter().map(|record| record.data[0]).collect())
}

#[test]
fn single_records_are_added_and_deleted_in_one_update() {
    use Outcome::{Already, Done};
    for (changes, outcomes, a, b, updates) in [
        (vec![add(A, 3)], vec![Done], (77, vec![1, 2, 3, 0xF0]), (0, vec![]), vec![1]),
        (vec![add(B, 3)], vec![Done], (77, vec![1, 2, 0xF0]), (3600, vec![3]), vec![1]),
        (vec![add(A, 1)], vec![Already], (77, vec![1, 2, 0xF0]), (0, vec![]), vec![]),
        (vec![delete(A, 3), delete(B, 1)], vec![Already, Already], (77, vec![1, 2, 0xF0]), (0, vec![]), vec![]),
        (
            vec![delete(A, 1), add(B, 3), add(A, 1)],
            vec![Done, Done, Already],
            (77, vec![2, 0xF0]),
            (3600, vec![3]),
            vec![2],
        ),
        (
            vec![add(B, 3), add(B, 4), add(B, 3)],
            vec![Done, Done, Already],
            (77, vec![1, 2, 0xF0]),
            (3600, vec![3, 4]),
            vec![2],
        ),
        (vec![delete(A, 1), delete(A, 2), delete(A, 0xF0)], vec![Done; 3], (0, vec![]), (0, vec![]), vec![3]),
        (vec![keeping(delete(A, 1), 2)], vec![Done], (77, vec![2, 0xF0]), (0, vec![]), vec![1]),
        (vec![keeping(delete(A, 1), 3), add(A, 3)], vec![Done, Done], (77, vec![2, 3, 0xF0]), (0, vec![]), vec![2]),
    ] {
        let server = server();
        assert_eq!(update(&server, &changes), outcomes, "{changes:?}");
        let state = server.state();
        assert_eq!((at(&state, A), at(&state, B), &state.updates), (a, b, &updates), "{changes:?}");
    }
}

#[test]
fn a_record_goes_only_while_the_one_that_stays_is_there() {
    let server = server();
    let outcomes = update(&server, &[keeping(delete(A, 1), 9), keeping(delete(A, 2), 1)]);
    assert!(
        matches!(&outcomes[..], [Outcome::NotYet(text), Outcome::Done] if text.contains("09090909")),
        "{outcomes:?}"
    );
    assert_eq!(at(&server.state(), A), (77, vec![1, 0xF0]));
}

#[test]
fn refusals_are_told_in_words_and_change_nothing() {
    use ResponseCode as Code;
    for (fault, kind, expected) in [
        (Fault::Code(Code::Refused), "Failed", "(REFUSED)"),
        (Fault::Code(Code::ServFail), "Failed", "see its log"),
        (Fault::Code(Code::NotAuth), "Failed", "name the primary"),
        (Fault::Code(Code::NotZone), "Failed", "correct `zone:`"),
        (Fault::Code(Code::NotImp), "Failed", "does not take dynamic updates"),
        (Fault::Code(Code::FormErr), "Failed", "RFC 2136"),
        (Fault::Code(Code::YXDomain), "Failed", "YXDOMAIN"),
        (Fault::Code(Code::from(0, 12)), "Failed", "zone example.com."),
        (Fault::Code(Code::NXRRSet), "Temporary", "another program"),
        (Fault::Tsig(TsigError::BadKey), "Failed", "does not take the TSIG key daneroll.example. (BADKEY)"),
        (Fault::Tsig(TsigError::BadSig), "Failed", "is not the server's (BADSIG)"),
        (Fault::Tsig(TsigError::BadTime), "Failed", "differ by more than 300 s"),
        (Fault::Tsig(TsigError::BadTrunc), "Failed", "BADTRUNC"),
        (Fault::Tsig(TsigError::Unknown(99)), "Failed", "TSIG error 99"),
        (Fault::Clock(5000), "Failed", "s ahead of ours"),
        (Fault::Clock(-5000), "Failed", "s behind ours"),
        (Fault::Closed, "Temporary", "closed the connection"),
        (Fault::Bytes(vec![]), "Failed", "cannot be parsed"),
        (Fault::Bytes(vec![0xff; 500]), "Failed", "cannot be parsed"),
        (Fault::Bytes(vec![0; 12]), "Failed", "no answer to the update"),
        (Fault::WrongId, "Failed", "no answer to the update"),
        (Fault::Lame, "Failed", "not an authority"),
        (Fault::Question(Code::Refused), "Failed", "allow-query"),
        (Fault::Question(Code::ServFail), "Temporary", "is the zone loaded"),
        (Fault::Question(Code::NotImp), "Failed", "Not Implemented"),
    ] {
        let server = server();
        server.state().faults.push(fault.clone());
        for outcome in update(&server, &[add(A, 3), delete(B, 3), add(B, 4)]) {
            let text = shown(&outcome);
            assert!(text == "Already" || text.starts_with(kind) && text.contains(expected), "{fault:?}: {text}");
        }
        let state = server.state();
        // An answer with a wrong id says nothing about what was done.
        if fault != Fault::WrongId {
            assert_eq!((at(&state, A), at(&state, B)), ((77, vec![1, 2, 0xF0]), (0, vec![])), "{fault:?}");
        }
    }
}

#[test]
fn answers_without_a_good_signature_are_not_believed() {
    for (fault, expected) in [(Fault::Unsigned, "not signed"), (Fault::Forged, "signature of its answer does not hold")]
    {
        let server = server();
        server.state().faults.push(fault.clone());
        let outcome = update(&server, &[add(A, 3)]).pop().unwrap();
        assert!(matches!(&outcome, Outcome::Failed(text) if text.contains(expected)), "{outcome:?}");
        // What the server did all the same is found at the next look.
        server.state().faults.clear();
        assert_eq!(update(&server, &[add(A, 3)]), [Outcome::Already]);
    }
}

#[test]
fn a_refused_owner_does_not_hold_up_the_others() {
    let server = server();
    server.state().faults.push(Fault::CodeFor(name(A), ResponseCode::Refused));
    let outcomes = update(&server, &[add(A, 3), add(B, 3), add(B, 4)]);
    assert!(matches!(&outcomes[..], [Outcome::Failed(_), Outcome::Done, Outcome::Done]), "{outcomes:?}");
    let state = server.state();
    assert_eq!((at(&state, A), at(&state, B)), ((77, vec![1, 2, 0xF0]), (3600, vec![3, 4])));
    assert_eq!(state.updates, [3, 1, 2]);
}

#[test]
fn concurrent_changes_are_kept() {
    for (races, expected, updates) in [(1, "Done", 2), (2, "Done", 3), (3, "Temporary", 3)] {
        let server = server();
        server.state().faults.push(Fault::Race(races, name(B)));
        let outcome = update(&server, &[add(B, 3)]).pop().unwrap();
        assert!(shown(&outcome).starts_with(expected), "{outcome:?}");
        let state = server.state();
        assert_eq!(state.updates.len(), updates);
        let foreign = usize::try_from(races).unwrap();
        assert_eq!(at(&state, B).1.len(), foreign + usize::from(expected == "Done"), "{races}");
    }
}

#[test]
fn what_a_wildcard_shows_is_not_there() {
    let server = server();
    server.state().faults.push(Fault::Wildcard(name(A)));
    assert_eq!(update(&server, &[add(A, 3)]), [Outcome::Done]);
    assert_eq!(at(&server.state(), A), (3600, vec![3]));
}

#[test]
fn an_alias_is_left_alone() {
    let server = server();
    server.state().aliases.insert(name(B), name("_tlsa.elsewhere.example."));
    let outcomes = update(&server, &[add(B, 3), add(A, 3)]);
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(text), Outcome::Done] if text.contains("alias (CNAME) of _tlsa.elsewhere.example.")),
        "{outcomes:?}"
    );
    assert_eq!(at(&server.state(), B), (0, vec![]));
}

#[test]
fn a_lost_answer_is_made_up_for() {
    for (lost, expected, afterwards) in [(1, "Done", "Already"), (2, "Temporary", "Already")] {
        let server = server();
        server.state().faults.push(Fault::Lost(lost));
        // Two addresses, of which the second finds what was done through the first.
        server.state().hosts.insert(name("ns1.example.com"), vec![Ipv4Addr::LOCALHOST; 2]);
        let port = server.address.port();
        let servers = vec![Place { host: "ns1.example.com".into(), port }];
        let config = Rfc2136 { servers, ..config(server.address) };
        let context = Context { resolvers: vec![server.address], ..context() };
        let outcomes = config.apply(&real(), &context, &[add(A, 3)]);
        assert!(shown(&outcomes[0]).starts_with(expected), "{outcomes:?}");
        assert_eq!(shown(&update(&server, &[add(A, 3)])[0]), afterwards);
        assert_eq!(at(&server.state(), A), (77, vec![1, 2, 3, 0xF0]));
    }
}

/// One server that holds the zone and another that holds it too, each with what it has of it.
#[test]
fn another_server_takes_the_place_of_one_that_does_not_do_it() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [refuses, lame, knows_no_key, silent] =
        [Fault::Code(ResponseCode::Refused), Fault::Lame, Fault::Tsig(TsigError::BadKey), Fault::Closed].map(|fault| {
            let server = server();
            server.state().faults.push(fault);
            server
        });
    let other = DnsServer::start("example.net", Some(KEY));
    let addresses = [refuses.address, lame.address, knows_no_key.address, silent.address, other.address, closed];
    for first in addresses {
        let second = server();
        let servers = vec![place(first), place(second.address)];
        let config = Rfc2136 { servers, ..config(first) };
        assert_eq!(config.apply(&real(), &context(), &[add(A, 3), delete(A, 1)]), vec![Outcome::Done; 2], "{first}");
        assert_eq!(at(&second.state(), A), (77, vec![2, 3, 0xF0]), "{first}");
    }
    for (servers, kind, parts) in [
        ([refuses.address, knows_no_key.address], "Failed", ["REFUSED", "BADKEY"]),
        ([closed, refuses.address], "Temporary", ["REFUSED", "refused the connection"]),
        ([lame.address, other.address], "Failed", ["is not an authority", "name the primary"]),
    ] {
        let config = Rfc2136 { servers: servers.map(place).to_vec(), ..config(closed) };
        let told = shown(&config.apply(&real(), &context(), &[add(A, 3)])[0]);
        assert!(told.starts_with(kind) && parts.iter().all(|part| told.contains(part)), "{told}");
    }
}

/// The first server takes the update and its answer is lost: the second, which has the same zone, finds it done; one that has a
/// zone of its own does it once more.
#[test]
fn an_answer_lost_by_the_first_of_two_servers() {
    let first = server();
    first.state().faults.push(Fault::Lost(1));
    let config = Rfc2136 { servers: vec![place(first.address); 2], ..config(first.address) };
    assert_eq!(config.apply(&real(), &context(), &[add(A, 3), delete(A, 1)]), vec![Outcome::Done; 2]);
    assert_eq!(at(&first.state(), A), (77, vec![2, 3, 0xF0]));
    let (first, second) = (server(), server());
    first.state().faults.push(Fault::Lost(1));
    let config = Rfc2136 { servers: vec![place(first.address), place(second.address)], ..config };
    assert_eq!(config.apply(&real(), &context(), &[add(A, 3), delete(A, 1)]), vec![Outcome::Done; 2]);
    for server in [first, second] {
        assert_eq!(at(&server.state(), A), (77, vec![2, 3, 0xF0]));
    }
}

#[test]
fn servers_and_zones_are_found() {
    let server = server();
    let unknown = |change: Change| Change { zone: None, ..change };
    let other = Change { owner: name("_25._tcp.a.example.net"), ..unknown(add(A, 3)) };
    let outcomes = update(&server, &[unknown(add(B, 3)), other]);
    assert!(
        matches!(&outcomes[..], [Outcome::Done, Outcome::Failed(text)] if text.contains("example.net")),
        "{outcomes:?}"
    );
    for (zone, outcome) in [("example.com", "Done"), ("example.net", "Failed"), ("a.example.com", "Failed")] {
        let config = Rfc2136 { zone: Some(name(zone)), ..config(server.address) };
        let got = config.apply(&real(), &context(), &[add(B, 4)]).pop().unwrap();
        assert!(shown(&got).starts_with(outcome), "{zone}: {got:?}");
        assert_eq!(update(&server, &[delete(B, 4)]).len(), 1);
    }
}

#[test]
fn servers_that_cannot_be_reached_or_named() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let resolver = server();
    for (host, resolvers, kind, expected) in [
        ("127.0.0.1", vec![], "Temporary", "refused the connection"),
        ("ns1.example.com", vec![], "Temporary", "no resolver is known"),
        ("ns1.example.com", vec![closed], "Temporary", "refused the connection"),
        ("ns1.example.com", vec![resolver.address], "Failed", "has no address"),
        ("ns1.example.net", vec![resolver.address], "Temporary", "answers Query Refused"),
        ("ns1..example", vec![resolver.address], "Failed", "no host name"),
    ] {
        let config = Rfc2136 { servers: vec![Place { host: host.into(), port: closed.port() }], ..config(closed) };
        let context = Context { resolvers, ..context() };
        let outcomes = config.apply(&real(), &context, &[add(A, 3), add(B, 3)]);
        assert_eq!(outcomes.len(), 2);
        let text = shown(&outcomes[0]);
        assert!(text.starts_with(kind) && text.contains(expected), "{host}: {text}");
    }
}

#[test]
fn keys_that_do_not_fit() {
    let server = server();
    for (key, expected) in [
        (Some(TsigKey { name: name("other."), ..key() }), "BADKEY"),
        (Some(TsigKey { secret: Secret(b"x".to_vec()), ..key() }), "BADSIG"),
        (Some(TsigKey { algorithm: "hmac-md5".into(), ..key() }), "use hmac-sha256"),
        (None, "NOTAUTH"),
    ] {
        let config = Rfc2136 { key, ..config(server.address) };
        let outcome = config.apply(&real(), &context(), &[add(A, 3)]).pop().unwrap();
        assert!(matches!(&outcome, Outcome::Failed(text) if text.contains(expected)), "{outcome:?}");
    }
    let open = DnsServer::start("example.com", None);
    let config = Rfc2136 { key: None, ..config(open.address) };
    assert_eq!(config.apply(&real(), &context(), &[add(A, 3)]), [Outcome::Done]);
}

#[test]
fn many_owners_take_as_few_messages_as_fit() {
    let server = server();
    let owner = |n: u32| format!("_25._tcp.{n}.{}.example.com.", "x".repeat(60));
    let changes: Vec<_> = (0..1000).map(|n| add(&owner(n), 3)).collect();
    let outcomes = update(&server, &changes);
    assert_eq!(outcomes.iter().find(|outcome| **outcome != Outcome::Done), None);
    let state = server.state();
    assert_eq!((state.rrsets.len(), state.updates.iter().sum::<usize>()), (1001, 1000));
    assert!((3..15).contains(&state.updates.len()), "{:?}", state.updates);
    drop(state);
    let huge = Association { matching: 0, data: vec![7; 65_400], ..record(7) };
    let outcomes = update(&server, &[Change { record: huge, ..add(A, 7) }, add(B, 7)]);
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(text), Outcome::Done] if text.contains("does not fit")),
        "{outcomes:?}"
    );
}
