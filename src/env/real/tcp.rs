//! One DNS message there and one back over TCP (RFC 7766).

use std::{
    collections::HashMap,
    future::Future,
    io, net,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Time limits.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    connect: Duration,
    all: Duration,
}

/// For an update: a server may have to sign the zone first.
pub(super) const UPDATE: Limits = Limits { connect: Duration::from_secs(5), all: Duration::from_secs(15) };
/// For a question whose answer was truncated.
pub(super) const QUERY: Limits = Limits { connect: Duration::from_secs(4), all: Duration::from_secs(4) };

/// A connection that was idle for longer serves for nothing more: its server may be about to close it.
const IDLE: Duration = Duration::from_secs(2);

/// Connections that may serve for one more message (RFC 7766 section 6.2.1), each with the moment of its last answer.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<SocketAddr, (net::TcpStream, Instant)>>);

impl Connections {
    /// The same as [`exchange`], over a connection that is open already if there is one. A server may close it at any moment: then
    /// the message is sent once more over a new one, so it must be one that can be carried out twice.
    pub async fn exchange(&self, server: SocketAddr, message: &[u8], limits: Limits) -> Result<Vec<u8>, String> {
        let framed = framed(message)?;
        within(limits.all, "no answer over TCP", async {
            let again = async {
                let mut stream = TcpStream::from_std(self.take(server)?).ok()?;
                stream.write_all(&framed).await.ok()?;
                let answer = receive(&mut stream).await.ok()?;
                Some((answer, stream))
            };
            let (answer, stream) = match again.await {
                Some(done) => done,
                None => exchange_anew(server, &framed, limits).await?,
            };
            self.keep(server, stream);
            Ok(answer)
        })
        .await
    }

    fn take(&self, server: SocketAddr) -> Option<net::TcpStream> {
        let (stream, since) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&server)?;
        // It may have been closed, or hold an answer that nobody has asked for.
        let is_quiet = || matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        (since.elapsed() < IDLE && is_quiet()).then_some(stream)
    }

    fn keep(&self, server: SocketAddr, stream: TcpStream) {
        if let Ok(stream) = stream.into_std() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(server, (stream, Instant::now()));
        }
    }
}

/// Sends `message` and returns the answer, both without the length prefix, which also bounds the answer to 64 KiB.
pub(super) async fn exchange(server: SocketAddr, message: &[u8], limits: Limits) -> Result<Vec<u8>, String> {
    let framed = framed(message)?;
    let exchanged = within(limits.all, "no answer over TCP", exchange_anew(server, &framed, limits)).await;
    exchanged.map(|(answer, _)| answer)
}

fn framed(message: &[u8]) -> Result<Vec<u8>, String> {
    let length = u16::try_from(message.len()).map_err(|_| "the message is longer than 64 KiB".to_owned())?;
    Ok([&length.to_be_bytes(), message].concat())
}

async fn exchange_anew(server: SocketAddr, framed: &[u8], limits: Limits) -> Result<(Vec<u8>, TcpStream), String> {
    let mut stream = within(limits.connect, "no TCP connection", async {
        TcpStream::connect(server).await.map_err(|error| refused(&error))
    })
    .await?;
    stream.write_all(framed).await.map_err(|error| refused(&error))?;
    let answer = receive(&mut stream).await.map_err(|error| broken(&error))?;
    Ok((answer, stream))
}

async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(format!("{what} within {} s", limit.as_secs())))
}

/// Why a connection could not be made, in words.
pub(super) fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        io::ErrorKind::NetworkUnreachable => "this host has no route to it".to_owned(),
        io::ErrorKind::HostUnreachable => "cannot be reached".to_owned(),
        _ => format!("cannot be reached: {error}"),
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "closed the connection before its answer was complete".to_owned()
        }
        _ => format!("the connection broke: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_server_costs_no_more_than_the_limit() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let limits = Limits { connect: Duration::from_secs(9), all: Duration::from_secs(1) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(exchange(listener.local_addr().unwrap(), b"x", limits));
        assert_eq!(answer.unwrap_err(), "no answer over TCP within 1 s");
    }

    /// A server that gives so many answers on each connection and closes it then: the answer is the number of the connection.
    fn server(answers: usize) -> SocketAddr {
        use std::io::{Read, Write};
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                for _ in 0..answers {
                    if stream.read_exact(&mut [0; 3]).is_err() || stream.write_all(&[0, 1, number as u8]).is_err() {
                        break;
                    }
                }
            }
        });
        address
    }

    #[test]
    fn a_connection_serves_for_the_next_message() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (answers, numbers) in [(9, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (1, [0, 1, 2, 3])] {
            let (server, connections) = (server(answers), Connections::default());
            let ask = |_| runtime.block_on(connections.exchange(server, b"x", UPDATE)).unwrap()[0];
            assert_eq!([(); 4].map(ask), numbers, "{answers} answers on each connection");
        }
    }

    #[test]
    fn an_idle_connection_serves_for_nothing_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (server, connections) = (server(2), Connections::default());
        let ask = || runtime.block_on(connections.exchange(server, b"x", UPDATE)).unwrap()[0];
        assert_eq!(ask(), 0);
        let age = |(_, since): &mut (net::TcpStream, Instant)| *since -= IDLE;
        connections.0.lock().unwrap().values_mut().for_each(age);
        assert_eq!(ask(), 1);
    }
}
