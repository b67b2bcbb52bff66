//! The `daneroll` command.

fn main() {}
