//! The status for people: an overview, then what is going on, where something is.

pub use super::table::Paint;

use super::{
    Lineage, Phase, Status,
    detail::{detail, shorten},
    table::{Cell, Colour, Page, cell, word},
};
use crate::{
    plan::span,
    report::words::{date, date_and_time, list},
};

/// A run that is so late is worth a word, seconds.
const LATE: i64 = 86_400;

/// The whole text. `detailed`: every lineage in full, also those where nothing goes on.
pub fn text(status: &Status, detailed: bool, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if status.lineages.is_empty() {
        if !detailed {
            beginning(&mut page, status);
        }
        return page.text;
    }
    overview(&mut page, status);
    let quiet = |lineage: &Lineage| {
        matches!(lineage.phase, Phase::Settled | Phase::Withdrawn)
            && lineage.troubles.is_empty()
            && lineage.later.is_empty()
    };
    for lineage in &status.lineages {
        if detailed || status.lineages.len() == 1 || !quiet(lineage) {
            page.gap();
            detail(&mut page, lineage);
        }
    }
    page.gap();
    footer(&mut page, status);
    page.text
}

/// The colour of a phase.
pub fn colour(phase: Phase) -> Colour {
    match phase {
        Phase::Settled | Phase::Withdrawn => Colour::Green,
        phase if phase.alarms() => Colour::Red,
        _ => Colour::Yellow,
    }
}

fn overview(page: &mut Page, status: &Status) {
    let heading = ["LINEAGE", "STATE", "EXPIRES", "NEXT"];
    let mut rows: Vec<Vec<Cell>> = vec![heading.iter().map(|title| cell(title, Colour::Bold)).collect()];
    for lineage in &status.lineages {
        rows.push(vec![
            word(&lineage.name),
            cell(lineage.phase.to_string(), colour(lineage.phase)),
            expiry(lineage),
            word(next(lineage)),
        ]);
    }
    page.table(0, 0, &rows);
}

/// When the served certificate ends; that of `live/` where none is served.
fn expiry(lineage: &Lineage) -> Cell {
    let found = lineage.generations.iter().find_map(|generation| generation.not_after.zip(generation.seconds_left));
    match found {
        Some((_, ..=0)) => cell("EXPIRED", Colour::Red),
        Some((end, left)) => word(format!("{} ({})", date(end), span(left.unsigned_abs()))),
        None => word("-"),
    }
}

/// What comes next for a lineage, in a few words.
fn next(lineage: &Lineage) -> String {
    let awaited = lineage.awaits.iter().find(|wait| wait.passes);
    match awaited {
        _ if !lineage.next.is_empty() => "with the next run".into(),
        Some(wait) => match wait.until {
            Some(until) => format!("{} in {}", wait.step, span(until.seconds_left)),
            None => format!("{}, not yet", wait.step),
        },
        None => "-".into(),
    }
}

fn footer(page: &mut Page, status: &Status) {
    match &status.last_run {
        None => page.paragraph("", "No run yet: `daneroll` without a command does what is due.", Colour::None),
        Some(last) => {
            let ago = span(u64::try_from(status.time.saturating_sub(last.ended)).unwrap_or(0));
            let text = format!("Last run: {}, {ago} ago, exit {}.", date_and_time(last.ended), last.exit);
            page.paragraph("", &text, if last.exit == 0 { Colour::None } else { Colour::Red });
            for trouble in last.troubles.iter().filter(|trouble| trouble.lineage.is_none()) {
                page.paragraph("  ! ", &shorten(&trouble.text), Colour::Red);
            }
            let told = |later: &str| {
                let its = |lineage: &Lineage| last.later_of(&lineage.name).any(|text| later.ends_with(text));
                status.lineages.iter().any(its)
            };
            for later in last.later.iter().filter(|later| !told(later)) {
                page.paragraph("  ! ", &shorten(later), Colour::Yellow);
            }
            let due = last.ended.saturating_add_unsigned(last.next_in);
            if status.time.saturating_sub(due) > LATE {
                let text = "It is long since a run was due: is there a timer or a cron job for `daneroll`?";
                page.paragraph("", text, Colour::Red);
            }
        }
    }
    match status.next_run {
        Some(next) if next.seconds_left > 0 => {
            let text = format!("Worth running again in {} ({}).", span(next.seconds_left), date_and_time(next.at));
            page.paragraph("", &text, Colour::None);
        }
        Some(_) => page.paragraph("", "Worth running now.", Colour::None),
        None => {}
    }
    if !status.live {
        page.paragraph("", "Name servers: as the last runs saw them; --live asks them now.", Colour::None);
    }
    if !status.unconfigured.is_empty() {
        let text = format!("In live/ without a section: {}.", list(&status.unconfigured));
        page.paragraph("", &text, Colour::None);
    }
}

/// Nothing is configured: how to begin.
fn beginning(page: &mut Page, status: &Status) {
    page.paragraph("", &format!("No lineage is configured in {}.", status.configuration), Colour::Bold);
    let example = status.unconfigured.first().map_or("mx.example.com", String::as_str);
    if !status.unconfigured.is_empty() {
        page.paragraph("", &format!("In live/ there are: {}.", list(&status.unconfigured)), Colour::None);
    }
    page.gap();
    let text = "To begin, write a section for a lineage there: which TLSA records it has, who edits the zone, and what \
                reloads the services. For a mail host and a name server with dynamic updates:";
    page.paragraph("", text, Colour::None);
    page.gap();
    for line in [
        format!("[{example}]"),
        "tlsa = 311 25".into(),
        "api = rfc2136 ns1.example.com key:/etc/daneroll/tsig.key".into(),
        "reload = systemctl reload postfix".into(),
    ] {
        page.paragraph("    ", &line, Colour::None);
    }
    page.gap();
    let text = "Then `daneroll --config-test` checks it, `daneroll --reset` builds the dane directory, and `daneroll` \
                publishes the records. See daneroll(8), SETTING UP.";
    page.paragraph("", text, Colour::None);
}
