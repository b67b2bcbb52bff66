//! A host in a temporary directory: certbot's tree, a zone that is a folder, an external program that edits it; and one of the two
//! programs, which knows nothing else.

use crate::cases::{Dialect, path};
use daneroll::{
    lineage::pem,
    tlsa::{Association, Param},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};
use tempfile::TempDir;

/// What is put to the test.
#[derive(Clone, Debug)]
pub enum Program {
    /// daneroll.
    Ours,
    /// Alnitak of this version, with the interpreter that has it.
    Alnitak { python: PathBuf, version: String },
}

impl Program {
    /// Is it the 0.1 dialect that a case is told in?
    pub fn speaks_old(&self, case: Dialect) -> bool {
        match self {
            Program::Ours => case == Dialect::Old,
            Program::Alnitak { version, .. } => version.starts_with("0.1"),
        }
    }

    /// A mode in the words of a dialect.
    pub fn mode(&self, case: Dialect, mode: &'static str) -> &'static str {
        match (self.speaks_old(case), mode) {
            (true, "pre") => "--pre",
            (true, "post") => "--post",
            (true, "reset") => "--reset",
            (true, "configtest") => "-t",
            _ => mode,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The host.
pub struct World {
    dir: TempDir,
    pub program: Program,
    pub dialect: Dialect,
}

/// The four files of a generation.
struct Issued([(&'static str, String); 4]);

fn authority() -> &'static (CertificateParams, KeyPair, String) {
    static AUTHORITY: OnceLock<(CertificateParams, KeyPair, String)> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.distinguished_name.push(DnType::CommonName, "Test CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = ca.self_signed(&key).unwrap().pem();
        (ca, key, pem)
    })
}

fn issue(lineage: &str) -> Issued {
    let (ca, ca_key, chain) = authority();
    let (key, leaf) = (KeyPair::generate().unwrap(), CertificateParams::new(vec![lineage.into()]).unwrap());
    let cert = leaf.signed_by(&key, &Issuer::from_params(ca, ca_key)).unwrap().pem();
    let fullchain = format!("{cert}{chain}");
    Issued([("cert", cert), ("chain", chain.clone()), ("fullchain", fullchain), ("privkey", key.serialize_pem())])
}

/// The external program. It notes what it is asked and what services read at that moment, and keeps the zone, a folder.
const HOOK: &str = r#"#!/bin/sh
cd {dir} || exit 99
record=_$TLSA_PORT._$TLSA_PROTOCOL.$TLSA_DOMAIN:$TLSA_PARAM:$TLSA_HASH
code=$(cat "exit-$TLSA_OPERATION" 2>/dev/null)
echo "$TLSA_OPERATION $record $(sha256sum <"dane/$TLSA_DOMAIN/cert.pem")" >>calls
env -0 >environment-$TLSA_OPERATION
echo "said by the hook"
case $code in
  '') ;;
  kill) kill -9 $$ ;;
  *) exit "$code" ;;
esac
case $TLSA_OPERATION in
  publish) [ ! -e "zone/$record" ] || exit 1; : >"zone/$record" ;;
  delete)
    live=_$TLSA_PORT._$TLSA_PROTOCOL.$TLSA_DOMAIN:$TLSA_PARAM:$TLSA_LIVE_HASH
    [ -z "$TLSA_LIVE_HASH" ] || [ -e "zone/$live" ] || exit 1
    rm -f "zone/$record" ;;
esac
"#;

impl World {
    /// A host with nothing on it but the external program.
    pub fn new(program: &Program, dialect: Dialect) -> World {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("daneroll-alnitak-").tempdir_in(base).unwrap();
        let world = World { dir, program: program.clone(), dialect };
        for part in ["zone", "lock", "le/live", "le/archive"] {
            fs::create_dir_all(world.path(part)).unwrap();
        }
        world.write("hook", &world.filled(HOOK));
        fs::set_permissions(world.path("hook"), fs::Permissions::from_mode(0o755)).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// `{dir}` is the host's directory, `{conf}` its configuration, `{api}` the external program as an `api` line has it.
    pub fn filled(&self, text: &str) -> String {
        let dir = self.dir.path().display().to_string();
        let scheme = if self.program.speaks_old(self.dialect) { "binary" } else { "exec" };
        text.replace("{api}", &format!("{scheme} {dir}/hook"))
            .replace("{conf}", &format!("{dir}/conf"))
            .replace("{dir}", &dir)
    }

    /// The configuration: paths, what only daneroll knows, then this.
    pub fn configure(&self, text: &str) {
        let ours = "state_directory = {dir}/state\nlog = {dir}/log\nverify = provider\nprobe = off\nsettle = 0\nhold = 0\n\
                    recheck = 1\nreload = /bin/true\n";
        let ours = if matches!(self.program, Program::Ours) { ours } else { "" };
        let text = format!("letsencrypt_directory = {{dir}}/le\ndane_directory = {{dir}}/dane\n{ours}{text}");
        self.write("conf", &self.filled(&text));
    }

    /// A new generation of a lineage, as certbot leaves it.
    pub fn renew(&self, lineage: &str) {
        let Issued(files) = issue(lineage);
        let (archive, live) = (self.path("le/archive").join(lineage), self.path("le/live").join(lineage));
        fs::create_dir_all(&archive).unwrap();
        fs::create_dir_all(&live).unwrap();
        let number = (1..).find(|number| !archive.join(format!("cert{number}.pem")).exists()).unwrap();
        for (name, text) in files {
            fs::write(archive.join(format!("{name}{number}.pem")), text).unwrap();
            let link = live.join(format!("{name}.pem"));
            let _ = fs::remove_file(&link);
            symlink(format!("../../archive/{lineage}/{name}{number}.pem"), link).unwrap();
        }
    }

    /// The generations of a lineage by the record that each has.
    fn records(&self, lineage: &str, param: Param) -> BTreeMap<Association, Vec<usize>> {
        let chain = |number: usize| {
            let file = self.path("le/archive").join(lineage).join(format!("fullchain{number}.pem"));
            Some(pem::chain(&fs::read(file).ok()?).unwrap())
        };
        let mut records: BTreeMap<Association, Vec<usize>> = BTreeMap::new();
        for (number, chain) in (1..).map_while(|number| Some((number, chain(number)?))) {
            records.entry(chain.association(param).unwrap()).or_default().push(number);
        }
        records
    }

    /// Number and association data in hex of each generation.
    pub fn hashes(&self, lineage: &str, param: &str) -> Vec<(usize, String)> {
        let records = self.records(lineage, param.parse().unwrap());
        records.into_iter().flat_map(|(record, numbers)| numbers.into_iter().map(move |n| (n, record.hex()))).collect()
    }

    /// Publishes the record of the first generation, by nobody's hand.
    pub fn publish_first(&self, lineage: &str, param: &str) {
        let parsed: Param = param.parse().unwrap();
        let records = self.records(lineage, parsed);
        let first = records.iter().find(|(_, numbers)| numbers.contains(&1)).unwrap().0;
        self.write(&format!("zone/_25._tcp.{lineage}:{param}:{}", first.hex()), "");
    }

    /// The generations of a lineage that have a record with these parameters in the zone.
    pub fn zone(&self, lineage: &str, param: &str) -> Vec<String> {
        let records = self.records(lineage, param.parse().unwrap());
        let there =
            |record: &Association| self.path(&format!("zone/_25._tcp.{lineage}:{param}:{}", record.hex())).exists();
        let numbers = records
            .into_iter()
            .filter(|(record, _)| there(record))
            .map(|(_, numbers)| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join("="));
        let mut numbers: Vec<String> = numbers.collect();
        numbers.sort();
        numbers
    }

    /// The generation that services read, if it is one.
    pub fn shown(&self, lineage: &str) -> Option<usize> {
        let read = |name: &str| fs::read(self.path("dane").join(lineage).join(format!("{name}.pem"))).ok();
        let shown = ["cert", "chain", "fullchain", "privkey"].map(read);
        (1..20).find(|number| {
            let kept =
                |name: &str| fs::read(self.path("le/archive").join(lineage).join(format!("{name}{number}.pem"))).ok();
            shown.iter().all(Option::is_some) && ["cert", "chain", "fullchain", "privkey"].map(kept) == shown
        })
    }

    /// Runs the program with exactly these arguments; `renewed` is what certbot says was renewed.
    pub fn run(&self, arguments: &[&str], renewed: Option<&str>) -> Ended {
        let arguments: Vec<String> = arguments.iter().map(|argument| self.filled(argument)).collect();
        let mut environment = BTreeMap::from([("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("LC_ALL", "C.UTF-8")]);
        environment.extend(renewed.map(|renewed| ("RENEWED_DOMAINS", renewed)));
        if let Program::Alnitak { python, .. } = &self.program {
            let call = json!({ "base": self.dir.path(), "arguments": arguments, "environment": environment });
            let code = Interpreter::call(python, &call.to_string());
            return Ended { code, out: self.read("out"), err: self.read("err") };
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_daneroll"));
        command.args(arguments).env_clear().envs(environment).stdin(Stdio::null()).current_dir(self.dir.path());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs it in a mode of Alnitak's, with the configuration of this host.
    pub fn mode(&self, mode: &'static str, renewed: Option<&str>) -> Ended {
        let word = self.program.mode(self.dialect, mode);
        let words: Vec<&str> = [word, "-c", "{conf}"].into_iter().filter(|word| !word.is_empty()).collect();
        self.run(&words, renewed)
    }

    /// What the external program is to end with; nothing: it does its work.
    pub fn ends_with(&self, operation: &str, code: &str) {
        self.write(&format!("exit-{operation}"), code);
    }

    /// How often the external program was called to do that, since the last time anybody asked.
    pub fn calls(&self, operation: &str) -> usize {
        let calls = self.read("calls");
        calls.lines().filter(|line| line.starts_with(operation)).count()
    }
}

/// A Python that has Alnitak loaded: starting it takes most of the time of a call.
struct Interpreter {
    child: Child,
    answers: BufReader<ChildStdout>,
}

/// Those that nobody uses just now.
static FREE: Mutex<Vec<Interpreter>> = Mutex::new(Vec::new());

impl Interpreter {
    fn call(python: &Path, call: &str) -> i32 {
        let free = FREE.lock().unwrap().pop();
        let mut interpreter = free.unwrap_or_else(|| Interpreter::start(python));
        writeln!(interpreter.child.stdin.as_mut().unwrap(), "{call}").unwrap();
        let mut answer = String::new();
        interpreter.answers.read_line(&mut answer).unwrap();
        FREE.lock().unwrap().push(interpreter);
        answer.trim().parse().unwrap_or_else(|_| panic!("Alnitak could not be called: {call}"))
    }

    fn start(python: &Path) -> Interpreter {
        let mut command = Command::new(python);
        command.arg(path("launch.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Interpreter { child, answers }
    }

    /// Ends them all: they read to the end of their input.
    pub fn end_all() {
        for mut interpreter in FREE.lock().unwrap().drain(..) {
            drop(interpreter.child.stdin.take());
            interpreter.child.wait().unwrap();
        }
    }
}

/// Ends every Alnitak that was started.
pub fn end_all() {
    Interpreter::end_all();
}
