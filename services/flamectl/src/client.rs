//! The client: every request that any command makes, and what becomes of the answers that are no success.

mod again;

use std::io::Read;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flamestore_clock::{Chance, SeededChance};
use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Response, StatusCode};
use prost::Message;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder, SendBody};

use crate::cli::Connection;
use crate::client::again::Later;
use crate::failure::{Exit, Failure};

/// The longest answer that is read, in bytes; what the pprof decoder takes.
pub(crate) const MAX_ANSWER_BYTES: u64 = 2 << 30;
/// The longest text of a refusal that is read, in bytes.
const MAX_REFUSAL_BYTES: u64 = 64 << 10;
/// The most of a refusal's text that is shown where it is no message of the API, in characters.
const MAX_REFUSAL_CHARS: usize = 500;

const TENANT: &str = "X-Scope-OrgID";
/// Asks for label names with dots, too.
const ACCEPTED: &str = "*/*;allow-utf8-labelnames=true";
const PROTOBUF: &str = "application/proto";

/// Speaks to one server. Connections are kept between requests.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    url: String,
    headers: Vec<(&'static str, String)>,
    chance: SeededChance,
}

/// No success, and whether to ask again.
struct Refused {
    failure: Failure,
    later: Option<Later>,
}

/// A body to push.
pub(crate) struct Upload<'a> {
    /// With the query, from the `/` on.
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    /// Whether to say that the body is gzip.
    pub(crate) gzip: bool,
    pub(crate) length: u64,
}

impl Client {
    /// Reads the arguments; connects only when a request is made.
    pub(crate) fn new(connection: &Connection) -> Result<Client, Failure> {
        let url = checked_url(&connection.url)?;
        let mut headers = vec![(ACCEPT.as_str(), ACCEPTED.to_owned())];
        if let Some(tenant) = &connection.tenant {
            headers.push((TENANT, tenant.clone()));
        }
        if let Some(token) = &connection.token {
            headers.push((AUTHORIZATION.as_str(), format!("Bearer {token}")));
        }
        if let Some(pair) = &connection.basic_auth {
            headers.push((AUTHORIZATION.as_str(), format!("Basic {}", BASE64_STANDARD.encode(pair))));
        }
        let roots = match &connection.tls_ca {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let name = path.display().to_string();
                let pem = std::fs::read(path).map_err(|e| Failure::file(&name, &e))?;
                RootCerts::new_with_certs(&certificates(&name, &pem)?)
            }
        };
        let config = Agent::config_builder()
            .timeout_global(Some(connection.timeout))
            .http_status_as_error(false)
            // A server that has moved is shown to the user, who knows whether it may have the token.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("flamectl/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Ok(Client { agent: config.build().into(), url, headers, chance: SeededChance::from_system() })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// One call of the API, `package.Service/Method`.
    pub(crate) fn call<Q: Message, A: Message + Default>(&self, method: &str, request: &Q) -> Result<A, Failure> {
        let bytes = self.call_for_bytes(method, request)?;
        A::decode(bytes.as_slice()).map_err(Failure::bad_answer)
    }

    /// The same, with the encoded answer.
    pub(crate) fn call_for_bytes<Q: Message>(&self, method: &str, request: &Q) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.call_for_stream(method, request)?.read_to_end(&mut bytes).map_err(|e| self.broken_off(&e))?;
        Ok(bytes)
    }

    /// The same, with the encoded answer as it comes. What breaks it off is a matter of [`Client::broken_off`].
    pub(crate) fn call_for_stream<Q: Message>(&self, method: &str, request: &Q) -> Result<Box<dyn Read>, Failure> {
        let post = self
            .with_headers(self.agent.post(format!("{}/{method}", self.url)))
            .header(CONTENT_TYPE, PROTOBUF)
            .header(ACCEPT_ENCODING, "gzip")
            .header("Connect-Protocol-Version", "1");
        let response = self.succeeded(post.send(&request.encode_to_vec()))?;
        let gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|v| v == "gzip");
        let body = response.into_body().into_with_config().limit(MAX_ANSWER_BYTES).reader();
        let body: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(body)) } else { Box::new(body) };
        Ok(Box::new(body.take(MAX_ANSWER_BYTES)))
    }

    /// Sends a body; the answer has nothing to say but that it was taken. What is refused for the moment is sent again,
    /// after waits that take no longer than `patience` together and are announced to `waits`.
    pub(crate) fn push<R: Read>(
        &self,
        upload: &Upload<'_>,
        patience: Duration,
        mut body: impl FnMut() -> R,
        mut waits: impl FnMut(&Failure, Duration),
    ) -> Result<(), Failure> {
        let (mut tries, mut left) = (0, patience);
        loop {
            let Err(refused) = self.post(upload, body()) else { return Ok(()) };
            tries += 1;
            let wait = refused.later.and_then(|later| later.wait(tries, left, self.chance.next_u64()));
            let Some(wait) = wait else { return Err(refused.failure) };
            waits(&refused.failure, wait);
            thread::sleep(wait);
            left = left.saturating_sub(wait);
        }
    }

    fn post(&self, upload: &Upload<'_>, mut body: impl Read) -> Result<(), Refused> {
        let mut post = self
            .with_headers(self.agent.post(format!("{}{}", self.url, upload.path)))
            .header(CONTENT_TYPE, upload.content_type)
            .header(CONTENT_LENGTH, upload.length);
        if upload.gzip {
            post = post.header(CONTENT_ENCODING, "gzip");
        }
        self.answered(post.send(SendBody::from_reader(&mut body))).map(drop)
    }

    /// The text of a page.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        let get = self.with_headers(self.agent.get(format!("{}{path}", self.url)));
        let mut response = self.succeeded(get.call())?;
        response.body_mut().read_to_string().map_err(|e| self.unreachable(&e))
    }

    /// The failure of an answer whose rest did not come.
    pub(crate) fn broken_off(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Unreachable, format!("the answer of {} broke off: {error}", self.url))
    }

    fn with_headers<B>(&self, mut request: RequestBuilder<B>) -> RequestBuilder<B> {
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    fn succeeded(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Failure> {
        self.answered(sent).map_err(|refused| refused.failure)
    }

    fn answered(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Refused> {
        let response = sent.map_err(|e| Refused { failure: self.unreachable(&e), later: None })?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        if let Some(place) = parts.headers.get(LOCATION) {
            let place = String::from_utf8_lossy(place.as_bytes()).into_owned();
            let failure = Failure::new(Exit::Refused, format!("{} sends on to {place}: set --url", self.url));
            return Err(Refused { failure, later: None });
        }
        let mut text = Vec::new();
        // A refusal whose words are cut short is still one.
        let _ = body.into_with_config().limit(MAX_REFUSAL_BYTES).reader().read_to_end(&mut text);
        Err(Refused { failure: refusal(parts.status, &text), later: Later::of(parts.status, &parts.headers) })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let url = &self.url;
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::usage(format!("{url}: {error}")),
            ureq::Error::Timeout(_) => Failure::new(
                Exit::Unreachable,
                format!("{url} did not answer in time: try again, or give it longer with --timeout"),
            ),
            ureq::Error::Io(error) => Failure::new(Exit::Unreachable, format!("{url} cannot be reached: {error}")),
            error => Failure::new(Exit::Unreachable, format!("{url} cannot be reached: {error}")),
        }
    }
}

/// The address without a slash at its end.
fn checked_url(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::usage(format!("--url {text:?} {why}: write http://host:4040 or https://host"));
    let url: http::Uri = text.parse().map_err(|_| wrong("is no address"))?;
    match url.scheme_str() {
        Some("http" | "https") if url.query().is_none() => Ok(text.trim_end_matches('/').to_owned()),
        Some("http" | "https") => Err(wrong("has a query")),
        _ => Err(wrong("does not begin with http:// or https://")),
    }
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, Failure> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(Failure::new(Exit::File, format!("{name}: {e}"))),
        }
    }
    if found.is_empty() {
        return Err(Failure::new(Exit::File, format!("{name}: there is no certificate in it: a PEM file is wanted")));
    }
    Ok(found)
}

/// `google.rpc.Status`, in which refusals of OTLP are written.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// What a status and the body beside it say.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let exit = match status {
        StatusCode::NOT_IMPLEMENTED => Exit::Refused,
        status if status.is_server_error() => Exit::ServerFailed,
        _ => Exit::Refused,
    };
    let verb = if exit == Exit::Refused { "refused" } else { "failed" };
    let words = sentence(body).unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
    Failure::new(exit, format!("the server {verb} ({}): {words}", status.as_u16()))
}

/// The words in a refusal: the message of the API's JSON, that of OTLP's protobuf, or a plain text.
fn sentence(body: &[u8]) -> Option<String> {
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
        let message = json.get("message").and_then(|m| m.as_str()).filter(|m| !m.is_empty());
        return message.map(str::to_owned);
    }
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            let text: String = text.trim().chars().take(MAX_REFUSAL_CHARS).collect();
            Some(text).filter(|t| !t.is_empty())
        }
        _ => RpcStatus::decode(body).ok().map(|s| s.message).filter(|m| !m.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_are_shown_in_every_form_they_come_in() {
        let say = |status: u16, body: &[u8]| refusal(StatusCode::from_u16(status).unwrap(), body);
        let connect = say(400, br#"{"code":"invalid_argument","message":"no such label"}"#);
        assert_eq!(connect, Failure::new(Exit::Refused, "the server refused (400): no such label"));
        let otlp = RpcStatus { code: 3, message: "no dictionary".into() }.encode_to_vec();
        assert_eq!(say(400, &otlp).message, "the server refused (400): no dictionary");
        assert_eq!(say(404, b"404 page not found\n").message, "the server refused (404): 404 page not found");
        assert_eq!(say(413, b"").message, "the server refused (413): Payload Too Large");
    }

    #[test]
    fn only_what_may_pass_later_counts_as_a_failure_of_the_server() {
        let exit = |status: u16| refusal(StatusCode::from_u16(status).unwrap(), b"x").exit;
        assert_eq!([400, 401, 429, 501].map(exit), [Exit::Refused; 4]);
        assert_eq!([500, 503, 504].map(exit), [Exit::ServerFailed; 3]);
    }

    #[test]
    fn an_address_needs_its_scheme() {
        assert_eq!(checked_url("http://a:4040/x/").unwrap(), "http://a:4040/x");
        for text in ["a:4040", "localhost", "ftp://a", "http://a/?b=c", "", "http://a b"] {
            assert_eq!(checked_url(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }
}
