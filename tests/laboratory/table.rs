//! The summary.

use crate::watch::{Switch, Verdicts};

/// One line of it.
pub struct Row {
    pub number: u8,
    pub title: &'static str,
    /// None if it failed.
    pub verdicts: Option<Verdicts>,
}

/// All of it, as README has it.
pub fn table(rows: &[Row]) -> String {
    let mut text = "| scenario | client samples | failed | looks judged | violations | seconds from renewal to switch | least possible | run interval |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for Row { number, title, verdicts } in rows {
        let cells = match verdicts {
            Some(v) => {
                let took = slowest(&v.switches).map_or_else(
                    || " | | ".to_owned(),
                    |Switch { took, least, interval }| {
                        let interval = interval.map_or_else(String::new, |interval| format!("{interval:.1}"));
                        format!("{took:.1} | {least:.1} | {interval}")
                    },
                );
                let (failed, violations) = (v.failed.len(), v.violations.len());
                format!("{} | {failed} | {} | {violations} | {took}", v.samples, v.looks)
            }
            None => "did not end well | | | | | |".to_owned(),
        };
        text += &format!("| {number}. {title} | {cells} |\n");
    }
    text
}

/// The switch that took the longest beyond what it had to take.
pub fn slowest(switches: &[Switch]) -> Option<&Switch> {
    switches.iter().max_by(|a, b| (a.took - a.least).total_cmp(&(b.took - b.least)))
}
