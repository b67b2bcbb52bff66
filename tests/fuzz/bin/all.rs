//! All targets in one program, which is linked once: `FUZZ_TARGET` says which one to run.

#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

use std::sync::OnceLock;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        match targets::find(&name) {
            Some(target) => drop(TARGET.set(target)),
            None => {
                let names: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
                eprintln!("FUZZ_TARGET={name} is no target; there are {}", names.join(", "));
                std::process::exit(2);
            }
        }
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(data);
        }
    }
);
