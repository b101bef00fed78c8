//! One refusal, every protocol: the same id, the sentence with limit and key, and when to try again.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use flamestore_clock::{Clock, SystemClock};
use flamestore_proto::codec::Codec;
use flamestore_proto::opentelemetry::proto::collector::profiles::v1development as collector;
use flamestore_proto::push::v1::{PushRequest, PushResponse};
use flamestore_tests::client::Client;
use flamestore_tests::{Server, until};
use http::uri::PathAndQuery;
use prost::Message;
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use super::limits::{PUSH, push_of};
use super::otlp;

const LONG: &str = "a_service_with_a_long_name";

/// What a refusal came to over one protocol.
#[derive(Debug)]
struct Refused {
    #[expect(dead_code, reason = "says in a failure which protocol it was")]
    by: &'static str,
    /// HTTP status, or gRPC code.
    status: u32,
    id: String,
    retry_after: Option<String>,
    said: String,
}

/// Pushes as this tenant over everything that takes pushes; all must be refused.
fn push_everywhere(server: &Server, tenant: &str, service: &str) -> Vec<Refused> {
    let client = server.client().tenant(tenant);
    let push = push_of(&json!({"labels": {"service_name": service}}));
    let request = PushRequest::decode(&push[..]).expect("a push");
    let export = otlp::request(service, SystemClock::default().now_nanos());
    let folded = format!("/ingest?name={service}.cpu&format=folded");
    let as_json = json!({"series": [{
        "labels": [{"name": "__name__", "value": "process_cpu"}, {"name": "service_name", "value": service}],
        "samples": [{"rawProfile": base64(&request.series[0].samples[0].raw_profile)}],
    }]});
    let mut framed = vec![0];
    framed.extend((push.len() as u32).to_be_bytes());
    framed.extend(&push);
    let http = |by, path: &str, kind: &str, body: &[u8]| over_http(&client, by, path, kind, body);
    vec![
        http("connect-proto", PUSH, "application/proto", &push),
        http("connect-json", PUSH, "application/json", as_json.to_string().as_bytes()),
        http("grpc-web", PUSH, "application/grpc-web+proto", &framed),
        http("ingest", &folded, "text/plain", b"main;work 3\n"),
        http("otlp-http", otlp::HTTP_PATH, "application/x-protobuf", &export.encode_to_vec()),
        over_grpc::<_, PushResponse>("grpc", server.http(), tenant, PUSH, request.clone()),
        over_grpc::<_, PushResponse>("grpc-port", server.grpc(), tenant, PUSH, request),
        over_grpc::<_, collector::ExportProfilesServiceResponse>(
            "otlp-grpc",
            server.grpc(),
            tenant,
            otlp::EXPORT,
            export,
        ),
    ]
}

fn over_http(client: &Client, by: &'static str, path: &str, kind: &str, body: &[u8]) -> Refused {
    let answer = client.exchange(path, kind, &[], body).expect("an answer");
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    Refused {
        by,
        // gRPC-web answers everything with 200 and says the rest in headers.
        status: header("grpc-status").map_or(answer.status().as_u16().into(), |code| code.parse().expect("a code")),
        id: header("x-flamestore-error").unwrap_or_default(),
        retry_after: header("retry-after"),
        said: header("grpc-message").map_or(text, |said| said.replace("%20", " ")),
    }
}

fn over_grpc<Q, A>(by: &'static str, address: SocketAddr, tenant: &str, path: &'static str, message: Q) -> Refused
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let status: Status = runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let mut grpc = Grpc::new(endpoint.connect().await.expect("a connection"));
        grpc.ready().await.expect("a connection");
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-scope-orgid", tenant.parse().expect("a tenant"));
        let answer = grpc.unary(request, PathAndQuery::from_static(path), Codec::<Q, A>::default()).await;
        answer.err().expect("a refusal")
    });
    let metadata = |name: &str| status.metadata().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let id = metadata("x-flamestore-error").unwrap_or_default();
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(details.contains("google.rpc.ErrorInfo") && details.contains(&id), "{by}: {details:?}");
    let again = metadata("retry-after");
    assert_eq!(details.contains("google.rpc.RetryInfo"), again.is_some(), "{by}: {details:?}");
    Refused { by, status: status.code() as u32, id, retry_after: again, said: status.message().to_owned() }
}

fn base64(bytes: &[u8]) -> Value {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let sign = |at: usize| char::from(SIGNS[(bits >> (18 - 6 * at) & 63) as usize]);
        text.extend((0..4).map(|at| if at <= three.len() { sign(at) } else { '=' }));
    }
    text.into()
}

#[test]
fn a_refusal_has_the_same_id_on_every_protocol_and_limits_say_when_to_try_again() {
    let overrides = json!({"overrides": {
        "short": {"max_label_value_length": 20},
        "used-up": {"ingestion_limit": {"period_type": "hour", "period_limit_mb": 5, "limit_reached": true}},
    }});
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("runtime.yaml");
    fs::write(&path, overrides.to_string()).expect("a runtime file");
    let file = format!("-runtime-config.file={}", path.display());
    let server = Server::start(&["-auth.multitenancy-enabled=true", &file]);

    for refused in push_everywhere(&server, "short", LONG) {
        assert_eq!(refused.id, "label-value-too-long", "{refused:?}");
        assert!(matches!(refused.status, 400) || refused.status == Code::InvalidArgument as u32, "{refused:?}");
        assert_eq!(refused.retry_after, None, "{refused:?}");
        for word in ["26 bytes", "limit 20", "limits.max_label_value_length", "(label-value-too-long)"] {
            assert!(refused.said.contains(word), "{word}: {refused:?}");
        }
    }
    for refused in push_everywhere(&server, "used-up", "svc") {
        assert_eq!(refused.id, "quota-reached", "{refused:?}");
        assert!(matches!(refused.status, 429) || refused.status == Code::ResourceExhausted as u32, "{refused:?}");
        assert_eq!(refused.retry_after.as_deref(), Some("1"), "{refused:?}");
        for word in ["limit of 5 MiB/hour", "limits.ingestion_limit", "(quota-reached)"] {
            assert!(refused.said.contains(word), "{word}: {refused:?}");
        }
    }
    let nobody = server.client();
    let refused = over_http(&nobody, "nobody", "/ingest?name=x", "text/plain", b"a 1\n");
    assert_eq!((refused.status, refused.id.as_str()), (401, "no-tenant"), "{refused:?}");
}

#[test]
fn overload_is_unavailable_with_an_id_on_every_protocol_until_the_bucket_is_back() {
    let server = Server::start(&[
        "-auth.multitenancy-enabled=true",
        "-ingester.max-head-bytes=50000",
        "-distributor.max-inflight-bytes=50000",
        "-distributor.push.timeout=100ms",
    ]);
    // A bucket that nothing can be put into.
    fs::remove_dir_all(server.bucket()).expect("the bucket goes");
    fs::write(server.bucket(), "no folder").expect("a file in its place");
    let client = server.client().tenant("busy");
    let push = |samples: u64| {
        let push = push_of(&json!({"samples": samples, "padding": 1000}));
        over_http(&client, "connect-proto", PUSH, "application/proto", &push)
    };
    // Large ones first, and then the smallest there is, so that no other finds room any more.
    let until_refused = |push: &dyn Fn() -> Refused| (0..2000).map(|_| push()).find(|answer| answer.status != 200);
    until_refused(&|| push(400)).expect("a refusal");
    let smallest = || over_http(&client, "ingest", "/ingest?name=x&format=folded", "text/plain", b"a 1\n");
    let refused = until_refused(&smallest).expect("a refusal");
    assert_eq!((refused.status, refused.id.as_str()), (503, "memory-full"), "{refused:?}");

    for refused in push_everywhere(&server, "busy", "svc") {
        assert_eq!(refused.id, "memory-full", "{refused:?}");
        assert!(matches!(refused.status, 503) || refused.status == Code::Unavailable as u32, "{refused:?}");
        assert_eq!(refused.retry_after.as_deref(), Some("1"), "{refused:?}");
        assert!(refused.said.contains("ingester.max_head_bytes"), "{refused:?}");
    }
    fs::remove_file(server.bucket()).expect("the file goes");
    fs::create_dir(server.bucket()).expect("the bucket is back");
    until("a push that passes again", || (push(400).status == 200).then_some(()).ok_or_else(|| server.log()));
}

#[test]
fn the_bodies_of_all_requests_together_have_bounded_room() {
    let server = Server::start(&["-distributor.max-inflight-bytes=100000", "-distributor.push.timeout=200ms"]);
    let client = server.client();
    let push = push_of(&json!({"padding": 300_000}));
    let request = PushRequest::decode(&push[..]).expect("a push");
    let folded = "main;work 3\n".repeat(30_000);
    let everywhere = || {
        [
            over_http(&client, "connect-proto", PUSH, "application/proto", &push),
            over_http(&client, "connect-json", PUSH, "application/json", &[b' '; 300_000]),
            over_http(&client, "ingest", "/ingest?name=x", "text/plain", folded.as_bytes()),
            over_http(&client, "otlp-http", otlp::HTTP_PATH, "application/x-protobuf", &push),
        ]
    };
    // Somebody sends a large body and does not come to its end.
    let mut slow = TcpStream::connect(server.http()).expect("a connection");
    let head = "POST /ingest?name=slow HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    slow.write_all(head.as_bytes()).expect("a head");
    slow.write_all(&vec![b'x'; 500_000]).expect("half a body");
    until("the end of the room", || {
        let answer = over_http(&client, "ingest", "/ingest?name=x", "text/plain", folded.as_bytes());
        (answer.status == 503).then_some(()).ok_or_else(|| server.log())
    });
    let grpc = over_grpc::<_, PushResponse>("grpc", server.http(), "anonymous", PUSH, request);
    for refused in everywhere().into_iter().chain([grpc]) {
        assert_eq!(refused.id, "memory-full", "{refused:?}");
        assert!(matches!(refused.status, 503) || refused.status == Code::Unavailable as u32, "{refused:?}");
        assert_eq!(refused.retry_after.as_deref(), Some("1"), "{refused:?}");
        assert!(refused.said.contains("distributor.max_inflight_bytes"), "{refused:?}");
    }
    let small = over_http(&client, "ingest", "/ingest?name=x", "text/plain", b"a 1\n");
    assert_eq!(small.status, 200, "small bodies need no room: {small:?}");
    drop(slow);
    until("room again", || {
        everywhere().iter().all(|answer| answer.id != "memory-full").then_some(()).ok_or_else(|| server.log())
    });
}
