//! The real environment against this machine: its files and its processes. (Name servers: `real_dns.rs`.)

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use daneroll::env::{Command, Ended, Env, Files, Kind, LONGEST_FILE, Status, User, real::Real};
use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    os::unix::{fs::MetadataExt, fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant, SystemTime},
};

fn real() -> Real {
    Real::new(env!("CARGO_BIN_EXE_daneroll").into())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    real().list(dir).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn folders_are_what_leads_to_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["b", ".hidden", "a"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("README"), "").unwrap();
    for (name, target) in
        [("to-b", "b"), ("to-file", "README"), ("to-nothing", "nothing"), ("to-itself", "to-itself"), ("again", "to-b")]
    {
        std::os::unix::fs::symlink(target, at(name)).unwrap();
    }
    let real = real();
    assert_eq!(real.folders(dir.path()).unwrap(), [".hidden", "a", "again", "b", "to-b"]);
    // As told by a look at each.
    let below = real.below(dir.path());
    let looked_at = |name: &String| below(Path::new(name)).is_ok_and(|stat| stat.kind == Kind::Dir);
    let told: Vec<OsString> = names(dir.path()).into_iter().filter(looked_at).map(OsString::from).collect();
    assert_eq!(real.folders(dir.path()).unwrap(), told);
    for path in ["README", "nothing"] {
        let (listed, folders) = (real.list(&at(path)), real.folders(&at(path)));
        assert_eq!(folders.unwrap_err().to_string(), listed.unwrap_err().to_string(), "{path}");
    }
}

#[test]
fn writes_replace_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "old").unwrap();
    let open = fs::File::open(&path).unwrap();
    real().write(&path, b"new", 0o640).unwrap();
    assert_eq!((real().read(&path).unwrap().as_slice(), mode(&path)), (&b"new"[..], 0o640));
    let mut seen = String::new();
    (&open).read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old", "who had it open keeps the old one");
    assert_eq!(names(dir.path()), ["a"], "nothing is left beside it");
}

#[test]
fn many_writes_go_on_after_one_that_fails() {
    for count in [3, 40] {
        let dir = tempfile::tempdir().unwrap();
        let mut files: Vec<_> = (0..count).map(|n: u8| (dir.path().join(n.to_string()), vec![n])).collect();
        files.insert(1, (dir.path().join("missing/x"), Vec::new()));
        let error = real().write_all(&files, 0o600).unwrap_err().to_string();
        assert!(error.contains("missing/x"), "{error}");
        assert_eq!(names(dir.path()).len(), usize::from(count));
        assert_eq!(real().read(&dir.path().join("2")).unwrap(), [2]);
        assert_eq!(mode(&dir.path().join("2")), 0o600);
    }
}

#[test]
fn errors_name_the_path_and_keep_their_kind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere/x");
    let real = real();
    let results = [
        real.read(&path).err(),
        real.stat(&path, true).err(),
        real.target(&path).err(),
        real.real_path(&path).err(),
        real.list(&path).err(),
        real.set_mode(&path, 0o600, None).err(),
        real.write(&path, b"", 0o600).err(),
        real.point(&path, "y".as_ref()).err(),
        real.hard_link(&path, &dir.path().join("y")).err(),
        real.rename(&path, &dir.path().join("y")).err(),
        real.remove(&path).err(),
        real.remove_dir(&path).err(),
        real.sync(std::slice::from_ref(&path)).err(),
        real.lock(&path, Duration::ZERO).err(),
    ];
    for (place, error) in results.into_iter().enumerate() {
        let error = error.unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{place}: {error}");
        assert!(error.to_string().contains("nowhere/x"), "{place}: {error}");
    }
}

#[test]
fn reads_refuse_what_is_no_small_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, vec![0; LONGEST_FILE]).unwrap();
    assert_eq!(real().read(&path).unwrap().len(), LONGEST_FILE);
    fs::write(&path, vec![0; LONGEST_FILE + 1]).unwrap();
    assert!(real().read(&path).unwrap_err().to_string().contains("longer than 32 MiB"));
    assert!(real().read(dir.path()).unwrap_err().to_string().contains("not a regular file"));
    nix::unistd::mkfifo(&dir.path().join("p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(real().read(&dir.path().join("p")).unwrap_err().to_string().contains("not a regular file"));
    assert_eq!(real().read("/dev/null".as_ref()).unwrap(), b"");
}

#[test]
fn prints_tell_files_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let print = |name: &str| real().stat(&at(name), true).unwrap().print;
    let age = |name: &str, seconds: u64| {
        let file = fs::File::options().write(true).open(at(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    fs::write(at("a"), "1").unwrap();
    fs::write(at("b"), "1").unwrap();
    assert_eq!(print("a"), None, "it may be written to again at the same time");
    age("a", 10);
    age("b", 10);
    fs::hard_link(at("a"), at("second")).unwrap();
    let before = print("a");
    assert!(before.is_some() && before == print("second") && before != print("b"));
    assert_eq!(real().read_printed(&at("a")).unwrap(), (b"1".to_vec(), before));
    fs::write(at("a"), "2").unwrap();
    age("a", 5);
    assert!(print("a").is_some_and(|print| Some(print) != before));
    assert_eq!(print("."), None);
}

#[test]
fn links_are_made_replaced_and_seen() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("l");
    real().point(&link, "one".as_ref()).unwrap();
    real().point(&link, "two".as_ref()).unwrap();
    assert_eq!(real().target(&link).unwrap(), PathBuf::from("two"));
    assert_eq!(names(dir.path()), ["l"]);
    assert_eq!(real().stat(&link, false).unwrap().kind, Kind::Link);
    assert!(real().stat(&link, true).is_err());
    assert!(real().set_mode(&link, 0o600, None).is_err(), "a link has no mode, and its target is not meant");
    real().point(&link, dir.path()).unwrap();
    assert_eq!(real().stat(&link, true).unwrap().kind, Kind::Dir);
    let before = mode(dir.path());
    assert!(real().set_mode(&link, 0o555, None).is_err());
    assert_eq!(mode(dir.path()), before);
}

#[test]
fn directories_get_their_mode_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    real().make_dir(&deep, 0o777).unwrap();
    assert_eq!((mode(&deep), mode(&dir.path().join("a"))), (0o777, 0o777));
    real().make_dir(&deep, 0o700).unwrap();
    assert_eq!(mode(&deep), 0o777, "what is there is left as it is");
    real().set_mode(&deep, 0o2750, Some(nix::unistd::getegid().as_raw())).unwrap();
    assert_eq!(mode(&deep), 0o2750);
    fs::write(dir.path().join("f"), "").unwrap();
    assert!(real().make_dir(&dir.path().join("f"), 0o700).is_err());
    assert!(real().make_dir(&dir.path().join("f/g"), 0o700).is_err());
}

#[test]
fn locks_exclude_and_follow_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let first = real().lock(&path, Duration::ZERO).unwrap().unwrap();
    let began = Instant::now();
    assert!(real().lock(&path, Duration::from_millis(200)).unwrap().is_none());
    assert!(began.elapsed() >= Duration::from_millis(200));
    let waiting = thread::spawn({
        let path = path.clone();
        move || real().lock(&path, Duration::from_secs(10)).unwrap().is_some()
    });
    thread::sleep(Duration::from_millis(100));
    // The waiting one may have the old file open; a lock on that would exclude nobody. At no moment the path names a file that
    // nobody has locked.
    let second = real().lock(&dir.path().join("new"), Duration::ZERO).unwrap().unwrap();
    fs::rename(dir.path().join("new"), &path).unwrap();
    drop(first);
    thread::sleep(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    drop(second);
    assert!(waiting.join().unwrap());
    std::os::unix::fs::symlink("elsewhere", dir.path().join("link")).unwrap();
    assert!(real().lock(&dir.path().join("link"), Duration::ZERO).is_err());
}

#[test]
fn clocks_and_routes() {
    let (one, two) = (real().boot(), real().boot());
    assert_eq!(one.id, two.id);
    assert!(one.id.len() == 36 && two.millis >= one.millis && one.millis > 0);
    assert!((1..=real().boot().millis).contains(&real().up()), "process 1 began after the boot clock");
    assert!(real().wall() > 1_700_000_000);
    assert!(real().has_route("127.0.0.1".parse().unwrap()));
}

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|word| word.to_string()).collect(),
        vars: vec![("PATH".into(), PATH.into())],
        limit: Duration::from_secs(20),
        ..Command::default()
    }
}

fn sh(script: &str) -> Ended {
    real().run(&command(&["sh", "-c", script]))
}

fn not_started(ended: Ended) -> String {
    match ended.status {
        Status::NotStarted(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ends_are_told_apart() {
    for (script, status) in [
        ("exit 0", Status::Exited(0)),
        ("exit 1", Status::Exited(1)),
        ("exit 127", Status::Exited(127)),
        ("exit 255", Status::Exited(255)),
        ("kill -9 $$", Status::Signalled(9)),
        ("kill -15 $$", Status::Signalled(15)),
        ("sleep 0.5; kill 0; sleep 9", Status::Signalled(15)),
        ("trap 'exit 4' TERM; sleep 0.5; kill 0; sleep 9", Status::Exited(4)),
        ("trap '' INT TERM HUP; sleep 0.5; kill -2 0; kill 0; kill -1 0; exit 5", Status::Exited(5)),
        ("grep -q 'SigBlk:.0*$' /proc/self/status", Status::Exited(0)),
        ("no-such-command-xyz 2>/dev/null", Status::Exited(127)),
    ] {
        assert_eq!(sh(script).status, status, "{script}");
    }
}

#[test]
fn what_cannot_be_started_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let script = file("script", "#!/no/such/interpreter\n", 0o755);
    let plain = file("plain", "#!/bin/sh\n", 0o644);
    let text = file("text", "hello", 0o755);
    let here = dir.path().to_str().unwrap();
    for (argv, expected) in [
        (&["no-such-program"][..], "no program `no-such-program` in PATH"),
        (&["/no/such/program"], "`/no/such/program` does not exist"),
        (&[&script], "the interpreter"),
        (&[&plain], "not executable"),
        (&[&text], "neither a program nor a script"),
        (&[here], "is a directory"),
        (&[], "no command is given"),
        (&["true", "a\0b"], "nul byte"),
    ] {
        let why = not_started(real().run(&command(argv)));
        assert!(why.contains(expected), "{argv:?}: {why}");
    }
    let lost = Real::new("/no/such/daneroll".into()).run(&command(&["true"]));
    assert!(not_started(lost).contains("/no/such/daneroll"));
    let stranger = Real::new("/bin/sh".into()).run(&command(&["true"]));
    assert!(not_started(stranger).contains("without a word"));
}

#[test]
fn the_program_is_found_in_the_path_it_gets() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("sh");
    fs::write(&program, "#!/bin/sh\necho mine\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = command(&["sh"]);
    command.vars[0].1 = format!("/nowhere:{}", dir.path().display());
    let ended = real().run(&command);
    assert_eq!((ended.status, ended.output.as_str()), (Status::Exited(0), "mine\n"));
    command.vars.clear();
    assert!(not_started(real().run(&command)).contains("no program `sh`"));
}

#[test]
fn environment_input_and_files_are_exactly_what_they_should_be() {
    let mut env = command(&["env"]);
    env.vars.push(("IFS".into(), " \t\n".into()));
    let mut lines: Vec<_> = real().run(&env).output.split_inclusive('\n').map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines.concat(), format!("\nIFS= \t\nPATH={PATH}\n"));
    let mut big = command(&["sh", "-c", "echo ${#BIG}"]);
    big.vars.push(("BIG".into(), "x".repeat(100_000)));
    assert_eq!(real().run(&big).output, "100000\n");
    assert_eq!(sh("cat; readlink /proc/self/fd/0").output, "/dev/null\n");
    // Files that whoever started the tests left open are none of ours.
    let count = ["-c", "ls /proc/self/fd | wc -l"];
    let plain = std::process::Command::new("sh").args(count).output().unwrap().stdout;
    assert_eq!(sh(count[1]).output.as_bytes(), plain);
}

#[test]
fn output_is_kept_up_to_a_limit_and_repaired() {
    assert_eq!(sh("echo out; echo err >&2; printf '\\377\\n'").output, "out\nerr\n\u{fffd}\n");
    let ended = sh("head -c 1000000 /dev/zero | tr '\\0' x; exit 3");
    assert_eq!((ended.status, ended.output.len()), (Status::Exited(3), 64 << 10));
}

#[test]
fn a_daemon_that_a_command_leaves_behind_lives_and_holds_up_nobody() {
    let began = Instant::now();
    let ended = sh("sleep 30 & echo $!; (while sleep 0.01; do echo; done) & echo $!");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(ended.status, Status::Exited(0));
    let pids: Vec<i32> = ended.output.split_whitespace().take(2).map(|pid| pid.parse().unwrap()).collect();
    // The second one dies of SIGPIPE, since nobody reads what it prints any more.
    assert!(alive(pids[0]) && gone(pids[1]));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pids[0]), nix::sys::signal::SIGKILL).unwrap();
}

#[test]
fn the_time_limit_ends_the_whole_group() {
    for (script, least, most) in [
        ("sleep 60 & echo $!; sleep 60", 1000, 2900),
        ("trap '' TERM; sleep 60 & echo $!; sleep 60; sleep 60", 3000, 9000),
        ("(trap '' TERM; exec sleep 60) & echo $!; sleep 60", 1000, 2900),
    ] {
        let mut command = command(&["sh", "-c", script]);
        command.limit = Duration::from_secs(1);
        let began = Instant::now();
        let ended = real().run(&command);
        let took = began.elapsed().as_millis();
        assert_eq!(ended.status, Status::TimedOut);
        assert!((least..most).contains(&took), "{script}: {took} ms");
        let pid: i32 = ended.output.trim().parse().unwrap();
        assert!(gone(pid), "{script}");
    }
}

fn alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

/// Within a while, for the kernel needs a moment to bury the dead.
fn gone(pid: i32) -> bool {
    let until = Instant::now() + Duration::from_secs(3);
    while alive(pid) && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    !alive(pid)
}

/// Not a test of its own: what `a_killed_parent_takes_its_command_along` starts and kills.
#[test]
fn parent_for_the_test_below() {
    if let Some(file) = std::env::var_os("DANEROLL_TEST_PID_FILE") {
        sh(&format!("trap '' TERM HUP; sleep 60 & echo $$ $! > '{}'; wait", file.to_str().unwrap()));
    }
}

#[test]
fn a_killed_parent_takes_its_command_along() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pids");
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent_for_the_test_below"])
        .env("DANEROLL_TEST_PID_FILE", &file)
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pids = loop {
        match fs::read_to_string(&file) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => thread::sleep(Duration::from_millis(20)),
        }
    };
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.len() == 2 && pids.iter().all(|pid| alive(*pid)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(pids.iter().all(|pid| gone(*pid)));
}

#[test]
fn a_killed_supervisor_takes_its_command_along() {
    let began = Instant::now();
    let ended = sh("echo $$; kill -9 $PPID; sleep 60");
    assert_eq!(ended.status, Status::Signalled(9));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(gone(ended.output.trim().parse().unwrap()));
}

#[test]
fn a_stuck_supervisor_is_not_waited_for() {
    let mut stuck = command(&["sh", "-c", "echo $$; kill -STOP $PPID; sleep 60"]);
    stuck.limit = Duration::from_secs(1);
    let began = Instant::now();
    let ended = real().run(&stuck);
    assert_eq!(ended.status, Status::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(gone(ended.output.trim().parse().unwrap()));
}

#[test]
fn supervision_is_not_for_people() {
    for (args, input) in [(&["__supervise"][..], ""), (&["__supervise"], "{}\n"), (&["__supervise", "x"], "")] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_daneroll"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stdout).unwrap().contains("own use"));
    }
}

#[test]
fn commands_leave_no_open_files_and_no_zombies() {
    // In a process of its own, since other tests open files meanwhile.
    if std::env::var_os("DANEROLL_TEST_ALONE").is_none() {
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "commands_leave_no_open_files_and_no_zombies", "--test-threads=1"])
            .env("DANEROLL_TEST_ALONE", "1")
            .output()
            .unwrap();
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
        return;
    }
    let real = real();
    let state = || {
        let children = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap();
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let children: String = tasks.map(|task| children(task.unwrap())).collect();
        (fs::read_dir("/proc/self/fd").unwrap().count(), children.split_whitespace().count())
    };
    real.run(&command(&["true"]));
    let before = state();
    let table = [
        &["true"][..],
        &["no-such-program"],
        &["sh", "-c", "sleep 5 & kill -9 $$"],
        &["sh", "-c", "kill -9 $PPID"],
        &["sh", "-c", "sleep 0.1 &"],
        &["sh", "-c", "kill 0"],
        &["true"],
    ];
    for argv in table {
        real.run(&command(argv));
    }
    assert_eq!(state(), before);
    assert_eq!(before.1, 1, "the supervisor that waits for the next command");
    drop(real);
    assert_eq!(state().1, 0);
}

/// What a supervisor's process id tells of the calls of one world: 0 for the first, and one more whenever it is another.
fn supervisors(real: &Real, commands: &[Command]) -> (Vec<usize>, Vec<Ended>) {
    let mut seen: Vec<String> = Vec::new();
    let mut tell = |command: &Command| {
        let ended = real.run(command);
        let pid = ended.output.lines().next().unwrap_or_default().to_owned();
        if !seen.contains(&pid) {
            seen.push(pid.clone());
        }
        (seen.iter().position(|known| *known == pid).unwrap(), ended)
    };
    commands.iter().map(&mut tell).unzip()
}

#[test]
fn one_supervisor_takes_all_commands_that_leave_nothing_behind() {
    let plain = "echo $PPID";
    let leaves = "echo $PPID; sleep 30 & echo $!";
    let leaves_in_a_session = "echo $PPID; setsid sh -c 'sleep 30 & echo $!'";
    for (script, next) in [
        (plain, 0),
        ("echo $PPID; exit 3", 0),
        ("echo $PPID; kill -9 $$", 0),
        ("echo $PPID; cat /dev/zero | head -c 3000000", 0),
        ("echo $PPID; exec >&- 2>&- <&-; exit 1", 0),
        ("echo $PPID; sleep 0.3; trap '' TERM HUP INT USR1; kill 0; kill -1 0; kill -2 0; kill -USR1 0; kill -34 0", 0),
        ("echo $PPID; sleep 0.3; kill 0; sleep 9", 0),
        ("echo $PPID; sleep 0.3; kill -34 $$; sleep 9", 0),
        ("echo $PPID; (sleep 0.2; kill -34 $(exec sh -c 'echo $PPID')) & wait", 0),
        ("echo $PPID; (exec sleep 0.2) & exec true", 1),
        (leaves, 1),
        (leaves_in_a_session, 1),
        ("echo $PPID; kill -9 $PPID", 1),
        ("echo $PPID; sleep 0.3; kill -9 0", 1),
    ] {
        let scripts = [plain, script, plain, plain].map(|script| command(&["sh", "-c", script]));
        let (which, ended) = supervisors(&real(), &scripts);
        assert_eq!(which, [0, 0, next, next], "{script}: {ended:?}");
        // Each has its own words and nobody else's.
        let lines = |ended: &Ended| ended.output.lines().count();
        assert!([0, 2, 3].iter().all(|at| lines(&ended[*at]) == 1), "{script}: {ended:?}");
        if let (true, Some(left)) = (script == leaves || script == leaves_in_a_session, ended[1].output.lines().nth(1))
        {
            let left = left.parse().unwrap();
            assert!(alive(left), "{script}");
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::SIGKILL).unwrap();
        }
    }
}

#[test]
fn a_time_limit_ends_the_supervisor_and_not_what_was_left_behind_before() {
    let real = real();
    let left = real.run(&command(&["sh", "-c", "sleep 30 & echo $!"])).output.trim().parse().unwrap();
    let mut hangs = command(&["sh", "-c", "sleep 60"]);
    hangs.limit = Duration::from_millis(300);
    assert_eq!(real.run(&hangs).status, Status::TimedOut);
    assert!(alive(left));
    assert_eq!(real.run(&command(&["sh", "-c", "kill -9 0"])).status, Status::Signalled(9));
    assert!(alive(left));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::SIGKILL).unwrap();
    assert_eq!(real.run(&command(&["true"])).status, Status::Exited(0));
}

#[test]
fn a_supervisor_that_was_killed_while_it_waited_costs_no_call() {
    let real = real();
    for _ in 0..3 {
        let pid = real.run(&command(&["sh", "-c", "echo $PPID"])).output.trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    // What others send it while it waits is not for the next command either.
    let pid = real.run(&command(&["sh", "-c", "echo $PPID"])).output;
    let target = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(target, nix::sys::signal::SIGTERM).unwrap();
    assert_eq!(real.run(&command(&["sh", "-c", "echo $PPID"])).output, pid);
}

#[test]
fn a_program_that_stays_lets_commands_have_their_signals() {
    let script = "grep -q 'SigBlk:.0*$' /proc/self/status";
    let blocked = thread::spawn(move || {
        let staying = Real::new(env!("CARGO_BIN_EXE_daneroll").into()).staying(false);
        [staying.run(&command(&["sh", "-c", script])).status, staying.run(&command(&["sh", "-c", script])).status]
    });
    assert_eq!(blocked.join().unwrap(), [Status::Exited(0), Status::Exited(0)]);
}

#[test]
fn no_command_reads_what_another_was_told() {
    let real = real();
    let told = |words: &str| {
        let mut command =
            command(&["sh", "-c", "cat; env; tr '\\0' '\\n' < /proc/$PPID/environ; cat /proc/$PPID/cmdline"]);
        command.vars.push(("SECRET".into(), words.into()));
        command.input = format!("input of {words}\n");
        real.run(&command).output
    };
    for (words, other) in [("one", "two"), ("two", "one")] {
        let output = told(words);
        assert!(output.contains(&format!("SECRET={words}")) && output.contains(&format!("input of {words}")));
        assert_eq!(output.matches(words).count(), 2, "{output}");
        assert!(!output.contains(other), "{output}");
    }
}

#[test]
fn privileges_are_dropped_for_good() {
    let as_user = |name: &str, uid, gid, argv: &[&str]| {
        let user = Some(User { name: name.into(), uid, gid });
        real().run(&Command { user, ..command(argv) })
    };
    if !nix::unistd::geteuid().is_root() {
        assert!(not_started(as_user("", 1, 1, &["id"])).contains("must run as root"));
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    for (name, uid, gid) in [("nobody", nobody.uid.as_raw(), nobody.gid.as_raw()), ("", 4242, 4243)] {
        let script = "id -u; id -g; id -G; umask; grep -c '^Cap\\(Prm\\|Eff\\):.*[1-9a-f]' /proc/self/status";
        let ended = as_user(name, uid, gid, &["sh", "-c", script]);
        assert_eq!(ended.output, format!("{uid}\n{gid}\n{gid}\n0027\n0\n"));
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let program = dir.path().join("x");
        fs::copy("/bin/true", &program).unwrap();
        let why = not_started(as_user(name, uid, gid, &[program.to_str().unwrap()]));
        assert!(why.contains("not executable"), "only root may enter its directory: {why}");
    }
}
