//! What this process gives up. Old kernels know less of it, and that is no matter: each is a second wall.

use landlock::{
    ABI, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, path_beneath_rules,
};
use nix::sys::prctl;
use std::path::PathBuf;

/// Nothing of this process is written to a core file, and nobody but root can look into its memory.
pub fn keep_secrets() {
    // Cannot fail with this argument.
    let _ = prctl::set_dumpable(false);
}

/// From now on nothing can be written but in these directories, nothing can be started, and no privileges can be gained. For all
/// threads that begin after it. Tells whether the kernel sees to it.
pub fn only_look(directories: Vec<PathBuf>) -> bool {
    matches!(restrict(directories), Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced))
}

fn restrict(directories: Vec<PathBuf>) -> Result<RulesetStatus, RulesetError> {
    const KNOWN: ABI = ABI::V3;
    // Reading is left alone: certificates, keys of TSIG and services' configurations may be anywhere.
    let ruleset = Ruleset::default().handle_access(AccessFs::from_write(KNOWN) | AccessFs::Execute)?.create()?;
    let rules = path_beneath_rules(directories, AccessFs::from_write(KNOWN));
    Ok(ruleset.add_rules(rules)?.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command, thread};

    /// In a thread of its own, for there is no way back.
    #[test]
    fn looking_writes_and_starts_nothing() {
        let (open, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = closed.path().join("file");
        fs::write(&file, "before").unwrap();
        let inside = || {
            if !only_look(vec![open.path().to_owned()]) {
                return; // a kernel without Landlock
            }
            fs::write(open.path().join("metrics"), "").unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "before");
            assert!(fs::write(&file, "after").is_err(), "changes a file");
            assert!(fs::write(closed.path().join("new"), "").is_err(), "makes a file");
            assert!(fs::remove_file(&file).is_err(), "removes a file");
            assert!(Command::new("/bin/true").status().is_err(), "starts a program");
            assert!(prctl::get_no_new_privs().unwrap());
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        fs::write(&file, "after").unwrap();
    }
}
