//! Real clients that overwrite their files: lego and dehydrated at pebble, with the hooks that daneroll brings, and without any.

use crate::{
    RFC2136, have,
    lab::{ACME, Primary},
    namespace::must,
    ready,
    world::{LINEAGE, World, daneroll},
};
use std::{fs, process::Command};

/// What the section's service is, and how waits are told in a laboratory.
const SERVICE: &str = "probe = off\nhold = 1\nreload = @DIR@/reload\n";

/// A client, by the files it writes: certificate, what follows it, both, key.
struct Client {
    source: &'static str,
    files: [&'static str; 4],
    /// Makes it get a certificate; the path of a hook that is to be called then.
    order: fn(&World, Option<&str>),
}

const LEGO: Client =
    Client { source: "source = lego @DIR@/lego\n", files: ["", "issuer.crt", "crt", "key"], order: lego };

const DEHYDRATED: Client = Client {
    source: "source = dehydrated @DIR@/dehydrated/certs\n",
    files: ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"],
    order: dehydrated,
};

/// Issued, renewed with the hook that comes with daneroll, and renewed again in the midst of that, with the words that do as well, or
/// with no hook at all.
#[test]
fn lego_renews_in_the_midst_of_a_rollover() {
    if ready("lego") && have("lego", &["lego"]) {
        renews("lego", &LEGO, &format!("{HOOKS}/lego"), Some("daneroll deploy"));
    }
}

#[test]
fn dehydrated_renews_in_the_midst_of_a_rollover() {
    if ready("dehydrated") && have("dehydrated", &["dehydrated", "curl", "python3"]) {
        renews("dehydrated", &DEHYDRATED, &format!("{HOOKS}/dehydrated"), None);
    }
}

const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks");

/// `first` and `then`: the hooks of the two renewals.
fn renews(name: &'static str, client: &Client, first: &str, then: Option<&str>) {
    let world = World::empty(Primary::Updates, name);
    fs::create_dir_all(world.lab.path(&format!("le/archive/{LINEAGE}"))).unwrap();
    client.order(&world, 1, None);
    world.set_up(RFC2136, 3, &format!("{SERVICE}{}", client.source));
    world.run(&[]).expect(0);
    world.expect_records(&[&world.key(1)]);
    world.tell("first record published");
    let watch = world.watch();
    client.order(&world, 2, Some(first));
    world.expect_records(&[&world.key(1), &world.key(2)]);
    assert_eq!(world.served(), 1, "services read a copy of what was there before");
    world.tell("renewed, and published by the hook");
    world.run(&["--pre"]).expect(0);
    client.order(&world, 3, then);
    world.run(&["--post"]).expect(0);
    world.roll_over_to(3);
    world.expect_records(&[&world.key(3)]);
    world.expect_peace(watch);
    world.expect_rest();
    world.tell("done");
}

impl Client {
    /// Gets a certificate, and keeps it as this number of an archive that the client does not have.
    fn order(&self, world: &World, number: u32, hook: Option<&str>) {
        (self.order)(world, hook);
        let folder = match self.files[0] {
            "" => format!("lego/certificates/{LINEAGE}."),
            _ => format!("dehydrated/certs/{LINEAGE}/"),
        };
        let read = |file: &str| fs::read_to_string(world.lab.path(&format!("{folder}{file}"))).unwrap();
        let [_, chain, full, key] =
            self.files.map(|file| if file.is_empty() { String::new() } else { tidy(&read(file)) });
        let cert = full.strip_suffix(&chain).expect("the full chain ends with what follows the certificate").to_owned();
        for (kind, text) in [("cert", cert), ("chain", chain), ("fullchain", full), ("privkey", key)] {
            fs::write(world.lab.path(&format!("le/archive/{LINEAGE}/{kind}{number}.pem")), text).unwrap();
        }
    }
}

/// Without empty lines, and without what openssl writes before an ECDSA key.
fn tidy(pem: &str) -> String {
    let pem = match pem.split_once("-----END EC PARAMETERS-----") {
        Some((_, key)) => key,
        None => pem,
    };
    pem.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// A command with the hooks' `daneroll` in its path: the program with the configuration of the laboratory.
fn command(world: &World, program: &str) -> Command {
    let wrapper = world.lab.path("bin/daneroll");
    fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
    let text = format!(
        "#!/bin/sh\nexec {} -c {} -l {} \"$@\"\n",
        daneroll(),
        world.lab.text("daneroll.conf"),
        world.lab.text("hook.log")
    );
    fs::write(&wrapper, text).unwrap();
    must(Command::new("chmod").arg("755").arg(&wrapper)).unwrap();
    let mut command = world.lab.command(program);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", world.lab.text("bin"))).current_dir(world.lab.path(""));
    command
}

fn run(world: &World, command: &mut Command) {
    let hooked = || fs::read_to_string(world.lab.path("hook.log")).unwrap_or_default();
    must(command).unwrap_or_else(|error| panic!("{error}\npebble:\n{}\nhook:\n{}", world.lab.tail("pebble"), hooked()));
}

fn lego(world: &World, hook: Option<&str>) {
    let mut lego = command(world, "lego");
    lego.args(["--server", ACME, "--accept-tos", "--email", "a@example.test", "--domains", LINEAGE]);
    lego.args(["--http", "--http.port", ":5002", "--path", &world.lab.text("lego")]);
    lego.env("LEGO_CA_CERTIFICATES", world.lab.path("pebble.crt"));
    match world.lab.path(&format!("lego/certificates/{LINEAGE}.crt")).exists() {
        true => {
            lego.args(["renew", "--days", "4000", "--no-random-sleep"]).args(hook.map(|_| "--renew-hook")).args(hook)
        }
        false => lego.arg("run").args(hook.map(|_| "--run-hook")).args(hook),
    };
    run(world, &mut lego);
}

fn dehydrated(world: &World, hook: Option<&str>) {
    let dir = world.lab.text("dehydrated");
    let (config, well_known) = (format!("{dir}/config"), format!("{dir}/www/.well-known/acme-challenge"));
    if !world.lab.path("dehydrated/config").exists() {
        fs::create_dir_all(&well_known).unwrap();
        let text = format!(
            "CA={ACME}\nBASEDIR={dir}\nCERTDIR={dir}/certs\nWELLKNOWN={well_known}\nDOMAINS_TXT={dir}/domains.txt\n\
             CURL_OPTS=\"--cacert {}\"\nCONTACT_EMAIL=a@example.test\n",
            world.lab.text("pebble.crt")
        );
        fs::write(&config, text).unwrap();
        fs::write(format!("{dir}/domains.txt"), format!("{LINEAGE}\n")).unwrap();
        let argv = ["python3", "-m", "http.server", "5002", "--directory", &format!("{dir}/www")];
        world.lab.namespace().serve("www", &argv, &[]).unwrap();
        run(world, command(world, "dehydrated").args(["--register", "--accept-terms", "--config", &config]));
    }
    let hook = hook.into_iter().flat_map(|hook| ["--hook", hook]);
    run(world, command(world, "dehydrated").args(["--cron", "--force", "--config", &config]).args(hook));
}
