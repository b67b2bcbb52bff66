//! The audit: what was seen becomes findings. Judging is pure; text, JSON and metrics are made from the findings.

mod chains;
mod finding;
mod mail;
mod matching;
mod metrics;
mod owner;
mod rollover;
mod servers;
mod shown;
mod text;

pub use finding::{Finding, Kind, Severity};
pub use owner::{Subject, owner};
pub use rollover::rollovers;
pub use shown::{Audit, Counts, Owner, document};
pub use text::{text, usage};

pub(crate) use metrics::metrics;
