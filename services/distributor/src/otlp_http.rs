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
use flamestore_rpc::{Place, Tenants, plain_response, read_body, to_status};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::http::too_large;
use crate::otlp::{self, EXPORT_PATH};
use crate::push::{Distributor, MAX_INFLATED_BYTES};

const REQUEST: &str = "opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest";
const PROFILES: &str = "opentelemetry.proto.profiles.v1development";
const EARLIER: &str = "flamestore.otlp.earlier";
/// As what JSON is read, the first that has all of its names: opentelemetry-proto from 1.8 on, 1.7, 1.6 and up to 1.5.
const REVISIONS: [&str; 4] = [
    REQUEST,
    "flamestore.otlp.earlier.Request7",
    "flamestore.otlp.earlier.Request6",
    "flamestore.otlp.earlier.Request5",
];
/// What opentelemetry-proto 1.8 named otherwise in JSON, or had besides; on the wire it is told apart by its fields.
const EARLIER_NAMES: [(&str, &str, Option<&str>); 6] = [
    ("Profile", "sample", Some("samples")),
    ("Profile", "commentStrindices", None),
    ("Profile", "comment_strindices", None),
    ("Location", "line", Some("lines")),
    ("ValueType", "aggregationTemporality", None),
    ("ValueType", "aggregation_temporality", None),
];
/// Memory that reading JSON takes for each byte of it.
const MESSAGE_FROM_JSON: usize = 4;
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The routes. They need the tenant that the rpc layer reads from the request.
///
/// # Errors
/// `Internal` when the descriptors of our own messages cannot be used.
pub fn routes(distributor: Arc<Distributor>) -> Result<Router, Fault> {
    let (schema, requests) = json_forms()?;
    let handler = Arc::new(Handler { distributor, schema, requests });
    Ok(Router::new()
        .route("/v1development/profiles", post(export))
        .route(EXPORT_PATH, post(export))
        .with_state(handler))
}

/// The messages that JSON may be, in the order of [`REVISIONS`].
fn json_forms() -> Result<(Schema, Vec<MessageIndex>), Fault> {
    let (mut schema, _) = Schema::from_descriptor_sets(&[flamestore_proto::DESCRIPTOR_SET])?;
    for (message, name, field) in EARLIER_NAMES {
        schema.also(&format!("{PROFILES}.{message}"), name, field)?;
    }
    for package in [PROFILES, EARLIER] {
        for identifier in ["trace_id", "span_id"] {
            schema.hex(&format!("{package}.Link"), identifier)?;
        }
    }
    let find = |name: &str| schema.find(name).ok_or_else(|| Fault::internal(format!("no such message {name}")));
    let requests = REVISIONS.into_iter().map(find).collect::<Result<Vec<_>, Fault>>()?;
    Ok((schema, requests))
}

struct Handler {
    distributor: Arc<Distributor>,
    schema: Schema,
    /// In the order of [`REVISIONS`].
    requests: Vec<MessageIndex>,
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
    async fn take(self: &Arc<Self>, form: Form, request: Request) -> Result<(), Fault> {
        let tenant = Tenants::of(request.extensions())?.single()?.clone();
        let max = self.distributor.overrides().of(&tenant).body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES);
        let (parts, body) = request.into_parts();
        let place = Place::of(&parts.extensions);
        let read = async {
            let read = read_body(&parts.headers, body, max, &place).await;
            let body = read.map_err(|fault| if fault.kind == Kind::TooLarge { too_large(max) } else { fault })?;
            match form {
                Form::Protobuf => Ok(body),
                Form::Json => self.message_of(body, &place).await,
            }
        };
        let message = read.await.inspect_err(|fault| self.distributor.count_refused(&tenant, fault, 0))?;
        otlp::export(&self.distributor, &tenant, message, &place).await
    }

    /// The message that JSON stands for.
    async fn message_of(self: &Arc<Self>, json: Bytes, place: &Place) -> Result<Bytes, Fault> {
        let (handler, bytes) = (self.clone(), json.len().saturating_mul(MESSAGE_FROM_JSON));
        let read = move || {
            let mut message = Vec::with_capacity(json.len());
            let read = handler.schema.read_first(&handler.requests, &json, Unknown::Refuse, &mut message);
            let held = message.capacity();
            (read.map(|_| Bytes::from(message)), held)
        };
        let (message, part) = place.work(bytes, read).await?;
        place.keep(part);
        message
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
    use serde_json::{Value, json};

    use super::*;

    const TIME: &str = "1795000200000000000";

    /// A request with these fields beside its resources, of a profile with these.
    fn request(beside: Value, profile: Value) -> Value {
        let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]});
        let mut request = beside;
        request["resourceProfiles"] = json!([{"resource": resource, "scopeProfiles": [{"profiles": [profile]}]}]);
        request
    }

    fn merged(a: Value, b: &Value) -> Value {
        let (Value::Object(mut a), Value::Object(b)) = (a, b) else { panic!("both are objects") };
        a.extend(b.clone());
        Value::Object(a)
    }

    /// The same export in opentelemetry-proto 1.4 and 1.5, 1.6, 1.7, 1.8, and from 1.9 on.
    fn every_revision() -> [(&'static str, Value); 5] {
        let strings = json!(["", "samples", "count", "cpu", "nanoseconds", "main", "work"]);
        let functions = json!([{}, {"nameStrindex": 5}, {"name_strindex": 6}]);
        let locations = |lines: &str| json!([{}, {lines: [{"functionIndex": 1}]}, {lines: [{"functionIndex": 2}]}]);
        let link = json!([{}, {"traceId": "07070707070707070707070707070707", "spanId": "0909090909090909"}]);
        let old_tables = json!({
            "mappingTable": [{"hasFunctions": true}],
            "locationTable": locations("line"),
            "functionTable": functions,
            "linkTable": link,
            "stringTable": strings,
            "attributeTable": [{"key": "thread", "value": {"stringValue": "t1"}}],
            "attributeUnits": [{"attributeKeyStrindex": 1, "unitStrindex": 2}],
        });
        let old_profile = json!({
            "sampleType": [{"typeStrindex": 1, "unitStrindex": 2, "aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA"}],
            "sample": [{
                "locationsStartIndex": 0, "locationsLength": 2, "value": ["3"], "attributeIndices": [0], "linkIndex": 1,
                "timestampsUnixNano": [TIME],
            }],
            "locationIndices": [2, 1],
            "timeNanos": TIME,
            "durationNanos": 5,
            "periodType": {"typeStrindex": 3, "unitStrindex": 4},
            "period": "1000",
            "commentStrindices": [],
            "profileId": "",
        });
        let tables = |lines: &str| {
            json!({
                "mappingTable": [{}],
                "locationTable": locations(lines),
                "functionTable": functions,
                "linkTable": link,
                "stringTable": ["", "samples", "count", "cpu", "nanoseconds", "main", "work", "thread"],
                "attributeTable": [{}, {"keyStrindex": 7, "value": {"stringValue": "t1"}}],
                "stackTable": [{}, {"locationIndices": [2, 1]}],
            })
        };
        let profile = |samples: &str| {
            json!({
                "sampleType": {"typeStrindex": 1, "unitStrindex": 2},
                samples: [{"stackIndex": 1, "values": ["3"], "attributeIndices": [1], "linkIndex": 1}],
                "timeUnixNano": TIME,
                "durationNano": "5",
                "periodType": {"typeStrindex": 3, "unitStrindex": 4},
                "period": "1000",
            })
        };
        let of_1_5 = merged(old_profile.clone(), &old_tables);
        [
            ("1.5", request(json!({}), merged(of_1_5, &json!({"defaultSampleTypeStrindex": 1})))),
            ("1.6", request(old_tables.clone(), merged(old_profile.clone(), &json!({"defaultSampleTypeIndex": 1})))),
            ("1.7", request(json!({"dictionary": old_tables}), old_profile)),
            ("1.8", request(json!({"dictionary": tables("line")}), profile("sample"))),
            ("1.10", request(json!({"dictionary": tables("lines")}), profile("samples"))),
        ]
    }

    #[test]
    fn json_of_every_revision_says_the_same() {
        let (schema, requests) = json_forms().unwrap();
        for (revision, request) in every_revision() {
            let mut message = Vec::new();
            let read = schema.read_first(&requests, request.to_string().as_bytes(), Unknown::Refuse, &mut message);
            read.unwrap_or_else(|fault| panic!("{revision}: {fault}"));
            let export = flamestore_formats::otlp::read(&message, &Default::default()).unwrap();
            assert!(export.first_fault.is_none(), "{revision}: {:?}", export.first_fault);
            let [profile] = &export.ingested.profiles[..] else { panic!("{revision}: {export:?}") };
            assert_eq!((profile.name(), profile.label("service_name")), ("process_cpu", Some("svc")), "{revision}");
            let decoded = flamestore_pprof::decode(&profile.pprof, 0).unwrap();
            let names: Vec<&str> = decoded.functions.iter().map(|f| decoded.str(f.name)).collect();
            assert_eq!(names, ["work", "main"], "{revision}");
            let labels: Vec<(&str, &str)> =
                decoded.labels.iter().map(|l| (decoded.str(l.key), decoded.str(l.text))).collect();
            let ids = [("trace_id", "07070707070707070707070707070707"), ("span_id", "0909090909090909")];
            assert_eq!(labels, [&[("thread", "t1")], &ids[..]].concat(), "{revision}");
            let figures = (&decoded.values[..], decoded.time_nanos, decoded.duration_nanos, decoded.period);
            assert_eq!(figures, (&[3000][..], TIME.parse().unwrap(), 5, 1000), "{revision}");
        }
    }

    #[test]
    fn a_name_that_no_revision_has_is_refused_in_the_words_of_the_revision_that_it_stands_in() {
        let (schema, requests) = json_forms().unwrap();
        for (revision, mut request) in every_revision() {
            request["resourceProfiles"][0]["scopeProfiles"][0]["profiles"][0]["zeal"] = json!(1);
            let mut message = Vec::new();
            let read = schema.read_first(&requests, request.to_string().as_bytes(), Unknown::Refuse, &mut message);
            let said = read.unwrap_err().message;
            assert!(said.contains("unknown field \"zeal\""), "{revision}: {said}");
        }
    }

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
