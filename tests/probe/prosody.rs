//! Prosody: clients and servers, each after `<starttls/>`.

use crate::{certs::Cert, lab::Lab, see};
use daneroll::probe::Protocol::{XmppClient, XmppServer};

const CONF: &str = r#"
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
interfaces = { "127.0.0.1" }
modules_enabled = { "tls", "saslauth", "dialback" }
modules_disabled = { "s2s_auth_certs" }
log = { info = "@DIR@/prosody.log" }
VirtualHost "HOST"
  ssl = { certificate = "@DIR@/cert.pem", key = "@DIR@/key.pem" }
"#;

#[test]
fn old_new_and_another_domain() {
    let (old, new) = (Cert::ecdsa(), Cert::rsa(1));
    let Some(lab) = start("prosody", crate::certs::HOST, &old) else { return };
    for (protocol, port) in [(XmppClient, 5222), (XmppServer, 5269)] {
        see::expect(&lab.see(protocol, port), &[&old], &format!("{protocol} at first"));
    }
    put(&lab, &new);
    for (protocol, port) in [(XmppClient, 5222), (XmppServer, 5269)] {
        see::expect(&lab.see(protocol, port), &[&old], &format!("{protocol} keeps the old one in memory"));
    }
    lab.run("pkill -HUP -F @DIR@/prosody.pid");
    for (protocol, port) in [(XmppClient, 5222), (XmppServer, 5269)] {
        let seen = lab.see_until(protocol, port, |seen| seen.chains == [new.chain.clone()]);
        see::expect(&seen, &[&new], &format!("{protocol} after a reload"));
    }
    put(&lab, &old.with_key_of(&new));
    lab.run("pkill -HUP -F @DIR@/prosody.pid");
    for (protocol, port) in [(XmppClient, 5222), (XmppServer, 5269)] {
        let seen = lab.see_until(protocol, port, |seen| seen.chains.is_empty());
        let why = seen.unknown.unwrap_or_default();
        assert!(
            seen.chains.is_empty() && (why.starts_with("ends the stream") || why == "does not offer STARTTLS"),
            "{protocol} {why}: {}",
            lab.logs()
        );
    }
}

#[test]
fn it_does_not_know_the_domain() {
    let Some(lab) = start("prosody-other", "other.example.test", &Cert::ecdsa()) else { return };
    let seen = lab.see(XmppClient, 5222);
    assert_eq!(seen.unknown.as_deref(), Some("ends the stream: \"host-unknown\""), "{}", lab.logs());
}

fn start(test: &str, host: &str, cert: &Cert) -> Option<Lab> {
    let lab = Lab::start(test, &["prosody"])?;
    lab.write("prosody.cfg.lua", &CONF.replace("HOST", host));
    lab.make_dir("prosody", "data");
    put(&lab, cert);
    lab.give("prosody", "");
    lab.serve(
        "prosody-start",
        "setpriv --reuid prosody --clear-groups --pdeathsig KILL prosody --config @DIR@/prosody.cfg.lua -F",
    );
    lab.connect(5222);
    lab.connect(5269);
    Some(lab)
}

fn put(lab: &Lab, cert: &Cert) {
    lab.write("cert.pem", &cert.pem);
    lab.write_for("prosody", "key.pem", &cert.key);
}
