//! Recordings of real profilers: every event that the JDK's own reader counts in them is counted here too.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use flamestore_formats::ingest::read;
use flamestore_formats::{Caps, IngestParams, IngestRequest, Ingested};
use flamestore_model::Fault;

/// Of one sample, at the 100 a second that clients tell.
const PERIOD: i64 = 10_000_000;

fn file(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jfr").join(format!("{name}.jfr.gz"));
    std::fs::read(path).unwrap().into()
}

fn gunzip(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut out).unwrap();
    out
}

fn upload(content_type: &str, body: impl Into<Bytes>) -> Result<Ingested, Fault> {
    let pairs = [("name", "svc"), ("format", "jfr"), ("from", "1795000205"), ("until", "1795000215")];
    let params = IngestParams::from_pairs(pairs);
    let (body, caps) = (body.into(), Caps::default());
    read(&IngestRequest { params: &params, content_type, content_encoding: "", body, now_nanos: 0, caps })
}

/// The sum of each value type.
fn totals(ingested: &Ingested) -> BTreeMap<String, i64> {
    let mut totals = BTreeMap::new();
    for profile in &ingested.profiles {
        let decoded = flamestore_pprof::decode(&profile.pprof, 0).unwrap();
        for (column, kind) in decoded.sample_types.iter().enumerate() {
            let total: i64 = (0..decoded.samples.len()).map(|row| decoded.values_of(row)[column]).sum();
            *totals.entry(decoded.str(kind.kind).to_owned()).or_default() += total;
        }
    }
    totals
}

fn expected(of: &[(&str, i64)]) -> BTreeMap<String, i64> {
    of.iter().map(|(kind, total)| ((*kind).to_owned(), *total)).collect()
}

fn alloc_in_new_tlab(objects: i64, bytes: i64) -> [(&'static str, i64); 2] {
    [("alloc_in_new_tlab_objects", objects), ("alloc_in_new_tlab_bytes", bytes)]
}

/// Where times were measured and not counted, only that there are some.
fn compare(name: &str, of: &[(&str, i64)]) {
    let ingested = upload("", file(name)).unwrap();
    assert_eq!(ingested.notes.events_unreadable, 0, "{name}");
    let mut totals = totals(&ingested);
    if let Some(delay) = totals.remove("delay") {
        assert!(delay > 0, "{name}: {delay}");
    }
    assert_eq!(totals, expected(of), "{name}");
    let frames = ingested.profiles.iter().any(|profile| {
        let decoded = flamestore_pprof::decode(&profile.pprof, 0).unwrap();
        decoded.functions.iter().any(|f| decoded.str(f.name) == "Work.spin")
    });
    assert!(frames, "{name}: Work.spin is nowhere");
}

#[test]
fn async_profiler_2_is_read() {
    let [objects, bytes] = alloc_in_new_tlab(2115, 138_608_640);
    compare("async-profiler-2.9", &[("cpu", 102 * PERIOD), objects, bytes, ("contentions", 113)]);
}

#[test]
fn async_profiler_3_is_read() {
    let [objects, bytes] = alloc_in_new_tlab(1704, 111_673_344);
    compare("async-profiler-3.0-live", &[("cpu", 165 * PERIOD), objects, bytes, ("live", 105)]);
    // 1,121 of the samples are of sleeping threads.
    compare("async-profiler-3.0-wall", &[("wall", 1315 * PERIOD), ("cpu", 194 * PERIOD)]);
}

#[test]
fn async_profiler_4_is_read() {
    let [objects, bytes] = alloc_in_new_tlab(1925, 126_156_800);
    let malloc = [("malloc_objects", 136), ("malloc_bytes", 906_783)];
    let times = [("cpu", 138 * PERIOD), ("wall", 1339 * PERIOD)];
    compare("async-profiler-4.5", &[&times[..], &[objects, bytes], &malloc, &[("contentions", 214)]].concat());
}

#[test]
fn recordings_of_the_jdk_of_several_chunks_and_with_events_of_the_application_are_read() {
    let [objects, bytes] = alloc_in_new_tlab(1136, 128_377_856);
    let outside = [("alloc_outside_tlab_objects", 17), ("alloc_outside_tlab_bytes", 271_048)];
    // Contentions are those of monitors and of parked threads.
    let waits = [("contentions", 617 + 225)];
    compare("jdk-17", &[&[("cpu", 12 * PERIOD), objects, bytes][..], &outside, &waits].concat());

    let [objects, bytes] = alloc_in_new_tlab(999, 155_535_240);
    let outside = [("alloc_outside_tlab_objects", 22), ("alloc_outside_tlab_bytes", 69_088)];
    let waits = [("contentions", 144 + 61)];
    compare("jdk-25", &[&[("cpu", 87 * PERIOD), objects, bytes][..], &outside, &waits].concat());
}

/// The recording has the types of these events, but the machine it was made on could not take any. So some are put behind
/// the other events of its second chunk: they point to a stack of it, number 18.
#[test]
fn samples_of_cpu_time_are_read_as_jdk_25_declares_them() {
    const SAMPLE: u8 = 125;
    const SAMPLES_LOST: u8 = 126;
    let varint = |value: u64| -> Vec<u8> {
        let last = (63 - (value | 1).leading_zeros()) / 7;
        (0..=last).map(|at| (value >> (7 * at)) as u8 & 0x7f | if at < last { 0x80 } else { 0 }).collect()
    };
    let event = |id: u8, fields: &[u64]| {
        let fields: Vec<u8> = fields.iter().flat_map(|f| varint(*f)).collect();
        [vec![fields.len() as u8 + 2, id], fields].concat()
    };
    let sample = |stack: u64, failed: u64, ticks: u64| event(SAMPLE, &[1_109_081_181, stack, 3, failed, ticks, 0]);
    let lost = event(SAMPLES_LOST, &[1_109_081_181, 7, 3]);
    let events = [sample(18, 0, 20_000_000), sample(0, 1, 20_000_000), sample(18, 0, 40_000_000), lost].concat();

    let recording = gunzip(&file("jdk-25"));
    let size_at = |chunk: usize| u64::from_be_bytes(recording[chunk + 8..chunk + 16].try_into().unwrap()) as usize;
    let second = size_at(0);
    let third = second + size_at(second);
    let size = ((third - second + events.len()) as u64).to_be_bytes();
    let parts = [&recording[..second + 8], &size, &recording[second + 16..third], &events, &recording[third..]];
    let ingested = upload("", parts.concat()).unwrap();
    // Of the 87 execution samples 15 are of that chunk, where the others now say what its time is.
    assert_eq!(totals(&ingested).get("cpu"), Some(&((87 - 15) * PERIOD + 60_000_000)));
    let notes = ingested.notes;
    assert_eq!((notes.samples_dropped, notes.samples_lost, notes.events_unreadable), (1, 7, 0));
}

#[test]
fn it_is_the_same_recording_plain_gzipped_and_in_a_form_with_labels() {
    let gzipped = file("async-profiler-4.5");
    let plain = gunzip(&gzipped);
    let want: Vec<_> = upload("", gzipped.clone()).unwrap().profiles.into_iter().map(|p| (p.labels, p.pprof)).collect();
    let form = |recording: &[u8]| {
        let part = |name: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n").into_bytes()
        };
        [&part("jfr"), recording, b"\r\n", &part("labels"), &b"\r\n--B--\r\n"[..]].concat()
    };
    let kind = "multipart/form-data; boundary=B";
    for (kind, body) in [("", plain.clone()), (kind, form(&plain)), (kind, form(&gzipped))] {
        let got: Vec<_> = upload(kind, body).unwrap().profiles.into_iter().map(|p| (p.labels, p.pprof)).collect();
        assert!(got == want, "{kind:?}");
    }
}

#[test]
fn what_is_good_of_a_damaged_recording_is_kept() {
    let (jdk, other) = (gunzip(&file("jdk-17")), gunzip(&file("async-profiler-2.9")));
    let cpu = |bytes: Vec<u8>| {
        let ingested = upload("", bytes).unwrap();
        (totals(&ingested).get("cpu").copied().unwrap_or_default() / PERIOD, ingested.notes.events_unreadable)
    };
    assert_eq!(cpu([&jdk[..], &other].concat()), (12 + 102, 0));
    // Rubbish before, between and behind.
    let (count, broken) = cpu([&jdk[..], b"rubbish", &other, &[7; 500]].concat());
    assert_eq!(count, 12 + 102);
    assert!(broken > 0);
    let mut damaged = jdk.clone();
    damaged[40_000..40_100].fill(0xff);
    let (count, _) = cpu([&damaged[..], &other].concat());
    assert!((102..=12 + 102).contains(&count), "{count}");
    let (count, broken) = cpu(jdk[..jdk.len() * 2 / 3].to_vec());
    assert!(count <= 12 && broken > 0);
}

#[test]
fn no_damage_to_a_real_recording_panics() {
    let whole = gunzip(&file("async-profiler-2.9"));
    for seed in 0..400u64 {
        let mut bytes = whole.clone();
        // A stride that visits places without a pattern, and bytes that mean much: 0, 0x7f, 0x80 and 0xff.
        for n in 0..3 {
            let at = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(n * 21) as usize) % bytes.len();
            bytes[at] = [0, 0x7f, 0x80, 0xff][(seed as usize + n as usize) % 4];
        }
        let _ = upload("", bytes);
    }
}
