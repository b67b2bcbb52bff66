//! Nothing is left of a laboratory, however it ends, and `tests/system/lab` touches none but ours.

use crate::enclosure::{self, DIR, first_process};
use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/lab");

/// Another process makes a laboratory, and is killed when everything is up.
///
/// # Errors
/// What was left, in words.
pub fn leaves_none() -> Result<(), String> {
    let before = outside();
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("idle").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = command.spawn().map_err(|error| error.to_string())?;
    let found = up_and_looked_at(&holder);
    let _ = holder.kill();
    let _ = holder.wait();
    let pids = found?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(pid) = pids.iter().find(|(pid, begun)| begun_at(*pid) == Some(*begun)) {
        if Instant::now() > deadline {
            return Err(format!("process {} outlives its laboratory", pid.0));
        }
        thread::sleep(Duration::from_millis(20));
    }
    match outside() == before {
        true => Ok(()),
        false => Err(format!("left behind: {:?}", outside())),
    }
}

type Pids = Vec<(u32, u64)>;

fn up_and_looked_at(holder: &Child) -> Result<Pids, String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (maker, first) = loop {
        let maker = first_process(holder.id());
        let first = maker.and_then(first_process);
        if let Some((maker, first)) = maker.zip(first)
            && fs::exists(format!("/proc/{first}/root{DIR}/README")).unwrap_or(false)
        {
            break (maker, first);
        }
        if Instant::now() > deadline {
            return Err("a laboratory does not come up".to_owned());
        }
        thread::sleep(Duration::from_millis(50));
    };
    let pids = within(first).map_err(|error| error.to_string())?;
    if pids.len() < 12 {
        return Err(format!("only {} processes in a laboratory", pids.len()));
    }
    let name = format!("daneroll-lab-{maker}");
    let host = lab(&["shell", &name, "cat", "/proc/sys/kernel/hostname"])?;
    if host.as_deref() != Some(name.as_str()) {
        return Err(format!("tests/system/lab shell {name} leads to {host:?}"));
    }
    // This process, one that is not there, and what is no name at all.
    for foreign in [&format!("daneroll-lab-{}", std::process::id()), "daneroll-lab-4194305", "1"] {
        for word in ["down", "shell"] {
            if lab(&[word, foreign])?.is_some() {
                return Err(format!("tests/system/lab {word} {foreign} was not refused"));
            }
        }
    }
    Ok(pids)
}

/// What `tests/system/lab` says, if it succeeds.
fn lab(words: &[&str]) -> Result<Option<String>, String> {
    let output = Command::new(SCRIPT).args(words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// All processes that share this one's process namespace, and when they began.
fn within(first: u32) -> io::Result<Pids> {
    let namespace = |pid: u32| fs::metadata(format!("/proc/{pid}/ns/pid")).map(|stat| stat.ino());
    let ours = namespace(first)?;
    let all = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(all
        .filter(|pid| namespace(*pid).is_ok_and(|other| other == ours))
        .filter_map(|pid| Some((pid, begun_at(pid)?)))
        .collect())
}

fn begun_at(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// What a laboratory could have left: files where it is within, and mounts.
fn outside() -> (Vec<String>, Vec<String>) {
    let files = fs::read_dir(DIR).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    files.sort();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    (files, mounts.lines().filter(|line| line.contains(enclosure::PREFIX)).map(str::to_owned).collect())
}
