//! The system calls that a job needs, and nothing else: what daneroll is measured against.
//!
//! ```text
//! floor idle LETSENCRYPT DANE    looks whether anything has changed
//! floor pre LETSENCRYPT DANE     the folders and links of --pre, on disk with two syncs
//! floor post NUMBER              calls /bin/true, one after the other
//! floor measure PROGRAM …        what a program costs: exit code, wall and CPU seconds, peak memory in KiB
//! ```
//!
//! A program is measured from here rather than from Python, for its peak memory counts from that of who starts it.

use std::{
    env::args,
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> io::Result<()> {
    let words: Vec<String> = args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["idle", letsencrypt, dane] => idle(Path::new(letsencrypt), Path::new(dane)),
        ["pre", letsencrypt, dane] => pre(Path::new(letsencrypt), Path::new(dane)),
        ["post", number] => post(number.parse().map_err(io::Error::other)?),
        ["measure", program, ref arguments @ ..] => measure(program, arguments),
        _ => Err(io::Error::other("usage: floor idle|pre LETSENCRYPT DANE, floor post NUMBER, floor measure PROGRAM …")),
    }
}

fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

const MEMBERS: [&str; 4] = ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"];

/// Where services are led, and a stat of each folder and file that may have changed.
fn idle(letsencrypt: &Path, dane: &Path) -> io::Result<()> {
    for live in names(&letsencrypt.join("live"))? {
        let dane = dane.join(live.file_name().unwrap_or_default());
        fs::metadata(&live)?;
        fs::metadata(&dane)?;
        fs::read_link(dane.join(".served"))?;
        for member in MEMBERS {
            fs::metadata(live.join(member))?;
        }
    }
    Ok(())
}

/// For each lineage a folder of hard links and one of links, on disk; then the link that leads there and a mark, on disk.
fn pre(letsencrypt: &Path, dane: &Path) -> io::Result<()> {
    let lineages = names(&letsencrypt.join("live"))?;
    let system = File::open(letsencrypt)?;
    fs::create_dir(dane)?;
    fs::create_dir(dane.join(".store"))?;
    for live in &lineages {
        let name = live.file_name().unwrap_or_default();
        let (folder, store) = (dane.join(name), dane.join(".store").join(name));
        fs::create_dir(&folder)?;
        fs::create_dir(&store)?;
        let (folder, store) = (folder.join(".generation"), store.join("generation"));
        fs::create_dir(&folder)?;
        fs::create_dir(&store)?;
        for member in MEMBERS {
            let archive = live.join(fs::read_link(live.join(member))?);
            fs::hard_link(&archive, store.join(member))?;
            symlink(&archive, folder.join(member))?;
        }
    }
    nix::unistd::syncfs(&system)?;
    for live in &lineages {
        let folder = dane.join(live.file_name().unwrap_or_default());
        symlink(".generation", folder.join(".new"))?;
        fs::rename(folder.join(".new"), folder.join(".served"))?;
        for member in MEMBERS {
            symlink(Path::new(".served").join(member), folder.join(member))?;
        }
        fs::write(folder.join("held"), "pinned\n")?;
    }
    nix::unistd::syncfs(&system)?;
    Ok(())
}

fn post(number: usize) -> io::Result<()> {
    for _ in 0..number {
        let mut call = Command::new("/bin/true");
        let call = call.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !call.status()?.success() {
            return Err(io::Error::other("/bin/true fails"));
        }
    }
    Ok(())
}

fn measure(program: &str, arguments: &[&str]) -> io::Result<()> {
    let mut call = Command::new(program);
    let call = call.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let status = call.status()?;
    let wall = began.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    println!("{} {wall:.6} {cpu:.6} {}", status.code().unwrap_or(-1), usage.max_rss());
    Ok(())
}
