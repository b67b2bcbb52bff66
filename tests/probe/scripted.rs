//! Servers on loopback that do what a script says, good or bad, with every connection.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// What a server does next; after the last step it closes.
#[derive(Clone)]
pub enum Step {
    /// Sends this.
    Say(Vec<u8>),
    /// Sends this over and over, as fast as it can.
    Flood(&'static str),
    /// Sends these bytes over and over, one every tenth of a second.
    Drip(&'static str),
    /// Waits for a command that begins like this, and closes if it is another one.
    Hear(&'static str),
    /// Does nothing until the client closes.
    Wait,
    /// Shows the first of these certificates to whoever comes while nobody else is there, the second to one who comes
    /// when one is there, and so on; the last one to everybody else.
    Tls(Vec<Arc<ServerConfig>>),
}

/// A server that runs until this process ends.
pub struct Server {
    pub address: SocketAddr,
    /// What clients said under TLS, each in its turn.
    pub heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(script: Vec<Step>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, present) = (heard.clone(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, log, present) = (script.clone(), log.clone(), present.clone());
                let place = present.fetch_add(1, SeqCst);
                thread::spawn(move || {
                    let _ = act(stream, &script, place, &log);
                    present.fetch_sub(1, SeqCst);
                });
            }
        });
        Server { address, heard }
    }
}

fn act(mut stream: TcpStream, script: &[Step], place: usize, log: &Mutex<Vec<String>>) -> io::Result<()> {
    for step in script {
        match step {
            Step::Say(bytes) => stream.write_all(bytes)?,
            Step::Flood(text) => loop {
                stream.write_all(text.repeat(1000).as_bytes())?;
            },
            Step::Drip(text) => {
                for byte in text.bytes().cycle() {
                    stream.write_all(&[byte])?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
            Step::Hear(command) => expect(&mut stream, command)?,
            Step::Wait => drop(io::copy(&mut stream, &mut io::sink())?),
            Step::Tls(configs) => {
                let config = configs.get(place).or(configs.last()).unwrap();
                return tls(stream.try_clone()?, config.clone(), log);
            }
        }
    }
    Ok(())
}

/// The client sends one command at a time, so that it can be read in one go.
fn expect(stream: &mut TcpStream, expected: &str) -> io::Result<()> {
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes)?;
    match bytes[..length].starts_with(expected.as_bytes()) {
        true => Ok(()),
        false => Err(io::Error::other("another command was to come")),
    }
}

fn tls(stream: TcpStream, config: Arc<ServerConfig>, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut bytes = [0; 100];
    let length = stream.read(&mut bytes)?;
    log.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    stream.conn.send_close_notify();
    stream.flush()
}

pub fn say(text: &str) -> Step {
    Step::Say(text.as_bytes().to_vec())
}
