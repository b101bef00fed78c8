//! The data source's back end: Connect unary calls with binary protobuf over HTTP/1.1.

use flamestore_proto::querier::v1 as wire;
use flamestore_proto::types::v1 as types;
use flamestore_tests::protobuf::{double, field, number};
use http::Response;
use prost::Message;

use super::{CPU, SAMPLE_NANOS, Shop, TENANT, text};

const EXEMPLARS_NONE: u64 = 1;
const EXEMPLARS_INDIVIDUAL: u64 = 2;

impl Shop {
    /// A call as the plugin sends it, whatever comes back.
    fn ask(&self, method: &str, extra: &[&str], body: &[u8]) -> Response<Vec<u8>> {
        let headers = [
            "User-Agent: connect-go/1.21.1 (go1.26.8)",
            "Accept-Encoding: gzip",
            "Authorization: Basic Z3JhZmFuYTpzZWNyZXQ=",
            "Connect-Protocol-Version: 1",
            "Content-Type: application/proto",
            // What the user's own request had is passed on.
            "Cookie: grafana_session=0123456789abcdef",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "X-Grafana-User: admin",
        ];
        self.send("POST", &format!("/querier.v1.QuerierService/{method}"), &[&headers[..], extra].concat(), body)
    }

    fn call<A: Message + Default>(&self, method: &str, body: &[u8]) -> A {
        self.call_with(method, &[], body)
    }

    fn call_with<A: Message + Default>(&self, method: &str, extra: &[&str], body: &[u8]) -> A {
        let tenant = format!("X-Scope-OrgID: {TENANT}");
        let answer = self.ask(method, &[&[tenant.as_str()], extra].concat(), body);
        assert_eq!(answer.status(), 200, "{method}: {}", text(&answer));
        assert_eq!(answer.headers()["content-type"], "application/proto", "{method}");
        A::decode(answer.body().as_slice()).expect("an answer")
    }

    /// Fields 1 to 4 of every query of profiles: type, selector, start, end.
    fn query(&self, profile_type: &str, selector: &str) -> Vec<u8> {
        [
            field(1, profile_type.as_bytes()),
            field(2, selector.as_bytes()),
            number(3, self.from() as u64),
            number(4, self.until() as u64),
        ]
        .concat()
    }

    fn series(&self, exemplars: u64, extra: &[u8]) -> wire::SelectSeriesResponse {
        let body = [&self.query(CPU, r#"{service_name="shop"}"#), &double(6, 15.0), &number(10, exemplars), extra];
        self.call("SelectSeries", &body.concat())
    }

    fn flamegraph(&self, selector: &str, extra: &[u8]) -> wire::FlameGraph {
        let body = [&self.query(CPU, selector), extra].concat();
        let answer: wire::SelectMergeStacktracesResponse = self.call("SelectMergeStacktraces", &body);
        answer.flamegraph.expect("a flame graph")
    }
}

fn sum(series: &types::Series) -> f64 {
    series.points.iter().map(|point| point.value).sum()
}

/// What the plugin relies on when it builds its tree from boxes: it panics, or shows nonsense, otherwise.
fn assert_is_drawable(graph: &wire::FlameGraph) {
    assert!(!graph.names.is_empty() && !graph.levels.is_empty(), "{graph:?}");
    let mut above = vec![(0, graph.total)];
    let mut selves = 0;
    for level in &graph.levels {
        assert!(level.values.len() >= 4 && level.values.len() % 4 == 0, "{graph:?}");
        let (mut end, mut boxes) = (0, Vec::new());
        for node in level.values.chunks(4) {
            let start = end + node[0];
            end = start + node[1];
            selves += node[2];
            assert!(above.iter().any(|&(from, to)| from <= start && end <= to), "{node:?} hangs in the air: {graph:?}");
            assert!((node[3] as usize) < graph.names.len(), "{graph:?}");
            boxes.push((start, end));
        }
        above = boxes;
    }
    assert_eq!(selves, graph.total, "{graph:?}");
}

#[test]
fn saving_the_data_source_succeeds_before_there_is_data() {
    let shop = Shop::open();
    // From 1000 to 4000 ms after the epoch: the bytes that the health check sends.
    let types: wire::ProfileTypesResponse = shop.call("ProfileTypes", &[0x08, 0xe8, 0x07, 0x10, 0xa0, 0x1f]);
    assert_eq!(types.profile_types, []);
}

#[test]
fn editors_are_filled_with_types_names_and_values() {
    let shop = Shop::open();
    let hour = 3_600_000;
    let range = [number(1, (shop.at - hour) as u64), number(2, (shop.at + hour) as u64)].concat();
    let types: wire::ProfileTypesResponse = shop.call("ProfileTypes", &range);
    assert_eq!(types.profile_types.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), [CPU]);

    let range = [number(2, shop.from() as u64), number(3, shop.until() as u64)].concat();
    for matcher in ["{}", r#"{__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds"}"#] {
        let body = [field(1, matcher.as_bytes()), range.clone()].concat();
        let plain: types::LabelNamesResponse = shop.call("LabelNames", &body);
        assert!(plain.names.iter().any(|name| name == "region"), "{matcher}: {plain:?}");
        assert!(!plain.names.iter().any(|name| name == "k8s.pod"), "{matcher}: {plain:?}");
        let utf8 = "Accept: */*; allow-utf8-labelnames=true";
        let all: types::LabelNamesResponse = shop.call_with("LabelNames", &[utf8], &body);
        assert!(all.names.iter().any(|name| name == "k8s.pod"), "{matcher}: {all:?}");
    }

    let range = [number(3, shop.from() as u64), number(4, shop.until() as u64)].concat();
    for (label, expected) in [("region", &["eu"][..]), ("service_name", &["shop"]), ("no_such_label", &[])] {
        let body = [field(1, label.as_bytes()), field(2, b"{}"), range.clone()].concat();
        let values: types::LabelValuesResponse = shop.call("LabelValues", &body);
        assert_eq!(values.names, expected, "{label}");
    }
}

#[test]
fn a_metrics_query_gets_sums_for_each_step() {
    let shop = Shop::open();
    let total = (35 * SAMPLE_NANOS) as f64;

    let all = shop.series(EXEMPLARS_NONE, &[]).series;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].labels, []);
    assert_eq!(all[0].points.len(), 1, "steps without data have no point");
    assert_eq!(sum(&all[0]), total);
    assert_eq!(all[0].points[0].exemplars, []);

    let grouped = shop.series(EXEMPLARS_INDIVIDUAL, &[field(5, b"region"), number(9, 10)].concat()).series;
    assert_eq!(grouped.len(), 1);
    assert_eq!(grouped[0].labels, [types::LabelPair { name: "region".into(), value: "eu".into() }]);
    assert_eq!(sum(&grouped[0]), total);
    let exemplar = &grouped[0].points[0].exemplars[0];
    assert_eq!(exemplar.value as f64, total);

    // The exemplar's id is a link to its profile.
    let one = shop.flamegraph("{}", &field(8, exemplar.profile_id.as_bytes()));
    assert_eq!(one.total as f64, total);
}

#[test]
fn a_profile_query_gets_a_graph_that_can_be_drawn() {
    let shop = Shop::open();
    for selector in ["{}", r#"{service_name="shop", region=~"e.*"}"#] {
        let graph = shop.flamegraph(selector, &number(5, 16_384));
        assert_is_drawable(&graph);
        assert_eq!(graph.total, 35 * SAMPLE_NANOS);
        assert_eq!(graph.max_self, 30 * SAMPLE_NANOS);
    }
    let cut = shop.flamegraph("{}", &number(5, 1));
    assert_is_drawable(&cut);
    assert!(cut.names.iter().any(|name| name == "other"), "progressive loading looks for that name: {cut:?}");
    assert_is_drawable(&shop.flamegraph("{}", &number(5, 1 << 20)));
}

#[test]
fn a_query_without_data_gets_a_graph_of_one_level() {
    let shop = Shop::open();
    let graph = shop.flamegraph(r#"{service_name="nothing"}"#, &[]);
    assert_eq!(graph.names, ["total"]);
    assert_eq!(graph.levels.iter().map(|level| level.values.clone()).collect::<Vec<_>>(), [[0, 0, 0, 0]]);
}

#[test]
fn fields_of_newer_plugins_are_used_or_passed_over() {
    let shop = Shop::open();
    let site = |name: &str| field(1, &field(1, name.as_bytes()));
    let below_main = shop.flamegraph("{}", &field(7, &[site("main"), site("work")].concat()));
    assert_eq!(below_main.total, 30 * SAMPLE_NANOS);
    // A filter of frames, which no released server knows, and a field that nobody knows yet.
    let filter = [field(1, b"main"), field(4, b"^runtime")].concat();
    let newer = [field(7, &field(3, &filter)), field(4000, b"from the future"), number(6, 4711)].concat();
    assert_eq!(shop.flamegraph("{}", &newer).total, 35 * SAMPLE_NANOS);
    let of_a_trace = shop.flamegraph("{}", &field(10, b"0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(of_a_trace.total, 0);
}

#[test]
fn queries_of_spans_and_heatmaps_are_answered() {
    let shop = Shop::open();
    let spans = [
        field(1, CPU.as_bytes()),
        field(2, b"{}"),
        field(3, b"b7ad6b7169203331"),
        number(4, shop.from() as u64),
        number(5, shop.until() as u64),
    ];
    let answer: wire::SelectMergeSpanProfileResponse = shop.call("SelectMergeSpanProfile", &spans.concat());
    assert_is_drawable(&answer.flamegraph.expect("a flame graph"));
    let newer = shop.flamegraph("{}", &field(11, b"b7ad6b7169203331"));
    assert_is_drawable(&newer);

    for (kind, profiles) in [(1, 1), (2, 0)] {
        let heatmap = [shop.query(CPU, "{}"), double(5, 15.0), number(7, kind), number(8, EXEMPLARS_NONE)];
        let heatmap: wire::SelectHeatmapResponse = shop.call("SelectHeatmap", &heatmap.concat());
        let counts = heatmap.series.iter().flat_map(|series| &series.slots).flat_map(|slot| &slot.counts);
        assert_eq!(counts.sum::<i32>(), profiles, "{heatmap:?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_json_with_the_status_of_its_code() {
    let shop = Shop::open();
    let tenant = format!("X-Scope-OrgID: {TENANT}");
    let good = shop.query(CPU, "{}");
    for (what, headers, body, status, code) in [
        ("no tenant", &[][..], &good, 401, "unauthenticated"),
        ("a broken selector", &[tenant.as_str()], &shop.query(CPU, "{a="), 400, "invalid_argument"),
        ("a type of 3 parts", &[tenant.as_str()], &shop.query("a:b:c", "{}"), 400, "invalid_argument"),
    ] {
        let answer = shop.ask("SelectMergeStacktraces", headers, body);
        assert_eq!(answer.status(), status, "{what}: {}", text(&answer));
        assert_eq!(answer.headers()["content-type"], "application/json", "{what}");
        let error: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(error["code"], code, "{what}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {error}");
    }
}
