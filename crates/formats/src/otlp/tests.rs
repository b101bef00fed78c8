//! Requests of every revision, written by hand.

use proptest::prelude::*;

use super::*;
use crate::protobuf::write::{bytes, fixed, number, packed};
use crate::testing::folded;

const NOW: i64 = 1_795_000_205_000_000_000;
const TIME: u64 = 1_795_000_200_000_000_000;
const STRINGS: [&str; 12] = [
    "",
    "samples",
    "count",
    "cpu",
    "nanoseconds",
    "main",
    "work",
    "off_cpu",
    "thread",
    "space",
    "bytes",
    "service.name",
];

fn read_export(body: &[u8]) -> Export {
    read(body, &Caps::default()).unwrap()
}

fn text(value: &str) -> Vec<u8> {
    bytes(1, value)
}

fn attribute(key: &str, value: Vec<u8>) -> Vec<u8> {
    [bytes(1, key), bytes(2, value)].concat()
}

fn resource(attributes: &[(&str, Vec<u8>)]) -> Vec<u8> {
    attributes.iter().flat_map(|(key, value)| bytes(1, attribute(key, value.clone()))).collect()
}

fn request(resource: Vec<u8>, profile: Vec<u8>, dictionary: Vec<u8>) -> Vec<u8> {
    let scope = [bytes(1, bytes(3, attribute("scope.kind", text("sdk")))), bytes(2, profile)].concat();
    [bytes(1, [bytes(1, resource), bytes(2, scope)].concat()), dictionary].concat()
}

/// Tables of the revisions from 1.7 on, as fields of a message. Stacks: 1 is work called by main, 2 is main.
fn tables(has_stacks: bool) -> Vec<u8> {
    let function = |name: u64| number(1, name);
    let location =
        |function: u64| [number(1, 1), number(2, 64), bytes(3, [number(1, function), number(2, 7)].concat())];
    let mut out = [
        bytes(1, ""),
        bytes(1, [number(1, 4096), number(2, 8192)].concat()),
        bytes(2, ""),
        bytes(2, location(1).concat()),
        bytes(2, location(2).concat()),
        bytes(3, ""),
        bytes(3, function(5)),
        bytes(3, function(6)),
        bytes(4, ""),
        bytes(4, [bytes(1, [7; 16]), bytes(2, [9; 8])].concat()),
        STRINGS.iter().flat_map(|s| bytes(5, s)).collect(),
    ]
    .concat();
    if has_stacks {
        out.extend([bytes(6, ""), bytes(6, [number(1, 8), bytes(2, text("t1"))].concat())].concat());
        out.extend(bytes(6, [number(1, 11), bytes(2, text("other"))].concat()));
        out.extend([bytes(7, ""), bytes(7, packed(1, &[2, 1])), bytes(7, packed(1, &[1]))].concat());
    } else {
        out.extend(bytes(6, attribute("thread", text("t1"))));
    }
    out
}

fn value_type(field: u64, kind: u64, unit: u64) -> Vec<u8> {
    bytes(field, [number(1, kind), number(2, unit)].concat())
}

/// A profile of 1.10 of sample counts with a CPU period.
fn cpu_profile(samples: &[Vec<u8>]) -> Vec<u8> {
    let samples: Vec<u8> = samples.iter().flat_map(|s| bytes(2, s)).collect();
    [value_type(1, 1, 2), samples, fixed(3, TIME), number(4, 5_000_000_000), value_type(5, 3, 4), number(6, 1000)]
        .concat()
}

fn sample(stack: u64, value: u64) -> Vec<u8> {
    [number(1, stack), packed(4, &[value])].concat()
}

fn service(name: &str) -> Vec<u8> {
    resource(&[("service.name", text(name))])
}

fn of_profile(profile: Vec<u8>) -> Vec<u8> {
    request(service("svc"), profile, bytes(2, tables(true)))
}

fn stacks(export: &Export) -> Vec<String> {
    export.ingested.profiles.iter().map(folded).collect()
}

const CPU: &str = "svc process_cpu:cpu:nanoseconds:cpu:nanoseconds main 2000, main;work 3000";

#[test]
fn counts_with_a_cpu_period_become_time() {
    let export = read_export(&of_profile(cpu_profile(&[sample(1, 3), sample(2, 2)])));
    assert_eq!(stacks(&export), [CPU]);
    let decoded = flamestore_pprof::decode(&export.ingested.profiles[0].pprof, 0).unwrap();
    assert_eq!((decoded.time_nanos, decoded.duration_nanos, decoded.period), (TIME as i64, 5_000_000_000, 1000));
}

#[test]
fn every_revision_says_the_same() {
    let old_sample = |start: u64, length: u64, value: u64| {
        [number(1, start), number(2, length), packed(3, &[value]), packed(4, &[0]), packed(6, &[TIME])].concat()
    };
    let samples = [bytes(2, old_sample(0, 2, 3)), bytes(2, old_sample(1, 1, 2))].concat();
    let of_1_7 = [
        value_type(1, 1, 2),
        samples.clone(),
        packed(3, &[2, 1]),
        number(4, TIME),
        number(5, 5),
        value_type(6, 3, 4),
        number(7, 1000),
    ]
    .concat();
    // 1.6 is 1.7 with the tables a level up, 1.5 with them in the profile and the rest renumbered.
    let moved = |map: &dyn Fn(u32) -> u64| -> Vec<u8> {
        let tables = tables(false);
        let fields = Fields::of(&tables).map(Result::unwrap);
        fields.flat_map(|(n, value)| if let Value::Bytes(b) = value { bytes(map(n), b) } else { vec![] }).collect()
    };
    let of_1_5 = [
        value_type(1, 1, 2),
        samples,
        packed(5, &[2, 1]),
        moved(&|n| [0, 3, 4, 6, 9, 10, 7][n as usize]),
        number(11, TIME),
        number(12, 5),
        value_type(13, 3, 4),
        number(14, 1000),
    ]
    .concat();
    let sample_of_1_9 = |stack: u64, value: u64| [number(1, stack), packed(2, &[value]), packed(3, &[1])].concat();
    for (revision, body) in [
        ("1.5", request(service("svc"), of_1_5, vec![])),
        ("1.6", request(service("svc"), of_1_7.clone(), moved(&|n| u64::from(n) + 1))),
        ("1.7", request(service("svc"), of_1_7, bytes(2, tables(false)))),
        ("1.9", of_profile(cpu_profile(&[sample_of_1_9(1, 3), sample_of_1_9(2, 2)]))),
        ("1.10", of_profile(cpu_profile(&[sample(1, 3), sample(2, 2)]))),
    ] {
        let export = read_export(&body);
        assert_eq!(stacks(&export), [CPU], "{revision}: {:?}", export.first_fault);
        let decoded = flamestore_pprof::decode(&export.ingested.profiles[0].pprof, 0).unwrap();
        assert_eq!(decoded.time_nanos, TIME as i64, "{revision}");
        assert_eq!(decoded.labels.len(), if matches!(revision, "1.10") { 0 } else { 2 }, "{revision}");
    }
}

#[test]
fn attributes_of_resource_and_scope_become_labels() {
    let list = |elements: &[&str]| bytes(5, elements.iter().flat_map(|e| bytes(1, text(e))).collect::<Vec<_>>());
    let resource = resource(&[
        ("service.name", text("svc")),
        ("n", number(3, 5)),
        ("one", list(&["x"])),
        ("two", list(&["x", "y"])),
        ("n", number(3, 6)),
        ("flag", number(2, 1)),
        ("scope.kind", text("resource")),
    ]);
    let export = read_export(&request(resource, cpu_profile(&[sample(1, 1)]), bytes(2, tables(true))));
    let labels: Vec<String> =
        export.ingested.profiles[0].labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels.join(" "),
        "__name__=process_cpu __otel__=true __delta__=false n=5 one=x scope.kind=resource service.name=svc \
         service_name=svc"
    );
    assert_eq!(export.ingested.notes.attributes_dropped, 2);
}

#[test]
fn the_service_is_the_samples_or_the_resources_or_the_executable() {
    let other = [number(1, 1), packed(2, &[2]), packed(4, &[1])].concat();
    let export = read_export(&of_profile(cpu_profile(&[sample(1, 3), other, sample(2, 2)])));
    let expected = [CPU.to_owned(), "other process_cpu:cpu:nanoseconds:cpu:nanoseconds main;work 1000".to_owned()];
    assert_eq!(stacks(&export), expected);
    let decoded = flamestore_pprof::decode(&export.ingested.profiles[1].pprof, 0).unwrap();
    assert!(decoded.labels.is_empty(), "the service is no label of the samples besides");
    for (attributes, service) in
        [(vec![], "unknown_service"), (vec![("process.executable.name", text("nginx"))], "unknown_service:nginx")]
    {
        let body = request(resource(&attributes), cpu_profile(&[sample(1, 1)]), bytes(2, tables(true)));
        assert_eq!(read_export(&body).ingested.profiles[0].label("service_name"), Some(service));
    }
}

#[test]
fn attributes_and_links_of_samples_become_their_labels() {
    let sample = [number(1, 1), packed(2, &[1]), number(3, 1), packed(4, &[1])].concat();
    let export = read_export(&of_profile(cpu_profile(&[sample])));
    let decoded = flamestore_pprof::decode(&export.ingested.profiles[0].pprof, 0).unwrap();
    let labels: Vec<String> =
        decoded.labels.iter().map(|l| format!("{}={}", decoded.str(l.key), decoded.str(l.text))).collect();
    assert_eq!(
        labels,
        ["thread=t1".to_owned(), format!("trace_id={}", "07".repeat(16)), format!("span_id={}", "09".repeat(8))]
    );
}

#[test]
fn timestamps_alone_count_and_off_cpu_values_are_summed() {
    let times: Vec<u8> = [TIME, TIME + 1].iter().flat_map(|t| t.to_le_bytes()).collect();
    let export = read_export(&of_profile(cpu_profile(&[[number(1, 1), bytes(5, &times)].concat(), sample(2, 1)])));
    assert_eq!(stacks(&export), ["svc process_cpu:cpu:nanoseconds:cpu:nanoseconds main 1000, main;work 2000"]);

    let both = [number(1, 1), packed(4, &[100, 200]), bytes(5, &times)].concat();
    let off_cpu = [value_type(1, 7, 4), bytes(2, both), fixed(3, TIME)].concat();
    assert_eq!(stacks(&read_export(&of_profile(off_cpu))), ["svc off_cpu:off_cpu:nanoseconds:: main;work 300"]);
}

#[test]
fn other_types_are_named_by_their_period() {
    let profile = [value_type(1, 9, 10), bytes(2, sample(1, 8)), value_type(5, 9, 10), number(6, 512)].concat();
    let export = read_export(&of_profile(profile));
    assert_eq!(stacks(&export), ["svc space:space:bytes:space:bytes main;work 8"]);
    let raw = &export.ingested.profiles[0];
    assert_eq!(raw.arrival.time_nanos(0, NOW).0, NOW, "no time is now");
}

#[test]
fn a_profile_that_makes_no_sense_does_not_take_others_with_it() {
    let good = cpu_profile(&[sample(1, 3), sample(2, 2)]);
    let no_period = [value_type(1, 9, 10), bytes(2, sample(1, 8))].concat();
    for (bad, gist) in [
        (no_period, "period_type"),
        (cpu_profile(&[sample(1, 1)])[6..].to_vec(), "sample_type"),
        (cpu_profile(&[[number(1, 1), packed(4, &[1, 2])].concat()]), "2 values and 0 timestamps"),
        (cpu_profile(&[number(1, 1)]), "neither"),
        (cpu_profile(&[sample(3, 1)]), "stack_table"),
        (cpu_profile(&[[number(1, 1), packed(2, &[9]), packed(4, &[1])].concat()]), "attribute_table"),
        (cpu_profile(&[[number(1, 1), number(3, 9), packed(4, &[1])].concat()]), "link_table"),
    ] {
        let scope = [bytes(2, &bad), bytes(2, &good)].concat();
        let body = [bytes(1, [bytes(1, service("svc")), bytes(2, scope)].concat()), bytes(2, tables(true))].concat();
        let export = read_export(&body);
        assert_eq!((stacks(&export), export.refused), (vec![CPU.to_owned()], 1), "{gist}");
        let fault = export.first_fault.unwrap();
        assert_eq!(fault.kind, Kind::Invalid);
        assert!(fault.message.contains(gist), "{gist}: {fault}");
    }
}

#[test]
fn a_request_without_tables_or_that_is_none_is_invalid() {
    let no_tables = request(service("svc"), cpu_profile(&[sample(1, 1)]), vec![]);
    for body in [&b""[..], b"garbage", &no_tables] {
        assert_eq!(read(body, &Caps::default()).unwrap_err().kind, Kind::Invalid);
    }
    assert!(read_export(&bytes(2, tables(true))).ingested.profiles.is_empty());
}

#[test]
fn a_small_request_cannot_unfold_without_end() {
    let long = bytes(7, packed(1, &vec![1; 20_000]));
    let samples = vec![sample(3, 1); 20_000];
    let body = request(service("svc"), cpu_profile(&samples), bytes(2, [tables(true), long].concat()));
    let fault =
        read(&body, &Caps { max_profile_bytes: 0, max_inflated_bytes: 1 << 20, ..Caps::default() }).unwrap_err();
    assert_eq!(fault.kind, Kind::TooLarge);
}

#[test]
fn mappings_keep_their_build_id_and_say_whether_functions_are_known() {
    let strings: Vec<u8> =
        ["", "space", "bytes", "process.executable.build_id.gnu"].iter().flat_map(|s| bytes(5, s)).collect();
    let tables = [
        bytes(1, ""),
        bytes(1, [number(1, 4096), number(2, 8192), packed(5, &[1])].concat()),
        bytes(2, ""),
        bytes(2, [number(1, 1), number(2, 5000)].concat()),
        strings,
        bytes(6, ""),
        bytes(6, [number(1, 3), bytes(2, text("abcd"))].concat()),
        bytes(7, ""),
        bytes(7, packed(1, &[1])),
    ]
    .concat();
    let profile = [value_type(1, 1, 2), bytes(2, sample(1, 8)), value_type(5, 1, 2), number(6, 1)].concat();
    let export = read_export(&request(service("svc"), profile, bytes(2, tables)));
    let decoded = flamestore_pprof::decode(&export.ingested.profiles[0].pprof, 0).unwrap();
    assert_eq!((decoded.str(decoded.mappings[0].build_id), decoded.mappings[0].flags), ("abcd", 0));
    assert_eq!(decoded.locations[0].address, 5000);
}

proptest! {
    #[test]
    fn no_bytes_panic(cut in 0..400usize, flips in proptest::collection::vec((0..400usize, any::<u8>()), 0..6)) {
        let mut body = of_profile(cpu_profile(&[sample(1, 3), sample(2, 2)]));
        for (at, byte) in flips {
            if let Some(b) = body.get_mut(at) {
                *b = byte;
            }
        }
        body.truncate(body.len().saturating_sub(cut % 7));
        let _ = read(&body, &Caps::default());
    }
}
