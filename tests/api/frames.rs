//! Frame filters: which stacks count, whoever answers and whatever the form.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::{CPU, Client, Flame};
use flamestore_tests::{Server, files};
use serde_json::{Value, json};

const STACKS: &str = "main;serve;json.Encode 5\nmain;serve;db.Query 7\nmain;gc 11\nidle 13\n";
/// Nanoseconds of one sample of a folded push.
const SAMPLE: i64 = 10_000_000;

fn request(now: i64, filter: &Value) -> Value {
    json!({
        "profileTypeID": CPU, "labelSelector": "{}", "start": (now - 60) * 1000, "end": (now + 60) * 1000,
        "stackTraceSelector": {"frameFilter": filter},
    })
}

/// What the filter leaves, in samples: of the flame graph, the merged profile and the series.
fn totals(client: &Client, now: i64, filter: &Value) -> [i64; 3] {
    let ask = |method: &str, more: Value| {
        let mut body = request(now, filter);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.call(&format!("querier.v1.QuerierService/{method}"), &body)
    };
    let number = |v: &Value| v.as_str().unwrap_or("0").parse::<i64>().unwrap();
    let graph = Flame::read(&ask("SelectMergeStacktraces", json!({}))["flamegraph"]);
    let profile = ask("SelectMergeProfile", json!({}));
    let samples = profile["sample"].as_array().into_iter().flatten();
    let series = ask("SelectSeries", json!({"step": 1}));
    let points = series["series"].as_array().into_iter().flatten().flat_map(|s| s["points"].as_array().unwrap());
    [
        graph.total / SAMPLE,
        samples.map(|s| number(&s["value"][0])).sum::<i64>() / SAMPLE,
        points.map(|p| p["value"].as_f64().unwrap()).sum::<f64>() as i64 / SAMPLE,
    ]
}

#[test]
fn filtered_answers_agree_before_and_after_a_restart() {
    let mut server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    assert_eq!(server.client().push_folded("frames", now, STACKS).unwrap().0, 200);
    let cases = [
        (json!({}), 36),
        (json!({"include": ["serve"]}), 12),
        (json!({"include": ["json.Encode", "gc"]}), 16),
        (json!({"exclude": ["gc", "idle"]}), 12),
        (json!({"include": ["main"], "exclude": ["db.Query"]}), 16),
        (json!({"includeRegex": ["^json\\."]}), 5),
        (json!({"include": ["idle"], "include_regex": ["^json\\."]}), 18),
        (json!({"excludeRegex": ["ma.n"]}), 13),
        (json!({"include": ["nowhere"]}), 0),
    ];
    for round in ["in memory", "in a block"] {
        for (filter, total) in &cases {
            assert_eq!(totals(&server.client(), now, filter), [*total; 3], "{round}: {filter}");
        }
        if round == "in memory" {
            server.stop();
            let flushed = files(&server.bucket()).iter().any(|f| f.ends_with("samples.parquet"));
            assert!(flushed, "stopping writes a block");
            server.start_again();
        }
    }
}

#[test]
fn an_expression_that_is_none_is_refused_by_field() {
    let server = Server::start(&[]);
    let body = request(1_700_000_000, &json!({"includeRegex": ["("]})).to_string();
    let path = "/querier.v1.QuerierService/SelectMergeStacktraces";
    let (status, text) = server.client().post(path, "application/json", &[], body.as_bytes()).unwrap();
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("frame_filter.include_regex"), "{text}");
}
