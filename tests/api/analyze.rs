//! What a query costs, told before it runs.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::client::{CPU, Client};
use serde_json::{Value, json};

fn analyze(client: &Client, query: &str, now: i64) -> Value {
    client.call(
        "querier.v1.QuerierService/AnalyzeQuery",
        &json!({ "query": query, "start": (now - 60) * 1000, "end": (now + 60) * 1000 }),
    )
}

/// Blocks, series, profiles and samples of a scope.
fn figures(answer: &Value, scope: &str) -> [u64; 4] {
    let scopes = answer["queryScopes"].as_array().expect("scopes");
    let found = scopes.iter().find(|s| s["componentType"] == scope).expect("the scope");
    ["blockCount", "seriesCount", "profileCount", "sampleCount"]
        .map(|name| found[name].as_str().map_or(0, |n| n.parse().expect("a number")))
}

fn push(client: &Client, now: i64) {
    for (service, second, stacks) in [("one", 0, "main;a 1\nmain;b 2\n"), ("one", 1, "main;a 5\n"), ("two", 0, "x 1\n")]
    {
        assert_eq!(client.push_folded(service, now + second, stacks).expect("an answer").0, 200);
    }
}

#[test]
fn the_cost_of_a_query_is_told_in_heads_and_in_blocks() {
    let mut server = Server::start(&["-querier.query-analysis-series-enabled=true"]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000 - 5;
    push(&server.client(), now);
    let one = format!("{CPU}{{service_name=\"one\"}}");
    let answer = analyze(&server.client(), &one, now);
    assert_eq!(figures(&answer, "Short term"), [1, 1, 2, 3], "{answer}");
    assert_eq!(figures(&answer, "Long term"), [0, 0, 0, 0], "{answer}");
    assert_eq!(answer["queryImpact"]["totalQueriedSeries"], "1", "{answer}");
    assert_eq!(figures(&analyze(&server.client(), "{}", now), "Short term"), [2, 2, 3, 4]);

    server.stop();
    server.start_again();
    let answer = analyze(&server.client(), &one, now);
    assert_eq!(figures(&answer, "Short term"), [0, 0, 0, 0], "{answer}");
    assert_eq!(figures(&answer, "Long term"), [1, 1, 2, 3], "{answer}");
    let bytes = |answer: &Value| -> u64 {
        let total = answer["queryImpact"]["totalBytesInTimeRange"].as_str().expect("bytes");
        total.parse().expect("a number")
    };
    let both = analyze(&server.client(), "{}", now);
    assert_eq!(figures(&both, "Long term"), [1, 2, 3, 4], "{both}");
    assert!(0 < bytes(&answer) && bytes(&answer) < bytes(&both), "{answer} of {both}");
    let none = analyze(&server.client(), "{service_name=\"nobody\"}", now);
    assert_eq!((figures(&none, "Long term"), figures(&none, "Short term")), ([0; 4], [0; 4]), "{none}");
}

#[test]
fn series_are_counted_and_costs_told_only_where_the_limits_say_so() {
    let now = SystemClock::default().now_nanos() / 1_000_000_000 - 5;
    let without_series = Server::start(&[]);
    push(&without_series.client(), now);
    let answer = analyze(&without_series.client(), "{service_name=\"one\"}", now);
    assert_eq!(figures(&answer, "Short term"), [1, 1, 2, 3], "{answer}");
    assert_eq!(answer["queryImpact"].get("totalQueriedSeries"), None, "{answer}");
    let off = Server::start(&["-querier.query-analysis-enabled=false"]);
    assert_eq!(analyze(&off.client(), "{}", now), json!({}));
}
