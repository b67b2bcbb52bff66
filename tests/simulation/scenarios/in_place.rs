//! Clients that overwrite their files: lego, acme.sh, dehydrated, and PEM files of anybody. The simulated certbot is the authority;
//! what it has is written over what the client had, in the client's own way.

use super::{MX, serves, settle};
use crate::{
    certs::Renewal,
    lab::{DANE, HOUR, LETSENCRYPT, Lab, Setup},
};
use daneroll::env::Files;
use std::path::{Path, PathBuf};

/// What a client writes, in its order: path and bytes.
type Files4 = Vec<(PathBuf, Vec<u8>)>;

/// The way of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Key, leaf and chain in one file, in this order of the letters.
    One(&'static str),
    /// Three files, in this order.
    Apart(&'static str),
    Lego,
    AcmeSh,
    Dehydrated,
}

const WAYS: [Way; 7] =
    [Way::One("kfc"), Way::One("cfk"), Way::Apart("fck"), Way::Apart("kcf"), Way::Lego, Way::AcmeSh, Way::Dehydrated];

impl Way {
    fn source(self) -> &'static str {
        match self {
            Way::One(_) => "source = pem /etc/ssl/mx.pem",
            Way::Apart(_) => "source = pem /etc/ssl/f.pem /etc/ssl/c.pem /etc/ssl/k.pem",
            Way::Lego => "source = lego /etc/ssl",
            Way::AcmeSh => "source = acme.sh /etc/ssl",
            Way::Dehydrated => "source = dehydrated /etc/ssl",
        }
    }

    /// What it writes for this archive number.
    fn files(self, lab: &Lab, number: usize) -> Files4 {
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
    fn write(self, lab: &Lab, number: usize) {
        self.files(lab, number).iter().for_each(|(path, bytes)| overwrite(lab, path, bytes));
    }

    fn setup(self) -> Setup {
        Lab::with(MX, "311 25").line(self.source())
    }

    /// A laboratory whose first certificate is served, its record known to every cache.
    fn ready(self) -> Lab {
        let lab = self.setup().global("ttl = 3600").start();
        self.write(&lab, 1);
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        lab.cron(3 * HOUR, 9 * HOUR);
        lab.assert_settled(MX);
        lab
    }

    /// The client has the next certificate, and begins to write it.
    fn order(lab: &Lab) -> usize {
        lab.certbot.renew(MX, Renewal::default());
        lab.certbot.number(MX)
    }
}

fn overwrite(lab: &Lab, path: &Path, bytes: &[u8]) {
    let above = path.parent().unwrap();
    lab.world.as_world(|world| world.make_dir(above, 0o700)).unwrap();
    lab.world.change(|state| state.disk.overwrite(path, bytes, 0o600)).unwrap();
}

/// First use, renewal, renewal during a rollover, with every client, and no hook at all.
#[test]
fn renewals_without_hooks() {
    for way in WAYS {
        let lab = way.ready();
        assert_eq!(serves(&lab), [1], "{way:?}");
        for _ in 0..2 {
            let number = Way::order(&lab);
            way.write(&lab, number);
            lab.cron(HOUR, HOUR);
            lab.assert_told(&["waiting to switch"]);
        }
        settle(&lab, MX);
        assert_eq!(serves(&lab), [3], "{way:?}");
        // What services read is a copy that nobody but root can read, and the only one.
        let served = Path::new(DANE).join(MX).join("privkey.pem");
        let real = lab.world.real_path(&served).unwrap();
        assert!(real.starts_with(Path::new(DANE).join(".store").join(MX)), "{real:?}");
        assert_eq!(lab.world.stat(&served, true).unwrap().mode, 0o600);
        assert_eq!(lab.world.list(&Path::new(DANE).join(".store").join(MX)).unwrap().len(), 1, "{way:?}");
    }
}
