//! What queries may take of the server: they wait for their turn, and what is too much is refused.

use std::collections::BTreeMap;
use std::thread;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::CPU;
use flamestore_tests::{Server, until};
use serde_json::json;

const CALLERS: usize = 8;
const CALLS: usize = 12;

/// How often each status was answered to callers that all ask at once, and a text of each.
fn flood(server: &Server, now: i64) -> BTreeMap<u16, (usize, String)> {
    let body = json!({
        "start": (now - 60) * 1000, "end": (now + 60) * 1000, "profileTypeID": CPU, "labelSelector": "{}",
    })
    .to_string();
    let call = || {
        let client = server.client();
        let path = "/querier.v1.QuerierService/SelectMergeProfile";
        (0..CALLS).map(|_| client.post(path, "application/json", &[], body.as_bytes()).expect("an answer")).collect()
    };
    let mut seen: BTreeMap<u16, (usize, String)> = BTreeMap::new();
    let replies: Vec<Vec<(u16, String)>> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().expect("a caller")).collect()
    });
    for (status, text) in replies.into_iter().flatten() {
        let known = seen.entry(status).or_insert((0, text));
        known.0 += 1;
    }
    seen
}

fn push(server: &Server, now: i64) {
    let stacks: String = (0..400).map(|i| format!("main;handler_{};work_{i} 1\n", i % 50)).collect();
    assert_eq!(server.client().push_folded("busy", now, &stacks).expect("an answer").0, 200);
}

#[test]
fn queries_wait_for_their_turn() {
    let server = Server::start(&["-querier.max-concurrent=1"]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    push(&server, now);
    let seen = flood(&server, now);
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&200], "{seen:?}");
    let metrics = server.client().get("/metrics").expect("metrics");
    let waited = metrics.lines().find(|l| l.starts_with("pyroscope_query_scheduler_queue_duration_seconds_count"));
    let waited: u64 = waited.and_then(|l| l.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("a number");
    assert!(waited >= (CALLERS * CALLS) as u64, "{waited}");
    assert!(metrics.contains("pyroscope_query_scheduler_queue_length 0"), "{metrics}");
}

#[test]
fn more_queries_than_may_wait_are_refused_with_the_names_of_the_keys() {
    let server = Server::start(&["-querier.max-concurrent=1", "-querier.max-queued=0"]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    push(&server, now);
    // Two that ask at the same time may still be served one after the other.
    let seen = until("a refusal", || {
        let seen = flood(&server, now);
        if seen.contains_key(&503) { Ok(seen) } else { Err(format!("{seen:?}")) }
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&200, &503], "{:?}", seen.keys());
    let (_, text) = &seen[&503];
    assert!(text.contains("querier.max_queued") && text.contains("frontend_worker.max_concurrent"), "{text}");
    assert!(text.contains("unavailable"), "{text}");
}

#[test]
fn a_query_that_would_take_too_much_memory_is_refused_with_the_name_of_the_key() {
    let server = Server::start(&["-querier.max-query-bytes=10000"]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    push(&server, now);
    let ask = |method: &str| {
        let body = json!({
            "start": (now - 60) * 1000, "end": (now + 60) * 1000, "profileTypeID": CPU, "labelSelector": "{}", "step": 15,
        });
        let path = format!("/querier.v1.QuerierService/{method}");
        server.client().post(&path, "application/json", &[], body.to_string().as_bytes()).expect("an answer")
    };
    for method in ["SelectMergeStacktraces", "SelectMergeProfile"] {
        let (status, text) = ask(method);
        assert_eq!(status, 400, "{method}: {text}");
        assert!(text.contains("querier.max_query_bytes"), "{method}: {text}");
    }
    assert_eq!(ask("SelectSeries").0, 200);
}
