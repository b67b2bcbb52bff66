//! PostgreSQL: reads its files at start and reload, and keeps the old ones if the new do not fit.

use crate::{certs::Cert, lab::Lab, see};
use daneroll::probe::Protocol::Postgres;
use std::{fs, path::PathBuf};

const AS_POSTGRES: &str = "setpriv --reuid postgres --regid postgres --clear-groups --pdeathsig KILL --";
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
port = 5432
unix_socket_directories = ''
fsync = off
ssl_cert_file = '@DIR@/cert.pem'
ssl_key_file = '@DIR@/key.pem'
";

#[test]
fn old_new_and_refused() {
    let (old, new) = (Cert::ecdsa(), Cert::rsa(2));
    let Some(bin) = binaries() else { return drop(Lab::start("postgres", &["/usr/lib/postgresql/*/bin/postgres"])) };
    let Some(lab) = Lab::start("postgres", &[]) else { return };
    let bin = bin.to_str().unwrap();
    lab.give("postgres", "");
    lab.run(&format!("{AS_POSTGRES} {bin}/initdb -N -A trust -D @DIR@/db"));
    lab.write_for("postgres", "db/postgresql.conf", &[SETTINGS, "ssl = on\n"].concat());
    put(&lab, &old);
    lab.serve("postgres", &format!("{AS_POSTGRES} {bin}/postgres -D @DIR@/db"));
    lab.connect(5432);
    let is = |cert: &Cert| lab.see_until(Postgres, 5432, |seen| seen.chains == [cert.chain.clone()]);
    see::expect(&is(&old), &[&old], "at first");
    let reload = format!("{AS_POSTGRES} {bin}/pg_ctl reload -D @DIR@/db");

    put(&lab, &new);
    see::expect(&lab.see(Postgres, 5432), &[&old], "keeps the old one in memory");
    lab.run(&reload);
    see::expect(&is(&new), &[&new], "after a reload");

    put(&lab, &old.with_key_of(&new));
    lab.run(&reload);
    // It says so in its log, and goes on with what it has.
    let refuses = || lab.logs().contains("SSL configuration was not reloaded");
    lab.see_until(Postgres, 5432, |_| refuses());
    assert!(refuses(), "{}", lab.logs());
    see::expect(&lab.see(Postgres, 5432), &[&new], "after a reload with files that do not fit");

    lab.write_for("postgres", "db/postgresql.conf", &[SETTINGS, "ssl = off\n"].concat());
    lab.run(&reload);
    let seen = lab.see_until(Postgres, 5432, |seen| seen.chains.is_empty());
    assert_eq!(seen.unknown.as_deref(), Some("does not offer TLS"));
}

/// The directory with `initdb`; Debian keeps one for each version.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file()).max()
}

fn put(lab: &Lab, cert: &Cert) {
    lab.write_for("postgres", "cert.pem", &cert.pem);
    lab.write_for("postgres", "key.pem", &cert.key);
}
