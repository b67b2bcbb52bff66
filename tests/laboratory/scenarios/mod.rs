//! What happens to the hosts.

mod certificates;
mod first;
mod naive;
mod trouble;

use crate::{
    enclosure::resolve_at,
    fingers::Fingers,
    host::Host,
    network::{CACHES, Network, Place, Zone},
    table::{Row, table},
    watch::{Switch, Verdicts},
};
use std::{
    collections::VecDeque,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// What a scenario finds.
pub struct Scene<'a> {
    pub network: &'a Network,
    pub fingers: &'a Fingers,
    pub place: Place,
    pub title: &'static str,
}

impl<'a> Scene<'a> {
    pub fn host(&self) -> Host<'a> {
        Host::new(self.network, self.place, self.title)
    }
}

struct Scenario {
    place: Place,
    title: &'static str,
    play: fn(&Scene) -> Verdicts,
}

const fn scenario(number: u8, zone: Zone, title: &'static str, play: fn(&Scene) -> Verdicts) -> Scenario {
    Scenario { place: Place { number, zone }, title, play }
}

const SCENARIOS: &[Scenario] = &[
    scenario(1, Zone::Example, "renewal, by hooks and timer", certificates::renewal),
    scenario(2, Zone::Frozen, "a frozen secondary", trouble::frozen),
    scenario(3, Zone::Iced, "renewed twice more during a rollover", certificates::overtaken),
    scenario(4, Zone::Example, "twenty runs killed", trouble::killed),
    scenario(5, Zone::Outage, "BIND restarted, and unreachable", trouble::outage),
    scenario(6, Zone::Example, "a reload that fails first", trouble::reload),
    scenario(7, Zone::Example, "RSA and ECDSA on one port", certificates::two_kinds),
    scenario(8, Zone::Example, "key reused, then a new one", certificates::reused),
    scenario(9, Zone::Example, "3 1 1 and 2 1 1, new intermediate", certificates::intermediate),
    scenario(10, Zone::Example, "twenty rollovers back to back", certificates::twenty),
    scenario(11, Zone::Example, "certbot without hooks, pin = always", certificates::no_hook),
    scenario(12, Zone::Example, "lego, with and without its hook", certificates::lego),
    scenario(13, Zone::Example, "first use on a running server", first::running),
    scenario(14, Zone::Late, "zone unsigned, then signed", first::unsigned),
    scenario(15, Zone::Example, "the naive strategy, caught", naive::naive),
    scenario(16, Zone::Pdns, "PowerDNS by its HTTP interface", certificates::renewal),
];

/// Those that take longest begin first.
const ORDER: [u8; 16] = [10, 4, 5, 3, 9, 12, 2, 14, 7, 1, 6, 8, 11, 13, 15, 16];
/// How many go on at the same time: most of each is waiting.
const AT_ONCE: usize = 6;

/// Plays all scenarios, or those with these numbers, and prints the table.
pub fn run(numbers: &[&str]) -> ExitCode {
    let begun = Instant::now();
    let chosen = |number: u8| numbers.is_empty() || numbers.contains(&number.to_string().as_str());
    let (network, fingers) = start();
    println!("laboratory: servers are up after {:.1} s", begun.elapsed().as_secs_f64());
    let of = |number: u8| SCENARIOS.iter().find(|scenario| scenario.place.number == number);
    let queue: Mutex<VecDeque<&Scenario>> =
        Mutex::new(ORDER.into_iter().filter(|n| chosen(*n)).filter_map(of).collect());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(scenario) = next else { return };
                    let row = play(&network, &fingers, scenario);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|row| row.number);
    println!("\n{}\nlaboratory: {:.0} s in all", table(&rows), begun.elapsed().as_secs_f64());
    let wanted = SCENARIOS.iter().filter(|scenario| chosen(scenario.place.number)).count();
    match rows.iter().all(|row| row.verdicts.is_some()) && rows.len() == wanted && wanted > 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn start() -> (Network, Fingers) {
    let places: Vec<Place> = SCENARIOS.iter().map(|scenario| scenario.place).collect();
    let network = Network::start(&places).unwrap();
    resolve_at(CACHES[0]).unwrap();
    let fingers = Fingers::start(&network.path("fingers")).unwrap();
    (network, fingers)
}

fn play(network: &Network, fingers: &Fingers, scenario: &Scenario) -> Row {
    let &Scenario { place, title, play } = scenario;
    let scene = Scene { network, fingers, place, title };
    let begun = Instant::now();
    let verdicts = catch_unwind(AssertUnwindSafe(|| play(&scene))).ok();
    let how = if verdicts.is_some() { "done" } else { "FAILED" };
    eprintln!("laboratory {:2} {title}: {how} after {:.1} s", place.number, begun.elapsed().as_secs_f64());
    Row { number: place.number, title, verdicts }
}

/// A laboratory for looking around: all servers, and the first host, if one is wanted.
pub fn keep_up(with_host: bool) -> ExitCode {
    let (network, fingers) = start();
    let host = with_host.then(|| Host::new(&network, SCENARIOS[0].place, "by hand"));
    let _timer = host.as_ref().map(|host| {
        host.begin("", &fingers);
        host.timer()
    });
    let name = env::var("DANEROLL_LAB").unwrap_or_default();
    let home = host.as_ref().map(|host| host.text("")).unwrap_or_default();
    fs::write(network.path("README.new"), include_str!("up.txt").replace("@NAME@", &name).replace("@HOME@", &home))
        .unwrap();
    fs::rename(network.path("README.new"), network.path("README")).unwrap();
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// Nothing failed, and enough was seen to say so.
pub fn clean(host: &Host, least_switches: usize) -> Verdicts {
    let verdicts = host.stop();
    let (samples, looks, answers) = (verdicts.samples, verdicts.looks, verdicts.answers);
    host.tell(&format!(
        "{samples} client samples, {looks} looks at certificates judged by {answers} answers, {} questions unanswered",
        verdicts.unanswered
    ));
    for (what, found) in [("clients failed", &verdicts.failed), ("violations", &verdicts.violations)] {
        assert!(found.is_empty(), "{} {what}, such as\n{}", found.len(), found[..found.len().min(5)].join("\n"));
    }
    let enough = samples >= 20 && looks >= 50 && answers >= 100 && verdicts.unanswered * 4 < answers;
    assert!(enough, "the watch saw too little");
    assert!(verdicts.switches.len() >= least_switches, "too few switches: {:?}", verdicts.switches);
    let late = |switch: &&Switch| switch.interval.is_some_and(|interval| switch.took > switch.least + interval);
    let late: Vec<&Switch> = verdicts.switches.iter().filter(late).collect();
    assert!(late.is_empty(), "later than the least possible and one run interval: {late:?}");
    verdicts
}
