//! An HTTP server in this process, one request a connection, that does what a test tells it to.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// As in the request line.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// Name and value of what follows the question mark, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        let url = url::Url::parse(&format!("http://x{}", self.target)).unwrap();
        url.query_pairs().into_owned().collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What goes back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub manner: Manner,
}

/// How it goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Manner {
    #[default]
    Whole,
    /// The connection is closed instead.
    Closed,
    /// Half of the body, then the connection is closed.
    Half,
    /// Nothing, for longer than anybody waits.
    Silence,
    /// A byte now and then.
    Drip,
    /// More than anybody takes.
    Flood,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, body: body.into(), ..Reply::default() }
    }

    pub fn in_manner(manner: Manner) -> Reply {
        Reply { manner, ..Reply::new(200, "{}") }
    }
}

/// Answers until the test ends.
pub fn serve(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = handler.clone();
            thread::spawn(move || drop(answer(stream, handler.as_ref())));
        }
    });
    address
}

/// A server that takes down what it is sent, and always answers so.
pub fn recorder(reply: Reply) -> (SocketAddr, Arc<Mutex<Vec<Request>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let taken = seen.clone();
    let address = serve(move |request| {
        taken.lock().unwrap().push(request.clone());
        reply.clone()
    });
    (address, seen)
}

fn answer(mut stream: TcpStream, handler: &dyn Fn(&Request) -> Reply) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = read(&mut stream)?;
    let reply = handler(&request);
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", reply.status);
    reply.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let length = if reply.manner == Manner::Flood { 1 << 40 } else { reply.body.len() };
    head += &format!("Content-Length: {length}\r\n\r\n");
    match reply.manner {
        Manner::Closed => Ok(()),
        Manner::Silence => {
            thread::sleep(Duration::from_secs(30));
            Ok(())
        }
        Manner::Whole => stream.write_all(&[head.as_bytes(), &reply.body].concat()),
        Manner::Half => stream.write_all(&[head.as_bytes(), &reply.body[..reply.body.len() / 2]].concat()),
        Manner::Drip => [head.as_bytes(), &reply.body].concat().iter().try_for_each(|byte| {
            thread::sleep(Duration::from_millis(300));
            stream.write_all(&[*byte])
        }),
        Manner::Flood => {
            stream.write_all(head.as_bytes())?;
            (0..100_000).try_for_each(|_| stream.write_all(&[b' '; 1 << 16]))
        }
    }
}

fn read(stream: &mut TcpStream) -> io::Result<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    let have = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[have..])?;
    Ok(Request { method, target, headers, body })
}
