//! The servers that all hosts share: BIND signs the root, "test" and three zones below, a second BIND one more, knot and NSD
//! follow both; PowerDNS has a zone for itself; five validating caches; two authorities for certificates.

use crate::{enclosure, namespace::must, servers::Servers};
use std::{
    fs, io,
    io::Write,
    ops::Deref,
    process::{Command, Stdio},
};

/// Resolvers with caches of their own.
pub const CACHES: [&str; 5] = ["127.0.0.53", "127.0.0.54", "127.0.0.55", "127.0.0.56", "127.0.0.57"];
/// Each its own root and intermediate.
pub const ACME: [&str; 2] = ["https://127.0.0.1:14000/dir", "https://127.0.0.1:14001/dir"];
/// PowerDNS' interface, and what opens it.
pub const PDNS: &str = "http://127.0.0.15:8081";
const PDNS_KEY: &str = "open-sesame-of-the-laboratory";

const NAMED: &str = "127.0.0.11";
const KNOT: &str = "127.0.0.12";
const NSD: &str = "127.0.0.13";
const NAMED2: &str = "127.0.0.14";
const PDNS_ADDRESS: &str = "127.0.0.15";

/// A zone, and who serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Example,
    /// Its copy at knot is frozen at times.
    Frozen,
    /// The same, for another host.
    Iced,
    /// Not signed at first.
    Late,
    /// Its primary goes away at times.
    Outage,
    /// At PowerDNS alone.
    Pdns,
}

impl Zone {
    const ALL: [Zone; 6] = [Zone::Example, Zone::Frozen, Zone::Iced, Zone::Late, Zone::Outage, Zone::Pdns];

    /// Without the final dot.
    pub fn name(self) -> &'static str {
        match self {
            Zone::Example => "example.test",
            Zone::Frozen => "frozen.test",
            Zone::Iced => "iced.test",
            Zone::Late => "late.test",
            Zone::Outage => "outage.test",
            Zone::Pdns => "pdns.test",
        }
    }

    /// All that serve it, the primary first.
    pub fn servers(self) -> &'static [&'static str] {
        match self {
            Zone::Pdns => &[PDNS_ADDRESS],
            Zone::Outage => &[NAMED2, KNOT, NSD],
            _ => &[NAMED, KNOT, NSD],
        }
    }

    /// The text of the zone with these hosts.
    fn text(self, hosts: &str) -> String {
        let zone = self.name();
        let mut text = format!("$TTL 60\n@ 1 SOA ns1.{zone}. hostmaster.{zone}. 1 3600 600 86400 1\n");
        for (number, address) in (1..).zip(self.servers()) {
            text += &format!("@ NS ns{number}.{zone}.\nns{number}.{zone}. A {address}\n");
        }
        text + hosts
    }

    fn delegation(self) -> String {
        let zone = self.name();
        let one = |(number, address)| format!("{zone}. 1 NS ns{number}.{zone}.\nns{number}.{zone}. A {address}\n");
        (1..).zip(self.servers()).map(one).collect()
    }
}

/// A host that the zones know.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// From 1 on.
    pub number: u8,
    pub zone: Zone,
}

impl Place {
    pub fn name(self) -> String {
        format!("mx{}.{}", self.number, self.zone.name())
    }

    pub fn address(self) -> String {
        format!("127.0.1.{}", self.number)
    }
}

/// All of it, up and running.
pub struct Network {
    servers: Servers,
}

impl Deref for Network {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        &self.servers
    }
}

impl Network {
    /// Starts everything: about five seconds.
    pub fn start(places: &[Place]) -> io::Result<Network> {
        // Postfix, too, listens only on addresses that an interface carries.
        let hosts: Vec<String> = places.iter().map(|place| place.address()).collect();
        let addresses: Vec<&str> = [NAMED, NAMED2].into_iter().chain(hosts.iter().map(String::as_str)).collect();
        let network = Network { servers: Servers::new(enclosure::settle(&addresses)?) };
        network.write_files(places)?;
        network.make_keys()?;
        network.start_named("named", NAMED, "test")?;
        network.start_named("named2", NAMED2, Zone::Outage.name())?;
        network.start_knot(KNOT, Zone::Example.name())?;
        network.start_nsd(NSD, Zone::Example.name())?;
        network.start_the_pdns()?;
        network.delegate(".", "test", NAMED)?;
        for zone in Zone::ALL.into_iter().filter(|&zone| zone != Zone::Late) {
            network.delegate_signed(zone)?;
        }
        let root = network.dig(NAMED, ".", "DNSKEY")?;
        let anchor: Vec<&str> = root.lines().filter(|line| line.contains("\tDNSKEY\t")).collect();
        fs::write(network.path("anchor.key"), anchor.join("\n") + "\n")?;
        for (number, cache) in CACHES.iter().enumerate() {
            let label = format!("unbound{number}");
            let text = include_str!("../system/etc/unbound.conf").replace(CACHES[0], cache);
            network.write(&format!("{label}.conf"), &text.replace("unbound.pid", &format!("{label}.pid")))?;
            network.start_unbound(&label, cache, &places[0].name())?;
        }
        for (label, ports) in [("pebble", ["14000", "15000"]), ("pebble2", ["14001", "15001"])] {
            let text = include_str!("../system/etc/pebble.json").replace("14000", ports[0]).replace("15000", ports[1]);
            network.write(&format!("{label}.json"), &text)?;
            network.start_pebble(label, CACHES[0])?;
        }
        Ok(network)
    }

    fn write_files(&self, places: &[Place]) -> io::Result<()> {
        for (name, text) in [
            ("named.conf", include_str!("../system/etc/laboratory/named.conf")),
            ("named2.conf", include_str!("../system/etc/laboratory/named2.conf")),
            ("policy.conf", include_str!("../system/etc/laboratory/policy.conf")),
            ("knot.conf", include_str!("../system/etc/laboratory/knot.conf")),
            ("nsd.conf", include_str!("../system/etc/laboratory/nsd.conf")),
            ("named/root.zone", include_str!("../system/etc/root.zone")),
            ("root.hints", include_str!("../system/etc/root.hints")),
            ("late.conf", "// Not signed yet.\n"),
            ("powerdns.key", PDNS_KEY),
        ] {
            self.write(name, text)?;
        }
        must(Command::new("chmod").arg("600").arg(self.path("powerdns.key")))?;
        self.write("pdns/pdns.conf", &include_str!("../system/etc/laboratory/pdns.conf").replace("@KEY@", PDNS_KEY))?;
        let mut test = "$TTL 60\n@ 1 SOA ns.root.test. hostmaster.root.test. 1 3600 600 86400 1\n\
                        @ NS ns.root.test.\nns.root.test. A 127.0.0.11\n"
            .to_owned();
        for zone in Zone::ALL {
            let here = places.iter().filter(|place| place.zone == zone);
            let hosts: String = here.map(|place| format!("{}. A {}\n", place.name(), place.address())).collect();
            let directory = match zone {
                Zone::Outage => "named2",
                Zone::Pdns => "pdns",
                _ => "named",
            };
            self.write(&format!("{directory}/{}.zone", zone.name()), &zone.text(&hosts))?;
            test += &zone.delegation();
        }
        self.write("named/test.zone", &test)?;
        fs::create_dir(self.path("knot"))?;
        fs::create_dir(self.path("nsd"))
    }

    fn start_the_pdns(&self) -> io::Result<()> {
        let zone = Zone::Pdns.name();
        let load = format!("load-zone {zone} {}", self.text(&format!("pdns/{zone}.zone")));
        self.make_pdns("pdns", &[&load, &format!("secure-zone {zone}"), &format!("rectify-zone {zone}")])?;
        self.start_pdns("pdns")?;
        self.wait("pdns", || self.is_signed(PDNS_ADDRESS, zone))
    }

    /// Signs the zone that was not; its parent does not know yet.
    pub fn sign_late(&self) -> io::Result<()> {
        self.write("late.conf", "dnssec-policy single;\n")?;
        must(self.command("rndc").args(["-s", NAMED, "-k", &self.text("rndc.key"), "reconfig"]))?;
        for server in Zone::Late.servers() {
            self.wait("named", || self.is_signed(server, Zone::Late.name()))?;
        }
        Ok(())
    }

    /// Tells "test" of a zone's key.
    pub fn delegate_signed(&self, zone: Zone) -> io::Result<()> {
        self.delegate("test", zone.name(), zone.servers()[0])
    }

    fn delegate(&self, parent: &str, zone: &str, server: &str) -> io::Result<()> {
        self.wait(zone, || self.is_signed(server, zone))?;
        let keys = self.dig(server, zone, "DNSKEY")?;
        let keys: Vec<&str> = keys.lines().filter(|line| line.contains("\tDNSKEY\t")).collect();
        let digest = fed(Command::new("dnssec-dsfromkey").args(["-2", "-f", "-", zone]), &keys.join("\n"))?;
        let add = |line: &str| format!("update add {}\n", line.replacen(" IN ", " 1 IN ", 1));
        self.update(parent, NAMED, &digest.lines().map(add).collect::<String>())
    }

    /// A dynamic update of somebody else's.
    pub fn update(&self, zone: &str, server: &str, changes: &str) -> io::Result<()> {
        let key = self.text("tsig.key");
        let script = format!("server {server}\nzone {zone}\n{changes}send\n");
        fed(self.command("nsupdate").args(["-t", "10", "-k", &key]), &script).map(drop)
    }
}

/// Runs a command with this on its standard input.
fn fed(command: &mut Command, input: &str) -> io::Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(io::Error::other(format!("{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr)))),
    }
}
