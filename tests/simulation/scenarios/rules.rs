//! The rules behind the gates, one by one: each test fails without its rule.

mod answers;
mod records;
mod runs;
mod servers;
