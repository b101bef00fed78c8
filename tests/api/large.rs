//! Values near the largest number that there is: sums of them stop there, in every answer, and never become negative.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::client::Client;
use serde_json::{Value, json};

const TYPE: &str = "memory:inuse_objects:count::";
const QUERIER: &str = "querier.v1.QuerierService";
const MAX: &str = "9223372036854775807";

fn ask(client: &Client, method: &str, now: i64, more: &Value) -> Value {
    let mut body = json!({
        "start": (now - 600) * 1000, "end": (now + 60) * 1000, "profileTypeID": TYPE, "labelSelector": "{}",
    });
    for (key, value) in more.as_object().expect("fields") {
        body[key] = value.clone();
    }
    client.call(&format!("{QUERIER}/{method}"), &body)
}

/// Whether a number anywhere in an answer has a minus.
fn is_negative(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|n| n < 0.0),
        Value::String(text) => text.parse::<i64>().is_ok_and(|n| n < 0),
        Value::Array(list) => list.iter().any(is_negative),
        Value::Object(fields) => fields.values().any(is_negative),
        Value::Null | Value::Bool(_) => false,
    }
}

fn answers(client: &Client, now: i64) -> Vec<(&'static str, Value)> {
    let side = json!({
        "start": (now - 600) * 1000, "end": (now + 60) * 1000, "profileTypeID": TYPE, "labelSelector": "{}",
    });
    let page = format!("/pyroscope/render?query={TYPE}%7B%7D&from={}&until={}", now - 600, now + 60);
    vec![
        ("graph", ask(client, "SelectMergeStacktraces", now, &json!({}))),
        ("cut graph", ask(client, "SelectMergeStacktraces", now, &json!({ "maxNodes": 1 }))),
        ("functions", ask(client, "SelectMergeStacktraces", now, &json!({ "format": "PROFILE_FORMAT_FUNCTIONS" }))),
        ("dot", ask(client, "SelectMergeStacktraces", now, &json!({ "format": "PROFILE_FORMAT_DOT" }))),
        ("pprof", ask(client, "SelectMergeProfile", now, &json!({}))),
        (
            "series",
            ask(client, "SelectSeries", now, &json!({ "step": 3600, "start": (now - 3600) * 1000, "end": now * 1000 })),
        ),
        ("heatmap", ask(client, "SelectHeatmap", now, &json!({ "step": 60, "queryType": 1 }))),
        ("diff", ask(client, "Diff", now, &json!({ "left": side, "right": side }))),
        ("page", serde_json::from_str(&client.get(&page).expect("a page")).expect("JSON")),
    ]
}

#[test]
fn sums_of_huge_values_stop_at_the_largest_number() {
    let mut server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    for (at, stacks) in
        [(30, format!("a;b {MAX}\n")), (20, format!("a;b {MAX}\na;c {MAX}\n")), (10, "a;d 5\n".to_owned())]
    {
        let path = format!("/ingest?name=huge.inuse_objects&from={}", now - at);
        let pushed = server.client().post(&path, "text/plain", &[], stacks.as_bytes());
        assert_eq!(pushed.expect("an answer").0, 200);
    }
    let of_head = answers(&server.client(), now);
    for (what, answer) in &of_head {
        assert!(!is_negative(answer), "{what}: {answer}");
    }
    let find = |name: &str| of_head.iter().find(|(what, _)| *what == name).map(|(_, answer)| answer).expect("asked");
    assert_eq!(find("graph")["flamegraph"]["total"], MAX);
    assert_eq!(find("graph")["flamegraph"]["maxSelf"], MAX);
    assert_eq!(find("functions")["functions"]["total"], MAX);
    assert_eq!(find("diff")["flamegraph"]["leftTicks"], MAX);
    assert!(find("pprof")["sample"].as_array().expect("samples").iter().any(|s| s["value"][0] == MAX));
    // A series is in floating point, which goes further.
    let points = find("series")["series"][0]["points"].as_array().expect("points");
    assert!(points.iter().any(|p| p["value"].as_f64().is_some_and(|v| v >= 2f64.powi(64))), "{points:?}");

    // As blocks sum up, and as they do without their roll-ups.
    server.stop();
    server.start_again();
    assert_eq!(answers(&server.client(), now), of_head);
}
