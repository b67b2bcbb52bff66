//! `source = CLIENT …`.

use super::{diagnostic::Fault, grammar::Entry, keys, words::Word};
use crate::lineage::source::{CLIENTS, InPlace, Source, Takes};
use std::path::PathBuf;

/// More files than one certificate can have.
const MOST_FILES: usize = 16;

/// Reads the value of a `source` line.
pub(super) fn read(entry: &Entry) -> Result<Source, Fault> {
    let Some((client, rest)) = entry.words.split_first() else { return Err(entry.key.fault("no value")) };
    if client.text == "certbot" {
        return match rest {
            [] => Ok(Source::Certbot),
            [word, ..] => Err(word
                .fault("\"certbot\" takes nothing else")
                .hint("\"letsencrypt_directory\" says where live/ and archive/ are")),
        };
    }
    let known = CLIENTS.into_iter().find(|known| known.name == client.text).ok_or_else(|| unknown(client))?;
    let (places, name) = match known.takes {
        Takes::Files => (files(client, rest)?, None),
        Takes::Directory(default) => directory(client, rest, default)?,
    };
    Ok(Source::InPlace(InPlace::new(known, places, name)))
}

fn unknown(word: &Word) -> Fault {
    let names: Vec<&str> = ["certbot"].into_iter().chain(CLIENTS.map(|client| client.name)).collect();
    let fault = word.fault(format!("there is no source \"{}\"", word.text));
    match keys::nearest(&word.text, names.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
        None => fault.hint(format!("write one of {}; files of any other client are \"pem\"", names.join(", "))),
    }
}

fn files(client: &Word, words: &[Word]) -> Result<Vec<PathBuf>, Fault> {
    let hint =
        "write the files that hold the certificate, its chain and its key, in any order: source = pem /etc/ssl/mx.pem";
    match words {
        [] => Err(client.fault("\"pem\" takes files").hint(hint)),
        [.., last] if words.len() > MOST_FILES => Err(last.fault(format!("more than {MOST_FILES} files")).hint(hint)),
        words => words.iter().map(path).collect(),
    }
}

fn directory(client: &Word, words: &[Word], default: Option<&str>) -> Result<(Vec<PathBuf>, Option<String>), Fault> {
    match (words, default) {
        ([], Some(default)) => Ok((vec![default.into()], None)),
        ([], None) => Err(client
            .fault(format!("\"{}\" takes its directory, that of its option --path", client.text))
            .hint(format!("write \"source = {} /var/lib/{}\"", client.text, client.text))),
        ([place], _) => Ok((vec![path(place)?], None)),
        ([place, name], _) => {
            let is_name = !name.text.is_empty() && !name.text.contains('/') && !name.text.starts_with('.');
            match is_name {
                true => Ok((vec![path(place)?], Some(name.text.clone()))),
                false => {
                    Err(name.fault("not a name of files or of a directory").hint("leave it out if it is the section's"))
                }
            }
        }
        ([_, _, extra, ..], _) => {
            Err(extra.fault(format!("\"{}\" takes a directory and a name, no more", client.text)))
        }
    }
}

fn path(word: &Word) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(&word.text);
    match path.is_absolute() {
        true => Ok(path),
        false => Err(word.fault("not an absolute path").hint("write the path from \"/\" on")),
    }
}
