//! See daneroll work: a throw-away world on loopback, and one certificate renewal through it.
//!
//! `cargo run --release --example demo` makes a certbot tree with a certificate authority, a signed zone on a primary and a
//! secondary that lags, a TLS service, and DANE clients that shake hands all the time. Then certbot renews, daneroll rolls
//! over, and the clients count how often no TLSA record matched. Everything is gone when it ends, but for one picture.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod certbot;
mod clients;
mod dane;
mod engine;
mod keys;
mod nameserver;
mod screen;
mod service;
mod story;
mod svg;
mod update;
mod watch;
mod world;
mod zone;

use clap::Parser;
use std::{
    error::Error,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use world::World;

/// Whatever goes wrong here ends the demo with a message.
type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Takes one certificate renewal through a throw-away world of name servers, a TLS service and DANE clients, and counts how
/// often a client found no matching TLSA record.
#[derive(Parser)]
#[command(name = "demo")]
struct Options {
    /// Renew without daneroll: certificate, service and record are replaced at once
    #[arg(long)]
    naive: bool,
    /// Where to write the picture
    #[arg(long, value_name = "FILE", default_value = "target/demo-timeline.svg")]
    svg: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("__supervise") => engine::supervise(),
        Some("__reload") => told(reload(arguments.get(2))),
        _ => told(demo(&Options::parse())),
    }
}

/// The command that daneroll runs after a switch: this program, told the control port of the service.
fn reload(port: Option<&String>) -> Fallible<ExitCode> {
    let port = port.ok_or("which port?")?.parse()?;
    service::reload(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(ExitCode::SUCCESS)
}

fn demo(options: &Options) -> Fallible<ExitCode> {
    // Better to learn now than in half a minute that there is no place for it.
    write(&options.svg, "")?;
    let directory = tempfile::Builder::new().prefix("daneroll-demo-").tempdir()?;
    clean_up_when_interrupted(directory.path())?;
    let world = Arc::new(World::new(directory.path(), options.naive)?);

    let watcher = watch::start(world.clone());
    let told = if options.naive { story::naive(&world) } else { story::rollover(&world) };
    let history = watcher.stop()?;

    let handshakes = world.clients.handshakes();
    write(&options.svg, &svg::draw(&world, &history, &handshakes))?;
    let judgement = screen::summary(&world, &handshakes, &options.svg);
    told.map(|()| judgement)
}

fn write(path: &Path, svg: &str) -> Fallible<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, svg))
        .map_err(|error| format!("cannot write the picture {} (see --svg): {error}", path.display()).into())
}

/// Ctrl-C leaves nothing behind either.
fn clean_up_when_interrupted(directory: &Path) -> Fallible<()> {
    let directory = directory.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            // It may be half gone already.
            let _ = fs::remove_dir_all(directory);
            std::process::exit(130);
        }
    });
    Ok(())
}

fn told(ended: Fallible<ExitCode>) -> ExitCode {
    ended.unwrap_or_else(|error| {
        eprintln!("demo: {error}");
        ExitCode::FAILURE
    })
}

/// A thread that panicked while it held a lock has been told of already; the data are still the best there are.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
