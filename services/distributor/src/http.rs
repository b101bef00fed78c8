//! The plain HTTP write doors: `/ingest` and `/pyroscope/ingest`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flamestore_formats::Caps;
use flamestore_formats::ingest::{self, IngestParams, IngestRequest};
use flamestore_limits::Limits;
use flamestore_model::{Fault, FaultId, Kind, TenantId};
use flamestore_rpc::{Place, Tenants, fault_in, plain_response};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::push::{Distributor, MAX_INFLATED_BYTES};
use crate::reading;

/// Largest inflated body of formats that are not pprof, as a multiple of the largest profile: recordings hold many.
const INFLATED_PER_PROFILE: usize = 16;

/// The routes. They need the tenant that the rpc layer reads from the request.
pub fn routes(distributor: Arc<Distributor>) -> Router {
    Router::new().route("/ingest", post(ingest)).route("/pyroscope/ingest", post(ingest)).with_state(distributor)
}

async fn ingest(State(distributor): State<Arc<Distributor>>, request: Request) -> Response {
    match take(&distributor, request).await {
        Ok(()) => ().into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

/// Reads an upload and pushes what is in it. An upload with nothing in it is a success.
async fn take(distributor: &Distributor, request: Request) -> Result<(), Fault> {
    let tenant = Tenants::of(request.extensions())?.single()?.clone();
    let limits = distributor.overrides().of(&tenant);
    let pairs = form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
    let params = IngestParams::from_pairs(pairs);
    let (parts, body) = request.into_parts();
    let body = whole(body, &limits, &tenant, distributor).await?;
    let (caps, bytes) = (caps(&limits), body.len());
    let upload = Upload {
        params,
        content_type: text(&parts.headers, CONTENT_TYPE).to_owned(),
        content_encoding: text(&parts.headers, CONTENT_ENCODING).to_owned(),
        body,
        now_nanos: distributor.clock().now_nanos(),
    };
    let told_bytes = ingest::told_bytes(&upload.within(caps)).max(bytes);
    let read = move |caps: Caps| {
        let ingested = ingest::read(&upload.within(caps))?;
        let held = ingested.held_bytes();
        Ok((ingested, held))
    };
    let place = Place::of(&parts.extensions);
    let read = reading::within(&place, caps, told_bytes, read).await;
    let (ingested, _part) = read.inspect_err(|fault| distributor.count_refused(&tenant, fault, bytes))?;
    distributor.count_notes(&tenant, &ingested.notes);
    distributor.push(&tenant, ingested.profiles, &place).await?;
    Ok(())
}

/// A request whose body has arrived.
struct Upload {
    params: IngestParams,
    content_type: String,
    content_encoding: String,
    body: Bytes,
    now_nanos: i64,
}

impl Upload {
    fn within(&self, caps: Caps) -> IngestRequest<'_> {
        IngestRequest {
            params: &self.params,
            content_type: &self.content_type,
            content_encoding: &self.content_encoding,
            body: self.body.clone(),
            now_nanos: self.now_nanos,
            caps,
        }
    }
}

/// The whole body, within the tenant's limit.
async fn whole(body: Body, limits: &Limits, tenant: &TenantId, distributor: &Distributor) -> Result<Bytes, Fault> {
    let max = limits.body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES);
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            let fault = too_large(max);
            distributor.count_refused(tenant, &fault, max);
            Err(fault)
        }
        Err(e) => {
            Err(fault_in(&*e).unwrap_or_else(|| Fault::new(Kind::TimedOut, "the body did not arrive").caused_by(e)))
        }
    }
}

/// The fault of a body that is larger than the tenant may send.
pub(crate) fn too_large(max: usize) -> Fault {
    Fault::over(FaultId::BodyTooLarge, "the body is larger than allowed", format_args!("{max} bytes"))
}

/// What the decoders of uploads may make of one.
pub(crate) fn caps(limits: &Limits) -> Caps {
    let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let max_profile_bytes = clamp(limits.max_profile_size_bytes).min(MAX_INFLATED_BYTES);
    Caps {
        max_inflated_bytes: match max_profile_bytes {
            0 => limits.body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES),
            n => n.saturating_mul(INFLATED_PER_PROFILE).min(MAX_INFLATED_BYTES),
        },
        max_profile_bytes,
        max_samples: clamp(limits.max_profile_stacktrace_samples),
        max_depth: clamp(limits.max_profile_stacktrace_depth),
        max_symbol_bytes: clamp(limits.max_profile_symbol_value_length),
    }
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
}
