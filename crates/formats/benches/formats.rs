//! Throughput of the decoders, in bytes of the upload: `cargo bench -p flamestore-formats`.
//!
//! The uploads are made here, with the proportions of recorded ones: some thousand stacks of thirty frames, most of
//! which begin alike. CPU seconds for each megabyte are the inverse of what is printed.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use flamestore_formats::{Caps, IngestParams, IngestRequest, ingest, otlp};

const NOW: i64 = 1_795_000_205_000_000_000;
const STACKS: u64 = 8000;
const DEPTH: u64 = 30;
const FUNCTIONS: u64 = 900;

fn main() {
    divan::main();
}

/// Frame numbers of a stack, root first. Neighbours share their beginnings.
fn stack(number: u64) -> impl Iterator<Item = u64> {
    (0..DEPTH).map(move |depth| {
        let shared = number >> (DEPTH - depth).min(12);
        (shared.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).wrapping_add(depth * 7) % FUNCTIONS
    })
}

fn name(function: u64) -> String {
    format!("com/example/service/component{}/Handler.process{function}", function % 40)
}

fn read(format: &str, body: &Bytes) {
    let params = IngestParams::from_pairs([("name", "bench.cpu{region=eu}"), ("from", "now-10s"), ("format", format)]);
    let caps = Caps { max_profile_bytes: 64 << 20, ..Caps::default() };
    let request = IngestRequest {
        params: &params,
        content_type: "",
        content_encoding: "",
        body: body.clone(),
        now_nanos: NOW,
        caps,
    };
    divan::black_box(ingest::read(&request).expect("the body is well-formed"));
}

fn folded_text(order: impl Fn(u64) -> u64) -> Bytes {
    let line = |n: u64| {
        let names: Vec<String> = stack(order(n)).map(name).collect();
        format!("{} {}\n", names.join(";"), n % 17 + 1)
    };
    (0..STACKS).map(line).collect::<String>().into()
}

#[divan::bench]
fn folded_sorted(bencher: Bencher) {
    let body = folded_text(|n| n);
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| read("folded", &body));
}

#[divan::bench]
fn folded_shuffled(bencher: Bencher) {
    let body = folded_text(|n| n * 7919 % STACKS);
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| read("folded", &body));
}

#[divan::bench]
fn speedscope_sampled(bencher: Bencher) {
    let frames: Vec<String> = (0..FUNCTIONS).map(|f| format!("{{\"name\":\"{}\",\"line\":{f}}}", name(f))).collect();
    let samples: Vec<String> =
        (0..STACKS).map(|n| format!("[{}]", stack(n).map(|f| f.to_string()).collect::<Vec<_>>().join(","))).collect();
    let body: Bytes = format!(
        "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"shared\":{{\"frames\":[{}]}},\
         \"profiles\":[{{\"type\":\"sampled\",\"name\":\"main\",\"unit\":\"seconds\",\"startValue\":0,\"endValue\":80,\
         \"samples\":[{}],\"weights\":[{}]}}]}}",
        frames.join(","),
        samples.join(","),
        vec!["0.01"; STACKS as usize].join(",")
    )
    .into();
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| read("speedscope", &body));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3);
    varint(&mut out, value);
    out
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3 | 2);
    varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn packed(field: u64, values: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut content = Vec::new();
    values.into_iter().for_each(|v| varint(&mut content, v));
    bytes(field, &content)
}

/// A request of opentelemetry-proto 1.10 with each stack in the table and once in a sample.
fn export() -> Vec<u8> {
    let mut tables =
        [bytes(1, b""), bytes(2, b""), bytes(3, b""), bytes(4, b""), bytes(6, b""), bytes(7, b"")].concat();
    tables.extend(bytes(1, &[number(1, 4096), number(2, 8192)].concat()));
    for function in 0..FUNCTIONS {
        let line = [number(1, function + 1), number(2, function % 300)].concat();
        tables.extend(bytes(2, &[number(1, 1), number(2, 5000 + function), bytes(3, &line)].concat()));
        tables.extend(bytes(3, &number(1, function + 5)));
    }
    for string in ["", "samples", "count", "cpu", "nanoseconds"] {
        tables.extend(bytes(5, string.as_bytes()));
    }
    (0..FUNCTIONS).for_each(|f| tables.extend(bytes(5, name(f).as_bytes())));
    let mut profile = [bytes(1, &[number(1, 1), number(2, 2)].concat()), number(4, 1), number(6, 10_000_000)].concat();
    profile.extend(bytes(5, &[number(1, 3), number(2, 4)].concat()));
    for n in 0..STACKS {
        let mut frames: Vec<u64> = stack(n).map(|f| f + 1).collect();
        frames.reverse();
        tables.extend(bytes(7, &packed(1, frames)));
        profile.extend(bytes(2, &[number(1, n + 1), packed(4, [n % 17 + 1])].concat()));
    }
    [bytes(1, &bytes(2, &bytes(2, &profile))), bytes(2, &tables)].concat()
}

#[divan::bench]
fn otlp_cpu(bencher: Bencher) {
    let body = export();
    let caps = Caps { max_profile_bytes: 64 << 20, ..Caps::default() };
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| {
        let export = otlp::read(&body, &caps).expect("the request is well-formed");
        assert_eq!(export.ingested.profiles.len(), 1);
        export
    });
}

/// What the collector of a whole host sends at once: 40 services of 12 threads, 20,000 functions, 8,000 samples of stacks of
/// 40 frames, each with its thread and the times at which it was seen. 4 MB.
fn whole_host() -> Vec<u8> {
    const SERVICES: u64 = 40;
    const THREADS: u64 = 12;
    const DEEP: u64 = 40;
    const TIMES: u64 = 26;
    let functions = 20_000;
    let mut tables = [bytes(1, b""), bytes(2, b""), bytes(3, b""), bytes(4, b""), bytes(7, b"")].concat();
    for mapping in 0..200u64 {
        tables.extend(bytes(1, &[number(1, 4096 * mapping), number(2, 4096 * (mapping + 1)), number(4, 7)].concat()));
    }
    for string in ["", "samples", "count", "cpu", "nanoseconds", "thread.name", "service.name", "a.out"] {
        tables.extend(bytes(5, string.as_bytes()));
    }
    for function in 0..functions {
        let line = [number(1, function + 1), number(2, function % 300)].concat();
        let location = [number(1, function % 200 + 1), number(2, 0x40_0000 + function * 16), bytes(3, &line)].concat();
        tables.extend(bytes(2, &location));
        tables.extend(bytes(3, &number(1, function + 8)));
        tables.extend(bytes(5, name(function).as_bytes()));
    }
    tables.extend(bytes(6, b""));
    for thread in 0..SERVICES * THREADS {
        let value = bytes(2, &bytes(1, format!("worker-{thread}").as_bytes()));
        tables.extend(bytes(6, &[number(1, 5), value].concat()));
    }
    let (mut resources, mut at) = (Vec::new(), 0u64);
    for service in 0..SERVICES {
        let mut profile = [bytes(1, &[number(1, 1), number(2, 2)].concat()), number(4, 10_000_000_000)].concat();
        profile.extend([bytes(5, &[number(1, 3), number(2, 4)].concat()), number(6, 50_000_000)].concat());
        for _ in 0..STACKS / SERVICES {
            // Stacks of a service begin alike, and use an eightieth of the functions.
            let frame = |depth: u64| {
                let shared = at >> (DEEP - depth).min(12);
                ((shared.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) + depth * 7) % 500 * SERVICES + service + 1
            };
            tables.extend(bytes(7, &packed(1, (0..DEEP).rev().map(frame))));
            at += 1;
            let times: Vec<u8> = (0..TIMES).flat_map(|n| (NOW as u64 + n * 50_000_000).to_le_bytes()).collect();
            let thread = service * THREADS + at % THREADS + 1;
            let sample = [number(1, at), packed(2, [thread]), bytes(5, &times)].concat();
            profile.extend(bytes(2, &sample));
        }
        let attribute =
            [bytes(1, b"service.name"), bytes(2, &bytes(1, format!("service-{service}").as_bytes()))].concat();
        let scope = bytes(2, &profile);
        resources.extend(bytes(1, &[bytes(1, &bytes(1, &attribute)), bytes(2, &scope)].concat()));
    }
    [resources, bytes(2, &tables)].concat()
}

#[divan::bench]
fn otlp_whole_host(bencher: Bencher) {
    let body = whole_host();
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| read_whole_host(&body).ingested.profiles.len());
}

/// With what the distributor does next: decoding what was built.
#[divan::bench]
fn otlp_whole_host_and_decoded(bencher: Bencher) {
    let body = whole_host();
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| {
        let export = read_whole_host(&body);
        let decode = |p: &flamestore_formats::RawProfile| flamestore_pprof::decode(&p.pprof, 0).expect("a pprof");
        export.ingested.profiles.iter().map(decode).collect::<Vec<_>>()
    });
}

fn read_whole_host(body: &[u8]) -> otlp::Export {
    let export = otlp::read(body, &Caps::default()).expect("the request is well-formed");
    assert_eq!((export.ingested.profiles.len(), export.refused), (40, 0));
    export
}

fn text(text: &str) -> Vec<u8> {
    let mut out = vec![3];
    varint(&mut out, text.len() as u64);
    out.extend(text.bytes());
    out
}

fn event(id: u64, fields: &[u8]) -> Vec<u8> {
    let mut inside = Vec::new();
    varint(&mut inside, id);
    inside.extend_from_slice(fields);
    // A size of four bytes, as the JDK writes it: the length is then the same whatever the number.
    let size = inside.len() as u64 + 4;
    let mut out: Vec<u8> = (0..4).map(|at| (size >> (7 * at)) as u8 & 0x7f | if at < 3 { 0x80 } else { 0 }).collect();
    out.extend(inside);
    out
}

/// Types as text: a class a line, its id, name and fields; `p` marks pooled ones and `a` arrays.
const TYPES: &str = "10 long\n11 int\n12 java.lang.String\n13 boolean\n20 java.lang.Class name:21:p\n\
                     21 jdk.types.Symbol string:12:-\n22 jdk.types.Method type:20:p name:21:p\n\
                     23 jdk.types.StackFrame method:22:p lineNumber:11:- bytecodeIndex:11:- type:25:p\n\
                     24 jdk.types.StackTrace truncated:13:- frames:23:a\n25 jdk.types.FrameType description:12:-\n\
                     26 jdk.types.ThreadState name:12:-\n\
                     100 jdk.ExecutionSample startTime:10:- sampledThread:11:p stackTrace:24:p state:26:p contextId:10:-";

fn metadata() -> Vec<u8> {
    let mut strings: Vec<String> = Vec::new();
    let mut tree = Vec::new();
    let mut put = |out: &mut Vec<u8>, text: &str| {
        let at = strings.iter().position(|s| s == text).unwrap_or_else(|| {
            strings.push(text.to_owned());
            strings.len() - 1
        });
        varint(out, at as u64);
    };
    put(&mut tree, "root");
    varint(&mut tree, 0);
    varint(&mut tree, TYPES.lines().count() as u64);
    for line in TYPES.lines() {
        let mut words = line.split(' ');
        put(&mut tree, "class");
        varint(&mut tree, 2);
        for key in ["id", "name"] {
            put(&mut tree, key);
            put(&mut tree, words.next().unwrap_or_default());
        }
        let fields: Vec<&str> = words.collect();
        varint(&mut tree, fields.len() as u64);
        for field in fields {
            let parts: Vec<&str> = field.split(':').collect();
            put(&mut tree, "field");
            varint(&mut tree, 3);
            let flag = match parts[2] {
                "p" => ("constantPool", "true"),
                "a" => ("dimension", "1"),
                _ => ("label", ""),
            };
            for (key, value) in [("name", parts[0]), ("class", parts[1]), flag] {
                put(&mut tree, key);
                put(&mut tree, value);
            }
            varint(&mut tree, 0);
        }
    }
    let mut content = vec![0, 0, 0];
    varint(&mut content, strings.len() as u64);
    strings.iter().for_each(|s| content.extend(text(s)));
    content.extend(tree);
    event(0, &content)
}

/// A recording of 8000 execution samples; a method each function.
fn recording() -> Bytes {
    let mut pools = vec![0, 0, 0, 0, 4];
    let mut pool = |id: u64, entries: Vec<Vec<u8>>| {
        varint(&mut pools, id);
        varint(&mut pools, entries.len() as u64);
        for (at, entry) in entries.iter().enumerate() {
            varint(&mut pools, at as u64 + 1);
            pools.extend_from_slice(entry);
        }
    };
    let numbers = |values: &[u64]| {
        let mut out = Vec::new();
        values.iter().for_each(|v| varint(&mut out, *v));
        out
    };
    let symbols = (0..FUNCTIONS).map(|f| text(&format!("com/example/Handler{f}")));
    pool(21, symbols.chain((0..FUNCTIONS).map(|f| text(&format!("process{f}")))).collect());
    pool(20, (0..FUNCTIONS).map(|f| numbers(&[f + 1])).collect());
    pool(22, (0..FUNCTIONS).map(|f| numbers(&[f + 1, FUNCTIONS + f + 1])).collect());
    let stacks = (0..STACKS).map(|n| {
        let mut frames: Vec<u64> = stack(n).collect();
        frames.reverse();
        let frames: Vec<u8> = frames.iter().flat_map(|f| numbers(&[f + 1, f % 300, 0, 1])).collect();
        [numbers(&[0, DEPTH]), frames].concat()
    });
    pool(24, stacks.collect());
    let samples = (0..STACKS).flat_map(|n| event(100, &numbers(&[1_000_000 + n, 3, n + 1, 0, n % 5])));
    let (metadata, pools, samples) = (metadata(), event(1, &pools), samples.collect::<Vec<u8>>());
    let pools_at = 68 + metadata.len();
    let size = pools_at + pools.len() + samples.len();
    let mut out = b"FLR\0\0\x02\0\0".to_vec();
    [size as u64, pools_at as u64, 68, 0, 0, 0, 1_000_000_000].iter().for_each(|n| out.extend(n.to_be_bytes()));
    out.extend([0, 0, 0, 1]);
    [out, metadata, pools, samples].concat().into()
}

#[divan::bench]
fn jfr_execution_samples(bencher: Bencher) {
    let body = recording();
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| read("jfr", &body));
}

/// A recording of async-profiler 4.5, of every kind of event.
#[divan::bench]
fn jfr_async_profiler(bencher: Bencher) {
    let file = include_bytes!("../tests/fixtures/jfr/async-profiler-4.5.jfr.gz");
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&file[..]), &mut body).expect("gzip");
    let body = Bytes::from(body);
    bencher.counter(BytesCount::of_slice(&body[..])).bench(|| read("jfr", &body));
}
