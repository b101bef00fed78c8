//! Connect, gRPC and gRPC-web.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use flamestore_proto::settings::v1::settings_service_server::SettingsServiceServer;
use flamestore_rpc::{Front, Router};
use http::Method;
use http_body::Frame;
use prost::Message;

use super::support::{CAP, PUSH, SET, Seen, Settings, ask, front, post_json, pushed};

fn one() -> Front {
    front(false, Arc::default())
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

const PROTO: (&str, &str) = ("content-type", "application/proto");
const JSON: (&str, &str) = ("content-type", "application/json");
const ZSTD: (&str, &str) = ("content-encoding", "zstd");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

#[tokio::test]
async fn a_push_is_the_same_in_every_clothing() {
    let front = one();
    let message = pushed(&[("service_name", "x")], vec![1; 20_000]).encode_to_vec();
    let size = message.len().to_string();
    let told = ("content-length", size.as_str());
    let chunks = Body::from_stream(futures::stream::iter(
        message.chunks(7000).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
    ));
    for answer in [
        ask(&front, Method::POST, PUSH, &[PROTO, told], message.clone()).await,
        ask(&front, Method::POST, PUSH, &[PROTO], message.clone()).await,
        ask(&front, Method::POST, PUSH, &[PROTO], chunks).await,
        ask(&front, Method::POST, PUSH, &[PROTO, GZIP], gz(&message)).await,
        ask(&front, Method::POST, PUSH, &[PROTO, ZSTD], zstd(&message)).await,
        ask(&front, Method::POST, PUSH, &[PROTO, ("content-encoding", "identity")], message.clone()).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{}", answer.text());
        assert_eq!((answer.header("x-bytes"), answer.header("content-type")), ("20000", "application/proto"));
        assert_eq!(answer.header("accept-encoding"), "gzip, zstd");
        assert!(!answer.headers.contains_key("grpc-status"));
    }
    let json = r#"{"series":[{"samples":[{"rawProfile":"AQEB"}]}]}"#;
    for answer in [
        post_json(&front, PUSH, json).await,
        ask(&front, Method::POST, PUSH, &[JSON, GZIP], gz(json.as_bytes())).await,
        ask(&front, Method::POST, PUSH, &[JSON, ZSTD], zstd(json.as_bytes())).await,
        ask(&front, Method::POST, PUSH, &[("content-type", "application/json; charset=utf-8")], json).await,
        ask(&front, Method::POST, PUSH, &[("content-type", "application/json;charset=\"UTF-8\"")], json).await,
        ask(&front, Method::POST, PUSH, &[JSON, ("connect-protocol-version", "1")], json).await,
    ] {
        assert_eq!((answer.text().as_str(), answer.header("x-bytes")), ("{}", "3"));
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let grpc = ask(&front, Method::POST, PUSH, &[("content-type", "application/grpc")], framed(&message)).await;
    assert_eq!((&grpc.body[..], grpc.trailers["grpc-status"].to_str().unwrap()), (&framed(b"")[..], "0"));
    let web =
        ask(&front, Method::POST, PUSH, &[("content-type", "application/grpc-web+proto")], framed(&message)).await;
    assert!(web.body.starts_with(&framed(b"")) && web.body[5] == 0x80, "{:?}", web.body);
}

#[tokio::test]
async fn an_empty_proto_body_is_an_empty_message_and_an_empty_json_body_is_an_error() {
    let front = one();
    for headers in [&[PROTO][..], &[PROTO, ("content-length", "0")], &[PROTO, GZIP], &[PROTO, ZSTD]] {
        assert_eq!(ask(&front, Method::POST, PUSH, headers, "").await.status, 200);
    }
    assert_eq!(post_json(&front, PUSH, "").await.code(), (400, "invalid_argument".into()));
}

#[tokio::test]
async fn what_is_no_call_is_refused_as_http_knows_it() {
    let front = one();
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let answer = ask(&front, method, PUSH, &[JSON], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow"), answer.body.len()), (405, "POST", 0));
    }
    for kind in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/json; charset=latin1")]] {
        let answer = ask(&front, Method::POST, PUSH, kind, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (415, 0), "{kind:?}");
        assert!(answer.header("accept-post").contains("application/json"));
    }
    for path in ["/push.v1.PusherService/Pull", "/push.v2.PusherService/Push", "/vcs.v1.VCSService/GithubApp", "/x"] {
        let answer = post_json(&front, path, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found\n"), "{path}");
        assert!(!answer.headers.contains_key("accept-encoding"));
    }
    let http1 = http::Request::post(PUSH).header("content-type", "application/grpc").body(Body::empty()).unwrap();
    assert_eq!(front.answer(http1).await.status(), 505);
}

#[tokio::test]
async fn methods_that_only_read_take_a_get() {
    let front = one();
    let get = async |query: &str| {
        ask(&front, Method::GET, &format!("/version.v1.Version/Version?{query}"), &[("accept-encoding", "gzip")], "")
            .await
    };
    let empty_gzip: String = gz(b"{}").iter().map(|b| format!("%{b:02x}")).collect();
    for query in [
        "connect=v1&encoding=json&message=%7B%7D".to_owned(),
        "message=%7b%7D&encoding=json".to_owned(),
        "connect=v1&encoding=json&base64=1&message=e30".to_owned(),
        "connect=v1&encoding=json&base64=1&message=e30%3D".to_owned(),
        format!("connect=v1&encoding=json&compression=gzip&message={empty_gzip}"),
    ] {
        let answer = get(&query).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, r#"{"QuerierAPI":"1"}"#), "{query}");
        assert_eq!((answer.header("content-type"), answer.header("vary")), ("application/json", "Accept-Encoding"));
    }
    let proto = get("connect=v1&encoding=proto&message=").await;
    assert_eq!((&proto.body[..], proto.header("content-type")), (&[8, 1][..], "application/proto"));
    let refused = (400, "invalid_argument".to_owned());
    for query in [
        "connect=v2&encoding=json&message={}",
        "connect=v1&encoding=json",
        "connect=v1&encoding=json&base64=1&message=!",
    ] {
        assert_eq!(get(&query.replace(['{', '}'], "")).await.code(), refused, "{query}");
    }
    assert_eq!(get("connect=v1&encoding=json&compression=br&message=%7B%7D").await.code().0, 501);
    assert_eq!(get("connect=v1&encoding=xml&message=%7B%7D").await.status, 415);
    assert_eq!((get("").await.status.as_u16(), get("").await.header("allow")), (405, "GET, POST"));

    // What writes takes none.
    let query = "connect=v1&encoding=json&message=%7B%7D";
    for path in [PUSH, SET] {
        let answer = ask(&front, Method::GET, &format!("{path}?{query}"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{path}");
    }
    let path = format!("/settings.v1.SettingsService/Get?{query}");
    let answer = ask(&front, Method::GET, &path, &[("connect-timeout-ms", "5")], "").await;
    assert_eq!(answer.code(), (504, "deadline_exceeded".into()));
    let strict = super::support::front(true, Arc::default());
    assert_eq!(ask(&strict, Method::GET, &path, &[], "").await.code().0, 401);
}

#[tokio::test]
async fn no_call_takes_longer_than_the_server_allows_whatever_its_caller_does() {
    let routes = tonic::service::Routes::new(SettingsServiceServer::new(Settings));
    let slow = || axum::routing::get(async || std::future::pending::<()>().await);
    let brief = || axum::routing::get(async || tokio::time::sleep(Duration::from_millis(20)).await);
    let plain = axum::Router::new().route("/slow", slow()).route("/debug/brief", brief());
    let front = Router::new(routes).plain(plain).longest(Duration::from_millis(5)).build().unwrap();
    let answer = ask(&front, Method::GET, "/slow", &[], "").await;
    assert_eq!((answer.code(), answer.header("x-flamestore-error")), ((504, "deadline_exceeded".into()), "timed-out"));
    assert_eq!(
        ask(&front, Method::GET, "/debug/brief", &[], "").await.status,
        200,
        "it takes as long as it is asked to"
    );
    let path = "/settings.v1.SettingsService/Get";
    for timeout in [&[][..], &[("connect-timeout-ms", "9999999999")]] {
        let answer = ask(&front, Method::POST, path, &[&[JSON], timeout].concat(), "{}").await;
        assert_eq!(answer.code(), (504, "deadline_exceeded".into()));
    }
}

#[tokio::test]
async fn everything_is_answered_below_the_prefix_too() {
    let routes = tonic::service::Routes::new(SettingsServiceServer::new(Settings));
    let plain = axum::Router::new().route("/", axum::routing::get(async || "home"));
    for prefix in ["/pre/fix", "pre/fix/"] {
        let front = Router::new(routes.clone()).plain(plain.clone()).path_prefix(prefix).build().unwrap();
        for path in ["/pre/fix/settings.v1.SettingsService/Set", SET] {
            let answer = ask(&front, Method::POST, path, &[("content-type", "application/grpc")], framed(&[])).await;
            assert_ne!(answer.header("grpc-status"), "12", "{path}: {:?}", answer.headers);
            assert_eq!(post_json(&front, path, "[").await.status, 400, "{path}");
        }
        for (path, status) in
            [("/", 200), ("/pre/fix", 200), ("/pre/fix/", 200), ("/pre/fix?a=b", 200), ("/pre/fixed", 404)]
        {
            assert_eq!(ask(&front, Method::GET, path, &[], "").await.status, status, "{path}");
        }
    }
}

/// Answers with metadata behind its message.
#[derive(Clone)]
struct Trailing;

impl tonic::server::NamedService for Trailing {
    const NAME: &'static str = "version.v1.Version";
}

impl tower::Service<http::Request<tonic::body::Body>> for Trailing {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
        let trailers =
            [("grpc-status", "0"), ("x-scanned", "7")].map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let frames = [Frame::data(framed(&[8, 1]).into()), Frame::trailers(http::HeaderMap::from_iter(trailers))];
        let body = http_body_util::StreamBody::new(futures::stream::iter(
            frames.map(Ok::<Frame<bytes::Bytes>, tonic::Status>),
        ));
        let response = http::Response::builder().header("x-first", "1").header("content-type", "application/grpc");
        std::future::ready(Ok(response.body(tonic::body::Body::new(body)).unwrap()))
    }
}

#[tokio::test]
async fn trailers_become_headers_with_their_prefix() {
    let front = Router::new(tonic::service::Routes::new(Trailing)).build().unwrap();
    let answer = post_json(&front, "/version.v1.Version/Version", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, r#"{"QuerierAPI":"1"}"#));
    assert_eq!((answer.header("x-first"), answer.header("trailer-x-scanned")), ("1", "7"));
    assert!(answer.headers.keys().all(|name| !name.as_str().contains("grpc")), "{:?}", answer.headers);
}

#[tokio::test]
async fn headers_of_connect_are_checked() {
    let front = one();
    let with =
        async |name: &str, value: &str| ask(&front, Method::POST, PUSH, &[JSON, (name, value)], "{}").await.code();
    assert_eq!(with("connect-protocol-version", "9").await, (400, "invalid_argument".into()));
    assert_eq!(with("connect-timeout-ms", "soon").await, (400, "invalid_argument".into()));
    assert_eq!(with("connect-timeout-ms", "20000").await.0, 200);
    for empty in ["connect-protocol-version", "connect-timeout-ms", "content-encoding", "accept"] {
        assert_eq!(with(empty, "").await.0, 200, "{empty}");
    }
    assert_eq!(with("content-encoding", "br").await, (501, "unimplemented".into()));
    assert_eq!(with("accept", "a/b/c").await.0, 400);
    assert_eq!(ask(&front, Method::GET, "/page", &[("accept", "a/b/c")], "").await.status, 400);
    let set = ask(&front, Method::POST, SET, &[JSON, ("accept", "*/*;allow-utf8-labelnames=true")], "{}").await;
    assert_eq!(set.header("x-utf8"), "yes");
}

#[tokio::test]
async fn a_call_ends_when_its_caller_said() {
    let front = one();
    let path = "/settings.v1.SettingsService/Get";
    let answer = ask(&front, Method::POST, path, &[JSON, ("connect-timeout-ms", "5")], "{}").await;
    assert_eq!(answer.code(), (504, "deadline_exceeded".into()));
    let headers = [("content-type", "application/grpc"), ("grpc-timeout", "5m")];
    let answer = ask(&front, Method::POST, path, &headers, framed(b"")).await;
    assert_eq!((answer.header("grpc-status"), answer.header("x-flamestore-error")), ("4", "timed-out"));
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_accept_it() {
    let front = one();
    let accept = ("accept-encoding", "deflate, gzip");
    let large = format!(r#"{{"setting":{{"name":"{}"}}}}"#, "n".repeat(5000));
    let answer = ask(&front, Method::POST, SET, &[JSON, accept], large.clone()).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, large);
    for both in ["zstd", "gzip, deflate, br, zstd"] {
        let answer = ask(&front, Method::POST, SET, &[JSON, ("accept-encoding", both)], large.clone()).await;
        assert_eq!(answer.header("content-encoding"), "zstd");
        assert_eq!(zstd::decode_all(&answer.body[..]).unwrap(), large.as_bytes());
    }
    for (headers, body) in [(vec![JSON], large), (vec![JSON, accept], "{}".to_owned())] {
        let answer = ask(&front, Method::POST, SET, &headers, body.clone()).await;
        assert_eq!((answer.header("content-encoding"), answer.text()), ("", body));
    }
    let page = ask(&front, Method::GET, "/page", &[accept], "").await;
    assert_eq!((page.header("content-encoding"), page.header("vary")), ("gzip", "Accept-Encoding"));
}

#[tokio::test]
async fn bombs_and_rubbish_are_the_callers_fault() {
    let front = one();
    let bomb = gz(&vec![0; 20 * CAP]);
    let large = vec![0; CAP + 1];
    let huge = (CAP * 300).to_string();
    let limited = (429, "resource_exhausted".to_owned());
    let invalid = (400, "invalid_argument".to_owned());
    let ask =
        async |headers: &[(&str, &str)], body: Vec<u8>| ask(&front, Method::POST, PUSH, headers, body).await.code();
    assert_eq!(ask(&[PROTO, GZIP], bomb.clone()).await, limited);
    assert_eq!(ask(&[JSON, GZIP], bomb).await, limited);
    assert_eq!(ask(&[PROTO, ZSTD], zstd(&vec![0; 20 * CAP])).await, limited);
    assert_eq!(ask(&[JSON, ZSTD], zstd(&vec![0; 20 * CAP])).await, limited);
    assert_eq!(ask(&[PROTO, ZSTD], b"{}".to_vec()).await, invalid);
    assert_eq!(ask(&[PROTO], large.clone()).await, limited);
    assert_eq!(ask(&[PROTO, ("content-length", &huge)], vec![]).await, limited);
    assert_eq!(ask(&[JSON], large).await, limited);
    assert_eq!(ask(&[PROTO, GZIP], b"{}".to_vec()).await, invalid);
    assert_eq!(ask(&[JSON], vec![b'['; 100_000]).await, invalid);
    assert_eq!(ask(&[JSON], [br#"{"x":"#.repeat(100_000)].concat()).await, invalid);
    assert_eq!(ask(&[PROTO], vec![0xff; 100]).await.0, 400);
}

#[tokio::test]
async fn a_grpc_message_over_the_cap_is_too_much_not_out_of_range() {
    let front = one();
    let grpc = [("content-type", "application/grpc")];
    let answer = ask(&front, Method::POST, PUSH, &grpc, framed(&vec![0; CAP + 1])).await;
    assert_eq!(answer.header("grpc-status"), "8");
    let bomb = gz(&vec![0; 20 * CAP]);
    let mut body = framed(&bomb);
    body[0] = 1;
    let answer = ask(&front, Method::POST, PUSH, &[grpc[0], ("grpc-encoding", "gzip")], body).await;
    assert_eq!(answer.header("grpc-status"), "8");
}

#[tokio::test]
async fn health_is_served_to_anyone_in_any_name() {
    let front = front(true, Arc::default());
    let check = "/grpc.health.v1.Health/Check";
    let answer = post_json(&front, check, r#"{"service":"whatever"}"#).await;
    assert_eq!(answer.text(), r#"{"status":"SERVING"}"#);
    let answer = ask(&front, Method::POST, check, &[("content-type", "application/grpc")], framed(b"")).await;
    assert_eq!(&answer.body[..], framed(&[8, 1]));
    let watch = "/grpc.health.v1.Health/Watch";
    let answer = ask(&front, Method::POST, watch, &[("content-type", "application/grpc")], framed(b"")).await;
    assert_eq!(answer.header("grpc-status"), "12");
    assert_eq!(post_json(&front, watch, "{}").await.code(), (501, "unimplemented".into()));
}

#[tokio::test]
async fn a_service_may_be_plain_for_all_but_grpc() {
    let path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    assert_eq!(post_json(&one(), path, "{}").await.text(), "plain");
}

#[tokio::test]
async fn requests_are_observed_under_bounded_labels() {
    let seen = Arc::<Seen>::default();
    let front = front(false, seen.clone());
    post_json(&front, PUSH, "{}").await;
    ask(&front, Method::GET, "/fail/Limited", &[], "").await;
    ask(&front, Method::GET, "/no/such", &[], "").await;
    let message = pushed(&[("panic", "1")], vec![]).encode_to_vec();
    let answer = ask(&front, Method::POST, PUSH, &[PROTO], message).await;
    assert_eq!((answer.code(), answer.header("x-flamestore-error")), ((500, "internal".into()), "server-bug"));
    let grpc = [("content-type", "application/grpc")];
    ask(&front.grpc_door(), Method::POST, PUSH, &grpc, framed(b"")).await;
    ask(&front.grpc_door(), Method::POST, PUSH, &grpc, framed(&[0xff])).await;
    let message = framed(&pushed(&[("panic", "1")], vec![]).encode_to_vec());
    let answer = ask(&front, Method::POST, PUSH, &grpc, message).await;
    assert_eq!((answer.header("grpc-status"), answer.header("x-flamestore-error")), ("13", "server-bug"));
    let lines = seen.0.lock().unwrap().clone();
    let want = [
        "POST push_v1_pusherservice_push 200 in=0 out=2",
        "GET fail 429 in=0 out=",
        "GET other 404 in=0 out=19",
        "panic",
        "POST push_v1_pusherservice_push 500 in=0 out=",
        "gRPC /push.v1.PusherService/Push success in=0 out=5",
        "gRPC /push.v1.PusherService/Push error in=0 out=0",
        "panic",
        "POST push_v1_pusherservice_push 200 in=0 out=0",
    ];
    assert_eq!(lines.len(), want.len(), "{lines:?}");
    for (line, want) in lines.iter().zip(want) {
        assert!(line.starts_with(want), "{line} is not {want}");
    }
}
