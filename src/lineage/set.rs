//! One complete set out of the files that a client overwrites: key, leaf and chain are found by what they are, not by where they
//! stand, and whatever does not fit together is half of something.

use super::{
    CERT, CHAIN, FULLCHAIN, Generation, GenerationId, PRIVKEY,
    pem::{self, Names},
};
use crate::tlsa::{Certificate, Chain};
use rustls_pki_types::PrivateKeyDer;
use std::{collections::VecDeque, fmt, path::PathBuf};
use zeroize::Zeroizing;

/// A complete set that has no files of its own yet.
pub struct Set {
    /// What it is. It has no files.
    pub generation: Generation,
    key: Zeroizing<String>,
}

impl Set {
    /// The files that it becomes, the key last.
    pub fn contents(&self) -> [(&'static str, Zeroizing<Vec<u8>>); 4] {
        let (leaf, rest) = self.generation.chain.certificates.split_at(1);
        let (leaf, rest) = (certificates(leaf), certificates(rest));
        let full = format!("{leaf}{rest}");
        let bytes = |text: String| Zeroizing::new(text.into_bytes());
        let key = Zeroizing::new(self.key.as_bytes().to_vec());
        [(CERT, bytes(leaf)), (CHAIN, bytes(rest)), (FULLCHAIN, bytes(full)), (PRIVKEY, key)]
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Set({})", self.generation.id)
    }
}

/// Puts together what these files hold: one key, the certificate of that key, and those that lead from it to its authority. Several
/// files may hold the same. The error says what is missing or too much.
pub fn assemble(files: &[(Zeroizing<Vec<u8>>, PathBuf)]) -> Result<Set, String> {
    let (key, at) = one_key(files)?;
    let public = pem::public_key(&key).map_err(|why| format!("{}: {why}", at.display()))?;
    let mut known: VecDeque<(Certificate, &PathBuf)> = VecDeque::new();
    for (bytes, path) in files {
        for certificate in pem::certificates(bytes).map_err(|why| format!("{}: {why}", path.display()))? {
            if known.iter().all(|(other, _)| other.der != certificate.der) {
                known.push_back((certificate, path));
            }
        }
    }
    let its = known.iter().filter(|(certificate, _)| *certificate.spki == *public).count();
    let place = known.iter().position(|(certificate, _)| *certificate.spki == *public);
    let leaf = match (place.and_then(|place| known.remove(place)), its, known.is_empty()) {
        (Some((leaf, _)), 1, _) => leaf,
        (Some((_, path)), ..) => {
            return Err(format!("{}: there are {its} certificates of the key, an old one among them", path.display()));
        }
        (None, _, true) => return Err(format!("{}: no certificate in it", at.display())),
        (None, _, false) => return Err(format!("{}: the key does not belong to the certificate", at.display())),
    };
    let chain = pem::chain(certificates(&in_order(leaf, known)?).as_bytes())?;
    let generation = Generation { id: GenerationId::of(&chain), chain, files: Vec::new() };
    Ok(Set { generation, key: pem_of_key(&key) })
}

/// The one private key in these files, and where it is.
fn one_key(files: &[(Zeroizing<Vec<u8>>, PathBuf)]) -> Result<(PrivateKeyDer<'static>, &PathBuf), String> {
    let mut found: Option<(PrivateKeyDer<'static>, &PathBuf)> = None;
    for (bytes, path) in files {
        for key in pem::keys(bytes).map_err(|why| format!("{}: {why}", path.display()))? {
            match &found {
                Some((other, _)) if *other == key => {}
                Some((_, other)) => {
                    let text = "another private key: a section is for one certificate and its key";
                    return Err(format!("{}: {text} (the first is in {})", path.display(), other.display()));
                }
                None => found = Some((key, path)),
            }
        }
    }
    let all = || files.iter().map(|(_, path)| path.display().to_string()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("{}: no private key in it", all()))
}

/// The leaf, and behind it the others as they lead from one to the next. Where several have the name of one issuer (a
/// cross-signed one among them), they keep the order they had.
fn in_order(leaf: Certificate, mut rest: VecDeque<(Certificate, &PathBuf)>) -> Result<Vec<Certificate>, String> {
    let mut chain = vec![leaf];
    let mut at = 0;
    while at < chain.len() {
        let Names { subject, issuer } = pem::names_of(&chain[at])?;
        at += 1;
        if subject == issuer {
            continue; // nothing is above it
        }
        let (mut next, mut others) = (Vec::new(), VecDeque::new());
        for (certificate, path) in rest {
            match pem::names_of(&certificate)?.subject == issuer {
                true => next.push(certificate),
                false => others.push_back((certificate, path)),
            }
        }
        rest = others;
        chain.extend(next);
    }
    match rest.front() {
        None => Ok(chain),
        Some((_, path)) => {
            let text = "holds a certificate that is not of the leaf's chain";
            Err(format!("{}: {text}: half of a renewal, or one too many", path.display()))
        }
    }
}

/// Why a complete set may yet be cut short, if it may: a file can end behind any certificate, and all that is there fits together.
/// `before`: what services read now.
pub fn doubt(chain: &Chain, before: Option<&Chain>) -> Option<&'static str> {
    let names = |chain: &Chain| pem::names_of(&chain.certificates[0]).ok();
    let own = names(chain)?;
    let (rest, self_signed) = (&chain.certificates[1..], own.subject == own.issuer);
    let is_prefix = |before: &&Chain| {
        let longer = &before.certificates[1..];
        longer.len() > rest.len() && longer[..rest.len()] == *rest
    };
    let shorter = before.filter(is_prefix).and_then(names).is_some_and(|before| before.issuer == own.issuer);
    if shorter {
        return Some("its chain ends sooner than that of the certificate in use");
    }
    let alike =
        |before: &Chain| before.certificates.len() == 1 && names(before).is_some_and(|b| b.issuer == own.issuer);
    if rest.is_empty() && !self_signed && !before.is_some_and(alike) {
        return Some("the certificate of its issuer does not follow it");
    }
    (!rest.is_empty() && chain.linked() == 0).then_some("the certificate that follows it did not sign it")
}

/// Certificates in PEM (RFC 7468 section 5.1).
fn certificates(certificates: &[Certificate]) -> String {
    certificates.iter().map(|certificate| pem::encode("CERTIFICATE", &certificate.der)).collect()
}

fn pem_of_key(key: &PrivateKeyDer<'_>) -> Zeroizing<String> {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    Zeroizing::new(pem::encode(label, key.secret_der()))
}
