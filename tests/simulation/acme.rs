//! ACME clients that overwrite their files: lego, acme.sh, dehydrated, and PEM files of anybody. The simulated certbot is the
//! authority; what it has is written over what the client had, in the client's own way.

use crate::lab::{LETSENCRYPT, Lab};
use daneroll::env::{Files, sim::World};
use std::path::{Path, PathBuf};

/// The lineage that they have.
const MX: &str = "mx.example.com";

/// What a client writes, in its order: path and bytes.
pub type Written = Vec<(PathBuf, Vec<u8>)>;

/// The way of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Key, leaf and chain in one file, in this order of the letters.
    One(&'static str),
    /// Three files, in this order.
    Apart(&'static str),
    Lego,
    AcmeSh,
    Dehydrated,
}

impl Way {
    pub fn source(self) -> &'static str {
        match self {
            Way::One(_) => "source = pem /etc/ssl/mx.pem",
            Way::Apart(_) => "source = pem /etc/ssl/f.pem /etc/ssl/c.pem /etc/ssl/k.pem",
            Way::Lego => "source = lego /etc/ssl",
            Way::AcmeSh => "source = acme.sh /etc/ssl",
            Way::Dehydrated => "source = dehydrated /etc/ssl",
        }
    }

    /// What it writes for this archive number.
    pub fn files(self, lab: &Lab, number: usize) -> Written {
        let part = |kind: &str| {
            let path = format!("{LETSENCRYPT}/archive/{MX}/{kind}{number}.pem");
            lab.world.look(|state| state.disk.read(Path::new(&path))).unwrap().to_vec()
        };
        let letter = |letter: char| match letter {
            'k' => part("privkey"),
            'f' => part("cert"),
            _ => part("chain"),
        };
        let files = |named: &[(&str, &str)]| {
            named.iter().map(|(name, kind)| (Path::new("/etc/ssl").join(name), part(kind))).collect()
        };
        match self {
            Way::One(order) => vec![("/etc/ssl/mx.pem".into(), order.chars().flat_map(letter).collect())],
            Way::Apart(order) => order.chars().map(|l| (format!("/etc/ssl/{l}.pem").into(), letter(l))).collect(),
            Way::Lego => files(&[
                ("certificates/mx.example.com.crt", "fullchain"),
                ("certificates/mx.example.com.issuer.crt", "chain"),
                ("certificates/mx.example.com.key", "privkey"),
            ]),
            Way::AcmeSh => files(&[
                ("mx.example.com_ecc/mx.example.com.key", "privkey"),
                ("mx.example.com_ecc/mx.example.com.cer", "cert"),
                ("mx.example.com_ecc/ca.cer", "chain"),
                ("mx.example.com_ecc/fullchain.cer", "fullchain"),
            ]),
            Way::Dehydrated => files(&[
                ("mx.example.com/privkey.pem", "privkey"),
                ("mx.example.com/cert.pem", "cert"),
                ("mx.example.com/chain.pem", "chain"),
                ("mx.example.com/fullchain.pem", "fullchain"),
            ]),
        }
    }

    /// Writes all of it at once.
    pub fn write(self, lab: &Lab, number: usize) {
        self.files(lab, number).iter().for_each(|(path, bytes)| overwrite(&lab.world, path, bytes));
    }
}

/// How far a client has come with what it writes, when somebody looks.
#[derive(Clone, Copy, Debug)]
pub struct SoFar {
    /// Of all bytes.
    pub eighths: usize,
    /// And on to the end of the certificate or key in which that is.
    pub whole: bool,
}

/// What of this is written by then; files that are not begun yet are left as they were.
pub fn begun(files: &Written, so_far: SoFar) -> Written {
    const END: &[u8] = b"-----END";
    let mut left = files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() * so_far.eighths / 8;
    let mut written = Written::new();
    for (path, bytes) in files {
        if left == 0 {
            break;
        }
        let at = left.min(bytes.len());
        let block = bytes[at..].windows(END.len()).position(|window| window == END).map(|end| at + end);
        let line = |from: usize| bytes[from..].iter().position(|byte| *byte == b'\n').map(|end| from + end + 1);
        let end = if so_far.whole { block.and_then(line).unwrap_or(bytes.len()) } else { at };
        written.push((path.clone(), bytes[..end].to_vec()));
        left = left.saturating_sub(bytes.len());
    }
    written
}

/// Truncates a file and writes it anew.
pub fn overwrite(world: &World, path: &Path, bytes: &[u8]) {
    world.as_world(|world| world.make_dir(path.parent().unwrap(), 0o700)).unwrap();
    world.change(|state| state.disk.overwrite(path, bytes, 0o600)).unwrap();
}
