//! gRPC and gRPC-web: what the router adds around tonic.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use flamestore_model::{Fault, Kind};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use tonic::Status;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, service_fn};

use crate::body::{Capped, MESSAGE, PREFIX_BYTES, Why, framed};
use crate::encoding::{Encoding, Inside};
use crate::errors::{name, to_status};
use crate::methods::is_open;
use crate::router::Inner;
use crate::tenant::Tenants;
use crate::workroom::Place;

/// How the messages of a call are compressed.
const ENCODING: &str = "grpc-encoding";

/// Answers a gRPC call.
pub(crate) async fn answer(inner: &Inner, request: Request<Body>) -> Response<Body> {
    if request.version() < Version::HTTP_2 {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        return response;
    }
    call(inner, request.map(tonic::body::Body::new), None).await.map(Body::new)
}

/// Answers a gRPC-web call, on any version of HTTP.
pub(crate) async fn answer_web(inner: &Arc<Inner>, request: Request<Body>) -> Response<Body> {
    let (inner, why) = (inner.clone(), Why::default());
    let request = request.map(|body| why.noted(body));
    let mut service = GrpcWebLayer::new().layer(service_fn(move |request| {
        let (inner, why) = (inner.clone(), why.clone());
        async move { Ok::<_, Infallible>(call(&inner, request, Some(why)).await) }
    }));
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

async fn call(inner: &Inner, request: Request<tonic::body::Body>, web: Option<Why>) -> Response<tonic::body::Body> {
    let path = request.uri().path();
    if !is_open(path)
        && let Err(fault) = Tenants::of(request.extensions())
    {
        return to_status(fault).into_http();
    }
    let limit = inner.longest.into_iter().chain(timeout(request.headers())).min();
    let method = inner.methods.get(path);
    let cap = method.map_or(inner.caps.other, |m| m.cap);
    let packed = method.is_some_and(|m| m.unary) && request.headers().get(ENCODING).is_some_and(|v| v == "gzip");
    let request = request.map(|body| Body::new(Capped { body, seen: [0; PREFIX_BYTES], filled: 0, cap, web }));
    let mut rpc = inner.rpc.clone();
    let work = async {
        let request = match packed {
            true => match unpacked(request, cap).await {
                Ok(request) => request,
                Err(status) => return Ok(status.into_http()),
            },
            false => request,
        };
        rpc.call(request).await
    };
    let response = match limit {
        None => work.await,
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(response) => response,
            Err(_) => return to_status(Fault::new(Kind::TimedOut, "not answered in time")).into_http(),
        },
    };
    match response {
        Ok(mut response) => {
            if let Some(status) = Status::from_header_map(response.headers()) {
                name(status.code(), response.headers_mut());
            }
            response.map(tonic::body::Body::new)
        }
        Err(never) => match never {},
    }
}

/// A call with its one message inflated where the request has its place; tonic would do so at once, whoever waits meanwhile.
/// What is no such call is left as it is, for tonic to say what is wrong with it.
async fn unpacked(request: Request<Body>, cap: usize) -> Result<Request<Body>, Status> {
    let (parts, mut body) = request.into_parts();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| Status::from_error(e.into_inner()))?.into_data() else { continue };
        whole.extend_from_slice(&data);
    }
    let whole = whole.freeze();
    let Some(([1, a, b, c, d], message)) = whole.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(Request::from_parts(parts, Body::from(whole)));
    };
    if u32::from_be_bytes([*a, *b, *c, *d]) as usize != message.len() {
        return Ok(Request::from_parts(parts, Body::from(whole)));
    }
    let inside = Inside { room: PREFIX_BYTES, cap, memory_per_byte: MESSAGE };
    let place = Place::of(&parts.extensions);
    let body = match Encoding::Gzip.inflate_in(&place, whole.slice(PREFIX_BYTES..), inside, Ok).await {
        Ok(message) => framed(message, cap).map_err(to_status)?,
        Err(fault) if fault.kind == Kind::Invalid => Body::from(whole),
        Err(fault) => return Err(to_status(fault)),
    };
    Ok(Request::from_parts(parts, body))
}

/// `grpc-timeout`: at most eight digits and a unit. What is not one is ignored, as gRPC servers do.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_have_a_unit() {
        let read =
            |text: &str| timeout(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]));
        assert_eq!(read("20S"), Some(Duration::from_secs(20)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        for bad in ["", "S", "123456789S", "5x", "ü"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
