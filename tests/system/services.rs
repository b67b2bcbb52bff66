//! Real services that daneroll looks at itself: what they present opens and shuts its gates.

use crate::{
    RFC2136,
    lab::SERVERS,
    ready,
    world::{Run, World},
};
use daneroll::{
    env::{Env, Visit, Visited, real::Real},
    lineage::pem,
    probe::Protocol,
};
use std::{
    thread,
    time::{Duration, Instant},
};

const POSTFIX: &str = "probe = auto\nhold = 1\nreload = postfix -c @DIR@/etc reload\n";

/// A reload that says yes and does nothing.
const NGINX: &str = "probe = tls\nhold = 2\nreload = /bin/true\n";

/// A server in a directory of its own, and where it listens.
pub const NGINX_CONF: &str = "\
user root;
daemon off;
pid @HOME@/nginx.pid;
error_log @HOME@/nginx.log;
events {}
http {
  access_log off;
  client_body_temp_path @HOME@/body;
  proxy_temp_path @HOME@/proxy;
  fastcgi_temp_path @HOME@/fastcgi;
  uwsgi_temp_path @HOME@/uwsgi;
  scgi_temp_path @HOME@/scgi;
  ssl_certificate @HOME@/dane/mx.example.test/fullchain.pem;
  ssl_certificate_key @HOME@/dane/mx.example.test/privkey.pem;
  server { listen @ADDRESS@:25 ssl; }
}
";

/// Nothing is published before the mail server answers; then it rolls over, and presents the new certificate alone.
#[test]
fn a_mail_server_is_seen_to_change_over() {
    if !ready("postfix") {
        return;
    }
    let world = World::with_service("postfix", RFC2136, 20, POSTFIX);
    let run = world.run(&[]);
    run.expect(0);
    assert!(run.said.contains("127.0.0.1:25") && run.said.contains("refused the connection"), "{}", run.said);
    world.expect_records(&[]);
    start_postfix(&world);
    world.run(&[]).expect(0);
    world.expect_records(&[&world.key(1)]);
    world.tell("first record published, as the server presents what it matches");
    world.renew();
    world.roll_over_to(2);
    let seen = look(&world, Protocol::Smtp);
    assert_eq!((keys(&seen), seen.unknown), (vec![world.key(2)], None));
}

/// S7: a server that was not reloaded keeps its record, and the operator is told where; once it is, the record goes.
#[test]
fn a_server_that_keeps_its_certificate_keeps_its_record() {
    if !ready("nginx") {
        return;
    }
    let world = World::with_service("nginx", RFC2136, 20, NGINX);
    let (conf, dir) = (world.lab.text("nginx.conf"), world.lab.text(""));
    let text = NGINX_CONF.replace("@HOME@", dir.trim_end_matches('/')).replace("@ADDRESS@", "127.0.0.1");
    world.lab.write("nginx.conf", &text).unwrap();
    world.lab.namespace().serve("nginx-start", &["nginx", "-p", &dir, "-c", &conf], &[]).unwrap();
    until("nginx answers", || keys(&look(&world, Protocol::Tls)) == [world.key(1)]);
    world.run(&[]).expect(0);
    world.renew();
    let (old, new) = (world.key(1), world.key(2));
    until("the switch", || {
        any(&world);
        world.served() == 2
    });
    let told = |run: &Run| run.code == 1 && run.said.contains("presented generation");
    until("the alarm", || told(&any(&world)));
    let run = any(&world);
    assert!(told(&run) && run.said.contains("127.0.0.1:25"), "{}", run.said);
    world.expect_records(&[&old, &new]);
    world.tell("the service still presents the old certificate, and its record stays");
    let reload = world.lab.command("nginx").args(["-p", &dir, "-c", &conf, "-s", "reload"]).status().unwrap();
    assert!(reload.success());
    until("the delete", || {
        any(&world);
        world.lab.tlsa(SERVERS[0]) == [new.clone()].into()
    });
    world.expect_records(&[&new]);
    world.expect_rest();
    world.tell("done");
}

fn start_postfix(world: &World) {
    let dane = world.lab.text("dane/mx.example.test");
    let chains = format!("{dane}/privkey.pem, {dane}/fullchain.pem");
    world.lab.start_postfix("", "mx.example.test", "127.0.0.1", &chains).unwrap();
    until("Postfix answers", || keys(&look(world, Protocol::Smtp)) == [world.key(1)]);
}

/// A plain run, however it ends.
fn any(world: &World) -> Run {
    thread::sleep(Duration::from_millis(500));
    world.run(&[])
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What a visitor of the service sees, from within its network.
fn look(world: &World, protocol: Protocol) -> Visited {
    let visit = Visit {
        address: ([127, 0, 0, 1], 25).into(),
        server_name: "mx.example.test".parse().unwrap(),
        protocol,
        limit: Duration::from_secs(10),
    };
    let namespace = world.lab.namespace();
    // A thread that enters a network stays there.
    let inside = || {
        namespace.enter().unwrap();
        Real::new("/proc/self/exe".into()).visit(&[visit]).remove(0)
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap())
}

/// The keys that were presented, as `3 1 1` records have them.
fn keys(seen: &Visited) -> Vec<String> {
    let key = |chain: &Vec<Vec<u8>>| pem::sent(chain).unwrap().association("311".parse().unwrap()).unwrap().hex();
    seen.chains.iter().map(key).collect()
}
