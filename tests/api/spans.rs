//! Spans: what ran in each, and how much that was.

use flamestore_clock::{Clock, SystemClock};
use flamestore_pprof::encode::{Label, Writer};
use flamestore_tests::Server;
use flamestore_tests::client::{CPU, Client};
use serde_json::{Value, json};

const SEVEN: &str = "00000000000000a7";
const THREE: &str = "00000000000000b3";
const TRACE: &str = "0123456789abcdef0123456789abcdef";

/// Two spans with 7 and 3 ns, one of them of a trace, and 90 ns outside of any.
fn push(client: &Client, time_nanos: i64) {
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.period("cpu", "nanoseconds", 1);
    writer.time_nanos(time_nanos);
    let (main, one, other) = (writer.frame("main"), writer.frame("one"), writer.frame("other"));
    let span = |text| Label::Text { key: "span_id", text };
    let trace = Label::Text { key: "trace_id", text: TRACE };
    writer.sample(&[one, main], &[4], &[span(SEVEN), trace]);
    writer.sample(&[other, main], &[3], &[span(SEVEN), trace]);
    writer.sample(&[one, main], &[3], &[span(THREE)]);
    writer.sample(&[main], &[90], &[]);
    let reply = client.post("/ingest?name=traced&format=pprof", "application/octet-stream", &[], &writer.finish());
    assert_eq!(reply.expect("an answer").0, 200);
}

fn heatmap(client: &Client, now: i64, query_type: &str, exemplar_type: &str) -> Value {
    client.call(
        "querier.v1.QuerierService/SelectHeatmap",
        &json!({
            "profileTypeID": CPU, "labelSelector": "{service_name=\"traced\"}", "step": 60,
            "start": (now - 600) * 1000, "end": (now + 60) * 1000,
            "queryType": query_type, "exemplarType": exemplar_type,
        }),
    )
}

#[test]
fn spans_are_counted_by_their_value_before_and_after_a_flush() {
    let mut server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    push(&server.client(), now * 1_000_000_000);
    let of_spans = heatmap(&server.client(), now, "HEATMAP_QUERY_TYPE_SPAN", "EXEMPLAR_TYPE_SPAN");
    let slot = &of_spans["series"][0]["slots"][0];
    let edges = [3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6];
    assert_eq!(slot["yMin"], json!(edges), "{of_spans}");
    let counts: Vec<u64> = (0..20).map(|i| slot["counts"][i].as_u64().expect("a count")).collect();
    assert_eq!((counts[4], counts[19], counts.iter().sum::<u64>()), (1, 1, 2), "{of_spans}");
    let exemplar = |i: usize| {
        let e = &slot["exemplars"][i];
        [&e["spanId"], &e["traceId"], &e["value"], &e["profileId"]].map(|v| v.as_str().unwrap_or("").to_owned())
    };
    assert_eq!(exemplar(0), [THREE, "", "3", ""]);
    assert_eq!(exemplar(1), [SEVEN, TRACE, "7", ""]);

    let of_profiles = heatmap(&server.client(), now, "HEATMAP_QUERY_TYPE_INDIVIDUAL", "EXEMPLAR_TYPE_INDIVIDUAL");
    assert_eq!(of_profiles["series"][0]["slots"][0]["exemplars"][0]["value"], "100", "{of_profiles}");

    server.stop();
    server.start_again();
    assert_eq!(heatmap(&server.client(), now, "HEATMAP_QUERY_TYPE_SPAN", "EXEMPLAR_TYPE_SPAN"), of_spans);
}

#[test]
fn exemplars_of_another_kind_than_what_is_counted_are_refused() {
    let server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000;
    let base = json!({
        "profileTypeID": CPU, "labelSelector": "{}", "step": 60, "start": now - 1000, "end": now,
        "exemplarType": "EXEMPLAR_TYPE_SPAN",
    });
    for (method, query_type) in [("SelectHeatmap", "HEATMAP_QUERY_TYPE_INDIVIDUAL"), ("SelectSeries", "")] {
        let mut body = base.clone();
        body["queryType"] = query_type.into();
        let path = format!("/querier.v1.QuerierService/{method}");
        let (status, text) =
            server.client().post(&path, "application/json", &[], body.to_string().as_bytes()).expect("an answer");
        assert_eq!(status, 400, "{method}: {text}");
        assert!(text.contains("exemplar_type"), "{text}");
    }
}
