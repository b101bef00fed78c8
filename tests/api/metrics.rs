//! Metrics of what happens now.

use std::io::Write;
use std::net::TcpStream;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::{Server, until};

#[test]
fn what_is_open_and_under_way_is_seen_and_so_is_what_came_and_went() {
    let server = Server::start(&[]);
    let now = SystemClock::default().now_millis();
    let (status, text) =
        server.client().push_folded("svc", now / 1000, "main;work 5\nmain;idle 2\n").expect("an answer");
    assert_eq!(status, 200, "{text}");
    // Nothing is deleted, but what is in memory is flushed.
    let none = format!("/api/v1/delete?query=%7Bpod%3D%22none%22%7D&from=1&until={now}");
    server.client().post(&none, "text/plain", &[], b"").expect("an answer");
    let mut open = TcpStream::connect(server.http()).expect("a connection");
    let head = "POST /push.v1.PusherService/Push HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: 9\r\n\r\n";
    open.write_all(head.as_bytes()).expect("a part of a request");
    let wanted = [
        "pyroscope_inflight_requests{method=\"POST\",route=\"push_v1_pusherservice_push\"} 1",
        "pyroscope_distributor_parse_duration_seconds_count 1",
        "pyroscope_head_profiles_created_total{profile_name=\"process_cpu\"} 1",
        "pyroscope_head_received_sample_values_total{profile_name=\"process_cpu\"} 2",
        "pyroscope_head_ingested_sample_values_total{profile_name=\"process_cpu\"} 2",
    ];
    until("what happens now", || {
        let metrics = server.client().get("/metrics").expect("metrics");
        let number = |name: &str| metrics.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<f64>().ok());
        let mut missing: Vec<&str> =
            wanted.iter().filter(|line| !metrics.lines().any(|l| l == **line)).copied().collect();
        let above = |name: &str, least: f64| number(name).is_some_and(|n| n >= least);
        missing.extend(
            [
                ("pyroscope_tcp_connections{protocol=\"http\"}", 1.0),
                ("objstore_bucket_last_successful_upload_time{bucket=\"primary\"}", 1.7e9),
            ]
            .into_iter()
            .filter(|(name, least)| !above(name, *least))
            .map(|(name, _)| name),
        );
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    });
    let metrics = server.client().get("/metrics").expect("metrics");
    let sum = |name: &str| -> f64 {
        let name = format!("pyroscope_distributor_received_{name}_sum{{type=\"process_cpu\",tenant=\"anonymous\"}}");
        metrics.lines().find_map(|l| l.strip_prefix(&*name)?.trim().parse().ok()).unwrap_or_else(|| panic!("{name}"))
    };
    let (all, samples, symbols) = (sum("decompressed_bytes"), sum("samples_bytes"), sum("symbols_bytes"));
    assert!(samples > 0.0 && symbols > samples && samples + symbols == all, "{samples} and {symbols} of {all}");
}
