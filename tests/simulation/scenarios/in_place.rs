//! Clients that overwrite their files: lego, acme.sh, dehydrated, and PEM files of anybody. The simulated certbot is the authority;
//! what it has is written over what the client had, in the client's own way.

use super::{MX, count, serves, settle};
use crate::{
    acme::{Way, Written, overwrite},
    certs::{Flaw, Renewal},
    lab::{DANE, DAY, HOUR, KILLED, LETSENCRYPT, Lab, STATE, Setup, last_wish},
};
use daneroll::{
    cli::Hints,
    config::{Overrides, load},
    env::{Files, Kind, sim::When},
    lineage::layout::Places,
};
use std::path::{Path, PathBuf};

const WAYS: [Way; 7] =
    [Way::One("kfc"), Way::One("cfk"), Way::Apart("fck"), Way::Apart("kfc"), Way::Lego, Way::AcmeSh, Way::Dehydrated];

impl Way {
    fn setup(self) -> Setup {
        Lab::with(MX, "311 25").line(self.source())
    }

    /// A laboratory whose first certificate is served, its record known to every cache.
    fn ready(self) -> Lab {
        let lab = self.setup().global("ttl = 3600").start();
        self.write(&lab, 1);
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        lab.cron(3 * HOUR, 9 * HOUR);
        lab.assert_settled(MX);
        lab
    }

    /// The client has the next certificate, and begins to write it.
    fn order(lab: &Lab) -> usize {
        lab.certbot.renew(MX, Renewal::default());
        lab.certbot.number(MX)
    }
}

/// Where daneroll looks with the configuration of this laboratory.
fn places(lab: &Lab) -> Places {
    let loaded = load(&lab.world, Path::new(crate::lab::CONFIG), &Overrides::default()).unwrap();
    let source = loaded.config.sections[0].source.in_place().unwrap().clone();
    let live = Path::new(LETSENCRYPT).join("live");
    Places { live, dane: DANE.into(), state: STATE.into(), sources: [(MX.to_owned(), source)].into() }
}

/// All states that the files go through while a client truncates them and writes them anew byte by byte, `every` so many bytes and
/// around each line end. `look` is called in each, with whether all is written.
fn tear(lab: &Lab, files: &Written, every: usize, mut look: impl FnMut(bool)) {
    let last = files.len() - 1;
    for (number, (path, bytes)) in files.iter().enumerate() {
        for end in 0..=bytes.len() {
            let at_line = bytes[end.saturating_sub(1)..bytes.len().min(end + 1)].contains(&b'\n');
            if end % every == 0 || at_line || end == bytes.len() {
                overwrite(&lab.world, path, &bytes[..end]);
                look(number == last && end == bytes.len());
            }
        }
    }
}

/// What a source says of the files as they are: the certificates, in PEM as they would be served.
fn told(lab: &Lab, places: &Places) -> Result<(Vec<u8>, bool), String> {
    let facts = daneroll::observe::files::lineage(&lab.world, places, MX, false);
    let text = |generation: &daneroll::lineage::Generation| {
        let ders = generation.chain.certificates.iter().map(|certificate| &certificate.der);
        ders.flat_map(|der| daneroll::lineage::pem::encode("CERTIFICATE", der).into_bytes()).collect()
    };
    match (&facts.live, &facts.doubted) {
        (Ok(live), _) => Ok((text(live), false)),
        (Err(_), Some(doubted)) => Ok((text(doubted), true)),
        (Err(why), None) => Err(why.clone()),
    }
}

/// At every byte that a client has written what is there is the old set, the new set, or none: half of one is never taken for a
/// whole, and what could be cut short is doubted. The same after a first set has been copied, and before.
#[test]
fn torn_at_every_byte() {
    for way in WAYS {
        let lab = way.setup().start();
        let number = Way::order(&lab);
        let (old, new) = (lab.certbot.fullchain(MX, 1), lab.certbot.fullchain(MX, number));
        let places = places(&lab);
        let (mut torn, mut doubts) = (0, 0);
        for (from, to) in [(None, 1), (Some(1), number)] {
            from.iter().for_each(|from| way.write(&lab, *from));
            tear(&lab, &way.files(&lab, to), 1, |whole| match told(&lab, &places) {
                Ok((chain, false)) => {
                    assert!(
                        chain == new && to == number || chain == old,
                        "{way:?}: {}",
                        String::from_utf8_lossy(&chain)
                    );
                }
                Ok((_, true)) => doubts += 1,
                Err(why) => {
                    assert!(!whole && !why.contains("BEGIN"), "{way:?}: {why}");
                    torn += 1;
                }
            });
            let last = told(&lab, &places).unwrap();
            assert_eq!(last, (if to == 1 { old.clone() } else { new.clone() }, false), "{way:?}");
        }
        // What has the key before the chain can end early and look whole, where nothing else tells of the chain.
        let can = matches!(way, Way::One("kfc") | Way::Apart("kfc"));
        assert!(torn > 100, "{way:?}: {torn}");
        assert_eq!(doubts > 0, can, "{way:?}: {doubts} of {torn}");
    }
}

/// Plain runs while a client writes: nobody ever reads anything but a whole set, no run fails, and each says what it waits for.
#[test]
fn runs_while_it_writes() {
    for way in [Way::One("kfc"), Way::Lego] {
        let lab = way.ready();
        let number = Way::order(&lab);
        tear(&lab, &way.files(&lab, number), 700, |whole| {
            assert_eq!(lab.run(&[]), 0, "{way:?}: {}", lab.told());
            assert!(whole || serves(&lab) == [1]);
        });
        settle(&lab, MX);
    }
}

/// What lasts is told and fails the run, and passes when the client has mended it.
#[test]
fn half_a_renewal_that_stays() {
    let lab = Way::Lego.ready();
    let number = Way::order(&lab);
    overwrite(&lab.world, Path::new("/etc/ssl/certificates/mx.example.com.key"), &Way::Lego.files(&lab, number)[2].1);
    assert_eq!(lab.run(&[]), 0);
    lab.assert_told(&["waiting to copy what the client has", "the key does not belong to the certificate"]);
    assert!(last_wish() <= 60, "the next look is soon");
    lab.pass(16 * 60);
    assert_eq!(lab.run(&[]), 1);
    lab.assert_told(&["ERROR", "no complete set for", "mx.example.com.key"]);
    assert_eq!((serves(&lab), lab.run(&["--pre"])), (vec![1], 0));
    Way::Lego.write(&lab, number);
    settle(&lab, MX);
}

/// A shorter chain by the same issuer is believed when it has stayed so for ten minutes: authorities drop cross-signed ends.
#[test]
fn a_chain_that_got_shorter() {
    let way = Way::One("kfc");
    let lab = way.ready();
    lab.certbot.renew(MX, Renewal { flaw: Flaw::EmptyChain, ..Renewal::default() });
    way.write(&lab, 2);
    for _ in 0..9 {
        assert_eq!(lab.run(&[]), 0);
        lab.assert_told(&["its chain ends sooner than that of the certificate in use"]);
        lab.pass(60);
    }
    lab.pass(60);
    assert_eq!(lab.run(&[]), 0);
    lab.assert_told(&["waiting to switch"]);
    settle(&lab, MX);
}

/// A client that writes between the look and the copy.
#[test]
fn written_in_the_midst_of_a_run() {
    let effects = {
        let lab = Way::Lego.ready();
        let number = Way::order(&lab);
        Way::Lego.write(&lab, number);
        assert_eq!(lab.run(&[]), 0);
        lab.world.effects()
    };
    for effect in 1..=effects {
        let lab = Way::Lego.ready();
        let number = Way::order(&lab);
        Way::Lego.write(&lab, number);
        let third = Way::order(&lab);
        let files = Way::Lego.files(&lab, third);
        let half = effect % 2 == 0;
        lab.world.interject(effect, move |world| {
            for (path, bytes) in files.iter().take(if half { 2 } else { 3 }) {
                world.change(|state| state.disk.overwrite(path, bytes, 0o600)).unwrap();
            }
        });
        assert_eq!(lab.run(&[]), 0, "{effect}: {}", lab.told());
        Way::Lego.write(&lab, third);
        settle(&lab, MX);
    }
}

/// A command, and what happens after it.
type Step = (&'static str, fn(&Lab));

/// Killed at each effect of the first run, of the one that copies and publishes, and of the switch; without help everything ends as
/// if nothing had been, and no service ever reads half of something.
#[test]
fn killed_at_every_effect() {
    let way = Way::One("fck");
    let story: [Step; 5] = [
        ("--reset", Lab::serve),
        ("", |lab| lab.pass(3 * HOUR)),
        ("", |lab| {
            lab.pass(3 * HOUR);
            let number = Way::order(lab);
            Way::One("fck").write(lab, number);
        }),
        ("", |lab| lab.pass(3 * HOUR)),
        ("", |lab| lab.pass(3 * HOUR)),
    ];
    let start = || {
        let lab = way.setup().global("ttl = 3600").start();
        way.write(&lab, 1);
        lab
    };
    let call = |lab: &Lab, word: &'static str| lab.run(if word.is_empty() { &[] } else { std::slice::from_ref(&word) });
    let lab = start();
    let effects = story.map(|(word, then)| {
        assert_eq!(call(&lab, word), 0, "{}", lab.told());
        let effects = lab.world.effects();
        then(&lab);
        effects
    });
    for (hurt, effects) in effects.into_iter().enumerate() {
        let all = std::env::var_os("DANEROLL_TEST_ALL").is_some();
        for effect in (1..=effects).filter(|effect| all || (effect + hurt).is_multiple_of(3)) {
            let lab = start();
            for (at, (word, then)) in story.into_iter().enumerate() {
                if at == hurt {
                    lab.world.kill_at(effect, [When::After, When::Midway, When::Before][effect / 3 % 3]);
                    assert_eq!(call(&lab, word), KILLED, "{word} {effect}");
                    if effect % 2 == 0 {
                        lab.world.power_loss(|| false);
                    }
                }
                if at != hurt || at == 0 {
                    assert_eq!(call(&lab, word), 0, "{at} {effect}: {}", lab.told());
                }
                then(&lab);
            }
            lab.cron(3 * HOUR, 9 * HOUR);
            lab.assert_settled(MX);
        }
    }
}

/// First use, renewal, renewal during a rollover, with every client, and no hook at all.
#[test]
fn renewals_without_hooks() {
    for way in WAYS {
        let lab = way.ready();
        assert_eq!(serves(&lab), [1], "{way:?}");
        for _ in 0..2 {
            let number = Way::order(&lab);
            way.write(&lab, number);
            lab.cron(HOUR, HOUR);
            lab.assert_told(&["waiting to switch"]);
        }
        settle(&lab, MX);
        assert_eq!(serves(&lab), [3], "{way:?}");
        // What services read is a copy that nobody but root can read, and the only one.
        let served = Path::new(DANE).join(MX).join("privkey.pem");
        let real = lab.world.real_path(&served).unwrap();
        assert!(real.starts_with(Path::new(DANE).join(".store").join(MX)), "{real:?}");
        assert_eq!(lab.world.stat(&served, true).unwrap().mode, 0o600);
        assert_eq!(lab.world.list(&Path::new(DANE).join(".store").join(MX)).unwrap().len(), 1, "{way:?}");
    }
}

/// Another client takes over from certbot: services go on with what they read, first from `live/`, then from a copy of it.
#[test]
fn from_certbot_to_another_client() {
    for pin in ["pin = renewal", "pin = always"] {
        let mut lab = Lab::with(MX, "311 25").line(pin).global("ttl = 3600").start();
        lab.first_use();
        lab.assert_settled(MX);
        let way = Way::Lego;
        // Following live/, services would see what certbot stands for here.
        let number = if pin == "pin = renewal" { 1 } else { Way::order(&lab) };
        way.write(&lab, number);
        lab.reconfigure(|setup| setup.line(way.source()));
        assert_eq!(lab.run(&[]), 0, "{}", lab.told());
        assert_eq!(serves(&lab), [1], "{pin}");
        let next = Way::order(&lab);
        way.write(&lab, next);
        lab.cron(HOUR, HOUR);
        settle(&lab, MX);
        assert_eq!(serves(&lab), [number + 1], "{pin}");
    }
}

/// Leaving DANE: the newest certificate is served when no record is left, and so is each that follows.
#[test]
fn withdrawn() {
    let way = Way::Lego;
    let lab = way.ready();
    let number = Way::order(&lab);
    way.write(&lab, number);
    assert_eq!(lab.run(&[]), 0);
    assert_eq!(lab.run(&["withdraw", MX]), 0, "{}", lab.told());
    lab.cron(2 * HOUR, DAY);
    lab.assert_clean();
    let served = || lab.world.read(&Path::new(DANE).join(MX).join("fullchain.pem")).unwrap();
    assert_eq!((served(), lab.published("_25._tcp.mx.example.com").len()), (lab.certbot.fullchain(MX, 2), 0));
    let number = Way::order(&lab);
    way.write(&lab, number);
    lab.cron(HOUR, 2 * HOUR);
    assert_eq!(served(), lab.certbot.fullchain(MX, 3));
}

/// The commands of an operator, and what an accident leaves.
#[test]
fn by_hand_and_by_accident() {
    let way = Way::Dehydrated;
    // No certificate yet: nothing to do, and no error.
    let lab = way.setup().global("ttl = 3600").start();
    for args in [&["--reset"][..], &[], &["--pre"], &["--post"], &["-t"]] {
        assert_eq!(lab.run(args), 0, "{args:?} {}", lab.told());
    }
    way.write(&lab, 1);
    assert_eq!((lab.run(&["--pre"]), lab.run(&["--reset"])), (0, 0));
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
    // The dane directory is lost, and the store with it.
    let number = Way::order(&lab);
    way.write(&lab, number);
    lab.cron(HOUR, 9 * HOUR);
    assert_eq!((lab.run(&["rollback", MX]), serves(&lab)), (1, vec![2]), "nothing is left to go back to");
    remove_all(&lab, Path::new(DANE));
    assert_eq!(lab.run(&[]), 0, "{}", lab.told());
    settle(&lab, MX);
    // Only the store: what the client has still is kept anew.
    remove_all(&lab, &Path::new(DANE).join(".store"));
    assert_eq!(lab.run(&[]), 0, "{}", lab.told());
    settle(&lab, MX);
    // It has gone on: that has not been published, and what services read is lost until somebody finds it.
    let number = Way::order(&lab);
    way.write(&lab, number);
    remove_all(&lab, &Path::new(DANE).join(".store"));
    assert_eq!(lab.run(&[]), 1);
    lab.assert_told(&["which is lost"]);
    way.write(&lab, number - 1);
    lab.cron(HOUR, 3 * HOUR);
    way.write(&lab, number);
    settle(&lab, MX);
    // Or led to what it has, by the operator's word.
    remove_all(&lab, &Path::new(DANE).join(".store"));
    assert_eq!(lab.run(&["--reset", "--force"]), 0, "{}", lab.told());
    settle(&lab, MX);
}

fn remove_all(lab: &Lab, dir: &Path) {
    for name in lab.world.list(dir).unwrap() {
        let path = dir.join(name);
        match lab.world.stat(&path, false).unwrap().kind {
            Kind::Dir => remove_all(lab, &path),
            _ => lab.world.as_world(|world| world.remove(&path)).unwrap(),
        }
    }
    lab.world.as_world(|world| world.remove_dir(dir)).unwrap();
}

/// `keep`: copies of the newest that are not needed stay, and nothing else of them.
#[test]
fn kept() {
    let way = Way::AcmeSh;
    let lab = way.setup().line("keep = 2").bundle().global("ttl = 3600").start();
    way.write(&lab, 1);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    for stored in [2, 3, 3] {
        let number = Way::order(&lab);
        lab.pass(DAY);
        way.write(&lab, number);
        settle(&lab, MX);
        let store = lab.world.list(&Path::new(DANE).join(".store").join(MX)).unwrap();
        assert_eq!(store.len(), stored, "{store:?}");
        assert_eq!(lab.run(&[]), 0);
        assert!(last_wish() >= HOUR, "nothing is pending");
    }
}

/// A client's hook is a hint for one lineage, by whatever path it tells; without one, or with one that nobody knows, for all.
#[test]
fn hints_of_clients() {
    const WWW: &str = "www.example.com";
    let hints = |renewed: Option<&str>, certificate: Option<&str>| Hints {
        renewed_lineage: renewed.map(PathBuf::from),
        certificate: certificate.map(PathBuf::from),
        ..Hints::default()
    };
    for (hint, expected) in [
        (hints(None, Some("/etc/ssl/certificates/www.example.com.crt")), (1, 2)),
        (hints(None, Some("/etc/ssl/certificates/../certificates/mx.example.com.crt")), (2, 1)),
        (hints(Some("/etc/daneroll/anything/www.example.com"), None), (1, 2)),
        (hints(None, Some("/etc/ssl/certificates/other.example.com.crt")), (2, 2)),
        (hints(Some("/etc/ssl/certificates"), None), (2, 2)),
        (Hints::default(), (2, 2)),
    ] {
        let setup = Lab::with(MX, "311 25").global("ttl = 3600").global("source = lego /etc/ssl");
        let lab = setup.lineage(WWW).tlsa("311 443").start();
        let write = |lineage: &str| {
            for (end, kind) in [("crt", "fullchain"), ("key", "privkey")] {
                let live = format!("{LETSENCRYPT}/live/{lineage}/{kind}.pem");
                let bytes = lab.world.read(Path::new(&live)).unwrap();
                overwrite(&lab.world, Path::new(&format!("/etc/ssl/certificates/{lineage}.{end}")), &bytes);
            }
        };
        [MX, WWW].into_iter().for_each(&write);
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        lab.cron(3 * HOUR, 9 * HOUR);
        for lineage in [MX, WWW] {
            lab.certbot.renew(lineage, Renewal::default());
            write(lineage);
        }
        assert_eq!(lab.hinted(hint.clone()), 0, "{}", lab.told());
        let found = (count(&lab, "_25._tcp.mx.example.com"), count(&lab, "_443._tcp.www.example.com"));
        assert_eq!(found, expected, "{hint:?}");
        lab.assert_clean();
    }
}
