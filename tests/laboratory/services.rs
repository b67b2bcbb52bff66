//! What presents the certificates of a host.

use crate::{
    host::{Host, Lineage},
    look::{Before, Kind, look},
    namespace::must,
    watch::Endpoint,
};
use std::{fs, process::Command};

impl Host<'_> {
    /// Starts Postfix; it reads `dane` or `le/live`.
    pub fn start_postfix(&self, from: &str) {
        let chain = |lineage: &Lineage| {
            let dir = self.text(&format!("{from}/{}", lineage.name));
            format!("{dir}/privkey.pem, {dir}/fullchain.pem")
        };
        let chains: Vec<String> = self.lineages.iter().map(chain).collect();
        self.network
            .start_postfix(&self.home(), &self.place.name(), &self.place.address(), &chains.join(", "))
            .unwrap();
        self.until("Postfix", || {
            let endpoint = &self.endpoints()[0];
            look(endpoint.address, &endpoint.host, Before::Smtp, Kind::Any).is_ok()
        });
    }

    pub fn reload_postfix(&self) {
        must(Command::new("postfix").args(["-c", &self.text("etc"), "reload"])).unwrap();
    }

    /// Starts dovecot at 993 and nginx at 443.
    pub fn start_others(&self) {
        let home = self.text("");
        let home = home.trim_end_matches('/');
        for (name, text) in [
            ("dovecot.conf", include_str!("../system/etc/laboratory/dovecot.conf")),
            ("nginx.conf", include_str!("../system/etc/laboratory/nginx.conf")),
        ] {
            let text = text.replace("@HOME@", home).replace("@ADDRESS@", &self.place.address());
            fs::write(self.path(name), text.replace("@HOST@", &self.place.name())).unwrap();
        }
        let serve = |argv: &[&str]| self.network.namespace().serve(&format!("{}-{}", argv[0], self.home()), argv, &[]);
        serve(&["dovecot", "-F", "-c", &format!("{home}/dovecot.conf")]).unwrap();
        serve(&["nginx", "-p", home, "-c", &format!("{home}/nginx.conf")]).unwrap();
        for Endpoint { host, address, before, kind } in self.endpoints() {
            self.until("dovecot and nginx", || look(address, &host, before, kind).is_ok());
        }
    }
}
