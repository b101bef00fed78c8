//! Requests at the doors, by route.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::family::{GaugeBy, HistogramBy};
use super::registrar::{Registrar, message_bytes, request_seconds};

/// Routes by method and label.
type Routes = HashMap<(&'static str, Arc<str>), Arc<RouteMetrics>>;

/// Requests, connections and panics.
#[derive(Debug)]
pub struct HttpMetrics {
    pub request_duration_seconds: HistogramBy<4>,
    pub request_message_bytes: HistogramBy<2>,
    pub response_message_bytes: HistogramBy<2>,
    pub inflight_requests: GaugeBy<2>,
    /// Open connections by protocol, `http` or `grpc`.
    pub tcp_connections: GaugeBy<1>,
    pub panic_total: Counter,
    routes: RwLock<Routes>,
}

/// The metrics of one route, looked up once.
#[derive(Debug)]
pub struct RouteMetrics {
    method: &'static str,
    route: Arc<str>,
    durations: HistogramBy<4>,
    by_status: RwLock<Vec<(Box<str>, Histogram)>>,
    request_bytes: Histogram,
    response_bytes: Histogram,
    inflight: Gauge,
}

/// Most routes that are told apart; there are about a hundred.
const MAX_ROUTES: usize = 500;
/// Most status codes of a route that are told apart.
const MAX_STATUSES: usize = 32;

impl HttpMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("server");
        HttpMetrics {
            request_duration_seconds: r.histogram_by(
                "pyroscope_request_duration_seconds",
                "Time from the headers of a request to the end of its answer",
                ["method", "route", "status_code", "ws"],
                request_seconds,
            ),
            request_message_bytes: r.histogram_by(
                "pyroscope_request_message_bytes",
                "Size of request bodies as received",
                ["method", "route"],
                message_bytes,
            ),
            response_message_bytes: r.histogram_by(
                "pyroscope_response_message_bytes",
                "Size of answers as sent",
                ["method", "route"],
                message_bytes,
            ),
            inflight_requests: r.gauge_by(
                "pyroscope_inflight_requests",
                "Requests being answered now",
                ["method", "route"],
            ),
            tcp_connections: r.gauge_by("pyroscope_tcp_connections", "Connections open now", ["protocol"]),
            panic_total: r.counter("pyroscope_panic_total", "Panics that were caught, each a bug"),
            routes: RwLock::default(),
        }
    }

    /// The metrics of a route. `method` is the HTTP method or `gRPC`; `route` is the label that the doors gave it.
    pub fn route(&self, method: &'static str, route: &str) -> Arc<RouteMetrics> {
        let known = self.routes.read().get(&(method, Arc::from(route))).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.routes.write();
            let route: Arc<str> = if routes.len() < MAX_ROUTES { route.into() } else { "other".into() };
            let made = || {
                Arc::new(RouteMetrics {
                    method,
                    route: Arc::clone(&route),
                    durations: self.request_duration_seconds.clone(),
                    by_status: RwLock::default(),
                    request_bytes: self.request_message_bytes.with([method, &route]),
                    response_bytes: self.response_message_bytes.with([method, &route]),
                    inflight: self.inflight_requests.with([method, &route]),
                })
            };
            Arc::clone(routes.entry((method, Arc::clone(&route))).or_insert_with(made))
        })
    }
}

impl RouteMetrics {
    /// Counts a request as being answered until the returned value is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.inflight.inc();
        InFlight { route: Arc::clone(self) }
    }

    /// An answer is sent. `status` is the HTTP code, or `success`/`error` for gRPC.
    pub fn finished(&self, status: &str, seconds: f64, request_bytes: u64, response_bytes: u64) {
        self.duration(status).observe(seconds);
        self.request_bytes.observe(request_bytes as f64);
        self.response_bytes.observe(response_bytes as f64);
    }

    fn duration(&self, status: &str) -> Histogram {
        let known = |all: &[(Box<str>, Histogram)]| all.iter().find(|(s, _)| **s == *status).map(|(_, h)| h.clone());
        if let Some(histogram) = known(&self.by_status.read()) {
            return histogram;
        }
        let histogram = self.durations.with([self.method, &self.route, status, "false"]);
        let mut all = self.by_status.write();
        if all.len() < MAX_STATUSES && known(&all).is_none() {
            all.push((status.into(), histogram.clone()));
        }
        histogram
    }
}

/// A request being answered.
#[derive(Debug)]
pub struct InFlight {
    route: Arc<RouteMetrics>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.route.inflight.dec();
    }
}
