//! A program that takes all changes of a zone at once (`api = exec-json`), and does not always manage.

use super::{EE, MX, OWNER, serves};
use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, Lab},
};
use daneroll::{
    env::{
        Command, Ended, Status,
        sim::{
            World,
            zone::{name, tlsa},
        },
    },
    tlsa::Association,
};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

/// What becomes of one call.
#[derive(Clone, Copy)]
enum Mood {
    /// All is done, and nothing said.
    Silent,
    /// The first change is made, the others are too much for now.
    One,
    /// Nothing is made, and that is said in an answer with exit code 0.
    No,
    /// All is made, and the exit code says otherwise.
    Lies,
    /// An answer that cannot be read.
    Garbled,
}

fn program(world: &World, command: &Command, mood: Mood) -> Ended {
    let request: Value = serde_json::from_str(&command.input).unwrap();
    let changes = request["changes"].as_array().unwrap();
    assert_eq!((request["version"].as_u64(), request["zone"].as_str()), (Some(1), Some("example.com.")));
    let number = |key: &str, change: &Value| u8::try_from(change[key].as_u64().unwrap()).unwrap();
    let made = match mood {
        Mood::Silent | Mood::Lies => changes.len(),
        Mood::One => 1,
        Mood::No | Mood::Garbled => 0,
    };
    for change in &changes[..made] {
        let data = data_encoding::HEXLOWER.decode(change["data"].as_str().unwrap().as_bytes()).unwrap();
        let (usage, selector, matching) =
            (number("usage", change), number("selector", change), number("matching", change));
        let record = tlsa(&Association { usage, selector, matching, data });
        let (owner, ttl) = (name(change["owner"].as_str().unwrap()), 3600);
        world.edit_zone(&name(APEX), |zone| match change["operation"].as_str().unwrap() {
            "add" => zone.add(&owner, ttl, record),
            _ => zone.delete(&owner, &record),
        });
    }
    let outcome = |at: usize, _: &Value| match (mood, at < made) {
        (_, true) => json!({ "number": at + 1, "outcome": "done" }),
        (Mood::One, _) => json!({ "number": at + 1, "outcome": "temporary", "why": "one at a time" }),
        _ => json!({ "number": at + 1, "outcome": "failed", "why": "not in the mood" }),
    };
    let outcomes: Vec<Value> = changes.iter().enumerate().map(|(at, change)| outcome(at, change)).collect();
    let answer = format!("working\n{}\n", json!({ "version": 1, "outcomes": outcomes }));
    let (code, output) = match mood {
        Mood::Silent => (0, String::new()),
        Mood::One | Mood::No => (0, answer),
        Mood::Lies => (7, "lost my way".into()),
        Mood::Garbled => (0, answer[..answer.len() / 2].to_owned()),
    };
    Ended { status: Status::Exited(code), output }
}

/// Each mood strikes in the midst of a rollover of two owners, and each ends well.
#[test]
fn whole_changes() {
    for (mood, fails) in
        [(Mood::Silent, false), (Mood::One, false), (Mood::No, true), (Mood::Lies, true), (Mood::Garbled, true)]
    {
        let lab = Lab::with(MX, "311 25").tlsa("311 465").global("ttl = 3600").api("exec-json /sim/json").start();
        let moods = Rc::new(RefCell::new(VecDeque::new()));
        let coming = moods.clone();
        lab.world.program("/sim/json", move |world, command| {
            let mood = coming.borrow_mut().pop_front().unwrap_or(Mood::Silent);
            program(world, command, mood)
        });
        lab.first_use();
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal::default());
        moods.borrow_mut().push_back(mood);
        assert_eq!(lab.run(&["--post"]) == 1, fails, "{}", lab.told());
        lab.run(&[]);
        lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
        // And again when the old records are deleted.
        moods.borrow_mut().push_back(mood);
        for _ in 0..24 {
            lab.run(&[]);
            lab.pass(HOUR);
        }
        assert!(moods.borrow().is_empty());
        lab.assert_settled(MX);
        assert_eq!(lab.published(OWNER), [lab.record(MX, 2, EE)]);
    }
}
