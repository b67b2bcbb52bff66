//! The real program: exit codes, somebody who may read next to nothing, name servers that never answer.

use crate::{dns_server::DnsServer, generations::name};
use daneroll::lineage::pem;
use daneroll::small::Set;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_daneroll");

/// Notes that a test was not run.
pub fn skip(why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing may be skipped: {why}");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{why}").unwrap();
    }
    eprintln!("skipped {why}");
}

/// Is this tool there? Else the test that needs it is skipped.
pub fn installed(tool: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if !there {
        skip(&format!("{what}: needs {tool}"));
    }
    there
}

/// A name server that never answers, and a configuration that asks it.
struct Silence {
    dir: TempDir,
    socket: UdpSocket,
}

impl Silence {
    fn new() -> Silence {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let silence = Silence { dir, socket: UdpSocket::bind("127.0.0.1:0").unwrap() };
        let at = silence.dir.path().display();
        let text = format!(
            "letsencrypt_directory = {at}/le\ndane_directory = {at}/dane\nstate_directory = {at}/state\n\
             resolver = {}\n[mx.example.test]\ntlsa = 311 25\napi = rfc2136 ns1.example.test key:{at}/secret\n",
            silence.socket.local_addr().unwrap()
        );
        fs::write(silence.dir.path().join("conf"), text).unwrap();
        let key = "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };";
        fs::write(silence.dir.path().join("secret"), key).unwrap();
        fs::set_permissions(silence.dir.path().join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        silence
    }

    fn check(&self, args: &[&str]) -> Output {
        let conf = self.dir.path().join("conf");
        let mut command = Command::new(PROGRAM);
        command.args(["check", "-c"]).arg(conf).args(args).env_clear().stdin(Stdio::null()).current_dir("/");
        command.output().unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn dead_servers_take_no_more_than_the_limit() {
    let silence = Silence::new();
    for limit in [1, 3] {
        let began = Instant::now();
        let output = silence.check(&["-t", &limit.to_string()]);
        // Far from what a few questions of four seconds each would take.
        assert!(began.elapsed() < Duration::from_secs(limit + 3), "{:?}", began.elapsed());
        let text = told(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.starts_with("DANEROLL UNKNOWN - "), "{text}");
    }
}

#[test]
fn usage_and_configuration_are_unknown() {
    let silence = Silence::new();
    for (args, expected) in [
        (&["--no-such-option"][..], 3),
        (&["-t"], 3),
        (&["-t", "soon"], 3),
        (&["--host", "mx.example.test", "-t", "1"], 3),
        (&["--host", "[::1]:25", "-t", "1"], 3),
        (&["nobody", "-t", "1"], 3),
        (&["-l", "/nonexistent/log", "-t", "1"], 3),
        (&["--prometheus", "/nonexistent/x.prom", "-t", "1"], 3),
        (&["--help"], 0),
    ] {
        let output = silence.check(args);
        assert_eq!(output.status.code(), Some(expected), "{args:?}: {output:?}");
    }
    let usage = told(&silence.check(&["--live"]));
    assert!(usage.starts_with("DANEROLL UNKNOWN - error: --live does not go with this command\n"), "{usage}");
    let missing = Command::new(PROGRAM).args(["check", "-c", "/nonexistent/conf"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    assert!(told(&missing).starts_with("DANEROLL UNKNOWN - configuration: "), "{missing:?}");
    let json = silence.check(&["--json", "-t", "1"]);
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&document["exit"], &document["state"]), (&3.into(), &"UNKNOWN".into()));
}

#[test]
fn works_for_somebody_who_may_read_next_to_nothing() {
    if !nix::unistd::geteuid().is_root() || !installed("setpriv", "check without root") {
        return skip("check without root: needs root to begin with");
    }
    let silence = Silence::new();
    let state = silence.dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).unwrap();
    // The build directory may be closed to others; an open file is not.
    let script = "exec setpriv --reuid=65534 --regid=65534 --clear-groups -- /proc/self/fd/9 \"$@\" 9<\"$0\"";
    let conf = silence.dir.path().join("conf");
    let mut command = Command::new("sh");
    command.args(["-c", script, PROGRAM, "check", "-t", "1", "-c"]).arg(conf).current_dir("/").stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    for words in ["OK: state: the journal: ", "[not-checked]", "_25._tcp.mx.example.test"] {
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
    assert!(!text.contains("[configuration]"), "the secret is not needed: {text}");
}

#[test]
fn hosts_need_no_configuration_file() {
    let silence = Silence::new();
    let resolver = silence.dir.path().join("resolver");
    fs::write(&resolver, format!("resolver = {}\n", silence.socket.local_addr().unwrap())).unwrap();
    let output = Command::new(PROGRAM)
        .args(["check", "-t", "1", "--host", "mx.example.test:25", "-c"])
        .arg(resolver)
        .env_clear()
        .output()
        .unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.starts_with("DANEROLL UNKNOWN - _25._tcp.mx.example.test: "), "{text}");
    assert!(!text.contains("[configuration]"), "{text}");
}

/// A TLS service on loopback: its port, and its certificate in PEM.
fn service() -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["mx.example.test".into()]).unwrap().self_signed(&key).unwrap().pem();
    let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, config) = (stream.unwrap(), config.clone());
            // How a session ends is the visitor's business.
            thread::spawn(move || ServerConnection::new(config).unwrap().complete_io(&mut stream).map(drop));
        }
    });
    (port, cert)
}

#[test]
fn a_real_service_behind_a_real_name_server() {
    let (port, cert) = service();
    let (_, other) = service();
    let dns = DnsServer::start("example.test", None);
    dns.state().hosts.insert(name("mx.example.test"), vec![Ipv4Addr::LOCALHOST]);
    let owner = name(&format!("_{port}._tcp.mx.example.test"));
    let dir = tempfile::tempdir().unwrap();
    let (conf, at) = (dir.path().join("conf"), dir.path().display().to_string());
    let text = format!(
        "state_directory = {at}/state\ndane_directory = {at}/dane\nletsencrypt_directory = {at}/le\nresolver = {dns}\n\
         dnssec = resolver\n[mx.example.test]\ntlsa = 311 {port}\nprobe = tls\nnameservers = {dns}\napi = exec /bin/true\n",
        dns = dns.address
    );
    fs::write(&conf, text).unwrap();
    for (published, expected) in [(Some(&cert), "match"), (Some(&other), "mismatch"), (None, "no-records")] {
        let record = |pem: &String| pem::chain(pem.as_bytes()).unwrap().association("311".parse().unwrap()).unwrap();
        let records: Set<_> = published.map(record).into_iter().collect();
        dns.state().rrsets.clear();
        if !records.is_empty() {
            dns.state().rrsets.insert(owner.clone(), (60, records));
        }
        let output = Command::new(PROGRAM).args(["check", "--json", "-c"]).arg(&conf).env_clear().output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["owners"][0]["addresses"][0]["chains"], 1, "{document:#}");
        let kinds: Vec<&str> =
            document["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
        for kind in ["mismatch", "no-records"] {
            assert_eq!(kinds.contains(&kind), kind == expected, "{expected}: {document:#}");
        }
        assert_eq!(output.status.code() == Some(2), expected == "mismatch", "{document:#}");
    }
}
