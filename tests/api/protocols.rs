//! The same calls over every protocol on both ports: each push is kept, and all get the same answers.

use std::collections::BTreeSet;

use flamestore_clock::{Clock, SystemClock};
use flamestore_pprof::encode::Writer;
use flamestore_proto::google::v1::Profile;
use flamestore_proto::push::v1::{PushRequest, PushResponse, RawProfileSeries, RawSample};
use flamestore_proto::querier::v1 as wire;
use flamestore_proto::types::v1 as types;
use flamestore_tests::Server;
use flamestore_tests::client::CPU;
use flamestore_tests::gzip::gzip;
use flamestore_tests::rpc::Rpc;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const VALUE: i64 = 10_000_000;

fn pprof(time_nanos: i64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.period("cpu", "nanoseconds", VALUE);
    writer.time_nanos(time_nanos);
    writer.duration_nanos(1_000_000_000);
    let (main, work) = (writer.frame("main"), writer.frame("work"));
    writer.sample(&[work, main], &[VALUE], &[]);
    gzip(&writer.finish())
}

fn push(rpc: &Rpc, time_nanos: i64) {
    let label = |name: &str, value: &str| types::LabelPair { name: name.to_owned(), value: value.to_owned() };
    let series = RawProfileSeries {
        labels: vec![label("__name__", "process_cpu"), label("service_name", "called"), label("by", rpc.name())],
        samples: vec![RawSample { raw_profile: pprof(time_nanos).into(), id: String::new() }],
        annotations: Vec::new(),
    };
    let request = PushRequest { series: vec![series] };
    let _: PushResponse =
        rpc.call("push.v1.PusherService/Push", ("push.v1.PushRequest", "push.v1.PushResponse"), request);
}

/// What clients such as profilecli ask one after another.
#[derive(Debug, PartialEq)]
struct Answers {
    types: wire::ProfileTypesResponse,
    values: types::LabelValuesResponse,
    names: types::LabelNamesResponse,
    series: wire::SeriesResponse,
    flamegraph: wire::SelectMergeStacktracesResponse,
    pprof: wire::SelectMergeStacktracesResponse,
    merged: Profile,
    points: wire::SelectSeriesResponse,
    diff: wire::DiffResponse,
    stats: types::GetProfileStatsResponse,
}

fn ask(rpc: &Rpc, start: i64, end: i64) -> Answers {
    let matchers = vec![r#"{service_name="called"}"#.to_owned()];
    let select = |selector: &str, format: wire::ProfileFormat| wire::SelectMergeStacktracesRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: selector.to_owned(),
        start,
        end,
        format: format.into(),
        ..Default::default()
    };
    macro_rules! call {
        ($method:literal, $request:literal, $answer:literal, $message:expr) => {
            rpc.call(concat!("querier.v1.QuerierService/", $method), ($request, $answer), $message)
        };
    }
    Answers {
        types: call!(
            "ProfileTypes",
            "querier.v1.ProfileTypesRequest",
            "querier.v1.ProfileTypesResponse",
            wire::ProfileTypesRequest { start, end }
        ),
        values: call!(
            "LabelValues",
            "types.v1.LabelValuesRequest",
            "types.v1.LabelValuesResponse",
            types::LabelValuesRequest { name: "by".into(), matchers: matchers.clone(), start, end }
        ),
        names: call!(
            "LabelNames",
            "types.v1.LabelNamesRequest",
            "types.v1.LabelNamesResponse",
            types::LabelNamesRequest { matchers: matchers.clone(), start, end }
        ),
        series: call!(
            "Series",
            "querier.v1.SeriesRequest",
            "querier.v1.SeriesResponse",
            wire::SeriesRequest { matchers, label_names: vec!["service_name".into(), "by".into()], start, end }
        ),
        flamegraph: call!(
            "SelectMergeStacktraces",
            "querier.v1.SelectMergeStacktracesRequest",
            "querier.v1.SelectMergeStacktracesResponse",
            select("{}", wire::ProfileFormat::Flamegraph)
        ),
        pprof: call!(
            "SelectMergeStacktraces",
            "querier.v1.SelectMergeStacktracesRequest",
            "querier.v1.SelectMergeStacktracesResponse",
            select("{}", wire::ProfileFormat::Pprof)
        ),
        merged: call!(
            "SelectMergeProfile",
            "querier.v1.SelectMergeProfileRequest",
            "google.v1.Profile",
            wire::SelectMergeProfileRequest {
                profile_type_id: CPU.to_owned(),
                label_selector: "{}".into(),
                start,
                end,
                ..Default::default()
            }
        ),
        points: call!(
            "SelectSeries",
            "querier.v1.SelectSeriesRequest",
            "querier.v1.SelectSeriesResponse",
            wire::SelectSeriesRequest {
                profile_type_id: CPU.to_owned(),
                label_selector: "{}".into(),
                start,
                end,
                group_by: vec!["by".into()],
                step: (end - start) as f64 / 1000.0,
                ..Default::default()
            }
        ),
        diff: call!(
            "Diff",
            "querier.v1.DiffRequest",
            "querier.v1.DiffResponse",
            wire::DiffRequest {
                left: Some(select(r#"{by="grpc-web"}"#, wire::ProfileFormat::Flamegraph)),
                right: Some(select("{}", wire::ProfileFormat::Flamegraph)),
                ..Default::default()
            }
        ),
        stats: call!(
            "GetProfileStats",
            "types.v1.GetProfileStatsRequest",
            "types.v1.GetProfileStatsResponse",
            types::GetProfileStatsRequest {}
        ),
    }
}

#[test]
fn every_protocol_pushes_and_gets_the_same_answers() {
    let server = Server::start(&[]);
    let protocols = Rpc::all(&server);
    let now = SystemClock::default().now_nanos();
    for rpc in &protocols {
        push(rpc, now);
    }
    let (start, end) = (now / 1_000_000 - 60_000, now / 1_000_000 + 60_000);
    let first = ask(&protocols[0], start, end);

    let total = VALUE * protocols.len() as i64;
    let names: BTreeSet<_> = protocols.iter().map(|rpc| rpc.name().to_owned()).collect();
    assert_eq!(first.types.profile_types.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), [CPU]);
    assert_eq!(first.values.names.iter().cloned().collect::<BTreeSet<_>>(), names);
    assert!(first.names.names.contains(&"service_name".to_owned()), "{:?}", first.names);
    assert_eq!(first.series.labels_set.len(), protocols.len());
    let graph = first.flamegraph.flamegraph.as_ref().expect("a flame graph");
    assert_eq!((graph.total, &graph.names), (total, &vec!["total".into(), "main".into(), "work".into()]));
    let merged = first.pprof.pprof.as_ref().and_then(|p| p.profile.as_ref()).expect("a pprof");
    assert_eq!(merged.sample.iter().flat_map(|s| &s.value).sum::<i64>(), total);
    assert_eq!(first.merged.sample.iter().flat_map(|s| &s.value).sum::<i64>(), total);
    assert_eq!(first.points.series.len(), protocols.len());
    let diff = first.diff.flamegraph.as_ref().expect("a diff");
    assert_eq!((diff.left_ticks, diff.right_ticks), (VALUE, total));
    assert!(first.stats.data_ingested);

    for rpc in &protocols[1..] {
        assert_eq!(ask(rpc, start, end), first, "{}", rpc.name());
    }
}

#[test]
fn both_ports_answer_grpc_health_checks() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for address in [server.http(), server.grpc()] {
        let status = runtime.block_on(async {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
            let mut client = HealthClient::new(endpoint.connect().await.expect("a connection"));
            client.check(HealthCheckRequest::default()).await.expect("an answer").into_inner().status()
        });
        assert_eq!(status, ServingStatus::Serving, "{address}");
    }
}
