//! An audit as metrics. Their names begin with `daneroll_check_`, those of runs do not, so that both files can lie in one
//! directory.

use super::{Audit, Owner};
use crate::report::prometheus::{Metrics, longest};

/// The text of a file for the textfile collector.
pub(crate) fn metrics(audit: &Audit) -> String {
    let mut metrics = Metrics::default();
    let counts = audit.findings_by_state;
    metrics.gauge("daneroll_check_timestamp_seconds", "When the last check ended.", [(vec![], audit.checked as f64)]);
    metrics.gauge("daneroll_check_duration_seconds", "How long it took.", [(vec![], audit.seconds)]);
    metrics.gauge("daneroll_check_state", STATES, [(vec![], f64::from(audit.exit))]);
    let severities =
        [("critical", counts.critical), ("warning", counts.warning), ("unknown", counts.unknown), ("ok", counts.ok)];
    let samples = severities.map(|(severity, count)| (vec![("severity", severity)], count as f64));
    metrics.gauge("daneroll_check_findings", "Findings of the last check by severity.", samples);
    let lineages: Vec<String> =
        audit.owners.iter().map(|owner| owner.lineages.iter().cloned().collect::<Vec<_>>().join(" ")).collect();
    let owners = || audit.owners.iter().zip(&lineages).map(labelled);
    let states = owners().map(|(labels, owner)| (labels, f64::from(owner.state.code())));
    metrics.gauge("daneroll_check_owner_state", STATES, states);
    let ends = owners().filter_map(|(labels, owner)| Some((labels, owner.not_after? as f64)));
    metrics.gauge(
        "daneroll_check_certificate_expiry_timestamp_seconds",
        "End of the certificate that ends first among those presented.",
        ends,
    );
    let waits =
        audit.waits.iter().filter_map(|wait| Some(((wait.lineage.as_str(), wait.step.as_str()), wait.left? as f64)));
    metrics.gauge(
        "daneroll_check_wait_left_seconds",
        "Time until the moment that the lineage's next step waits for.",
        longest(waits).into_iter().map(|((lineage, step), left)| (vec![("lineage", lineage), ("step", step)], left)),
    );
    metrics.text()
}

const STATES: &str = "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.";

fn labelled<'a>((owner, lineages): (&'a Owner, &'a String)) -> (Vec<(&'a str, &'a str)>, &'a Owner) {
    (vec![("owner", owner.owner.as_str()), ("lineage", lineages.as_str())], owner)
}
