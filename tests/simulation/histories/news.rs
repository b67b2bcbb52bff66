//! Who is told of rollovers: `/sim/notify`, and what it does instead.

use crate::lab::Lab;
use daneroll::{
    env::{Command, Ended, Status, sim::World},
    lineage::{GenerationId, pem},
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// What the command does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It tells nobody, and says so.
    Fails,
    /// It tells it, and does not end.
    Hangs,
    /// It is not there.
    Missing,
}

/// What was told.
#[derive(Clone, Default)]
pub struct News {
    /// This goes wrong so many times more.
    pub next: Rc<Cell<Option<(Call, usize)>>>,
    /// How often a call went wrong.
    pub gone_wrong: Rc<Cell<usize>>,
    /// Events and generations.
    told: Rc<RefCell<Vec<(String, String)>>>,
}

impl News {
    pub const LINE: &str = "notify = /sim/notify";

    pub fn listen(lab: &Lab) -> News {
        let news = News::default();
        let its = news.clone();
        lab.world.program("/sim/notify", move |world, command| its.called(world, command));
        news
    }

    fn called(&self, world: &World, command: &Command) -> Ended {
        let call = self.next.take();
        self.next.set(call.filter(|(_, times)| *times > 1).map(|(call, times)| (call, times - 1)));
        self.gone_wrong.set(self.gone_wrong.get() + usize::from(call.is_some()));
        let call = call.map(|(call, _)| call);
        if !matches!(call, Some(Call::Fails | Call::Missing)) {
            self.take_down(&command.input);
        }
        let status = match call {
            None => Status::Exited(0),
            Some(Call::Fails) => Status::Exited(75),
            Some(Call::Missing) => Status::NotStarted("it is not there".into()),
            Some(Call::Hangs) => {
                world.pass(command.limit);
                Status::TimedOut
            }
        };
        Ended { status, output: String::new() }
    }

    fn take_down(&self, document: &str) {
        let document: Value = serde_json::from_str(document).unwrap();
        let text = |news: &Value, key: &str| news[key].as_str().unwrap_or_default().to_owned();
        let news = document["news"].as_array().unwrap().iter();
        self.told.borrow_mut().extend(news.map(|news| (text(news, "event"), text(news, "generation"))));
    }

    /// What is wrong with what was told of this chain, to whose generation everything was rolled over, if anything is.
    pub fn wrong(&self, fullchain: &[u8]) -> Option<String> {
        let generation = GenerationId::of(&pem::chain(fullchain).unwrap()).to_string();
        let told = self.told.borrow();
        let times = |event: &str| told.iter().filter(|(what, which)| what == event && *which == generation).count();
        let is_right = times("done") == 1 && ["started", "waiting", "switched"].iter().all(|event| times(event) <= 1);
        (!is_right).then(|| format!("of generation {generation} was told, among all that was: {told:?}"))
    }
}
