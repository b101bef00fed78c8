//! Uploads that inflate to far more than they are: what they cost the server, and what everybody else sees meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::gzip::gzip;
use flamestore_tests::protobuf::field;
use serde_json::json;

use super::limits::{PUSH, push_of};
use super::otlp;

/// Who sends them side by side.
const ATTACKERS: usize = 8;
/// All that are sent at once inflate to a gigabyte, which is copied on its way, and are decoded into more.
const MAX_GROWTH_BYTES: u64 = 512 << 20;

struct Bomb {
    path: &'static str,
    content_type: &'static str,
    packed: bool,
    body: Vec<u8>,
}

fn bombs() -> [Bomb; 6] {
    let profile = push_of(&json!({"padding": 4_000_000, "labels": {"service_name": "bomb"}}));
    let bomb = |path, content_type, inside: &[u8]| Bomb { path, content_type, packed: true, body: gzip(inside) };
    let empty_profiles = field(1, &field(2, b"").repeat(32 << 20));
    let series = [
        field(1, &[field(1, b"__name__"), field(2, b"process_cpu")].concat()),
        field(1, &[field(1, b"service_name"), field(2, b"bomb")].concat()),
        field(2, &field(1, &gzip(&field(2, b"").repeat(2_000_000)))).repeat(30),
    ];
    [
        bomb(PUSH, "application/proto", &profile.repeat(40)),
        bomb(PUSH, "application/proto", &empty_profiles),
        Bomb { path: PUSH, content_type: "application/proto", packed: false, body: field(1, &series.concat()) },
        bomb(otlp::HTTP_PATH, "application/x-protobuf", &vec![0; 200 << 20]),
        bomb("/ingest?name=bomb&format=jfr", "application/octet-stream", &vec![0; 60 << 20]),
        bomb("/ingest?name=bomb", "text/plain", &b"main;work 1\n".repeat(5 << 20)),
    ]
}

#[test]
fn bombs_at_every_door_take_bounded_memory_and_ordinary_pushes_go_on() {
    let server = Server::start(&[
        "-distributor.max-decoding-bytes=67108864",
        "-distributor.push.timeout=2s",
        "-distributor.ingestion-rate-limit-mb=100000",
        "-distributor.ingestion-burst-size-mb=100000",
    ]);
    let before = server.memory_bytes("VmHWM");
    let (bombs, attacking) = (bombs(), AtomicUsize::new(ATTACKERS));
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let mut pushed = 0;
    thread::scope(|scope| {
        for attacker in 0..ATTACKERS {
            let (bombs, attacking, client) = (&bombs, &attacking, server.client());
            scope.spawn(move || {
                for turn in 0..bombs.len() {
                    let Bomb { path, content_type, packed, body } = &bombs[(attacker + turn) % bombs.len()];
                    let encoding = [("content-encoding", "gzip")];
                    let headers = if *packed { &encoding[..] } else { &[] };
                    // Some are read, some are wrong, and some find no room; none may break the server.
                    if let Ok((status, said)) = client.post(path, content_type, headers, body) {
                        assert!(status != 500, "{path}: {said}");
                    }
                }
                attacking.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let client = server.client();
        while attacking.load(Ordering::Relaxed) > 0 {
            let (status, said) = client.push_folded("alive", now, "main;works 1\n").expect("an answer");
            assert_eq!(status, 200, "{said}");
            pushed += 1;
        }
    });
    let grown = server.memory_bytes("VmHWM") - before;
    assert!(grown < MAX_GROWTH_BYTES, "the server grew by {} MiB", grown >> 20);
    let kept = server.client().cpu("{service_name=\"alive\"}", now - 60, now + 60).total;
    assert_eq!(kept, pushed * 10_000_000, "each of {pushed} pushes is kept");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
