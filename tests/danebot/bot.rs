//! A call of the bot, and how it ends.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
};

/// A call to be.
pub struct Bot(pub Command);

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub said: String,
}

impl Bot {
    pub fn run(mut self) -> Ended {
        let done = self.0.output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        Ended { code: done.status.code().unwrap_or(-1), said: String::from_utf8(said).unwrap() }
    }

    pub fn start(mut self) -> Running {
        Running(self.0.stdout(Stdio::null()).spawn().unwrap())
    }
}

/// A call under way.
pub struct Running(Child);

impl Running {
    /// Exit code, or the negative number of the signal that ended it.
    pub fn wait(mut self) -> i32 {
        code(self.0.wait().unwrap())
    }

    /// Sends a signal to the bot itself, and waits.
    pub fn end(mut self, signal: Signal) -> i32 {
        // `ip` becomes `timeout`, whose child is the bot.
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let bot: i32 = fs::read_to_string(children).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        kill(Pid::from_raw(bot), signal).unwrap();
        match code(self.0.wait().unwrap()) {
            // `timeout` tells the end by a signal as a shell does, or by the same signal.
            ended if ended == 128 + signal as i32 && signal == Signal::SIGKILL => -(signal as i32),
            ended => ended,
        }
    }
}

fn code(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap())
}
