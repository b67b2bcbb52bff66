//! One DNS message there and one back over TCP (RFC 7766).

use std::{future::Future, io, net::SocketAddr, time::Duration};
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

/// Sends `message` and returns the answer, both without the length prefix, which also bounds the answer to 64 KiB.
pub(super) async fn exchange(server: SocketAddr, message: &[u8], limits: Limits) -> Result<Vec<u8>, String> {
    let length = u16::try_from(message.len()).map_err(|_| "the message is longer than 64 KiB".to_owned())?;
    within(limits.all, "no answer over TCP", async {
        let mut stream = within(limits.connect, "no TCP connection", async {
            TcpStream::connect(server).await.map_err(|error| refused(&error))
        })
        .await?;
        let framed = [&length.to_be_bytes(), message].concat();
        stream.write_all(&framed).await.map_err(|error| refused(&error))?;
        receive(&mut stream).await.map_err(|error| broken(&error))
    })
    .await
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
}
