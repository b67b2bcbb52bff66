//! Processes: counting what they do, and having it fail or end at a chosen effect.

use super::{Event, State, World, disk::Disk};
use nix::errno::Errno;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

/// What unwinds a process that is killed.
#[derive(Debug)]
pub struct Killed;

/// At which moment of an effect the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before anything of it happened.
    Before,
    /// Halfway: the temporary file of a write is there, some of the directories are made. Else as `After`.
    Midway,
    /// It happened, and the process never learnt.
    After,
}

/// What is in store for a process.
#[derive(Default)]
struct Fate {
    kill: Option<(usize, When)>,
    fail: BTreeMap<usize, Errno>,
    interjections: BTreeMap<usize, Event>,
}

/// A process under test.
struct Process {
    id: u64,
    effects: usize,
    dead: bool,
    fate: Fate,
}

/// Who is acting: the world itself unless a process is on top.
enum Actor {
    World,
    Process(Process),
}

/// All processes, and the faults that were ordered.
#[derive(Default)]
pub(super) struct Processes {
    actors: Vec<Actor>,
    started: u64,
    next: Fate,
    effects: usize,
    paths: Vec<(PathBuf, Errno)>,
    trace: Option<Vec<String>>,
}

/// What becomes of an effect that is about to happen.
enum Verdict {
    Happens,
    HappensUnseen,
    Fails(Errno),
    Dies,
    DiesMidway,
}

impl Processes {
    fn acting(&mut self) -> Option<&mut Process> {
        match self.actors.last_mut() {
            Some(Actor::Process(process)) => Some(process),
            _ => None,
        }
    }

    /// The acting process; 0 is the world.
    pub(super) fn id(&mut self) -> u64 {
        self.acting().map_or(0, |process| process.id)
    }

    /// The error ordered for a path, as it is written or as it is without links above its last name, or at all.
    fn path_fault(&self, what: &Path, disk: &Disk, reading: bool) -> Option<Errno> {
        if self.paths.is_empty() {
            return None;
        }
        let parent = what.parent().and_then(|parent| disk.real_path(parent).ok());
        let entry = parent.zip(what.file_name()).map(|(parent, name)| parent.join(name));
        let names = [Some(what.to_owned()), entry, disk.real_path(what).ok().filter(|_| reading)];
        let only_writes = |errno| matches!(errno, Errno::ENOSPC | Errno::EROFS | Errno::EDQUOT);
        let hit = |(prefix, errno): &&(PathBuf, Errno)| {
            names.iter().flatten().any(|name| name.starts_with(prefix)) && !(reading && only_writes(*errno))
        };
        self.paths.iter().find(hit).map(|(_, errno)| *errno)
    }

    fn judge(&mut self, label: &str, what: &str, disk: &Disk) -> Verdict {
        let fault = self.path_fault(Path::new(what), disk, false);
        let Some(process) = self.acting() else { return Verdict::HappensUnseen };
        if process.dead {
            return Verdict::Dies;
        }
        process.effects += 1;
        let effect = process.effects;
        let fate = &mut process.fate;
        let verdict = match fate.kill {
            Some((at, When::Before)) if at == effect => Verdict::Dies,
            Some((at, When::Midway)) if at == effect => Verdict::DiesMidway,
            _ => fate.fail.remove(&effect).or(fault).map_or(Verdict::Happens, Verdict::Fails),
        };
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{effect} {label} {what}"));
        }
        verdict
    }
}

impl State {
    /// The error that a read of this path meets, if it was ordered.
    pub(super) fn read_fault(&mut self, path: &Path) -> Option<Errno> {
        self.processes.acting()?;
        self.processes.path_fault(path, &self.disk, true)
    }

    pub(super) fn acting_process(&mut self) -> u64 {
        self.processes.id()
    }
}

impl World {
    /// Runs a process under test; `None` if it was killed. Its locks are given up either way.
    pub fn survive<R>(&self, process: impl FnOnce(&World) -> R) -> Option<R> {
        let (id, depth) = {
            let processes = &mut self.state.borrow_mut().processes;
            processes.started += 1;
            let (id, fate) = (processes.started, std::mem::take(&mut processes.next));
            processes.actors.push(Actor::Process(Process { id, effects: 0, dead: false, fate }));
            (id, processes.actors.len() - 1)
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| process(self)));
        self.release_locks(id);
        let dead = {
            let processes = &mut self.state.borrow_mut().processes;
            let ended = processes.actors.drain(depth..).next();
            let Some(Actor::Process(ended)) = ended else { return None };
            processes.effects = ended.effects;
            ended.dead
        };
        self.notice();
        match outcome {
            Ok(_) | Err(_) if dead => None,
            Ok(result) => Some(result),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Lets the world act: no effect is counted, costs time or fails.
    pub fn as_world<R>(&self, act: impl FnOnce(&World) -> R) -> R {
        struct Back<'a>(&'a World, usize);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.state.borrow_mut().processes.actors.truncate(self.1);
            }
        }
        let result = {
            let _back = {
                let actors = &mut self.state.borrow_mut().processes.actors;
                actors.push(Actor::World);
                Back(self, actors.len() - 1)
            };
            act(self)
        };
        self.notice();
        result
    }

    /// The next process is killed at its `effect`-th effect, counted from 1.
    pub fn kill_at(&self, effect: usize, when: When) {
        self.state.borrow_mut().processes.next.kill = Some((effect, when));
    }

    /// The next process gets this error from its `effect`-th effect, counted from 1.
    pub fn fail_effect(&self, effect: usize, errno: Errno) {
        self.state.borrow_mut().processes.next.fail.insert(effect, errno);
    }

    /// Something else happens in the world just after the next process's `effect`-th effect.
    pub fn interject(&self, effect: usize, event: impl FnOnce(&World) + 'static) {
        self.state.borrow_mut().processes.next.interjections.insert(effect, Box::new(event));
    }

    /// From now on every process gets this error for `prefix` and what is below it: for effects, and unless it is
    /// `ENOSPC`, `EROFS` or `EDQUOT` for reads too.
    pub fn fail_paths(&self, prefix: impl Into<PathBuf>, errno: Errno) {
        self.state.borrow_mut().processes.paths.push((prefix.into(), errno));
    }

    /// Takes back everything ordered by the three functions above.
    pub fn clear_faults(&self) {
        let processes = &mut self.state.borrow_mut().processes;
        processes.next = Fate::default();
        processes.paths.clear();
    }

    /// How many effects the acting process, or else the last that ended, had.
    pub fn effects(&self) -> usize {
        let processes = &mut self.state.borrow_mut().processes;
        processes.acting().map(|process| process.effects).unwrap_or(processes.effects)
    }

    /// Starts to note every effect, and returns what was noted until now: number, kind, path or address or command.
    pub fn trace(&self) -> Vec<String> {
        self.state.borrow_mut().processes.trace.replace(Vec::new()).unwrap_or_default()
    }

    /// Carries out an effect of whoever acts. `act` runs as the world.
    pub(super) fn effect<T>(&self, label: &str, what: &str, act: impl FnOnce(&World) -> T) -> Result<T, Errno> {
        self.effect_or(label, what, None::<fn(&World)>, act)
    }

    /// The same, with something else that happens if the process dies midway.
    pub(super) fn effect_or<T>(
        &self,
        label: &str,
        what: &str,
        midway: Option<impl FnOnce(&World)>,
        act: impl FnOnce(&World) -> T,
    ) -> Result<T, Errno> {
        let verdict = {
            let state = &mut *self.state.borrow_mut();
            state.processes.judge(label, what, &state.disk)
        };
        match verdict {
            Verdict::HappensUnseen => return Ok(self.as_world(act)),
            Verdict::Fails(errno) => return Err(errno),
            Verdict::Dies => return Err(self.die()),
            Verdict::Happens | Verdict::DiesMidway => {}
        }
        let dies = matches!(verdict, Verdict::DiesMidway);
        if let (true, Some(midway)) = (dies, midway) {
            self.as_world(midway);
            return Err(self.die());
        }
        let result = self.as_world(act);
        if dies {
            return Err(self.die());
        }
        self.happened();
        Ok(result)
    }

    /// After an effect: time passes, others act, and the process may die without having learnt of it.
    fn happened(&self) {
        let cost = self.look(|state| state.cost);
        self.pass(Duration::from_millis(cost));
        let (interjection, dies) = {
            let processes = &mut self.state.borrow_mut().processes;
            let Some(process) = processes.acting() else { return };
            let effect = process.effects;
            (process.fate.interjections.remove(&effect), process.fate.kill == Some((effect, When::After)))
        };
        if let Some(interjection) = interjection {
            self.as_world(interjection);
        }
        if dies {
            self.die();
        }
    }

    /// Ends the acting process by unwinding; comes back only to code that runs while it unwinds already.
    fn die(&self) -> Errno {
        if let Some(process) = self.state.borrow_mut().processes.acting() {
            process.dead = true;
        }
        if std::thread::panicking() {
            return Errno::EIO;
        }
        resume_unwind(Box::new(Killed))
    }
}
