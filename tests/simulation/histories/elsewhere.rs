//! A second host of the name: it gets its files by `deploy`, from `/sim/push`, and presents what it got last.

use super::tale::MX;
use crate::lab::{APEX, DANE, Lab, Setup, service_name};
use daneroll::env::{
    Command, Ended, Status,
    sim::{
        World,
        service::{Reload, Service},
        zone::{address, name},
    },
};
use std::{cell::Cell, path::Path, rc::Rc, time::Duration};

/// Its service, for `/sim/reload`.
pub const FAR: &str = "far";
/// Where it keeps its certificate.
pub const THERE: &str = "/srv/mx2/mx.example.com";
const FILES: [(&str, &str); 3] =
    [("DANEROLL_FULLCHAIN", "fullchain.pem"), ("DANEROLL_PRIVKEY", "privkey.pem"), ("DANEROLL_BUNDLE", "bundle.pem")];

/// What the next push does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    #[default]
    Works,
    /// Nothing arrives, and it says so.
    Fails,
    /// All arrives, and it says that it did not.
    FailsDone,
    /// Nothing arrives, and it says that all did.
    Lies,
    /// It takes so many seconds; with too many nothing has arrived when it is ended.
    Takes(u64),
}

/// The other host, as far as it is no part of the laboratory.
#[derive(Clone, Default)]
pub struct Far {
    pub next: Rc<Cell<Push>>,
    /// How often a push did anything else than work.
    pub gone_wrong: Rc<Cell<usize>>,
}

impl Far {
    /// What the configuration says of it.
    pub fn lines(setup: Setup) -> Setup {
        setup.line("deploy = /sim/push").line(&format!("reload = /sim/reload {FAR}"))
    }

    /// Puts it there, beside a service that runs already. The operator takes the first files there by hand.
    pub fn serve(lab: &Lab) -> Far {
        let far = Far::default();
        let its = far.clone();
        lab.world.program("/sim/push", move |world, command| its.push(world, command));
        let [here, there] = [[192, 0, 2, 25], [192, 0, 2, 26]].map(std::net::IpAddr::from);
        lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(MX), 3600, address(there)));
        let near = lab.world.look(|state| state.services[&service_name(25, MX)].clone());
        let bundle = lab.setup.has_bundle();
        by_hand(lab);
        lab.world.change(|state| state.services.get_mut(&near.name).unwrap().at = Some(here));
        let service = Service::new(FAR, MX, 25, THERE).reads(near.reads).processes(lab.setup.processes_each());
        let mut service = if bundle { service.bundle(Path::new(THERE).join("bundle.pem")) } else { service };
        service.at = Some(there);
        lab.world.serve(service);
        far
    }

    fn push(&self, world: &World, command: &Command) -> Ended {
        let ended = |status| Ended { status, output: String::new() };
        let how = self.next.take();
        self.gone_wrong.set(self.gone_wrong.get() + usize::from(how != Push::Works));
        match how {
            Push::Fails => return ended(Status::Exited(12)),
            Push::Lies => return ended(Status::Exited(0)),
            Push::Takes(seconds) if Duration::from_secs(seconds) > command.limit => {
                world.pass(command.limit);
                return ended(Status::TimedOut);
            }
            Push::Takes(seconds) => world.pass(Duration::from_secs(seconds)),
            Push::Works | Push::FailsDone => {}
        }
        copy(world, |file| {
            let variable = FILES.iter().find(|(_, name)| *name == file).unwrap().0;
            command.vars.iter().find(|(key, _)| key == variable).map(|(_, path)| path.into())
        });
        ended(Status::Exited(if how == Push::FailsDone { 12 } else { 0 }))
    }
}

/// Takes files there, all in one moment; what is not here stays there as it is.
fn copy(world: &World, from: impl Fn(&str) -> Option<std::path::PathBuf>) {
    world.change(|state| {
        for dir in ["/srv", "/srv/mx2", THERE] {
            // It may be there.
            let _ = state.disk.make_dir(Path::new(dir), 0o700);
        }
        for (_, file) in FILES {
            let Some(Ok(bytes)) = from(file).map(|path| state.disk.read(&path)) else { continue };
            state.disk.overwrite(&Path::new(THERE).join(file), &bytes, 0o600).unwrap();
        }
    });
}

/// The operator takes there what services here read, and restarts the service there, if it runs yet.
pub fn by_hand(lab: &Lab) {
    let bundle = lab.setup.has_bundle();
    copy(&lab.world, |file| Some(Path::new(DANE).join(MX).join(file)).filter(|_| bundle || file != "bundle.pem"));
    lab.world.change(|state| state.restart_service(FAR));
}

/// Ends every fault of it.
pub fn mend(lab: &Lab, far: &Far) {
    far.next.set(Push::Works);
    lab.world.change(|state| {
        let service = state.services.get_mut(FAR).unwrap();
        (service.reload, service.refuses) = (Reload::Works, None);
    });
}
