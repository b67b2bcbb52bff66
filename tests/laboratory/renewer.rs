//! What renews the certificates of a host.

use crate::{
    host::{Host, Lineage},
    look::Kind,
    namespace::must,
    network::ACME,
    program::Daneroll,
};
use std::{fs, path::PathBuf, process::Command};

/// Who renews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewer {
    Certbot,
    /// Its files are overwritten in place.
    Lego,
}

impl Host<'_> {
    /// The first certificates.
    pub fn issue(&self, options: &[&str]) {
        if self.renewer == Renewer::Lego {
            self.lego(&["run"]);
            return self.tell("certificate issued");
        }
        for lineage in &self.lineages {
            let (name, address) = (self.place.name(), self.place.address());
            let mut args: Vec<&str> = "certonly --standalone --http-01-port 5002 --agree-tos".split(' ').collect();
            args.extend(["--register-unsafely-without-email", "--http-01-address", &address]);
            args.extend(["--server", ACME[0], "-d", &name, "--cert-name", &lineage.name, "--key-type"]);
            args.push(if lineage.kind == Kind::Rsa { "rsa" } else { "ecdsa" });
            self.certbot(&[&args, options].concat());
        }
        self.tell("certificate issued");
    }

    /// lego with these words after its options.
    pub fn lego(&self, words: &[&str]) {
        let name = self.place.name();
        let (path, at) = (self.text("lego"), format!("{}:5002", self.place.address()));
        let mut command = Command::new("lego");
        command.args(["--accept-tos", "--email", "hostmaster@example.test", "--server", ACME[0], "--path", &path]);
        command.args(["--domains", &name, "--http", "--http.port", &at]).args(words);
        command.env("LEGO_CA_CERTIFICATES", self.network.path("pebble.crt"));
        must(&mut command).unwrap_or_else(|error| panic!("{error}\npebble:\n{}", self.network.tail("pebble")));
    }

    pub fn certbot(&self, args: &[&str]) -> String {
        let said = self.network.certbot(&format!("{}/le", self.home()), args);
        said.unwrap_or_else(|error| panic!("{error}\npebble:\n{}", self.network.tail("pebble")))
    }

    /// Renews every lineage with certbot, daneroll being its pre and post hook.
    pub fn renew(&self, options: &[&str]) {
        let said = self.renew_whatever(options);
        // certbot only reports a hook that fails and goes on.
        assert!(!said.contains("error code"), "a hook failed:\n{said}\n{}", self.tail("daneroll.log"));
    }

    /// The same, and hooks may fail.
    pub fn renew_whatever(&self, options: &[&str]) -> String {
        let (pre, post) = (self.hook("--pre"), self.hook("--post"));
        self.renew_without_hooks(&[&["--pre-hook", &pre, "--post-hook", &post], options].concat())
    }

    /// What a client is to call.
    pub fn hook(&self, word: &str) -> String {
        format!("{} -c {} {word}", Daneroll::program(), self.text("daneroll.conf"))
    }

    pub fn renew_without_hooks(&self, options: &[&str]) -> String {
        let said = self.certbot(&[&["renew", "--force-renewal", "--no-random-sleep-on-renew"], options].concat());
        self.tell("renewed");
        said
    }

    /// What the client has left last: `cert`, `chain`, `fullchain` or `privkey`.
    pub fn live(&self, lineage: &Lineage, file: &str) -> PathBuf {
        let certbot = format!("le/live/{}/{file}.pem", lineage.name);
        match (self.renewer, file) {
            (Renewer::Certbot, _) => self.path(&certbot),
            (Renewer::Lego, "fullchain") => self.path(&format!("lego/certificates/{}.crt", lineage.name)),
            (Renewer::Lego, "privkey") => self.path(&format!("lego/certificates/{}.key", lineage.name)),
            (Renewer::Lego, _) => panic!("lego has no {file}"),
        }
    }

    /// Does the dane directory show what the client has left last?
    pub fn is_current(&self, lineage: &Lineage) -> bool {
        let files: &[&str] = match self.renewer {
            Renewer::Certbot => &["cert", "chain", "fullchain", "privkey"],
            Renewer::Lego => &["fullchain", "privkey"],
        };
        files.iter().all(|file| {
            let shown = fs::read(self.path(&format!("dane/{}/{file}.pem", lineage.name)));
            shown.is_ok_and(|shown| fs::read(self.live(lineage, file)).is_ok_and(|live| live == shown))
        })
    }

    /// A file of certbot's archive.
    fn archived(&self, lineage: &str, file: &str, number: usize) -> PathBuf {
        self.path(&format!("le/archive/{lineage}/{file}{number}.pem"))
    }

    /// The newest number of a lineage.
    pub fn newest(&self, lineage: &str) -> usize {
        let names = fs::read_dir(self.path(&format!("le/archive/{lineage}"))).unwrap();
        let number = |name: String| name.strip_prefix("cert")?.strip_suffix(".pem")?.parse().ok();
        names.flatten().filter_map(|entry| number(entry.file_name().into_string().ok()?)).max().unwrap()
    }

    /// Which number of the lineage the dane directory shows, if all four files are of the same.
    pub fn served(&self, lineage: &str) -> Option<usize> {
        let is = |&number: &usize| {
            ["cert", "chain", "fullchain", "privkey"].iter().all(|file| {
                let shown = fs::read(self.path(&format!("dane/{lineage}/{file}.pem")));
                shown.is_ok_and(|shown| fs::read(self.archived(lineage, file, number)).is_ok_and(|kept| kept == shown))
            })
        };
        (1..=self.newest(lineage)).rev().find(is)
    }
}
