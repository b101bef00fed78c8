//! What decoding takes and what it refuses.

use flamestore_model::{Discard, Kind};
use flamestore_pprof::encode::{Label, Writer};
use flamestore_pprof::{Caps, MISSING, NO_MAPPING, Profile, Spy, check, decode};

use crate::fixture::{folded, stack};
use crate::hostile::{field, varint};

/// A message from number fields and nested messages.
pub(crate) fn message(numbers: &[(u32, u64)], nested: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in numbers {
        out.extend(varint(u64::from(*number) << 3));
        out.extend(varint(*value));
    }
    nested.iter().for_each(|(number, bytes)| out.extend(field(*number, bytes)));
    out
}

fn strings(all: &[&str]) -> Vec<u8> {
    all.iter().flat_map(|s| field(6, s.as_bytes())).collect()
}

fn refused(bytes: &[u8], words: &str) {
    let fault = decode(bytes, 0).unwrap_err();
    let kind = if words.contains("not a pprof") { Kind::Unprocessable } else { Kind::Invalid };
    assert_eq!((fault.kind, fault.discard), (kind, Some(Discard::MalformedProfile)), "{fault}");
    assert!(fault.message.contains(words), "{fault}");
}

/// Two sample types, one location with one function, ids as given, tables in the given order.
fn one_sample(location: u64, function: u64, parts: &[usize]) -> Vec<u8> {
    let all = [
        field(1, &message(&[(1, 1), (2, 2)], &[])),
        field(1, &message(&[(1, 3), (2, 2)], &[])),
        field(2, &message(&[(1, location), (2, 7), (2, 8)], &[])),
        field(4, &message(&[(1, location), (3, 64)], &[(4, message(&[(1, function), (2, 5)], &[]))])),
        field(5, &message(&[(1, function), (2, 4)], &[])),
        strings(&["", "cpu", "ns", "samples", "main"]),
    ];
    parts.iter().flat_map(|p| all[*p].clone()).collect()
}

fn is_the_one(p: &Profile) {
    assert_eq!(stack(p, 0), "main");
    assert_eq!(p.values_of(0), [7, 8]);
    assert_eq!((p.str(p.sample_types[0].kind), p.str(p.sample_types[1].kind)), ("cpu", "samples"));
    assert_eq!((p.locations[0].address, p.locations[0].mapping, p.lines[0].line), (64, NO_MAPPING, 5));
}

#[test]
fn tables_may_come_in_any_order() {
    for parts in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 0, 1], [2, 5, 0, 4, 1, 3], [3, 2, 5, 4, 0, 1]] {
        is_the_one(&decode(&one_sample(1, 1, &parts), 0).unwrap());
    }
}

#[test]
fn ids_may_be_any_numbers_but_zero() {
    for id in [1, 2, 77, 1 << 20, (1 << 31) - 1, 1 << 31, u64::from(u32::MAX), 1 << 47, u64::MAX] {
        is_the_one(&decode(&one_sample(id, id, &[0, 1, 2, 3, 4, 5]), 0).unwrap());
    }
    refused(&one_sample(0, 1, &[0, 1, 2, 3, 4, 5]), "location has id 0");
}

#[test]
fn repeated_numbers_may_be_packed_or_not_or_both() {
    let parts = [0, 1, 3, 4, 5].map(|p| one_sample(1, 1, &[p]));
    for sample in [
        message(&[], &[(1, vec![1]), (2, vec![7, 8])]),
        message(&[(1, 1), (2, 7)], &[(2, vec![8])]),
        message(&[], &[(2, vec![7]), (1, vec![1]), (2, vec![]), (2, vec![8])]),
    ] {
        is_the_one(&decode(&[parts.concat(), field(2, &sample)].concat(), 0).unwrap());
    }
}

#[test]
fn unknown_fields_of_every_wire_type_are_skipped() {
    let unknown = [varint(99 << 3), vec![1], varint(99 << 3 | 1), vec![0; 8], varint(99 << 3 | 5), vec![0; 4]].concat();
    let group = [varint(50 << 3 | 3), varint(8 << 3), vec![1], varint(50 << 3 | 4)].concat();
    let bytes = [unknown, group, field(77, b"text"), one_sample(1, 1, &[0, 1, 2, 3, 4, 5])].concat();
    is_the_one(&decode(&bytes, 0).unwrap());
}

#[test]
fn gzip_is_recognised() {
    let plain = one_sample(1, 1, &[0, 1, 2, 3, 4, 5]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    is_the_one(&decode(&gzip.finish().unwrap(), plain.len()).unwrap());
}

#[test]
fn references_to_missing_objects_are_kept_as_missing() {
    let p = decode(&one_sample(3, 9, &[0, 1, 2, 5]), 0).unwrap();
    assert_eq!(p.sample_locations, [MISSING]);
    let p = decode(&one_sample(3, 9, &[0, 1, 2, 3, 5]), 0).unwrap();
    assert_eq!((p.sample_locations[0], p.lines[0].function), (0, MISSING));
    let location = field(4, &message(&[(1, 1), (2, 4)], &[]));
    let p = decode(&[one_sample(1, 1, &[0, 1, 5]), location].concat(), 0).unwrap();
    assert_eq!(p.locations[0].mapping, MISSING);
}

#[test]
fn of_two_locations_with_one_id_the_later_counts() {
    let second = field(4, &message(&[(1, 1), (3, 65)], &[]));
    let p = decode(&[one_sample(1, 1, &[0, 1, 2, 3, 4, 5]), second].concat(), 0).unwrap();
    assert_eq!(p.locations[p.sample_locations[0] as usize].address, 65);
}

#[test]
fn a_profile_without_sample_types_is_empty() {
    refused(b"", "empty profile");
    refused(&strings(&["", "cpu"]), "empty profile");
    refused(b"this is no profile", "not a pprof message");
}

#[test]
fn more_sample_types_than_anybody_sends_are_refused() {
    let types: Vec<u8> = std::iter::repeat_n(field(1, &message(&[(1, 1)], &[])), 101).flatten().collect();
    refused(&[types, strings(&["", "cpu"])].concat(), "limit 100");
}

#[test]
fn every_sample_needs_a_value_for_each_type() {
    let parts = one_sample(1, 1, &[0, 1, 3, 4, 5]);
    let sample = |values: &[u8]| field(2, &message(&[(1, 1)], &[(2, values.to_vec())]));
    refused(&[parts.clone(), sample(&[7])].concat(), "sample 0 has 1 values");
    refused(&[parts.clone(), sample(&[7, 8]), sample(&[7, 8, 9])].concat(), "sample 1 has 3 values");
    refused(&[parts.clone(), sample(&[])].concat(), "sample 0 has 0 values");
    assert!(decode(&[parts, sample(&[7, 8]), sample(&[7, 9])].concat(), 0).is_ok());
}

#[test]
fn the_string_table_must_start_with_the_empty_string_and_be_utf8() {
    let parts = one_sample(1, 1, &[0, 1, 2, 3, 4]);
    refused(&parts, "string 0");
    refused(&[parts.clone(), strings(&["x", "cpu", "ns", "samples", "main"])].concat(), "string 0");
    let table = [strings(&["", "cpu", "ns", "samples"]), field(6, &[b'a', 0xff])].concat();
    refused(&[parts.clone(), table].concat(), "string 4 of the string table is not UTF-8");
    let split = [strings(&["", "cpu", "ns", "samples"]), field(6, &[0xc3]), field(6, &[0xa9])].concat();
    refused(&[parts, split].concat(), "string 4 of the string table is not UTF-8");
}

#[test]
fn string_numbers_beyond_the_table_are_refused_wherever_they_stand() {
    let good = one_sample(1, 1, &[0, 1, 2, 3, 4, 5]);
    for number in [5, 1 << 32, u64::MAX] {
        let broken = [
            field(1, &message(&[(1, number)], &[])),
            field(2, &message(&[(1, 1), (2, 1), (2, 1)], &[(3, message(&[(1, number)], &[]))])),
            field(2, &message(&[(1, 1), (2, 1), (2, 1)], &[(3, message(&[(2, number)], &[]))])),
            field(3, &message(&[(1, 1), (5, number)], &[])),
            field(3, &message(&[(1, 1), (6, number)], &[])),
            field(5, &message(&[(1, 2), (2, number)], &[])),
            field(5, &message(&[(1, 2), (3, number)], &[])),
            field(5, &message(&[(1, 2), (4, number)], &[])),
            field(11, &message(&[(2, number)], &[])),
            message(&[(14, number)], &[]),
        ];
        for bytes in &broken[1..] {
            refused(&[good.clone(), bytes.clone()].concat(), "but the string table has 5 strings");
        }
        let without_samples = one_sample(1, 1, &[0, 1, 3, 4, 5]);
        refused(&[without_samples, broken[0].clone()].concat(), "but the string table has 5 strings");
    }
}

#[test]
fn functions_without_ids_are_read_by_place_and_only_forgiven_to_dotnet() {
    let line = |function: u64| message(&[(1, function), (2, 5)], &[]);
    let parts = [
        field(1, &message(&[(1, 1), (2, 2)], &[])),
        field(2, &message(&[(1, 8), (1, 7), (2, 1)], &[])),
        field(4, &message(&[(1, 7)], &[(4, line(7))])),
        field(4, &message(&[(1, 8)], &[(4, line(8))])),
        field(5, &message(&[(2, 3)], &[])),
        field(5, &message(&[(2, 4)], &[])),
        strings(&["", "cpu", "ns", "root", "leaf"]),
    ];
    let p = decode(&parts.concat(), 0).unwrap();
    assert_eq!(stack(&p, 0), "root;leaf");
    assert!(check(&p, &Caps { spy: Spy::Dotnet, ..Caps::default() }).is_ok());
    let fault = check(&p, &Caps::default()).unwrap_err();
    assert_eq!(fault.discard, Some(Discard::MalformedProfile));
    refused(&[parts.concat(), field(5, &message(&[(2, 4)], &[]))].concat(), "function has id 0");
    refused(&[parts.concat(), field(5, &message(&[(1, 9)], &[]))].concat(), "function has id 0");
}

#[test]
fn limits_are_checked_and_named() {
    let p = folded("cpu", &["a 1 k=v l=w", "b 2", "c 3"]);
    let caps = |max_samples, max_sample_labels| Caps { max_samples, max_sample_labels, spy: Spy::Other };
    assert!(check(&p, &caps(0, 0)).is_ok());
    assert!(check(&p, &caps(3, 2)).is_ok());
    let fault = check(&p, &caps(2, 2)).unwrap_err();
    assert_eq!((fault.kind, fault.discard), (Kind::Invalid, Some(Discard::SamplesLimit)));
    assert!(fault.message.contains("3 samples; limit 2"), "{fault}");
    let fault = check(&p, &caps(3, 1)).unwrap_err();
    assert_eq!((fault.kind, fault.discard), (Kind::Invalid, Some(Discard::SampleLabelsLimit)));
    assert!(fault.message.contains("2 labels; limit 1"), "{fault}");
}

#[test]
fn a_sample_type_with_a_dash_is_refused() {
    let p = folded("inuse-space", &["a 1"]);
    let fault = check(&p, &Caps::default()).unwrap_err();
    assert_eq!((fault.kind, fault.discard), (Kind::Invalid, Some(Discard::MalformedProfile)));
    assert!(check(&p, &Caps { spy: Spy::Dotnet, ..Caps::default() }).is_ok());
}

#[test]
fn labels_and_headers_are_read() {
    let mut w = Writer::new();
    w.sample_type("cpu", "nanoseconds");
    let leaf = w.frame("leaf");
    let labels = [Label::Text { key: "thread", text: "main" }, Label::Number { key: "bytes", num: -5, unit: "b" }];
    w.sample(&[leaf], &[-1], &labels);
    w.period("wall", "seconds", 7);
    w.time_nanos(1_700_000_000_000_000_000);
    w.duration_nanos(11);
    w.default_sample_type("cpu");
    let p = decode(&w.finish(), 0).unwrap();
    let [text, number] = p.labels[..] else { panic!("two labels") };
    assert_eq!((p.str(text.key), p.str(text.text)), ("thread", "main"));
    assert_eq!((p.str(number.key), number.text.len, number.num, p.str(number.num_unit)), ("bytes", 0, -5, "b"));
    assert_eq!((p.str(p.period_type.kind), p.str(p.period_type.unit), p.period), ("wall", "seconds", 7));
    assert_eq!((p.time_nanos, p.duration_nanos, p.str(p.default_sample_type)), (1_700_000_000_000_000_000, 11, "cpu"));
    assert_eq!(p.values, [-1]);
}
