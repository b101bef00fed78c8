//! Malformed uploads of every kind get a clear 4xx, cost little memory, and the server serves on.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::gzip::gzip;
use flamestore_tests::protobuf::{field, number, varint};
use flamestore_tests::server::Server;

/// What the server may grow by over all of this.
const MAX_GROWTH_BYTES: u64 = 200 << 20;

fn strings(all: &[&[u8]]) -> Vec<u8> {
    all.iter().flat_map(|s| field(6, s)).collect()
}

/// A whole pprof around the given samples, locations and functions.
fn pprof(inside: &[Vec<u8>], table: &[&[u8]]) -> Vec<u8> {
    let mut out = field(1, &[number(1, 1), number(2, 2)].concat());
    out.extend(inside.concat());
    out.extend(strings(table));
    out
}

const TABLE: &[&[u8]] = &[b"", b"cpu", b"nanoseconds", b"main"];

/// Uploads that can never be right, each with its name.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let sample = |location: u64, value: u64| field(2, &[number(1, location), number(2, value)].concat());
    let location = |id: u64, function: u64| field(4, &[number(1, id), field(4, &number(1, function))].concat());
    let function = |id: u64, name: u64| field(5, &[number(1, id), number(2, name)].concat());
    let bomb = gzip(&vec![0; 64 << 20]);
    let good = gzip(&pprof(&[sample(1, 1), location(1, 1), function(1, 3)], TABLE));
    vec![
        ("text", b"this is no profile".to_vec()),
        ("truncated gzip", good[..good.len() / 2].to_vec()),
        ("gzip with a flipped bit", {
            let mut bytes = good.clone();
            bytes[good.len() / 2] ^= 0x55;
            bytes
        }),
        ("a gzip bomb", bomb),
        ("no sample types", strings(TABLE)),
        ("a wrong wire type", [number(6, 7), number(1, 3)].concat()),
        ("a length beyond the end", [varint(2 << 3 | 2), varint(1 << 40), vec![0]].concat()),
        ("an endless varint", vec![0xff; 32]),
        ("location id 0", pprof(&[sample(1, 1), location(0, 1), function(1, 3)], TABLE)),
        ("a string index out of range", pprof(&[sample(1, 1), location(1, 1), function(1, 99)], TABLE)),
        (
            "text that is not UTF-8",
            pprof(&[sample(1, 1), location(1, 1), function(1, 3)], &[b"", b"cpu", b"ns", b"\xff\xfe"]),
        ),
        ("string 0 not empty", pprof(&[sample(1, 1), location(1, 1), function(1, 3)], &[b"x", b"cpu", b"ns", b"main"])),
        ("more values than types", pprof(&[field(2, &[number(1, 1), number(2, 1), number(2, 1)].concat())], TABLE)),
        ("only samples of unknown locations", pprof(&[sample(77, 1)], TABLE)),
        ("a million labels", {
            let labels: Vec<u8> = (0..1_000_000).flat_map(|_| field(3, &number(1, 1))).collect();
            pprof(&[field(2, &[number(1, 1), number(2, 1), labels].concat())], TABLE)
        }),
    ]
}

fn push(profile: &[u8]) -> Vec<u8> {
    let label = |n: &str, v: &str| field(1, &[field(1, n.as_bytes()), field(2, v.as_bytes())].concat());
    let series =
        [label("__name__", "process_cpu"), label("service_name", "broken"), field(2, &field(1, profile))].concat();
    field(1, &series)
}

#[test]
fn broken_uploads_get_a_4xx_and_the_server_serves_on() {
    let server =
        Server::start(&["-distributor.ingestion-rate-limit-mb=1000", "-distributor.ingestion-burst-size-mb=1000"]);
    let client = server.client();
    let before = server.memory_bytes("VmRSS");
    for round in 0..3 {
        for (name, bytes) in broken() {
            let (status, body) = client
                .post("/push.v1.PusherService/Push", "application/proto", &[], &push(&bytes))
                .unwrap_or_else(|e| panic!("push {name}, round {round}: {e}"));
            assert!((400..500).contains(&status), "push {name}: {status} {body}");
            assert!(body.contains("message"), "push {name}: {body}");
            let (status, body) = client
                .post("/ingest?name=broken.cpu&format=pprof", "application/octet-stream", &[], &bytes)
                .unwrap_or_else(|e| panic!("ingest {name}, round {round}: {e}"));
            assert!((400..500).contains(&status), "ingest {name}: {status} {body}");
        }
        for (name, path, content_type, body) in requests() {
            let (status, answer) = client.post(path, content_type, &[], body).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!((400..500).contains(&status), "{name}: {status} {answer}");
        }
    }
    let grown = server.memory_bytes("VmRSS").saturating_sub(before);
    assert!(grown < MAX_GROWTH_BYTES, "the server grew by {} MiB", grown >> 20);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    assert_eq!(client.push_folded("alive", now, "main;works 7\n").unwrap().0, 200);
    assert_eq!(client.cpu("{}", now - 60, now + 60).total, 70_000_000);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Requests that are wrong as a whole.
fn requests() -> Vec<(&'static str, &'static str, &'static str, &'static [u8])> {
    const PUSH: &str = "/push.v1.PusherService/Push";
    const MERGE: &str = "/querier.v1.QuerierService/SelectMergeStacktraces";
    vec![
        ("an empty JSON body", PUSH, "application/json", b""),
        ("JSON that is a list", PUSH, "application/json", b"[]"),
        ("deep JSON", PUSH, "application/json", DEEP.as_bytes()),
        ("no series", PUSH, "application/proto", b""),
        ("cut protobuf", PUSH, "application/proto", b"\x0a\xff"),
        ("an unknown content type", PUSH, "text/plain", b"x"),
        ("no selector", MERGE, "application/json", b"{\"start\":1,\"end\":2}"),
        (
            "a broken regular expression",
            MERGE,
            "application/json",
            br#"{"start":"1","end":"2","profileTypeID":"a:b:c:d:e","labelSelector":"{a=~\"(\"}"}"#,
        ),
        ("no name", "/ingest?format=folded", "text/plain", b"a;b 1\n"),
        ("a bad count", "/ingest?name=x.cpu&format=folded", "text/plain", b"a;b x\n"),
        ("an unknown type suffix", "/ingest?name=x.nosuch&format=folded", "text/plain", b"a;b 1\n"),
        ("a form without a boundary", "/ingest?name=x.cpu", "multipart/form-data", b"--x\r\n"),
    ]
}

const DEEP: &str =
    "{\"series\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
