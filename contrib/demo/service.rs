//! A TLS service. It loads its certificate at start and on reload only, as Postfix and nginx do.

use crate::{Fallible, keys::KeyId, locked};
use rustls::{ServerConfig, ServerConnection, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// A running service.
pub struct Service {
    directory: PathBuf,
    loaded: Mutex<Loaded>,
    /// Where it takes TLS connections.
    pub address: SocketAddr,
    /// Where it listens for "reload".
    pub control: SocketAddr,
}

#[derive(Clone)]
struct Loaded {
    tls: Arc<ServerConfig>,
    key: KeyId,
}

/// Ports are chosen before the certificate exists, since the TLSA record's name holds one of them.
pub struct Ports {
    tls: TcpListener,
    control: TcpListener,
}

impl Ports {
    /// Two free ports on loopback.
    pub fn bind() -> Fallible<Ports> {
        Ok(Ports { tls: TcpListener::bind("127.0.0.1:0")?, control: TcpListener::bind("127.0.0.1:0")? })
    }

    /// Where the service will take TLS connections.
    pub fn tls(&self) -> Fallible<SocketAddr> {
        Ok(self.tls.local_addr()?)
    }

    /// Where it will listen for "reload".
    pub fn control(&self) -> Fallible<SocketAddr> {
        Ok(self.control.local_addr()?)
    }
}

impl Service {
    /// Loads the certificate in `directory` and serves until the program ends.
    pub fn start(ports: Ports, directory: PathBuf) -> Fallible<Arc<Service>> {
        let loaded = Mutex::new(load(&directory)?);
        let (address, control) = (ports.tls()?, ports.control()?);
        let service = Arc::new(Service { directory, loaded, address, control });
        let (serving, reloading) = (service.clone(), service.clone());
        thread::spawn(move || serving.serve(&ports.tls));
        thread::spawn(move || reloading.obey(&ports.control));
        Ok(service)
    }

    /// The key of the certificate that a client gets now.
    pub fn presents(&self) -> KeyId {
        locked(&self.loaded).key
    }

    fn serve(&self, listener: &TcpListener) {
        for connection in listener.incoming().flatten() {
            let tls = locked(&self.loaded).tls.clone();
            thread::spawn(move || greet(connection, tls));
        }
    }

    fn obey(&self, listener: &TcpListener) {
        for mut connection in listener.incoming().flatten() {
            let said = match load(&self.directory) {
                Ok(loaded) => {
                    *locked(&self.loaded) = loaded;
                    "reloaded".to_owned()
                }
                Err(error) => format!("not reloaded: {error}"),
            };
            // Whoever asked and hung up does not want to know.
            let _ = connection.write_all(said.as_bytes());
        }
    }
}

/// The reload command: `demo __reload PORT` succeeds only once the service has reloaded.
pub fn reload(control: SocketAddr) -> Fallible<()> {
    let mut said = String::new();
    TcpStream::connect(control)?.read_to_string(&mut said)?;
    if said == "reloaded" { Ok(()) } else { Err(said.into()) }
}

fn load(directory: &Path) -> Fallible<Loaded> {
    let fullchain = directory.join("fullchain.pem");
    let chain = CertificateDer::pem_file_iter(&fullchain)?.collect::<Result<Vec<_>, _>>()?;
    let private = PrivateKeyDer::from_pem_file(directory.join("privkey.pem"))?;
    let key = KeyId::of_certificate(chain.first().ok_or("no certificate")?)?;
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    Ok(Loaded { tls: Arc::new(tls), key })
}

/// Shakes hands, and waits for the client to hang up.
fn greet(mut connection: TcpStream, tls: Arc<ServerConfig>) -> Fallible<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut tls = ServerConnection::new(tls)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut connection)?;
    }
    connection.read_to_end(&mut Vec::new())?;
    Ok(())
}
