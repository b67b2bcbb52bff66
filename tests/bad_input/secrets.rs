//! What only root may know is nowhere to be seen.

use crate::lab::{Lab, until};
use std::{fs, os::unix::fs::PermissionsExt, thread};

const SECRET: &str = "dGhpcyBpcyB2ZXJ5IHNlY3JldCwgaW5kZWVkISEh";
const TOKEN: &str = "hunter2-token-of-the-environment";

/// The arguments of all processes.
fn all_arguments() -> String {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    pids.filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ") + "\n")
        .collect()
}

#[test]
fn of_the_environment() {
    let lab = Lab::new();
    let environment = lab.text("environment");
    lab.provider(&format!("env >{environment}.new; mv {environment}.new {environment}; sleep 1"));
    let mut command = lab.command(&["-l-", "-Ldebug"]);
    command.env("CLOUDFLARE_TOKEN", TOKEN).env("TLSA_SECRET", TOKEN);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("the provider is called", || lab.path("environment").exists());
    let arguments = all_arguments();
    assert!(arguments.contains("__supervise") && arguments.contains(&lab.text("provider")));
    assert!(!arguments.contains(TOKEN) && !arguments.contains("TLSA_HASH"), "{arguments}");
    let hash = lab.read("calls").trim().trim_start_matches("publish ").to_owned();
    assert!(
        hash.len() == 64 && !arguments.contains(&hash),
        "the record is in the environment, not among the arguments"
    );
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.len() > 100);
    assert!(!said.contains(TOKEN) && !lab.read("environment").contains(TOKEN), "{said}");
}

#[test]
fn tsig_keys() {
    let server = crate::names::Server::silent();
    let texts = [
        format!("key \"k.example\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n"),
        format!(
            "dns_rfc2136_server = 127.0.0.1\ndns_rfc2136_name = k.example\ndns_rfc2136_secret = {SECRET}\ndns_rfc2136_algorithm = HMAC-SHA256\n"
        ),
        format!("key \"k.example\" {{ algorithm hmac-sha256; secret \"{SECRET}!\"; }};\n"),
        format!("key \"k.example\" {{ algorithm hmac-md7; secret \"{SECRET}\"; }};\n"),
        format!("{SECRET}\n"),
    ];
    thread::scope(|scope| {
        for text in texts {
            let address = server.address.to_string();
            scope.spawn(move || is_kept_secret(&text, &address));
        }
    });
    let lab = Lab::new();
    lab.configure(&format!("api = rfc2136 127.0.0.1 key:hmac-sha256:k:{SECRET}\n"));
    let run = lab.run(&["-l-", "-Ldebug"]).speaks_plainly();
    assert!(run.code == 3 && !run.out.contains(SECRET) && !run.err.contains(SECRET), "{run:#?}");
}

/// The key file holds `text`, sound or not; nothing of it is told, whatever becomes of the run.
fn is_kept_secret(text: &str, server: &str) {
    let lab = Lab::new();
    fs::write(lab.path("key"), text).unwrap();
    fs::set_permissions(lab.path("key"), PermissionsExt::from_mode(0o600)).unwrap();
    lab.configure(&format!("api = rfc2136 {server} key:{} zone:example.test\n", lab.text("key")));
    for level in ["-Ldebug", "-Lnormal"] {
        let run = lab.run(&["-l-", level]).speaks_plainly();
        assert!(run.code != 0 || run.out.contains("cannot publish"), "{run:#?}");
        let journal = lab.picture().into_iter().filter(|(path, _)| path.starts_with(lab.path("state")));
        let journal: String = journal.map(|(_, (_, bytes))| String::from_utf8_lossy(&bytes).into_owned()).collect();
        for said in [&run.out, &run.err, &journal] {
            assert!(!said.contains(&SECRET[..12]) && !said.contains("PRIVATE KEY"), "{said}");
        }
    }
}
