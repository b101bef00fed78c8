//! THE table: what a fault is called in gRPC, Connect and HTTP; and the answers made from it.

mod details;
mod reference;

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write;

use axum::body::Body;
use flamestore_model::{Fault, FaultId, Kind};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, StatusCode};
use tonic::{Code, Status};

pub use reference::reference_markdown;

use crate::json;

/// Carries the id of an error from the table: a header of HTTP and Connect answers, metadata of gRPC ones.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static(ERROR_NAME);
const ERROR_NAME: &str = "x-flamestore-error";

/// Seconds after which a limited or refused caller may try again, where nothing better is known.
const AGAIN_AFTER_SECS: u32 = 1;
/// The longest sentence that is told whole.
const MAX_MESSAGE_BYTES: usize = 2048;

/// How one kind of fault is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub grpc: Code,
    /// Of plain HTTP endpoints. Connect derives its own from `grpc`, see [`connect_http`].
    pub http: StatusCode,
    /// The word in the JSON body of plain HTTP endpoints.
    pub word: &'static str,
    /// Whether the same request may succeed later.
    pub again: bool,
}

/// The row of a kind.
pub const fn row(kind: Kind) -> Row {
    use StatusCode as S;
    let (grpc, http) = match kind {
        Kind::Invalid => (Code::InvalidArgument, S::BAD_REQUEST),
        Kind::Unprocessable => (Code::InvalidArgument, S::UNPROCESSABLE_ENTITY),
        Kind::TooLarge => (Code::ResourceExhausted, S::PAYLOAD_TOO_LARGE),
        Kind::Unauthenticated => (Code::Unauthenticated, S::UNAUTHORIZED),
        Kind::Forbidden => (Code::PermissionDenied, S::FORBIDDEN),
        Kind::NotFound => (Code::NotFound, S::NOT_FOUND),
        Kind::Conflict => (Code::AlreadyExists, S::CONFLICT),
        Kind::Limited => (Code::ResourceExhausted, S::TOO_MANY_REQUESTS),
        Kind::Unimplemented => (Code::Unimplemented, S::NOT_IMPLEMENTED),
        Kind::Unavailable => (Code::Unavailable, S::SERVICE_UNAVAILABLE),
        Kind::TimedOut => (Code::DeadlineExceeded, S::GATEWAY_TIMEOUT),
        Kind::Cancelled => (Code::Cancelled, connect_http(Code::Cancelled)),
        Kind::Corrupt => (Code::DataLoss, S::INTERNAL_SERVER_ERROR),
        Kind::Internal => (Code::Internal, S::INTERNAL_SERVER_ERROR),
    };
    let word = match kind {
        // The peer has no better word for a body that its own endpoint cannot read.
        Kind::Unprocessable => "unknown",
        _ => connect_word(grpc),
    };
    Row { grpc, http, word, again: kind.invites_retry() }
}

/// The Connect name of a gRPC code.
pub const fn connect_word(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "canceled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// The HTTP status of a Connect error.
pub const fn connect_http(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => match StatusCode::from_u16(499) {
            Ok(status) => status,
            Err(_) => StatusCode::BAD_REQUEST,
        },
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A fault as the handlers of RPCs return it. Logs it if it is ours: call it once, at the edge.
pub fn to_status(fault: Fault) -> Status {
    log(&fault);
    let code = row(fault.kind).grpc;
    let message = told(&fault);
    let details = details::encode(&fault, code, &message, again_after(&fault));
    // As metadata these reach Connect callers as headers.
    let mut status = Status::with_details(code, message, details.into());
    status.metadata_mut().insert(ERROR_NAME, tonic::metadata::MetadataValue::from_static(fault.id.as_str()));
    if let Some(secs) = again_after(&fault) {
        status.metadata_mut().insert("retry-after", secs.into());
    }
    status
}

/// A fault as plain HTTP endpoints answer it. Logs it if it is ours: call it once, at the edge.
pub fn plain_response(fault: Fault) -> Response<Body> {
    log(&fault);
    let row = row(fault.kind);
    let mut body = error_json(row.word, &told(&fault));
    body.push(b'\n');
    let mut response = json_response(row.http, body);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ERROR_HEADER, HeaderValue::from_static(fault.id.as_str()));
    if let Some(secs) = again_after(&fault) {
        headers.insert(RETRY_AFTER, secs.into());
    }
    response
}

/// The sentence with the id behind it, where the id says more than the status: many clients log nothing else.
fn told(fault: &Fault) -> String {
    let message = clipped(&fault.message);
    if fault.id.is_general() { message.into_owned() } else { format!("{message} ({})", fault.id.as_str()) }
}

/// A sentence that quotes what the caller sent can be long, and over gRPC it travels in headers, twice: without its
/// middle, then.
fn clipped(message: &str) -> Cow<'_, str> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return Cow::Borrowed(message);
    }
    let boundary = |at: usize| (at..message.len()).find(|at| message.is_char_boundary(*at)).unwrap_or(message.len());
    let (head, _) = message.split_at(boundary(MAX_MESSAGE_BYTES / 2));
    let (_, tail) = message.split_at(boundary(message.len() - MAX_MESSAGE_BYTES / 2));
    Cow::Owned(format!("{head} … {tail}"))
}

/// Seconds until the same request may succeed, if it ever may.
fn again_after(fault: &Fault) -> Option<u32> {
    row(fault.kind).again.then(|| fault.again_after_secs.unwrap_or(AGAIN_AFTER_SECS))
}

/// Gives an error that was made outside of our own code the general id of its code.
pub(crate) fn name(code: Code, headers: &mut HeaderMap) {
    let kind = match code {
        Code::Ok => return,
        Code::Cancelled => Kind::Cancelled,
        Code::InvalidArgument | Code::FailedPrecondition => Kind::Invalid,
        // Both are said of messages that are too long.
        Code::OutOfRange | Code::ResourceExhausted => Kind::TooLarge,
        Code::DeadlineExceeded => Kind::TimedOut,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists | Code::Aborted => Kind::Conflict,
        Code::PermissionDenied => Kind::Forbidden,
        Code::Unimplemented => Kind::Unimplemented,
        Code::Unavailable => Kind::Unavailable,
        Code::DataLoss => Kind::Corrupt,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::Unknown | Code::Internal => Kind::Internal,
    };
    let id = HeaderValue::from_static(FaultId::of_kind(kind).as_str());
    headers.entry(ERROR_HEADER).or_insert(id);
}

/// A status as Connect answers it.
pub(crate) fn connect_response(status: &Status) -> Response<Body> {
    let code = status.code();
    let mut response = json_response(connect_http(code), error_json(connect_word(code), status.message()));
    forward_metadata(status.metadata().as_ref(), response.headers_mut());
    name(code, response.headers_mut());
    response
}

/// Copies what a handler set as metadata, without what belongs to gRPC's own transport.
pub fn forward_metadata(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let transport = matches!(name.as_str(), "content-type" | "content-length" | "date" | "te" | "trailer");
        if !transport && !name.as_str().starts_with("grpc-") {
            to.append(name.clone(), value.clone());
        }
    }
}

/// Words only, for what happens before any protocol.
pub(crate) fn text_response(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn empty_response(status: StatusCode, name: HeaderName, value: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

fn json_response(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn error_json(word: &str, message: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(message.len() + 48);
    body.extend_from_slice(b"{\"code\":\"");
    body.extend_from_slice(word.as_bytes());
    body.extend_from_slice(b"\",\"message\":\"");
    json::escape(message.as_bytes(), &mut body);
    body.extend_from_slice(b"\"}");
    body
}

/// Ours are errors with their whole chain; an absent part is a warning; what the caller did is not news.
fn log(fault: &Fault) {
    match fault.kind {
        Kind::Internal | Kind::Corrupt => tracing::error!(kind = ?fault.kind, err = %chain(fault), "request failed"),
        Kind::Unavailable => tracing::warn!(kind = ?fault.kind, err = %chain(fault), "request refused"),
        _ => tracing::debug!(kind = ?fault.kind, err = %chain(fault), "request refused"),
    }
}

fn chain(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 14] = [
        Kind::Invalid,
        Kind::Unprocessable,
        Kind::TooLarge,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::Conflict,
        Kind::Limited,
        Kind::Unimplemented,
        Kind::Unavailable,
        Kind::TimedOut,
        Kind::Cancelled,
        Kind::Corrupt,
        Kind::Internal,
    ];

    #[test]
    fn connect_and_plain_http_agree_on_the_status_but_for_two_kinds() {
        for kind in KINDS {
            let row = row(kind);
            let agree = connect_http(row.grpc) == row.http;
            assert_eq!(agree, !matches!(kind, Kind::Unprocessable | Kind::TooLarge), "{kind:?}");
        }
    }

    #[test]
    fn only_what_may_pass_later_says_when() {
        for kind in KINDS {
            let again = matches!(kind, Kind::Limited | Kind::Unavailable);
            let fault = || Fault::new(kind, "x").again_after(7);
            for response in [plain_response(fault()), connect_response(&to_status(fault()))] {
                let after = response.headers().get(RETRY_AFTER).map(|v| v.to_str().unwrap());
                assert_eq!(after, again.then_some("7"), "{kind:?}");
            }
        }
    }

    #[test]
    fn every_error_has_its_id_on_every_protocol() {
        for id in FaultId::ALL {
            let fault = || Fault::of(*id, "x");
            let status = to_status(fault());
            assert!(status.metadata().get(ERROR_NAME).is_some_and(|v| v == id.as_str()));
            for response in [plain_response(fault()), connect_response(&status)] {
                assert_eq!(response.headers()[ERROR_HEADER], id.as_str());
            }
            assert_eq!(status.message() == "x", id.is_general(), "{}", status.message());
        }
        let foreign = connect_response(&Status::out_of_range("message too long"));
        assert_eq!(foreign.headers()[ERROR_HEADER], "too-large");
    }

    #[test]
    fn a_long_sentence_loses_its_middle() {
        let long = format!("begin {} end", "ü".repeat(50_000));
        let said = clipped(&long);
        assert!(
            said.len() < MAX_MESSAGE_BYTES + 10 && said.starts_with("begin ü") && said.ends_with("ü end"),
            "{said}"
        );
        assert_eq!(clipped("short"), "short");
    }

    #[test]
    fn the_chain_of_causes_is_logged_and_not_told() {
        let fault = Fault::internal("cannot read").caused_by(std::io::Error::other("disk gone"));
        assert_eq!(chain(&fault), "cannot read: disk gone");
        assert_eq!(to_status(fault).message(), "cannot read");
    }
}
