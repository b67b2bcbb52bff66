//! One side of a dialogue before TLS, with bounds on time, on the length of a line and on all that is read.

use super::{
    clock::{Clock, STEP, Step},
    words::quote_bytes,
};
use std::{io, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a dialogue and a handshake run over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The longest line, in bytes.
pub(super) const LINE: usize = 4 * 1024;
/// All that is read before TLS, in bytes.
const ALL: usize = 64 * 1024;
/// For saying goodbye.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// A connection on which a server's replies are read, one by one.
pub struct Talk<S> {
    stream: S,
    clock: Clock,
    /// What has arrived and was not asked for yet.
    buffer: Vec<u8>,
    /// How much has arrived in all.
    arrived: usize,
    awaited: &'static str,
    step: Step,
    /// Did the server begin with what is awaited?
    begun: bool,
}

impl<S: Stream> Talk<S> {
    /// A dialogue that begins now.
    pub fn new(stream: S, clock: Clock) -> Talk<S> {
        let step = clock.step(STEP);
        Talk { stream, clock, buffer: Vec::new(), arrived: 0, awaited: "greeting", step, begun: false }
    }

    /// Sends a command, whose answer must be there within one step.
    pub(super) async fn say(&mut self, command: &[u8], awaited: &'static str) -> Result<(), String> {
        (self.awaited, self.step, self.begun) = (awaited, self.clock.step(STEP), !self.buffer.is_empty());
        let sent = self.step.run(send(&mut self.stream, command)).await;
        sent.ok_or_else(|| self.late())?.map_err(|error| self.broken(&error))
    }

    /// Says goodbye before TLS, gives the server a moment to do the same, and hands back the reason for it.
    pub(super) async fn leave(&mut self, goodbye: &[u8], reason: String) -> String {
        let leaving = async {
            send(&mut self.stream, goodbye).await?;
            self.stream.read(&mut [0; 512]).await
        };
        let _ = self.clock.step(GOODBYE).run(leaving).await;
        reason
    }

    /// One line without its end. Bytes that are not UTF-8 are replaced.
    pub(super) async fn line(&mut self) -> Result<String, String> {
        let mut searched = 0;
        loop {
            let end = self.buffer[searched..].iter().position(|&byte| byte == b'\n').map(|end| searched + end);
            if end.unwrap_or(self.buffer.len()) > LINE {
                return Err(format!("sends a line longer than {LINE} bytes: {}", quote_bytes(&self.buffer)));
            }
            if let Some(end) = end {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                return Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned());
            }
            searched = self.buffer.len();
            self.more().await?;
        }
    }

    /// So many bytes.
    pub(super) async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        if length > ALL {
            return Err(format!("announces {length} bytes, which is more than it should need before TLS"));
        }
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// One byte.
    pub(super) async fn byte(&mut self) -> Result<u8, String> {
        Ok(self.exactly(1).await?[0])
    }

    /// The connection, for TLS. Whatever a server sent between its go-ahead and our first TLS message would be taken for a
    /// part of what is protected (CVE-2011-0411 and its kin), so nothing may be left.
    pub(super) fn into_stream(self) -> Result<S, String> {
        match self.buffer.as_slice() {
            [] => Ok(self.stream),
            rest => Err(format!(
                "sends plain text after its go-ahead for TLS, as an injection would: {}",
                quote_bytes(rest)
            )),
        }
    }

    async fn more(&mut self) -> Result<(), String> {
        if self.arrived >= ALL {
            return Err(format!("sends more than {} KiB before TLS", ALL / 1024));
        }
        let mut bytes = [0; 2048];
        let read = self.step.run(self.stream.read(&mut bytes)).await;
        match read.ok_or_else(|| self.late())? {
            Ok(0) => Err(self.closed()),
            Ok(length) => {
                self.buffer.extend_from_slice(&bytes[..length]);
                self.arrived += length;
                self.begun = true;
                Ok(())
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn late(&self) -> String {
        let Talk { awaited, step, .. } = self;
        match self.begun {
            true => format!("its {awaited} was not complete {}", step.in_words()),
            false => format!("no {awaited} {}", step.in_words()),
        }
    }

    fn closed(&self) -> String {
        match self.begun {
            true => format!("closed the connection in the middle of its {}", self.awaited),
            false => format!("closed the connection before its {}", self.awaited),
        }
    }

    fn broken(&self, error: &io::Error) -> String {
        match is_end(error) {
            true => self.closed(),
            false => format!("the connection broke before its {}: {error}", self.awaited),
        }
    }
}

/// Has the other side closed, if not politely?
pub(super) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

pub(super) async fn send(stream: &mut impl Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
