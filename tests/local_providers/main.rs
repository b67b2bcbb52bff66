//! Providers that work on this host: zone files in the simulated world, where every step can fail or be the last one, and programs
//! that take whole changes, as real processes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[allow(dead_code, reason = "not each uses everything")]
#[path = "../common/changes.rs"]
mod changes;
mod files;
mod programs;
mod text;

use changes::{name, shown as text};
use daneroll::{
    provider::{Change, Context},
    tlsa::Association,
};
use std::time::Duration;

const A: &str = "_25._tcp.a.example.com.";
const B: &str = "_25._tcp.b.example.com.";
/// Records at these owners as they stand in a file.
const A1: &str = "_25._tcp.a.example.com. 3600 IN TLSA 3 1 1 0101\n";
const A2: &str = "_25._tcp.a.example.com. 3600 IN TLSA 3 1 1 0202\n";
const B1: &str = "_25._tcp.b.example.com. 3600 IN TLSA 3 1 1 0101\n";

/// A record that is easy to read.
fn record(byte: u8) -> Association {
    Association { data: vec![byte; 2], ..changes::record(byte) }
}

fn add(owner: &str, byte: u8) -> Change {
    Change { record: record(byte), ..changes::add(owner, byte) }
}

fn delete(owner: &str, byte: u8) -> Change {
    Change { record: record(byte), ..changes::delete(owner, byte) }
}

fn context() -> Context {
    Context { timeout: Duration::from_secs(20), state_directory: "/state".into(), ..changes::context() }
}
