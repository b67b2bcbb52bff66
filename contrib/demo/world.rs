//! The throw-away world: everything lives in one temporary directory and on ports of loopback.

use crate::{
    Fallible,
    certbot::Certbot,
    clients::Clients,
    dane::{self, Dane},
    keys::KeyId,
    locked,
    nameserver::NameServer,
    service::{Ports, Service},
    zone::{self, TTL, Zone},
};
use hickory_resolver::proto::rr::{Name, TSigner, rdata::tsig::TsigAlgorithm};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::ServerName;
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

/// The host that is renewed; the lineage has its name.
pub const HOST: &str = "mx.example.test";
/// How far the secondary lags behind.
pub const LAG: Duration = Duration::from_secs(4);

/// Everything there is.
pub struct World {
    /// When it began.
    pub start: Instant,
    /// Without daneroll?
    pub naive: bool,
    /// The zone on both servers.
    pub zone: Arc<Zone>,
    /// The clients and what they saw.
    pub clients: Arc<Clients>,
    /// Name of the TLSA records.
    pub owner: Name,
    /// daneroll's configuration file.
    pub config: PathBuf,
    /// daneroll's log.
    pub log: PathBuf,
    /// certbot's `live/mx.example.test`.
    pub live: PathBuf,
    /// Where the service reads: the dane directory, or `live/`.
    pub serves_from: PathBuf,
    /// The keys that certbot made, oldest first.
    pub keys: Mutex<Vec<KeyId>>,
    /// What is being done, told by the story.
    pub doing: Mutex<String>,
    /// What daneroll waits for, and why.
    pub awaited: Mutex<Vec<String>>,
    /// Moments that the picture names.
    pub marks: Mutex<Vec<(Duration, &'static str)>>,
    certbot: Mutex<Certbot>,
    servers: [SocketAddr; 2],
    ports: Mutex<Option<Ports>>,
    service: OnceLock<Arc<Service>>,
}

impl World {
    /// Makes the world in `directory`: first certificate, zone, two name servers, daneroll's configuration. Nothing is
    /// published and nothing served yet.
    pub fn new(directory: &Path, naive: bool) -> Fallible<World> {
        let certbot = Certbot::new(directory.join("letsencrypt"), HOST)?;
        let live = certbot.live();
        let zone = Arc::new(Zone::new(HOST)?);
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| "no random numbers")?;
        let key = TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, Name::from_str("demo.")?, 300)?;
        let primary = NameServer { zone: zone.clone(), lag: Duration::ZERO, key: Some(key) }.start()?;
        let secondary = NameServer { zone: zone.clone(), lag: LAG, key: None }.start()?;

        let ports = Ports::bind()?;
        let servers = [primary, secondary];
        let config = configure(directory, servers, &ports, &secret)?;
        let anchor = format!("{} IN DNSKEY {}\n", zone::APEX, zone.trust_anchor()?);
        private(&directory.join("anchor"), &anchor)?;
        let world = World {
            start: Instant::now(),
            naive,
            zone,
            clients: Arc::default(),
            owner: Name::from_str(&format!("_{}._tcp.{HOST}.", ports.tls()?.port()))?,
            config,
            log: directory.join("daneroll.log"),
            serves_from: if naive { live.clone() } else { directory.join("dane").join(HOST) },
            live,
            keys: Mutex::default(),
            doing: Mutex::default(),
            awaited: Mutex::default(),
            marks: Mutex::default(),
            certbot: Mutex::new(certbot),
            servers,
            ports: Mutex::new(Some(ports)),
            service: OnceLock::new(),
        };
        world.renew()?;
        Ok(world)
    }

    /// certbot makes a new key and certificate.
    pub fn renew(&self) -> Fallible<()> {
        let key = locked(&self.certbot).renew()?;
        locked(&self.keys).push(key);
        Ok(())
    }

    /// Starts the service with what its directory holds now.
    pub fn start_service(&self) -> Fallible<()> {
        let ports = locked(&self.ports).take().ok_or("the service runs already")?;
        let service = Service::start(ports, self.serves_from.clone())?;
        self.service.set(service).map_err(|_| "the service runs already".into())
    }

    /// The service, once it runs.
    pub fn service(&self) -> Fallible<&Service> {
        Ok(self.service.get().ok_or("the service does not run yet")?)
    }

    /// Starts the clients.
    pub fn start_clients(&self) -> Fallible<()> {
        let dane = Dane {
            servers: self.servers,
            owner: self.owner.clone(),
            anchor: self.zone.trust_anchor()?,
            host: ServerName::try_from(HOST)?,
            tls: dane::tls()?,
        };
        self.clients.start(Arc::new(dane), self.service()?.address);
        Ok(())
    }

    /// Puts one TLSA record in the place of all others, as an operator without daneroll does.
    pub fn replace_record(&self, key: KeyId) -> Fallible<()> {
        let edited = self.zone.edit(|records| {
            records.retain(|record| record.name != self.owner);
            records.push(zone::tlsa(&self.owner, key));
            Ok(())
        });
        edited.map_err(|code| format!("the zone could not be edited: {code}").into())
    }

    /// Gives this moment a name.
    pub fn mark(&self, label: &'static str) {
        locked(&self.marks).push((self.start.elapsed(), label));
    }

    /// Says what the story does now.
    pub fn now(&self, what: &str) {
        *locked(&self.doing) = what.to_owned();
    }
}

/// Writes the TSIG key, in BIND's format, and the configuration that an operator would write, with short times.
fn configure(directory: &Path, servers: [SocketAddr; 2], ports: &Ports, secret: &[u8]) -> Fallible<PathBuf> {
    let key = directory.join("tsig.key");
    let secret = data_encoding::BASE64.encode(secret);
    private(&key, &format!("key \"demo\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n"))?;

    let (place, demo) = (directory.display(), std::env::current_exe()?);
    let demo = shell_words::quote(demo.to_str().ok_or("the demo's path is not UTF-8")?).into_owned();
    let (port, control, [primary, secondary]) = (ports.tls()?.port(), ports.control()?.port(), servers);
    let config = directory.join("daneroll.conf");
    let text = format!(
        "letsencrypt_directory = {place}/letsencrypt
dane_directory = {place}/dane
state_directory = {place}/state
ttl = 0
resolver = {primary}
trust_anchor = anchor

[{HOST}]
tlsa = 311 {port}
probe_address = 127.0.0.1
api = rfc2136 {primary} key:{key}
record_ttl = {TTL}
hold = 2
settle = 10
recheck = 0
nameservers = {primary} {secondary}
reload = {demo} __reload {control}
",
        key = key.display()
    );
    private(&config, &text)?;
    Ok(config)
}

fn private(path: &Path, text: &str) -> Fallible<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
