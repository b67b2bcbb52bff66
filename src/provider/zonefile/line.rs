//! The `api` line of this provider.

use super::ZoneFile;
use crate::{
    config::{self, Fault, Scene, Word, command},
    name::DnsName,
    provider::Provider,
};

/// What stands for the name of the zone.
pub(super) const ZONE: &str = "{zone}";

/// `zonefile [zone:ZONE] PATH… [refresh: COMMAND…]`.
pub(in super::super) fn read(scheme: &Word, words: &[Word], _: &Scene) -> Result<Box<dyn Provider>, Fault> {
    let (mut zone, mut paths, mut refresh) = (None, Vec::new(), Vec::new());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if let Some(name) = word.after("zone:") {
            zone = Some(config::domain(&name.text).map_err(|why| name.fault(why))?);
        } else if let Some(first) = word.after("refresh:") {
            let first = Some(first).filter(|first| !first.text.is_empty());
            let words: Vec<Word> = first.into_iter().chain(rest.by_ref().cloned()).collect();
            let missing =
                || word.fault("no command follows \"refresh:\"").hint("write \"refresh: knotc -b zone-reload {zone}\"");
            refresh = command(&words).ok_or_else(missing)??;
        } else {
            paths.push(path(word)?);
        }
    }
    if paths.is_empty() {
        let hint = "write \"api = zonefile /var/lib/daneroll/zones/{zone}.tlsa refresh: knotc -b zone-reload {zone}\"";
        return Err(scheme.fault("no file is named").hint(hint));
    }
    Ok(Box::new(ZoneFile { paths, zone, refresh }))
}

fn path(word: &Word) -> Result<String, Fault> {
    let text = &word.text;
    if !text.starts_with('/') {
        let hint = "write the path from \"/\" on; the command that makes the name server read it follows \"refresh:\"";
        return Err(word.fault("this is neither a path nor \"zone:\" nor \"refresh:\"").hint(hint));
    }
    if text.ends_with('/') {
        return Err(word.fault("this names a directory").hint("write the file's name as well, such as {zone}.tlsa"));
    }
    if text.replace(ZONE, "").contains(['{', '}']) {
        return Err(word.fault("only {zone} stands for something").hint("write {zone} for the name of the zone"));
    }
    Ok(text.clone())
}

/// A name that is safe in a path and as a word of a command.
pub(super) fn is_plain(zone: &DnsName) -> bool {
    let name = zone.without_dot();
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
