//! The command line, one case a line: what it means, or why it means nothing.

use daneroll::{
    cli::{self, Arguments, Command, Exit, Hints, parse},
    config::{LogLevel, Overrides},
};
use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

fn read(program: &str, line: &str) -> Result<Arguments, Exit> {
    parse([program].into_iter().chain(line.split_whitespace()).map(OsString::from))
}

/// What a bare `daneroll` means.
fn bare() -> Arguments {
    Arguments {
        command: Command::Run,
        config: "/etc/daneroll/daneroll.conf".into(),
        overrides: Overrides::default(),
        log: None,
        log_level: None,
        log_format: None,
        quiet: false,
        dry_run: false,
        json: false,
        wait: false,
    }
}

/// `line => what differs from a bare call`.
macro_rules! pass {
    ($($line:literal => $($field:ident$(.$sub:ident)? = $value:expr),*;)*) => {
        $({
            #[allow(unused_mut)]
            let mut expected = bare();
            $(expected.$field$(.$sub)? = $value;)*
            match read("daneroll", $line) {
                Ok(found) => assert_eq!(found, expected, "daneroll {}", $line),
                Err(exit) => panic!("daneroll {}: {}", $line, exit.text),
            }
        })*
    };
}

/// `line => what the usage error says`.
macro_rules! FAIL {
    ($($line:literal => $says:literal;)*) => {
        $(match read("daneroll", $line) {
            Ok(found) => panic!("daneroll {}: {found:?}", $line),
            Err(exit) => {
                assert_eq!((exit.code, exit.to_stderr), (2, true), "daneroll {}", $line);
                assert!(exit.text.contains($says), "daneroll {}: {}", $line, exit.text);
            }
        })*
    };
}

fn some<T: From<&'static str>>(text: &'static str) -> Option<T> {
    Some(text.into())
}

fn checking(lineages: &[&str], timeout: u64) -> cli::Check {
    let lineages = lineages.iter().map(|lineage| (*lineage).to_owned()).collect();
    cli::Check { lineages, timeout, ..cli::Check::default() }
}

/// A monitoring plug-in ends with 3 for whatever keeps it from checking.
#[test]
fn errors_of_check() {
    for (line, code) in [
        ("check --frobnicate", 3),
        ("check -t", 3),
        ("-t x check", 3),
        ("check --live", 3),
        ("--json check -t 0.5", 3),
        ("-c check --frobnicate", 2),
        ("--log-l check --frobnicate", 2),
    ] {
        assert_eq!(read("daneroll", line).unwrap_err().code, code, "{line}");
    }
}

#[test]
fn commands() {
    use Command::*;
    pass! {
        "" => ;
        "--pre" => command = Pre;
        "pre" => command = Pre;
        "prehook" => command = Pre;
        "--post" => command = Post;
        "post" => command = Post;
        "posthook" => command = Post;
        "deploy" => command = Deploy;
        "deployhook" => command = Deploy;
        "--reset" => command = Reset { force: false };
        "reset" => command = Reset { force: false };
        "init --force" => command = Reset { force: true };
        "--force --reset" => command = Reset { force: true };
        "--config-test" => command = ConfigTest;
        "-t" => command = ConfigTest;
        "configtest" => command = ConfigTest;
        "withdraw a.example" => command = Withdraw { lineage: "a.example".into() };
        "switch a.example" => command = Switch { now: false, accept_mismatch: false, lineage: "a.example".into() };
        "switch --now a.example" => command = Switch { now: true, accept_mismatch: false, lineage: "a.example".into() };
        "--now switch a.example --accept-mismatch"
            => command = Switch { now: true, accept_mismatch: true, lineage: "a.example".into() };
        "import-alnitak" => command = ImportAlnitak { file: None };
        "import-alnitak /x --dry-run" => command = ImportAlnitak { file: some("/x") }, dry_run = true;
        "rollback a.example" => command = Rollback { lineage: "a.example".into() };
        "status" => command = Status { lineages: vec![], live: false };
        "status a b --live" => command = Status { lineages: vec!["a".into(), "b".into()], live: true };
        "print" => command = Print { what: vec![], zone: false };
        "tlsa 311:a --zone" => command = Print { what: vec!["311:a".into()], zone: true };
        "check" => command = Check(checking(&[], 10));
        "check a -t 5" => command = Check(checking(&["a"], 5));
        "-t5 check a" => command = Check(checking(&["a"], 5));
        "check --timeout 2m" => command = Check(checking(&[], 120));
        "check --host a.example:25 --host b:443 --prometheus /m" => command = Check(cli::Check {
            hosts: vec!["a.example:25".into(), "b:443".into()], prometheus: some("/m"), ..checking(&[], 10)
        });
    }
}

#[test]
fn options() {
    use Command::*;
    pass! {
        "-c x.conf" => config = "x.conf".into();
        "-cx.conf post" => command = Post, config = "x.conf".into();
        "--config=x.conf" => config = "x.conf".into();
        "-c a -c b" => config = "b".into();
        "pre -C /le -D /dane" =>
            command = Pre, overrides.letsencrypt_directory = some("/le"), overrides.dane_directory = some("/dane");
        "--letsencrypt-directory /le --dane-directory=/dane --state-directory /s" =>
            overrides.letsencrypt_directory = some("/le"), overrides.dane_directory = some("/dane"),
            overrides.state_directory = some("/s");
        "-l-" => log = some("-");
        "-l -" => log = some("-");
        "-lno" => log = some("no");
        "-l /tmp/x -q" => log = some("/tmp/x"), quiet = true;
        "-Lno" => log_level = Some(LogLevel::No);
        "-L full" => log_level = Some(LogLevel::Debug);
        "--log-level=verbose" => log_level = Some(LogLevel::Verbose);
        "--quiet --dry-run --json --wait" => quiet = true, dry_run = true, json = true, wait = true;
        "--quiet -q" => quiet = true;
        "-ql-" => quiet = true, log = some("-");
        // Long options may be shortened as far as they stay clear.
        "--pr" => command = Pre;
        "--po" => command = Post;
        "--res" => command = Reset { force: false };
        "--config-t" => command = ConfigTest;
        "--dane /d --state /s --lets /l" => overrides.dane_directory = some("/d"), overrides.state_directory = some("/s"),
            overrides.letsencrypt_directory = some("/l");
        "--dry --tt 7" => dry_run = true, overrides.ttl = Some(7);
        "--" => ;
        "-- pre" => command = Pre;
    }
}

#[test]
fn the_two_meanings_of_t() {
    use Command::*;
    pass! {
        "-t5" => overrides.ttl = Some(5);
        "-t 5" => overrides.ttl = Some(5);
        "--ttl 5" => overrides.ttl = Some(5);
        "--ttl=2h" => overrides.ttl = Some(7200);
        "-t 0 pre" => command = Pre, overrides.ttl = Some(0);
        "-qt" => command = ConfigTest, quiet = true;
        "-tq" => command = ConfigTest, quiet = true;
        "-qt90" => overrides.ttl = Some(90), quiet = true;
        "-qt 90" => overrides.ttl = Some(90), quiet = true;
        "-tqt90" => command = ConfigTest, quiet = true, overrides.ttl = Some(90);
        "-tc x.conf" => command = ConfigTest, config = "x.conf".into();
        "-t -c 5" => command = ConfigTest, config = "5".into();
        "-t -t 5" => command = ConfigTest, overrides.ttl = Some(5);
        "-ct" => config = "t".into();
        "-lt" => log = some("t");
    }
}

#[test]
fn errors() {
    FAIL! {
        "--pre --post" => "one command at a time";
        "--pre post" => "one command at a time";
        "-t --reset" => "one command at a time";
        "frobnicate" => "unknown command \"frobnicate\"";
        "rollback" => "rollback needs the name of a lineage";
        "status --zone" => "--zone does not go with this command";
        "--live" => "--live does not go with this command";
        "--host mx.example.com:25" => "--host does not go with this command";
        "pre post" => "unexpected argument \"post\"";
        "pre -- -t" => "unexpected argument \"-t\"";
        "withdraw" => "withdraw needs the name of a lineage";
        "withdraw a b" => "unexpected argument \"b\"";
        "--force" => "--force does not go with this command";
        "post --now" => "--now does not go with this command";
        "withdraw a --accept-mismatch" => "--accept-mismatch does not go with this command";
        "--frob" => "unexpected argument '--frob'";
        "-x" => "unexpected argument '-x'";
        "--p" => "unexpected argument '--p'";
        "-c" => "a value is required";
        "-c -t" => "unexpected argument '-t'";
        "--conf x" => "unexpected argument '--conf'";
        "-Lloud" => "write no, normal, verbose or debug";
        "--ttl soon" => "not a duration";
        "-t5x" => "not a duration";
        "--ttl=-5" => "not a duration";
        "--pre=yes" => "unexpected value 'yes'";
    }
}

#[test]
fn help_and_version() {
    for (line, text) in
        [("-V", "daneroll 0."), ("--version", "daneroll 0."), ("-qV", "daneroll 0."), ("--vers", "daneroll 0.")]
    {
        let exit = read("daneroll", line).unwrap_err();
        assert!((exit.code, exit.to_stderr) == (0, false) && exit.text.starts_with(text), "{line}: {exit:?}");
    }
    for line in ["-h", "--help", "pre -h", "-qh"] {
        let exit = read("daneroll", line).unwrap_err();
        assert_eq!((exit.code, exit.to_stderr), (0, false), "{line}");
        for taught in
            ["withdraw LINEAGE", "--state-directory", "Set up:", "/etc/daneroll/dane/", "Exit codes:", "hourly"]
        {
            assert!(exit.text.contains(taught), "{line} does not tell {taught}:\n{}", exit.text);
        }
        assert!(exit.text.lines().all(|line| line.chars().count() <= 105), "{}", exit.text);
    }
}

/// Every option of `--help` is in the manual and in the completion.
#[test]
fn the_manual_has_them_all() {
    let manual = include_str!("../man/daneroll.8");
    let completion = include_str!("../contrib/completions/daneroll.bash");
    let help = read("daneroll", "--help").unwrap_err().text;
    let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    for option in options.map(|option| option.trim_end_matches([',', ':', '"', ')'])) {
        assert!(manual.contains(&format!("-{option}")), "daneroll.8 does not tell of --{option}");
        assert!(completion.contains(&format!("--{option}")), "the completion lacks --{option}");
    }
}

/// Each command of `--help` has an example there.
#[test]
fn examples() {
    let help = read("daneroll", "--help").unwrap_err().text;
    let (commands, rest) = help.split_once("Options:").unwrap();
    let examples = rest.split_once("Examples:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let commands =
        commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ") && line[2..].contains("  "));
    let mut count = 0;
    for command in commands.map(|line| line.trim().split("  ").next().unwrap()) {
        let spellings = command.split(", ").map(|spelling| spelling.split(' ').next().unwrap());
        let is_there = spellings.clone().any(|spelling| {
            spelling == "(none)"
                || examples.contains(&format!("{spelling} "))
                || examples.contains(&format!("{spelling}\n"))
        });
        assert!(is_there, "no example of {command}:\n{examples}");
        count += 1;
    }
    assert!(count >= 12, "{count} commands");
}

/// Without `mandoc` nobody can tell.
#[test]
fn the_manual_is_well_formed() {
    let pages: Vec<_> = std::fs::read_dir("man").unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() >= 9, "{pages:?}");
    match std::process::Command::new("mandoc").args(["-Tlint", "-Wwarning"]).args(&pages).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), ""),
        Err(error) => assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "mandoc: {error}"),
    }
    // And they know each other.
    let manual = include_str!("../man/daneroll.8");
    for page in
        pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap()).filter(|page| *page != "daneroll.8")
    {
        let (name, section) = page.rsplit_once('.').unwrap();
        assert!(manual.contains(&format!(".Xr {name} {section}")), "daneroll.8 does not lead to {page}");
    }
}

/// The completion in a real bash.
#[test]
fn completion() {
    let live = tempfile::tempdir().unwrap();
    for lineage in ["a.example", "mx.b.example"] {
        std::fs::create_dir(live.path().join(lineage)).unwrap();
    }
    for (words, expected) in [
        ("daneroll po", "post"),
        ("daneroll --dr", "--dry-run"),
        ("daneroll -L ver", "verbose"),
        ("daneroll withdraw m", "mx.b.example"),
        ("daneroll switch x", ""),
    ] {
        let script = format!(
            "source contrib/completions/daneroll.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _daneroll; echo \"${{COMPREPLY[*]}}\""
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .env("DANEROLL_LIVE", live.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{words}");
    }
}

#[test]
fn under_alnitaks_name() {
    for (program, config) in [
        ("alnitak", "/etc/alnitak.conf"),
        ("/usr/bin/alnitak", "/etc/alnitak.conf"),
        ("/usr/sbin/daneroll", "/etc/daneroll/daneroll.conf"),
        ("/opt/alnitak/daneroll", "/etc/daneroll/daneroll.conf"),
    ] {
        assert_eq!(read(program, "").map(|found| found.config), Ok(PathBuf::from(config)), "{program}");
    }
    assert_eq!(read("alnitak", "-c x").map(|found| found.config), Ok(PathBuf::from("x")));
    for (program, line, alnitak) in [
        ("alnitak", "", true),
        ("alnitak", "-c /etc/daneroll/daneroll.conf", true),
        ("daneroll", "-c /usr/local/etc/alnitak.conf", true),
        ("daneroll", "-c /etc/not-alnitak.conf", false),
        ("daneroll", "-D alnitak.conf", false),
    ] {
        assert_eq!(read(program, line).map(|found| found.overrides.alnitak), Ok(alnitak), "{program} {line}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    let arg = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let found = parse([arg(b"daneroll"), arg(b"-c\xff"), arg(b"-qt")].into_iter()).unwrap();
    assert_eq!((found.config, found.command), (PathBuf::from(arg(b"\xff")), Command::ConfigTest));
    for bytes in [b"-\xff".as_slice(), b"\xff", b"-qt\xff", b"--\xff"] {
        assert_eq!(parse([arg(b"daneroll"), arg(bytes)].into_iter()).map_err(|exit| exit.code), Err(2));
    }
    assert_eq!(parse(std::iter::empty()), Ok(bare()));
}

#[test]
fn hints() {
    let set = |name: &str| match name {
        "RENEWED_LINEAGE" => Some("/etc/letsencrypt/live/a.example".into()),
        "RENEWED_DOMAINS" => Some("a.example www.a.example".into()),
        _ => None,
    };
    let hints = Hints::read(set);
    assert_eq!(hints.renewed_lineage, some("/etc/letsencrypt/live/a.example"));
    assert_eq!(hints.renewed_domains, "a.example www.a.example");
    assert_eq!(hints.certificate, None);
    for (version, names) in [
        (4, [("LEGO_CERT_PATH", "/l/_.a.example.crt"), ("LEGO_CERT_DOMAIN", "*.a.example")]),
        (5, [("LEGO_HOOK_CERT_PATH", "/l/_.a.example.crt"), ("LEGO_HOOK_CERT_DOMAINS", "*.a.example,a.example")]),
    ] {
        let set = |name: &str| names.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).into());
        let hints = Hints::read(set);
        assert_eq!(hints.certificate, some("/l/_.a.example.crt"), "{version}");
        assert_eq!(hints.renewed_domains, ["*.a.example", "*.a.example a.example"][usize::from(version == 5)]);
    }
    assert_eq!(Hints::read(|_| None), Hints::default());
    assert_eq!(Hints::read(|_| Some(OsString::new())), Hints::default());
}
