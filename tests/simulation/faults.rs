//! Every fault does what it says.

use crate::{
    clients::record_of,
    lab::{APEX, DAY, LETSENCRYPT, Lab, RESOLVER},
};
use daneroll::{
    env::{
        Command, Env, Files, Status,
        sim::{
            When, World,
            dns::{Mode, Updates},
            service::{Reload, Service},
            zone::{name, tlsa},
        },
    },
    tlsa::Association,
};
use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode, UpdateMessage},
    rr::{DNSClass, Record, RecordType},
};
use nix::errno::Errno;
use std::{cell::Cell, io, path::Path, rc::Rc, time::Duration};

const MX: &str = "mx.example.com";
const OWNER: &str = "_25._tcp.mx.example.com";

fn work(world: &World) -> io::Result<()> {
    let path = Path::new;
    world.make_dir(path("/w/x"), 0o700)?;
    world.write(path("/w/x/f"), b"new", 0o600)?;
    let _lock = world.lock(path("/w/lock"), Duration::ZERO)?.ok_or(io::ErrorKind::WouldBlock)?;
    world.rename(path("/w/x/f"), path("/w/f"))?;
    world.remove(path("/w/f"))
}

/// What `work` leaves in `/w` and `/w/x` when it is killed at an effect.
#[test]
fn killed_at_every_effect() {
    let list = |world: &World, dir: &str| {
        world.list(Path::new(dir)).map(|names| names.join(" ".as_ref()).into_string().unwrap()).unwrap_or("-".into())
    };
    type Case = (usize, When, &'static str, &'static str);
    let cases: [Case; 15] = [
        (1, When::Before, "-", "-"),
        (1, When::Midway, "", "-"),
        (1, When::After, "x", ""),
        (2, When::Before, "x", ""),
        (2, When::Midway, "x", ".tmpSIM001"),
        (2, When::After, "x", "f"),
        (3, When::Before, "x", "f"),
        (3, When::Midway, "lock x", "f"),
        (3, When::After, "lock x", "f"),
        (4, When::Before, "lock x", "f"),
        (4, When::Midway, "f lock x", ""),
        (4, When::After, "f lock x", ""),
        (5, When::Before, "f lock x", ""),
        (5, When::Midway, "lock x", ""),
        (5, When::After, "lock x", ""),
    ];
    for (effect, when, outer, inner) in cases {
        let world = World::new();
        world.kill_at(effect, when);
        assert!(world.survive(work).is_none(), "{effect} {when:?}");
        assert_eq!(world.effects(), effect);
        assert_eq!((list(&world, "/w").as_str(), list(&world, "/w/x").as_str()), (outer, inner), "{effect} {when:?}");
        assert!(world.lock(Path::new("/lock"), Duration::ZERO).unwrap().is_some());
    }
    let world = World::new();
    world.kill_at(6, When::Before);
    assert!(world.survive(work).unwrap().is_ok());
    assert_eq!((world.effects(), world.now()), (5, 15));
}

/// What is left of `/d` when the power fails after so many effects, and nothing or everything unsynced was written.
#[test]
fn power_losses() {
    let work = |world: &World| {
        let path = Path::new;
        let dirs = [path("/d").to_owned(), path("/").to_owned()];
        world.make_dir(path("/d"), 0o700)?;
        world.sync(&dirs[1..])?;
        world.write(path("/d/f"), b"1", 0o600)?;
        world.sync(&dirs[..1])?;
        world.write(path("/d/f"), b"2", 0o600)?;
        world.hard_link(path("/d/f"), path("/d/g"))?;
        world.rename(path("/d/f"), path("/f"))?;
        world.sync(&dirs)
    };
    type Case = (usize, &'static str, &'static str);
    let cases: [Case; 8] = [
        (1, "-", ""),
        (2, "", ""),
        (3, "", "f1"),
        (4, "f1", "f1"),
        (5, "f1", "f2"),
        (6, "f1", "f2 g2"),
        (7, "f1", "g2"),
        (9, "g2", "g2"),
    ];
    for (effects, nothing, everything) in cases {
        for (kept, wanted) in [(false, nothing), (true, everything)] {
            let world = World::new();
            world.kill_at(effects, When::After);
            assert!(world.survive(work).is_none());
            world.power_loss(|| kept);
            let found = world.list(Path::new("/d")).map(|names| {
                let content = |name: &std::ffi::OsString| {
                    let bytes = world.read(&Path::new("/d").join(name)).unwrap();
                    format!("{}{}", name.to_str().unwrap(), String::from_utf8(bytes).unwrap())
                };
                names.iter().map(content).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found.unwrap_or("-".into()), wanted, "{effects} {kept}");
        }
    }
}

/// The system writes by itself, a minute after the last change.
#[test]
fn old_changes_survive_a_power_loss() {
    for (seconds, there) in [(59, false), (60, true)] {
        let world = World::new();
        world.survive(|world| world.make_dir(Path::new("/d"), 0o700).unwrap());
        world.pass(Duration::from_millis(seconds * 1000 - 3));
        world.power_loss(|| false);
        assert_eq!(world.stat(Path::new("/d"), true).is_ok(), there, "{seconds} s");
    }
}

#[test]
fn ordered_errors() {
    let error = |world: &World| world.survive(work).unwrap().unwrap_err();
    let world = World::new();
    world.fail_effect(2, Errno::ENOSPC);
    assert_eq!(error(&world).kind(), io::ErrorKind::StorageFull);
    for (prefix, errno, kind) in [
        ("/w/x", Errno::EROFS, Some(io::ErrorKind::ReadOnlyFilesystem)),
        ("/w/lock", Errno::EACCES, Some(io::ErrorKind::PermissionDenied)),
        ("/other", Errno::EACCES, None),
    ] {
        let world = World::new();
        world.fail_paths(prefix, errno);
        assert_eq!(world.survive(work).unwrap().err().map(|error| error.kind()), kind, "{prefix}");
        world.clear_faults();
        let lock_left = world.survive(work).unwrap();
        assert!(lock_left.is_ok(), "{lock_left:?}");
    }
    let reads = |errno| {
        let world = World::new();
        world.write(Path::new("/f"), b"", 0o600).unwrap();
        world.fail_paths("/f", errno);
        assert!(world.read(Path::new("/f")).is_ok(), "the world itself has no faults");
        world.survive(|world| world.read(Path::new("/f")).is_ok()).unwrap()
    };
    assert!(reads(Errno::EROFS) && !reads(Errno::EACCES));
}

#[test]
fn others_act_between_effects() {
    let world = World::new();
    let seen = Rc::new(Cell::new(0));
    let observer = seen.clone();
    world.on_step(move |_| observer.set(observer.get() + 1));
    world.interject(2, |world| world.write(Path::new("/w/x/f"), b"theirs", 0o600).unwrap());
    let read = world.survive(|world| {
        world.make_dir(Path::new("/w/x"), 0o700).unwrap();
        world.write(Path::new("/w/x/f"), b"ours", 0o600).unwrap();
        world.read(Path::new("/w/x/f")).unwrap()
    });
    assert_eq!(read.unwrap(), b"theirs");
    assert!(seen.get() >= 3);
}

/// Code that cleans up while a killed process unwinds has no effect any more, and does not abort the test.
#[test]
fn the_dead_do_nothing() {
    struct Cleanup<'a>(&'a World);
    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            assert!(self.0.write(Path::new("/late"), b"", 0o600).is_err());
        }
    }
    let world = World::new();
    world.kill_at(1, When::After);
    let killed = world.survive(|world| {
        let _cleanup = Cleanup(world);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.make_dir(Path::new("/d"), 0o700)));
        assert!(caught.is_err());
        world.make_dir(Path::new("/e"), 0o700).unwrap();
    });
    assert!(killed.is_none());
    assert_eq!(world.list(Path::new("/")).unwrap(), ["d"]);
}

/// A second process, started between two effects of the first, waits for its lock in vain, and counts for itself.
#[test]
fn processes_overlap() {
    let world = World::new();
    let lock = |world: &World| world.lock(Path::new("/lock"), Duration::from_secs(9)).unwrap();
    world.interject(2, move |world| {
        let second = world.survive(|world| lock(world).is_some());
        assert_eq!((second, world.effects()), (Some(false), 1));
    });
    let held = world.survive(|world| {
        let held = lock(world);
        world.write(Path::new("/f"), b"", 0o600).unwrap();
        world.write(Path::new("/g"), b"", 0o600).unwrap();
        held.is_some()
    });
    assert_eq!((held, world.effects()), (Some(true), 3));
    assert_eq!(world.now(), 9000 + 3 * 3);
}

#[test]
#[should_panic(expected = "a bug")]
fn other_panics_pass() {
    World::new().survive(|_| panic!("a bug"));
}

#[test]
fn clocks() {
    let world = World::new();
    let order = Rc::new(std::cell::RefCell::new(Vec::new()));
    for (seconds, what) in [(5, "second"), (1, "first"), (9, "never")] {
        let order = order.clone();
        world.after(Duration::from_secs(seconds), move |world| order.borrow_mut().push((world.now(), what)));
    }
    let (boot, wall) = (world.boot(), world.wall());
    world.sleep(Duration::from_secs(6));
    assert_eq!(*order.borrow(), [(1000, "first"), (5000, "second")]);
    assert_eq!((world.boot().millis - boot.millis, world.wall() - wall), (6000, 6));
    world.jump_wall(-1000);
    assert_eq!((world.boot().millis - boot.millis, world.wall() - wall), (6000, -994));
    world.reboot();
    assert_ne!(world.boot().id, boot.id);
    assert_eq!((world.boot().millis, world.now()), (0, 6000));
}

fn lab() -> (Lab, Association) {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 60).start();
    let record = lab.record(MX, 1, [3, 1, 1]);
    (lab, record)
}

fn update(record: &Association) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Update);
    let mut zone = Query::query(name(APEX).to_name(), RecordType::SOA);
    zone.set_query_class(DNSClass::IN);
    message.add_zone(zone);
    message.add_update(Record::from_rdata(name(OWNER).to_name(), 600, tlsa(record)));
    message.to_vec().unwrap()
}

fn program(operation: &str, record: &Association, live: Option<&Association>) -> Command {
    let vars = [
        ("TLSA_OPERATION", operation.to_owned()),
        ("TLSA_USAGE", record.usage.to_string()),
        ("TLSA_SELECTOR", record.selector.to_string()),
        ("TLSA_MATCHING", record.matching.to_string()),
        ("TLSA_PORT", "25".into()),
        ("TLSA_PROTOCOL", "tcp".into()),
        ("TLSA_DOMAIN", MX.into()),
        ("TLSA_HASH", record.hex()),
        ("TLSA_LIVE_HASH", live.map(Association::hex).unwrap_or_default()),
    ];
    let vars = vars.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Command { argv: vec!["/sim/provider".into()], vars, limit: Duration::from_secs(300), ..Command::default() }
}

/// What a dynamic update and a call of the program say in each mode, and whether the record is there then, and a day later.
#[test]
fn providers() {
    use Status::{Exited, TimedOut};
    let code = |code| Ok(code);
    type Case = (Updates, Result<ResponseCode, &'static str>, Status, bool, bool);
    let cases: [Case; 11] = [
        (Updates::Work, code(ResponseCode::NoError), Exited(0), true, true),
        (Updates::Refuse, code(ResponseCode::Refused), Exited(2), false, false),
        (Updates::ServFail, code(ResponseCode::ServFail), Exited(128), false, false),
        (Updates::Silent, Err("no answer"), TimedOut, false, false),
        (Updates::SilentDone, Err("no answer"), TimedOut, true, true),
        (Updates::SilentLater(3600), Err("no answer"), TimedOut, false, true),
        (Updates::NoEffect, code(ResponseCode::NoError), Exited(0), false, false),
        (Updates::Unreachable, Err("refused"), Exited(129), false, false),
        (Updates::Slow(9), code(ResponseCode::NoError), Exited(0), true, true),
        (Updates::Exit(5), code(ResponseCode::ServFail), Exited(5), false, false),
        (Updates::Exit(200), code(ResponseCode::ServFail), Exited(200), false, false),
    ];
    for (mode, answer, status, at_once, later) in cases {
        let (lab, record) = lab();
        lab.world.change(|state| state.dns.next_updates.push_back(mode));
        let server = "192.0.2.1:53".parse().unwrap();
        let got = lab.world.exchange(server, &update(&record));
        match (&got, answer) {
            (Ok(bytes), Ok(code)) => {
                let message = Message::from_vec(bytes).unwrap();
                assert_eq!((message.metadata.response_code, message.metadata.id), (code, 77), "{mode:?}");
            }
            (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{mode:?}: {why}"),
            _ => panic!("{mode:?}: {got:?}"),
        }
        let (fresh, _) = self::lab();
        fresh.world.change(|state| state.dns.next_updates.push_back(mode));
        assert_eq!(fresh.world.run(&program("publish", &record, None)).status, status, "{mode:?}");
        for lab in [lab, fresh] {
            assert_eq!(lab.is_published(OWNER), at_once, "{mode:?}");
            lab.pass(DAY);
            assert_eq!(lab.is_published(OWNER), later, "{mode:?}");
        }
    }
}

/// The exit codes of the program's contract.
#[test]
fn program_contract() {
    let (lab, first) = lab();
    let other = Association { matching: 2, ..record_of(&lab.certbot.fullchain(MX, 1), [3, 1, 2]) };
    for (operation, record, live, status, published) in [
        ("publish", &first, None, 0, 1),
        ("publish", &first, None, 1, 1),
        ("delete", &first, Some(&other), 1, 1),
        ("publish", &other, None, 0, 2),
        ("delete", &first, Some(&other), 0, 1),
        ("delete", &first, None, 0, 1),
        ("renew", &first, None, 2, 1),
    ] {
        let ended = lab.world.run(&program(operation, record, live));
        assert_eq!(ended.status, Status::Exited(status), "{operation} {record}: {}", ended.output);
        assert_eq!(lab.published(OWNER).len(), published, "{operation} {record}");
    }
    let missing = Command { argv: vec!["/no/such".into()], ..Command::default() };
    assert!(matches!(lab.world.run(&missing).status, Status::NotStarted(_)));
}

/// What each reload does: exit code, chains presented after a change of the files, outages if they do not fit.
#[test]
fn reloads() {
    let live = format!("{LETSENCRYPT}/live/{MX}");
    for (mode, status, chains, broken) in [
        (Reload::Works, Status::Exited(0), vec![2], 1),
        (Reload::Checks, Status::Exited(0), vec![2], 0),
        (Reload::Fails(3), Status::Exited(3), vec![1], 0),
        (Reload::DoesNothing, Status::Exited(0), vec![1], 0),
        (Reload::Takes(30), Status::Exited(0), vec![2], 1),
        (Reload::Takes(301), Status::TimedOut, vec![1], 0),
        (Reload::Reaches(1), Status::Exited(0), vec![2, 1], 1),
    ] {
        let (lab, _) = lab();
        lab.world.serve(Service::new("smtp", MX, 25, &live).processes(2).reload(mode));
        let argv = vec!["/sim/reload".into(), "smtp".into()];
        let command = Command { argv, limit: Duration::from_secs(300), ..Command::default() };
        lab.certbot.renew(MX, crate::certs::Renewal::default());
        assert_eq!(lab.world.run(&command).status, status, "{mode:?}");
        let presented = lab.world.look(|state| state.services["smtp"].presented());
        let presented: Vec<Vec<u8>> = presented.iter().map(|chain| chain.to_vec()).collect();
        assert_eq!(presented, chains.iter().map(|n| lab.certbot.fullchain(MX, *n)).collect::<Vec<_>>(), "{mode:?}");
        let flaw = crate::certs::Flaw::WrongKey;
        lab.certbot.renew(MX, crate::certs::Renewal { flaw, ..Default::default() });
        lab.world.run(&command);
        assert_eq!(lab.world.look(|state| state.services["smtp"].outages.len()), broken, "{mode:?}");
        assert_eq!(lab.oracle.violations().len(), broken, "{mode:?}");
    }
}

/// A service that reads one file presents the chain in it, without the key.
#[test]
fn bundles() {
    let (lab, _) = lab();
    let live = |kind: &str| lab.world.read(Path::new(&format!("{LETSENCRYPT}/live/{MX}/{kind}.pem"))).unwrap();
    for both in [[live("privkey"), live("fullchain")].concat(), [live("fullchain"), live("privkey")].concat()] {
        lab.world.write(Path::new("/bundle.pem"), &both, 0o600).unwrap();
        lab.world.serve(Service::new("smtp", MX, 25, "/").bundle("/bundle.pem"));
        let presented = lab.world.look(|state| state.services["smtp"].presented());
        assert!(presented.len() == 1 && *presented[0] == live("fullchain")[..]);
    }
}

#[test]
fn resolver_down() {
    let (lab, _) = lab();
    let ask = daneroll::env::Ask {
        server: format!("{RESOLVER}:53").parse().unwrap(),
        name: name(MX),
        kind: RecordType::A,
        recursion: true,
        checking_disabled: false,
    };
    assert!(lab.world.ask(std::slice::from_ref(&ask))[0].is_ok());
    lab.world.change(|state| state.dns.resolvers.insert(ask.server.ip(), Mode::Down));
    let before = lab.world.now();
    assert!(lab.world.ask(&[ask])[0].is_err());
    assert_eq!(lab.world.now() - before, 5000);
}
