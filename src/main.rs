//! The `daneroll` command.

use daneroll::env::supervise;
use std::{env::args_os, process::ExitCode};

fn main() -> ExitCode {
    match args_os().nth(1).is_some_and(|word| word == supervise::ARGUMENT) {
        true => supervise::main(args_os().skip(2)),
        false => daneroll::program(args_os()),
    }
}
