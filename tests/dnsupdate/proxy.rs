//! A way to a server on which answers to updates get lost or take their time.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

/// UDP and TCP at the same port, for as long as the test runs.
pub struct Proxy {
    pub address: SocketAddr,
}

impl Proxy {
    /// Of the answers over TCP the first `lost` do not come back, and each takes so much longer.
    pub fn start(server: SocketAddr, lost: usize, delay: Duration) -> Proxy {
        let (listener, socket) = super::servers::sockets();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = ask(server, &buffer[..length]).and_then(|answer| socket.send_to(&answer, from));
            }
        });
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let _ = stream.and_then(|stream| hand_on(stream, server, number < lost, delay));
            }
        });
        Proxy { address }
    }
}

fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    socket.send_to(question, server)?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

fn hand_on(mut client: TcpStream, server: SocketAddr, loses: bool, delay: Duration) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.write_all(&message(&mut client)?)?;
    let answer = message(&mut server)?;
    thread::sleep(delay);
    if loses { Ok(()) } else { client.write_all(&answer) }
}

/// One message with its length before it.
fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 2];
    stream.read_exact(&mut message)?;
    let length = usize::from(u16::from_be_bytes([message[0], message[1]]));
    message.resize(2 + length, 0);
    stream.read_exact(&mut message[2..])?;
    Ok(message)
}
