//! dehydrated: `certs/DOMAIN/{cert,chain,fullchain,privkey}.pem`, links to files with a time stamp that are moved one by one.

use super::source::{Client, Parts, Places, Takes};
use crate::env::Files;

/// `source = dehydrated [DIRECTORY [NAME]]`. Its `CERTDIR` is meant.
pub const CLIENT: Client =
    Client { name: "dehydrated", takes: Takes::Directory(Some("/var/lib/dehydrated/certs")), files };

/// Where a certificate has an alias, its directory is named after that.
fn files(places: &Places<'_>, _: &dyn Files) -> Result<Parts, String> {
    let folder = places.directory().join(places.named.unwrap_or(places.lineage));
    let files = ["fullchain.pem", "cert.pem", "privkey.pem"].map(|name| folder.join(name));
    Ok(Parts { needed: files.into(), optional: vec![folder.join("chain.pem")] })
}
