//! A second signal to a server that is stopping and waits for somebody who does not come to an end.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::{Server, until};

#[test]
fn a_second_signal_ends_the_stop_and_nothing_that_was_acknowledged_is_lost() {
    let mut server = Server::start(&[]);
    let clock = SystemClock::default();
    let now = clock.now_millis() / 1000;
    let (status, text) = server.client().push_folded("svc", now - 10, "main;work 5\n").expect("an answer");
    assert_eq!(status, 200, "{text}");
    let mut slow = TcpStream::connect(server.http()).expect("a connection");
    let head = "POST /ingest?name=slow HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nbegun";
    slow.write_all(head.as_bytes()).expect("a part of a request");
    let under_way = "pyroscope_inflight_requests{method=\"POST\",route=\"ingest\"} 1";
    until("the request", || {
        let metrics = server.client().get("/metrics").expect("metrics");
        if metrics.lines().any(|line| line == under_way) { Ok(()) } else { Err(metrics) }
    });
    let asked = clock.monotonic_nanos();
    let done = Command::new("kill").arg(server.pid().to_string()).status().expect("kill runs");
    assert!(done.success());
    until("the stop", || server.log().contains("msg=\"stopping\"").then_some(()).ok_or_else(|| server.log()));
    assert!(!server.has_ended(), "it waits for what is under way:\n{}", server.log());
    server.stop();
    let took = Duration::from_nanos(clock.monotonic_nanos() - asked);
    assert!(took < Duration::from_secs(15), "{took:?}:\n{}", server.log());
    assert!(server.log().contains("stopped at once"), "{}", server.log());
    server.start_again();
    let found = server.client().cpu("{service_name=\"svc\"}", now - 60, now + 60);
    assert_eq!(found.self_values.get("work"), Some(&50_000_000), "{found:?}");
}

#[test]
fn ready_turns_red_before_anybody_is_turned_away() {
    let mut server = Server::start(&["-shutdown-delay=1h"]);
    let client = server.client();
    client.get("/ready").expect("ready");
    let done = Command::new("kill").arg(server.pid().to_string()).status().expect("kill runs");
    assert!(done.success());
    let text = until("the stop", || match client.try_get("/ready") {
        Ok((503, text)) => Ok(text),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(text, "process: stopping\n");
    let now = SystemClock::default().now_millis() / 1000;
    let (status, text) = client.push_folded("svc", now - 10, "main;work 5\n").expect("an answer");
    assert_eq!(status, 200, "load balancers need a moment: {text}");
    server.stop();
}
