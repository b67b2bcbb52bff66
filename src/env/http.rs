//! One HTTP request and its answer (RFC 9110), for providers that are edited that way.

use crate::config::Secret;
use std::{fmt, time::Duration};
use url::{Host, Url};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Look.
    Get,
    /// Make something new.
    Post,
    /// Change something.
    Patch,
    /// Take something away.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        })
    }
}

/// A request. Secrets stand in headers, never in the address or the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// What is to be done.
    pub method: Method,
    /// `http` or `https`, without user and password.
    pub url: String,
    /// Further headers; their values are shown to nobody but the server.
    pub headers: Vec<(&'static str, Secret)>,
    /// JSON.
    pub body: Option<String>,
    /// For all of it, from the look-up of the host to the last byte of the answer.
    pub limit: Duration,
    /// The longest answer that is taken, bytes.
    pub largest: usize,
}

/// An answer, whatever it says. Redirects are answers: none is followed, for the headers are meant for one server only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// All of the body.
    pub body: Vec<u8>,
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Why, in words that follow the name of the server: `gave no answer within 20 s`.
    pub why: String,
    /// How far it got.
    pub how: Lost,
}

/// Where a request or its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It was not sent, and somebody has to do something about that.
    NotSent,
    /// The server could not be reached, which passes.
    Unreached,
    /// It may have arrived, and been obeyed.
    Unanswered,
}

impl Unanswered {
    /// The request cannot be sent.
    pub fn unsent(why: impl Into<String>) -> Unanswered {
        Unanswered { why: why.into(), how: Lost::NotSent }
    }
}

/// An address of this host, or its name for it.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
