//! OpenLDAP, which Debian builds with GnuTLS: reads its files at start only, and sends no more than the leaf of them.

use crate::{certs::Cert, lab::Lab, see};
use daneroll::probe::Protocol::{Ldap, Tls};

const CONF: &str = "\
pidfile @DIR@/slapd.pid
TLSCertificateFile @DIR@/cert.pem
TLSCertificateKeyFile @DIR@/key.pem
database config
";

const START: &str = "slapd -d 0 -f @DIR@/slapd.conf -h ldap://127.0.0.1/@SPACE@ldaps://127.0.0.1/";

#[test]
fn old_and_new() {
    let (old, new) = (Cert::rsa(0).alone(), Cert::ecdsa().alone());
    let Some(lab) = Lab::start("slapd", &["slapd"]) else { return };
    lab.write("slapd.conf", CONF);
    put(&lab, &old);
    start(&lab);
    see::expect(&lab.see(Ldap, 389), &[&old], "at first");
    see::expect(&lab.see(Tls, 636), &[&old], "at first");
    put(&lab, &new);
    see::expect(&lab.see(Ldap, 389), &[&old], "keeps the old one in memory");
    lab.run("pkill -TERM -F @DIR@/slapd.pid");
    lab.see_until(Ldap, 389, |seen| seen.unknown.as_deref() == Some("refused the connection"));
    start(&lab);
    see::expect(&lab.see(Ldap, 389), &[&new], "after a restart");
    see::expect(&lab.see(Tls, 636), &[&new], "after a restart");
    put(&lab, &old.with_key_of(&new));
    lab.run("pkill -TERM -F @DIR@/slapd.pid");
    lab.see_until(Ldap, 389, |seen| seen.unknown.as_deref() == Some("refused the connection"));
    // With files that do not fit it does not start.
    assert!(lab.try_to_run(START).is_err());
    assert_eq!(lab.see(Ldap, 389).unknown.as_deref(), Some("refused the connection"));
}

#[test]
fn without_a_certificate() {
    let Some(lab) = Lab::start("slapd-bare", &["slapd"]) else { return };
    lab.write("slapd.conf", "pidfile @DIR@/slapd.pid\ndatabase config\n");
    start(&lab);
    let unknown = lab.see(Ldap, 389).unknown.unwrap();
    assert!(unknown.starts_with("does not offer StartTLS (result 2)"), "{unknown}");
}

fn start(lab: &Lab) {
    lab.serve("slapd", START);
    lab.connect(389);
}

fn put(lab: &Lab, cert: &Cert) {
    lab.write("cert.pem", &cert.pem);
    lab.write("key.pem", &cert.key);
}
