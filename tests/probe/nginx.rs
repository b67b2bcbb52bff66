//! nginx: reads its files at start and reload, and refuses a reload with files that do not fit.

use crate::{certs::Cert, lab::Lab, see};
use daneroll::probe::Protocol::Tls;

const CONF: &str = "\
user root;
daemon off;
pid @DIR@/pid;
error_log @DIR@/nginx.log;
worker_processes 2;
events {}
http {
  access_log off;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  ssl_certificate @DIR@/cert.pem;
  ssl_certificate_key @DIR@/key.pem;
  ssl_certificate @DIR@/alt-cert.pem;
  ssl_certificate_key @DIR@/alt-key.pem;
  server { listen 127.0.0.1:443 ssl; ssl_protocols TLSv1.2 TLSv1.3; }
  server { listen 127.0.0.1:1443 ssl; ssl_protocols TLSv1.2; }
  server { listen 127.0.0.1:2443 ssl; ssl_protocols TLSv1.3; }
  server { listen 127.0.0.1:3443 ssl; ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0; }
}
";

const RELOAD: &str = "nginx -p @DIR@ -c @DIR@/nginx.conf -s reload";

#[test]
fn two_certificates_old_and_new() {
    let Some(lab) = Lab::start("nginx", &["nginx"]) else { return };
    let (rsa, old, new) = (Cert::rsa(0), Cert::ecdsa(), Cert::ecdsa());
    lab.write("nginx.conf", CONF);
    put(&lab, "", &rsa);
    put(&lab, "alt-", &old);
    lab.serve("nginx-start", "nginx -p @DIR@ -c @DIR@/nginx.conf");
    lab.connect(443);
    for port in [443, 1443, 2443] {
        see::expect(&lab.see(Tls, port), &[&rsa, &old], &format!("{port} has two"));
    }
    let seen = lab.see(Tls, 3443);
    assert_eq!(seen.unknown.as_deref(), Some("speaks no TLS version that is still in use"));

    put(&lab, "alt-", &new);
    see::expect(&lab.see(Tls, 443), &[&rsa, &old], "changed files and no reload");
    lab.run(RELOAD);
    let seen = lab.see_until(Tls, 443, |seen| seen.chains.contains(&new.chain) && seen.chains.len() == 2);
    see::expect(&seen, &[&rsa, &new], "after a reload");

    put(&lab, "alt-", &old.with_key_of(&new));
    assert!(lab.try_to_run(RELOAD).is_err(), "files that do not fit");
    see::expect(&lab.see(Tls, 443), &[&rsa, &new], "after a reload that is refused");
}

fn put(lab: &Lab, prefix: &str, cert: &Cert) {
    lab.write(&format!("{prefix}cert.pem"), &cert.pem);
    lab.write(&format!("{prefix}key.pem"), &cert.key);
}
