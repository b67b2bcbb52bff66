//! What providers answer: an external program's output, and a name server's word on an update.

use super::{
    assert_plain,
    world::{self, A, B, QUERY},
};
use daneroll::{
    config::Secret,
    env::{
        Answered, Ask, Boot, Command, Ended, Env, Files, HttpRequest, HttpResponse, Job, Lock, Lost, Method, Stat,
        Status, Unanswered, Visit, Visited, sim::World,
    },
    name::DnsName,
    provider::{
        Change, Context, Operation, Outcome, Provider,
        cloudflare::{Cloudflare, Known, Login, Zone},
        exec::Exec,
        exec_json::ExecJson,
        http::Base,
        powerdns::PowerDns,
        rfc2136::{Place, Rfc2136, TsigKey},
    },
};
use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{TSigResponseContext, TSigner, rdata::tsig::TsigAlgorithm},
};
use std::{
    cell::RefCell,
    ffi::OsString,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

const PROGRAM: &str = "/fuzz/provider";
const SECRET: &[u8] = b"a secret of enough bytes for it!";

/// How the program ends (a byte), its exit code (a byte), and what it prints.
pub fn exec_answer(data: &[u8]) {
    let [how, code, output @ ..] = data else { return };
    let (code, output) = (i32::from(*code), String::from_utf8_lossy(output).into_owned());
    let status = match how % 8 {
        0 => Status::TimedOut,
        1 => Status::Signalled(code),
        2 => Status::NotStarted(output.clone()),
        _ => Status::Exited(code),
    };
    let world = World::new();
    let ended = Ended { status: status.clone(), output };
    world.program(PROGRAM, move |_, _| ended.clone());
    let argv = vec![PROGRAM.to_owned()];
    let api = Exec { argv, user: None, at_once: 1, temporary_from: if how & 8 == 0 { 128 } else { 200 } };
    let operation = if how & 16 == 0 { Operation::Add } else { Operation::Delete };
    for outcome in api.apply(&world, &context(), &[change(operation)]) {
        let fits = match &outcome {
            Outcome::Done => status == Status::Exited(0),
            Outcome::Already => status == Status::Exited(1) && operation == Operation::Add,
            Outcome::NotYet(_) => status == Status::Exited(1) && operation == Operation::Delete,
            Outcome::Temporary(_) => matches!(status, Status::Exited(128..)),
            Outcome::ByHand(_) => false,
            Outcome::Failed(_) => !matches!(status, Status::Exited(0 | 1)),
        };
        assert!(fits, "{status:?} became {outcome:?}");
        if !matches!(status, Status::NotStarted(_)) {
            check(&outcome);
        }
    }
}

/// Exit code (a byte), and what it prints in answer to an addition and a deletion. No more may count as done than it says itself.
pub fn exec_json_answer(data: &[u8]) {
    let [code, output @ ..] = data else { return };
    let (code, output) = (i32::from(*code), String::from_utf8_lossy(output).into_owned());
    let world = World::new();
    let ended = Ended { status: Status::Exited(code), output: output.clone() };
    world.program(PROGRAM, move |_, _| ended.clone());
    let api = ExecJson { argv: vec![PROGRAM.to_owned()], user: None };
    let outcomes = api.apply(&world, &context(), &[change(Operation::Add), change(Operation::Delete)]);
    assert_eq!(outcomes.len(), 2);
    let silent = !output.lines().any(|line| line.trim_start().starts_with('{'));
    for (at, outcome) in outcomes.iter().enumerate() {
        check(outcome);
        let said = output.contains(&(at + 1).to_string())
            && (output.contains("done") || output.contains("already") || output.contains('\\'));
        let done = matches!(outcome, Outcome::Done | Outcome::Already);
        assert!(!done || said || (code == 0 && silent), "{code} {output:?} became {outcome:?}");
    }
}

/// A byte that tells how the rest is meant (see [`Wire::answer`]), and the rest. Only an answer that is signed with the key may
/// count as a success.
pub fn update_answer(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let world = World::new();
    world::add_dns(&world, false);
    let wire = Wire { world: &world, how: *how, rest, sent: RefCell::default() };
    let name: DnsName = "daneroll.example.com.".parse().unwrap();
    let key = TsigKey { name, algorithm: "hmac-sha256".into(), secret: Secret(SECRET.to_vec()) };
    let servers = vec![Place { host: "192.0.2.1".into(), port: 53 }];
    let server = Rfc2136 { servers, key: Some(key), zone: "example.com".parse().ok() };
    let operation = if how & 16 == 0 { Operation::Add } else { Operation::Delete };
    for outcome in server.apply(&wire, &context(), &[change(operation)]) {
        let signed = how % 4 == 2 && rest.first().is_some_and(|code| code % 16 == 0);
        assert!(signed || outcome != Outcome::Done, "an answer that nobody signed counts");
        check(&outcome);
    }
}

/// A byte that tells which provider is to do what, and what it is answered (see [`Wire::http`]). Whatever that is, the requests go
/// where they are to go, the secret stays where it belongs, and nothing is done without asking for it.
pub fn http_answer(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let world = World::new();
    let wire = Wire { world: &world, how: *how, rest, sent: RefCell::default() };
    let (base, secret) = (Base::parse("https://api.example/v").unwrap(), Secret(SECRET.to_vec()));
    let source = "/etc/key".to_owned();
    let zone = (how & 8 == 0).then(|| "example.com".parse().unwrap());
    let provider: Box<dyn Provider> = match how & 1 {
        0 => {
            let (login, zone) = (Login::Token(secret), zone.map(Zone::Name));
            Box::new(Cloudflare { login, source, zone, base, known: Known::default() })
        }
        _ => Box::new(PowerDns { base, key: secret, source, server: "localhost".into(), zone }),
    };
    let operation = if how & 16 == 0 { Operation::Add } else { Operation::Delete };
    let outcomes = provider.apply(&wire, &context(), &[change(operation)]);
    let sent = wire.sent.borrow();
    let tells = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET);
    let hidden = |text: &str| !tells(text.as_bytes());
    // What a server says is written back to it, if it stands in a record of others.
    let theirs = tells(rest);
    for request in sent.iter() {
        let path = request.url.strip_prefix("https://api.example/v/");
        let Some(path) = path else { panic!("a request goes elsewhere: {}", request.url) };
        assert!(path.starts_with("zones") || path.starts_with("api/v1/servers/localhost/zones"), "{path}");
        assert!(!path.contains("/..") && !path.contains("//"), "{path}");
        assert!(theirs || (hidden(path) && request.body.as_deref().is_none_or(hidden)));
    }
    let wrote = sent.iter().any(|request| request.method != Method::Get);
    for outcome in &outcomes {
        check(outcome);
        assert!(hidden(&format!("{outcome:?}")));
        assert!(*outcome != Outcome::Done || wrote, "done without a request");
    }
}

/// What is told is fit for a log.
fn check(outcome: &Outcome) {
    match outcome {
        Outcome::Done | Outcome::Already => {}
        Outcome::NotYet(why) | Outcome::ByHand(why) | Outcome::Temporary(why) | Outcome::Failed(why) => {
            assert_plain(why);
            assert!(!why.contains('\n') && why.len() < 8000, "{why:?}");
        }
    }
}

fn context() -> Context {
    Context {
        timeout: Duration::from_secs(10),
        letsencrypt_directory: "/etc/letsencrypt".into(),
        renewed_domains: String::new(),
        resolvers: Vec::new(),
        state_directory: "/var/lib/daneroll".into(),
        standing: Vec::new(),
    }
}

/// To add the second generation's record, or to delete the first one's.
fn change(operation: Operation) -> Change {
    Change {
        operation,
        owner: QUERY.parse().unwrap(),
        zone: None,
        record: world::record(if operation == Operation::Add { &B } else { &A }),
        ttl: 3600,
        live: (operation == Operation::Delete).then(|| world::record(&B)),
        lineage: "mx.example.com".into(),
        port: 25,
        protocol: "tcp".into(),
        domain: "mx.example.com".parse().unwrap(),
    }
}

/// The simulated world, with a stranger on the wire to the primary server.
struct Wire<'a> {
    world: &'a World,
    how: u8,
    rest: &'a [u8],
    /// HTTP requests.
    sent: RefCell<Vec<HttpRequest>>,
}

impl Wire<'_> {
    /// 0: the rest, as it is. 1: the rest as the answer to this update, unsigned. 2: a signed answer, whose code is the first byte
    /// of the rest; the others change it on its way, three bytes each. 3: the rest answers the questions before.
    fn answer_to(&self, request: &[u8]) -> Option<Vec<u8>> {
        match self.how % 4 {
            0 => Some(self.rest.to_vec()),
            1 => {
                let head = [request.get(..2)?, &[0xa8]].concat();
                Some([&head, self.rest.get(3..)?].concat())
            }
            2 => self.signed(request),
            _ => None,
        }
    }

    fn signed(&self, request: &[u8]) -> Option<Vec<u8>> {
        let (code, edits) = self.rest.split_first()?;
        let name = "daneroll.example.com.".parse::<DnsName>().unwrap().to_name();
        let key = TSigner::new(SECRET.to_vec(), TsigAlgorithm::HmacSha256, name, 300).unwrap();
        let id = u16::from_be_bytes([request[0], request[1]]);
        let mac = key.verify_message_byte(request, None, true).map_or(Vec::new(), |(mac, ..)| mac);
        let mut message = Message::new(id, MessageType::Response, OpCode::Update);
        message.metadata.response_code = ResponseCode::from(0, code % 16);
        let now = self.world.wall() as u64;
        let signature = TSigResponseContext::new(id, now, key, mac, None).sign(&message.to_vec().unwrap()).unwrap();
        message.set_signature(signature);
        let mut bytes = message.to_vec().unwrap();
        for edit in edits.chunks_exact(3).take(16) {
            let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % bytes.len();
            bytes[at] ^= edit[2];
        }
        Some(bytes)
    }
}

impl Env for Wire<'_> {
    fn exchange(&self, _: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
        self.answer_to(message).ok_or_else(|| "closed the connection".into())
    }
    /// One part of the rest after the other, between zero bytes: a byte for the status, and the body. Where there is none the answer
    /// is lost.
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
        let mut sent = self.sent.borrow_mut();
        let part = self.rest.split(|byte| *byte == 0).nth(sent.len());
        sent.push(request.clone());
        assert!(sent.len() < 500, "too many requests");
        let Some((status, body)) = part.and_then(<[u8]>::split_first) else {
            return Err(Unanswered { why: "broke off".into(), how: Lost::Unanswered });
        };
        let status = [200, 200, 204, 302, 400, 403, 429, 503][usize::from(status % 8)];
        Ok(HttpResponse { status, retry_after: None, body: body.to_vec() })
    }
    fn ask(&self, asks: &[Ask]) -> Vec<Answered> {
        let told = Message::from_vec(self.rest).ok().filter(|_| self.how % 4 == 3);
        let Some(told) = told else { return self.world.ask(asks) };
        let answer = |ask: &Ask| {
            let mut answer = told.clone();
            answer.queries = vec![Query::query(ask.name.to_name(), ask.kind)];
            Ok(answer)
        };
        asks.iter().map(answer).collect()
    }
    fn ask_within(&self, asks: &[Ask], _: Duration) -> Vec<Answered> {
        self.ask(asks)
    }
    fn boot(&self) -> Boot {
        self.world.boot()
    }
    fn up(&self) -> u64 {
        self.world.up()
    }
    fn wall(&self) -> i64 {
        self.world.wall()
    }
    fn sleep(&self, how_long: Duration) {
        self.world.sleep(how_long);
    }
    fn visit(&self, visits: &[Visit]) -> Vec<Visited> {
        self.world.visit(visits)
    }
    fn resolvers(&self) -> Result<Vec<SocketAddr>, String> {
        self.world.resolvers()
    }
    fn has_route(&self, to: IpAddr) -> bool {
        self.world.has_route(to)
    }
    fn run(&self, command: &Command) -> Ended {
        self.world.run(command)
    }
    fn side_by_side(&self, jobs: Vec<Job<'_>>, _: usize) {
        jobs.into_iter().for_each(|job| job(self));
    }
}

/// A provider has no business with files.
impl Files for Wire<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.world.read(path)
    }
    fn stat(&self, path: &Path, follow: bool) -> io::Result<Stat> {
        self.world.stat(path, follow)
    }
    fn target(&self, path: &Path) -> io::Result<PathBuf> {
        self.world.target(path)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.world.real_path(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.world.list(dir)
    }
    fn make_dir(&self, _: &Path, _: u32) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn set_mode(&self, _: &Path, _: u32, _: Option<u32>) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn set_owner(&self, _: &Path, _: u32, _: u32) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn point(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn sync(&self, _: &[PathBuf]) -> io::Result<()> {
        unreachable!("a provider writes files")
    }
    fn lock(&self, _: &Path, _: Duration) -> io::Result<Option<Lock>> {
        unreachable!("a provider writes files")
    }
}
