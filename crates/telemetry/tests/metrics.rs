//! What a scraper sees.

use flamestore_model::Discard;
use flamestore_telemetry::metrics::distributor::ReceivedProfile;
use flamestore_telemetry::metrics::objstore::Operation;
use flamestore_telemetry::metrics::{MAX_TENANT_LABELS, reference_markdown};
use flamestore_telemetry::{BuildInfo, Metrics};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prost::Message;

const BUILD: BuildInfo = BuildInfo { version: "1.2.3", revision: "abc", branch: "main", compiler: "rustc" };

fn used() -> Metrics {
    let m = Metrics::new(&BUILD);
    let route = m.http.route("POST", "push_v1_pusherservice_push");
    drop(route.begin());
    route.finished("200", 0.02, 1000, 10);
    m.distributor.received("team-a", "process_cpu").observe(&ReceivedProfile {
        compressed_bytes: 20_000,
        decompressed_bytes: 50_000,
        normalized_bytes: 40_000,
        samples: 300,
        samples_bytes: 9000,
        symbols_bytes: 41_000,
    });
    m.limits.discarded(Discard::RateLimited, "team-a", 7, 70);
    m.limits.reloaded(7, [("team-a", "ingestion_rate_mb", 9.0)]);
    m.head.size_bytes.with(["strings"]).set(5);
    m.wal.records_total.inc_by(3);
    m.query.duration_seconds.with(["SelectSeries"]).observe(0.3);
    m.compactor.compactor_compactions_total.inc();
    m.objstore.of("data").record(Operation::GetRange, 0.004, 10, false);
    m.ring.alone();
    m
}

fn text(m: &Metrics, accept: Option<&str>) -> (String, &'static str) {
    let exposed = m.expose(accept);
    (String::from_utf8(exposed.body).unwrap(), exposed.content_type)
}

#[test]
fn classic_text_has_the_exact_names_with_their_heads() {
    let (out, content_type) = text(&used(), None);
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "pyroscope_build_info{version=\"1.2.3\",revision=\"abc\",branch=\"main\",goversion=\"rustc\"",
        "pyroscope_request_duration_seconds_count{method=\"POST\",route=\"push_v1_pusherservice_push\",status_code=\"200\",ws=\"false\"} 1",
        "pyroscope_inflight_requests{method=\"POST\",route=\"push_v1_pusherservice_push\"} 0",
        "pyroscope_distributor_received_compressed_bytes_sum{type=\"process_cpu\",tenant=\"team-a\"} 20000",
        "pyroscope_distributor_received_decompressed_bytes_total_sum{stage=\"normalized\",tenant=\"team-a\"} 40000",
        "# TYPE pyroscope_discarded_samples_total counter",
        "# HELP pyroscope_discarded_samples_total Samples that were thrown away.",
        "pyroscope_discarded_samples_total{reason=\"rate_limited\",tenant=\"team-a\"} 7",
        "pyroscope_ingester_profile_samples_received_total 300",
        "pyroscope_compactor_compactions_total 1",
        "pyroscope_head_size_bytes{type=\"strings\"} 5",
        "pyroscope_query_frontend_duration_seconds_count{method=\"SelectSeries\"} 1",
        "objstore_bucket_operations_total{bucket=\"data\",operation=\"get_range\"} 1",
        "pyroscope_ring_members{name=\"ingester\",state=\"ACTIVE\"} 1",
        "pyroscope_ring_members{name=\"ingester\",state=\"LEAVING\"} 0",
        "pyroscope_limits_overrides{limit_name=\"ingestion_rate_mb\",tenant=\"team-a\"} 9",
        "flamestore_wal_records_total 3",
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(out.lines().any(|l| l.starts_with(line)), "{line}\n{out}");
    }
    assert!(!out.contains("_total_total") && !out.contains("# EOF") && !out.contains("# UNIT"));
    for line in out.lines() {
        let well = line.starts_with("# HELP ")
            || line.starts_with("# TYPE ")
            || line.rsplit_once(' ').is_some_and(|(_, v)| v == "+Inf" || v.parse::<f64>().is_ok());
        assert!(well, "{line}");
    }
}

#[test]
fn open_metrics_text_ends_as_it_must() {
    let (out, content_type) = text(&used(), Some("application/openmetrics-text;version=1.0.0"));
    assert!(content_type.starts_with("application/openmetrics-text"));
    assert!(out.ends_with("# EOF\n") && out.contains("# TYPE pyroscope_discarded_samples counter"));
}

#[test]
fn protobuf_carries_native_histograms() {
    let exposed = used()
        .expose(Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"));
    let mut body = exposed.body.as_slice();
    let mut names = Vec::new();
    while !body.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut body).unwrap();
        if family.name == "pyroscope_request_duration_seconds" {
            let h = family.metric[0].histogram.as_ref().unwrap();
            assert!(h.schema > 0 && !h.positive_span.is_empty() && !h.bucket.is_empty(), "{h:?}");
        }
        names.push(family.name);
    }
    assert!(names.iter().any(|n| n == "pyroscope_discarded_samples_total"), "{names:?}");
}

#[test]
fn a_flood_of_tenants_and_names_does_not_grow_the_exposition() {
    let m = Metrics::new(&BUILD);
    for i in 0..3 * MAX_TENANT_LABELS {
        m.distributor.received(&format!("t{i}"), &format!("n{i}")).observe(&ReceivedProfile::default());
        m.limits.discarded(Discard::RateLimited, &format!("t{i}"), 1, 1);
    }
    let (out, _) = text(&m, None);
    let discarded: Vec<_> = out.lines().filter(|l| l.starts_with("pyroscope_discarded_samples_total{")).collect();
    assert_eq!(discarded.len(), MAX_TENANT_LABELS + 1);
    let other = format!("tenant=\"other\"}} {}", 2 * MAX_TENANT_LABELS);
    assert!(discarded.iter().any(|l| l.ends_with(&other)), "nothing is lost: {other}");
    let series = out.lines().filter(|l| l.starts_with("pyroscope_distributor_received_samples_count{")).count();
    assert!(series <= flamestore_telemetry::metrics::MAX_SERIES + 1, "{series}");
}

#[test]
fn the_reference_page_names_what_dashboards_ask_for() {
    let page = reference_markdown();
    for name in [
        "pyroscope_build_info",
        "pyroscope_request_duration_seconds",
        "pyroscope_discarded_samples_total",
        "pyroscope_compactor_compactions_total",
        "flamestore_wal_fsync_duration_seconds",
        "process_cpu_seconds_total",
        "objstore_bucket_operation_duration_seconds",
    ] {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}
