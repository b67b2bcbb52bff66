//! The effect: what comes back, and what becomes of servers that are slow, silent, endless or elsewhere.

use crate::{
    lab::Lab,
    real,
    rollover::secret,
    server::{Manner, Reply, recorder, serve},
};
use daneroll::{
    config::Secret,
    env::{Env, HttpRequest, Lost, Method},
};
use rcgen::{CertifiedKey, KeyPair};
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::PrivateKeyDer;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

fn request(url: String) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        url,
        headers: vec![("x-secret", Secret(b"hush".to_vec()))],
        body: None,
        limit: Duration::from_secs(1),
        largest: 1000,
    }
}

fn ask(address: SocketAddr) -> HttpRequest {
    request(format!("http://{address}/path?a=b%20c"))
}

#[test]
fn there_and_back() {
    let reply = Reply { headers: vec![("Retry-After", "7".into())], ..Reply::new(503, "no") };
    let (address, seen) = recorder(reply);
    for (method, body, text) in [(Method::Get, None, "GET"), (Method::Patch, Some("{}".to_owned()), "PATCH")] {
        let response = real().http(&HttpRequest { method, body: body.clone(), ..ask(address) }).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (503, &b"no"[..]));
        assert_eq!(response.retry_after, Some(Duration::from_secs(7)));
        let seen = seen.lock().unwrap().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), (text, "/path?a=b%20c"));
        assert_eq!((seen.header("x-secret"), seen.body.len()), (Some("hush"), body.map_or(0, |body| body.len())));
        assert!(seen.header("user-agent").unwrap().starts_with("daneroll/"));
    }
}

#[test]
fn no_redirect_carries_the_secret_away() {
    let (other, seen) = recorder(Reply::new(200, "{}"));
    for (status, target) in [(301, format!("http://{other}/")), (302, "/elsewhere".into()), (307, format!("//{other}"))]
    {
        let (address, first) = recorder(Reply { headers: vec![("Location", target)], ..Reply::new(status, "") });
        let response = real().http(&HttpRequest { method: Method::Post, ..ask(address) }).unwrap();
        assert_eq!((response.status, first.lock().unwrap().len()), (status, 1));
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn servers_that_do_not_answer() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = |address: SocketAddr| {
        let began = Instant::now();
        let unanswered = real().http(&ask(address)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(3), "{unanswered:?}");
        assert!(!unanswered.why.contains("hush") && !unanswered.why.contains("/path"), "{unanswered:?}");
        (unanswered.why, unanswered.how)
    };
    for (manner, expected) in [
        (Manner::Silence, "gave no whole answer within 1 s"),
        (Manner::Drip, "gave no whole answer within 1 s"),
        (Manner::Flood, "gave an answer of more than 1000 bytes"),
        (Manner::Closed, "broke off: "),
        (Manner::Half, "broke off: "),
    ] {
        let (why, how) = text(serve(move |_| Reply::in_manner(manner)));
        assert!(why.starts_with(expected) && how == Lost::Unanswered, "{manner:?}: {why}");
    }
    let (why, how) = text(closed);
    assert!(why.contains("Connection refused") && how == Lost::Unreached, "{why}");
}

/// A TLS server that answers 401 to whoever trusts it.
fn tls_server(key: &CertifiedKey<KeyPair>) -> SocketAddr {
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    let private = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private).unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut session = ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            if tls.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                let _ = tls.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        }
    });
    address
}

#[test]
fn tls_is_checked() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let port = tls_server(&key).port();
    let url = format!("https://localhost:{port}/");
    let unanswered = real().http(&HttpRequest { limit: Duration::from_secs(5), ..request(url) }).unwrap_err();
    assert!(unanswered.why.contains("SSL_CERT_FILE") && unanswered.how == Lost::NotSent, "{unanswered:?}");
    // With its certificate among the trusted ones, by name and not by address.
    let lab = Lab::new();
    let file = secret(&lab, "cf.ini", "dns_cloudflare_api_token = abc\n");
    fs::write(lab.path("trusted.pem"), key.cert.pem()).unwrap();
    for (host, trusted, expected) in
        [("localhost", true, "(status 401)"), ("localhost", false, "certificate"), ("127.0.0.1", true, "certificate")]
    {
        lab.configure(&format!("api = cloudflare {file} url:https://{host}:{port}/v4\n"));
        lab.run(&["--reset"]);
        let mut command = lab.command(&["-l-"]);
        if trusted {
            command.env("SSL_CERT_FILE", lab.path("trusted.pem"));
        }
        let run = crate::lab::run(&mut command).speaks_plainly();
        assert!(format!("{}{}", run.out, run.err).contains(expected), "{host}: {run:#?}");
    }
}

#[test]
fn requests_that_cannot_be_sent() {
    let unfit = vec![("x-secret", Secret(b"hush\n".to_vec()))];
    for request in
        [request("no address".into()), HttpRequest { headers: unfit, ..request("http://127.0.0.1:9/".into()) }]
    {
        let unanswered = real().http(&request).unwrap_err();
        assert!(unanswered.why.starts_with("cannot be asked: ") && unanswered.how == Lost::NotSent, "{unanswered:?}");
        let shown = format!("{unanswered:?} {request:?}");
        assert!(!shown.contains("hush") && !shown.contains("104, 117"), "{shown}");
    }
}
