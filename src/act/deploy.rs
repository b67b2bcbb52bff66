//! Deploys: a command that takes a lineage's files to where services read them, owed until it succeeds.

use super::{Actor, Came, reload::plain};
use crate::{
    config::Hook,
    journal::{Reloaded, store::Store},
    lineage::{BUNDLE, CERT, CHAIN, FULLCHAIN, PRIVKEY},
    plan::Trouble,
};
use std::io;

/// Variables with the path of a file of the set, as far as it has one.
const FILES: [(&str, &str); 5] = [
    ("DANEROLL_CERT", CERT),
    ("DANEROLL_CHAIN", CHAIN),
    ("DANEROLL_FULLCHAIN", FULLCHAIN),
    ("DANEROLL_PRIVKEY", PRIVKEY),
    ("DANEROLL_BUNDLE", BUNDLE),
];

/// DaneBot's variables. (It gave the leaf alone as `DANEBOT_CERT`, so who installed that lost the chain.)
const CONTENTS: [(&str, &str); 3] = [("DANEBOT_CERT", FULLCHAIN), ("DANEBOT_LEAF", CERT), ("DANEBOT_KEY", PRIVKEY)];

impl Actor<'_> {
    /// Runs a deploy command for a lineage, and takes down when it began if it succeeded.
    pub(super) fn deploy(&self, words: &[String], lineage: &str, limit: u64, store: &mut Store) -> Came {
        let text = words.join(" ");
        tracing::info!(lineage, phase = "deploy", command = text, "deploying");
        let hook = self.sections.get(lineage).and_then(|section| section.hook.as_ref());
        let vars = match hook.map_or(Ok(self.set(lineage)), |hook| self.contents(lineage, hook)) {
            Ok(vars) => vars,
            Err(error) => return Came::Failed(Trouble::of(lineage, format!("cannot run `{text}`: {error}"))),
        };
        match self.ran(words, vars, limit, store) {
            Ok((began, ended)) => {
                if let Some(doc) = store.edit().lineages.get_mut(lineage) {
                    doc.forget_deploys(words);
                    doc.deploys.push(Reloaded { command: words.to_vec(), began, ended });
                }
                Came::Done
            }
            Err(why) => {
                let text = match hook {
                    Some(_) => {
                        format!("the hook `{text}` {why}; it is run again by the next call, and old records stay")
                    }
                    None => format!(
                        "deploy `{text}` {why}; it is tried again at the next run, and until it succeeds its `reload` waits \
                         and old records stay"
                    ),
                };
                Came::Failed(Trouble::of(lineage, text))
            }
        }
    }

    /// The lineage's files themselves, in the environment that we were called with.
    fn contents(&self, lineage: &str, hook: &Hook) -> io::Result<Vec<(String, String)>> {
        let folder = self.keeper.places.dane(lineage);
        let mut vars = hook.vars.clone();
        for (variable, name) in CONTENTS {
            let text = String::from_utf8(self.env.read(&folder.join(name))?).map_err(io::Error::other)?;
            vars.retain(|(known, _)| known != variable);
            vars.push((variable.into(), text));
        }
        Ok(vars)
    }

    /// Where the lineage's files are, as services read them.
    fn set(&self, lineage: &str) -> Vec<(String, String)> {
        let folder = self.keeper.places.dane(lineage);
        let mut vars = plain();
        vars.push(("DANEROLL_LINEAGE".into(), lineage.into()));
        let there = FILES.iter().map(|(variable, name)| (variable, folder.join(name)));
        let there = there.filter(|(_, path)| self.env.stat(path, true).is_ok());
        vars.extend(there.map(|(variable, path)| ((*variable).into(), path.to_string_lossy().into_owned())));
        vars
    }
}
