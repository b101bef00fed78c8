//! The plain HTTP read doors: `/pyroscope/render`, `/pyroscope/render-diff`, `/pyroscope/label-values`, the same without
//! the prefix, and `/api/v1/query`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flamestore_flamegraph::series::Aggregation;
use flamestore_formats::attime;
use flamestore_model::labels::names;
use flamestore_model::{Fault, Select};
use flamestore_rpc::{Capabilities, Tenants, plain_response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::frontend::{Asker, Frontend};
use crate::metadata;
use crate::range;
use crate::render::{RenderRequest, Selection};
use crate::stacktraces::Form;

/// The routes. They need the tenant that the rpc layer reads from the request.
pub fn routes(frontend: Arc<Frontend>) -> Router {
    let mut router = Router::new();
    for prefix in ["/pyroscope", ""] {
        router = router
            .route(&format!("{prefix}/render"), get(render))
            .route(&format!("{prefix}/render-diff"), get(render_diff))
            .route(&format!("{prefix}/label-values"), get(label_values))
            .route(&format!("{prefix}/labels"), get(label_names));
    }
    router.route("/api/v1/query", get(query)).with_state(frontend)
}

/// The parameters of a query string. One that comes twice: the first counts.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn read(query: Option<String>) -> Self {
        let mut all = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            all.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Parameters(all)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    fn time_ms(&self, name: &str, now_ms: i64) -> i64 {
        self.get(name).map_or(now_ms, |text| attime::parse(text, now_ms.saturating_mul(1_000_000)) / 1_000_000)
    }

    /// What is not a number counts as not given, as old scripts are used to.
    fn max_nodes(&self) -> Option<i64> {
        ["maxNodes", "max-nodes"].into_iter().find_map(|name| self.get(name)?.parse().ok())
    }

    fn selection(&self, prefix: &str, now_ms: i64) -> Result<Selection, Fault> {
        let name = |word: &str| match prefix {
            "" => word.to_lowercase(),
            _ => format!("{prefix}{word}"),
        };
        let query =
            self.get(&name("Query")).ok_or_else(|| Fault::invalid(format!("{:?} is required", name("Query"))))?;
        Ok(Selection {
            query: query.to_owned(),
            from_ms: self.time_ms(&name("From"), now_ms),
            until_ms: self.time_ms(&name("Until"), now_ms),
            max_nodes: self.max_nodes(),
        })
    }
}

/// Who asks, read from what the rpc layer left in the request.
struct Who(Asker);

impl<S: Sync> axum::extract::FromRequestParts<S> for Who {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Response> {
        let tenants = Tenants::of(&parts.extensions).map_err(|f| plain_response(f).into_response())?;
        let utf8_names = parts.extensions.get::<Capabilities>().is_some_and(|c| c.allow_utf8_label_names);
        Ok(Who(Asker { tenants: tenants.all().to_vec(), utf8_names }))
    }
}

async fn render(State(frontend): State<Arc<Frontend>>, Who(asker): Who, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::read(query);
    let answer = async {
        let selection = parameters.selection("", frontend.now_ms())?;
        if parameters.get("format") == Some("dot") {
            return Ok(dot(frontend.render_dot(&asker, &selection).await?));
        }
        let aggregation = match parameters.get("aggregation") {
            Some("avg" | "average") => Aggregation::Average,
            _ => Aggregation::Sum,
        };
        let group_by = parameters.get("groupBy").map(str::to_owned);
        let rendered = frontend.render(&asker, RenderRequest { selection, group_by, aggregation }).await?;
        json(&rendered)
    };
    answer.await.unwrap_or_else(refused)
}

/// The text language. Without `from`, of the hour before `until`.
async fn query(State(frontend): State<Arc<Frontend>>, Who(asker): Who, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::read(query);
    let answer = async {
        let mut selection = parameters.selection("", frontend.now_ms())?;
        if parameters.get("from").is_none() {
            selection.from_ms = selection.until_ms.saturating_sub(QUERY_LOOKBACK_MS);
        }
        match parameters.get("format") {
            None | Some("json") => json(&frontend.question(&asker, &selection).await?),
            Some("dot") => {
                let merge = frontend.only(&asker, &selection, Form::Dot).await?;
                Ok(dot(frontend.dot(&asker, merge).await?))
            }
            Some("pprof") => {
                let merge = frontend.only(&asker, &selection, Form::Pprof).await?;
                let file = "attachment; filename=\"profile.pb.gz\"";
                let headers = [(CONTENT_TYPE, "application/octet-stream"), (CONTENT_DISPOSITION, file)];
                Ok((headers, frontend.export(&asker, merge).await?).into_response())
            }
            Some(other) => Err(Fault::invalid(format!("format {other:?} is none of json, dot, pprof"))),
        }
    };
    answer.await.unwrap_or_else(refused)
}

async fn render_diff(State(frontend): State<Arc<Frontend>>, Who(asker): Who, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::read(query);
    let answer = async {
        let now_ms = frontend.now_ms();
        let (left, right) = (parameters.selection("left", now_ms)?, parameters.selection("right", now_ms)?);
        json(&frontend.render_diff(&asker, left, right).await?)
    };
    answer.await.unwrap_or_else(refused)
}

/// The values of a label over the lookback (or `from`–`until`); of `__name__`, the profile types.
async fn label_values(State(frontend): State<Arc<Frontend>>, Who(asker): Who, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::read(query);
    let answer = async {
        let label = parameters.get("label").ok_or_else(|| Fault::invalid("label parameter is required"))?;
        let series = series_in(&frontend, &asker, &parameters).await?;
        let label = if label == names::PROFILE_NAME { names::PROFILE_TYPE } else { label };
        json(&metadata::label_values(&series, label))
    };
    answer.await.unwrap_or_else(refused)
}

async fn label_names(State(frontend): State<Arc<Frontend>>, Who(asker): Who, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::read(query);
    let answer = async {
        let series = series_in(&frontend, &asker, &parameters).await?;
        json(&metadata::label_names(&series, asker.utf8_names))
    };
    answer.await.unwrap_or_else(refused)
}

/// Without `from`, label pages look back one hour.
const LABELS_LOOKBACK_MS: i64 = 3_600_000;
/// The same for texts.
const QUERY_LOOKBACK_MS: i64 = 3_600_000;

async fn series_in(
    frontend: &Frontend,
    asker: &Asker,
    parameters: &Parameters,
) -> Result<Vec<flamestore_model::SeriesInfo>, Fault> {
    let now_ms = frontend.now_ms();
    let until_ms = parameters.time_ms("until", now_ms);
    let from_ms = match parameters.get("from") {
        Some(_) => parameters.time_ms("from", now_ms),
        None => until_ms - LABELS_LOOKBACK_MS,
    };
    match range::checked(from_ms, until_ms, &frontend.limits(asker), now_ms)? {
        Some(range) => Ok(frontend.querier().series(&asker.tenants, &Select::everything(range)).await?.value),
        None => Ok(Vec::new()),
    }
}

fn dot(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn json<T: serde::Serialize>(value: &T) -> Result<Response, Fault> {
    let mut body =
        serde_json::to_vec(value).map_err(|e| Fault::internal("the answer cannot be written").caused_by(e))?;
    body.push(b'\n');
    Ok(([(CONTENT_TYPE, "application/json")], Body::from(body)).into_response())
}

fn refused(fault: Fault) -> Response {
    plain_response(fault).into_response()
}
