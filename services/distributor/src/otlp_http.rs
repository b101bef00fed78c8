//! OTLP profiles over plain HTTP, as protobuf or JSON.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use flamestore_model::{Fault, Kind};
use flamestore_rpc::errors::{forward_metadata, row};
use flamestore_rpc::json::{MessageIndex, Schema, Unknown};
use flamestore_rpc::{Tenants, plain_response, read_body, to_status};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::http::too_large;
use crate::otlp::{self, EXPORT_PATH};
use crate::push::{Distributor, MAX_INFLATED_BYTES};

const REQUEST: &str = "opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest";
const PROFILES: &str = "opentelemetry.proto.profiles.v1development";
/// What opentelemetry-proto 1.8 named otherwise in JSON, or had besides; on the wire it is told apart by its fields.
const EARLIER_NAMES: [(&str, &str, Option<&str>); 6] = [
    ("Profile", "sample", Some("samples")),
    ("Profile", "commentStrindices", None),
    ("Profile", "comment_strindices", None),
    ("Location", "line", Some("lines")),
    ("ValueType", "aggregationTemporality", None),
    ("ValueType", "aggregation_temporality", None),
];
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The routes. They need the tenant that the rpc layer reads from the request.
///
/// # Errors
/// `Internal` when the descriptors of our own messages cannot be used.
pub fn routes(distributor: Arc<Distributor>) -> Result<Router, Fault> {
    let (mut schema, _) = Schema::from_descriptor_sets(&[flamestore_proto::DESCRIPTOR_SET])?;
    for (message, name, field) in EARLIER_NAMES {
        schema.also(&format!("{PROFILES}.{message}"), name, field)?;
    }
    for identifier in ["trace_id", "span_id"] {
        schema.hex(&format!("{PROFILES}.Link"), identifier)?;
    }
    let request = schema.find(REQUEST).ok_or_else(|| Fault::internal(format!("no such message {REQUEST}")))?;
    let handler = Arc::new(Handler { distributor, schema, request });
    Ok(Router::new()
        .route("/v1development/profiles", post(export))
        .route(EXPORT_PATH, post(export))
        .with_state(handler))
}

struct Handler {
    distributor: Arc<Distributor>,
    schema: Schema,
    request: MessageIndex,
}

/// How a request is written, and so how its errors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get(CONTENT_TYPE)?.as_bytes() {
            b"application/x-protobuf" | b"application/protobuf" => Some(Form::Protobuf),
            b"application/json" => Some(Form::Json),
            _ => None,
        }
    }
}

async fn export(State(handler): State<Arc<Handler>>, request: Request) -> Response {
    let Some(form) = Form::of(request.headers()) else {
        let why = "send Content-Type: application/x-protobuf, application/protobuf or application/json\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    };
    match handler.take(form, request).await {
        // The response message has no fields to say anything with. Its form is the same for JSON, as in the peer.
        Ok(()) => ([(CONTENT_TYPE, PROTOBUF)], Body::empty()).into_response(),
        Err(fault) if fault.kind == Kind::Unauthenticated => plain_response(fault),
        Err(fault) => refusal(form, fault),
    }
}

impl Handler {
    async fn take(&self, form: Form, request: Request) -> Result<(), Fault> {
        let tenant = Tenants::of(request.extensions())?.single()?.clone();
        let max = self.distributor.overrides().of(&tenant).body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES);
        let (parts, body) = request.into_parts();
        let read = read_body(&parts.headers, body, max).await;
        let body = read.map_err(|fault| if fault.kind == Kind::TooLarge { too_large(max) } else { fault });
        let message = body
            .and_then(|body| match form {
                Form::Protobuf => Ok(body),
                Form::Json => {
                    let mut message = Vec::with_capacity(body.len());
                    self.schema.read(self.request, &body, Unknown::Refuse, &mut message)?;
                    Ok(Bytes::from(message))
                }
            })
            .inspect_err(|fault| self.distributor.count_refused(&tenant, fault, 0))?;
        otlp::export(&self.distributor, &tenant, message).await
    }
}

/// A `google.rpc.Status`, which OTLP wants in the body of every error.
fn refusal(form: Form, fault: Fault) -> Response {
    let http = row(fault.kind).http;
    let status = to_status(fault);
    let (kind, body) = match form {
        // What gRPC would carry as details is that very message.
        Form::Protobuf => (PROTOBUF, status.details().to_vec()),
        Form::Json => {
            let json = serde_json::json!({"code": status.code() as i32, "message": status.message()});
            (JSON, json.to_string().into_bytes())
        }
    };
    let mut response = (http, [(CONTENT_TYPE, kind)], body).into_response();
    forward_metadata(status.metadata().as_ref(), response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_content_types_are_taken() {
        let form = |text: &str| Form::of(&HeaderMap::from_iter([(CONTENT_TYPE, text.parse().unwrap())]));
        assert_eq!(form("application/json"), Some(Form::Json));
        assert_eq!(form("application/protobuf"), Some(Form::Protobuf));
        assert_eq!(form("application/x-protobuf"), Some(Form::Protobuf));
        for other in ["application/json; charset=utf-8", "application/proto", "text/plain", ""] {
            assert_eq!(form(other), None, "{other}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), None);
    }

    #[test]
    fn an_error_is_a_status_in_the_form_of_the_request() {
        let response = refusal(Form::Protobuf, Fault::invalid("no dictionary"));
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers().get(CONTENT_TYPE), Some(&PROTOBUF));
        let response = refusal(Form::Json, Fault::new(Kind::Unavailable, "replaying"));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(CONTENT_TYPE), Some(&JSON));
        assert!(response.headers().contains_key(http::header::RETRY_AFTER));
        assert_eq!(response.headers()["x-flamestore-error"], "unavailable");
    }
}
