//! One port for every protocol: looks at a request and sends it to gRPC, gRPC-web, Connect or plain HTTP.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use flamestore_clock::{Clock, SystemClock};
use flamestore_model::{Fault, Kind};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use http::{Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::Service;

use crate::body::told_size;
use crate::caps::BodyCaps;
use crate::encoding::{COMPRESS_ABOVE_BYTES, Encoding};
use crate::errors::{plain_response, text_response, to_status};
use crate::health::AlwaysServing;
use crate::intake::{FREE_BYTES, Intake};
use crate::methods::{Method, Methods};
use crate::observe::{PathLabels, RequestObserver, Unobserved, Watch};
use crate::tenant::Tenancy;
use crate::workroom::Workroom;
use crate::{accept, connect, grpc, gzip, partial, reads};

/// Assembles the doors of a process.
///
/// Health and reflection are added by [`Router::build`]. Requests reach handlers with the extensions
/// [`crate::Tenants`] and [`crate::Capabilities`].
pub struct Router {
    routes: Routes,
    plain: axum::Router,
    tenancy: Tenancy,
    observer: Arc<dyn RequestObserver>,
    clock: Arc<dyn Clock>,
    caps: BodyCaps,
    longest: Option<Duration>,
    intake: Option<Arc<Intake>>,
    workroom: Option<Arc<Workroom>>,
    path_prefix: String,
    plain_services: Vec<String>,
}

impl Router {
    /// With the services of `routes`, each made with [`crate::served!`].
    pub fn new(routes: Routes) -> Self {
        Router {
            routes,
            plain: axum::Router::new(),
            tenancy: Tenancy::new(false),
            observer: Arc::new(Unobserved),
            clock: Arc::new(SystemClock::default()),
            caps: BodyCaps::default(),
            longest: None,
            intake: None,
            workroom: None,
            path_prefix: String::new(),
            plain_services: Vec::new(),
        }
    }

    #[must_use]
    pub fn tenancy(mut self, tenancy: Tenancy) -> Self {
        self.tenancy = tenancy;
        self
    }

    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn RequestObserver>) -> Self {
        self.observer = observer;
        self
    }

    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Caps of Connect and uncompressed gRPC messages. Plain endpoints have their own.
    #[must_use]
    pub fn caps(mut self, caps: BodyCaps) -> Self {
        self.caps = caps;
        self
    }

    /// No call may take longer, whatever its caller allows.
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// No more of the bodies of requests is taken in at a time. Several routers may share it.
    #[must_use]
    pub fn intake(mut self, intake: Arc<Intake>) -> Self {
        self.intake = Some(intake);
        self
    }

    /// Where what requests send is inflated and decoded. Several routers may share it.
    #[must_use]
    pub fn workroom(mut self, workroom: Arc<Workroom>) -> Self {
        self.workroom = Some(workroom);
        self
    }

    /// Everything is answered below this path too, such as `/profiles`; without a prefix it is answered in any case.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.path_prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        self
    }

    /// Everything that is not an RPC. Those of its endpoints that belong to a tenant take [`crate::Tenants`].
    #[must_use]
    pub fn plain(mut self, plain: axum::Router) -> Self {
        self.plain = plain;
        self
    }

    /// What comes for this service and is not gRPC goes to the plain router, which has routes of the same paths.
    #[must_use]
    pub fn plain_service(mut self, full_name: &str) -> Self {
        self.plain_services.push(full_name.into());
        self
    }

    /// # Errors
    /// `Internal` when the descriptors of our own messages cannot be used.
    pub fn build(self) -> Result<Front, Fault> {
        let sets = [flamestore_proto::DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET];
        let methods = Methods::new(&sets, &self.caps, &self.plain_services)?;
        let reflection = |e| Fault::internal("cannot build gRPC reflection").caused_by(e);
        let [describe, describe_alpha] = [(); 2].map(|()| {
            sets.iter().fold(tonic_reflection::server::Builder::configure(), |builder, set| {
                builder.register_encoded_file_descriptor_set(set)
            })
        });
        let rpc = self
            .routes
            .add_service(HealthServer::new(AlwaysServing))
            .add_service(describe.build_v1().map_err(reflection)?)
            .add_service(describe_alpha.build_v1alpha().map_err(reflection)?)
            .into_axum_router()
            .fallback(no_such_service);
        Ok(Front {
            door: Door::Http,
            inner: Arc::new(Inner {
                rpc,
                methods,
                plain: self.plain,
                tenancy: self.tenancy,
                observer: self.observer,
                clock: self.clock,
                caps: self.caps,
                longest: self.longest,
                intake: self.intake,
                workroom: self.workroom,
                path_prefix: self.path_prefix,
                labels: PathLabels::default(),
            }),
        })
    }
}

/// Every door of a process as one service. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    inner: Arc<Inner>,
    door: Door,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Http,
    Grpc,
}

pub(crate) struct Inner {
    pub(crate) rpc: axum::Router,
    pub(crate) methods: Methods,
    pub(crate) caps: BodyCaps,
    pub(crate) longest: Option<Duration>,
    intake: Option<Arc<Intake>>,
    workroom: Option<Arc<Workroom>>,
    /// With a slash in front, or empty.
    path_prefix: String,
    plain: axum::Router,
    tenancy: Tenancy,
    observer: Arc<dyn RequestObserver>,
    clock: Arc<dyn Clock>,
    labels: PathLabels,
}

impl Front {
    /// The same services for the gRPC port: requests are observed under gRPC's labels.
    #[must_use]
    pub fn grpc_door(&self) -> Self {
        Front { inner: self.inner.clone(), door: Door::Grpc }
    }

    /// Answers one request. A handler that panics is a 500.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let request = self.inner.without_prefix(request);
        let protocol = Protocol::of(&request);
        let path = request.uri().clone();
        let method = self.inner.methods.get(path.path());
        let watch = self.watch(&request, method);
        let answering = reads::telling(partial::marking(self.route(protocol, method, request)));
        let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                self.inner.observer.panicked();
                match protocol {
                    Protocol::Grpc | Protocol::GrpcWeb => to_status(Fault::internal(PANICKED)).into_http(),
                    Protocol::Other => plain_response(Fault::internal(PANICKED)),
                }
            }
        };
        let mut watch = watch;
        if method.is_none() {
            watch.route = match (self.door, protocol) {
                (Door::Http, Protocol::Other) => self.inner.labels.of(path.path(), &response),
                _ => "other".into(),
            };
        }
        response = watch.follow(response);
        response
    }

    fn watch(&self, request: &Request<Body>, method: Option<&Method>) -> Watch {
        let inner = &self.inner;
        let grpc = self.door == Door::Grpc;
        let route = method.map(|m| if grpc { m.path.clone() } else { m.label.clone() });
        // A caller that goes away before anything is known of a plain route.
        let route = route.or_else(|| inner.labels.known(request.uri().path())).unwrap_or_else(|| "other".into());
        let in_flight = inner.observer.started(if grpc { "gRPC" } else { request.method().as_str() }, &route);
        Watch {
            observer: inner.observer.clone(),
            clock: inner.clock.clone(),
            started_nanos: inner.clock.monotonic_nanos(),
            method: request.method().clone(),
            route,
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            grpc: grpc.then_some(true),
            bytes_in: told_size(request.headers()).unwrap_or(0) as u64,
            bytes_out: 0,
            _in_flight: in_flight,
        }
    }

    async fn route(&self, protocol: Protocol, method: Option<&Method>, mut request: Request<Body>) -> Response<Body> {
        let inner = &self.inner;
        let Some(capabilities) = accept::read(request.headers()) else {
            return text_response(
                StatusCode::BAD_REQUEST,
                "Invalid header format: Accept is not a list of media types\n",
            );
        };
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(capabilities);
        inner.tenancy.note(&parts.headers, &mut parts.extensions);
        // Held until the answer is there, and with it what was kept in it.
        let place = inner.workroom.as_ref().map(Workroom::place).unwrap_or_default();
        parts.extensions.insert(place.clone());
        let small = told_size(&parts.headers).map_or(body.is_end_stream(), |size| size <= FREE_BYTES);
        // Held until the answer is there: by then nothing is left of the body.
        let (body, _room) = match inner.intake.as_ref().filter(|_| !small) {
            None => (body, None),
            Some(intake) => {
                let (body, room) = intake.measure(body);
                (body, Some(room))
            }
        };
        request = Request::from_parts(parts, body);

        match (protocol, method) {
            (Protocol::Grpc, _) => grpc::answer(inner, request).await,
            (Protocol::GrpcWeb, _) => grpc::answer_web(inner, request).await,
            (Protocol::Other, Some(method)) if !method.plain => connect::answer(inner, method, request).await,
            _ => plain(inner, request).await,
        }
    }
}

impl Inner {
    fn without_prefix(&self, mut request: Request<Body>) -> Request<Body> {
        let short = |uri: &Uri| {
            let rest = uri.path_and_query()?.as_str().strip_prefix(&self.path_prefix)?;
            let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
            // Of another path that only begins alike, something of a name is left.
            let whole = uri.path().get(self.path_prefix.len()..).is_some_and(|p| p.is_empty() || p.starts_with('/'));
            let mut parts = uri.clone().into_parts();
            parts.path_and_query = Some(rest.parse().ok().filter(|_| whole)?);
            Uri::from_parts(parts).ok()
        };
        if !self.path_prefix.is_empty()
            && let Some(uri) = short(request.uri())
        {
            *request.uri_mut() = uri;
        }
        request
    }
}

const PANICKED: &str = "this request hit a bug in the server; its log says where";

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

/// What a request is by its content type. Connect and plain HTTP are told apart by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Grpc,
    GrpcWeb,
    Other,
}

impl Protocol {
    fn of(request: &Request<Body>) -> Self {
        let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if request.method() != http::Method::POST {
            return Protocol::Other;
        }
        match kind {
            b"application/grpc" | b"application/grpc+proto" => Protocol::Grpc,
            _ if kind.starts_with(b"application/grpc;") || kind.starts_with(b"application/grpc+proto;") => {
                Protocol::Grpc
            }
            b"application/grpc-web"
            | b"application/grpc-web+proto"
            | b"application/grpc-web-text"
            | b"application/grpc-web-text+proto" => Protocol::GrpcWeb,
            _ => Protocol::Other,
        }
    }
}

/// Marks the answer of the router of RPCs to a service that this process does not have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoSuchService;

async fn no_such_service() -> Response<Body> {
    let mut response = Status::unimplemented("no such service or method here").into_http::<Body>();
    response.extensions_mut().insert(NoSuchService);
    response
}

pub(crate) fn not_found() -> Response<Body> {
    let mut response = text_response(StatusCode::NOT_FOUND, "404 page not found\n");
    response.extensions_mut().insert(NoSuchService);
    response
}

/// Below it are pages that take as long as they are asked to.
const DEBUG_PAGES: &str = "/debug/";

async fn plain(inner: &Inner, request: Request<Body>) -> Response<Body> {
    let gzip = Encoding::accepts_gzip(request.headers());
    let limit = inner.longest.filter(|_| !request.uri().path().starts_with(DEBUG_PAGES));
    let mut plain = inner.plain.clone();
    let work = plain.call(request);
    let answer = match limit {
        None => work.await,
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("not answered within {} ms, which querier.timeout allows", limit.as_millis());
                return plain_response(Fault::new(Kind::TimedOut, text));
            }
        },
    };
    let response = match answer {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.status() == StatusCode::NOT_FOUND && response.body().size_hint().exact() == Some(0) {
        return not_found();
    }
    if gzip { compress(response).await } else { response }
}

/// Compresses a plain answer that is all there, worth it and text.
async fn compress(response: Response<Body>) -> Response<Body> {
    let size = response.body().size_hint().exact().unwrap_or(0);
    let headers = response.headers();
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let text = ["text/", "application/json", "application/javascript", "image/svg"].iter().any(|t| kind.starts_with(t));
    if !text || size < COMPRESS_ABOVE_BYTES as u64 || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return plain_response(Fault::internal("the answer broke off"));
    };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(gzip::deflate(&bytes)))
}
