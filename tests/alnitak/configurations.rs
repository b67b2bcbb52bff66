//! `INPUT` is the file, with `\n`, `\r`, `\t`, `\\` and `\xNN`; `EXPECTED` the exit code, the number of errors, and the first of them
//! as daneroll tells it, from line and column on.

use crate::{
    cases::Case,
    world::{Program, World},
};
use std::fs;

/// Alnitak's own words are its own affair, so only code and number are told of it.
pub fn play(program: &Program, case: &Case) -> String {
    let world = World::new(program, case.dialect);
    fs::write(world.path("conf"), bytes(&world.filled(&case.input))).unwrap();
    let word = program.mode(case.dialect, "configtest");
    let ended = world.run(&[word, "-c", "{conf}", "-lno"], None);
    let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("alnitak: error: ");
    let errors: Vec<&str> = ended.err.lines().filter(is_error).collect();
    let conf = world.filled("error: {conf}:");
    let first = errors.first().and_then(|error| error.strip_prefix(&conf)).map(|error| format!("; {error}"));
    format!("{} {}{}", ended.code, errors.len(), first.unwrap_or_default().replace(&world.filled("{dir}"), "{dir}"))
}

fn bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        let (byte, taken) = match (first, more) {
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', high, low, ..]) => {
                (u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap(), 4)
            }
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[taken..];
    }
    bytes
}
