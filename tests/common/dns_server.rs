//! A primary name server in this process: TLSA records of one zone, dynamic updates with prerequisites and TSIG, and the
//! faults that a test asks for.

#![allow(clippy::unwrap_used, dead_code, reason = "a test may stop at the first surprise; not each uses everything")]

use daneroll::{name::DnsName, small::Set, tlsa::Association};
use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType, TSigResponseContext, TSigner,
        rdata::{
            A, CNAME, SOA, TLSA,
            tsig::{TSIG, TsigAlgorithm, TsigError, make_tsig_record},
        },
    },
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Instant, SystemTime},
};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This answer to every update; nothing is changed.
    Code(ResponseCode),
    /// This answer to an update that touches the owner; nothing is changed.
    CodeFor(DnsName, ResponseCode),
    /// A TSIG error instead of a look at the update.
    Tsig(TsigError),
    /// BADTIME, with this many seconds between the clocks.
    Clock(i64),
    /// The update is made; the answer is not signed.
    Unsigned,
    /// The update is made; the signature of the answer does not hold.
    Forged,
    /// The connection is closed before the update is looked at.
    Closed,
    /// The update is made; its answer is lost, this many times.
    Lost(u32),
    /// These bytes instead of an answer.
    Bytes(Vec<u8>),
    /// The answer has another id.
    WrongId,
    /// Before it looks at each of the next so many updates, somebody else adds a record at the owner.
    Race(u32, DnsName),
    /// The records at this name are what a wildcard makes of it: shown, and not there for updates.
    Wildcard(DnsName),
    /// Answers without AA.
    Lame,
    /// Questions are answered with this code.
    Question(ResponseCode),
}

/// What the server has and has seen.
#[derive(Default)]
pub struct State {
    /// What is shown.
    pub rrsets: Rrsets,
    /// Aliases.
    pub aliases: BTreeMap<DnsName, DnsName>,
    /// Address records, for a server that plays the resolver.
    pub hosts: BTreeMap<DnsName, Vec<Ipv4Addr>>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// For each update received, how many changes it held.
    pub updates: Vec<usize>,
    /// After each update that was made: when, and what is shown since.
    pub history: Vec<(Instant, Rrsets)>,
    /// TTL of denials if not 60.
    pub denial_ttl: Option<u32>,
}

/// TLSA RRsets: TTL and records.
pub type Rrsets = BTreeMap<DnsName, (u32, Set<Association>)>;

/// A running server.
pub struct DnsServer {
    /// UDP and TCP.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Served {
    zone: DnsName,
    key: Option<TSigner>,
    state: Arc<Mutex<State>>,
}

/// The key of the server, algorithm hmac-sha256.
pub const SECRET: &[u8] = b"thirty-two bytes of test secrets";

impl DnsServer {
    /// Serves `zone`; updates must be signed with a key of this name and [`SECRET`], if one is given.
    pub fn start(zone: &str, key: Option<&str>) -> DnsServer {
        let (listener, socket) = sockets();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let signer = |name: &str| {
            TSigner::new(SECRET.to_vec(), TsigAlgorithm::HmacSha256, Name::from_ascii(name).unwrap(), 300).unwrap()
        };
        let served = Served { zone: zone.parse().unwrap(), key: key.map(signer), state: state.clone() };
        let served = Arc::new(served);
        let over_udp = served.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let answer = over_udp.query(&Message::from_vec(&buffer[..length]).unwrap());
                let _ = socket.send_to(&answer.to_vec().unwrap(), from);
            }
        });
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Who asked may have been killed meanwhile.
                let Ok(request) = request(&mut stream) else { continue };
                if let Some(answer) = served.answer(&request) {
                    let framed = [&u16::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
                    let _ = stream.write_all(&framed);
                }
            }
        });
        DnsServer { address, state }
    }

    /// The state, to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// One message with its length before it.
fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut request)?;
    Ok(request)
}

/// TCP and UDP at one port that is free for both.
fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, socket);
        }
    }
}

impl Served {
    fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let request = Message::from_vec(bytes).unwrap();
        if request.op_code != OpCode::Update {
            return self.query(&request).to_vec().ok();
        }
        let mut state = self.state.lock().unwrap();
        state.updates.push(request.authorities.len());
        let fault = state.faults.first().cloned();
        let mut answer = Message::response(request.id, OpCode::Update);
        match &fault {
            Some(Fault::Closed) => return None,
            Some(Fault::Bytes(bytes)) => return Some(bytes.clone()),
            Some(Fault::WrongId) => answer.metadata.id ^= 1,
            Some(Fault::Tsig(error)) => return Some(refuse(answer, &request, *error, None)),
            Some(Fault::Clock(ahead)) => return Some(refuse(answer, &request, TsigError::BadTime, Some(*ahead))),
            _ => {}
        }
        let mac = match self.verified(bytes, &request) {
            Ok(mac) => mac,
            Err(error) => return Some(refuse(answer, &request, error, None)),
        };
        answer.metadata.response_code = match fault {
            Some(Fault::Code(code)) => code,
            _ => update(&mut state, &self.zone, &request),
        };
        if let Some(Fault::Lost(count @ 1..)) = fault {
            state.faults[0] = Fault::Lost(count - 1);
            return None;
        }
        self.sign(&mut answer, mac, fault.as_ref());
        answer.to_vec().ok()
    }

    /// The MAC of the request; empty if no key is needed.
    fn verified(&self, bytes: &[u8], request: &Message) -> Result<Vec<u8>, TsigError> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        let Some(signature) = &request.signature else { return Err(TsigError::BadKey) };
        if signature.name != *key.signer_name() {
            return Err(TsigError::BadKey);
        }
        key.verify_message_byte(bytes, None, true).map(|(mac, _, _)| mac).map_err(|_| TsigError::BadSig)
    }

    fn sign(&self, answer: &mut Message, mac: Vec<u8>, fault: Option<&Fault>) {
        let Some(key) = &self.key else { return };
        if fault == Some(&Fault::Unsigned) {
            return;
        }
        let mac = if fault == Some(&Fault::Forged) { vec![0; 32] } else { mac };
        let context = TSigResponseContext::new(answer.id, now(), key.clone(), mac, None);
        answer.set_signature(context.sign(&answer.to_vec().unwrap()).unwrap());
    }

    fn query(&self, question: &Message) -> Message {
        let state = self.state.lock().unwrap();
        let query = &question.queries[0];
        let name = DnsName::from(query.name());
        let mut answer = Message::response(question.id, OpCode::Query);
        answer.add_query(query.clone());
        answer.metadata.authoritative = !state.faults.contains(&Fault::Lame);
        if !name.is_within(&self.zone) {
            answer.metadata.response_code = ResponseCode::Refused;
        }
        if let Some(Fault::Question(code)) = state.faults.first() {
            answer.metadata.response_code = *code;
            return answer;
        }
        if let Some(target) = state.aliases.get(&name) {
            let target = RData::CNAME(CNAME(target.to_name()));
            answer.add_answer(Record::from_rdata(name.to_name(), 60, target));
        } else if let (Some((ttl, records)), RecordType::TLSA) = (state.rrsets.get(&name), query.query_type()) {
            answer.add_answers(records.iter().map(|record| tlsa(&name, *ttl, record)));
        } else if let (Some(addresses), RecordType::A) = (state.hosts.get(&name), query.query_type()) {
            answer.add_answers(addresses.iter().map(|a| Record::from_rdata(name.to_name(), 60, RData::A(A(*a)))));
        } else {
            let zone = self.zone.to_name();
            let ttl = state.denial_ttl.unwrap_or(60);
            let soa = SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 60, ttl);
            answer.add_authority(Record::from_rdata(zone, ttl, RData::SOA(soa)));
        }
        answer
    }
}

fn tlsa(name: &DnsName, ttl: u32, record: &Association) -> Record {
    let Association { usage, selector, matching, data } = record.clone();
    let data = TLSA::new(usage.into(), selector.into(), matching.into(), data);
    Record::from_rdata(name.to_name(), ttl, RData::TLSA(data))
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// NOTAUTH with a TSIG error (RFC 8945 section 5.2).
fn refuse(mut answer: Message, request: &Message, error: TsigError, ahead: Option<i64>) -> Vec<u8> {
    answer.metadata.response_code = ResponseCode::NotAuth;
    let clock = |ahead: i64| (now().cast_signed() + ahead).to_be_bytes()[2..].to_vec();
    let other = ahead.map(clock).unwrap_or_default();
    let tsig = TSIG::new(TsigAlgorithm::HmacSha256, now(), 300, Vec::new(), answer.id, Some(error), other);
    let name = request.signature.as_ref().map_or(Name::root(), |record| record.name.clone());
    answer.set_signature(Box::new(make_tsig_record(name, tsig)));
    answer.to_vec().unwrap()
}

/// RFC 2136 section 3, for TLSA records.
fn update(state: &mut State, zone: &DnsName, request: &Message) -> ResponseCode {
    if request.queries.len() != 1 || DnsName::from(request.queries[0].name()) != *zone {
        return ResponseCode::NotAuth;
    }
    let all = || request.answers.iter().chain(&request.authorities);
    if all().any(|record| !DnsName::from(&record.name).is_within(zone)) {
        return ResponseCode::NotZone;
    }
    for fault in &mut state.faults {
        match fault {
            Fault::CodeFor(owner, code) if all().any(|record| DnsName::from(&record.name) == *owner) => return *code,
            Fault::Race(left @ 1.., owner) => {
                *left -= 1;
                let foreign =
                    Association { usage: 3, selector: 1, matching: 1, data: vec![u8::try_from(*left).unwrap(); 32] };
                state.rrsets.entry(owner.clone()).or_default().1.insert(foreign);
            }
            _ => {}
        }
    }
    if let Some(code) = unmet(state, &request.answers) {
        return code;
    }
    request.authorities.iter().for_each(|record| change(state, record));
    state.rrsets.retain(|_, (_, records)| !records.is_empty());
    let shown = state.rrsets.clone();
    state.history.push((Instant::now(), shown));
    ResponseCode::NoError
}

fn unmet(state: &State, prerequisites: &[Record]) -> Option<ResponseCode> {
    let mut expected = BTreeMap::<DnsName, Set<Association>>::new();
    let there =
        |owner: &DnsName| state.rrsets.get(owner).filter(|_| !state.faults.contains(&Fault::Wildcard(owner.clone())));
    for record in prerequisites {
        assert_eq!(record.ttl, 0);
        let owner = DnsName::from(&record.name);
        match (record.dns_class, &record.data) {
            (DNSClass::NONE, RData::Update0(RecordType::CNAME)) if state.aliases.contains_key(&owner) => {
                return Some(ResponseCode::YXRRSet);
            }
            (DNSClass::NONE, RData::Update0(RecordType::CNAME)) => {}
            (DNSClass::NONE, RData::Update0(RecordType::TLSA)) if there(&owner).is_some() => {
                return Some(ResponseCode::YXRRSet);
            }
            (DNSClass::NONE, RData::Update0(RecordType::TLSA)) => {}
            (DNSClass::IN, RData::TLSA(_)) => {
                expected.entry(owner).or_default().insert(association(record));
            }
            other => panic!("a prerequisite that we never send: {other:?}"),
        }
    }
    let differs =
        |(owner, records): (DnsName, Set<Association>)| there(&owner).is_none_or(|(_, there)| *there != records);
    expected.into_iter().any(differs).then_some(ResponseCode::NXRRSet)
}

fn change(state: &mut State, record: &Record) {
    let owner = DnsName::from(&record.name);
    if state.faults.contains(&Fault::Wildcard(owner.clone())) {
        state.rrsets.remove(&owner);
        state.faults.clear();
    }
    let rrset = state.rrsets.entry(owner).or_default();
    match record.dns_class {
        DNSClass::IN => {
            rrset.0 = record.ttl;
            rrset.1.insert(association(record));
        }
        DNSClass::NONE => {
            assert!(rrset.1.remove(&association(record)), "deletes what is not there");
        }
        other => panic!("deletes more than one record: {other}"),
    }
}

fn association(record: &Record) -> Association {
    let RData::TLSA(tlsa) = &record.data else { panic!("no TLSA: {record}") };
    let data = tlsa.cert_data.clone();
    Association { usage: tlsa.cert_usage.into(), selector: tlsa.selector.into(), matching: tlsa.matching.into(), data }
}
