//! Where a rollover happens: a directory with the client's tree, a name server or a folder that plays one, and a service.

use crate::{
    dns_server::DnsServer,
    lab::{Issued, LINEAGE, Lab, Run},
};
use daneroll::{name::DnsName, tlsa::Association};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How the program is set up, and used for the first time.
#[derive(Debug)]
pub struct Variant {
    pub name: &'static str,
    /// Dynamic updates; else a program edits the zone, and nobody is asked.
    pub update: bool,
    /// `pin = always`.
    pub always: bool,
    pub bundle: bool,
    /// Calls of the first use.
    pub first: [&'static str; 2],
    /// TTL of the records.
    pub ttl: u32,
}

/// Two generations, the same in all worlds: so what is left at the end can be compared.
pub struct Generations(pub [Issued; 2]);

/// A path below the world's directory, with its mode, and contents or target.
pub type Left = BTreeMap<PathBuf, (u32, String)>;

pub struct World<'a> {
    pub lab: Lab,
    pub variant: &'a Variant,
    pub server: &'a DnsServer,
    pub generations: &'a Generations,
}

impl Generations {
    pub fn new() -> Generations {
        Generations([Issued::new(), Issued::new()])
    }

    /// The 3 1 1 record of a generation, made without the program's help.
    pub fn record(&self, generation: usize) -> Association {
        let key = rcgen::KeyPair::from_pem(&self.0[generation].key).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        Association { usage: 3, selector: 1, matching: 1, data: digest(&SHA256, &spki).as_ref().to_vec() }
    }
}

impl<'a> World<'a> {
    pub fn new(variant: &'a Variant, server: &'a DnsServer, generations: &'a Generations) -> World<'a> {
        let world = World { lab: Lab::new(), variant, server, generations };
        *server.state() = crate::dns_server::State { denial_ttl: Some(0), ..Default::default() };
        fs::create_dir(world.lab.path("zone")).unwrap();
        let zone = world.lab.text("zone");
        // Only what the shell can do by itself, but for rm.
        world.lab.provider(&format!(
            "case $TLSA_OPERATION in publish) : >{zone}/$TLSA_HASH ;; delete) rm -f {zone}/$TLSA_HASH ;; esac"
        ));
        let (from, to) = (world.lab.text(&format!("dane/{LINEAGE}/fullchain.pem")), world.lab.text("memory"));
        let script = format!("#!/bin/sh\ncp {from} {to}.$$ && mv {to}.$$ {to}\n");
        fs::write(world.lab.path("reload"), script).unwrap();
        fs::set_permissions(world.lab.path("reload"), fs::Permissions::from_mode(0o755)).unwrap();
        world.configure();
        world.issue(0);
        world
    }

    fn configure(&self) {
        let Variant { update, always, bundle, ttl, .. } = self.variant;
        let dir = self.lab.path("");
        let dir = dir.display();
        let (pin, bundle) = (if *always { "always" } else { "renewal" }, if *bundle { "yes" } else { "no" });
        let mut text = format!(
            "letsencrypt_directory = {dir}le\ndane_directory = {dir}dane\nstate_directory = {dir}state\nlog = {dir}log\n\
             ttl = 0\nhold = 0\nsettle = 0\nrecheck = 0\nprobe = off\nrecord_ttl = {ttl}\nreload = {dir}reload\n"
        );
        let dns = self.server.address;
        match update {
            true => text += &format!("resolver = {dns}\ndnssec = resolver\n"),
            false => text += "verify = provider\n",
        }
        text += &format!("[{LINEAGE}]\ntlsa = 311 25\npin = {pin}\nbundle = {bundle}\n");
        match update {
            true => text += &format!("nameservers = {dns}\napi = rfc2136 {dns} zone:example.test\n"),
            false => text += &format!("api = exec {dir}provider\n"),
        }
        self.lab.write_configuration(text);
    }

    /// The ACME client renews: new files in the archive, then one link after the other.
    pub fn issue(&self, generation: usize) {
        let number = u32::try_from(generation).unwrap() + 1;
        self.lab.issue(LINEAGE, number, &self.generations.0[generation]);
        for entry in fs::read_dir(self.lab.path("le/archive").join(LINEAGE)).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The program, in the world's directory: so each process that comes of it can be found.
    pub fn command(&self, word: &str) -> Command {
        let words = [word];
        let mut command = self.lab.command(if word.is_empty() { &[] } else { &words });
        command.current_dir(self.lab.path(""));
        command
    }

    /// A call that nothing happens to.
    #[track_caller]
    pub fn call(&self, word: &str) -> Run {
        let run = crate::lab::run(&mut self.command(word));
        assert!(run.code == 0 && run.errors().is_empty(), "`{word}`: {run:#?}\n{}", self.lab.read("log"));
        run.speaks_plainly()
    }

    /// The service starts as soon as there is something to read.
    pub fn start_service(&self) {
        let from = self.lab.path("dane").join(LINEAGE).join("fullchain.pem");
        if !self.lab.path("memory").exists() && from.exists() {
            fs::copy(from, self.lab.path("memory.new")).unwrap();
            fs::rename(self.lab.path("memory.new"), self.lab.path("memory")).unwrap();
        }
    }

    /// The RRset that is shown, in hexadecimal digits.
    pub fn shown(&self) -> BTreeSet<String> {
        if !self.variant.update {
            let Ok(names) = fs::read_dir(self.lab.path("zone")) else { return BTreeSet::new() };
            return names.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
        }
        let state = self.server.state();
        state.rrsets.values().flat_map(|(_, records)| records).map(hex).collect()
    }

    /// Processes of this world. A moment is given to those that see their parent's end.
    pub fn processes(&self) -> Vec<i32> {
        let began = Instant::now();
        loop {
            let found = processes_of(&self.lab.path(""));
            if found.is_empty() || began.elapsed() > Duration::from_secs(3) {
                return found;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Everything of ours: names, modes, targets, contents; of the journal what is not a time. Whether the links of a generation
    /// lead to the client's archive or to our store is the same here: they lead to the store where linking it failed.
    pub fn left(&self) -> Left {
        let mut left = Left::new();
        for part in ["dane", "state", "le"] {
            self.look(&self.lab.path(part), &mut left);
        }
        left
    }

    fn look(&self, path: &Path, left: &mut Left) {
        let Ok(stat) = fs::symlink_metadata(path) else { return };
        let contents = if stat.is_symlink() {
            fs::read_link(path).unwrap().to_str().unwrap().to_owned()
        } else if stat.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.look(&entry.unwrap().path(), left);
            }
            String::new()
        } else {
            self.timeless(path, fs::read_to_string(path).unwrap())
        };
        let path = path.strip_prefix(self.lab.path("")).unwrap().to_str().unwrap().replace(".kept", "");
        let contents = match path.contains("/.generation-") && stat.is_symlink() {
            true => "the archive or the store".into(),
            false => contents.replace(".kept", ""),
        };
        left.insert(path.into(), (stat.mode(), contents));
    }

    fn timeless(&self, path: &Path, text: String) -> String {
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["clock.json", "run.json"].contains(&name) {
            return String::new();
        }
        match (name.ends_with(".json"), serde_json::from_str(&text)) {
            (true, Ok(mut document)) => {
                forget_times(&mut document);
                let text = format!("{document:#}");
                text.replace(&self.server.address.to_string(), "SERVER")
                    .replace(self.lab.path("").to_str().unwrap(), "")
            }
            _ => text,
        }
    }
}

/// A history that failed may have left processes; no other one is to see them.
impl Drop for World<'_> {
    fn drop(&mut self) {
        for pid in processes_of(&self.lab.path("")) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn forget_times(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(_) => *value = 0.into(),
        serde_json::Value::Array(values) => values.iter_mut().for_each(forget_times),
        serde_json::Value::Object(values) => {
            values.remove("epoch");
            values.values_mut().for_each(forget_times);
        }
        _ => {}
    }
}

pub fn hex(record: &Association) -> String {
    data_encoding::HEXLOWER.encode(&record.data)
}

/// The owner of the records.
pub fn owner() -> DnsName {
    format!("_25._tcp.{LINEAGE}").parse().unwrap()
}

/// Processes that work in `dir`, or have it among their words.
pub fn processes_of(dir: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let works = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if works || String::from_utf8_lossy(&words).contains(dir.to_str().unwrap()) {
            found.push(pid);
        }
    }
    found
}
