//! Hidden primaries: updates go to a server that no NS record names, and are looked for at those that are.

use crate::{
    have,
    lab::{self, Lab, OWNER},
    ready,
    world::World,
};
use std::{fs, io};

/// Where the hidden primary is.
pub const ADDRESS: &str = "127.0.0.13";
const API: &str = "rfc2136 127.0.0.13 key:@DIR@/tsig.key";
/// What somebody else has put beside our record.
const FOREIGN: &str = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";

/// What takes the updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// knot.
    Knot,
    /// PowerDNS.
    Pdns,
}

impl Primary {
    /// Starts it, with the key that is in `tsig.key`.
    pub fn start(self, lab: &Lab) -> io::Result<()> {
        fs::create_dir(lab.path("hidden"))?;
        let key = fs::read_to_string(lab.path("tsig.key"))?;
        let secret = key.split('"').find(|word| word.ends_with('=')).unwrap();
        let write = |name: &str, text: &str| lab.write(name, &text.replace("@SECRET@", secret));
        match self {
            Primary::Knot => {
                write("hidden.conf", include_str!("etc/knot-hidden.conf"))?;
                lab.namespace().serve("hidden", &["knotd", "-c", &lab.text("hidden.conf")], &[])
            }
            Primary::Pdns => {
                write("hidden/pdns.conf", include_str!("etc/pdns.conf"))?;
                lab.make_pdns(
                    "hidden",
                    &[
                        &format!("load-zone example.test {}", lab.text("named/example.test.zone")),
                        // Of a native zone it tells nobody.
                        "set-kind example.test primary",
                        "secure-zone example.test",
                        "rectify-zone example.test",
                        &format!("import-tsig-key daneroll hmac-sha256 {secret}"),
                        "set-meta example.test TSIG-ALLOW-DNSUPDATE daneroll",
                        "set-meta example.test SOA-EDIT-DNSUPDATE INCREASE",
                        "set-meta example.test NOTIFY-DNSUPDATE 1",
                    ],
                )?;
                lab.start_pdns("hidden")
            }
        }
    }
}

#[test]
fn a_renewal_rolls_over_with_knot_behind_bind_and_nsd() {
    rolls_over("hidden-knot", Primary::Knot, &["nsd"]);
}

#[test]
fn a_renewal_rolls_over_with_powerdns_behind_bind_and_nsd() {
    rolls_over("hidden-pdns", Primary::Pdns, &["nsd", "pdns_server", "pdnsutil", "sqlite3"]);
}

/// The whole way of one renewal. Somebody else's record stands beside ours all the time.
fn rolls_over(name: &'static str, primary: Primary, tools: &[&str]) {
    if !(ready(name) && have(name, tools)) {
        return;
    }
    let world =
        World::among(lab::Primary::Hidden(primary), name, API, 20, "probe = off\nhold = 1\nreload = @DIR@/reload\n");
    world.run(&[]).expect(0);
    let old = world.key(1);
    world.expect_records(&[&old]);
    put(&world);
    world.expect_records(&[&old, FOREIGN]);
    world.tell("first record published, and somebody else's beside it");
    let watch = world.watch();
    world.renew();
    world.expect_records(&[&old, &world.key(2), FOREIGN]);
    world.tell("both records are up");
    world.roll_over_with(2, &[FOREIGN]);
    world.expect_records(&[&world.key(2), FOREIGN]);
    world.expect_peace(watch);
    world.expect_rest();
    world.tell("done");
}

/// Somebody else's update.
fn put(world: &World) {
    let script = format!("server {ADDRESS}\nzone example.test\nupdate add {OWNER} 2 TLSA 3 1 1 {FOREIGN}\nsend\n");
    fs::write(world.lab.path("foreign"), script).unwrap();
    let (key, script) = (world.lab.text("tsig.key"), world.lab.text("foreign"));
    let output = world.lab.command("nsupdate").args(["-k", &key, &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
