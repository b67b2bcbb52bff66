//! Renewals while something is broken.

use super::{Scene, clean};
use crate::{host::script, namespace::must, network::Zone, watch::Verdicts};
use nix::sys::signal::Signal;
use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Nothing is switched while knot shows what was, and the runs say whom they wait for.
pub fn frozen(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("settle = 2\n", scene.fingers);
    let lineage = &host.lineages[0].name;
    scene.network.knotc_for("zone-freeze", Zone::Frozen.name());
    let timer = host.timer();
    host.renew(&[]);
    host.tell("knot is frozen");
    // Far longer than any TTL in play.
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        assert_eq!(host.served(lineage), Some(1), "switched though a server lags");
        thread::sleep(Duration::from_millis(200));
    }
    let runs = timer.runs();
    let last = runs.last().unwrap();
    assert!(last.said.contains("ns2.frozen.test"), "the server that is waited for is not named:\n{}", last.said);
    scene.network.knotc_for("zone-thaw", Zone::Frozen.name());
    host.tell("knot follows again");
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 1)
}

/// Wherever a run is when it is killed, the next one goes on. Hooks are killed, too.
pub fn killed(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("", scene.fingers);
    let lineage = &host.lineages[0];
    let seed = std::env::var("LAB_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = Random(seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() | 1));
    host.tell(&format!("LAB_SEED={}", random.0));
    let (mut killed, mut renewals) = (0, 0);
    let begun = Instant::now();
    host.daneroll().run(&[]).expect(0);
    let idle = begun.elapsed().as_millis() as u64;
    let deadline = Instant::now() + Duration::from_secs(180);
    while killed < 20 {
        assert!(Instant::now() < deadline, "only {killed} runs could be killed");
        if host.is_current(lineage) {
            host.renew_without_hooks(&["--pre-hook", &host.hook("--pre")]);
            renewals += 1;
        }
        let hook = random.below(4) == 0;
        let mut command = host.daneroll().command();
        command.args(hook.then_some("--post")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // A run that does something takes longer than an idle one.
        let limit = if random.below(3) == 0 { 8 * idle } else { idle };
        thread::sleep(Duration::from_millis(random.below(limit)));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
        thread::sleep(Duration::from_millis(random.below(700)));
        if random.below(5) == 0 {
            host.daneroll().run(&[]).expect(0);
        }
    }
    host.tell(&format!("{killed} runs killed in {renewals} rollovers"));
    host.daneroll().run(&["--post"]).expect(0);
    let timer = host.timer();
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 1)
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The primary dies during a rollover and comes back; then it hangs when the next one begins.
pub fn outage(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("settle = 2\ntimeout = 10\n", scene.fingers);
    let lineage = &host.lineages[0].name;
    let (network, zone) = (scene.network, Zone::Outage);
    let timer = host.timer();
    host.renew(&[]);
    network.namespace().signal("named2", Signal::SIGKILL).unwrap();
    host.tell("BIND killed");
    thread::sleep(Duration::from_secs(3));
    network.start_named("named2", zone.servers()[0], zone.name()).unwrap();
    host.tell("BIND started");
    host.until_done();
    network.namespace().signal("named2", Signal::SIGSTOP).unwrap();
    host.tell("BIND hangs");
    let begun = Instant::now();
    host.renew_whatever(&[]);
    host.tell(&format!("a renewal takes {:.1} s then", begun.elapsed().as_secs_f64()));
    let before = host.served(lineage);
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        assert!(before.is_some() && host.served(lineage) == before, "switched without a record");
        thread::sleep(Duration::from_millis(200));
    }
    network.namespace().signal("named2", Signal::SIGCONT).unwrap();
    host.tell("BIND goes on");
    host.until_done();
    timer.halt();
    host.expect_rest(false);
    clean(&host, 2)
}

/// The old record stays until the reload has succeeded: idle processes present the old certificate until then.
pub fn reload(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.begin("reload = @HOME@/reload\n", scene.fingers);
    let home = host.text("");
    script(
        &host.path("reload"),
        &format!("cd {home} || exit\n[ ! -e refuse ] || {{ echo too busy; exit 75; }}\npostfix -c {home}etc reload"),
    );
    fs::write(host.path("refuse"), "").unwrap();
    let lineage = &host.lineages[0].name;
    let old = host.wanted();
    let timer = host.timer();
    host.renew(&[]);
    host.until("the switch", || host.served(lineage) == Some(2));
    host.tell("switched, and Postfix is not reloaded");
    let both = old.union(&host.wanted()).cloned().collect();
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        assert!(host.records_are(&both), "a record went before the reload");
        thread::sleep(Duration::from_millis(200));
    }
    fs::remove_file(host.path("refuse")).unwrap();
    host.until_done();
    let runs = timer.halt();
    assert!(runs.iter().any(|run| run.said.contains("too busy")), "nothing was said of the reload");
    must(Command::new("sh").arg("-c").arg(format!("grep -q 'reload --' {home}mail.log"))).unwrap();
    host.expect_rest(false);
    clean(&host, 1)
}
