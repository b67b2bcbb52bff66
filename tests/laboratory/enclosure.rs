//! Namespaces of its own for the whole laboratory: network, processes, mounts, host name. They have no file anywhere, and
//! end with the process that made them, however that ends.

use crate::namespace::{Namespace, must};
use std::{
    env, fs, io,
    path::Path,
    process::{Command, Stdio},
};

/// Where the laboratory is, within: a file system in memory over a directory that every Debian has, and nobody works in.
pub const DIR: &str = "/media";

const OUTSIDE: &str = "DANEROLL_LAB_OUTSIDE";
/// Of the name of each.
pub const PREFIX: &str = "daneroll-lab-";

/// A command that starts this program with these words in namespaces of their own, named after its process id. It ends
/// with this process if `tied`; and with it, in any case, all that was started within.
pub fn command(words: &[&str], tied: bool) -> io::Result<Command> {
    let program = env::current_exe()?;
    if program.starts_with(DIR) || env::current_dir()?.starts_with(DIR) {
        return Err(io::Error::other(format!("{DIR} is where the laboratory is to be; work somewhere else")));
    }
    let signal = if tied { "KILL" } else { "keep" };
    let script = format!(
        "export DANEROLL_LAB={PREFIX}$$; exec setpriv --pdeathsig {signal} -- \
         unshare --net --pid --mount --uts --ipc --fork --kill-child --mount-proc -- \"$0\" \"$@\""
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program).args(words).stdin(Stdio::null());
    command.env(OUTSIDE, network()?);
    Ok(command)
}

/// Makes oneself at home within. An error if this process is not the first in namespaces made by [`command`].
pub fn settle(addresses: &[&str]) -> io::Result<Namespace> {
    let refuse = |why: &str| Err(io::Error::other(format!("this is no place for a laboratory: {why}")));
    let Ok(name) = env::var("DANEROLL_LAB") else { return refuse("it has no name") };
    if name.strip_prefix(PREFIX).is_none_or(|pid| pid.parse::<u32>().is_err()) {
        return refuse("its name is not one of ours");
    }
    if std::process::id() != 1 {
        return refuse("this is not its first process");
    }
    if env::var(OUTSIDE).ok() == Some(network()?) {
        return refuse("the network is that of the host");
    }
    fs::write("/proc/sys/kernel/hostname", &name)?;
    must(Command::new("mount").args("-t tmpfs -o mode=755,size=1g".split(' ')).args([name.as_str(), DIR]))?;
    Namespace::around(Path::new(DIR), addresses)
}

fn network() -> io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/net")?.to_string_lossy().into_owned())
}

/// Lets the calling thread, and what it starts, ask this resolver: others keep theirs.
pub fn resolve_at(address: &str) -> io::Result<()> {
    let file = format!("{DIR}/resolv.conf.{address}");
    fs::write(&file, format!("nameserver {address}\noptions edns0 trust-ad timeout:3\n"))?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS | nix::sched::CloneFlags::CLONE_NEWNS)?;
    must(Command::new("mount").args(["--bind", &file, "/etc/resolv.conf"]))?;
    Ok(())
}

/// The first process of the laboratory that this one has made, as seen from outside.
pub fn first_process(maker: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{maker}/task/{maker}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
