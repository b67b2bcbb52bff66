//! certbot's directories: `live/NAME/*.pem` are links into `archive/NAME/`, moved one by one at a renewal.

use super::{BUNDLE, CERT, CHAIN, FULLCHAIN, Generation, GenerationId, PRIVKEY, pem};
use crate::env::{Files, Kind};
use std::path::{Path, PathBuf};

/// The lineages that `live/` holds: its directories, sorted. Names that start with a dot are passed over.
pub fn lineages(files: &dyn Files, live: &Path) -> std::io::Result<Vec<String>> {
    let names = files.list(live)?.into_iter().filter_map(|name| name.into_string().ok());
    let is_lineage = |name: &String| {
        !name.starts_with('.') && files.stat(&live.join(name), true).is_ok_and(|stat| stat.kind == Kind::Dir)
    };
    Ok(names.filter(is_lineage).collect())
}

/// Reads the generation that a directory of links (or of files) shows, if it is complete: full chain and key are there, the
/// key is the leaf's, and `cert.pem` and `chain.pem` tell the same. The error says what is wrong with which file.
pub fn read_set(files: &dyn Files, dir: &Path) -> Result<Generation, String> {
    let members = members(files, dir)?;
    let read = |name: &str| files.read(&dir.join(name)).map_err(|error| error.to_string());
    let wrong = |name: &str, why: String| format!("{}: {why}", dir.join(name).display());
    let chain = pem::chain(&read(FULLCHAIN)?).map_err(|why| wrong(FULLCHAIN, why))?;
    pem::check_key(&read(PRIVKEY)?, &chain.certificates[0]).map_err(|why| wrong(PRIVKEY, why))?;
    for (name, part) in [(CERT, &chain.certificates[..1]), (CHAIN, &chain.certificates[1..])] {
        if members.iter().any(|(member, _)| member == name) {
            let told = pem::certificates(&read(name)?).map_err(|why| wrong(name, why))?;
            if told != part {
                return Err(wrong(name, format!("does not fit {FULLCHAIN}: a renewal is under way or broke off")));
            }
        }
    }
    Ok(Generation { id: GenerationId::of(&chain), chain, files: members })
}

/// The names of a set with their real paths: links to files, and `.pem` files. README, links that lead nowhere and the
/// like are passed over.
fn members(files: &dyn Files, dir: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let names = files.list(dir).map_err(|error| error.to_string())?;
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let belongs = |name: &String| {
        let path = dir.join(name);
        let is_link = || files.stat(&path, false).is_ok_and(|stat| stat.kind == Kind::Link);
        !name.starts_with('.')
            && name != BUNDLE
            && (name.ends_with(".pem") || is_link())
            && files.stat(&path, true).is_ok_and(|stat| stat.kind == Kind::File)
    };
    let real = |name: String| files.real_path(&dir.join(&name)).ok().map(|path| (name, path));
    Ok(names.filter(belongs).filter_map(real).collect())
}
