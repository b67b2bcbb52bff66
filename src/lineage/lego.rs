//! lego, versions 4 and 5: `certificates/NAME.{crt,issuer.crt,key}` in the directory of `--path`, overwritten one after the other.

use super::source::{Client, Parts, Places, Takes};
use crate::{env::Files, idna};

/// `source = lego DIRECTORY [NAME]`.
pub const CLIENT: Client = Client { name: "lego", takes: Takes::Directory(None), files };

/// `NAME.crt` holds the chain as well, but not with `--no-bundle`; `NAME.issuer.crt` is missing where the authority sent none.
fn files(places: &Places<'_>, _: &dyn Files) -> Result<Parts, String> {
    let name = places.named.map_or_else(|| name(places.lineage), str::to_owned);
    let file = |extension: &str| places.directory().join("certificates").join(format!("{name}.{extension}"));
    Ok(Parts { needed: vec![file("crt"), file("key")], optional: vec![file("issuer.crt")] })
}

/// What lego makes of the first domain of a certificate: international names as the DNS has them, `_` for `*`.
fn name(lineage: &str) -> String {
    let (star, rest) = lineage.strip_prefix("_.").map_or(("", lineage), |rest| ("_.", rest));
    format!("{star}{}", idna::to_ascii(rest).unwrap_or_else(|_| rest.to_owned()))
}
