//! The program under test, its runs, and the timer that starts them.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Between two plain runs.
pub const RUN_EVERY: Duration = Duration::from_secs(1);

/// How a run of daneroll ended, and what it said.
#[derive(Clone, Debug)]
pub struct Run {
    /// Exit code; -1 after a signal.
    pub code: i32,
    pub said: String,
}

/// daneroll with a configuration.
#[derive(Clone, Debug)]
pub struct Daneroll {
    conf: PathBuf,
}

impl Daneroll {
    pub fn new(conf: PathBuf) -> Daneroll {
        Daneroll { conf }
    }

    /// The program under test; `DANEROLL` names another one, such as that of an installed package.
    pub fn program() -> String {
        std::env::var("DANEROLL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_daneroll").to_owned())
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(Daneroll::program());
        command.arg("-c").arg(&self.conf).arg("-l-").stdin(Stdio::null());
        command
    }

    /// A run to its end, a minute at most.
    pub fn run(&self, options: &[&str]) -> Run {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60", &Daneroll::program(), "-l-", "-c"]).arg(&self.conf).args(options);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let run = Run { code: output.status.code().unwrap_or(-1), said: String::from_utf8_lossy(&said).into_owned() };
        let mut log =
            fs::OpenOptions::new().append(true).create(true).open(self.conf.with_file_name("runs.log")).unwrap();
        log.write_all(format!("== {} {}: {}\n{}", now(), options.join(" "), run.code, run.said).as_bytes()).unwrap();
        run
    }
}

/// The time of day in UTC.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A timer that lets daneroll run again and again.
pub struct Timer {
    stop: Arc<AtomicBool>,
    runs: Arc<Mutex<Vec<Run>>>,
    thread: JoinHandle<()>,
}

impl Timer {
    /// `begins` is called when a run begins, and when the first one would that is not wanted any more.
    pub fn start(daneroll: Daneroll, begins: impl Fn() + Send + 'static) -> Timer {
        let (stop, runs) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Run>>>::default());
        let (stopped, log) = (stop.clone(), runs.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let next = Instant::now() + RUN_EVERY;
                begins();
                let run = daneroll.run(&[]);
                log.lock().unwrap().push(run);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            begins();
        });
        Timer { stop, runs, thread }
    }

    /// What the runs have said until now.
    pub fn runs(&self) -> Vec<Run> {
        self.runs.lock().unwrap().clone()
    }

    /// Stops it; every run was a good one, or met another one.
    pub fn stop(self) -> Vec<Run> {
        let runs = self.halt();
        for run in &runs {
            assert!(matches!(run.code, 0 | 32), "daneroll ended with {}:\n{}", run.code, run.said);
        }
        runs
    }

    /// Stops it, however the runs ended.
    pub fn halt(self) -> Vec<Run> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut *self.runs.lock().unwrap())
    }
}

impl Run {
    /// Panics with everything that was said unless the exit code is this one.
    pub fn expect(&self, code: i32) {
        assert_eq!(self.code, code, "daneroll said:\n{}", self.said);
    }
}
