//! The `daneroll` command.

use daneroll::env::supervise;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == supervise::ARGUMENT) {
        return supervise::main(args);
    }
    ExitCode::SUCCESS
}
