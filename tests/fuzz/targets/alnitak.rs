//! What Alnitak left behind.

use daneroll::journal::alnitak::{LeftState, parse};

/// `alnitak.data`. Whatever was read can be written down again, and is then read as the same.
pub fn alnitak_data(data: &[u8]) {
    let left = parse(data);
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(left.damaged.iter().all(|(line, why)| (1..=lines).contains(line) && !why.is_empty()));
    let mut text = String::new();
    for (name, pin) in &left.pins {
        assert!(!pin.links.is_empty() && !name.starts_with('.') && !name.contains('/'));
        for link in &pin.links {
            text += &format!("{name} \"{}\" \"/l\" \"/a\" {}\n", link.display(), u8::from(pin.renewed));
        }
    }
    for left in &left.records {
        let labels = left.query.without_dot().splitn(3, '.').collect::<Vec<_>>();
        let [port, protocol, domain] = labels[..] else { return };
        let (port, protocol) = (port.trim_start_matches('_'), protocol.trim_start_matches('_'));
        let (word, state) = match left.state {
            LeftState::Published => ("", "0"),
            LeftState::Unpublished => ("", "1"),
            LeftState::Owed => ("delete ", "3"),
        };
        let (lineage, param, data) = (&left.lineage, left.param, left.record.hex());
        text += &format!("{lineage} {word}{param} {port} {protocol} {domain} 5 {state} {data}\n");
    }
    // Names with escapes and names of other alphabets are written in other ways than they are read.
    if text.is_ascii() && !text.contains('\\') && data.is_ascii() {
        let again = parse(text.as_bytes());
        assert!(again.damaged.is_empty(), "{:?} in {text:?}", again.damaged);
        assert_eq!(again.pins.keys().collect::<Vec<_>>(), left.pins.keys().collect::<Vec<_>>());
        let records = |left: &daneroll::journal::alnitak::Left| {
            left.records.iter().map(|left| (left.query.clone(), left.record.clone(), left.state)).collect::<Vec<_>>()
        };
        assert_eq!(records(&again), records(&left));
    }
}
