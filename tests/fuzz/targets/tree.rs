//! Whatever lies in certbot's directories, and in ours.

use super::{
    assert_plain,
    world::{self, CONFIG, DANE, LETSENCRYPT, LINEAGE, call},
};
use daneroll::{
    env::sim::disk::Disk,
    lineage::{certbot::read_set, layout::SERVED},
};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A line each: `d PATH` makes a directory, `f PATH NAME` a file with the content of such a name in the archive, `l PATH TARGET` a
/// link, `r PATH` removes; `s NAME` is a section. Paths begin in `/etc/letsencrypt`, `D/…` in the dane directory.
pub fn tree(data: &[u8]) {
    let world = world::small();
    let mut sections = String::new();
    world.change(|state| {
        for line in data.split(|byte| *byte == b'\n').take(48) {
            let mut words = line.split(|byte| *byte == b' ');
            let kind = words.next().unwrap_or_default();
            let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match kind {
                b"s" => sections += &format!("[{}]\ntlsa = 311 25 mx.example.com\n", String::from_utf8_lossy(first)),
                // Where the dane directory is, is the operator's business.
                kind if place(first) != Path::new(DANE) => drop(enter(&mut state.disk, kind, &place(first), second)),
                _ => {}
            }
        }
        let config = state.disk.read(Path::new(CONFIG)).unwrap();
        let config = [&config[..], sections.as_bytes()].concat();
        state.disk.overwrite(Path::new(CONFIG), &config, 0o600).unwrap();
    });
    let before = world::outside(&world);
    let dane = Path::new(DANE).join(LINEAGE).join(SERVED);
    for args in [&["--reset"][..], &["--pre"], &[], &["--post"], &["print"], &["status", "--json"]] {
        let had = read_set(&world, &dane).ok();
        assert_plain(&call(&world, args));
        assert!(world::outside(&world) == before, "{args:?} changed something that is not ours");
        assert!(
            had.is_none() || args == ["--reset"] || read_set(&world, &dane).is_ok(),
            "{args:?} broke what is served"
        );
    }
}

fn place(path: &[u8]) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(path));
    let path = match path.strip_prefix("D") {
        Ok(rest) => Path::new(DANE).join(rest),
        Err(_) => Path::new(LETSENCRYPT).join(path.strip_prefix("/").unwrap_or(path)),
    };
    // What is there before anything was done, but no way out of it.
    path.components().filter(|part| part.as_os_str() != "..").collect()
}

fn enter(disk: &mut Disk, kind: &[u8], path: &Path, word: &[u8]) -> Option<()> {
    let word = OsStr::from_bytes(word);
    world::parents(disk, path);
    match kind {
        b"d" => disk.make_dir(path, 0o755).ok(),
        b"f" => {
            let content = word.to_str().and_then(world::content).unwrap_or_else(|| word.as_bytes().to_vec());
            disk.overwrite(path, &content, 0o600).ok()
        }
        b"l" => disk.symlink(path, Path::new(word)).ok(),
        b"r" => disk.remove(path).or_else(|_| disk.remove_dir(path)).ok(),
        _ => None,
    }
}
