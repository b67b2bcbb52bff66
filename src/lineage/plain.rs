//! PEM files that somebody writes: one with everything, or several.

use super::source::{Client, Parts, Takes};

/// `source = pem FILE …`.
pub const CLIENT: Client = Client {
    name: "pem",
    takes: Takes::Files,
    files: |places, _| Ok(Parts { needed: places.paths.to_vec(), optional: Vec::new() }),
};
