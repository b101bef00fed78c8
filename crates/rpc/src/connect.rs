//! The Connect protocol, unary (<https://connectrpc.com/docs/protocol>): each call is put in gRPC's clothes and handed to
//! tonic in process, so a service is written once. Methods that only read may be called with a GET too.
//!
//! Hot: pushes come this way. A binary body is passed on without being parsed or copied here. Bench: `benches/push.rs`.

mod get;

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use flamestore_model::Fault;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING,
    VARY,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tonic::{Code, Status};
use tower::Service;

use crate::body::{MESSAGE, PREFIX_BYTES, Prefixed, framed, read_all, told_size};
use crate::encoding::{Encoding, Inside, UNDERSTOOD};
use crate::errors::{connect_response, empty_response, forward_metadata, to_status};
use crate::json::Unknown;
use crate::methods::{Method, is_open};
use crate::router::{Inner, NoSuchService, not_found};
use crate::tenant::Tenants;
use crate::workroom::Place;

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const ACCEPTED: &str = "application/grpc, application/grpc+proto, application/grpc-web, application/grpc-web+proto, \
                        application/json, application/json; charset=utf-8, application/proto";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROTO: HeaderValue = HeaderValue::from_static("application/proto");
/// What trailers of gRPC are called among the headers of an answer.
const TRAILER: &str = "trailer-";

/// As [`MESSAGE`] of JSON, which is read into a message in between.
const MESSAGE_FROM_JSON: usize = 4;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Proto,
    Json,
}

/// Answers one call, whatever happens.
pub(crate) async fn answer(inner: &Inner, method: &Method, request: Request<Body>) -> Response<Body> {
    let is_get = method.reads && get::is_call(&request);
    let request = match is_get {
        true => match get::as_post(request) {
            Ok(request) => request,
            Err(fault) => return connect_response(&to_status(fault)),
        },
        false => request,
    };
    if request.method() != http::Method::POST {
        return empty_response(StatusCode::METHOD_NOT_ALLOWED, ALLOW, if method.reads { "GET, POST" } else { "POST" });
    }
    let Some(codec) = codec(request.headers()) else {
        return empty_response(StatusCode::UNSUPPORTED_MEDIA_TYPE, ACCEPT_POST, ACCEPTED);
    };
    let mut response = match call(inner, method, codec, request).await {
        Ok(response) => response,
        Err(status) => connect_response(&status),
    };
    if response.extensions().get::<NoSuchService>().is_none() {
        response.headers_mut().insert(ACCEPT_ENCODING, UNDERSTOOD);
    }
    if is_get {
        // Between here and the caller a GET may be kept and answered again.
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

async fn call(inner: &Inner, method: &Method, codec: Codec, request: Request<Body>) -> Result<Response<Body>, Status> {
    if !method.unary {
        return Err(Status::unimplemented("streams are served over gRPC only"));
    }
    let headers = request.headers();
    if headers.get(VERSION).is_some_and(|v| v != "1" && !v.is_empty()) {
        return Err(Status::invalid_argument("the header Connect-Protocol-Version must be 1"));
    }
    let timeout = timeout(headers)?;
    if !is_open(&method.path) {
        Tenants::of(request.extensions()).map_err(to_status)?;
    }
    let accepted = Encoding::accepted(headers);

    let work = async {
        let request = as_grpc(inner, method, codec, request).await.map_err(to_status)?;
        let response = match inner.rpc.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        as_connect(inner, method, codec, accepted, response).await
    };
    match inner.longest.into_iter().chain(timeout).min() {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("not answered within {} ms", limit.as_millis())))
        }),
    }
}

fn codec(headers: &HeaderMap) -> Option<Codec> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameter) = text.split_once(';').unwrap_or((text, ""));
    let parameter = parameter.trim();
    match kind.trim() {
        kind if kind.eq_ignore_ascii_case("application/proto") && parameter.is_empty() => Some(Codec::Proto),
        kind if kind.eq_ignore_ascii_case("application/json")
            && (parameter.is_empty() || parameter.replace('"', "").eq_ignore_ascii_case("charset=utf-8")) =>
        {
            Some(Codec::Json)
        }
        _ => None,
    }
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(TIMEOUT).filter(|v| !v.is_empty()) else { return Ok(None) };
    let text = value.to_str().unwrap_or("");
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    let millis = text.parse().ok().filter(|_| digits);
    millis.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(|| {
        Status::invalid_argument("the header Connect-Timeout-Ms must be a whole number of at most ten digits")
    })
}

/// The call as tonic wants it: one uncompressed message behind its prefix.
async fn as_grpc(inner: &Inner, method: &Method, codec: Codec, request: Request<Body>) -> Result<Request<Body>, Fault> {
    let (mut parts, body) = request.into_parts();
    let headers = &mut parts.headers;
    let told = told_size(headers);
    let encoding = Encoding::of(headers)?;
    let packed = encoding != Encoding::Identity;
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING, ACCEPT_ENCODING, VERSION, TIMEOUT] {
        headers.remove(name);
    }
    // Or tonic would compress the answer for us to inflate again.
    for name in ["grpc-encoding", "grpc-accept-encoding", "grpc-timeout"] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));

    let cap = method.cap;
    let body = match (codec, told) {
        (Codec::Proto, Some(size)) if !packed => Body::new(Prefixed::new(size, body, cap)?),
        _ => {
            let bytes = read_all(body, told, cap).await?;
            let place = Place::of(&parts.extensions);
            match codec {
                Codec::Proto if packed => {
                    let inside = Inside { room: PREFIX_BYTES, cap, memory_per_byte: MESSAGE };
                    framed(encoding.inflate_in(&place, bytes, inside, Ok).await?, cap)?
                }
                Codec::Proto => Body::new(Prefixed::new(bytes.len(), Body::from(bytes), cap)?),
                Codec::Json => {
                    let (schema, input) = (inner.methods.schema.clone(), method.input);
                    let read = move |json: Vec<u8>| {
                        let mut message = Vec::with_capacity(PREFIX_BYTES + json.len());
                        message.resize(PREFIX_BYTES, 0);
                        schema.read(input, &json, Unknown::Skip, &mut message)?;
                        Ok(message)
                    };
                    let inside = Inside { room: 0, cap, memory_per_byte: MESSAGE_FROM_JSON };
                    framed(encoding.inflate_in(&place, bytes, inside, read).await?, cap)?
                }
            }
        }
    };
    Ok(Request::from_parts(parts, body))
}

/// The answer of tonic as Connect wants it.
async fn as_connect(
    inner: &Inner,
    method: &Method,
    codec: Codec,
    accepted: Encoding,
    response: Response<Body>,
) -> Result<Response<Body>, Status> {
    let (parts, body) = response.into_parts();
    if parts.extensions.get::<NoSuchService>().is_some() {
        return Ok(not_found());
    }
    if let Some(status) = Status::from_header_map(&parts.headers).filter(|s| s.code() != Code::Ok) {
        return Err(status);
    }
    let (mut message, trailers) = message(body).await?;
    if message.len() < PREFIX_BYTES {
        return Err(to_status(Fault::internal("the service gave no answer")));
    }
    message.advance(PREFIX_BYTES);

    let body = match codec {
        Codec::Proto => message,
        Codec::Json => {
            let mut json = Vec::with_capacity(message.len() * 2 + 2);
            inner.methods.schema.write(method.output, &message, &mut json).map_err(to_status)?;
            json.into()
        }
    };
    let mut response = Response::new(Body::empty());
    forward_metadata(&parts.headers, response.headers_mut());
    for (name, value) in &trailers {
        if let Ok(name) = HeaderName::try_from(format!("{TRAILER}{name}"))
            && !name.as_str().starts_with("trailer-grpc-")
        {
            response.headers_mut().append(name, value.clone());
        }
    }
    *response.body_mut() = match (accepted.deflate(&body), accepted.header()) {
        (Some(packed), Some(header)) => {
            response.headers_mut().insert(CONTENT_ENCODING, header);
            Body::from(packed)
        }
        _ => Body::from(body),
    };
    response.headers_mut().insert(CONTENT_TYPE, if codec == Codec::Json { JSON } else { PROTO });
    Ok(response)
}

/// The one message of an answer with its prefix, and the trailers; or the status in those.
async fn message(mut body: Body) -> Result<(Bytes, HeaderMap), Status> {
    let mut trailers = HeaderMap::new();
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| to_status(Fault::internal("the answer broke off").caused_by(e)))?;
        match frame.into_data() {
            Ok(data) if first.is_empty() => first = data,
            Ok(data) => {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&data);
            }
            Err(frame) => {
                trailers = frame.into_trailers().unwrap_or_default();
                if let Some(status) = Status::from_header_map(&trailers).filter(|s| s.code() != Code::Ok) {
                    return Err(status);
                }
            }
        }
    }
    Ok((if all.is_empty() { first } else { all.freeze() }, trailers))
}
