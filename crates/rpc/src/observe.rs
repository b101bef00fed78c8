//! What is measured of every request, whatever its protocol.

use std::any::Any;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use axum::routing::MethodRouter;
use bytes::Bytes;
use flamestore_clock::Clock;
use http_body::{Frame, SizeHint};
use parking_lot::RwLock;
use tower::util::MapResponseLayer;

/// One finished request, with the label values of `pyroscope_request_duration_seconds`.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The HTTP method; `gRPC` on the gRPC port.
    pub method: &'a str,
    /// On the HTTP port the path with everything but letters and digits as `_`; on the gRPC port the full method.
    pub route: &'a str,
    /// The HTTP status; `success` or `error` on the gRPC port.
    pub status_code: &'a str,
    /// Always false: there are no web sockets here.
    pub ws: bool,
    pub seconds: f64,
    /// Body bytes as they came, where the request told how many.
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Whoever keeps the measurements. Called on the path of every request: keep it short.
pub trait RequestObserver: Send + Sync + 'static {
    /// A request of this method and route is being answered, until what is returned is dropped. The route of a page that was
    /// never asked for before is not known yet: it is `other`.
    fn started(&self, _method: &str, _route: &str) -> Box<dyn Any + Send + Sync> {
        Box::new(())
    }
    /// Exactly once for each `started`, also when the caller went away.
    fn finished(&self, request: &Observed<'_>);
    /// A handler panicked; the caller got a 500.
    fn panicked(&self) {}
}

/// Observes nothing.
#[derive(Debug, Default)]
pub struct Unobserved;

impl RequestObserver for Unobserved {
    fn finished(&self, _: &Observed<'_>) {}
}

/// The route label of what a plain handler answered.
#[derive(Debug, Clone)]
struct RouteLabel(&'static str);

/// Gives a plain route its label. Without, the label is made from the path, which suits only fixed paths.
pub fn named(label: &'static str, handlers: MethodRouter) -> MethodRouter {
    handlers.layer(MapResponseLayer::new(move |mut response: Response| {
        response.extensions_mut().insert(RouteLabel(label));
        response
    }))
}

/// `/push.v1.PusherService/Push` as `push_v1_pusherservice_push`; `/` as `root`.
pub fn route_label(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return "root".into();
    }
    path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// At most this many labels are made from paths; the rest is `other`.
const MAX_PATH_LABELS: usize = 128;

/// Labels made from paths: only so many, because paths come from callers.
#[derive(Debug, Default)]
pub(crate) struct PathLabels(RwLock<HashSet<Arc<str>>>);

impl PathLabels {
    /// The label of a path that was answered before.
    pub(crate) fn known(&self, path: &str) -> Option<Arc<str>> {
        self.0.read().get(route_label(path).as_str()).cloned()
    }

    pub(crate) fn of(&self, path: &str, response: &Response) -> Arc<str> {
        if let Some(label) = response.extensions().get::<RouteLabel>() {
            return label.0.into();
        }
        if response.status() == http::StatusCode::NOT_FOUND {
            return "other".into();
        }
        let label = route_label(path);
        if let Some(known) = self.0.read().get(label.as_str()) {
            return known.clone();
        }
        let mut labels = self.0.write();
        if labels.len() >= MAX_PATH_LABELS {
            return "other".into();
        }
        let label: Arc<str> = label.into();
        labels.insert(label.clone());
        label
    }
}

/// A request on its way; reports when dropped.
pub(crate) struct Watch {
    pub(crate) observer: Arc<dyn RequestObserver>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started_nanos: u64,
    pub(crate) method: http::Method,
    pub(crate) route: Arc<str>,
    pub(crate) status: http::StatusCode,
    /// On the gRPC port: whether the call succeeded, as far as known.
    pub(crate) grpc: Option<bool>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) _in_flight: Box<dyn Any + Send + Sync>,
}

impl Watch {
    /// Follows the body, unless it is all there already.
    pub(crate) fn follow(mut self, response: Response) -> Response {
        self.status = response.status();
        self.grpc_status(response.headers());
        if let Some(size) = http_body::Body::size_hint(response.body()).exact() {
            self.bytes_out = size;
            return response;
        }
        response.map(|body| Body::new(WatchedBody { body, watch: self }))
    }

    fn grpc_status(&mut self, headers: &http::HeaderMap) {
        if let (Some(success), Some(status)) = (&mut self.grpc, headers.get("grpc-status")) {
            *success &= status == "0";
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let nanos = self.clock.monotonic_nanos().saturating_sub(self.started_nanos);
        let (method, status_code) = match self.grpc {
            Some(true) => ("gRPC", "success"),
            Some(false) => ("gRPC", "error"),
            None => (self.method.as_str(), self.status.as_str()),
        };
        self.observer.finished(&Observed {
            method,
            route: &self.route,
            status_code,
            ws: false,
            seconds: nanos as f64 / 1e9,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        });
    }
}

struct WatchedBody {
    body: Body,
    watch: Watch,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.watch.bytes_out += data.len() as u64;
                }
                if let Some(trailers) = frame.trailers_ref() {
                    self.watch.grpc_status(trailers);
                }
            }
            Some(Err(_)) => self.watch.grpc = self.watch.grpc.map(|_| false),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_words_of_the_path() {
        for (path, label) in [
            ("/", "root"),
            ("/ready", "ready"),
            ("/push.v1.PusherService/Push", "push_v1_pusherservice_push"),
            ("/querier.v1.QuerierService/SelectMergeStacktraces", "querier_v1_querierservice_selectmergestacktraces"),
            ("/pyroscope/render", "pyroscope_render"),
            ("/pyroscope/render-diff", "pyroscope_render_diff"),
        ] {
            assert_eq!(route_label(path), label);
        }
    }

    #[test]
    fn callers_cannot_make_labels_without_end() {
        let labels = PathLabels::default();
        for i in 0..1000 {
            labels.of(&format!("/asset/{i}"), &Response::default());
        }
        assert_eq!(labels.0.read().len(), MAX_PATH_LABELS);
        assert_eq!(&*labels.of("/new", &Response::default()), "other");
    }
}
