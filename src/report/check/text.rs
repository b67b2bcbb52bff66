//! An audit in a plug-in's words: one line that sums it up, with performance data, then a line for each finding.

use super::{Audit, Finding, Severity};
use crate::plan::span;

/// No text of a finding is longer, in characters: plug-in output is cut after a few kilobytes.
const LONGEST: usize = 400;

/// What is printed. `limit` is the time that there was, seconds.
pub fn text(audit: &Audit, limit: u64) -> String {
    let mut text = format!("DANEROLL {} - {} | {}\n", audit.state.word(), summary(audit), performance(audit, limit));
    for finding in &audit.findings {
        text += &line(finding);
    }
    text
}

/// What is printed in place of an audit when the command line cannot be understood.
pub fn usage(error: &str) -> String {
    let lines = error.lines().filter(|line| !line.trim().is_empty());
    format!("DANEROLL {} - {}\n", Severity::Unknown.word(), lines.map(plain).collect::<Vec<_>>().join("\n"))
}

/// In one line: what is worst, or that all is well.
fn summary(audit: &Audit) -> String {
    let owners = match audit.owners.len() {
        1 => audit.owners[0].owner.clone(),
        many => format!("{many} owners"),
    };
    let alarms = audit.findings.iter().filter(|finding| finding.severity != Severity::Ok);
    match (alarms.clone().next(), alarms.count()) {
        (Some(first), 1) => format!("{}: {}", plain(&first.place), plain(&first.text)),
        (Some(first), many) => format!("{}: {} (and {} more)", plain(&first.place), plain(&first.text), many - 1),
        (None, _) => match audit.first_end() {
            Some(end) => {
                let left = span(u64::try_from(end - audit.checked).unwrap_or(0));
                format!("{owners}: records and certificates match; the first certificate ends in {left}")
            }
            None => format!("{owners}: nothing to complain about"),
        },
    }
}

/// Performance data as plug-ins write it.
fn performance(audit: &Audit, limit: u64) -> String {
    let counts = audit.findings_by_state;
    let mut data = format!(
        "owners={};;;0 critical={};;0;0 warning={};0;;0 unknown={};;;0",
        audit.owners.len(),
        counts.critical,
        counts.warning,
        counts.unknown
    );
    if let Some(end) = audit.first_end() {
        data += &format!(" days_left={:.2}", (end - audit.checked) as f64 / 86_400.0);
    }
    data + &format!(" time={:.3}s;;;0;{limit}", audit.seconds)
}

fn line(finding: &Finding) -> String {
    let Finding { severity, kind, place, text, cure } = finding;
    let cure = if *severity == Severity::Ok { String::new() } else { format!("; {cure}") };
    format!("{}: {}: {}{cure} [{}]\n", severity.word(), plain(place), plain(text), kind.name())
}

/// One line that no monitoring system takes for anything else: performance data begin at a bar, and what name servers and
/// services say comes from strangers.
fn plain(text: &str) -> String {
    let clean = |c: char| match c {
        '|' => '/',
        c if c.is_control() => ' ',
        c => c,
    };
    let mut line: String = text.chars().map(clean).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::check::Kind;

    #[test]
    fn one_bar_and_one_line_each() {
        let hostile = "220 | x=1\r\nOK - | all is well";
        let findings = vec![
            Finding::new(Severity::Unknown, Kind::NotSeen, "_25._tcp.mx.example.com", hostile),
            Finding::new(Severity::Warning, Kind::Insecure, "_25._tcp.mx.example.com", "x".repeat(9_000)),
        ];
        let audit = Audit::new(0, 0.25, Vec::new(), &Default::default(), findings);
        let told = text(&audit, 10);
        assert_eq!((told.matches('|').count(), told.lines().count()), (1, 3), "{told}");
        assert!(told.starts_with("DANEROLL WARNING - _25._tcp.mx.example.com: xxx"), "{told}");
        let data = "owners=0;;;0 critical=0;;0;0 warning=1;0;;0 unknown=1;;;0 time=0.250s;;;0;10";
        assert!(told.lines().next().unwrap().ends_with(&format!("x… (and 1 more) | {data}")), "{told}");
        assert!(told.lines().nth(1).unwrap().ends_with("nobody uses the records [insecure]"), "{told}");
    }
}
