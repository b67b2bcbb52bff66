//! The configuration for somebody who may not read its secrets: looking needs none of them.

use crate::{
    cli::Arguments,
    config::{self, Loaded, Lookups, System, Unreadable},
    env::{Env, Kind, Stat, User},
};
use std::{
    io::{self, ErrorKind::PermissionDenied},
    path::Path,
};

/// Passes for every file with a key in it: BIND's statement, and certbot's credentials in its comment.
const PLACEHOLDER: &str = "key \"unread\" { algorithm hmac-sha256; secret \"AAAA\"; };\n/*\n\
                           dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = unread\n\
                           dns_rfc2136_algorithm = HMAC-SHA256\ndns_rfc2136_secret = AAAA\n*/\n";

/// Reads the configuration again if it had errors, with placeholders for secrets that this user may not read.
pub fn load(env: &dyn Env, arguments: &Arguments, loaded: &Result<Loaded, Unreadable>) -> Result<Loaded, Unreadable> {
    match loaded {
        Ok(loaded) if !loaded.errors.is_empty() => {
            let lookups = Lenient { system: System(env), config: &arguments.config };
            config::load_from(&lookups, &arguments.config, &arguments.overrides)
        }
        other => other.clone(),
    }
}

struct Lenient<'a> {
    system: System<'a>,
    config: &'a Path,
}

impl Lookups for Lenient<'_> {
    fn user(&self, name: &str) -> Result<Option<User>, String> {
        self.system.user(name)
    }

    fn group(&self, name: &str) -> Result<Option<(String, u32)>, String> {
        self.system.group(name)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        match self.system.stat(path) {
            Err(error) if error.kind() == PermissionDenied && path != self.config => Ok(Stat {
                kind: Kind::File,
                device: 0,
                inode: 0,
                size: 0,
                mode: 0o600,
                uid: 0,
                gid: 0,
                changed: None,
                print: None,
            }),
            stat => stat,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.system.read(path) {
            Err(error) if error.kind() == PermissionDenied && path != self.config => Ok(PLACEHOLDER.into()),
            bytes => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Overrides, env::sim::World};
    use nix::errno::Errno;

    #[test]
    fn secrets_that_cannot_be_read_are_not_needed() {
        let world = World::new();
        let text = "[a]\ntlsa = 311 25 a.example\napi = rfc2136 ns1.example key:/secret\n\
                    [b]\ntlsa = 311 25 b.example\napi = rfc2136 /secret\n\
                    [c]\ntlsa = 311 25 c.example\napi = rfc2136 ns1.example key:/gone\n";
        world.change(|state| {
            state.disk.create(Path::new("/conf"), text.as_bytes(), 0o644).unwrap();
            state.disk.create(Path::new("/secret"), b"", 0o600).unwrap();
        });
        world.fail_paths("/secret", Errno::EACCES);
        let load = |world: &World| {
            let lookups = Lenient { system: System(world), config: Path::new("/conf") };
            config::load_from(&lookups, Path::new("/conf"), &Overrides::default()).unwrap()
        };
        let loaded = world.survive(load).unwrap();
        let sound: Vec<&str> = loaded.config.sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(sound, ["a", "b"], "{:?}", loaded.errors);
    }
}
