//! Metrics for the textfile collector of Prometheus' node exporter.

use crate::{
    env::Files,
    journal::{Journal, clock::Stamp},
    plan::{Step, Wait},
};
use std::{collections::BTreeMap, fmt::Write, path::Path};

/// Everybody may read them.
pub const MODE: u32 = 0o644;

/// Metrics in the text format.
#[derive(Default)]
pub struct Metrics(String);

impl Metrics {
    /// A family with its samples, each with label names and values. Without samples there is no family.
    pub fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    /// The text.
    pub fn text(self) -> String {
        self.0
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The largest value of each key: one sample for one set of labels.
pub fn longest<K: Ord>(samples: impl Iterator<Item = (K, f64)>) -> BTreeMap<K, f64> {
    let mut longest = BTreeMap::new();
    for (key, value) in samples {
        let most: &mut f64 = longest.entry(key).or_insert(value);
        *most = most.max(value);
    }
    longest
}

/// What a run tells.
pub struct Ran<'a> {
    /// Its exit code.
    pub exit: u8,
    /// When it ended, Unix seconds.
    pub ended: i64,
    /// Seconds until another is worth while.
    pub next_in: u64,
    /// The moment of its last look.
    pub now: Stamp,
    /// What it waits for.
    pub waits: &'a [Wait],
    /// How many things are wrong.
    pub troubles: usize,
    /// What it remembers.
    pub journal: &'a Journal,
}

impl Ran<'_> {
    /// The text of a file for the textfile collector.
    pub fn metrics(&self) -> String {
        let mut metrics = Metrics::default();
        let mut one = |name: &str, help: &str, value: f64| metrics.gauge(name, help, [(vec![], value)]);
        one("daneroll_last_run_timestamp_seconds", "When the last run ended.", self.ended as f64);
        one("daneroll_last_run_exit_code", "Its exit code, see daneroll(8).", f64::from(self.exit));
        one("daneroll_last_run_troubles", "How many things it found wrong.", self.troubles as f64);
        one("daneroll_next_run_seconds", "After so long another run is worth while.", self.next_in as f64);
        let mut counts = BTreeMap::new();
        for wait in self.waits {
            *counts.entry(labels_of(wait)).or_insert(0.0) += 1.0;
        }
        metrics.gauge("daneroll_pending_waits", "What the last run waited for.", counts.iter().map(sample));
        let left = self.waits.iter().filter_map(|wait| {
            let until = wait.reasons.iter().filter_map(|reason| reason.until()).max()?;
            Some((labels_of(wait), until.until(self.now) as f64))
        });
        let left = longest(left);
        metrics.gauge(
            "daneroll_wait_left_seconds",
            "Time until the moment that the step waited for, at the end of the last run.",
            left.iter().map(sample),
        );
        let served = self.journal.lineages.iter().filter_map(|(name, doc)| {
            let served = doc.presented.iter().find(|presented| presented.left.is_none())?;
            Some((vec![("lineage", name.as_str())], served.not_after as f64))
        });
        metrics.gauge(
            "daneroll_certificate_expiry_timestamp_seconds",
            "End of the certificate that the dane directory shows.",
            served,
        );
        metrics.text()
    }

    /// Writes the file. That it cannot be written is no failure of the run: it stops being fresh, which monitoring sees.
    pub fn write(&self, files: &dyn Files, file: &Path) {
        if let Err(error) = files.write(file, self.metrics().as_bytes(), MODE) {
            tracing::warn!("the metrics cannot be written (prometheus_file): {error}");
        }
    }
}

type Labels<'a> = (&'a str, &'static str);

fn labels_of(wait: &Wait) -> Labels<'_> {
    let step = match wait.step {
        Step::Install(_) => "install",
        Step::Switch(_) => "switch",
        Step::Publish(_) => "publish",
        Step::Delete(..) => "delete",
        Step::Retire(_) => "retire",
        Step::Leave => "leave",
        Step::Find(_) => "find",
        Step::Copy => "copy",
    };
    (&wait.lineage, step)
}

fn sample<'a>((&(lineage, step), value): (&Labels<'a>, &f64)) -> (Vec<(&'a str, &'a str)>, f64) {
    (vec![("lineage", lineage), ("step", step)], *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_families_without_samples_left_out() {
        let mut metrics = Metrics::default();
        metrics.gauge("daneroll_x_seconds", "X.", [(vec![("lineage", "a\"b\\c\nd"), ("step", "")], 1.5)]);
        metrics.gauge("daneroll_y", "Y.", []);
        metrics.gauge("daneroll_z_seconds", "Z.", [(vec![], 1_800_000_000.0)]);
        let expected = "# HELP daneroll_x_seconds X.\n# TYPE daneroll_x_seconds gauge\n\
                        daneroll_x_seconds{lineage=\"a\\\"b\\\\c\\nd\",step=\"\"} 1.5\n\
                        # HELP daneroll_z_seconds Z.\n# TYPE daneroll_z_seconds gauge\ndaneroll_z_seconds 1800000000\n";
        assert_eq!(metrics.text(), expected);
    }
}
