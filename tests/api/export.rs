//! Merged profiles as files: of any size, sent in pieces, the same as the message.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use flamestore_clock::{Clock, SystemClock};
use flamestore_proto::google::v1::Profile;
use flamestore_proto::querier::v1::SelectMergeProfileRequest;
use flamestore_tests::Server;
use flamestore_tests::client::CPU;
use flamestore_tests::gzip::gunzip;
use flamestore_tests::tools;
use prost::Message;

const PUSHES: u64 = 5;
const STACKS_OF_A_PUSH: u64 = 8_000;

/// Stacks whose names hardly repeat, so that zipping does not make them small.
fn stacks(push: u64) -> String {
    let mut text = String::new();
    let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(push + 1);
    for i in 0..STACKS_OF_A_PUSH {
        text.push_str("main");
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(text, ";f{state:016x}").unwrap();
        }
        writeln!(text, " {}", 1 + i % 5).unwrap();
    }
    text
}

/// A GET whose body came in chunks: how many, and what they are together.
fn chunks(server: &Server, path: &str) -> (usize, Vec<u8>) {
    let mut connection = TcpStream::connect(server.http()).expect("a connection");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = BufReader::new(connection);
    let mut line = || {
        let mut line = String::new();
        answer.read_line(&mut line).expect("a line");
        line.trim_end().to_ascii_lowercase()
    };
    assert!(line().contains("200"));
    let headers: Vec<String> = std::iter::from_fn(|| Some(line()).filter(|l| !l.is_empty())).collect();
    assert!(headers.contains(&"transfer-encoding: chunked".to_owned()), "{headers:?}");
    assert!(headers.iter().any(|h| h.contains("profile.pb.gz")), "{headers:?}");
    let (mut count, mut body) = (0, Vec::new());
    loop {
        let mut size = String::new();
        answer.read_line(&mut size).expect("the size of a chunk");
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        answer.read_exact(&mut chunk).expect("a chunk");
        if size == 0 {
            return (count, body);
        }
        count += 1;
        body.extend_from_slice(&chunk[..size]);
    }
}

/// By stack, root first: its value.
fn by_stack(profile: &Profile) -> BTreeMap<Vec<String>, i64> {
    let text = |i: i64| profile.string_table[i as usize].clone();
    let names: BTreeMap<u64, String> = profile.function.iter().map(|f| (f.id, text(f.name))).collect();
    let locations: BTreeMap<u64, &String> =
        profile.location.iter().map(|l| (l.id, &names[&l.line[0].function_id])).collect();
    let stack = |ids: &[u64]| ids.iter().rev().map(|id| locations[id].clone()).collect();
    profile.sample.iter().map(|s| (stack(&s.location_id), s.value[0])).collect()
}

#[test]
fn a_large_export_comes_in_pieces_and_is_the_merged_profile() {
    let fast = ["-distributor.ingestion-rate-limit-mb=1000", "-distributor.ingestion-burst-size-mb=1000"];
    let server = Server::start(&fast);
    let (client, now) = (server.client(), SystemClock::default().now_nanos() / 1_000_000_000);
    for push in 0..PUSHES {
        let (status, text) = client.push_folded("large", now - 60, &stacks(push)).unwrap();
        assert_eq!(status, 200, "{text}");
    }
    let path = "/api/v1/query?query=large&format=pprof&from=now-10m";
    let (count, body) = chunks(&server, path);
    assert!(body.len() > 1 << 20, "{} bytes", body.len());
    assert!(count > body.len() / (256 << 10), "{count} chunks of {} bytes", body.len());
    let exported = Profile::decode(gunzip(&body).as_slice()).expect("a pprof");
    assert_eq!(exported.sample.len() as u64, PUSHES * STACKS_OF_A_PUSH);

    let sum: i64 = by_stack(&exported).values().sum();
    assert_eq!(sum, (PUSHES * STACKS_OF_A_PUSH * 3) as i64 * 10_000_000, "3 on average");

    let cut = chunks(&server, &format!("{path}&max-nodes=100"));
    let cut = Profile::decode(gunzip(&cut.1).as_slice()).expect("a pprof");
    assert_eq!(by_stack(&cut).values().sum::<i64>(), sum, "cutting keeps the sum");
    assert!(cut.sample.len() < exported.sample.len());
}

#[test]
fn an_export_is_the_profile_that_the_call_answers() {
    let server = Server::start(&[]);
    let (client, now) = (server.client(), SystemClock::default().now_nanos() / 1_000_000_000);
    assert_eq!(client.push_folded("small", now - 10, "main;work 3\nmain 1\n").unwrap().0, 200);
    let (start, end) = ((now - 600) * 1000, (now + 60) * 1000);
    let path = format!("/api/v1/query?query=small&format=pprof&from={start}&until={end}");
    let exported = Profile::decode(gunzip(&chunks(&server, &path).1).as_slice()).expect("a pprof");
    let request = SelectMergeProfileRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: r#"{service_name="small"}"#.to_owned(),
        start,
        end,
        ..SelectMergeProfileRequest::default()
    };
    let method = "/querier.v1.QuerierService/SelectMergeProfile";
    let answer = client.exchange(method, "application/proto", &[], &request.encode_to_vec()).unwrap();
    assert_eq!(Profile::decode(answer.body().as_slice()).expect("a pprof"), exported);
}

#[test]
fn an_export_of_nothing_is_an_empty_file_that_go_tools_would_call_so() {
    let server = Server::start(&[]);
    let (_, body) = chunks(&server, "/api/v1/query?query=nobody&format=pprof");
    assert!(gunzip(&body).is_empty());
    let (status, text) = server.client().try_get("/api/v1/query?query=a%20vs%20b&format=pprof").unwrap();
    assert_eq!(status, 400, "{text}");
}

#[test]
fn go_reads_an_export_from_its_address() {
    if !tools::have("go", "go", &["version"]) {
        return;
    }
    let server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    assert_eq!(server.client().push_folded("gone", now - 10, "main;work 3\n").unwrap().0, 200);
    let url = format!("http://{}/api/v1/query?query=gone&format=pprof", server.http());
    let top = std::process::Command::new("go").args(["tool", "pprof", "-top", &url]).output().expect("go runs");
    let text = String::from_utf8_lossy(&top.stdout);
    assert!(text.contains("30ms") && text.contains("work"), "{text}\n{}", String::from_utf8_lossy(&top.stderr));
}
