//! THE table: what a fault is called in gRPC, Connect and HTTP; and the answers made from it.

use axum::body::Body;
use flamestore_model::{Fault, Kind};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, StatusCode};
use std::error::Error;
use std::fmt::Write;
use tonic::{Code, Status};

use crate::json;

/// Seconds after which a limited or refused caller may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

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
    Row { grpc, http, word, again: matches!(kind, Kind::Limited | Kind::Unavailable) }
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
    let row = row(fault.kind);
    let mut status = Status::new(row.grpc, fault.message);
    if row.again {
        // Travels as metadata, so that Connect callers see the header and gRPC callers may ignore it.
        status.metadata_mut().insert("retry-after", tonic::metadata::MetadataValue::from_static("1"));
    }
    status
}

/// A fault as plain HTTP endpoints answer it. Logs it if it is ours: call it once, at the edge.
pub fn plain_response(fault: Fault) -> Response<Body> {
    log(&fault);
    let row = row(fault.kind);
    let mut body = error_json(row.word, &fault.message);
    body.push(b'\n');
    let mut response = json_response(row.http, body);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if row.again {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// A status as Connect answers it.
pub(crate) fn connect_response(status: &Status) -> Response<Body> {
    let code = status.code();
    let mut response = json_response(connect_http(code), error_json(connect_word(code), status.message()));
    forward_metadata(status.metadata().as_ref(), response.headers_mut());
    response
}

/// Copies what a handler set as metadata, without what belongs to gRPC's own transport.
pub(crate) fn forward_metadata(from: &HeaderMap, to: &mut HeaderMap) {
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
            let response = plain_response(Fault::new(kind, "x"));
            assert_eq!(response.headers().contains_key(RETRY_AFTER), again, "{kind:?}");
            let response = connect_response(&to_status(Fault::new(kind, "x")));
            assert_eq!(response.headers().contains_key(RETRY_AFTER), again, "{kind:?}");
        }
    }

    #[test]
    fn the_chain_of_causes_is_logged_and_not_told() {
        let fault = Fault::internal("cannot read").caused_by(std::io::Error::other("disk gone"));
        assert_eq!(chain(&fault), "cannot read: disk gone");
        assert_eq!(to_status(fault).message(), "cannot read");
    }
}
