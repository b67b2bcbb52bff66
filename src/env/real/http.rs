//! HTTP requests, one connection each: what waits unused between two of our steps, servers close, and a request that meets such a
//! connection looks like one whose answer was lost.

use crate::env::{HttpRequest, HttpResponse, Lost, Method, Unanswered, is_loopback};
use reqwest::{
    Client, Error, Response, Url,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use std::{error::Error as _, io, sync::OnceLock, time::Duration};

/// For the look-up of the host, the connection and TLS.
const CONNECT: Duration = Duration::from_secs(10);
const AGENT: &str = concat!("daneroll/", env!("CARGO_PKG_VERSION"));

/// The clients, each built when it is first needed: one that heeds the proxies of the environment, and one that does not.
#[derive(Default)]
pub(super) struct Http {
    proxied: OnceLock<Result<Client, String>>,
    direct: OnceLock<Result<Client, String>>,
}

impl Http {
    pub(super) async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
        let url = Url::parse(&request.url)
            .map_err(|error| Unanswered::unsent(format!("cannot be asked: its address is wrong: {error}")))?;
        let client = self.client(&url).map_err(Unanswered::unsent)?;
        let exchange = exchange(&client, url, request);
        match tokio::time::timeout(request.limit, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(too_late(request.limit)),
        }
    }

    /// What a proxy calls localhost is another host than ours.
    fn client(&self, url: &Url) -> Result<Client, String> {
        let cell = if is_loopback(url) { &self.direct } else { &self.proxied };
        cell.get_or_init(|| build(is_loopback(url))).clone()
    }
}

fn build(direct: bool) -> Result<Client, String> {
    // An error says that there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(AGENT)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(0);
    let builder = if direct { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| format!("cannot be asked: {}", chain(&error)))
}

async fn exchange(client: &Client, url: Url, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    };
    let mut builder = client.request(method, url);
    for (name, value) in &request.headers {
        let unfit = |_| Unanswered::unsent(format!("cannot be asked: the value of {name} is not fit for a header"));
        let mut value = HeaderValue::from_bytes(&value.0).map_err(unfit)?;
        value.set_sensitive(true);
        builder = builder.header(*name, value);
    }
    if let Some(body) = &request.body {
        builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
    }
    let response = builder.send().await.map_err(|error| unanswered(error, request.limit))?;
    let status = response.status().as_u16();
    let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse().ok();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds).map(Duration::from_secs);
    let body = body(response, request).await?;
    Ok(HttpResponse { status, retry_after, body })
}

/// All of the body, if it is not longer than it may be.
async fn body(mut response: Response, request: &HttpRequest) -> Result<Vec<u8>, Unanswered> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(error, request.limit))? {
        if body.len() + chunk.len() > request.largest {
            let why = format!("gave an answer of more than {} bytes", request.largest);
            return Err(Unanswered { why, how: Lost::Unanswered });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_late(limit: Duration) -> Unanswered {
    Unanswered { why: format!("gave no whole answer within {} s", limit.as_secs()), how: Lost::Unanswered }
}

/// The address is left out: whoever asked names the server.
fn unanswered(error: Error, limit: Duration) -> Unanswered {
    let error = error.without_url();
    let why = chain(&error);
    let (why, how) = match (error.is_connect(), error.is_timeout()) {
        (false, true) => return too_late(limit),
        (true, true) => (format!("cannot be reached within {} s", CONNECT.min(limit).as_secs()), Lost::Unreached),
        (true, false) if is_distrusted(&error) => {
            let hint = "is its CA among those of this host (ca-certificates, SSL_CERT_FILE), and the clock right?";
            (format!("cannot be trusted: {why}: {hint}"), Lost::NotSent)
        }
        (true, false) => (format!("cannot be reached: {why}"), Lost::Unreached),
        _ if error.is_builder() => (format!("cannot be asked: {why}"), Lost::NotSent),
        _ => (format!("broke off: {why}"), Lost::Unanswered),
    };
    Unanswered { why, how }
}

/// Did its certificate not hold? That does not pass by itself.
fn is_distrusted(error: &Error) -> bool {
    std::iter::successors(error.source(), |cause| (*cause).source()).any(is_about_certificate)
}

/// Errors of input and output hide the error that they carry from `source()`, and may be nested.
fn is_about_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    match (error.downcast_ref::<rustls::Error>(), error.downcast_ref::<io::Error>()) {
        (Some(error), _) => matches!(error, rustls::Error::InvalidCertificate(_)),
        (None, Some(error)) => error.get_ref().is_some_and(|inner| is_about_certificate(inner)),
        (None, None) => false,
    }
}

/// The whole chain of causes, each told once.
fn chain(error: &Error) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.iter().any(|earlier| earlier.contains(&text)) {
            told.push(text);
        }
        cause = error.source();
    }
    if told.is_empty() { error.to_string() } else { told.join(": ") }
}
