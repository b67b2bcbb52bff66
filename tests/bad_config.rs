//! Every file in `tests/bad-config` holds one mistake, and beside it stands what daneroll says about it, to the letter.
//! `BAD_CONFIG=rewrite cargo test --test bad_config` writes the expectations anew.

use daneroll::{
    config::{Loaded, Lookups, Overrides, load_from, parse},
    env::{Kind, Stat, User},
};
use proptest::prelude::*;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-config")
}

/// A machine with one user, one group, and the files in `files/`.
struct Machine;

impl Lookups for Machine {
    fn user(&self, name: &str) -> Result<Option<User>, String> {
        let nobody = User { name: "nobody".into(), uid: 65534, gid: 65534 };
        Ok(Some(nobody).filter(|user| user.name == name || user.uid.to_string() == name))
    }

    fn group(&self, name: &str) -> Result<Option<(String, u32)>, String> {
        Ok((name == "ssl-cert").then(|| (name.into(), 110)))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        // A configuration that holds a secret itself.
        let configuration = path.extension().is_some_and(|extension| extension == "conf");
        let mode = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some(stem) if stem.ends_with("world") => 0o644,
            Some("writable") => 0o602,
            _ => 0o640,
        };
        let kind = if path == Path::new("directory.d") { Kind::Dir } else { Kind::File };
        let size = if kind == Kind::Dir || configuration { 0 } else { self.read(path)?.len() as u64 };
        Ok(Stat { kind, device: 1, inode: 1, size, mode, uid: 0, gid: 0, changed: None, print: None })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = if path == Path::new("/etc/daneroll/tsig.key") { Path::new("good.key") } else { path };
        match path.is_absolute() {
            true => Err(io::Error::other("no such file or directory")),
            false => fs::read(folder().join("files").join(path)),
        }
    }
}

/// All that is said about a configuration, and what becomes of its sections.
fn render(loaded: &Loaded) -> String {
    let errors = loaded.errors.iter().map(|error| format!("{error}\n"));
    let warnings = loaded.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    let sections: Vec<&str> = loaded.config.sections.iter().map(|section| section.name.as_str()).collect();
    let broken: Vec<&str> = loaded.config.broken.iter().map(String::as_str).collect();
    let fate = format!("sections: {}\nbroken: {}\n", sections.join(", "), broken.join(", "));
    errors.chain(warnings).chain([fate]).collect()
}

#[test]
fn every_mistake_is_told() {
    let mut names: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".conf"));
    names.sort();
    assert!(names.len() >= 40, "only {} files in {}", names.len(), folder().display());
    let mut wrong = 0;
    for name in &names {
        let bytes = fs::read(folder().join(name)).unwrap();
        let loaded = parse(Path::new(name), &bytes, &Overrides::default(), &Machine);
        assert!(!loaded.errors.is_empty() || !loaded.warnings.is_empty(), "{name}: nothing to say");
        let (found, file) = (render(&loaded), folder().join(name.replace(".conf", ".err")));
        if std::env::var("BAD_CONFIG").is_ok_and(|word| word == "rewrite") {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong += 1;
            println!("--- {}\n+++ what is said now", file.display());
            expected.lines().filter(|line| !found.lines().any(|f| f == *line)).for_each(|line| println!("-{line}"));
            found.lines().filter(|line| !expected.lines().any(|e| e == *line)).for_each(|line| println!("+{line}"));
        }
    }
    assert_eq!(wrong, 0, "BAD_CONFIG=rewrite writes the expectations anew");
}

/// All that is good is understood: the whole result is on file, but for the secrets, which it never shows.
#[test]
fn what_is_good_is_read() {
    for name in ["alnitak-0.1", "alnitak-0.2", "everything"] {
        let bytes = fs::read(folder().join(format!("good/{name}.conf"))).unwrap();
        for bytes in [bytes.clone(), String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into_bytes()] {
            let loaded = parse(Path::new("good.conf"), &bytes, &Overrides::default(), &Machine);
            assert_eq!(loaded.errors, [], "{name}");
            let (found, file) = (format!("{:#?}\n", loaded.config), folder().join(format!("good/{name}.read")));
            if std::env::var("BAD_CONFIG").is_ok_and(|word| word == "rewrite") {
                fs::write(&file, &found).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            snapbox::assert_data_eq!(found, snapbox::Data::text(expected).raw());
        }
    }
}

#[test]
fn the_manuals_examples_are_good() {
    let manual = fs::read_to_string(folder().join("../../man/daneroll.conf.5")).unwrap();
    let examples: Vec<&str> = manual.split(".Bd -literal -offset indent\n").skip(1).collect();
    for example in &examples {
        let (text, _) = example.split_once(".Ed").unwrap();
        let loaded = parse(Path::new("example.conf"), text.as_bytes(), &Overrides::default(), &Machine);
        let told: Vec<String> = loaded.errors.iter().chain(&loaded.warnings).map(ToString::to_string).collect();
        assert!(told.is_empty() && !loaded.config.sections.is_empty(), "{}", told.join("\n"));
    }
    assert_eq!(examples.len(), 3);
}

#[test]
fn the_command_line_wins() {
    let text = "ttl = never\ndane_directory = dane\n[a.example]\ntlsa = 311 25\napi = exec true\n";
    let overrides = Overrides { ttl: Some(5), dane_directory: Some("/d".into()), ..Overrides::default() };
    let loaded = parse(Path::new("x.conf"), text.as_bytes(), &overrides, &Machine);
    let config = &loaded.config;
    assert_eq!((loaded.errors.len(), config.ttl, config.dane_directory.as_path()), (2, Some(5), Path::new("/d")));
    assert_eq!((config.sections.len(), config.broken.len()), (1, 0), "what is overridden holds up nobody");
}

/// One configuration file, and what kind of file it is.
struct Only(Kind, u32, &'static [u8]);

impl Lookups for Only {
    fn user(&self, _: &str) -> Result<Option<User>, String> {
        Ok(None)
    }

    fn group(&self, _: &str) -> Result<Option<(String, u32)>, String> {
        Ok(None)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        match path == Path::new("/etc/x.conf") {
            true => {
                let size = self.2.len() as u64;
                Ok(Stat {
                    kind: self.0,
                    device: 1,
                    inode: 1,
                    size,
                    mode: self.1,
                    uid: 0,
                    gid: 0,
                    changed: None,
                    print: None,
                })
            }
            false => Err(io::Error::other(format!("{}: no such file", path.display()))),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.2 {
            b"" => Err(io::Error::other(format!("{}: permission denied", path.display()))),
            text => Ok(text.to_vec()),
        }
    }
}

#[test]
fn files_that_cannot_be_read() {
    let good = b"[a.example]\ntlsa = 311 25\napi = exec true\n";
    for (path, file, expected) in [
        (
            "/etc/y.conf",
            Only(Kind::File, 0o644, good),
            Err("the configuration file /etc/y.conf cannot be read: no such file"),
        ),
        (
            "/etc/x.conf",
            Only(Kind::File, 0o644, b""),
            Err("the configuration file /etc/x.conf cannot be read: permission denied"),
        ),
        (
            "/etc/x.conf",
            Only(Kind::Dir, 0o755, good),
            Err("the configuration file /etc/x.conf cannot be read: it is not a regular file"),
        ),
        ("/etc/x.conf", Only(Kind::File, 0o644, good), Ok("")),
        (
            "/etc/x.conf",
            Only(Kind::File, 0o666, good),
            Err(
                "the configuration file /etc/x.conf cannot be read: /etc/x.conf can be changed by everybody (mode 0666): run \
                 \"chmod o-w /etc/x.conf\"",
            ),
        ),
    ] {
        let found = load_from(&file, Path::new(path), &Overrides::default());
        let told = found.map(|loaded| {
            assert_eq!((loaded.errors.len(), loaded.config.sections.len()), (0, 1));
            loaded.warnings.iter().map(ToString::to_string).collect::<String>()
        });
        assert_eq!(told.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }
}

proptest! {
    /// Nothing that a file may hold makes the reader panic, and every section is either good or broken.
    #[test]
    fn hostile_files(lines in proptest::collection::vec(
        "\\[[a-c/. \\]]{0,4}\\]?|(tlsa|api|ttl|hold|reload|x) ?= ?[0-9a-z:'\"#=. é]{0,9}|(api = rfc2136|tlsa = 311) .{0,9}|tlsa = 311 25 (mx:|san).{0,4}|.{0,9}", 0..9,
    ), bytes in proptest::collection::vec(any::<u8>(), 0..4), at in 0_usize..40) {
        let mut text = lines.join("\n").into_bytes();
        let at = at.min(text.len());
        text.splice(at..at, bytes);
        let loaded = parse(Path::new("x.conf"), &text, &Overrides::default(), &Machine);
        for diagnostic in loaded.errors.iter().chain(&loaded.warnings) {
            prop_assert!(diagnostic.to_string().lines().count() <= 4, "{diagnostic}");
        }
        let config = loaded.config;
        prop_assert!(config.sections.iter().all(|section| !config.broken.contains(&section.name)));
        prop_assert!(config.sections.iter().all(|section| !section.tlsa.is_empty() || !section.wanted.is_empty()));
        prop_assert!(config.broken.iter().all(|name| !name.contains('/') && !name.starts_with('.')));
    }
}

#[test]
fn too_long() {
    let loaded = parse(Path::new("x.conf"), &vec![b'\n'; 33 << 20], &Overrides::default(), &Machine);
    assert_eq!(
        loaded.errors.iter().map(ToString::to_string).collect::<String>(),
        "x.conf: a configuration file is at most 32 MiB long"
    );
}

#[test]
fn no_secret_is_told() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "err") {
            let text = fs::read_to_string(&path).unwrap();
            for secret in ["c2VjcmV0", "1234567890abcdef", "abcdefgh"] {
                assert!(!text.contains(secret), "{}", path.display());
            }
        }
    }
}
