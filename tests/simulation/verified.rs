//! Signatures that were verified are not verified again: what that must not lead to.

use crate::{
    lab::APEX,
    validation::{OWNER, TLSA, anchor, lab, record, verdict},
};
use daneroll::env::{Ask, Env, sim::zone::name};
use hickory_resolver::proto::{
    op::Message,
    rr::{Record, RecordType},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);
const OTHER: &str = "_443._tcp.mx.example.com";

/// An answer given again later, signatures and all, counts until its signatures end, though each was verified.
#[test]
fn they_end_all_the_same() {
    let lab = lab();
    let before: Rc<RefCell<BTreeMap<String, Message>>> = Rc::default();
    let told = before.clone();
    let tamper = move |ask: &Ask, message: &mut Message| {
        if ask.kind != TLSA {
            return;
        }
        let question = format!("{} {}", ask.server, ask.name);
        let first = told.borrow_mut().entry(question).or_insert_with(|| message.clone()).clone();
        message.answers = first.answers;
    };
    lab.world.change(|state| state.dns.tamper = Some(Rc::new(tamper)));
    let mut verdicts = Vec::new();
    for _ in 0..60 {
        verdicts.push(verdict(&lab, &anchor("."), OWNER, TLSA));
        lab.world.sleep(DAY);
    }
    let ends = verdicts.iter().position(|told| told != "secure").unwrap();
    assert!(ends > 5, "{verdicts:?}");
    let expired = "bogus: the signature over the TLSA records of _25._tcp.mx.example.com. expired";
    assert!(verdicts[ends..].iter().all(|told| told.starts_with(expired)), "{verdicts:?}");
}

/// Signatures, and the rest.
fn parted(records: &[Record]) -> (Vec<Record>, Vec<Record>) {
    records.iter().cloned().partition(|record| record.record_type() == RecordType::RRSIG)
}

/// One that is right over the records of one name is not taken for one over those of another.
#[test]
fn they_prove_nothing_else() {
    let lab = lab();
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OTHER), 1800, record(7)));
    let captured: Rc<RefCell<Option<Message>>> = Rc::default();
    let take = captured.clone();
    lab.world.change(|state| {
        state.dns.tamper = Some(Rc::new(move |ask: &Ask, message: &mut Message| {
            if ask.name == name(OTHER) && ask.kind == TLSA {
                take.borrow_mut().get_or_insert_with(|| message.clone());
            }
        }));
    });
    for owner in [OWNER, OTHER] {
        assert_eq!(verdict(&lab, &anchor("."), owner, TLSA), "secure", "{owner}");
    }
    let theirs = captured.take().unwrap();
    for (what, records, signatures) in [("both", true, true), ("records", true, false), ("signature", false, true)] {
        let theirs = theirs.clone();
        let tamper = move |ask: &Ask, message: &mut Message| {
            if ask.kind != TLSA {
                return;
            }
            let own = message.answers.clone();
            let (records, signatures) =
                (if records { &theirs.answers } else { &own }, if signatures { &theirs.answers } else { &own });
            let (_, records) = parted(records);
            let (signatures, _) = parted(signatures);
            message.answers = [records, signatures].concat();
            message.answers.iter_mut().for_each(|record| record.name = ask.name.to_name());
        };
        lab.world.change(|state| state.dns.tamper = Some(Rc::new(tamper)));
        let told = verdict(&lab, &anchor("."), OWNER, TLSA);
        assert!(told.starts_with("bogus: the signatures over the TLSA records"), "{what}: {told}");
    }
}
