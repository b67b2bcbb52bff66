//! What this host calls itself when it says EHLO.

use std::net::{IpAddr, SocketAddr};

/// The fully qualified name, if it has one. Strict servers turn down others.
pub(super) fn qualified() -> Option<String> {
    let name = fs_err::read_to_string("/proc/sys/kernel/hostname").ok()?;
    find(name.trim(), &fs_err::read_to_string("/etc/hosts").unwrap_or_default())
}

/// The address of our side of a connection in place of a name (RFC 5321 section 4.1.3).
pub(super) fn literal(local: SocketAddr) -> String {
    match local.ip().to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// The host's own name, or what comes first in the line of the hosts file that has it, as `hostname -f` does.
fn find(host: &str, hosts: &str) -> Option<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    let canonical = names.filter(|names| names.contains(&host)).filter_map(|names| names.first().copied());
    std::iter::once(host).chain(canonical).find(|name| is_qualified(name)).map(str::to_ascii_lowercase)
}

fn is_qualified(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_fine)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<&str> = name.split('.').collect();
    let is_local = labels.first() == Some(&"localhost") || labels.last() == Some(&"localdomain");
    labels.len() > 1 && name.len() <= 253 && labels.into_iter().all(is_label) && !is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tmx.Example.com mx # us\n::1 localhost.localdomain bare\n#1.2.3.4 x.example y";
        for (host, name) in [
            ("mx", Some("mx.example.com")),
            ("Mail.example.net", Some("mail.example.net")),
            ("bare", None),
            ("y", None),
            ("other", None),
            ("localhost.example", None),
            ("under_score.example", None),
            ("two..dots", None),
        ] {
            assert_eq!(find(host, hosts).as_deref(), name, "{host}");
        }
    }

    #[test]
    fn literals() {
        for (address, text) in [
            ("192.0.2.1:5", "[192.0.2.1]"),
            ("[2001:db8::1]:5", "[IPv6:2001:db8::1]"),
            ("[::ffff:192.0.2.1]:5", "[192.0.2.1]"),
        ] {
            assert_eq!(literal(address.parse().unwrap()), text);
        }
    }
}
