//! What an upload costs: inflating, decoding, normalising, encoding.
//!
//! The profile is of the usual size of a CPU profile: 163 samples of 17 frames, 50 KB, 20 KB gzipped.

use std::hint::black_box;
use std::io::Write;

use divan::Bencher;
use flamestore_pprof::encode::{Label, Writer, encode_profile};
use flamestore_pprof::{Mapping, NormalizeOptions, Spy, decode, normalize};

fn main() {
    divan::main();
}

const OPTIONS: NormalizeOptions = NormalizeOptions {
    max_depth: 1000,
    max_symbol_bytes: 65_535,
    max_inflated_bytes: 4 << 20,
    go: true,
    spy: Spy::Other,
};

/// Shape of a profile. Stacks share their roots, as those of programs do.
struct Shape {
    samples: u64,
    depth: u64,
    labels: bool,
    generics: bool,
}

const CPU: Shape = Shape { samples: 163, depth: 17, labels: false, generics: false };

fn plain(shape: &Shape) -> Vec<u8> {
    let mut w = Writer::new();
    w.sample_type("samples", "count");
    w.sample_type("cpu", "nanoseconds");
    w.period("cpu", "nanoseconds", 10_000_000);
    w.time_nanos(1_795_000_000_000_000_000);
    let binary = w.string("/usr/bin/example-service");
    let none = Default::default();
    let mapping = Mapping {
        memory_start: 0x40_0000,
        memory_limit: 0x80_0000,
        file_offset: 0,
        filename: none,
        build_id: none,
        flags: 1,
    };
    let mapping = w.mapping(&mapping, binary, 0);
    // A fixed sequence, so that every run measures the same.
    let mut state = 1u64;
    let mut chance = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for row in 0..shape.samples {
        let mut stack = Vec::new();
        for depth in 0..shape.depth {
            let variant = chance(1 + depth * depth / 4);
            let id = depth * 1000 + variant;
            let generic = if shape.generics && id % 9 == 0 { "[go.shape.int]" } else { "" };
            let name =
                w.string(&format!("example.com/team/service/pkg{}.(*Type{}){generic}.method{id}", id % 40, id % 100));
            let file = w.string(&format!("/src/pkg{}/file{}.go", id % 40, id % 100));
            let function = w.function(name, name, file, (id % 500) as i64);
            let address = 0x40_1000 + id * 512 + chance(2) * 64;
            stack.push(w.location(mapping, address, &[(function, (address % 900) as i64)], false));
        }
        stack.reverse();
        let thread = format!("thread-{}", row % 4);
        let span = format!("{:016x}", row / 2 + 1);
        let labels = [Label::Text { key: "thread", text: &thread }, Label::Text { key: "span_id", text: &span }];
        let events = 1 + chance(20) as i64;
        w.sample(&stack, &[events, events * 10_000_000], if shape.labels { &labels } else { &[] });
    }
    w.finish()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).and_then(|()| out.finish()).expect("writing to memory does not fail")
}

#[divan::bench(args = ["plain", "gzip"])]
fn decoding(bencher: Bencher<'_, '_>, how: &str) {
    let plain = plain(&CPU);
    let raw = if how == "gzip" { gzip(&plain) } else { plain.clone() };
    bencher.counter(divan::counter::BytesCount::new(plain.len())).bench(|| decode(black_box(&raw), 4 << 20));
}

#[divan::bench(args = ["usual", "labels", "generics", "large"])]
fn normalizing(bencher: Bencher<'_, '_>, what: &str) {
    let shape = match what {
        "labels" => Shape { labels: true, ..CPU },
        "generics" => Shape { generics: true, ..CPU },
        "large" => Shape { samples: 5000, depth: 40, ..CPU },
        _ => CPU,
    };
    let profile = decode(&plain(&shape), 0).expect("the bench's own profile is good");
    bencher.with_inputs(|| profile.clone()).bench_values(|p| normalize(p, &OPTIONS));
}

/// The whole way of an upload.
#[divan::bench]
fn upload(bencher: Bencher<'_, '_>) {
    let raw = gzip(&plain(&CPU));
    bencher.bench(|| decode(black_box(&raw), 4 << 20).map(|p| normalize(p, &OPTIONS)));
}

#[divan::bench]
fn encoding(bencher: Bencher<'_, '_>) {
    let profile = decode(&plain(&CPU), 0).expect("the bench's own profile is good");
    bencher.bench(|| encode_profile(black_box(&profile)));
}
