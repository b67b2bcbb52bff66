//! Tokens and keys are nowhere to be seen but in the requests.

use crate::{
    lab::Lab,
    rollover::secret,
    server::{Reply, recorder},
};
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt};

const SECRET: &str = "hunter2-Very-secret-0123456789-abcdefghij";

/// Everything that was said and is kept.
fn all(lab: &Lab, arguments: &[&str]) -> (i32, String) {
    let mut command = lab.command(arguments);
    let run = crate::lab::run(command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1")).speaks_plainly();
    let kept = lab.picture().into_iter().filter(|(path, _)| path.starts_with(lab.path("state")));
    let kept: String = kept.map(|(_, (_, bytes))| String::from_utf8_lossy(&bytes).into_owned()).collect();
    (run.code, format!("{}{}{}{kept}", run.out, run.err, lab.read("log")))
}

/// Lines of `api`, each with a server that answers anything; `true`: the secret is sent.
fn lines(lab: &Lab, server: SocketAddr) -> Vec<(String, bool)> {
    let token = secret(lab, "token.ini", &format!("dns_cloudflare_api_token = {SECRET}\n"));
    let key =
        secret(lab, "key.ini", &format!("dns_cloudflare_email = a@b.example\ndns_cloudflare_api_key = \"{SECRET}\"\n"));
    let odd = secret(lab, "odd.ini", &format!("dns_cloudflare_api_token = {SECRET} {SECRET}\n"));
    let text = secret(lab, "text.ini", &format!("{SECRET}\n"));
    let pdns = secret(lab, "pdns.key", &format!("{SECRET}\n"));
    let url = format!("http://{server}");
    vec![
        (format!("cloudflare {token} url:{url}"), true),
        (format!("cloudflare {key} url:{url}"), true),
        (format!("cloudflare email:a@b.example key:{SECRET} url:{url}"), true),
        (format!("cloudflare4 email:a@b.example zone:023e105f4ecef8ad9ca31a8372d0c353 key:{SECRET} url:{url}"), true),
        (format!("powerdns {url} key:{pdns}"), true),
        (format!("cloudflare {odd} url:{url}"), false),
        (format!("cloudflare {text} url:{url}"), false),
        (format!("cloudflare {SECRET}"), false),
        (format!("cloudflare token:{SECRET}"), false),
        (format!("cloudflare key:{SECRET}"), false),
        (format!("cloudflare http://{SECRET}@x email:a@b.example key:{SECRET} nonsense"), false),
        (format!("powerdns {url} key:{SECRET}"), false),
        (format!("powerdns {url} key:{text} key:{SECRET} more"), false),
    ]
}

#[test]
fn are_in_no_log_error_argument_or_journal() {
    for reply in [Reply::new(401, SECRET), Reply::new(500, ""), Reply::new(200, format!("<{SECRET}>"))] {
        let says_it = reply.body.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        let (server, seen) = recorder(if says_it { Reply { body: b"no".to_vec(), ..reply } } else { reply });
        let lab = Lab::new();
        for (line, sends) in lines(&lab, server) {
            lab.configure(&format!("api = {line}\n"));
            fs::set_permissions(lab.path("conf"), PermissionsExt::from_mode(0o600)).unwrap();
            let _ = fs::remove_dir_all(lab.path("state"));
            for arguments in [
                &["--reset"][..],
                &["-Ldebug"],
                &["-l-", "-Ldebug"],
                &["--config-test"],
                &["status"],
                &["status", "--json"],
            ] {
                let (code, said) = all(&lab, arguments);
                assert!(!said.contains(&SECRET[..12]), "{line} {arguments:?}: {code} {said}");
            }
            let seen = std::mem::take(&mut *seen.lock().unwrap());
            assert_eq!(seen.is_empty(), !sends, "{line}");
            for request in seen {
                assert!(request.headers.iter().any(|(_, value)| value.ends_with(SECRET)));
                assert!(!request.target.contains(SECRET) && !String::from_utf8_lossy(&request.body).contains(SECRET));
            }
        }
    }
}

#[test]
fn files_that_others_read_are_refused() {
    let lab = Lab::new();
    let file = secret(&lab, "cf.ini", &format!("dns_cloudflare_api_token = {SECRET}\n"));
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    for (api, shown) in [
        (format!("cloudflare {file}"), file.clone()),
        (format!("powerdns http://127.0.0.1:1 key:{file}"), file),
        (format!("cloudflare email:a@b.example key:{SECRET}"), lab.text("conf")),
    ] {
        lab.configure(&format!("api = {api}\n"));
        fs::set_permissions(lab.path("conf"), PermissionsExt::from_mode(0o644)).unwrap();
        let (code, said) = all(&lab, &["--config-test"]);
        assert!(code == 3 && said.contains(&format!("{shown} holds a secret and can be read by everybody")), "{said}");
        assert!(said.contains(&format!("chmod o= {shown}")) && !said.contains(SECRET), "{said}");
    }
}
