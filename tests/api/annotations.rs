//! What points tell of profiles that stand for others; and profiles that are kept without their stacks.

use std::fs;

use flamestore_clock::{Clock, SystemClock};
use flamestore_proto::querier::v1::SelectSeriesResponse;
use flamestore_tests::Server;
use flamestore_tests::client::{CPU, Client};
use prost::Message;
use serde_json::{Value, json};

use super::limits::{PUSH, push_of};

/// Nearly all of `most` is kept, nothing of `none`; every push passes a quota that is used up for `full`.
const LIMITS: &str = r#"
limits:
  distributor_usage_groups:
    most: '{ns="most"}'
    none: '{ns="none"}'
    full: '{ns="full"}'
  distributor_sampling:
    usage_groups: { most: { probability: 0.999999999 }, none: { probability: 0 } }
  ingestion_limit:
    period_type: day
    limit_reset_time: 4102444800
    usage_groups: { full: { period_limit_mb: 7, limit_reached: true } }
    sampling: { num_requests: 1000, period: 1m }
"#;

/// Far more than the test takes, with all its restarts.
const HOUR_MS: i64 = 3_600_000;

const SERIES: &str = "querier.v1.QuerierService/SelectSeries";

fn start(more: &str) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.yaml");
    fs::write(&file, format!("{LIMITS}{more}")).expect("a configuration");
    (Server::start(&[&format!("-config.file={}", file.display())]), dir)
}

fn push(client: &Client, ns: &str) {
    let body = push_of(&json!({"labels": {"ns": ns}, "samples": 3, "depth": 2}));
    let (status, text) = client.post(PUSH, "application/proto", &[], &body).expect("an answer");
    assert_eq!(status, 200, "{text}");
}

fn now_ms() -> i64 {
    SystemClock::default().now_millis()
}

/// One point with everything of the last hour.
fn question(selector: &str) -> Value {
    let now = now_ms() + 1000;
    json!({"profileTypeID": CPU, "labelSelector": selector, "start": now - HOUR_MS, "end": now, "step": HOUR_MS / 1000})
}

/// Key and value of each annotation of all points.
fn annotations(client: &Client, selector: &str) -> Vec<(String, Value)> {
    let answer = client.call(SERIES, &question(selector));
    let points = answer["series"][0]["points"].as_array().cloned().unwrap_or_default();
    assert_eq!(points.len(), 1, "{answer}");
    let of = |a: &Value| {
        let text = |name: &str| a[name].as_str().expect("a text").to_owned();
        (text("key"), serde_json::from_str(&text("value")).expect("JSON"))
    };
    points[0]["annotations"].as_array().into_iter().flatten().map(of).collect()
}

#[test]
fn points_say_what_sampling_and_quotas_did_in_the_head_after_a_crash_and_in_blocks() {
    let (mut server, _dir) = start("");
    for ns in ["most", "most", "full", "plain"] {
        push(&server.client(), ns);
    }
    let sampled = (
        "pyroscope.ingest.sampled".to_owned(),
        json!({"body": {"source": {"usageGroup": "most", "probability": 0.999999999}}}),
    );
    let throttled = (
        "pyroscope.ingest.throttled".to_owned(),
        json!({"body": {
            "periodType": "day", "periodLimitMb": 7, "limitResetTime": 4_102_444_800_i64,
            "samplingPeriodSec": 60, "samplingRequests": 1000, "usageGroup": "full",
        }}),
    );
    let look = |server: &Server, whence: &str| {
        let client = server.client();
        assert_eq!(annotations(&client, "{ns=\"plain\"}"), [], "{whence}");
        assert_eq!(
            annotations(&client, "{ns=\"most\"}"),
            std::slice::from_ref(&sampled),
            "{whence}: once, of two profiles"
        );
        assert_eq!(annotations(&client, "{ns=\"full\"}"), std::slice::from_ref(&throttled), "{whence}");
        assert_eq!(
            annotations(&client, "{}"),
            [sampled.clone(), throttled.clone()],
            "{whence}: of all profiles of the point"
        );
    };
    look(&server, "head");
    server.kill();
    server.start_again();
    look(&server, "log");
    server.stop();
    server.start_again();
    look(&server, "block");

    // In protobuf too.
    let now = now_ms() + 1000;
    let request = flamestore_proto::querier::v1::SelectSeriesRequest {
        profile_type_id: CPU.into(),
        label_selector: "{ns=\"most\"}".into(),
        start: now - HOUR_MS,
        end: now,
        step: 3600.0,
        ..Default::default()
    };
    let body = request.encode_to_vec();
    let answer = server.client().exchange(&format!("/{SERIES}"), "application/proto", &[], &body).expect("an answer");
    let answer = SelectSeriesResponse::decode(&answer.body()[..]).expect("a response");
    let annotation = &answer.series[0].points[0].annotations[0];
    assert_eq!((&annotation.key, annotation.value.is_empty()), (&sampled.0, false));
}

#[test]
fn what_sampling_drops_is_kept_without_stacks_and_shown_only_to_who_asks_for_it() {
    let total = |client: &Client, selector: &str| {
        let now = now_ms() / 1000;
        client.cpu(selector, now - HOUR_MS / 1000, now + 1)
    };
    let values = |client: &Client, label: &str| {
        let now = now_ms();
        let body = json!({"name": label, "matchers": [], "start": now - HOUR_MS, "end": now + 1000});
        client.call("querier.v1.QuerierService/LabelValues", &body)["names"].clone()
    };

    let (mut server, _dir) = start("  keep_stripped_profiles: true\n");
    push(&server.client(), "none");
    push(&server.client(), "plain");
    for whence in ["head", "block"] {
        let client = server.client();
        assert_eq!(total(&client, "{}").total, 60_000_000, "{whence}: only the whole one");
        assert_eq!(total(&client, "{ns=\"none\"}").total, 0, "{whence}");
        assert_eq!(values(&client, "ns"), json!(["plain"]), "{whence}");
        assert_eq!(values(&client, "__sampled__"), Value::Null, "{whence}");
        assert_eq!(client.call(SERIES, &question("{ns=\"none\"}")), json!({}), "{whence}");
        server.stop();
        server.start_again();
    }

    let (mut server, _dir) = start("  keep_stripped_profiles: true\n  include_stripped_profiles: true\n");
    push(&server.client(), "none");
    push(&server.client(), "plain");
    for whence in ["head", "log"] {
        let client = server.client();
        assert_eq!(total(&client, "{}").total, 120_000_000, "{whence}");
        let stripped = total(&client, "{ns=\"none\"}");
        let frames: Vec<_> = stripped.totals.into_iter().collect();
        assert_eq!(frames, [("[stripped]".to_owned(), 60_000_000)], "{whence}");
        assert_eq!(values(&client, "__sampled__"), json!(["true"]), "{whence}");
        let series = client.call(SERIES, &question("{__sampled__=\"true\"}"));
        assert_eq!(series["series"][0]["points"][0]["value"].as_f64(), Some(6e7), "{whence}: {series}");
        server.kill();
        server.start_again();
    }
}
