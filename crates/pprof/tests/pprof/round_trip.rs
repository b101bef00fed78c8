//! Encoding and decoding are each other's inverse, in meaning.

use flamestore_pprof::encode::{Label, Writer, encode_profile};
use flamestore_pprof::{MISSING, NO_MAPPING, Profile, StrRef, decode};
use proptest::prelude::*;

use crate::decoding::message;
use crate::hostile::field;

/// A profile with every reference replaced by what it refers to.
#[derive(Debug, PartialEq)]
struct Meaning {
    types: Vec<(String, String)>,
    header: (String, String, i64, i64, i64, String),
    samples: Vec<(Vec<Frame>, Vec<i64>, Vec<LabelMeaning>)>,
}

/// Key, text, number, unit.
type LabelMeaning = (String, String, i64, String);
type Function = Option<(String, String, String, i64)>;
type Mapping = Result<(u64, u64, u64, String, String, u8), &'static str>;

/// `None`: the file names a location that it does not hold.
type Frame = Option<(u64, bool, Mapping, Vec<(Function, i64)>)>;

fn meaning(p: &Profile) -> Meaning {
    let s = |s: StrRef| p.str(s).to_owned();
    let function = |index: u32| {
        (index != MISSING).then(|| {
            let f = p.functions[index as usize];
            (s(f.name), s(f.system_name), s(f.filename), f.start_line)
        })
    };
    let mapping = |index: u32| match index {
        NO_MAPPING => Err("none"),
        MISSING => Err("missing"),
        index => {
            let m = p.mappings[index as usize];
            Ok((m.memory_start, m.memory_limit, m.file_offset, s(m.filename), s(m.build_id), m.flags))
        }
    };
    let frame = |index: &u32| {
        (*index != MISSING).then(|| {
            let l = p.locations[*index as usize];
            let lines = &p.lines[l.first_line as usize..l.end_line as usize];
            let lines = lines.iter().map(|l| (function(l.function), l.line)).collect();
            (l.address, l.is_folded, mapping(l.mapping), lines)
        })
    };
    Meaning {
        types: p.sample_types.iter().map(|t| (s(t.kind), s(t.unit))).collect(),
        header: (
            s(p.period_type.kind),
            s(p.period_type.unit),
            p.period,
            p.time_nanos,
            p.duration_nanos,
            s(p.default_sample_type),
        ),
        samples: p
            .samples
            .iter()
            .enumerate()
            .map(|(row, sample)| {
                (
                    p.locations_of(sample).iter().map(frame).collect(),
                    p.values_of(row).to_vec(),
                    p.labels_of(sample).iter().map(|l| (s(l.key), s(l.text), l.num, s(l.num_unit))).collect(),
                )
            })
            .collect(),
    }
}

const STRINGS: [&str; 6] = ["", "a", "b", "ü", "file.go", "main.f[...]"];

prop_compose! {
    /// Bytes of a file with ids of any kind and references that may dangle.
    fn file()(
        sparse in prop_oneof![Just(1u64), Just(3), Just(1 << 20), Just((1 << 31) - 2), Just(1 << 45)],
        types in proptest::collection::vec((0u64..6, 0u64..6), 1..3),
        mappings in proptest::collection::vec((0u64..6, 0u64..6, any::<u64>(), 0u8..16), 0..3),
        functions in proptest::collection::vec((0u64..6, 0u64..6, 0u64..6, any::<i64>()), 0..6),
        locations in proptest::collection::vec((0u64..4, any::<u64>(), any::<bool>(), proptest::collection::vec((1u64..7, any::<i64>()), 0..3)), 0..6),
        samples in proptest::collection::vec((proptest::collection::vec(1u64..7, 0..5), any::<[i64; 2]>(), proptest::collection::vec((0u64..6, 0u64..6, 0u64..9, 0u64..6), 0..3)), 0..8),
        header in (0u64..6, any::<i64>(), any::<i64>(), any::<i64>()),
        rotate in 0usize..30,
    ) -> Vec<u8> {
        let id = |n: u64| n.wrapping_mul(sparse);
        let mut parts = Vec::new();
        // The order of types is their meaning, so they stay together.
        parts.push(types.iter().flat_map(|(k, u)| field(1, &message(&[(1, *k), (2, *u)], &[]))).collect::<Vec<u8>>());
        parts.push(STRINGS.iter().flat_map(|s| field(6, s.as_bytes())).collect());
        for (n, (file, build, start, flags)) in (1..).zip(&mappings) {
            let flag = |bit: u32| (7 + bit, u64::from(flags >> bit & 1));
            parts.push(field(3, &message(&[(1, id(n)), (2, *start), (5, *file), (6, *build), flag(0), flag(1), flag(2), flag(3)], &[])));
        }
        for (n, (name, system, file, start)) in (1..).zip(&functions) {
            parts.push(field(5, &message(&[(1, id(n)), (2, *name), (3, *system), (4, *file), (5, *start as u64)], &[])));
        }
        for (n, (mapping, address, folded, lines)) in (1..).zip(&locations) {
            let lines: Vec<_> = lines.iter().map(|(f, line)| (4, message(&[(1, id(*f)), (2, *line as u64)], &[]))).collect();
            parts.push(field(4, &message(&[(1, id(n)), (2, id(*mapping)), (3, *address), (5, u64::from(*folded))], &lines)));
        }
        let samples: Vec<u8> = samples.iter().flat_map(|(stack, values, labels)| {
            let mut numbers: Vec<_> = stack.iter().map(|l| (1, id(*l))).collect();
            numbers.extend(values[..types.len()].iter().map(|v| (2, *v as u64)));
            let labels: Vec<_> = labels.iter().map(|(k, t, n, u)| (3, if *t == 0 { message(&[(1, *k), (3, *n), (4, *u)], &[]) } else { message(&[(1, *k), (2, *t)], &[]) })).collect();
            field(2, &message(&numbers, &labels))
        }).collect();
        parts.push(samples);
        parts.push(message(&[(9, header.1 as u64), (10, header.2 as u64), (12, header.3 as u64), (14, header.0)], &[(11, message(&[(1, header.0)], &[]))]));
        let by = rotate % parts.len();
        parts.rotate_left(by);
        parts.concat()
    }
}

proptest! {
    #[test]
    fn decoding_what_was_encoded_gives_the_same_meaning(bytes in file()) {
        let first = decode(&bytes, 0).unwrap();
        let again = decode(&encode_profile(&first), 0).unwrap();
        prop_assert_eq!(meaning(&first), meaning(&again));
        prop_assert_eq!(encode_profile(&first), encode_profile(&again), "encoding settles at once");
    }
}

#[test]
fn equal_objects_get_one_id() {
    let mut w = Writer::new();
    let (a, b) = (w.frame("a"), w.frame("b"));
    assert_eq!((a, b, w.frame("a")), (1, 2, 1));
    let name = w.string("a");
    assert_eq!(w.string(""), 0);
    assert_eq!(w.function(name, name, 0, 0), 1);
    assert_ne!(w.function(name, name, 0, 1), 1);
    assert_ne!(w.location(0, 7, &[(1, 0)], false), w.location(0, 7, &[(1, 0)], true));
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let write = || {
        let mut w = Writer::new();
        w.sample_type("cpu", "nanoseconds");
        let stack: Vec<u64> = (0..300).map(|i| w.frame(&format!("f{i}"))).collect();
        w.sample(&stack, &[1], &[Label::Text { key: "k", text: "v" }]);
        w.finish()
    };
    assert_eq!(write(), write());
}
