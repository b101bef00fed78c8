//! One connection, from its first byte: HTTP/1.1 or HTTP/2 without TLS, told apart by the preface.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::listeners::ListenerConfig;
use crate::patience::{Abandoned, PatientBody, PatientStream, Serving};
use crate::unread::Unread;

/// RFC 9113 §3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Between two looks at a preface that has come in part, which hardly ever happens.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 250;
/// What a caller may send unread: on one stream, and on all of a connection together.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Headers of one HTTP/2 request.
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// Serves a connection until it ends; after `stop` it may finish what it has begun.
pub(crate) async fn serve<S>(
    stream: TcpStream,
    service: S,
    config: &ListenerConfig,
    stop: &CancellationToken,
) -> Result<(), hyper::Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    S::Future: Send + 'static,
{
    let version = tokio::select! {
        version = tokio::time::timeout(config.header_read, version(&stream)) => version,
        () = stop.cancelled() => return Ok(()),
    };
    // Nothing came, or too slowly: there is nobody to answer.
    let Ok(Ok(version)) = version else { return Ok(()) };
    let serving = Serving::default();
    let body_idle = config.body_idle;
    let answer = service_fn(|request: Request<Incoming>| {
        let one = serving.one();
        let abandoned = Abandoned::default();
        // On HTTP/2 other requests pass an unread body; and who waits to be told to send one may never send it.
        let queued = request.version() < http::Version::HTTP_2 && !request.headers().contains_key(EXPECT);
        let queue = queued.then(|| abandoned.clone());
        let request = request.map(|body| {
            if body.is_end_stream() { Body::empty() } else { Body::new(PatientBody::new(body, body_idle, queue)) }
        });
        let answer = service.clone().call(request);
        async move {
            let mut response = answer.await;
            if let (Ok(response), true) = (&mut response, abandoned.is()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(one);
            response
        }
    });
    // The two kinds of connection have the same methods and no common trait.
    macro_rules! until_stopped {
        ($connection:expr, $idle:expr) => {{
            let mut connection = pin!($connection);
            let idle = tokio::select! {
                biased;
                result = connection.as_mut() => return result,
                () = stop.cancelled() => false,
                () = $idle => true,
            };
            connection.as_mut().graceful_shutdown();
            if !idle {
                return connection.await;
            }
            // What waits there was answered long ago, and is not read.
            tokio::time::timeout(config.keep_alive, connection).await.unwrap_or(Ok(()))
        }};
    }
    let io = Unread::new(stream, config.unread);
    match version {
        Version::One => {
            let io = TokioIo::new(PatientStream::new(io, serving.clone(), config.header_read));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(config.keep_alive);
            // It finds out itself when it is idle: it then waits for a head.
            until_stopped!(builder.serve_connection(io, answer), std::future::pending())
        }
        Version::Two => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_header_list_size(MAX_HEADER_BYTES)
                .keep_alive_interval(config.keep_alive / 4)
                .keep_alive_timeout(config.header_read);
            // Its pings are answered by machines that have forgotten why: that keeps nobody.
            let idle = serving.none_for(config.keep_alive);
            until_stopped!(builder.serve_connection(TokioIo::new(io), answer), idle)
        }
    }
}

enum Version {
    One,
    Two,
}

async fn version(stream: &TcpStream) -> io::Result<Version> {
    let mut begin = [0; PREFACE.len()];
    loop {
        let size = stream.peek(&mut begin).await?;
        let begin = begin.get(..size).unwrap_or_default();
        if begin.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(begin) {
            return Ok(Version::One);
        }
        if begin.len() == PREFACE.len() {
            return Ok(Version::Two);
        }
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}
