//! `api = NAME FILE [zone:ZONE]`: DNS services by their web APIs, through the crate dns-update. Only with the cargo feature `providers`.
//!
//! Of the crate only the three calls that list, add to and remove from an RRset are used: its fourth, which sets one, deletes before it
//! adds. The calls are made one after the other, and each has a time limit.

use super::{Change, Context, Operation, Outcome, Provider, http, in_order};
use crate::{
    config::{self, Fault, Scene, Secret, Word},
    env::Env,
    name::DnsName,
    tlsa::Association,
};
use dns_update::{
    DnsRecord, DnsRecordType, DnsUpdater, Error, TLSARecord, TlsaCertUsage, TlsaMatching, TlsaSelector,
    providers::{google_cloud_dns::GoogleCloudDnsConfig, ovh::OvhEndpoint, route53::Route53Config},
};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};
use tokio::{runtime, time};

/// For one request of the crate's; a call may take several.
const REQUEST: Option<Duration> = Some(Duration::from_secs(20));
/// For one call.
const CALL: Duration = Duration::from_secs(60);

type Made = Result<DnsUpdater, Error>;

/// A service: its name in an `api` line, the keys of its credentials file (`?` ends those that can be left out, `@` those that name a
/// further file, which is read), and what makes a client of them.
struct Service {
    name: &'static str,
    keys: &'static [&'static str],
    make: fn(&Keys) -> Made,
}

/// What a credentials file says.
struct Keys(BTreeMap<String, Secret>);

impl Keys {
    /// The value of a key, which is there if the table says that it must be.
    fn get(&self, key: &str) -> &str {
        self.opt(key).unwrap_or_default()
    }

    fn opt(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| std::str::from_utf8(&value.0).ok())
    }

    fn own(&self, key: &str) -> Option<String> {
        self.opt(key).map(str::to_owned)
    }
}

const fn service(name: &'static str, keys: &'static [&'static str], make: fn(&Keys) -> Made) -> Service {
    Service { name, keys, make }
}

/// The services that take TLSA records, by the crate's own word.
const TABLE: &[Service] = &[
    service("arvancloud", &["api_key"], |k| DnsUpdater::new_arvancloud(k.get("api_key"), REQUEST)),
    service("autodns", &["username", "password", "context?"], |k| {
        let context = k.opt("context").and_then(|number| number.parse().ok());
        DnsUpdater::new_autodns(k.get("username"), k.get("password"), context, REQUEST)
    }),
    service("bunny", &["api_key"], |k| DnsUpdater::new_bunny(k.get("api_key"), REQUEST)),
    service("cloudns", &["auth_id?", "sub_auth_id?", "auth_password"], |k| {
        DnsUpdater::new_cloudns(k.opt("auth_id"), k.opt("sub_auth_id"), k.get("auth_password"), REQUEST)
    }),
    service("desec", &["token"], |k| DnsUpdater::new_desec(k.get("token"), REQUEST)),
    service("dnsimple", &["token", "account_id"], |k| {
        DnsUpdater::new_dnsimple(k.get("token"), k.get("account_id"), REQUEST)
    }),
    service("dynu", &["api_key"], |k| DnsUpdater::new_dynu(k.get("api_key"), REQUEST)),
    service("gandi", &["token"], |k| DnsUpdater::new_gandiv5(k.get("token"), REQUEST)),
    service("gcore", &["api_token"], |k| DnsUpdater::new_gcore(k.get("api_token"), REQUEST)),
    service("google", &["service_account@", "project", "managed_zone?"], google),
    service("hetzner", &["api_token"], |k| DnsUpdater::new_hetzner(k.get("api_token"), REQUEST)),
    service("hostingde", &["api_key"], |k| DnsUpdater::new_hostingde(k.get("api_key"), REQUEST)),
    service("hostinger", &["api_token"], |k| DnsUpdater::new_hostinger(k.get("api_token"), REQUEST)),
    service("infomaniak", &["token"], |k| DnsUpdater::new_infomaniak(k.get("token"), REQUEST)),
    service("inwx", &["username", "password"], |k| {
        DnsUpdater::new_inwx(k.get("username"), k.get("password"), false, REQUEST)
    }),
    service("luadns", &["username", "token"], |k| DnsUpdater::new_luadns(k.get("username"), k.get("token"), REQUEST)),
    service("mythicbeasts", &["username", "password"], |k| {
        DnsUpdater::new_mythicbeasts(k.get("username"), k.get("password"), REQUEST)
    }),
    service("netcup", &["customer_id", "api_key", "api_password"], |k| {
        DnsUpdater::new_netcup(k.get("customer_id"), k.get("api_key"), k.get("api_password"), REQUEST)
    }),
    service("ns1", &["api_key"], |k| DnsUpdater::new_ns1(k.get("api_key"), REQUEST)),
    service("ovh", &["endpoint", "application_key", "application_secret", "consumer_key"], ovh),
    service("porkbun", &["api_key", "secret_api_key"], |k| {
        DnsUpdater::new_porkbun(k.get("api_key"), k.get("secret_api_key"), REQUEST)
    }),
    service(
        "route53",
        &["access_key_id", "secret_access_key", "session_token?", "region?", "hosted_zone_id?"],
        route53,
    ),
    service("scaleway", &["secret_key"], |k| DnsUpdater::new_scaleway(k.get("secret_key"), REQUEST)),
    service("simply", &["account", "api_key"], |k| {
        DnsUpdater::new_simplycom(k.get("account"), k.get("api_key"), REQUEST)
    }),
    service("spaceship", &["api_key", "api_secret"], |k| {
        DnsUpdater::new_spaceship(k.get("api_key"), k.get("api_secret"), REQUEST)
    }),
    service("transip", &["username", "key_file@", "global_key?"], transip),
    service("ultradns", &["username", "password"], |k| {
        DnsUpdater::new_ultradns(k.get("username"), k.get("password"), None, REQUEST)
    }),
    service("zoneeu", &["username", "api_key"], |k| {
        DnsUpdater::new_zoneeu(k.get("username"), k.get("api_key"), REQUEST)
    }),
];

fn google(keys: &Keys) -> Made {
    DnsUpdater::new_google_cloud_dns(GoogleCloudDnsConfig {
        service_account_json: keys.get("service_account").into(),
        project_id: keys.get("project").into(),
        managed_zone: keys.own("managed_zone"),
        private_zone: false,
        impersonate_service_account: None,
        request_timeout: REQUEST,
    })
}

fn ovh(keys: &Keys) -> Made {
    let endpoint: OvhEndpoint = keys.get("endpoint").parse()?;
    let key = |name| keys.get(name);
    DnsUpdater::new_ovh(key("application_key"), key("application_secret"), key("consumer_key"), endpoint, REQUEST)
}

fn route53(keys: &Keys) -> Made {
    DnsUpdater::new_route53(Route53Config {
        access_key_id: keys.get("access_key_id").into(),
        secret_access_key: keys.get("secret_access_key").into(),
        session_token: keys.own("session_token"),
        region: keys.own("region"),
        hosted_zone_id: keys.own("hosted_zone_id"),
        private_zone_only: None,
        endpoint: None,
    })
}

fn transip(keys: &Keys) -> Made {
    let global = keys.opt("global_key") == Some("yes");
    DnsUpdater::new_transip(keys.get("username"), keys.get("key_file"), global, REQUEST)
}

/// `api = NAME FILE [zone:ZONE]`.
pub struct Account {
    service: &'static str,
    file: PathBuf,
    zone: Option<DnsName>,
    secrets: Vec<Secret>,
    client: DnsUpdater,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { service, file, zone, .. } = self;
        f.debug_struct("Account")
            .field("service", service)
            .field("file", file)
            .field("zone", zone)
            .finish_non_exhaustive()
    }
}

/// Reads the line of whichever service it names.
pub(super) fn read(scheme: &Word, words: &[Word], scene: &Scene) -> Result<Box<dyn Provider>, Fault> {
    let service =
        TABLE.iter().find(|service| service.name == scheme.text).ok_or_else(|| scheme.fault("no such provider"))?;
    let (mut zone, mut file) = (None, None);
    for word in words {
        match word.after("zone:") {
            Some(name) => zone = Some(config::domain(&name.text).map_err(|why| name.fault(why))?),
            None if file.is_none() => file = Some(word),
            None => return Err(word.fault("one file of credentials, one zone:ZONE, and no more")),
        }
    }
    let hint = format!(
        "write \"api = {} /etc/daneroll/{}.ini\"; the file has {}",
        service.name,
        service.name,
        lines(service.keys.iter().filter(|key| !key.ends_with('?')))
    );
    let Some(word) = file else { return Err(scheme.fault("no file of credentials is named").hint(hint)) };
    let (path, text) = scene.secret(word)?;
    let mut keys = keys(service, &text).map_err(|why| word.fault(format!("{}: {why}", path.display())).hint(hint))?;
    for key in service.keys.iter().filter(|key| key.ends_with('@')).map(|key| bare(key)) {
        let (_, text) = scene.secret(&Word { text: keys.get(key).into(), ..*word })?;
        keys.0.insert(key.into(), Secret(text.as_bytes().to_vec()));
    }
    let secrets: Vec<Secret> = keys.0.values().cloned().collect();
    let client = (service.make)(&keys);
    let client = client
        .map_err(|error| word.fault(format!("{}: {}", path.display(), http::conceal(&error.to_string(), &secrets))))?;
    Ok(Box::new(Account { service: service.name, file: path, zone, secrets, client }))
}

fn lines<'a>(keys: impl Iterator<Item = &'a &'static str>) -> String {
    keys.map(|key| format!("\"{} = …\"", bare(key))).collect::<Vec<_>>().join(", ")
}

/// The key without its mark.
fn bare(key: &str) -> &str {
    key.trim_end_matches(['?', '@'])
}

/// The keys of a service, bare or as certbot's plugins write them (`dns_NAME_KEY`). No error repeats a value.
fn keys(service: &Service, text: &str) -> Result<Keys, String> {
    let prefix = format!("dns_{}_", service.name);
    let mut keys = BTreeMap::new();
    for (number, name, value) in config::assignments(text) {
        let name = name.strip_prefix(&prefix).unwrap_or(&name);
        match service.keys.iter().find(|key| bare(key) == name) {
            Some(_) if value.is_empty() => return Err(format!("line {number}: \"{name}\" has no value")),
            Some(_) => keys.insert(name.to_owned(), Secret(value.into_bytes())),
            None => return Err(format!("line {number} is not one of {}", lines(service.keys.iter()))),
        };
    }
    match service.keys.iter().find(|key| !key.ends_with('?') && !keys.contains_key(bare(key))) {
        Some(missing) => Err(format!("\"{}\" is missing", bare(missing))),
        None => Ok(Keys(keys)),
    }
}

impl Provider for Account {
    fn changes_at_once(&self) -> bool {
        false
    }

    fn apply(&self, env: &dyn Env, _: &Context, changes: &[Change]) -> Vec<Outcome> {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                return vec![Outcome::Failed(format!("cannot prepare for the network: {error}")); changes.len()];
            }
        };
        in_order(env, changes, |change| runtime.block_on(self.change(change)).unwrap_or_else(|outcome| outcome))
    }
}

impl Account {
    async fn change(&self, change: &Change) -> Result<Outcome, Outcome> {
        let zone = self.zone.as_ref().or(change.zone.as_ref());
        let zone = zone.ok_or_else(|| {
            self.failed(format!("the zone of {} is not known: add zone:ZONE to the line", change.owner))
        })?;
        if !change.owner.is_within(zone) {
            return Err(self.failed(format!("{} is not in zone {zone}: correct zone: in the line", change.owner)));
        }
        let (owner, zone) = (change.owner.as_str(), zone.as_str());
        let record = tlsa(&change.record).ok_or_else(|| self.failed("it knows no such parameters".into()))?;
        let there = self.limit(self.client.list_rrset(owner, DnsRecordType::TLSA, zone)).await;
        let there = match there {
            Err(Error::NotFound) => Vec::new(),
            other => other.map_err(|error| self.outcome(error))?,
        };
        let live = change.live.as_ref().and_then(tlsa);
        let done = match change.operation {
            Operation::Add if there.contains(&record) => return Ok(Outcome::Already),
            Operation::Add => {
                let call = self.client.add_to_rrset(owner, DnsRecordType::TLSA, change.ttl, vec![record], zone);
                self.limit(call).await
            }
            Operation::Delete if live.is_some_and(|live| !there.contains(&live)) => {
                return Ok(Outcome::NotYet(format!(
                    "{} does not have the record that must stay at {owner}",
                    self.service
                )));
            }
            Operation::Delete if !there.contains(&record) => return Ok(Outcome::Already),
            Operation::Delete => {
                let call = self.client.remove_from_rrset(owner, DnsRecordType::TLSA, vec![record], zone);
                self.limit(call).await
            }
        };
        done.map(|()| Outcome::Done).map_err(|error| self.outcome(error))
    }

    async fn limit<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let late = |_| Err(Error::Client(format!("no answer within {} s", CALL.as_secs())));
        time::timeout(CALL, call).await.unwrap_or_else(late)
    }

    fn failed(&self, what: String) -> Outcome {
        Outcome::Failed(format!("{}: {what}", self.service))
    }

    fn outcome(&self, error: Error) -> Outcome {
        let told = |text: &str| format!("{}: {}", self.service, http::conceal(text, &self.secrets));
        match error {
            Error::Unauthorized => {
                Outcome::Failed(told(&format!("the credentials in {} are refused", self.file.display())))
            }
            Error::NotFound => Outcome::Failed(told("it does not have this zone: add zone:ZONE to the line")),
            Error::BadRequest | Error::Unsupported(_) | Error::InvalidRegion | Error::Serialize(_) => {
                Outcome::Failed(told(&error.to_string()))
            }
            // The network, the service's own trouble, and what a later version of the crate may add.
            error => Outcome::Temporary(told(&error.to_string())),
        }
    }
}

/// The crate's form of a record; `None` for parameters that it has no word for.
fn tlsa(record: &Association) -> Option<DnsRecord> {
    let cert_usage = match record.usage {
        0 => TlsaCertUsage::PkixTa,
        1 => TlsaCertUsage::PkixEe,
        2 => TlsaCertUsage::DaneTa,
        3 => TlsaCertUsage::DaneEe,
        _ => return None,
    };
    let selector = match record.selector {
        0 => TlsaSelector::Full,
        1 => TlsaSelector::Spki,
        _ => return None,
    };
    let matching = match record.matching {
        0 => TlsaMatching::Raw,
        1 => TlsaMatching::Sha256,
        2 => TlsaMatching::Sha512,
        _ => return None,
    };
    Some(DnsRecord::TLSA(TLSARecord { cert_usage, selector, matching, cert_data: record.data.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{env::real::Real, provider::SERVICES};
    use serde_json::{Value, json};
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{SocketAddr, TcpListener, TcpStream},
        sync::{Arc, Mutex},
        thread,
    };

    const OWNER: &str = "_25._tcp.mx.example.com.";
    const SECRET: &str = "very-secret-key";

    /// A PowerDNS with one RRset; the status that it answers with, if not 200.
    type Zone = Arc<Mutex<(Vec<String>, u16)>>;

    fn serve(zone: &Zone) -> SocketAddr {
        let (listener, zone) = (TcpListener::bind("127.0.0.1:0").unwrap(), zone.clone());
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap(), &zone)));
        address
    }

    fn answer(mut stream: TcpStream, zone: &Zone) {
        let (mut lines, mut line, mut length) = (BufReader::new(stream.try_clone().unwrap()), String::new(), 0);
        let mut head = String::new();
        while lines.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head += &std::mem::take(&mut line);
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).unwrap();
        let (records, status) = &mut *zone.lock().unwrap();
        let ok = *status == 200 && head.to_lowercase().contains(&format!("x-api-key: {SECRET}"));
        if ok && head.starts_with("PATCH") {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let of = |set: &Value| set["records"].as_array().cloned().unwrap_or_default();
            *records = of(&body["rrsets"][0]).iter().map(|r| r["content"].as_str().unwrap().to_owned()).collect();
        }
        let set: Vec<Value> = records.iter().map(|content| json!({"content": content, "disabled": false})).collect();
        let text = json!({"error": format!("no entry for {SECRET}"), "rrsets": [{"name": OWNER, "type": "TLSA", "ttl": 300, "records": set}]});
        let (status, text) = (if ok { 200 } else { (*status).max(401) }, text.to_string());
        write!(stream, "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len())
            .unwrap();
    }

    fn record(data: u8) -> Association {
        Association { usage: 3, selector: 1, matching: 1, data: vec![data; 32] }
    }

    fn change(operation: Operation, data: u8, live: Option<u8>) -> Change {
        Change {
            operation,
            owner: OWNER.parse().unwrap(),
            zone: Some("example.com".parse().unwrap()),
            record: record(data),
            ttl: 300,
            live: live.map(record),
            lineage: "mx.example.com".into(),
            port: 25,
            protocol: "tcp".into(),
            domain: "mx.example.com".parse().unwrap(),
        }
    }

    fn account(address: SocketAddr, key: &str) -> Account {
        // The crate leaves the choice of a TLS library to whoever starts.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = DnsUpdater::new_pdns(key, Some(format!("http://{address}")), None::<&str>, REQUEST).unwrap();
        Account { service: "pdns", file: "/k.ini".into(), zone: None, secrets: vec![Secret(key.into())], client }
    }

    fn context() -> Context {
        Context {
            timeout: Duration::from_secs(5),
            letsencrypt_directory: "/etc/letsencrypt".into(),
            renewed_domains: String::new(),
            resolvers: Vec::new(),
            state_directory: "/var/lib/daneroll".into(),
            standing: Vec::new(),
        }
    }

    #[test]
    fn changes() {
        use Operation::{Add, Delete};
        let foreign = "3 1 1 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
        let zone: Zone = Arc::new(Mutex::new((vec![foreign.into()], 200)));
        let account = account(serve(&zone), SECRET);
        let apply = |change| account.apply(&Real::new("/".into()), &context(), &[change]).pop().unwrap();
        let count = || zone.lock().unwrap().0.len();
        for (change, expected, records) in [
            (change(Add, 1, None), "Done", 2),
            (change(Add, 1, None), "Already", 2),
            (change(Add, 2, None), "Done", 3),
            (change(Delete, 1, Some(9)), "NotYet", 3),
            (change(Delete, 1, Some(2)), "Done", 2),
            (change(Delete, 1, Some(2)), "Already", 2),
            (Change { zone: None, ..change(Add, 3, None) }, "Failed", 2),
            (Change { zone: "example.net".parse().ok(), ..change(Add, 3, None) }, "Failed", 2),
        ] {
            let outcome = format!("{:?}", apply(change.clone()));
            assert!(outcome.starts_with(expected) && count() == records, "{change:?}: {outcome}");
        }
        assert!(zone.lock().unwrap().0.contains(&foreign.to_owned()), "what others put there stays");
        for (status, expected) in [(401, "Failed"), (404, "Failed"), (422, "Temporary"), (503, "Temporary")] {
            zone.lock().unwrap().1 = status;
            let outcome = format!("{:?}", apply(change(Operation::Add, 3, None)));
            assert!(outcome.starts_with(expected) && !outcome.contains(SECRET), "{status}: {outcome}");
        }
    }

    #[test]
    fn the_table() {
        let names: Vec<&str> = TABLE.iter().map(|service| service.name).collect();
        assert_eq!(names, SERVICES);
        assert!(names.is_sorted());
    }

    #[test]
    fn credentials() {
        let service = |name: &str| TABLE.iter().find(|service| service.name == name).unwrap();
        for (name, text, expected) in [
            ("desec", "token = t0k3n", Ok(1)),
            ("desec", "# mine\ndns_desec_token: 't0k3n'\n", Ok(1)),
            ("route53", "access_key_id=a\nsecret_access_key=b", Ok(2)),
            ("route53", "access_key_id=a\nsecret_access_key=b\nregion=eu-west-1", Ok(3)),
            ("desec", "", Err("\"token\" is missing")),
            ("desec", "token =", Err("line 1: \"token\" has no value")),
            ("desec", "t0k3n", Err("line 1 is not one of \"token = …\"")),
            ("transip", "username = u", Err("\"key_file\" is missing")),
        ] {
            let found = keys(service(name), text).map(|keys| keys.0.len());
            assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{text}");
        }
    }

    /// Each service makes a client of what its keys say, or says what is wrong without repeating it.
    #[test]
    fn clients() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for service in TABLE {
            let value = |key: &str| if key == "endpoint" { "ovh-eu" } else { SECRET };
            let keys = service.keys.iter().map(|key| (bare(key).to_owned(), Secret(value(bare(key)).into())));
            let keys = Keys(keys.filter(|(key, _)| key != "region").collect());
            if let Err(error) = (service.make)(&keys) {
                assert!(["google", "transip"].contains(&service.name), "{}: {error}", service.name);
            }
        }
    }
}
