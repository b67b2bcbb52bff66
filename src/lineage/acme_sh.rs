//! acme.sh: `DOMAIN/` or, with an ECDSA key, `DOMAIN_ecc/`, in its home directory or that of `--cert-home`. (What
//! `--install-cert` makes elsewhere is `source = pem`.)

use super::source::{Client, Parts, Places, Takes};
use crate::env::{Files, Kind};

/// `source = acme.sh [DIRECTORY [NAME]]`.
pub const CLIENT: Client = Client { name: "acme.sh", takes: Takes::Directory(Some("/root/.acme.sh")), files };

/// What acme.sh adds to the name of a directory if the key is not RSA.
const ECC: &str = "_ecc";

/// The directory is named after the first domain, and so are key and leaf in it.
fn files(places: &Places<'_>, files: &dyn Files) -> Result<Parts, String> {
    let name = match places.named {
        Some(name) => name.to_owned(),
        None => directory(places, files)?,
    };
    let domain = name.strip_suffix(ECC).unwrap_or(&name);
    let file = |file: &str| places.directory().join(&name).join(file);
    let own = |extension: &str| file(&format!("{domain}.{extension}"));
    Ok(Parts { needed: vec![file("fullchain.cer"), own("cer"), own("key")], optional: vec![file("ca.cer")] })
}

/// The one that is there, and the newer kind if none is.
fn directory(places: &Places<'_>, files: &dyn Files) -> Result<String, String> {
    let domain =
        places.lineage.strip_prefix("_.").map_or_else(|| places.lineage.to_owned(), |rest| format!("*.{rest}"));
    let names = match domain.strip_suffix(ECC) {
        Some(_) => return Ok(domain),
        None => [format!("{domain}{ECC}"), domain],
    };
    let is_there =
        |name: &&String| files.stat(&places.directory().join(name), true).is_ok_and(|stat| stat.kind == Kind::Dir);
    let there: Vec<&String> = names.iter().filter(is_there).collect();
    match there[..] {
        [_, _] => Err(format!(
            "{} has {} and {}: say which at the end of \"source\"",
            places.directory().display(),
            names[0],
            names[1]
        )),
        [name] => Ok(name.clone()),
        _ => Ok(names[0].clone()),
    }
}
