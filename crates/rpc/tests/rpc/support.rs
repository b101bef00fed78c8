//! A front with small services behind it, and ways to ask it.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use flamestore_model::{Fault, Kind};
use flamestore_proto::{push, settings, types, version};
use flamestore_rpc::{BodyCaps, Capabilities, Front, Observed, RequestObserver, Router, Tenancy, Tenants};
use flamestore_rpc::{named, plain_response, served, to_status};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use tonic::service::Routes;
use tonic::{Response, Status};

/// Counts profiles: a label named `fail` makes a fault of that kind.
pub(crate) struct Pusher;

#[tonic::async_trait]
impl push::v1::pusher_service_server::PusherService for Pusher {
    async fn push(
        &self,
        request: tonic::Request<push::v1::PushRequest>,
    ) -> Result<Response<push::v1::PushResponse>, Status> {
        let tenant = Tenants::of_request(&request)?.single().map_err(to_status)?.clone();
        let message = request.into_inner();
        let labels = message.series.iter().flat_map(|s| &s.labels);
        if let Some(label) = labels.clone().find(|l| l.name == "fail") {
            return Err(to_status(Fault::new(kind(&label.value), "as you asked <&>")));
        }
        if labels.clone().any(|l| l.name == "panic") {
            panic!("as you asked");
        }
        let profiles: usize = message.series.iter().flat_map(|s| &s.samples).map(|s| s.raw_profile.len()).sum();
        let mut response = Response::new(push::v1::PushResponse {});
        response.metadata_mut().insert("x-bytes", profiles.into());
        response.metadata_mut().insert("x-tenant", tenant.as_str().parse().unwrap());
        Ok(response)
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "Invalid" => Kind::Invalid,
        "Unprocessable" => Kind::Unprocessable,
        "TooLarge" => Kind::TooLarge,
        "Unauthenticated" => Kind::Unauthenticated,
        "Forbidden" => Kind::Forbidden,
        "NotFound" => Kind::NotFound,
        "Conflict" => Kind::Conflict,
        "Limited" => Kind::Limited,
        "Unimplemented" => Kind::Unimplemented,
        "Unavailable" => Kind::Unavailable,
        "TimedOut" => Kind::TimedOut,
        "Cancelled" => Kind::Cancelled,
        "Corrupt" => Kind::Corrupt,
        _ => Kind::Internal,
    }
}

/// Echoes settings; `Get` waits for ever, for those who want to see it time out.
pub(crate) struct Settings;

#[tonic::async_trait]
impl settings::v1::settings_service_server::SettingsService for Settings {
    async fn get(
        &self,
        _: tonic::Request<settings::v1::GetSettingsRequest>,
    ) -> Result<Response<settings::v1::GetSettingsResponse>, Status> {
        std::future::pending().await
    }

    async fn set(
        &self,
        request: tonic::Request<settings::v1::SetSettingsRequest>,
    ) -> Result<Response<settings::v1::SetSettingsResponse>, Status> {
        let capabilities = request.extensions().get::<Capabilities>().copied().unwrap();
        let mut response = Response::new(settings::v1::SetSettingsResponse { setting: request.into_inner().setting });
        if capabilities.allow_utf8_label_names {
            response.metadata_mut().insert("x-utf8", "yes".parse().unwrap());
        }
        Ok(response)
    }

    async fn delete(
        &self,
        request: tonic::Request<settings::v1::DeleteSettingsRequest>,
    ) -> Result<Response<settings::v1::DeleteSettingsResponse>, Status> {
        Tenants::of_request(&request)?.single_or(Kind::Invalid).map_err(to_status)?;
        Ok(Response::new(settings::v1::DeleteSettingsResponse {}))
    }
}

pub(crate) struct Version;

#[tonic::async_trait]
impl version::v1::version_server::Version for Version {
    async fn version(
        &self,
        _: tonic::Request<version::v1::VersionRequest>,
    ) -> Result<Response<version::v1::VersionResponse>, Status> {
        Ok(Response::new(version::v1::VersionResponse { querier_api: 1 }))
    }
}

/// Remembers what was observed.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<String>>);

impl RequestObserver for Seen {
    fn finished(&self, r: &Observed<'_>) {
        let line = format!("{} {} {} in={} out={}", r.method, r.route, r.status_code, r.bytes_in, r.bytes_out);
        self.0.lock().unwrap().push(line);
    }

    fn panicked(&self) {
        self.0.lock().unwrap().push("panic".into());
    }
}

pub(crate) const CAP: usize = 1 << 20;

pub(crate) fn front(tenancy: bool, seen: Arc<Seen>) -> Front {
    let caps = BodyCaps { push: CAP, debuginfo: CAP, other: CAP };
    let routes = Routes::new(served!(push::v1::pusher_service_server::PusherServiceServer::new(Pusher), CAP))
        .add_service(served!(settings::v1::settings_service_server::SettingsServiceServer::new(Settings), CAP))
        .add_service(served!(version::v1::version_server::VersionServer::new(Version)));
    let plain = axum::Router::new()
        .route("/whoami", get(async |tenants: Tenants| format!("{:?}", tenants.all())))
        .route(
            "/fail/{kind}",
            named(
                "fail",
                get(async |axum::extract::Path(name): axum::extract::Path<String>| {
                    plain_response(Fault::new(kind(&name), "as you asked"))
                }),
            ),
        )
        .route(
            "/page",
            get(async || [(http::header::CONTENT_TYPE, "text/plain")].into_response_with("word ".repeat(2000))),
        )
        .route("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", post(async || "plain"));
    Router::new(routes)
        .tenancy(Tenancy::new(tenancy))
        .observer(seen)
        .caps(caps)
        .plain(plain)
        .plain_service("opentelemetry.proto.collector.profiles.v1development.ProfilesService")
        .build()
        .unwrap()
}

trait IntoResponseWith {
    fn into_response_with(self, body: String) -> axum::response::Response;
}

impl IntoResponseWith for [(http::HeaderName, &'static str); 1] {
    fn into_response_with(self, body: String) -> axum::response::Response {
        axum::response::IntoResponse::into_response((self, body))
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The status, and the `code` of a Connect error.
    pub(crate) fn code(&self) -> (u16, String) {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        (self.status.as_u16(), json["code"].as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) async fn ask(
    front: &Front,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).version(http::Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, body) = front.answer(request.body(body.into()).unwrap()).await.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers }
}

pub(crate) async fn post_json(front: &Front, path: &str, body: &str) -> Answer {
    ask(front, Method::POST, path, &[("content-type", "application/json")], body.to_owned()).await
}

pub(crate) const PUSH: &str = "/push.v1.PusherService/Push";
pub(crate) const SET: &str = "/settings.v1.SettingsService/Set";

pub(crate) fn pushed(labels: &[(&str, &str)], raw: Vec<u8>) -> push::v1::PushRequest {
    let labels = labels.iter().map(|(n, v)| types::v1::LabelPair { name: (*n).into(), value: (*v).into() }).collect();
    let samples = vec![push::v1::RawSample { raw_profile: raw.into(), id: String::new() }];
    push::v1::PushRequest { series: vec![push::v1::RawProfileSeries { labels, samples, annotations: vec![] }] }
}
