//! Recordings written by hand, with a metadata event of their own.

use proptest::prelude::*;

use super::*;
use crate::protobuf::write::{bytes, number, varint};
use crate::testing::{folded, ingest};

const EXECUTION_SAMPLE: u64 = 100;
const WALL_CLOCK_SAMPLE: u64 = 101;
const ACTIVE_SETTING: u64 = 102;
const THREAD_PARK: u64 = 103;
const IN_NEW_TLAB: u64 = 104;
const OTHER: u64 = 105;
const CPU_TIME_SAMPLE: u64 = 106;
const CPU_TIME_SAMPLES_LOST: u64 = 107;
const TICKS_PER_SECOND: u64 = 1000;

type FieldOf = (&'static str, u64, &'static str);

/// Classes with their fields, each a name, the id of its class, and `p` for pooled or `a` for an array.
const CLASSES: &[(u64, &str, &[FieldOf])] = &[
    (10, "long", &[]),
    (11, "int", &[]),
    (12, "java.lang.String", &[]),
    (13, "boolean", &[]),
    (14, "float", &[]),
    (20, "java.lang.Class", &[("name", 21, "p"), ("hidden", 13, "")]),
    (21, "jdk.types.Symbol", &[("string", 12, "")]),
    (22, "jdk.types.Method", &[("type", 20, "p"), ("name", 21, "p")]),
    (23, "jdk.types.StackFrame", &[("method", 22, "p"), ("lineNumber", 11, "")]),
    (24, "jdk.types.StackTrace", &[("truncated", 13, ""), ("frames", 23, "a")]),
    (25, "jdk.types.ThreadState", &[("name", 12, "")]),
    (
        EXECUTION_SAMPLE,
        "jdk.ExecutionSample",
        &[
            ("startTime", 10, ""),
            ("stackTrace", 24, "p"),
            ("state", 25, "p"),
            ("contextId", 10, ""),
            ("spanId", 10, ""),
        ],
    ),
    (
        WALL_CLOCK_SAMPLE,
        "profiler.WallClockSample",
        &[("stackTrace", 24, "p"), ("state", 25, "p"), ("samples", 11, "")],
    ),
    (ACTIVE_SETTING, "jdk.ActiveSetting", &[("startTime", 10, ""), ("name", 12, ""), ("value", 12, "")]),
    (THREAD_PARK, "jdk.ThreadPark", &[("duration", 10, ""), ("stackTrace", 24, "p")]),
    (
        IN_NEW_TLAB,
        "jdk.ObjectAllocationInNewTLAB",
        &[("stackTrace", 24, "p"), ("allocationSize", 10, ""), ("tlabSize", 10, "")],
    ),
    // As JDK 25 declares them; the period is in ticks.
    (
        CPU_TIME_SAMPLE,
        "jdk.CPUTimeSample",
        &[
            ("startTime", 10, ""),
            ("stackTrace", 24, "p"),
            ("eventThread", 10, "p"),
            ("failed", 13, ""),
            ("samplingPeriod", 10, ""),
            ("biased", 13, ""),
        ],
    ),
    (
        CPU_TIME_SAMPLES_LOST,
        "jdk.CPUTimeSamplesLost",
        &[("startTime", 10, ""), ("lostSamples", 11, ""), ("eventThread", 10, "p")],
    ),
    (OTHER, "some.OtherEvent", &[("frames", 23, "a"), ("x", 14, ""), ("name", 12, "a")]),
];

fn text(text: &str) -> Vec<u8> {
    [vec![3], varint(text.len() as u64), text.as_bytes().to_vec()].concat()
}

fn numbers(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| varint(*v)).collect()
}

/// An event with its size before it.
fn event(id: u64, fields: &[u8]) -> Vec<u8> {
    let inside = [varint(id), fields.to_vec()].concat();
    let mut size = inside.len() + 1;
    if varint(size as u64).len() > 1 {
        size += varint(size as u64).len() - 1;
    }
    [varint(size as u64), inside].concat()
}

fn metadata() -> Vec<u8> {
    let mut strings: Vec<String> = Vec::new();
    let mut index = |text: &str| {
        let at = strings.iter().position(|s| s == text).unwrap_or_else(|| {
            strings.push(text.to_owned());
            strings.len() - 1
        });
        varint(at as u64)
    };
    let mut element = |name: &str, attributes: &[(&str, String)], children: &[Vec<u8>]| {
        let mut out = [index(name), varint(attributes.len() as u64)].concat();
        attributes.iter().for_each(|(key, value)| out.extend([index(key), index(value)].concat()));
        [out, varint(children.len() as u64), children.concat()].concat()
    };
    let classes: Vec<Vec<u8>> = CLASSES
        .iter()
        .map(|(id, name, fields)| {
            let fields: Vec<Vec<u8>> = fields
                .iter()
                .map(|(name, class, how)| {
                    let mut attributes = vec![("name", name.to_string()), ("class", class.to_string())];
                    attributes.extend((*how == "p").then(|| ("constantPool", "true".to_owned())));
                    attributes.extend((*how == "a").then(|| ("dimension", "1".to_owned())));
                    element("field", &attributes, &[])
                })
                .collect();
            element("class", &[("id", id.to_string()), ("name", name.to_string())], &fields)
        })
        .collect();
    let classes = element("metadata", &[], &classes);
    let root = element("root", &[], &[classes]);
    let table: Vec<u8> = strings.iter().flat_map(|s| text(s)).collect();
    event(0, &[numbers(&[0, 0, 1, strings.len() as u64]), table, root].concat())
}

/// Stack 1 is `a/B.run` (line 7) called by `a/B.main`, 2 the latter alone, 3 has a frame of an unknown method.
fn pools() -> Vec<u8> {
    let symbols = [numbers(&[21, 3, 1]), text("a/B"), varint(2), text("main"), varint(3), text("run")].concat();
    let states = [numbers(&[25, 2, 1]), text("STATE_RUNNABLE"), varint(2), text("STATE_SLEEPING")].concat();
    let pools = [
        numbers(&[0, 0, 0, 0, 5]),
        symbols,
        states,
        numbers(&[20, 1, 1, 1, 0]),
        numbers(&[22, 2, 1, 1, 2, 2, 1, 3]),
        numbers(&[24, 3, 1, 0, 2, 2, 7, 1, 5, 2, 0, 1, 1, 5, 3, 0, 2, 9, 1, 1, 5]),
    ];
    event(1, &pools.concat())
}

fn chunk(events: &[Vec<u8>]) -> Vec<u8> {
    let (metadata, pools, events) = (metadata(), pools(), events.concat());
    let pools_at = 68 + metadata.len();
    let size = pools_at + pools.len() + events.len();
    let header = [size as u64, pools_at as u64, 68, 0, 0, 0, TICKS_PER_SECOND];
    let mut out = b"FLR\0\0\x02\0\0".to_vec();
    header.iter().for_each(|n| out.extend(n.to_be_bytes()));
    out.extend([0, 0, 0, 1]);
    [out, metadata, pools, events].concat()
}

fn execution_sample(stack: u64, state: u64) -> Vec<u8> {
    event(EXECUTION_SAMPLE, &numbers(&[5, stack, state, 0, 0]))
}

fn cpu_time_sample(stack: u64, failed: u64, ticks: u64) -> Vec<u8> {
    event(CPU_TIME_SAMPLE, &numbers(&[5, stack, 1, failed, ticks, 0]))
}

fn active_event(name: &str) -> Vec<u8> {
    event(ACTIVE_SETTING, &[varint(0), text("event"), text(name)].concat())
}

fn read_bytes(bytes: Vec<u8>) -> Result<Ingested, Fault> {
    ingest("svc.app", "jfr", "", "", bytes.into())
}

fn read_events(events: &[Vec<u8>]) -> Vec<String> {
    read_bytes(chunk(events)).unwrap().profiles.iter().map(folded).collect()
}

const CPU: &str = "svc.app process_cpu:cpu:nanoseconds:cpu:nanoseconds";

#[test]
fn execution_samples_are_cpu_time_unless_the_thread_sleeps() {
    let events = [execution_sample(1, 1), execution_sample(2, 1), execution_sample(1, 1), execution_sample(1, 2)];
    assert_eq!(read_events(&events), [format!("{CPU} a/B.main 10000000, a/B.main;a/B.run 20000000")]);
}

#[test]
fn samples_of_cpu_time_count_what_they_stand_for_and_no_execution_samples_beside_them() {
    let lost = event(CPU_TIME_SAMPLES_LOST, &numbers(&[5, 3, 1]));
    let events =
        [execution_sample(2, 1), cpu_time_sample(1, 0, 20), cpu_time_sample(1, 0, 45), cpu_time_sample(0, 1, 20)];
    let recording = chunk(&[events.concat(), lost]);
    let ingested = read_bytes(recording.clone()).unwrap();
    assert_eq!(ingested.profiles.iter().map(folded).collect::<Vec<_>>(), [format!("{CPU} a/B.main;a/B.run 65000000")]);
    assert_eq!((ingested.notes.samples_dropped, ingested.notes.samples_lost), (1, 3));

    let before = chunk(&[execution_sample(2, 1)]);
    let both = read_bytes([before, recording].concat()).unwrap();
    assert_eq!(
        both.profiles.iter().map(folded).collect::<Vec<_>>(),
        [format!("{CPU} a/B.main 10000000, a/B.main;a/B.run 65000000")],
        "a chunk without them has the samples it has"
    );
}

#[test]
fn samples_of_the_wall_event_are_both() {
    let events = [active_event("wall"), execution_sample(1, 2), execution_sample(2, 1)];
    let ingested = read_bytes(chunk(&events)).unwrap();
    let wall = "svc.app wall:wall:nanoseconds:wall:nanoseconds a/B.main 10000000, a/B.main;a/B.run 10000000";
    assert_eq!(
        ingested.profiles.iter().map(folded).collect::<Vec<_>>(),
        [wall.to_owned(), format!("{CPU} a/B.main 10000000")]
    );
    assert_eq!(ingested.profiles[0].label("jfr_event"), Some("wall"));
}

#[test]
fn wall_clock_samples_stand_for_several_and_later_events_count_one() {
    let events = [
        event(WALL_CLOCK_SAMPLE, &numbers(&[1, 2, 3])),
        event(IN_NEW_TLAB, &numbers(&[1, 16, 4096])),
        event(THREAD_PARK, &numbers(&[250, 2])),
    ];
    assert_eq!(
        read_events(&events),
        [
            "svc.app wall:wall:nanoseconds:wall:nanoseconds a/B.main;a/B.run 30000000",
            "svc.app memory:alloc_in_new_tlab_objects:count:space:bytes a/B.main;a/B.run 1 | \
             svc.app memory:alloc_in_new_tlab_bytes:bytes:space:bytes a/B.main;a/B.run 4096",
            "svc.app block:contentions:count:block:count a/B.main 1 | \
             svc.app block:delay:nanoseconds:block:count a/B.main 250000000",
        ]
    );
}

#[test]
fn unknown_events_and_methods_are_skipped() {
    let other = event(OTHER, &[numbers(&[1, 1, 5]), vec![0; 4], varint(1), text("x")].concat());
    let events = [other, event(9999, &[1, 2, 3]), execution_sample(3, 1)];
    assert_eq!(read_events(&events), [format!("{CPU} a/B.main 10000000")]);
}

#[test]
fn all_chunks_are_read_and_a_broken_later_one_is_noted() {
    let one = chunk(&[execution_sample(1, 1)]);
    let two = [one.clone(), one.clone()].concat();
    assert_eq!(read_bytes(two.clone()).unwrap().profiles.len(), 1);
    let ingested = read_bytes(two[..two.len() - 3].to_vec()).unwrap();
    assert_eq!((ingested.profiles.len(), ingested.notes.events_unreadable), (1, 1));
}

#[test]
fn a_broken_chunk_takes_no_other_with_it() {
    let one = chunk(&[execution_sample(1, 1)]);
    let mut inside = one.clone();
    inside[70] ^= 0x7f;
    let mut size = one.clone();
    size[8..16].copy_from_slice(&u64::MAX.to_be_bytes());
    let cut = one[..one.len() - 9].to_vec();
    for broken in [inside, size, cut] {
        for (goods, recording) in [(1, [&broken[..], &one].concat()), (2, [&one[..], &broken, &one].concat())] {
            let ingested = read_bytes(recording).unwrap();
            let value = goods * 10_000_000;
            assert_eq!(
                ingested.profiles.iter().map(folded).collect::<Vec<_>>(),
                [format!("{CPU} a/B.main;a/B.run {value}")]
            );
            assert!(ingested.notes.events_unreadable > 0);
        }
        assert!(read_bytes(broken).is_err());
    }
}

#[test]
fn what_is_no_recording_is_unprocessable() {
    let whole = chunk(&[execution_sample(1, 1)]);
    for bytes in [b"text".to_vec(), vec![b'x'; 100], whole[..whole.len() - 1].to_vec()] {
        assert_eq!(read_bytes(bytes).unwrap_err().kind, flamestore_model::Kind::Unprocessable);
    }
    let mut not_compressed = whole;
    not_compressed[67] = 0;
    assert!(read_bytes(not_compressed).unwrap_err().message.contains("compressed"));
}

#[test]
fn a_form_brings_labels_for_contexts_and_spans() {
    let sample = event(EXECUTION_SAMPLE, &numbers(&[5, 1, 1, 7, 0xab]));
    let entry = |key: u64, value: Vec<u8>| [number(1, key), value].concat();
    let labels = [
        bytes(1, entry(7, bytes(2, bytes(1, entry(1, number(2, 2)))))),
        bytes(2, entry(1, bytes(2, "op"))),
        bytes(2, entry(2, bytes(2, "hash"))),
    ]
    .concat();
    let mut body = b"--BB\r\nContent-Disposition: form-data; name=\"jfr\"; filename=\"jfr\"\r\n\r\n".to_vec();
    body.extend_from_slice(&crate::inflate::tests::gzip(&chunk(&[sample])));
    body.extend(b"\r\n--BB\r\nContent-Disposition: form-data; name=\"labels\"\r\n\r\n");
    body.extend(labels);
    body.extend(b"\r\n--BB--\r\n");
    let ingested =
        ingest("svc{service_name=shop}", "jfr", "multipart/form-data; boundary=BB", "", body.into()).unwrap();
    assert_eq!(ingested.profiles[0].label("app_name"), Some("svc"));
    assert_eq!(ingested.notes.parts_without_filename, 1);
    let decoded = flamestore_pprof::decode(&ingested.profiles[0].pprof, 0).unwrap();
    let labels: Vec<String> =
        decoded.labels.iter().map(|l| format!("{}={}", decoded.str(l.key), decoded.str(l.text))).collect();
    assert_eq!(labels, ["op=hash", "profile_id=00000000000000ab"]);
    assert_eq!(decoded.lines[0].line, 7);
}

#[test]
fn a_form_without_a_recording_is_unprocessable() {
    let body = b"--BB\r\nContent-Disposition: form-data; name=\"labels\"\r\n\r\n\r\n--BB--".to_vec();
    let fault = ingest("svc", "jfr", "multipart/form-data; boundary=BB", "", body.into()).unwrap_err();
    assert_eq!(fault.kind, flamestore_model::Kind::Unprocessable);
}

proptest! {
    #[test]
    fn no_bytes_panic(flips in proptest::collection::vec((0..2400usize, any::<u8>()), 1..8)) {
        let mut bytes = chunk(&[active_event("wall"), execution_sample(1, 1), event(WALL_CLOCK_SAMPLE, &numbers(&[1, 1, 3]))]);
        for (at, byte) in flips {
            if let Some(b) = bytes.get_mut(at) {
                *b = byte;
            }
        }
        let _ = read_bytes(bytes);
    }
}
