//! What a query has read is in its answer and in the metrics.

use std::collections::BTreeMap;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::client::CPU;
use serde_json::json;

/// The flame graph of everything about now, and what the answer says that it has read.
fn ask(server: &Server, now: i64) -> (Vec<u8>, BTreeMap<String, u64>) {
    let body = json!({
        "start": (now - 60) * 1000, "end": (now + 60) * 1000, "profileTypeID": CPU, "labelSelector": "{}",
    });
    let path = "/querier.v1.QuerierService/SelectMergeStacktraces";
    let answer = server.client().exchange(path, "application/json", &[], body.to_string().as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let header = answer.headers().get("x-flamestore-query-stats").expect("what was read");
    let numbers = header.to_str().expect("text").split(", ").map(|pair| {
        let (name, number) = pair.split_once('=').expect("a name and a number");
        (name.to_owned(), number.parse().expect("a number"))
    });
    let numbers = numbers.collect();
    (answer.into_body(), numbers)
}

#[test]
fn an_answer_says_what_was_read_for_it_and_the_metrics_sum_it_up() {
    let mut server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let stacks: String = (0..400).map(|i| format!("main;handler_{};work_{i} 1\n", i % 50)).collect();
    assert_eq!(server.client().push_folded("read", now, &stacks).expect("an answer").0, 200);
    let (head, of_heads) = ask(&server, now);
    assert_eq!((of_heads["blocks"], of_heads["requests"]), (0, 0));
    server.stop();
    server.start_again();

    let (cold, first) = ask(&server, now);
    assert_eq!(first["blocks"], 1, "{first:?}");
    assert!(first["cached-blocks"] == 0 && first["requests"] > 0 && first["bytes"] > 0, "{first:?}");
    let (warm, second) = ask(&server, now);
    assert_eq!((second["blocks"], second["cached-blocks"], second["requests"]), (1, 1, 0), "{second:?}");
    assert_eq!((&head, &head), (&cold, &warm));

    let metrics = server.client().get("/metrics").expect("metrics");
    let sum = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(sum("flamestore_query_bucket_requests_sum"), first["requests"] as f64);
    assert_eq!(sum("flamestore_query_bucket_bytes_sum"), first["bytes"] as f64);
    assert_eq!(sum("flamestore_query_cache_hits_total{cache=\"results\"}"), 1.0);
    assert_eq!(sum("flamestore_query_cache_lookups_total{cache=\"results\"}"), 2.0);
}
