//! Scenarios: what takes real servers off the air (S1 … S40), each watched by the oracle at every step.

mod directory;
mod hooks;
mod rules;
mod tools;

use crate::{
    certs::Renewal,
    lab::{DAY, HOUR, Lab},
};

const MX: &str = "mx.example.com";

/// S1: a renewal makes a new key.
#[test]
fn s01_renewed_with_a_new_key() {
    let lab = Lab::with(MX, "311 25").start();
    lab.first_use();
    lab.renew(MX, Renewal::default());
    lab.cron(HOUR, 2 * DAY);
    lab.assert_settled(MX);
}
