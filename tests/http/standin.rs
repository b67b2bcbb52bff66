//! A stand-in for Cloudflare's API: as strict as can be with what it is sent, and badly behaved when a test wants it to be.

use crate::server::{Manner, Reply, Request, serve};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

pub const TOKEN: &str = "standin-t0ken-0123456789-abcdefghij-KLMNOP";
pub const EMAIL: &str = "me@example.test";
pub const KEY: &str = "5tandin0key0123456789abcdef0123456789";
pub const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// A TLSA record.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub ttl: u64,
    /// Usage, selector, matching type, hex in upper case, as the API shows it.
    pub data: (u64, u64, u64, String),
}

/// What goes wrong, with requests of this method (`*`: any), this many times.
pub struct Fault {
    pub method: &'static str,
    pub times: usize,
    pub wrong: Wrong,
}

pub enum Wrong {
    /// This instead of looking at the request.
    Says(Reply),
    /// What was asked is done, and this is said.
    DoesAndSays(Reply),
    /// Somebody else does this first.
    Meanwhile(fn(&mut State)),
}

pub type Watcher = Box<dyn Fn(&[Row]) + Send>;

/// What it has and has seen.
pub struct State {
    /// Identifier, name, status.
    pub zones: Vec<(String, String, String)>,
    pub rows: Vec<Row>,
    /// Rows in a page at most, whatever is asked.
    pub page: usize,
    /// Are pages counted?
    pub counts: bool,
    /// The least TTL but "automatic".
    pub least_ttl: u64,
    pub faults: Vec<Fault>,
    /// Method and path of each request.
    pub calls: Vec<String>,
    /// What no client of ours may send.
    pub surprises: Vec<String>,
    /// Told of each change.
    pub watcher: Option<Watcher>,
    made: usize,
}

#[derive(Clone)]
pub struct StandIn {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    /// One active zone, `example.test`, with nothing in it.
    pub fn start() -> StandIn {
        let zone = (ZONE.to_owned(), "example.test".to_owned(), "active".to_owned());
        let state = State {
            zones: vec![zone],
            rows: Vec::new(),
            page: 100,
            counts: true,
            least_ttl: 60,
            faults: Vec::new(),
            calls: Vec::new(),
            surprises: Vec::new(),
            watcher: None,
            made: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let address = serve(move |request| shared.lock().unwrap().answer(request));
        StandIn { address, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    pub fn fault(&self, method: &'static str, times: usize, wrong: Wrong) {
        self.state().faults.push(Fault { method, times, wrong });
    }

    /// The requests since the last time, each by method and what it is about.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }
}

impl State {
    pub fn insert(&mut self, name: &str, ttl: u64, data: (u64, u64, u64, &str)) {
        self.made += 1;
        let (usage, selector, matching, hex) = data;
        let data = (usage, selector, matching, hex.to_uppercase());
        self.rows.push(Row { id: format!("{:032x}", 0xabc000 + self.made), name: name.into(), ttl, data });
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let what = request.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        let what = if what.len() == 32 { "record" } else { what };
        self.calls.push(format!("{} {what}", request.method));
        let fits = |fault: &Fault| fault.times > 0 && (fault.method == "*" || fault.method == request.method);
        let fault = self.faults.iter().position(fits).map(|at| {
            self.faults[at].times -= 1;
            match &self.faults[at].wrong {
                Wrong::Says(reply) => (Some(reply.clone()), false, None),
                Wrong::DoesAndSays(reply) => (Some(reply.clone()), true, None),
                Wrong::Meanwhile(change) => (None, true, Some(*change)),
            }
        });
        let (says, does, change) = fault.unwrap_or((None, true, None));
        if let Some(change) = change {
            change(self);
        }
        let reply = if does { self.obey(request) } else { Reply::default() };
        if let Some(watcher) = &self.watcher {
            watcher(&self.rows);
        }
        says.unwrap_or(reply)
    }

    fn obey(&mut self, request: &Request) -> Reply {
        if let Err(reply) = self.authenticate(request) {
            return reply;
        }
        match self.route(request) {
            Ok(reply) => reply,
            Err(surprise) => {
                self.surprises.push(format!("{surprise}: {request:?}"));
                refusal(400, 7000, "No route for that URI")
            }
        }
    }

    fn authenticate(&mut self, request: &Request) -> Result<(), Reply> {
        let known = [
            "host",
            "user-agent",
            "accept",
            "content-type",
            "content-length",
            "authorization",
            "x-auth-email",
            "x-auth-key",
        ];
        for (name, value) in &request.headers {
            if !known.contains(&name.as_str()) || request.headers.iter().filter(|(other, _)| other == name).count() > 1
            {
                self.surprises.push(format!("header {name}: {value}"));
            }
        }
        let (token, email, key) =
            (request.header("authorization"), request.header("x-auth-email"), request.header("x-auth-key"));
        let bearer = format!("Bearer {TOKEN}");
        match (token, email, key) {
            (Some(token), None, None) if token == bearer => Ok(()),
            (None, Some(EMAIL), Some(KEY)) => Ok(()),
            (Some(_), None, None) => Err(refusal(403, 9109, "Invalid access token")),
            (None, Some(_), Some(_)) => Err(refusal(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")),
            _ => {
                self.surprises.push("no or two credentials".into());
                Err(refusal(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"))
            }
        }
    }

    fn route(&mut self, request: &Request) -> Result<Reply, String> {
        let path = request.path().strip_prefix("/client/v4/").ok_or("outside the API")?;
        let parts: Vec<&str> = path.split('/').collect();
        let is_json = request.header("content-type") == Some("application/json");
        if is_json == request.body.is_empty() {
            return Err("a body without its type, or a type without a body".into());
        }
        let zone = parts.get(1).copied().unwrap_or_default();
        if parts.len() > 1 && !self.zones.iter().any(|(id, ..)| id == zone) {
            return Ok(refusal(404, 7003, "Could not route to /zones, perhaps your object identifier is invalid?"));
        }
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["zones"]) => self.list_zones(request),
            ("GET", ["zones", _, "dns_records"]) => self.list(request),
            ("POST", ["zones", zone, "dns_records"]) => self.make(zone, request),
            ("DELETE", ["zones", _, "dns_records", id]) if request.query().is_empty() => Ok(self.delete(id)),
            _ => Err("no such thing".into()),
        }
    }

    fn list_zones(&self, request: &Request) -> Result<Reply, String> {
        let query = request.query();
        let [(name_key, name), (per_page, _)] = query.as_slice() else { return Err("query".into()) };
        if (name_key.as_str(), per_page.as_str()) != ("name", "per_page") {
            return Err("query".into());
        }
        let zones = self.zones.iter().filter(|(_, zone, _)| zone == name);
        let zones: Vec<Value> = zones
            .map(|(id, name, status)| json!({ "id": id, "name": name, "status": status, "paused": false }))
            .collect();
        Ok(page(zones, 1, 50))
    }

    fn list(&self, request: &Request) -> Result<Reply, String> {
        let query = request.query();
        let keys: Vec<&str> = query.iter().map(|(key, _)| key.as_str()).collect();
        if keys != ["type", "name", "per_page", "page"] || query[0].1 != "TLSA" || query[1].1.ends_with('.') {
            return Err(format!("query {query:?}"));
        }
        let number = |at: usize| query[at].1.parse::<usize>().map_err(|error| error.to_string());
        let (per_page, at) = (number(2)?.min(self.page), number(3)?);
        let rows = self.rows.iter().filter(|row| row.name == query[1].1).map(show).collect();
        let reply = page(rows, at, per_page);
        if self.counts {
            return Ok(reply);
        }
        let mut body: Value = serde_json::from_slice(&reply.body).unwrap();
        body.as_object_mut().unwrap().remove("result_info");
        Ok(Reply::new(200, body.to_string()))
    }

    fn make(&mut self, zone: &str, request: &Request) -> Result<Reply, String> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
        let object = body.as_object().ok_or("no object")?;
        let data = body["data"].as_object().ok_or("no data")?;
        let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
        if keys(object) != ["data", "name", "ttl", "type"]
            || keys(data) != ["certificate", "matching_type", "selector", "usage"]
        {
            return Err(format!("fields of {body}"));
        }
        let number =
            |field: &str| data[field].as_u64().filter(|number| *number < 256).ok_or(format!("{field} in {body}"));
        let (name, ttl) = (body["name"].as_str().ok_or("name")?, body["ttl"].as_u64().ok_or("ttl")?);
        let hex = data["certificate"].as_str().ok_or("certificate")?;
        let zone = &self.zones.iter().find(|(id, ..)| id == zone).unwrap().1;
        let is_hex =
            hex.len() % 2 == 0 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if body["type"] != "TLSA" || !name.ends_with(&format!(".{zone}")) || !name.starts_with('_') || !is_hex {
            return Err(format!("not a record for {zone}: {body}"));
        }
        if ttl != 1 && !(self.least_ttl..=86400).contains(&ttl) {
            let behind =
                json!([{ "code": 9021, "message": "TTL must be between 60 and 86400 seconds, or 1 for Automatic." }]);
            let error = json!([{ "code": 1004, "message": "DNS Validation Error", "error_chain": behind }]);
            return Ok(envelope(400, false, error, Value::Null));
        }
        let data = (number("usage")?, number("selector")?, number("matching_type")?, hex.to_uppercase());
        if self.rows.iter().any(|row| row.name == name && row.data == data) {
            return Ok(refusal(400, 81058, "An identical record already exists."));
        }
        self.insert(name, ttl, (data.0, data.1, data.2, &data.3));
        Ok(envelope(200, true, json!([]), show(self.rows.last().unwrap())))
    }

    fn delete(&mut self, id: &str) -> Reply {
        match self.rows.iter().position(|row| row.id == id) {
            Some(at) => {
                self.rows.remove(at);
                envelope(200, true, json!([]), json!({ "id": id }))
            }
            None => refusal(404, 81044, "Record does not exist."),
        }
    }
}

fn show(row: &Row) -> Value {
    let (usage, selector, matching, hex) = &row.data;
    json!({
        "id": row.id, "name": row.name, "type": "TLSA", "ttl": row.ttl, "proxied": false, "proxiable": false, "tags": [],
        "content": format!("{usage} {selector} {matching} {hex}"),
        "data": { "usage": usage, "selector": selector, "matching_type": matching, "certificate": hex },
    })
}

fn page(rows: Vec<Value>, at: usize, per_page: usize) -> Reply {
    let (count, pages) = (rows.len(), rows.len().div_ceil(per_page));
    let rows: Vec<Value> = rows.into_iter().skip((at - 1) * per_page).take(per_page).collect();
    let info =
        json!({ "page": at, "per_page": per_page, "count": rows.len(), "total_count": count, "total_pages": pages });
    let body = json!({ "success": true, "errors": [], "messages": [], "result": rows, "result_info": info });
    Reply::new(200, body.to_string())
}

pub fn envelope(status: u16, success: bool, errors: Value, result: Value) -> Reply {
    let body = json!({ "success": success, "errors": errors, "messages": [], "result": result });
    Reply::new(status, body.to_string())
}

pub fn refusal(status: u16, code: i64, message: &str) -> Reply {
    envelope(status, false, json!([{ "code": code, "message": message }]), Value::Null)
}

/// Too many requests, to be sent again in so many seconds.
pub fn throttled(seconds: u64) -> Reply {
    Reply { headers: vec![("Retry-After", seconds.to_string())], ..refusal(429, 971, "Please wait") }
}

pub fn lost() -> Reply {
    Reply::in_manner(Manner::Closed)
}
