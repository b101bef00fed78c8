//! Ports of their own for OTLP, and the configurations that ask for them.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use flamestore_clock::{Clock, SystemClock};
use flamestore_proto::codec::Codec;
use flamestore_proto::opentelemetry::proto::collector::profiles::v1development as collector;
use flamestore_tests::client::Client;
use flamestore_tests::server::{Server, binary};
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::json;
use tonic::client::Grpc;
use tonic::transport::Endpoint;

const REQUEST: &str = "opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest";
pub(super) const EXPORT: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
pub(super) const HTTP_PATH: &str = "/v1development/profiles";

/// What the operations runbook of a user sets.
const RUNBOOK: &str = "
storage:
  backend: filesystem
  filesystem:
    dir: /data
server:
  http_listen_port: 4040
pyroscopedb:
  retention_policy_min_free_disk_gb: 10
  retention_policy_min_disk_available_percentage: 0.05
  retention_policy_enforcement_interval: 5m
  max_block_duration: 3h
compactor:
  data_dir: /data/compactor
  compaction_interval: 2h
  cleanup_interval: 15m
  deletion_delay: 2h
  block_cleanup_enabled: true
limits:
  compactor_blocks_retention_period: 720h
  ingestion_rate_mb: 4
  ingestion_burst_size_mb: 8
distributor:
  receivers:
    otlp:
      protocols:
        grpc: { endpoint: 127.0.0.1:0, sample_rate: 100 }
        http: { endpoint: 127.0.0.1:0 }
";

/// One stack of 3 samples of 10 ms, as a collector sends it.
pub(super) fn request(service: &str, now_nanos: i64) -> collector::ExportProfilesServiceRequest {
    let message = json!({
        "resourceProfiles": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeProfiles": [{"profiles": [{
                "sampleType": {"typeStrindex": 1, "unitStrindex": 2},
                "samples": [{"stackIndex": 1, "values": [3]}],
                "timeUnixNano": now_nanos.to_string(),
                "durationNano": "1000000000",
                "periodType": {"typeStrindex": 3, "unitStrindex": 4},
                "period": 10_000_000,
            }]}],
        }],
        "dictionary": {
            "mappingTable": [{}],
            "locationTable": [{}, {"lines": [{"functionIndex": 1}]}],
            "functionTable": [{}, {"nameStrindex": 5}],
            "linkTable": [{}],
            "attributeTable": [{}],
            "stringTable": ["", "samples", "count", "cpu", "nanoseconds", "work"],
            "stackTable": [{}, {"locationIndices": [1]}],
        },
    });
    let pool = DescriptorPool::decode(flamestore_proto::DESCRIPTOR_SET).unwrap();
    let message = DynamicMessage::deserialize(pool.get_message_by_name(REQUEST).unwrap(), &message).unwrap();
    message.transcode_to().unwrap()
}

/// The addresses in the lines that name the ports for OTLP.
fn otlp_ports(server: &Server) -> Vec<String> {
    let log = server.log();
    let ports = log.lines().filter(|l| l.contains("listening for OTLP alone"));
    ports.filter_map(|l| l.split_once(" otlp=")?.1.split([' ', '"']).next().map(str::to_owned)).collect()
}

fn export_over_grpc(address: &str, request: collector::ExportProfilesServiceRequest) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        let codec = Codec::<_, collector::ExportProfilesServiceResponse>::default();
        grpc.unary(tonic::Request::new(request), PathAndQuery::from_static(EXPORT), codec).await.unwrap();
    });
}

#[test]
fn the_runbooks_file_starts_the_server_and_its_otlp_ports_take_profiles_and_answer_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    fs::write(&file, RUNBOOK).unwrap();
    let server = Server::start(&[&format!("-config.file={}", file.display())]);
    let log = server.log();
    assert!(log.contains("grpc.sample_rate"), "what has no effect is said:\n{log}");

    let ports = otlp_ports(&server);
    let [grpc, http] = &ports[..] else { panic!("two ports in:\n{log}") };
    let now = SystemClock::default().now_nanos();
    for port in [grpc, http] {
        export_over_grpc(port, request("over-grpc", now));
        let client = Client::new(&format!("http://{port}"));
        let body = request("over-http", now).encode_to_vec();
        let (status, text) = client.post(HTTP_PATH, "application/x-protobuf", &[], &body).unwrap();
        assert_eq!(status, 200, "{text}");
        assert_eq!(client.try_get("/pyroscope/render?query=over-http&from=now-1h").unwrap().0, 404);
        assert_eq!(client.try_get("/metrics").unwrap().0, 404);
        let (status, _) = client.post("/querier.v1.QuerierService/LabelNames", "application/json", &[], b"{}").unwrap();
        assert_eq!(status, 404);
    }
    let seconds = now / 1_000_000_000;
    for service in ["over-grpc", "over-http"] {
        let seen = server.client().cpu(&format!("{{service_name=\"{service}\"}}"), seconds - 60, seconds + 60);
        assert_eq!(seen.total, 60_000_000, "{service} of both ports");
    }
}

#[test]
fn a_port_that_is_taken_stops_the_start_and_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap();
    let ended = Command::new(binary())
        .args(["-server.http-listen-address=127.0.0.1", "-server.http-listen-port=0"])
        .args(["-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=0"])
        .arg(format!("-storage.filesystem.dir={}", dir.path().join("bucket").display()))
        .arg(format!("-pyroscopedb.data-path={}", dir.path().join("local").display()))
        .arg(format!("-distributor.otlp-grpc-endpoint={address}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    assert!(
        said.contains(&format!("cannot listen on {address} for distributor.receivers.otlp.protocols.grpc.endpoint")),
        "{said}"
    );
    assert!(said.contains("Address already in use"), "{said}");
}

#[test]
fn a_time_that_cannot_be_right_becomes_that_of_reception_on_every_door_and_is_counted() {
    let server = Server::start(&[]);
    let now = SystemClock::default().now_nanos();
    // No time; seconds, milliseconds and microseconds taken for nanoseconds; the year 2100; a day and an hour ahead.
    let absurd = [
        ("zero", 0),
        ("too_early", now / 1_000_000_000),
        ("too_early", now / 1_000_000),
        ("too_early", now / 1000),
        ("too_late", 4_102_444_800_000_000_000),
        ("too_late", now + 25 * 3_600_000_000_000),
    ];
    let client = server.client();
    for (_, time) in absurd {
        let body = request("absurd-http", time).encode_to_vec();
        let (status, text) = client.post(HTTP_PATH, "application/x-protobuf", &[], &body).unwrap();
        assert_eq!(status, 200, "{time}: {text}");
        export_over_grpc(&server.grpc().to_string(), request("absurd-grpc", time));
    }
    let seconds = now / 1_000_000_000;
    for service in ["absurd-http", "absurd-grpc"] {
        let seen = client.cpu(&format!("{{service_name=\"{service}\"}}"), seconds - 60, seconds + 60);
        assert_eq!(seen.total, 6 * 30_000_000, "{service}");
    }
    let metrics = client.get("/metrics").unwrap();
    for (reason, times) in [("zero", 2), ("too_early", 6), ("too_late", 4)] {
        let line = metrics
            .lines()
            .filter(|l| l.starts_with("flamestore_distributor_repaired_times_total{") && l.contains("format=\"otlp\""))
            .find(|l| l.contains(&format!("reason=\"{reason}\"")));
        assert!(line.is_some_and(|l| l.ends_with(&format!(" {times}"))), "{reason}: {line:?}");
    }

    // What may be right is judged by the window of ingestion, as on every door.
    let body = request("late", now - 2 * 3_600_000_000_000).encode_to_vec();
    let (status, text) = client.post(HTTP_PATH, "application/x-protobuf", &[], &body).unwrap();
    assert_eq!(status, 400, "{text}");
}
