//! What people and files write in words: the command line, names, records, resolv.conf.

use super::{assert_plain, world};
use daneroll::{
    cli::{self, Arguments, Command, Hints},
    config,
    env::real::nameservers,
    lineage::GenerationId,
    name::DnsName,
    run,
    tlsa::{Association, Param},
};
use std::{
    ffi::{OsStr, OsString},
    fmt::{Debug, Display},
    os::unix::ffi::OsStrExt,
    str::FromStr,
};

/// A year, the longest duration that there is, in seconds.
const YEAR: u64 = 365 * 86_400;

/// Arguments, a line each. Whatever they are, the program says something sensible.
pub fn command_line(data: &[u8]) {
    let words = data.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned());
    let words: Vec<OsString> = std::iter::once(OsString::from("daneroll")).chain(words).collect();
    match cli::parse(words.into_iter()) {
        Ok(arguments) => carry_out(arguments),
        Err(exit) => {
            assert!(matches!(exit.code, 0 | 2 | 3) && exit.text.ends_with('\n'));
            assert_eq!(exit.to_stderr, exit.code != 0);
        }
    }
}

fn carry_out(arguments: Arguments) {
    assert!(arguments.overrides.ttl.is_none_or(|ttl| ttl <= YEAR));
    if let Command::Check(check) = &arguments.command {
        assert!(check.timeout <= YEAR);
    }
    // To wait for what never comes is the operator's wish.
    let arguments = Arguments { wait: false, ..arguments };
    let world = world::small();
    let loaded = config::load(&world, &arguments.config, &arguments.overrides);
    let report = world.survive(|world| run(world, &arguments, &Hints::default(), &loaded)).unwrap();
    assert!(report.exit <= 4, "exit {}", report.exit);
    assert_plain(&report.text);
    if arguments.json && arguments.command.only_looks() && loaded.is_ok() {
        serde_json::from_str::<serde_json::Value>(&report.text).unwrap();
    }
}

/// One text as everything that is written in a word or two.
pub fn words(data: &[u8]) {
    nameservers(data).iter().for_each(|server| assert_eq!(server.port(), 53));
    let text = String::from_utf8_lossy(data);
    again::<DnsName>(&text);
    again::<Association>(&text);
    again::<Param>(&text);
    if let Some(id) = GenerationId::parse(&text) {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(name) = text.parse::<DnsName>() {
        check_name(&name);
    }
}

/// What can be read can be written, and read again.
fn again<T: FromStr<Err: Debug> + Display + Debug + PartialEq>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let written = read.to_string();
        assert_plain(&written);
        assert_eq!(written.parse::<T>().as_ref().ok(), Some(&read), "{text:?} written as {written:?}");
    }
}

/// What holds for every name.
pub fn check_name(name: &DnsName) {
    assert_eq!(DnsName::from(&name.to_name()), *name, "another name for hickory");
    assert_eq!(DnsName::try_from(name.to_string()).as_ref(), Ok(name), "written and read again");
    assert!(name.as_str().ends_with('.') && name.as_str().is_ascii());
    let above = std::iter::successors(name.parent(), DnsName::parent);
    let mut labels = 0;
    for above in above {
        assert!(name.is_within(&above) && !above.is_within(name), "{name} and {above}");
        labels += 1;
    }
    assert_eq!(labels, usize::from(name.to_name().num_labels()) + usize::from(name.as_str().starts_with("*.")));
}
