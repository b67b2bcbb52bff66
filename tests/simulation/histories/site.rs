//! Where a history happens: the laboratory, and what stands beside it.

use super::{
    elsewhere::{self, FAR, Far, THERE},
    fault,
    news::News,
    tale::{MX, OWNER, Setting},
};
use crate::{
    acme::{SoFar, Way, begun, overwrite},
    certs::{Flaw, Renewal},
    clients::record_of,
    lab::{DANE, Engine, Lab, service_name},
};
use daneroll::env::{Files, sim::World};
use std::path::{Path, PathBuf};

pub struct Site {
    pub lab: Lab,
    setting: Setting,
    pub far: Option<Far>,
    pub news: Option<News>,
    /// The client is not done with its writing, which it begins at this effect of the next run; 0: it has begun.
    pub half: Option<usize>,
}

impl Site {
    pub fn new(setting: Setting, engine: Engine) -> Site {
        let lab = setting.setup().strategy(move |world, args| engine(world, args)).start();
        let news = setting.notify.then(|| News::listen(&lab));
        setting.way.iter().for_each(|way| way.write(&lab, 1));
        Site { lab, setting, far: None, news, half: None }
    }

    /// The services start.
    pub fn serve(&mut self) {
        self.lab.serve();
        self.far = self.setting.far.then(|| Far::serve(&self.lab));
    }

    /// Every service by its name, and the directory that it reads.
    pub fn services(&self) -> impl Iterator<Item = (String, PathBuf)> + use<'_> {
        let far = self.far.iter().map(|_| (FAR.to_owned(), THERE.into()));
        std::iter::once((service_name(25, MX), Path::new(DANE).join(MX))).chain(far)
    }

    /// The client renews: certbot's way, or the next set is written over the last.
    pub fn renew(&mut self, renewal: Renewal) {
        self.lab.certbot.renew(MX, renewal);
        let Some(way) = self.setting.way else { return };
        match renewal.flaw {
            Flaw::LinksMoved(_) => self.write(way, SoFar { eighths: 4, whole: true }, 0),
            _ => way.write(&self.lab, self.lab.certbot.number(MX)),
        }
        self.half = None;
    }

    /// It has written so much and goes on later; `effect`: as of that effect of the next run, or now if it is 0.
    pub fn begin(&mut self, renewal: Renewal, so_far: SoFar, effect: usize) {
        let Some(way) = self.setting.way else { return self.renew(renewal) };
        self.lab.certbot.renew(MX, renewal);
        self.write(way, so_far, effect);
        self.half = Some(effect);
    }

    fn write(&self, way: Way, so_far: SoFar, effect: usize) {
        let files = begun(&way.files(&self.lab, self.lab.certbot.number(MX)), so_far);
        let write = move |world: &World| files.iter().for_each(|(path, bytes)| overwrite(world, path, bytes));
        match effect {
            0 => write(&self.lab.world),
            _ => self.lab.world.interject(effect, write),
        }
    }

    /// The client writes what is left.
    pub fn finish(&mut self) {
        if self.half.take().is_some() {
            self.setting.way.iter().for_each(|way| way.write(&self.lab, self.lab.certbot.number(MX)));
        }
    }

    /// The newest chain.
    pub fn newest(&self) -> Vec<u8> {
        self.lab.certbot.fullchain(MX, self.lab.certbot.number(MX))
    }

    /// What is not as it is when the newest certificate has been rolled over to; `exactly`: without other records.
    pub fn wrong(&self, exactly: bool) -> Option<String> {
        let newest = self.newest();
        for (service, _) in self.services() {
            let presented = self.lab.world.look(|state| state.services[&service].presented());
            if presented.len() != 1 || *presented[0] != newest[..] {
                let many = presented.len();
                return Some(format!("{service}: {many} chains are presented, and not the newest alone"));
            }
        }
        let mut wanted: Vec<_> = self.lab.setup.published_at(25).map(|kind| record_of(&newest, kind)).collect();
        let mut published = self.lab.published(OWNER);
        wanted.sort();
        published.sort();
        let right = if exactly { published == wanted } else { wanted.iter().all(|r| published.contains(r)) };
        (!right).then(|| format!("{published:?} are published, {wanted:?} ought to be"))
    }

    /// A hand deletes a record that nobody needs: one that deletes what is served breaks the service by itself.
    pub fn lose_record(&self) {
        let mut needed: Vec<Vec<u8>> = Vec::new();
        for (service, directory) in self.services() {
            let shown = self.lab.world.read(&directory.join("fullchain.pem")).unwrap_or_default();
            needed.extend(Some(shown).filter(|shown| shown.ends_with(b"-----END CERTIFICATE-----\n")));
            let presented = self.lab.world.look(|state| state.services[&service].presented());
            needed.extend(presented.iter().map(|chain| chain.to_vec()));
        }
        let published = self.lab.published(OWNER);
        let is_needed = |record: &&daneroll::tlsa::Association| {
            let kind = [record.usage, record.selector, record.matching];
            needed.iter().any(|chain| record_of(chain, kind) == **record)
        };
        if let Some(record) = published.iter().find(|record| !is_needed(record)) {
            self.lab.unpublish(OWNER, record);
        }
    }

    /// Who was told that a reload or a push did nothing does by hand what it was to do.
    pub fn repair(&self) {
        self.lab.world.change(|state| state.restart_service(&service_name(25, MX)));
        self.far.iter().for_each(|_| elsewhere::by_hand(&self.lab));
    }

    /// Ends every fault.
    pub fn mend(&mut self) {
        fault::mend(&mut self.lab);
        self.far.iter().for_each(|far| elsewhere::mend(&self.lab, far));
        self.news.iter().for_each(|news| news.next.set(None));
    }
}
