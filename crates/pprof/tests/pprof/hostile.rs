//! Whatever the bytes, nothing panics, hangs or takes memory out of proportion.

use flamestore_model::Kind;
use flamestore_pprof::encode::{Label, Writer, encode_profile};
use flamestore_pprof::{Caps, NormalizeOptions, Spy, check, decode, normalize};
use proptest::prelude::*;

use crate::decoding::message;
use crate::fixture::{assert_sound, show};

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A length-delimited field.
pub(crate) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    [varint(u64::from(number) << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// All there is to do with bytes. Faults are fine as long as they blame the sender.
fn survive(bytes: &[u8]) {
    let profile = match decode(bytes, 1 << 20) {
        Ok(profile) => profile,
        Err(fault) => {
            assert!(matches!(fault.kind, Kind::Invalid | Kind::Unprocessable), "{fault}");
            assert!(fault.discard.is_some());
            return;
        }
    };
    let _ = check(&profile, &Caps { max_samples: 10, max_sample_labels: 2, spy: Spy::Other });
    encode_profile(&profile);
    for spy in [Spy::Other, Spy::Pyspy, Spy::Scripting, Spy::Dotnet] {
        for (go, max) in [(false, 0), (true, 3), (true, 0)] {
            let options = NormalizeOptions { max_depth: max, max_symbol_bytes: max, max_inflated_bytes: 0, go, spy };
            let n = normalize(profile.clone(), &options);
            assert_sound(&n);
            assert_eq!(show(&n), show(&normalize(profile.clone(), &options)), "the same each time");
        }
    }
}

/// A file with a bit of everything.
fn rich() -> Vec<u8> {
    let mut w = Writer::new();
    w.sample_type("cpu", "nanoseconds");
    w.sample_type("inuse-space", "bytes");
    let names = ["main.(*T[go.shape.int]).f", "main.(*T).f", "g[...]", "héllo", "x"];
    let mut ids: Vec<u64> = names.iter().map(|n| w.frame(n)).collect();
    let file = w.string("/a/b.go");
    let mapping = flamestore_pprof::Mapping {
        memory_start: 1,
        memory_limit: 9,
        file_offset: 2,
        filename: Default::default(),
        build_id: Default::default(),
        flags: 1,
    };
    let mapping = w.mapping(&mapping, file, 0);
    ids.push(w.location(mapping, 5, &[], false));
    for row in 0..40usize {
        let stack: Vec<u64> = (0..row % 70).map(|i| ids[(i * 7 + row) % ids.len()]).collect();
        let labels = [
            Label::Text { key: "span_id", text: "00000000000000ff" },
            Label::Text { key: ["a", "b"][row % 2], text: ["x", "y", "z"][row % 3] },
            Label::Number { key: "bytes", num: 3, unit: "b" },
        ];
        w.sample(&stack, &[row as i64 - 1, 1], &labels[..row % 4]);
    }
    w.period("cpu", "nanoseconds", 5);
    w.finish()
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }

    #[test]
    fn any_damage_to_a_good_file_is_survived(edits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6), cut in any::<u16>()) {
        let mut bytes = rich();
        for (at, byte) in edits {
            let at = at as usize % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - (cut as usize % 400).saturating_sub(300));
        survive(&bytes);
    }

    #[test]
    fn any_fields_in_any_nesting_are_survived(fields in proptest::collection::vec((1u32..16, proptest::collection::vec((1u32..8, 0u64..6), 0..6), 0u32..8), 0..40)) {
        let mut bytes: Vec<u8> = ["", "cpu", "a-b", "f[go.shape.int]", "f"].iter().flat_map(|s| field(6, s.as_bytes())).collect();
        for (number, numbers, nested) in fields {
            let inner = message(&numbers, &[]);
            let whole = message(&numbers, &[(nested.max(1), inner)]);
            bytes.extend(if number == 6 { Vec::new() } else { field(number, &whole) });
        }
        survive(&bytes);
    }
}

#[test]
fn wrong_wire_types_are_refused_in_every_message() {
    for number in [1u32, 2, 3, 4, 5, 6, 11] {
        survive(&[varint(u64::from(number) << 3), vec![1]].concat());
        survive(&[varint(u64::from(number) << 3 | 5), vec![0; 4]].concat());
        for inner in 1u32..=10 {
            let as_bytes = field(number, &field(inner, b"\xff\xff"));
            let as_fixed = field(number, &[varint(u64::from(inner) << 3 | 1), vec![0; 8]].concat());
            survive(&as_bytes);
            survive(&as_fixed);
        }
    }
    for number in [9u32, 10, 12, 14] {
        assert!(decode(&field(number, b"x"), 0).is_err());
    }
}

/// Decodes and normalises in bearable time: quadratic work would take minutes here.
fn bearable(bytes: &[u8], options: &NormalizeOptions) {
    let profile = decode(bytes, 0).unwrap();
    let n = normalize(profile, options);
    assert!(n.profile.text.len() <= bytes.len() * 6 + (2 << 20), "text grew to {} bytes", n.profile.text.len());
}

fn with_types(strings: &[&str], rest: &[u8]) -> Vec<u8> {
    let table: Vec<u8> = ["", "cpu"].iter().chain(strings).flat_map(|s| field(6, s.as_bytes())).collect();
    [field(1, &message(&[(1, 1)], &[])), table, rest.to_vec()].concat()
}

const ALL: NormalizeOptions =
    NormalizeOptions { max_depth: 1000, max_symbol_bytes: 65_535, max_inflated_bytes: 0, go: true, spy: Spy::Rbspy };

#[test]
fn a_million_labels_are_bearable() {
    let label = field(3, &message(&[(1, 2), (2, 3)], &[]));
    let sample = message(&[(2, 1)], &[]);
    let many = [sample, label.repeat(1_000_000)].concat();
    let bytes = with_types(&["key", "text"], &field(2, &many));
    let fault = check(&decode(&bytes, 0).unwrap(), &Caps { max_sample_labels: 100, ..Caps::default() }).unwrap_err();
    assert!(fault.message.contains("1000000 labels"), "{fault}");
    bearable(&bytes, &ALL);
}

#[test]
fn long_strings_with_many_uses_are_bearable() {
    let long = |end: &str| "x".repeat(60_000) + end;
    let (file, name, shaped) = (long("f"), long("n"), long("[go.shape.int]"));
    let location = |id: u64| field(4, &message(&[(1, id)], &[(4, message(&[(1, id)], &[]))]));
    let function = |id: u64| field(5, &message(&[(1, id), (2, 3 + id % 2), (3, 3 + (id + 1) % 2), (4, 2)], &[]));
    let objects: Vec<u8> = (1..=60_000).flat_map(|id| [location(id), function(id)].concat()).collect();
    let sample = field(2, &message(&[(1, 1), (2, 1)], &[(3, message(&[(1, 2), (2, 3)], &[]))])).repeat(20_000);
    bearable(&with_types(&[&file, &name, &shaped], &[objects, sample].concat()), &ALL);
}

#[test]
fn deep_recursion_is_bearable() {
    let locations: Vec<u8> = (1..=3u64).flat_map(|id| field(4, &message(&[(1, id), (3, id)], &[]))).collect();
    let samples: Vec<u8> = (0..16_000u64)
        .flat_map(|row| {
            let stack: Vec<u8> = (0..64u64).map(|i| (1 + (row >> (i % 14) & 1) + (i + row) % 2) as u8).collect();
            field(2, &message(&[(2, 1)], &[(1, stack)]))
        })
        .collect();
    bearable(&with_types(&[], &[locations, samples].concat()), &ALL);
}
