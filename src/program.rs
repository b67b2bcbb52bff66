//! The program around a run: arguments, configuration, log, and what is printed.

use crate::{
    cli::{self, Arguments, Command, Hints, UNKNOWN},
    config::{self, LogFormat, LogLevel},
    env::real::{Real, confine},
    report::{
        self,
        log::{self, Log, Place},
    },
    run::{self, danebot, danebot::Process},
};
use serde::de::IgnoredAny;
use serde_json::json;
use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Runs the program with these arguments, its name first, in the real world.
pub fn program(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    if let Some(args) = cli::danebot::called(&args) {
        return danebot(args);
    }
    let args = args.into_iter();
    let arguments = match cli::parse(args) {
        Ok(arguments) => arguments,
        Err(exit) => {
            let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
            if exit.code == UNKNOWN {
                // Monitoring systems read the standard output of plug-ins only.
                print(&mut stdout, &report::check::usage(&exit.text));
                return ExitCode::from(exit.code);
            }
            print(if exit.to_stderr { &mut stderr } else { &mut stdout }, &exit.text);
            return ExitCode::from(exit.code);
        }
    };
    confine::keep_secrets();
    if arguments.command.only_looks() {
        confine::only_look(written(&arguments));
    }
    let env = Real::new(PathBuf::from("/proc/self/exe"));
    let env = if arguments.wait { env.staying(!arguments.quiet) } else { env };
    if let Some(exit) = rest(&env, &arguments) {
        return exit;
    }
    let hints = Hints::read(|name| std::env::var_os(name));
    let loaded = config::load(&env, &arguments.config, &arguments.overrides);
    let config = loaded.as_ref().ok().map(|loaded| &loaded.config);
    let log = match config {
        Some(config) => open_log(&arguments, config.log.as_deref(), config.log_level, config.log_format),
        None => open_log(&arguments, None, None, None),
    };
    let report = tracing::dispatcher::with_default(&log.dispatch, || run::run(&env, &arguments, &hints, &loaded));
    let text = if arguments.json { document(report.text, report.exit) } else { report.text };
    print(&mut io::stdout(), &text);
    let exit = log.exit_code(report.exit);
    match arguments.command {
        // A plug-in has four exit codes; that its log could not be written is at most a reason to say "unknown".
        Command::Check(_) if exit != report.exit => {
            ExitCode::from(if report.exit == 0 { UNKNOWN } else { report.exit })
        }
        _ => ExitCode::from(exit),
    }
}

/// A plain run that has nothing to do, as far as that shows without a look at the configuration.
fn rest(env: &Real, arguments: &Arguments) -> Option<ExitCode> {
    let rest = run::resting(env, arguments)?;
    let settings = &rest.settings;
    let log = open_log(arguments, settings.log.as_deref(), settings.log_level, settings.log_format);
    let report = tracing::dispatcher::with_default(&log.dispatch, || rest.report(env))?;
    Some(ExitCode::from(log.exit_code(report.exit)))
}

/// Opens the log: the command line comes before what is configured.
fn open_log(
    arguments: &Arguments,
    configured: Option<&Path>,
    level: Option<LogLevel>,
    format: Option<LogFormat>,
) -> Log {
    let journal = log::is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    // What only looks leaves no trace, and works for everybody.
    let none = arguments.command.only_looks().then_some(Path::new("no"));
    let asked = arguments.log.as_deref().or(none);
    let place = Place::choose(asked, configured, journal, arguments.overrides.alnitak);
    let level = arguments.log_level.or(level).unwrap_or(LogLevel::Normal);
    let format = arguments.log_format.or(format).unwrap_or_default();
    // A document and a log on one stream would be neither.
    let out: log::Stream = if arguments.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    log::open(&place, (level, format), arguments.quiet, out, Box::new(io::stderr()))
}

/// The program in DaneBot's place. It keeps no log file: what it does is told on a terminal, and errors in any case.
fn danebot(args: &[OsString]) -> ExitCode {
    let call = match cli::danebot::parse(args, |name| std::env::var_os(name)) {
        Ok(call) => call,
        Err(exit) => {
            let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
            print(if exit.to_stderr { &mut stderr } else { &mut stdout }, &exit.text);
            return ExitCode::from(exit.code);
        }
    };
    confine::keep_secrets();
    let env = Real::new(PathBuf::from("/proc/self/exe")).staying(true);
    let process = Process {
        vars: danebot::environment(std::env::vars_os()),
        directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
    };
    let place = if io::stdout().is_terminal() { Place::Stdout } else { Place::Nowhere };
    let log = log::open(
        &place,
        (LogLevel::Normal, LogFormat::default()),
        false,
        Box::new(io::stdout()),
        Box::new(io::stderr()),
    );
    let report = tracing::dispatcher::with_default(&log.dispatch, || danebot::danebot(&env, &call, &process));
    ExitCode::from(report.exit)
}

/// The directories that a command which only looks writes to all the same: because it was told so.
fn written(arguments: &Arguments) -> Vec<PathBuf> {
    let metrics = match &arguments.command {
        Command::Check(check) => check.prometheus.as_deref(),
        _ => None,
    };
    let log = arguments.log.as_deref().filter(|log| !["-", "no", "stdout"].map(Path::new).contains(log));
    let directory = |file: &Path| match file.parent() {
        _ if file.is_dir() => file.to_owned(),
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    metrics.into_iter().chain(log).map(directory).collect()
}

/// With `--json` there is always a document, also of a run that ended before it had looked at anything.
fn document(text: String, exit: u8) -> String {
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => text,
        Err(_) => json!({ "version": 1, "exit": exit, "text": text }).to_string() + "\n",
    }
}

/// Prints; a reader that has gone away is no error of ours.
fn print(to: &mut dyn Write, text: &str) {
    drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
}
