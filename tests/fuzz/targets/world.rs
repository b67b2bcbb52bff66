//! A simulated host with a lineage of two generations, and the DNS around it.

use daneroll::{
    cli::{self, Hints},
    config,
    env::{
        Files, Kind,
        sim::{
            World,
            disk::Disk,
            dns::Mode,
            keys,
            service::Service,
            zone::{Zone, address, alias, name, tlsa},
        },
    },
    lineage::pem,
    name::DnsName,
    run,
    tlsa::Association,
};
use hickory_resolver::proto::{
    dnssec::DigestType,
    rr::{RData, rdata::NS},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub const CONFIG: &str = "/etc/daneroll/daneroll.conf";
pub const DANE: &str = "/etc/daneroll/dane";
pub const LETSENCRYPT: &str = "/etc/letsencrypt";
pub const STATE: &str = "/var/lib/daneroll";
pub const LINEAGE: &str = "mx.example.com";
pub const QUERY: &str = "_25._tcp.mx.example.com.";
const RESOLVER: &str = "127.0.0.53";

const TEXT: &str = "letsencrypt_directory = /etc/letsencrypt\ndane_directory = /etc/daneroll/dane\n\
                    state_directory = /var/lib/daneroll\nresolver = 127.0.0.53\ndnssec = resolver\n\
                    api = exec /sim/provider\n\n[mx.example.com]\ntlsa = 311 25\nreload = /sim/reload mx\n";

/// A full chain and its key, in PEM.
pub struct Pair {
    pub cert: &'static str,
    pub key: &'static str,
}

const ISSUER: &str = include_str!("../data/int.pem");
/// The first generation.
pub const A: Pair = Pair {
    cert: concat!(include_str!("../data/a.pem"), include_str!("../data/int.pem")),
    key: include_str!("../data/a.key"),
};
/// The second.
pub const B: Pair = Pair {
    cert: concat!(include_str!("../data/b.pem"), include_str!("../data/int.pem")),
    key: include_str!("../data/b.key"),
};
/// Leaves with keys of each kind.
pub const LEAVES: [&str; 4] = [
    include_str!("../data/a.pem"),
    include_str!("../data/b.pem"),
    include_str!("../data/rsa.pem"),
    include_str!("../data/ed.pem"),
];

/// The content of a file of either generation by its name in the archive, `cert1.pem`.
pub fn content(file: &str) -> Option<Vec<u8>> {
    let (part, number) = file.strip_suffix(".pem")?.split_at_checked(file.len() - 5)?;
    let pair = match number {
        "1" => &A,
        "2" => &B,
        _ => return None,
    };
    let text = match part {
        "cert" => pair.cert.strip_suffix(ISSUER)?,
        "chain" => ISSUER,
        "fullchain" => pair.cert,
        "privkey" => pair.key,
        _ => return None,
    };
    Some(text.as_bytes().to_vec())
}

/// What a generation publishes for 3 1 1.
pub fn record(pair: &Pair) -> Association {
    pem::chain(pair.cert.as_bytes()).unwrap().association("311".parse().unwrap()).unwrap()
}

/// A host with its files, whose first generation is live, and no network.
pub fn small() -> World {
    let world = World::new();
    world.change(|state| {
        for dir in ["/var/lib", "/etc/daneroll", "/etc/letsencrypt/live", "/etc/letsencrypt/archive", "/tmp"] {
            parents(&mut state.disk, &Path::new(dir).join("x"));
        }
        state.disk.create(Path::new(CONFIG), TEXT.as_bytes(), 0o600).unwrap();
        state.disk.create(Path::new("/etc/passwd"), b"root", 0o644).unwrap();
        let archive = Path::new(LETSENCRYPT).join("archive").join(LINEAGE);
        parents(&mut state.disk, &archive.join("x"));
        for file in ["cert", "chain", "fullchain", "privkey"].iter().flat_map(|p| [1, 2].map(|n| format!("{p}{n}.pem")))
        {
            state.disk.create(&archive.join(&file), &content(&file).unwrap(), 0o600).unwrap();
        }
        show(&mut state.disk, 1);
    });
    world
}

/// Has `live/` show a generation.
pub fn show(disk: &mut Disk, number: u8) {
    let live = Path::new(LETSENCRYPT).join("live").join(LINEAGE);
    parents(disk, &live.join("x"));
    for part in ["cert", "chain", "fullchain", "privkey"] {
        let link = live.join(format!("{part}.pem"));
        let _ = disk.remove(&link);
        let target = format!("../../archive/{LINEAGE}/{part}{number}.pem");
        disk.symlink(&link, Path::new(&target)).unwrap();
    }
}

/// Makes the directories above a path that are missing.
pub fn parents(disk: &mut Disk, path: &Path) {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    for dir in above {
        let _ = disk.make_dir(dir, 0o755);
    }
}

/// Name servers for the root, `com` and `example.com`, all of it signed; the first generation's record is published. With
/// `signs` the signatures can be verified.
pub fn add_dns(world: &World, signs: bool) {
    let ns = |host: &str| RData::NS(NS(name(host).to_name()));
    let delegate = |zone: &mut Zone, child: &str, hosts: &[&str]| {
        for host in hosts {
            zone.add(&name(child), 172_800, ns(host));
        }
        zone.add(&name(child), 86_400, Zone::delegation_signer(child));
    };
    world.change(|state| {
        state.dns.signs = signs;
        let hosts = [("ns1.example.com", "192.0.2.1"), ("ns2.example.com", "192.0.2.2")];
        let top = [("a.root-servers.net", "198.41.0.4"), ("a.gtld-servers.net", "192.5.6.30")];
        let mut zone = Zone::new("example.com", true, &hosts.map(|(host, _)| host));
        let mut com = Zone::new("com", true, &["a.gtld-servers.net"]);
        let mut root = Zone::new(".", true, &["a.root-servers.net"]);
        for (host, ip) in hosts.iter().chain(&top) {
            state.dns.add_server(host, &[ip]);
            let holder = if host.ends_with("com") { &mut zone } else { &mut root };
            holder.add(&name(host), 86_400, address(ip.parse().unwrap()));
        }
        zone.add(&name(LINEAGE), 3600, address([192, 0, 2, 25].into()));
        zone.add(&name(QUERY), 3600, tlsa(&record(&A)));
        zone.add(&name("_443._tcp.mx.example.com"), 3600, alias(QUERY));
        delegate(&mut com, "example.com", &hosts.map(|(host, _)| host));
        delegate(&mut root, "com", &["a.gtld-servers.net"]);
        state.dns.add_zone(root, &["a.root-servers.net"]);
        state.dns.add_zone(com, &["a.gtld-servers.net"]);
        state.dns.add_zone(zone, &hosts.map(|(host, _)| host));
        state.dns.resolvers.insert(RESOLVER.parse().unwrap(), Mode::Answers);
        state.resolvers = Ok(resolvers());
    });
}

/// The recursive resolvers of the host.
pub fn resolvers() -> Vec<SocketAddr> {
    vec![SocketAddr::new(RESOLVER.parse().unwrap(), 53)]
}

/// A file of trust anchors with the root's key.
pub fn anchor() -> String {
    format!(". IN DS {}\n", keys::delegation_signer(&name("."), DigestType::SHA256))
}

/// The mail service, which presents what the dane directory shows.
pub fn serve(world: &World) {
    world.serve(Service::new("mx", LINEAGE, 25, Path::new(DANE).join(LINEAGE)));
}

/// Runs the program with these arguments; what it printed.
pub fn call(world: &World, args: &[&str]) -> String {
    let words = std::iter::once("daneroll").chain(args.iter().copied()).map(OsString::from);
    let arguments = cli::parse(words).unwrap();
    let loaded = config::load(world, &arguments.config, &arguments.overrides);
    let report = world.survive(|world| run(world, &arguments, &Hints::default(), &loaded)).unwrap();
    assert!(report.exit <= 4, "exit {}", report.exit);
    report.text
}

/// Everything that is there, except below the dane directory and the state directory: kind, permission bits, content or target.
pub fn outside(world: &World) -> BTreeMap<PathBuf, (Kind, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::from("/")];
    while let Some(dir) = open.pop() {
        for path in world.list(&dir).unwrap_or_default().iter().map(|entry| dir.join(entry)) {
            if path == Path::new(DANE) || path == Path::new(STATE) {
                continue;
            }
            let stat = world.stat(&path, false).unwrap();
            let content = match stat.kind {
                Kind::Link => world.target(&path).unwrap().into_os_string().into_encoded_bytes(),
                Kind::File => world.look(|state| state.disk.read(&path)).unwrap().to_vec(),
                _ => Vec::new(),
            };
            if stat.kind == Kind::Dir {
                open.push(path.clone());
            }
            found.insert(path, (stat.kind, stat.mode, content));
        }
    }
    found
}

/// The records at the owner on the primary server.
pub fn published(world: &World) -> Vec<Association> {
    let owner: DnsName = QUERY.parse().unwrap();
    world.look(|state| state.dns.zone(&name("example.com")).associations(&owner))
}
