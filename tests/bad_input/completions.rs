//! The completions for zsh and fish, in the real shells where they are installed.

use std::{fs, path::Path, process::Command};

fn is_installed(shell: &str) -> bool {
    let installed = Command::new(shell).args(["-c", "true"]).output().is_ok();
    if !installed {
        crate::lab::skip(&format!("completions: {shell} is not installed"));
    }
    installed
}

/// Every option of `--help` is in all completions.
#[test]
fn have_every_option() {
    let help = Command::new(crate::lab::PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    for option in options.map(|option| option.trim_end_matches([',', ':', ')', '"'])) {
        for file in ["_daneroll", "daneroll.fish"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/completions");
            let text = fs::read_to_string(folder.join(file)).unwrap();
            let wanted = if file == "_daneroll" { format!("--{option}") } else { format!("-l {option}") };
            assert!(text.contains(&wanted), "{file} lacks --{option}");
        }
    }
}

/// What the shell prints; nothing if it is not installed.
fn ask(shell: &str, script: &str, live: &Path) -> Option<String> {
    if !is_installed(shell) {
        return None;
    }
    let mut command = Command::new(shell);
    command.args(["-c", script]).env("DANEROLL_LIVE", live).env("HOME", live).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{shell}: {said}");
    Some(said)
}

fn live() -> tempfile::TempDir {
    let live = tempfile::tempdir().unwrap();
    for lineage in ["a.example", "mx.b.example"] {
        fs::create_dir(live.path().join(lineage)).unwrap();
    }
    live
}

#[test]
fn in_fish() {
    let live = live();
    for (line, expected) in [
        ("daneroll po", "post"),
        ("daneroll --dr", "--dry-run"),
        ("daneroll -L ver", "verbose"),
        ("daneroll withdraw m", "mx.b.example"),
        ("daneroll switch zzz", ""),
    ] {
        let script = format!("source contrib/completions/daneroll.fish; complete -C '{line}'");
        let Some(said) = ask("fish", &script, live.path()) else { return };
        assert_eq!(said.split('\t').next().unwrap().trim(), expected, "{line}: {said}");
    }
}

/// zsh completes only at a terminal, so this looks at what the file asks of zsh's own functions.
#[test]
fn in_zsh() {
    let live = live();
    let script = "_arguments() { print -l -- \"$@\" }; _describe() { print -l -- ${(P)argv[-1]} }; \
                  source contrib/completions/_daneroll; _daneroll_commands; _daneroll_lineages; \
                  words=(daneroll withdraw ''); _daneroll_lineage_of_command | tail -1";
    let Some(said) = ask("zsh", script, live.path()) else { return };
    for line in
        ["--pre[before a renewal]", "post:after it", "a.example", "mx.b.example", "1:command:_daneroll_commands"]
    {
        assert!(said.lines().any(|said| said == line), "{line} is not in {said}");
    }
    assert_eq!(said.lines().filter(|line| *line == "mx.b.example").count(), 2, "{said}");
}
