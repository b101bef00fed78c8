//! The pages about the process itself: metrics, configuration, build, limits, profiles of its own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use flamestore_clock::Clock;
use flamestore_config::{Config, Values, dump, runtime};
use flamestore_limits::Overrides;
use flamestore_model::Fault;
use flamestore_rpc::{Tenants, plain_response};
use flamestore_telemetry::Metrics;
use flamestore_telemetry::self_profile::{SelfProfiler, parse_seconds};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::json;

use crate::version;

const YAML: &str = "text/plain; charset=utf-8";

/// What the pages show.
pub(crate) struct Pages {
    values: Values,
    overrides: Arc<Overrides>,
    has_runtime_files: bool,
    metrics: Arc<Metrics>,
    profiler: SelfProfiler,
}

impl Pages {
    pub(crate) fn new(
        config: &Config,
        overrides: Arc<Overrides>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Pages {
            values: config.values.clone(),
            overrides,
            has_runtime_files: !config.runtime_config.files.is_empty(),
            metrics,
            profiler: SelfProfiler::new(clock, config.pyroscopedb.data_path.join("scratch")),
        })
    }

    pub(crate) fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(home))
            .route("/metrics", get(metrics))
            .route("/config", get(|p: State<Arc<Pages>>| async move { yaml(dump::effective(&p.values)) }))
            .route("/api/v1/status/config", get(|p: State<Arc<Pages>>| async move { yaml(dump::effective(&p.values)) }))
            .route("/api/v1/status/config/diff", get(|p: State<Arc<Pages>>| async move { yaml(dump::diff(&p.values)) }))
            .route("/api/v1/status/config/default", get(|| async { yaml(dump::default()) }))
            .route("/api/v1/status/buildinfo", get(build_info))
            .route("/version", get(|| async { version::line() + "\n" }))
            .route("/runtime_config", get(runtime_config))
            .route("/api/v1/tenant_limits", get(tenant_limits))
            .route("/debug/pprof/profile", get(cpu_profile))
            .route("/debug/pprof/heap", get(heap_profile))
            .route("/debug/pprof/allocs", get(heap_profile))
            .with_state(self)
    }
}

fn yaml(text: String) -> Response {
    ([(CONTENT_TYPE, YAML)], text).into_response()
}

async fn home() -> Html<String> {
    Html(format!(
        "<!doctype html><title>Flamestore</title><h1>Flamestore {}</h1>\
         <p>Push with a Pyroscope SDK to this address; look at profiles with Grafana's Pyroscope data source, or:</p>\
         <ul><li><a href=\"ready\">ready</a><li><a href=\"metrics\">metrics</a><li><a href=\"config\">config</a>\
         <li><a href=\"api/v1/status/buildinfo\">build</a></ul>",
        version::VERSION
    ))
}

async fn metrics(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    let exposed = pages.metrics.expose(accept);
    ([(CONTENT_TYPE, exposed.content_type)], exposed.body).into_response()
}

/// The shape of Prometheus' page of that name.
async fn build_info() -> Response {
    let data = json!({
        "version": version::VERSION,
        "revision": version::REVISION,
        "branch": version::BRANCH,
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    });
    axum::Json(json!({"status": "success", "data": data})).into_response()
}

async fn runtime_config(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    if !pages.has_runtime_files {
        return plain_response(Fault::new(
            flamestore_model::Kind::NotFound,
            "there is no runtime configuration: set -runtime-config.file",
        ))
        .into_response();
    }
    yaml(runtime::to_page(&pages.overrides, query.as_deref() == Some("mode=diff")))
}

/// The limits that hold for the tenant of the request, now.
async fn tenant_limits(State(pages): State<Arc<Pages>>, tenants: Tenants) -> Response {
    match tenants.single() {
        Ok(tenant) => axum::Json(&*pages.overrides.of(tenant)).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

async fn cpu_profile(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    let text = query.as_deref().and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("seconds=")));
    let profile = async {
        let seconds = parse_seconds(text)?;
        let running = pages.profiler.start_cpu()?;
        tokio::time::sleep(seconds).await;
        tokio::task::spawn_blocking(move || running.finish())
            .await
            .map_err(|e| Fault::internal("the profile could not be taken").caused_by(e))?
    };
    pprof("profile", profile.await)
}

async fn heap_profile(State(pages): State<Arc<Pages>>) -> Response {
    let taken = tokio::task::spawn_blocking(move || pages.profiler.heap()).await;
    pprof("heap", taken.unwrap_or_else(|e| Err(Fault::internal("the profile could not be taken").caused_by(e))))
}

fn pprof(name: &str, taken: Result<Vec<u8>, Fault>) -> Response {
    match taken {
        Ok(bytes) => {
            let disposition = format!("attachment; filename=\"{name}\"");
            (
                [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, disposition)],
                Body::from(bytes),
            )
                .into_response()
        }
        Err(fault) => plain_response(fault).into_response(),
    }
}
