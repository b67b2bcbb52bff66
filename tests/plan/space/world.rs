//! A world in letters: what is there, what was seen and what is remembered, and the scene that it stands for.

use super::letters::{Cert, Param, Record, Set};
use crate::{
    certs::{DAY, WALL},
    scene::Scene,
};

/// Where the dane directory of `mx` leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    Follows,
    Pinned(Cert),
    Foreign(Cert),
    /// Pinned to the first, and shows the second or nothing.
    Damaged(Cert, Option<Cert>),
    Missing,
    Unknown,
}

/// What is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Both,
    /// Only the generation that is served.
    Served,
}

/// Where the rollover stands: what became of the generation that is not served. It was left 9000 seconds ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody ever presented it.
    Before,
    /// The reload has not been run since.
    Owed,
    /// It began a second too early.
    Early,
    /// The deploy has not been run since; a reload has, too early.
    Undeployed,
    /// The deploy has been run since, and the reload a second before it.
    Deployed,
    /// The reload was so many seconds ago. The hold is [`HOLD`].
    Reloaded(u64),
    /// No reload is configured.
    NoReload,
    /// The operator went back from it, and the reload is owed.
    Barred,
    /// The lineage leaves DANE.
    Withdrawn,
    /// Its section is gone.
    Unconfigured,
}

/// Seconds, as scenes have it.
pub const HOLD: u64 = 7200;
/// Without a reload nobody may have seen the old certificate for so long, seconds.
pub const WEEK: u64 = 604_800;

/// What the journal has of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ours,
    Found,
    Publishing,
    Deleting,
    Deleted,
    /// So many seconds ago; others 1000.
    DeletedAgo(u64),
    /// We published it so many seconds ago.
    OursFor(u64),
}

/// What a name server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Shows(Set),
    Silence,
    /// Nor has this host a route to it.
    NoRoute,
    Bogus,
    /// It cannot be validated.
    Unsigned,
}

/// What speaks for leaving out who is silent: how long all others have matched, and how old the certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Seconds; 86,400 is the limit.
    pub since: u64,
    /// Seconds that the certificates have lived beyond two thirds of their life.
    pub beyond: i64,
    /// Do all addresses belong to one host?
    pub one_host: bool,
}

impl Patience {
    pub const NONE: Patience = Patience { since: 100, beyond: -50 * DAY, one_host: false };
}

/// An answer that ns1 gave before: `None` for one that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    pub shown: Option<Set>,
    pub ttl: u64,
    /// Seconds ago.
    pub gone: u64,
}

/// What an address of the service presents: certificates, and whether a session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presents(pub &'static [Cert], pub bool);

/// Were name servers asked?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Yes,
    NotThisTime,
    /// Nobody knows which they are.
    Lost,
}

/// What is known of services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    Off,
    NotYet,
    NoHost,
    At(Vec<Presents>),
}

/// What earlier looks said of the generation that was left, seconds ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sights {
    pub seen: Option<u64>,
    /// First and last look that did not see it since.
    pub unseen: Option<(u64, u64)>,
}

/// A second lineage at the same owner, always with certificate [`Cert::C`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    Nobody,
    Sound,
    Unconfigured,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct World {
    pub params: &'static [Param],
    pub files: Files,
    pub live: Option<Cert>,
    pub store: Store,
    pub phase: Phase,
    /// Of lineage `mx`.
    pub records: Vec<(Record, State)>,
    pub servers: Vec<Says>,
    pub asked: Asked,
    pub insecure: bool,
    pub earlier: Option<Earlier>,
    pub patience: Patience,
    pub look: Look,
    pub sights: Sights,
    pub beside: Beside,
    pub shared: bool,
    pub held: bool,
}

impl World {
    /// Served A, nothing else.
    pub fn new() -> World {
        World {
            params: &[Param::P311],
            files: Files::Pinned(Cert::A),
            live: Some(Cert::A),
            store: Store::Both,
            phase: Phase::Before,
            records: Vec::new(),
            servers: Vec::new(),
            asked: Asked::Yes,
            insecure: false,
            earlier: None,
            patience: Patience::NONE,
            look: Look::Off,
            sights: Sights::default(),
            beside: Beside::Nobody,
            shared: false,
            held: false,
        }
    }

    /// What services read, if that can be told.
    pub fn reads(&self) -> Option<Cert> {
        match self.files {
            Files::Follows => self.live,
            Files::Pinned(cert) | Files::Foreign(cert) => Some(cert),
            Files::Damaged(_, shows) => shows,
            Files::Missing | Files::Unknown => None,
        }
    }

    /// What the journal has as served: what is read, else what was.
    pub fn now(&self) -> Cert {
        match self.files {
            Files::Damaged(pinned, None) => pinned,
            _ => self.reads().unwrap_or(Cert::A),
        }
    }

    pub fn other(&self) -> Cert {
        if self.now() == Cert::A { Cert::B } else { Cert::A }
    }

    /// Does the other generation wait for its switch? Without `live/` only if it did before.
    pub fn waits(&self) -> bool {
        let known = match self.live {
            Some(live) => live == self.other(),
            None => self.phase == Phase::Before && self.store == Store::Both,
        };
        known && !matches!(self.phase, Phase::Withdrawn | Phase::Barred)
    }

    /// Was the other generation ever presented?
    pub fn left(&self) -> bool {
        !matches!(self.phase, Phase::Before | Phase::Withdrawn)
    }

    pub fn is_configured(&self) -> bool {
        self.phase != Phase::Unconfigured
    }

    pub fn stored(&self) -> &'static [Cert] {
        match (self.store, self.now()) {
            (Store::Both, _) => &[Cert::A, Cert::B],
            (Store::Served, Cert::A) => &[Cert::A],
            (Store::Served, _) => &[Cert::B],
        }
    }

    fn base(&self) -> String {
        let spec = Cert::spec;
        let params: Vec<&str> = self.params.iter().map(|param| param.spec()).collect();
        let mut script = match self.beside {
            Beside::Nobody => String::new(),
            _ => {
                let sound = if self.beside == Beside::Sound { "" } else { "unconfigured; " };
                let records: Vec<&str> = self.params.iter().map(|p| Record::of(Cert::C, *p).name()).collect();
                format!(
                    "lineage b; tlsa {}; pinned C; live C; stored C; presented C; held; ours {}; {}lineage mx; ",
                    params.join(" "),
                    records.join(" "),
                    sound
                )
            }
        };
        script += &format!("tlsa {}; live {}; ", params.join(" "), self.live.map_or("!", spec));
        script += &match self.files {
            Files::Follows => "follows; ".into(),
            Files::Pinned(cert) => format!("pinned {}; ", spec(cert)),
            Files::Foreign(cert) => format!("foreign {}; ", spec(cert)),
            Files::Damaged(pinned, shows) => format!("damaged {} {}; ", spec(pinned), shows.map_or("", spec)),
            Files::Missing => "missing; ".into(),
            Files::Unknown => "unknown; ".into(),
        };
        let stored: Vec<&str> = self.stored().iter().map(|cert| spec(*cert)).collect();
        script += &format!("stored {}; presented {}; ", stored.join(" "), spec(self.now()));
        let other = spec(self.other());
        if self.left() {
            script += &format!("left {other} 9000; ");
        }
        script += &match self.phase {
            Phase::NoReload => String::new(),
            Phase::Early => "reloaded R 9001; ".into(),
            Phase::Undeployed => "deployed D 9001; reloaded R 8000; ".into(),
            Phase::Deployed => "deployed D 8000; reloaded R 8001; ".into(),
            Phase::Reloaded(ago) => format!("reloaded R {ago}; "),
            Phase::Barred => format!("reload R; barred {other}; "),
            Phase::Withdrawn => "reload R; withdrawn; ".into(),
            _ => "reload R; ".into(),
        };
        if self.waits() {
            script += &format!("waiting {other}; ");
        }
        if let Some(seen) = self.sights.seen {
            script += &format!("seen {other} {seen}; ");
        }
        if let Some((since, last)) = self.sights.unseen {
            script += &format!("unseen {other} {since} {last}; ");
        }
        script += if self.shared { "shared; " } else { "" };
        script += if self.held { "held; " } else { "" };
        script += if self.look == Look::Off { "" } else { "probe; " };
        script += if self.insecure { "insecure; " } else { "" };
        script + if self.phase == Phase::Unconfigured { "unconfigured; " } else { "" }
    }

    fn rest(&self) -> String {
        let mut script = String::new();
        for (record, state) in &self.records {
            let name = record.name();
            script += &match state {
                State::Ours => format!("ours {name}; "),
                State::Found => format!("found {name}; "),
                State::Publishing => format!("publishing {name}; "),
                State::Deleting => format!("deleting {name}; "),
                State::Deleted => format!("deleted {name}; "),
                State::DeletedAgo(ago) => format!("deleted {name}; aged {name} {ago}; "),
                State::OursFor(ago) => format!("ours {name}; aged {name} {ago}; "),
            };
        }
        for (at, says) in (1..).zip(&self.servers) {
            script += &match says {
                Says::Shows(set) => format!("ns{at} {}; since ns{at} {}; ", set.script(), self.patience.since),
                Says::Silence => format!("ns{at} ?; "),
                Says::NoRoute => format!("ns{at} ?noroute; "),
                Says::Bogus => format!("ns{at} ?bogus; "),
                Says::Unsigned => format!("ns{at} ?unsigned; "),
            };
            script += &(if self.patience.one_host { format!("host ns{at} ns1; ") } else { String::new() });
        }
        if let Some(earlier) = self.earlier {
            let shown = earlier.shown.map_or("?".into(), Set::script);
            script += &format!("past ns1 {shown} {} {}; ", earlier.ttl, earlier.gone);
        }
        script += match self.asked {
            Asked::Yes => "",
            Asked::NotThisTime => "noview; ",
            Asked::Lost => "noservers; ",
        };
        match &self.look {
            Look::Off | Look::NotYet => {}
            Look::NoHost => script += "nohost; ",
            Look::At(addresses) => {
                for (at, Presents(certs, failed)) in (1..).zip(addresses) {
                    let certs: Vec<&str> = certs.iter().map(|cert| cert.spec()).collect();
                    script += &format!("mx{at} {} {}; ", certs.join(" "), if *failed { "?" } else { "" });
                }
            }
        }
        script
    }

    /// The whole script, for people.
    pub fn script(&self) -> String {
        self.base() + &self.rest()
    }

    /// The scene. Scenes that begin alike share their beginning (`Bases`), for reading it is what costs.
    pub fn scene(&self, bases: &mut Bases) -> Scene {
        let base = self.base();
        let known = bases.0.iter().position(|(known, _)| *known == base).unwrap_or_else(|| {
            bases.0.insert(0, (base.clone(), Scene::new(&base)));
            bases.0.truncate(64);
            0
        });
        let mut scene = bases.0[known].1.clone().and(&self.rest());
        // Two thirds of the life of all certificates are over 50 days from now.
        scene.facts.wall = WALL + 50 * DAY + self.patience.beyond;
        scene
    }
}

/// The latest beginnings of scenes.
#[derive(Default)]
pub struct Bases(Vec<(String, Scene)>);
