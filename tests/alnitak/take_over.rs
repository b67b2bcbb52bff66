//! A rollover that one program began and the other ends: Alnitak's file, and a dane directory as it left it.

use crate::{
    against::alnitak,
    cases::{Case, Dialect, read},
    each,
    rollovers::{Script, take},
    world::{Program, World, end_all},
};

/// Takes the program's place: another program, the same host. Alnitak's own file is named, since it is not where it belongs.
fn change_over(world: &mut World, script: &Script) -> String {
    world.program = Program::Ours;
    script.configure(world);
    if !world.path("alnitak.data").exists() {
        return String::new();
    }
    let shown = world.run(&["import-alnitak", "--dry-run", "-c", "{conf}", "{dir}/alnitak.data"], None);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(world.path("alnitak.data").exists(), "a dry run changes nothing");
    let done = world.run(&["import-alnitak", "-c", "{conf}", "{dir}/alnitak.data"], None);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(!world.path("alnitak.data").exists() && world.path("alnitak.data.taken-over").exists());
    shown.out
}

/// With a file as 0.2.2 writes it, in words.
#[test]
fn a_file_is_taken_over() {
    let script = Script::read("311 a:pre");
    let world = World::new(&Program::Ours, Dialect::New);
    script.configure(&world);
    for _ in 0..2 {
        world.renew("a.example");
    }
    world.publish_first("a.example", "311");
    let dane = world.path("dane/a.example");
    std::fs::create_dir_all(&dane).unwrap();
    let mut lines = String::from("# alnitak 0.2.2\n");
    for kind in ["cert", "chain", "fullchain", "privkey"] {
        std::os::unix::fs::symlink(format!("../../le/archive/a.example/{kind}1.pem"), dane.join(format!("{kind}.pem")))
            .unwrap();
        lines += "a.example \"{dir}/dane/a.example/KIND.pem\" \"{dir}/le/live/a.example/KIND.pem\" \
                  \"{dir}/le/archive/a.example/KIND1.pem\" 1\n"
            .replace("KIND", kind)
            .as_str();
    }
    let hash = "ab".repeat(32);
    lines += &format!("a.example delete 311 25 tcp a.example 1546300800 3 {hash}\na.example 311 25\n");
    world.write("alnitak.data", &world.filled(&lines));
    world.write(&format!("zone/_25._tcp.a.example:311:{hash}"), "");
    let shown = world.run(&["import-alnitak", "--dry-run", "-lno", "-c", "{conf}", "{dir}/alnitak.data"], None);
    assert_eq!(shown.code, 1);
    assert!(shown.out.starts_with("would adopt for a.example: _25._tcp.a.example. 3 1 1 abab"), "{}", shown.out);
    assert!(shown.err.contains(&world.filled("{dir}/alnitak.data:7: a record has seven words")), "{}", shown.err);
    let done = world.run(&["import-alnitak", "-lno", "-c", "{conf}", "{dir}/alnitak.data"], None);
    assert_eq!(done.code, 1, "the damaged line is told");
    let mut world = world;
    Script::read("311 a:run, days 3").steps.iter().for_each(|step| drop(take(&mut world, step)));
    assert!(!world.path(&format!("zone/_25._tcp.a.example:311:{hash}")).exists(), "{}", world.read("log"));
    assert_eq!(script.end(&world), "a shows 2, zone 2");
}

/// Every rollover is begun by Alnitak and ended by daneroll, the change-over at one step or another (with
/// `DANEROLL_TEST_ALL=1` at each); it ends as if daneroll had done it all.
#[test]
#[ignore = "needs Alnitak: tests/alnitak/run --against 0.2.2"]
fn real_alnitaks_rollovers() {
    let alnitak = alnitak().expect("ALNITAK_PYTHON is not set");
    let Program::Alnitak { version, .. } = &alnitak else { unreachable!() };
    let dialect = if version.starts_with("0.1") { Dialect::Old } else { Dialect::New };
    let mut cases = Vec::new();
    let all = std::env::var_os("DANEROLL_TEST_ALL").is_some();
    // Where it was told of no renewal, Alnitak forgets the old record altogether, and nobody can take over what it knew.
    let told = |case: &Case| case.name != "post-without-word-from-certbot";
    for (offset, case) in read("rollovers").into_iter().filter(told).enumerate() {
        let script = Script::read(&case.input);
        // Not before the first `pre`: until then Alnitak has nothing to leave.
        let first = script.steps.iter().position(|step| step == "pre").unwrap() + 1;
        let places = (first..=script.steps.len()).filter(|at| script.steps.get(*at).is_none_or(|step| step != "wait"));
        for at in places.filter(|at| all || (at + offset).is_multiple_of(5)) {
            let mut case = case.clone();
            (case.name, case.dialect) = (format!("{} at {at}", case.name), dialect);
            cases.push((case, at));
        }
    }
    let only: Vec<_> = cases.iter().map(|(case, _)| case.clone()).collect();
    let told = each(&only, 32, |case| {
        let at = cases.iter().find(|(known, _)| known.name == case.name).unwrap().1;
        let script = Script::read(&case.input);
        let mut world = script.world(&alnitak, case);
        script.steps[..at].iter().for_each(|step| drop(take(&mut world, step)));
        let shown = change_over(&mut world, &script);
        let calls = world.read("calls");
        std::fs::remove_file(world.path("calls")).unwrap_or_default();
        let rest = script.steps[at..].iter().cloned();
        let more = Script::read("311 a:days 3").steps;
        rest.chain(more).for_each(|step| drop(take(&mut world, &step)));
        let end = script.end(&world);
        (end, format!("Alnitak called:\n{calls}taken over:\n{shown}log:\n{}", world.read("log")))
    });
    end_all();
    let wrong = told.iter().filter(|(case, (end, _))| !case.expected.ends_with(end.as_str()));
    let wrong: Vec<String> =
        wrong.map(|(case, (end, log))| format!("{}: {end}, not {}\n{log}", case.name, case.expected)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), told.len(), wrong.join("\n"));
}
