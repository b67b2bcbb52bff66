//! One lineage in full.

use super::{
    Await, Dane, DaneState, Generation, Lineage, LookedUp, Owner, Record, RecordState, Role,
    table::{Cell, Colour, Page, cell, word},
    text::colour,
};
use crate::{
    lineage::GenerationId,
    name::DnsName,
    plan::span,
    report::words::{date, list},
};

/// So many reasons of one wait are shown.
const REASONS: usize = 4;

/// What it is, what is there, what is awaited.
pub fn detail(page: &mut Page, lineage: &Lineage) {
    page.paragraph("", &format!("{}: {}", lineage.name, lineage.phase), colour(lineage.phase));
    page.paragraph("  ", &lineage.says.replace("LINEAGE", &lineage.name), Colour::None);
    for trouble in &lineage.troubles {
        page.paragraph("  ! ", &shorten(trouble), Colour::Red);
    }
    for later in &lineage.later {
        page.paragraph("  ! ", &shorten(&format!("in the last run: {later}")), Colour::Yellow);
    }
    generations(page, lineage);
    page.paragraph("  ", &dane(&lineage.dane), Colour::None);
    lineage.hosts.iter().for_each(|looked_up| hosts(page, looked_up));
    for at in &lineage.owners {
        page.gap();
        owner(page, lineage, at);
    }
    if !(lineage.awaits.is_empty() && lineage.owes.is_empty() && lineage.by_hand.is_empty() && lineage.next.is_empty())
    {
        page.gap();
    }
    lineage.awaits.iter().for_each(|wait| awaited(page, wait));
    for command in &lineage.owes {
        page.paragraph("  ", &format!("Owed: `{command}`; each run tries it until it succeeds."), Colour::Yellow);
    }
    by_hand(page, lineage);
    if !lineage.next.is_empty() {
        page.paragraph("  ", "The next run will:", Colour::None);
        lineage.next.iter().for_each(|step| page.paragraph("    - ", &shorten(step), Colour::None));
    }
}

/// Each line stands there as it has to be in the zone, however long it is.
fn by_hand(page: &mut Page, lineage: &Lineage) {
    let mut last = "";
    for todo in &lineage.by_hand {
        if todo.says != last {
            page.paragraph("  ", &format!("By hand: {}:", todo.says), Colour::Yellow);
        }
        last = &todo.says;
        page.raw(4, &todo.line);
    }
}

fn generations(page: &mut Page, lineage: &Lineage) {
    if lineage.generations.is_empty() {
        return;
    }
    page.gap();
    let heading = ["CERTIFICATE", "GENERATION", "KEY", "EXPIRES", "NAMES"];
    let mut rows: Vec<Vec<Cell>> = vec![heading.iter().map(|title| cell(title, Colour::Bold)).collect()];
    for generation in &lineage.generations {
        let expired = generation.seconds_left.is_some_and(|left| left <= 0);
        rows.push(vec![
            word(label(generation)),
            word(generation.id.as_str()),
            word(generation.key.as_deref().unwrap_or("unreadable")),
            cell(generation.not_after.map_or("-".into(), date), if expired { Colour::Red } else { Colour::None }),
            word(names(generation)),
        ]);
    }
    page.table(2, 4, &rows);
}

fn names(generation: &Generation) -> String {
    match generation.names.as_slice() {
        [] => "-".into(),
        [name] => name.clone(),
        [name, rest @ ..] => format!("{name} +{}", rest.len()),
    }
}

/// What a generation is, in a word or two.
fn label(generation: &Generation) -> String {
    let is = |role| generation.roles.contains(&role);
    let word = |role: &Role| match role {
        Role::Served => "served",
        Role::Candidate => "candidate",
        Role::Live => "live",
        Role::Old => "old",
        Role::Barred => "barred",
    };
    let roles = generation.roles.iter().filter(|role| !(is(Role::Candidate) && **role == Role::Live));
    list(&roles.map(word).collect::<Vec<_>>())
}

fn dane(dane: &Dane) -> String {
    let id = dane.generation.as_ref().map_or("", GenerationId::as_str);
    let why = dane.why.as_deref().unwrap_or_default();
    let held = if dane.held { "; held by --pre until --post" } else { "" };
    match dane.state {
        DaneState::FollowsLive => format!("The dane directory follows live/{held}."),
        DaneState::Pinned => format!("The dane directory is pinned to generation {id}{held}."),
        DaneState::Damaged => {
            format!("The dane directory is DAMAGED: pinned to generation {id}, whose files are lost: {why}{held}.")
        }
        DaneState::Foreign => format!("The dane directory shows generation {id}, laid out by somebody else."),
        DaneState::Missing => "There is no dane directory for it yet: `daneroll --reset` makes it.".into(),
        DaneState::Unknown => format!("What services read cannot be told: {why}"),
    }
}

/// What the lines stand for whose hosts are looked up.
fn hosts(page: &mut Page, looked_up: &LookedUp) {
    let names = |names: &[DnsName]| list(&names.iter().map(|name| name.without_dot().to_owned()).collect::<Vec<_>>());
    let mut text = match looked_up.hosts.is_empty() {
        true => format!("\"{}\": its hosts are not known yet", looked_up.from),
        false => format!("\"{}\" stands for {}", looked_up.from, names(&looked_up.hosts)),
    };
    if !looked_up.leaving.is_empty() {
        text += &format!("; no longer, but kept while caches may name it: {}", names(&looked_up.leaving));
    }
    if !looked_up.left_out.is_empty() {
        text += &format!("; no host's name: {}", list(&looked_up.left_out));
    }
    page.paragraph("  ", &text, Colour::None);
}

fn owner(page: &mut Page, lineage: &Lineage, owner: &Owner) {
    let asked = match owner.asked {
        _ if !owner.configured => " (no longer configured)".into(),
        Some(seconds) => format!(" (seen {} ago)", span(seconds)),
        None => " (not looked at yet)".into(),
    };
    page.paragraph("  ", &format!("{}{asked}", owner.owner), Colour::Bold);
    if let Some(target) = &owner.target {
        page.paragraph("    ", &format!("is an alias of {target}"), Colour::None);
    }
    if let Some(why) = &owner.why {
        page.paragraph("    ! ", &format!("its name servers are not known: {why}"), Colour::Red);
    }
    match owner.dnssec.state {
        "insecure" => page.paragraph("    ! ", "the zone is not signed: no client uses these records", Colour::Red),
        "bogus" => {
            let why = owner.dnssec.why.as_deref().unwrap_or("no reason told");
            page.paragraph("    ! ", &format!("BOGUS, so clients refuse it: {why}"), Colour::Red);
        }
        _ => {}
    }
    for server in &owner.servers {
        if let Some(why) = &server.why {
            let address = server.address.map(|address| format!(" ({address})")).unwrap_or_default();
            page.paragraph("    ! ", &format!("name server {}{address}: {why}", server.name), Colour::Yellow);
        }
    }
    let rows: Vec<Vec<Cell>> = owner.records.iter().map(|known| record(lineage, owner, known)).collect();
    page.table(4, 3, &rows);
    presents(page, lineage, owner);
}

fn record(lineage: &Lineage, owner: &Owner, record: &Record) -> Vec<Cell> {
    let (state, colour) = match record.state {
        RecordState::Published => ("published", Colour::Green),
        RecordState::Found => ("found there", Colour::Green),
        RecordState::Publishing => ("being published", Colour::Yellow),
        RecordState::Missing => ("MISSING", Colour::Red),
        RecordState::Deleting => ("being deleted", Colour::Yellow),
        RecordState::Foreign => ("not ours", Colour::None),
    };
    let answering = owner.servers.iter().filter(|server| server.why.is_none()).count();
    let shown = match owner.servers.as_slice() {
        [] => "nobody asked".into(),
        [only] if only.address.is_none() => "provider's word".into(),
        _ => format!("{} of {answering} servers", record.shown_by),
    };
    let mut whom: Vec<String> = record.generations.iter().map(|id| role(lineage, id)).collect();
    whom.extend(record.lineages.iter().filter(|other| **other != lineage.name).map(|other| format!("lineage {other}")));
    whom.dedup();
    let whom = if whom.is_empty() { "no certificate of ours".into() } else { format!("for {}", list(&whom)) };
    vec![word(shorten(&record.record.to_string())), cell(state, colour), word(shown), word(whom)]
}

fn role(lineage: &Lineage, id: &GenerationId) -> String {
    let known = lineage.generations.iter().find(|generation| generation.id == *id);
    known.map(label).filter(|label| !label.is_empty()).unwrap_or_else(|| "an old one".into())
}

fn presents(page: &mut Page, lineage: &Lineage, owner: &Owner) {
    for seen in &owner.presents {
        let address = seen.address.map_or("the service".into(), |address| address.to_string());
        let mut what: Vec<String> = seen.generations.iter().map(|id| role(lineage, id)).collect();
        what.extend((seen.others > 0).then(|| "a certificate of somebody else".into()));
        what.extend(seen.why.clone());
        page.paragraph("    ", &format!("{address} presents: {}", list(&what)), Colour::None);
    }
}

fn awaited(page: &mut Page, wait: &Await) {
    let until = match wait.until {
        Some(until) => format!(", for {} more at least", span(until.seconds_left)),
        None => String::new(),
    };
    page.paragraph("  ", &format!("Waiting to {}{until}:", shorten(&wait.text)), Colour::None);
    for why in wait.reasons.iter().take(REASONS) {
        page.paragraph("    - ", &shorten(&why.text), Colour::None);
    }
    let more = wait.reasons.len().saturating_sub(REASONS);
    if more > 0 {
        page.paragraph("    - ", &format!("and {more} more (--json tells all)"), Colour::None);
    }
}

/// The text with long runs of hex digits cut to their beginning.
pub fn shorten(text: &str) -> String {
    let short = |word: &str| {
        let digits = word.chars().take_while(char::is_ascii_hexdigit).count();
        match digits >= 40 {
            true => format!("{}..{}", &word[..16], &word[digits..]),
            false => word.into(),
        }
    };
    text.split(' ').map(short).collect::<Vec<String>>().join(" ")
}
