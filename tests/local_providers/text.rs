//! The text of a zone file, and single lines of it.

use super::{A, A1, A2, B1, add, delete, name, record};
use daneroll::provider::{
    Change, Operation,
    zonefile::{Edit, Edited, edit},
};

fn edited(before: &str, changes: &[Change]) -> (String, Vec<Edited>) {
    let edits: Vec<Edit<'_>> = changes
        .iter()
        .map(|change| Edit {
            operation: change.operation,
            owner: &change.owner,
            record: &change.record,
            ttl: change.ttl,
        })
        .collect();
    let (bytes, edited) = edit(before.as_bytes(), &edits).unwrap();
    (String::from_utf8(bytes).unwrap(), edited)
}

/// What the file is after adding record 1 at `A`, if that changes it.
#[test]
fn a_record_finds_its_place() {
    let changed = |before: &str, after: &str| {
        assert_eq!(edited(before, &[add(A, 1)]), (after.into(), vec![Edited::Changed]), "{before:?}");
        // And out again: what stood around it is as it was.
        let (left, _) = edited(after, &[delete(A, 1)]);
        assert!(left == before || left == format!("{before}\n"), "{before:?} became {left:?}");
    };
    let already = |before: &str| {
        assert_eq!(edited(before, &[add(A, 1)]), (before.into(), vec![Edited::Already]), "{before:?}");
    };
    changed("", A1);
    changed(A2, &[A1, A2].concat());
    changed(&[A2, B1].concat(), &[A1, A2, B1].concat());
    changed(B1, &[A1, B1].concat());
    changed("; c", &["; c\n", A1].concat());
    changed(&["; one\n\n", B1, "; two\n"].concat(), &["; one\n\n", A1, B1, "; two\n"].concat());
    // The TTL of the RRset.
    let (short, one) = (A2.replace("3600", "60"), A1.replace("3600", "60"));
    changed(&short, &[&one, &short[..]].concat());
    changed(
        "_25._tcp.A.Example.com. 60 TLSA 3 1 2 ff\n",
        &["_25._tcp.A.Example.com. 60 TLSA 3 1 2 ff\n", &one].concat(),
    );
    // Not before what takes owner or TTL from the line above, be it ours or not.
    let leaning = [B1, " 60 IN TXT x\n"].concat();
    changed(&leaning, &[A1, &leaning].concat());
    let leaning = [A2.replace("0202", "0000").as_str(), " 60 IN TXT x\n"].concat();
    changed(&leaning, &[&leaning, A1].concat());
    let leaning = [A2.replace("0202", "0000").as_str(), "c.example.com. TXT x\n"].concat();
    changed(&[&leaning, "; c\n"].concat(), &[&leaning, A1, "; c\n"].concat());
    // One that states nothing and needs nothing.
    let free = ["$TTL 60\n", &A2.replace("0202", "0000"), "c.example.com. TXT x\n"];
    changed(&free.concat(), &[free[0], free[1], A1, free[2]].concat());
    // Quotes, parentheses and backslashes do not lead astray.
    for line in [
        "x 1 TXT \"; \\\" ( \" ; )\n",
        "x 1 TXT ( a ; )\n b\n )\n",
        "x\\; 1 TXT a\n",
        "x\\( 1 TXT a\n",
        "$ORIGIN example.com.\n",
        "$TTL 1h ; d\n",
        "x 1h TLSA 3 1 1 zz\r\n",
        "x 1 TYPE52 \\# 4 030101\n",
        "x 1 IN CH TXT a\n",
        "x 1 CH TLSA 3 1 1 0101\n",
        "\u{e4}\u{f6} 1 TXT \u{fc}\n",
    ] {
        changed(line, &[line, A1].concat());
    }
    for line in [
        A1.to_owned(),
        A1.trim_end().to_owned(),
        A1.to_uppercase(),
        A1.replace("3600 ", ""),
        A1.replace("IN ", ""),
        A1.replace("3600 IN", "IN 1h30m"),
        A1.replace("TLSA 3 1 1 0101", "TYPE52 \\# 5 0301010101"),
        A1.replace("0101", "01 01"),
        A1.replace("3 1 1 0101\n", "( 3 1\n\t1 01 ; x\n\t01 )\n"),
        A1.replace('\n', " ; ours\n"),
        format!("$ORIGIN com.\n$ORIGIN example\n{}", A1.replace(".example.com.", "")),
        format!("$ORIGIN {A}\n@ 60 TLSA 3 1 1 0101\n"),
        format!("{A2}\t60 TLSA 3 1 1 0101\n"),
    ] {
        already(&line);
    }
    // It may be, and twice is harmless.
    let (relative, unknown) = (A1.replace("example.com.", "example"), "\t60 TLSA 3 1 1 0101\n".to_owned());
    for before in [relative, unknown, A1.replace("a.example.com.", "a")] {
        let (after, made) = edited(&before, &[add(A, 1)]);
        assert!(made == [Edited::Changed] && after == format!("{before}{A1}"), "{after}");
    }
}

#[test]
fn only_what_is_ours_for_sure_is_removed() {
    for (before, after) in [
        (A1.to_owned(), ""),
        ([A1, A2].concat(), A2),
        ([A1, A1].concat(), ""),
        (["; x\n", A1, "; y"].concat(), "; x\n; y"),
        ([A1, "$TTL 60\nx TXT a\n"].concat(), "$TTL 60\nx TXT a\n"),
    ] {
        assert_eq!(edited(&before, &[delete(A, 1)]), (after.into(), vec![Edited::Changed]), "{before}");
    }
    for before in ["", A2, B1, "x TXT a\n"] {
        assert_eq!(edited(before, &[delete(A, 1)]), (before.into(), vec![Edited::Already]), "{before}");
    }
    for (before, line, why) in [
        (A1.to_uppercase(), 1, "form that is not ours"),
        (format!("; x\n\n{}", A1.replace('\n', "; mine\n")), 3, "form that is not ours"),
        ([A1, &A1.replace("IN ", "")].concat(), 2, "form that is not ours"),
        ("; x\n_25._tcp.a 60 TLSA 3 1 1 0101\n".into(), 2, "may be the record"),
        ("$INCLUDE y\n 60 TLSA 3 1 1 0101\n".into(), 2, "may be the record"),
        (A1.replace("3 1 1", "dane-ee spki sha-256"), 1, "may be the record"),
        ([A1, " 60 TXT x\n"].concat(), 1, "line 2 takes its owner or TTL"),
        ([A1, "; x\n$ORIGIN y.\nz TXT x\n"].concat(), 1, "line 4 takes its owner or TTL"),
        ([A1, "$INCLUDE y\n"].concat(), 1, "line 2 takes"),
    ] {
        let (after, made) = edited(&before, &[delete(A, 1)]);
        let [Edited::Not(at, told)] = &made[..] else { panic!("{before}: {made:?}") };
        assert!(after == before && *at == line && told.contains(why), "{before}: {at} {told}");
    }
}

#[test]
fn files_that_cannot_be_read_for_sure() {
    for (before, line, why) in [
        ("x TXT ( a\n", 1, "never closed"),
        ("; a\nx TXT (\n ( a )\n\n", 2, "never closed"),
        ("x TXT a )\n", 1, "nothing opened"),
        ("\nx TXT \"a\n\"\n", 2, "quote"),
        ("x TXT \"a", 1, "quote"),
        ("x TXT a\\\n", 1, "backslash"),
        ("x TXT a\\", 1, "backslash"),
        ("x TXT \0\n", 1, "control"),
        ("\n\u{7f}ELF\u{1}\n", 2, "control"),
        ("x\n", 1, "without a type"),
        ("x 60 IN\n", 1, "without a type"),
        (" $TTL 60\n", 1, "after a blank"),
        ("$TTL 60\n@ IN SOA a b ( 1\n 2 3 4 5 )\n", 2, "whole zone"),
        ("@ IN TYPE6 \\# 0\n", 1, "whole zone"),
    ] {
        let (owner, record) = (name(A), record(1));
        let edits = [Edit { operation: Operation::Add, owner: &owner, record: &record, ttl: 1 }];
        let refused = edit(before.as_bytes(), &edits).unwrap_err();
        assert!(refused.line == line && refused.why.contains(why), "{before:?}: {refused:?}");
    }
}
