//! The system's recursive resolvers. Only `nameserver` lines count: an option that we do not know must not cost us the rest.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    path::Path,
};

/// The resolvers that `path` (resolv.conf) names, port 53.
pub(super) fn read(path: &Path) -> Result<Vec<SocketAddr>, String> {
    let cure = "write `resolver = ADDRESS` in the configuration";
    let bytes = fs_err::read(path).map_err(|error| format!("the system's resolvers are not known: {error}; {cure}"))?;
    let found = nameservers(&bytes);
    if found.is_empty() {
        return Err(format!("`{}` has no `nameserver` line with an address; {cure}", path.display()));
    }
    Ok(found)
}

/// The name servers in the text of a resolv.conf, port 53.
pub fn nameservers(text: &[u8]) -> Vec<SocketAddr> {
    String::from_utf8_lossy(text).lines().filter_map(nameserver).collect()
}

fn nameserver(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("nameserver") {
        return None;
    }
    let word = words.next()?;
    match word.split_once('%') {
        None => word.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53)),
        Some((address, interface)) => {
            let address = address.parse::<Ipv6Addr>().ok()?;
            Some(SocketAddrV6::new(address, 53, 0, scope(interface)?).into())
        }
    }
}

/// The number of a network interface given by number or name.
fn scope(interface: &str) -> Option<u32> {
    let index = || fs_err::read_to_string(format!("/sys/class/net/{interface}/ifindex")).ok()?.trim().parse().ok();
    interface.parse().ok().or_else(|| if interface.contains('/') { None } else { index() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, expected) in [
            ("nameserver 192.0.2.1", Some("192.0.2.1:53")),
            ("nameserver\t2001:db8::1  # home", Some("[2001:db8::1]:53")),
            ("nameserver fe80::1%7", Some("[fe80::1%7]:53")),
            ("nameserver fe80::1%lo", Some("[fe80::1%1]:53")),
            ("nameserver fe80::1%../x", None),
            ("nameserver", None),
            ("nameserver example.com", None),
            ("# nameserver 192.0.2.1", None),
            ("nameservers 192.0.2.1", None),
            ("options edns0 trust-ad", None),
        ] {
            assert_eq!(nameserver(line).map(|found| found.to_string()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        assert!(read(&path).unwrap_err().contains("resolv.conf"));
        std::fs::write(&path, "options \u{0}\nsearch example\n").unwrap();
        assert!(read(&path).unwrap_err().contains("no `nameserver` line"));
        std::fs::write(&path, b"nameserver 192.0.2.1\n\xff\xfe\nnameserver 192.0.2.2\n").unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
    }
}
