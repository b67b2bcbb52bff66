//! The servers: BIND that signs `example.test` and takes updates (127.0.0.11), a knot secondary (127.0.0.12), unbound
//! as resolver (127.0.0.53), and pebble, an ACME server for tests (127.0.0.1:14000).

use crate::{
    hidden,
    namespace::{Namespace, must},
    servers::Servers,
};
use std::{collections::BTreeSet, fs, io, ops::Deref, process::Command};

/// The two authoritative servers, primary first.
pub const SERVERS: [&str; 2] = ["127.0.0.11", "127.0.0.12"];
/// Where the TLSA RRset is.
pub const OWNER: &str = "_25._tcp.mx.example.test.";
/// The ACME directory.
pub const ACME: &str = "https://127.0.0.1:14000/dir";

const RESOLVER: &str = "127.0.0.53";
const ZONE: &str = "example.test";

/// The files that the servers and `hooks/provider-nsupdate` read; `@DIR@` in them is the directory of the laboratory.
const FILES: [(&str, &str); 8] = [
    ("named.conf", include_str!("etc/named.conf")),
    ("named/root.zone", include_str!("etc/root.zone")),
    ("named/test.zone", include_str!("etc/test.zone")),
    ("named/example.test.zone", include_str!("etc/example.test.zone")),
    ("root.hints", include_str!("etc/root.hints")),
    ("unbound.conf", include_str!("etc/unbound.conf")),
    ("pebble.json", include_str!("etc/pebble.json")),
    ("nsupdate.conf", include_str!("etc/nsupdate.conf")),
];

/// Who serves `example.test`, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// BIND, which signs it and takes updates; knot follows.
    Updates,
    /// BIND, from a file that includes another; knot follows.
    Bind,
    /// knot, from such a file; BIND follows.
    Knot,
    /// NSD, from such a file that was signed by hand; BIND follows.
    Nsd,
    /// One that nobody sees and that takes updates; BIND and NSD follow.
    Hidden(hidden::Primary),
}

impl Primary {
    /// Its files, and what tells BIND of the zone.
    fn files(self) -> Vec<(&'static str, &'static str)> {
        let knot = ("knot.conf", include_str!("etc/knot.conf"));
        let included = ("zones/example.test.zone", include_str!("etc/included.zone"));
        let secondary = ("zones.conf", include_str!("etc/included-secondary.conf"));
        match self {
            Primary::Updates => vec![knot, ("zones.conf", include_str!("etc/updates.conf"))],
            Primary::Bind => vec![knot, included, ("zones.conf", include_str!("etc/included-bind.conf"))],
            Primary::Knot => vec![("knot.conf", include_str!("etc/included-knot.conf")), included, secondary],
            Primary::Nsd => vec![("nsd.conf", include_str!("etc/included-nsd.conf")), included, secondary],
            Primary::Hidden(_) => {
                let named = ("named.conf", include_str!("etc/named-secondary.conf"));
                vec![named, ("nsd.conf", include_str!("etc/nsd.conf"))]
            }
        }
    }
}

/// All servers, up and running until this is dropped.
pub struct Lab {
    servers: Servers,
}

impl Deref for Lab {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        &self.servers
    }
}

impl Lab {
    /// Starts everything and waits until it answers: about two seconds.
    pub fn start(primary: Primary) -> io::Result<Lab> {
        let namespace = Namespace::new(&[SERVERS[0], SERVERS[1], hidden::ADDRESS, RESOLVER], RESOLVER)?;
        let lab = Lab { servers: Servers::new(namespace) };
        for dir in ["named", "knot", "nsd", "zones", "keys"] {
            fs::create_dir(lab.path(dir))?;
        }
        fs::write(lab.path("zones/example.test.tlsa"), "")?;
        for (name, text) in FILES.into_iter().chain(primary.files()) {
            lab.write(name, text)?;
        }
        lab.start_name_servers(primary)?;
        lab.start_resolver()?;
        lab.start_pebble("pebble", RESOLVER)?;
        Ok(lab)
    }

    /// What is at [`OWNER`], see [`Servers::tlsa_at`].
    pub fn tlsa(&self, server: &str) -> BTreeSet<String> {
        self.tlsa_at(server, OWNER)
    }

    /// The serial of the zone at `server`.
    pub fn serial(&self, server: &str) -> String {
        self.serial_of(server, ZONE)
    }

    /// Stops the secondary from following the primary: `zone-freeze`, `zone-thaw`.
    pub fn knotc(&self, command: &str) {
        self.knotc_for(command, ZONE);
    }

    fn start_name_servers(&self, primary: Primary) -> io::Result<()> {
        self.make_keys()?;
        let named = || self.start_named("named", SERVERS[0], ZONE);
        match primary {
            Primary::Updates | Primary::Bind => {
                named()?;
                self.start_knot(SERVERS[1], ZONE)
            }
            Primary::Knot => {
                self.start_knot(SERVERS[1], ZONE)?;
                named()
            }
            Primary::Nsd => {
                self.sign()?;
                self.start_nsd(SERVERS[1], ZONE)?;
                named()
            }
            Primary::Hidden(primary) => {
                primary.start(self)?;
                self.wait("hidden", || self.is_signed(hidden::ADDRESS, ZONE))?;
                named()?;
                self.start_nsd(SERVERS[1], ZONE)
            }
        }
    }

    /// Signs the zone by hand.
    fn sign(&self) -> io::Result<()> {
        let keys = self.text("keys");
        must(
            Command::new("dnssec-keygen")
                .args("-a ECDSAP256SHA256 -f KSK -L 2 -K".split(' '))
                .args([&keys, "example.test"]),
        )?;
        let (from, to) = (self.text("zones/example.test.zone"), self.text("zones/example.test.signed"));
        let options = "-z -S -N unixtime -o example.test -K";
        must(Command::new("dnssec-signzone").args(options.split(' ')).args([&keys, "-d", &keys, "-f", &to, &from]))?;
        Ok(())
    }

    fn start_resolver(&self) -> io::Result<()> {
        let keys = self.dig(SERVERS[0], ZONE, "DNSKEY")?;
        let anchor: Vec<&str> = keys.lines().filter(|line| line.contains("\tDNSKEY\t")).collect();
        fs::write(self.path("anchor.key"), anchor.join("\n") + "\n")?;
        self.start_unbound("unbound", RESOLVER, "mx.example.test")
    }
}
