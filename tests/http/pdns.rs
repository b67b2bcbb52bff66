//! PowerDNS's authoritative server on loopback, with a zone in SQLite.

use crate::lab::skip;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub const KEY: &str = "s3same-open-powerdns-key";
const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/// The server; it ends with this value.
pub struct Pdns {
    pub http: SocketAddr,
    pub dns: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl Pdns {
    /// A server with the zone example.test; `None` where it is not installed, which is noted.
    pub fn start() -> Option<Pdns> {
        if !Path::new("/usr/sbin/pdns_server").exists() || !Path::new(SCHEMA).exists() {
            skip("PowerDNS: pdns_server or its SQLite backend is missing");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let schema = fs::File::open(SCHEMA).unwrap();
        let made = Command::new("sqlite3").arg(dir.path().join("db")).stdin(schema).status().unwrap();
        assert!(made.success());
        // A port that is free now may be taken a moment later by another test.
        let pdns = (0..5).find_map(|_| Pdns::launch(&dir)).unwrap_or_else(|| panic!("PowerDNS does not start"));
        let (http, dns, child) = pdns;
        let pdns = Pdns { http, dns, dir, child };
        let zone = r#"{"name":"example.test.","kind":"Native","nameservers":["ns1.example.test."]}"#;
        assert_eq!(pdns.api("POST", "/zones", zone).0, 201);
        Some(pdns)
    }

    fn launch(dir: &TempDir) -> Option<(SocketAddr, SocketAddr, Child)> {
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dns = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (path, http_port, dns_port) = (dir.path().display(), http.port(), dns.port());
        let text = format!(
            "launch=gsqlite3\ngsqlite3-database={path}/db\nlocal-address=127.0.0.1\nlocal-port={dns_port}\napi=yes\napi-key={KEY}\n\
             webserver=yes\nwebserver-address=127.0.0.1\nwebserver-port={http_port}\nwebserver-allow-from=127.0.0.0/8\n\
             socket-dir={path}\nzone-cache-refresh-interval=0\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n\
             guardian=no\ndaemon=no\ndisable-syslog=yes\n"
        );
        fs::write(dir.path().join("pdns.conf"), text).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        // It ends with the thread that started it, whatever becomes of the test.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "/usr/sbin/pdns_server"])
            .arg(format!("--config-dir={path}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut child = command.process_group(0).spawn().unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) && child.try_wait().unwrap().is_none() {
            if TcpStream::connect(http).is_ok() && TcpStream::connect(dns).is_ok() {
                return Some((http, dns, child));
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// One request to the interface; status and body.
    pub fn api(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = format!(
            "{method} /api/v1/servers/localhost{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
    }

    /// Replaces an RRset; the records are `[content, disabled]`.
    pub fn set(&self, owner: &str, ttl: u32, records: &[(&str, bool)]) {
        let records: Vec<_> = records
            .iter()
            .map(|(content, disabled)| serde_json::json!({ "content": content, "disabled": disabled }))
            .collect();
        let rrset = serde_json::json!({ "rrsets": [{
            "name": owner, "type": "TLSA", "ttl": ttl, "changetype": "REPLACE", "records": records,
            "comments": [{ "content": "do not touch", "account": "me" }],
        }] });
        let (status, body) = self.api("PATCH", "/zones/example.test.", &rrset.to_string());
        assert_eq!(status, 204, "{body}");
    }

    /// What is not there may be asked for again after a second.
    pub fn quick_denials(&self) {
        let soa = "ns1.example.test. hostmaster.example.test. 1 60 60 60 1";
        let rrset = serde_json::json!({ "rrsets": [{
            "name": "example.test.", "type": "SOA", "ttl": 1, "changetype": "REPLACE",
            "records": [{ "content": soa, "disabled": false }],
        }] });
        assert_eq!(self.api("PATCH", "/zones/example.test.", &rrset.to_string()).0, 204);
    }

    /// TTL, number of comments, and content and state of each record at an owner, in their order.
    pub fn at(&self, owner: &str) -> (u64, usize, Vec<(String, bool)>) {
        let (status, body) = self.api("GET", "/zones/example.test.", "");
        assert_eq!(status, 200, "{body}");
        let zone: serde_json::Value = serde_json::from_str(&body).unwrap();
        let rrsets = zone["rrsets"].as_array().unwrap();
        let Some(rrset) = rrsets.iter().find(|rrset| rrset["type"] == "TLSA" && rrset["name"] == owner) else {
            return (0, 0, Vec::new());
        };
        let record = |record: &serde_json::Value| {
            (record["content"].as_str().unwrap().to_owned(), record["disabled"].as_bool().unwrap())
        };
        let mut records: Vec<_> = rrset["records"].as_array().unwrap().iter().map(record).collect();
        records.sort();
        (rrset["ttl"].as_u64().unwrap(), rrset["comments"].as_array().unwrap().len(), records)
    }
}

impl Drop for Pdns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
