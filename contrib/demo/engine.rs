//! daneroll itself: the calls that its program makes, with the real world as the environment.

use crate::{Fallible, locked, world::World};
use daneroll::{
    cli::{self, Hints},
    config::{self, LogFormat, LogLevel},
    env::{real::Real, supervise},
    report::log::{self, Place},
};
use serde_json::Value;
use std::{env, fs, io, process::ExitCode};

/// daneroll runs commands through the program it lives in, called with `__supervise` first.
pub fn supervise() -> ExitCode {
    supervise::main(env::args_os().skip(2))
}

/// Calls daneroll with these arguments and the configuration of this world, and takes down what it waits for.
pub fn run(world: &World, arguments: &[&str]) -> Fallible<()> {
    let words = ["daneroll".into(), "--json".into(), "-c".into(), world.config.clone().into_os_string()];
    let arguments = cli::parse(words.into_iter().chain(arguments.iter().map(Into::into))).map_err(|exit| exit.text)?;
    let env = Real::new(env::current_exe()?);
    let loaded = config::load(&env, &arguments.config, &arguments.overrides);
    let file = Place::File(world.log.clone());
    let log = log::open(&file, (LogLevel::Normal, LogFormat::Text), true, Box::new(io::sink()), Box::new(io::sink()));
    let report = tracing::dispatcher::with_default(&log.dispatch, || {
        daneroll::run(&env, &arguments, &Hints::default(), &loaded)
    });
    if report.exit != 0 {
        let log = fs::read_to_string(&world.log).unwrap_or_default();
        return Err(format!("daneroll ended with exit code {}:\n{}{log}", report.exit, report.text).into());
    }
    *locked(&world.awaited) = awaited(&report.text);
    Ok(())
}

/// The reasons in daneroll's JSON report.
fn awaited(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap_or_default();
    let waits = report["waits"].as_array().into_iter().flatten();
    let texts = waits.flat_map(|wait| wait["texts"].as_array().into_iter().flatten());
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
