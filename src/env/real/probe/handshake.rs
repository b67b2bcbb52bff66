//! A TLS handshake over any stream, and a polite end. (rustls does TLS, what is here carries its bytes.)

use super::{
    clock::{Clock, STEP},
    parting::Parting,
    talk::{GOODBYE, Stream, send},
    trouble::Trouble,
};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much of what a server sends first is kept for an error message.
const FIRST: usize = 100;
/// All that is read while we say goodbye.
const LAST: usize = 64 * 1024;

/// A TLS session that stands.
pub struct Session<S> {
    stream: S,
    tls: ClientConnection,
    /// The first bytes that arrived.
    first: Vec<u8>,
}

/// A handshake that takes no longer than one step.
pub async fn handshake<S: Stream>(
    stream: S,
    clock: &Clock,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Session<S>, Trouble> {
    let tls = ClientConnection::new(config, name).map_err(|error| Trouble::of(&error, &[]))?;
    let mut session = Session { stream, tls, first: Vec::new() };
    let step = clock.step(STEP);
    step.run(session.drive()).await.unwrap_or_else(|| Err(Trouble::late(&step)))?;
    Ok(session)
}

impl<S: Stream> Session<S> {
    /// The chain as it was sent, in DER, the leaf first.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        let chain = self.tls.peer_certificates().unwrap_or_default();
        chain.iter().map(|certificate| certificate.as_ref().to_vec()).collect()
    }

    /// Ends the session within a second, whatever the server does.
    pub async fn leave(mut self, parting: Parting) {
        let _ = tokio::time::timeout(GOODBYE, self.part(parting)).await;
    }

    async fn drive(&mut self) -> Result<(), Trouble> {
        loop {
            self.flush().await.map_err(|error| Trouble::broken(&error, &self.first))?;
            if !self.tls.is_handshaking() {
                return Ok(());
            }
            if self.receive().await? == 0 {
                return Err(Trouble::closed(&self.first));
            }
        }
    }

    async fn part(&mut self, parting: Parting) -> io::Result<()> {
        if parting.after_greeting {
            self.hear(|heard| heard.contains(&b'\n')).await?;
        }
        if !parting.words.is_empty() {
            self.tls.writer().write_all(parting.words)?;
            self.flush().await?;
            self.hear(|_| false).await?;
        }
        self.tls.send_close_notify();
        self.flush().await?;
        self.stream.shutdown().await?;
        // What is not read makes the kernel reset the connection instead of closing it.
        self.hear(|_| false).await
    }

    /// Reads until this is enough, the server closes, or it says far more than a goodbye.
    async fn hear(&mut self, enough: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let (mut heard, mut bytes) = (Vec::new(), 0);
        while bytes < LAST && !enough(&heard) {
            match self.receive().await {
                Ok(length @ 1..) => bytes += length,
                _ => break,
            }
            let mut plain = [0; 4096];
            while let Ok(length @ 1..) = self.tls.reader().read(&mut plain) {
                heard.extend_from_slice(&plain[..length]);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        send(&mut self.stream, &bytes).await
    }

    /// How many bytes came and were understood; 0 at the end.
    async fn receive(&mut self) -> Result<usize, Trouble> {
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes).await;
        let length = read.map_err(|error| Trouble::broken(&error, &self.first))?;
        let room = FIRST.saturating_sub(self.first.len());
        self.first.extend_from_slice(&bytes[..length.min(room)]);
        let mut rest = &bytes[..length];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).map_err(|error| Trouble::broken(&error, &self.first))?;
            if let Err(error) = self.tls.process_new_packets() {
                // The alert that explains it to the server.
                let _ = self.flush().await;
                return Err(Trouble::of(&error, &self.first));
            }
        }
        Ok(length)
    }
}
