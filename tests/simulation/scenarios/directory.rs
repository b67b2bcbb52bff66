//! The dane directory: how it is laid out, taken over, pinned, and what is left alone.

use super::tools::*;
use crate::{
    certs::Renewal,
    lab::{DANE, DAY, HOUR, LETSENCRYPT, Lab},
};
use daneroll::env::{Files, sim::service::Reads};
use std::path::{Path, PathBuf};

const KINDS: [&str; 4] = ["cert", "chain", "fullchain", "privkey"];

fn dane(rest: &str) -> PathBuf {
    Path::new(DANE).join(rest)
}

fn mode(lab: &Lab, path: &Path) -> (u32, u32) {
    let stat = lab.world.stat(path, true).unwrap();
    (stat.mode, stat.gid)
}

/// `bundle = yes`: key and chain in one file, for whom only root can read it, always of one generation.
#[test]
fn bundle() {
    let lab = Lab::with(MX, "311 25").bundle().reads(Reads::Anytime).start();
    first_use(&lab);
    for _ in 0..2 {
        assert!(is_pinned(&lab.world, MX), "`bundle` implies `pin = always`");
        let file = dane("mx.example.com/bundle.pem");
        assert_eq!(mode(&lab, &file).0, 0o600);
        let text = String::from_utf8(lab.world.read(&file).unwrap()).unwrap();
        assert!(text.starts_with("-----BEGIN PRIVATE KEY") && text.ends_with("END CERTIFICATE-----\n"));
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2);
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        let newest = String::from_utf8(lab.certbot.fullchain(MX, lab.certbot.number(MX))).unwrap();
        let presented = presented(&lab, 25, MX);
        assert!(presented.len() == 1 && presented[0].ends_with(newest.as_bytes()));
        assert_eq!(lab.published(OWNER), [lab.record(MX, lab.certbot.number(MX), [3, 1, 1])]);
        lab.assert_clean();
    }
}

/// `bundle` is turned on for a lineage that services read already.
#[test]
fn bundle_turned_on_later() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    first_use(&lab);
    configure(&lab, |text| text + "bundle = yes\n");
    assert_eq!(lab.run(&[]), 0);
    assert!(lab.world.read(&dane("mx.example.com/bundle.pem")).is_ok());
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
    configure(&lab, |text| text.replace("bundle = yes\n", ""));
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
}

/// A section that is taken out, or has an error, says nothing about a bundle: the one that is there stays, whatever is renewed.
#[test]
fn bundle_without_section() {
    let spoils: [fn(String) -> String; 3] =
        [|_| String::new(), |text| text + "tslv = 311 25\n", |text| text.replace('[', "[no.")];
    for spoil in spoils {
        let lab = Lab::with(MX, "311 25").bundle().reads(Reads::Anytime).start();
        first_use(&lab);
        configure(&lab, spoil);
        for hooks in [["--pre", "--post"], ["--pre", ""], ["deploy", "--post"]] {
            lab.run(&hooks[..1]);
            lab.certbot.renew(MX, Renewal::default());
            lab.run(if hooks[1].is_empty() { &[] } else { &hooks[1..] });
            lab.run(&[]);
            lab.assert_clean();
        }
        let text = lab.setup.config();
        configure(&lab, |_| text);
        lab.cron(2 * HOUR, 2 * DAY);
        lab.assert_settled(MX);
    }
}

/// `dane_group`: what services read are copies that the group can read; the client's own files stay as they are.
#[test]
fn group() {
    let lab = Lab::with(MX, "311 25").global("dane_group = daemon\ndane_mode = 0750").reads(Reads::Anytime).start();
    first_use(&lab);
    for _ in 0..2 {
        for kind in KINDS {
            let file = dane(&format!("mx.example.com/{kind}.pem"));
            assert_eq!(mode(&lab, &file), (0o640, 1), "{kind}");
            let number = lab.certbot.number(MX);
            let original = PathBuf::from(format!("{LETSENCRYPT}/archive/{MX}/{kind}{number}.pem"));
            assert_eq!(mode(&lab, &original), (if kind == "privkey" { 0o600 } else { 0o644 }, 0));
            let above = lab.world.real_path(&file).unwrap();
            for dir in above.ancestors().skip(1).take_while(|dir| dir.starts_with(DANE)) {
                assert_eq!(mode(&lab, dir), (0o750, 1), "{}", dir.display());
            }
        }
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// A file of others under a name that services open: nothing is switched, for they would read the key of one certificate and the
/// chain of the other; a pin moves all the same.
#[test]
fn a_file_in_the_way() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    let key = dane("mx.example.com/privkey.pem");
    let bytes = lab.world.read(&key).unwrap();
    lab.world.remove(&key).unwrap();
    lab.world.write(&key, &bytes, 0o600).unwrap();
    lab.run(&["--pre"]);
    lab.certbot.renew(MX, Renewal::default());
    lab.run(&["--post"]);
    cron_any(&lab, 2 * HOUR, 2 * DAY);
    assert!(shows(&lab, MX, 1), "{}", lab.told());
    lab.assert_told(&["privkey.pem is not ours and in the way of a link: move it elsewhere"]);
    lab.assert_clean();
    lab.world.remove(&key).unwrap();
    cron_any(&lab, 2 * HOUR, 2 * DAY);
    lab.assert_settled(MX);
}

/// By default only root gets in.
#[test]
fn modes() {
    let lab = Lab::with(MX, "311 25").line("pin = always").start();
    first_use(&lab);
    for dir in ["", "mx.example.com", ".store", ".store/mx.example.com"] {
        assert_eq!(mode(&lab, &dane(dir)).0, 0o700, "{dir}");
    }
    assert_eq!(mode(&lab, &dane("mx.example.com/privkey.pem")).0, 0o600);
}

/// Links are relative, and services find every name in the lineage's directory at all times.
#[test]
fn links() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    let target = |path: &str| lab.world.target(&dane(path)).unwrap();
    assert_eq!(target("mx.example.com/privkey.pem"), Path::new(".served/privkey.pem"));
    assert_eq!(target("mx.example.com/.served"), Path::new("../../../letsencrypt/live/mx.example.com"));
    assert_eq!(lab.run(&["--pre"]), 0);
    let pinned = target("mx.example.com/.served");
    let link = format!("mx.example.com/{}/privkey.pem", pinned.display());
    assert_eq!(target(&link), Path::new("../../../../letsencrypt/archive/mx.example.com/privkey1.pem"));
}

/// Lineages without a section just follow `live/`, new ones from the next run on; renewals leave them alone.
#[test]
fn unconfigured_lineages_are_mirrored() {
    let lab = Lab::with(MX, "311 25").start();
    lab.certbot.issue("one", &["one.example.com"], 90);
    first_use(&lab);
    lab.certbot.issue("two", &["two.example.com"], 90);
    assert_eq!(lab.run(&[]), 0);
    for number in 2..4 {
        lab.renew("one", Renewal::default());
        lab.renew("two", Renewal::default());
        assert!(shows(&lab, "one", number) && shows(&lab, "two", number));
        assert!(!is_pinned(&lab.world, "one"));
        lab.cron(HOUR, 2 * HOUR);
    }
    assert!(lab.world.list(Path::new("/var/lib/daneroll/lineages")).unwrap().len() == 1, "nothing to remember of them");
    lab.assert_settled(MX);
}

/// Something else stands where a link belongs: trouble of that lineage only, and it is not touched.
#[test]
fn foreign_file_in_the_way() {
    for (path, directory) in
        [("www.example.com/cert.pem", false), ("www.example.com/cert.pem", true), ("www.example.com", false)]
    {
        let lab = two();
        let way = dane(path);
        lab.world.make_dir(way.parent().unwrap(), 0o700).unwrap();
        if directory {
            lab.world.make_dir(&way, 0o700).unwrap();
        } else {
            lab.world.write(&way, b"precious", 0o600).unwrap();
        }
        assert_eq!(lab.run(&["--reset"]), 1, "{path}");
        cron_any(&lab, 4 * HOUR, 3 * DAY);
        serve_as(&lab, "mx.example.com:25", 25, MX, MX, Reads::Anytime);
        assert_eq!(lab.run(&["--pre"]), 1, "{path} {directory}");
        lab.certbot.renew(MX, Renewal::default());
        lab.run(&["--post"]);
        assert!(cron_any(&lab, 4 * HOUR, 2 * DAY) == 12, "told each time");
        lab.assert_settled(MX);
        assert!(lab.world.stat(&way, false).is_ok());
        assert!(directory || lab.world.read(&way).unwrap() == b"precious");
    }
}

/// Foreign files beside ours stay.
#[test]
fn foreign_files_beside() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    for file in ["mx.example.com/notes.txt", "mx.example.com/dhparam.pem", "README"] {
        lab.world.write(&dane(file), b"mine", 0o600).unwrap();
    }
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
    for file in ["mx.example.com/notes.txt", "mx.example.com/dhparam.pem", "README"] {
        assert_eq!(lab.world.read(&dane(file)).unwrap(), b"mine", "{file}");
    }
}

/// A directory that Alnitak made: links of single files into `live/` (idle) or `archive/` (pinned). It is taken over with no
/// moment in which a process could read a missing or another file.
#[test]
fn alnitak_directory_is_taken_over() {
    for archive in [false, true] {
        for command in [&["--reset"][..], &[], &["--pre"], &["--post"]] {
            for always in [false, true] {
                if always && command.is_empty() {
                    continue;
                }
                let setup = Lab::with(MX, "311 25");
                let lab = if always { setup.line("pin = always") } else { setup }.start();
                let made = dane(MX);
                lab.world.make_dir(&made, 0o700).unwrap();
                for kind in KINDS {
                    let target = match archive {
                        true => format!("../../../letsencrypt/archive/{MX}/{kind}1.pem"),
                        false => format!("../../../letsencrypt/live/{MX}/{kind}.pem"),
                    };
                    lab.world.point(&made.join(format!("{kind}.pem")), Path::new(&target)).unwrap();
                }
                lab.world.write(&made.join("README"), b"made by Alnitak", 0o600).unwrap();
                lab.publish(OWNER, 3600, &lab.record(MX, 1, [3, 1, 1]));
                serve_as(&lab, "mx.example.com:25", 25, MX, MX, Reads::Anytime);
                if archive {
                    lab.certbot.renew(MX, Renewal::default());
                }
                let refused = archive && command == ["--reset"];
                assert_eq!(lab.run(command), i32::from(refused), "{archive} {command:?}");
                assert!(shows(&lab, MX, 1), "{archive} {command:?}");
                lab.cron(4 * HOUR, 3 * DAY);
                lab.run(&["--post"]);
                assert!(lab.world.target(&made.join(".served")).is_ok());
                lab.renew(MX, Renewal::default());
                lab.cron(4 * HOUR, 2 * DAY);
                assert!(shows(&lab, MX, lab.certbot.number(MX)));
                lab.assert_clean();
                assert_eq!(lab.world.read(&made.join("README")).unwrap(), b"made by Alnitak");
            }
        }
    }
}

/// Directories that are links themselves: what we make leads from the real place to the real place.
#[test]
fn symlinked_parents() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    lab.world.change(|state| {
        let disk = &mut state.disk;
        for dir in ["/srv", "/srv/deep", "/srv/deep/dane"] {
            disk.make_dir(Path::new(dir), 0o700).unwrap();
        }
        disk.symlink(Path::new(DANE), Path::new("/srv/deep/dane")).unwrap();
        disk.rename(Path::new(LETSENCRYPT), Path::new("/srv/le")).unwrap();
        disk.symlink(Path::new(LETSENCRYPT), Path::new("../srv/le")).unwrap();
    });
    first_use(&lab);
    for _ in 0..6 {
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
    let served = lab.world.target(&dane("mx.example.com/.served")).unwrap();
    assert_eq!(served, Path::new("../../../le/live/mx.example.com"));
}

/// The dane directory on a file system of its own: no hard links there, so the store holds copies.
#[test]
fn another_file_system() {
    let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
    lab.world.change(|state| {
        state.disk.mount(Path::new(DANE)).unwrap();
    });
    first_use(&lab);
    for _ in 0..3 {
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// What is left of old generations: nothing.
#[test]
fn old_generations_are_swept() {
    for setup in [Lab::with(MX, "311 25"), Lab::with(MX, "311 25").line("pin = always")] {
        let lab = setup.start();
        first_use(&lab);
        for _ in 0..4 {
            lab.renew(MX, Renewal::default());
            lab.cron(2 * HOUR, DAY);
        }
        lab.assert_settled(MX);
        assert_eq!(lab.world.list(&dane(".store/mx.example.com")).unwrap().len(), 1);
        let names = lab.world.list(&dane(MX)).unwrap();
        let folders = names.iter().filter(|name| name.to_string_lossy().starts_with(".generation-"));
        assert!(folders.count() <= 1, "{names:?}");
    }
}
