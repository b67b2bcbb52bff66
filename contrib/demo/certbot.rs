//! A certificate authority, and certbot's tree: `live/` with relative links into `archive/`, one number per renewal.

use crate::{Fallible, keys::KeyId};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);
const FILES: [&str; 4] = ["cert", "chain", "fullchain", "privkey"];

/// certbot and its CA, as far as a renewal needs them.
pub struct Certbot {
    ca: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
    lineage: &'static str,
    issued: u32,
}

impl Certbot {
    /// An empty tree in `directory`, for one lineage named as the host.
    pub fn new(directory: PathBuf, lineage: &'static str) -> Fallible<Certbot> {
        for folder in ["live", "archive"] {
            fs::create_dir_all(directory.join(folder).join(lineage))?;
            fs::set_permissions(directory.join(folder), fs::Permissions::from_mode(0o700))?;
        }
        fs::write(directory.join("live/README"), "Each directory holds links to the newest certificate.\n")?;
        Ok(Certbot { ca: authority()?, directory, lineage, issued: 0 })
    }

    /// Where `cert.pem`, `chain.pem`, `fullchain.pem`, `privkey.pem` are.
    pub fn live(&self) -> PathBuf {
        self.directory.join("live").join(self.lineage)
    }

    /// Issues a certificate with a new key, puts it into the archive under the next number, and moves the links to it.
    pub fn renew(&mut self) -> Fallible<KeyId> {
        let key = KeyPair::generate()?;
        let certificate = leaf(self.lineage)?.signed_by(&key, &self.ca)?;
        let (leaf, chain) = (certificate.pem(), self.ca.pem());
        let contents = [leaf.clone(), chain.clone(), leaf + &chain, key.serialize_pem()];

        self.issued += 1;
        let archive = self.directory.join("archive").join(self.lineage);
        for (file, content) in FILES.iter().zip(contents) {
            let path = archive.join(format!("{file}{}.pem", self.issued));
            fs::write(&path, content)?;
            let mode = if *file == "privkey" { 0o600 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        for file in FILES {
            let target = format!("../../archive/{}/{file}{}.pem", self.lineage, self.issued);
            relink(&self.live().join(format!("{file}.pem")), &target)?;
        }
        KeyId::of_certificate(certificate.der())
    }
}

/// certbot removes a link and makes it anew; no rename.
fn relink(link: &Path, target: &str) -> Fallible<()> {
    if link.is_symlink() {
        fs::remove_file(link)?;
    }
    Ok(symlink(target, link)?)
}

fn authority() -> Fallible<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Throw-away CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 365 * DAY).into();
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(host: &str) -> Fallible<CertificateParams> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.not_before = SystemTime::now().into();
    params.not_after = (SystemTime::now() + 90 * DAY).into();
    Ok(params)
}
