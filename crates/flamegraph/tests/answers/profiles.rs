//! Merged profiles, read back from the bytes of their pprof.

use std::collections::BTreeMap;

use flamestore_flamegraph::profile_merge::PIECE_BYTES;
use flamestore_flamegraph::{GoPgo, PprofMeta, ProfileMerge};
use flamestore_model::{ProfileType, StackFilter};

use crate::build::{A, B, Dataset, Frame, at, folded, frame, strings};

/// A pprof as read by a stranger: fields by number.
#[derive(Default, Debug)]
pub(crate) struct Message {
    numbers: Vec<(u32, u64)>,
    bytes: Vec<(u32, Vec<u8>)>,
}

impl Message {
    pub(crate) fn read(mut input: &[u8]) -> Message {
        let mut message = Message::default();
        while !input.is_empty() {
            let key = varint(&mut input);
            let field = (key >> 3) as u32;
            match key & 7 {
                0 => message.numbers.push((field, varint(&mut input))),
                2 => {
                    let len = varint(&mut input) as usize;
                    message.bytes.push((field, input[..len].to_vec()));
                    input = &input[len..];
                }
                wire_type => panic!("wire type {wire_type}"),
            }
        }
        message
    }

    pub(crate) fn number(&self, field: u32) -> u64 {
        self.numbers.iter().find(|(f, _)| *f == field).map_or(0, |(_, v)| *v)
    }

    pub(crate) fn all(&self, field: u32) -> impl Iterator<Item = &[u8]> {
        self.bytes.iter().filter(move |(f, _)| *f == field).map(|(_, v)| v.as_slice())
    }

    fn packed(&self, field: u32) -> Vec<u64> {
        let mut list = Vec::new();
        for mut input in self.all(field) {
            while !input.is_empty() {
                list.push(varint(&mut input));
            }
        }
        list
    }

    fn by_id(&self, field: u32) -> BTreeMap<u64, Message> {
        self.all(field).map(Message::read).map(|m| (m.number(1), m)).collect()
    }

    pub(crate) fn string(&self, number: u64) -> String {
        String::from_utf8(self.all(6).nth(number as usize).unwrap().to_vec()).unwrap()
    }
}

fn varint(input: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = input[0];
        *input = &input[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Values by stack: names from the root, with `:line` when there is a line, `@address` when there is no name.
pub(crate) fn read_stacks(pprof: &[u8]) -> BTreeMap<String, i64> {
    let profile = Message::read(pprof);
    let (locations, functions) = (profile.by_id(4), profile.by_id(5));
    let mut stacks = BTreeMap::new();
    for sample in profile.all(2).map(Message::read) {
        let mut names = Vec::new();
        for id in sample.packed(1) {
            let location = &locations[&id];
            let before = names.len();
            for line in location.all(4).map(Message::read) {
                let name = profile.string(functions[&line.number(1)].number(2));
                let at = line.number(2);
                names.push(if at == 0 { name } else { format!("{name}:{at}") });
            }
            if names.len() == before {
                names.push(format!("@{:x}", location.number(3)));
            }
        }
        names.reverse();
        let values = sample.packed(2);
        assert_eq!(values.len(), 1);
        let old = stacks.insert(names.join(";"), values[0] as i64);
        assert_eq!(old, None, "a stack comes once");
    }
    stacks
}

fn merge(parts: &[&Dataset]) -> ProfileMerge {
    let mut merge = ProfileMerge::default();
    for part in parts {
        merge.add(&part.symbols, &part.values, &StackFilter::default());
    }
    merge
}

fn stacks_of(profile: &ProfileMerge) -> Vec<(String, i64)> {
    read_stacks(&profile.to_pprof(&PprofMeta::default())).into_iter().collect()
}

fn expect(stacks: &[(&str, i64)]) -> Vec<(String, i64)> {
    stacks.iter().map(|(stack, value)| ((*stack).to_owned(), *value)).collect()
}

#[test]
fn a_pprof_says_what_it_counts() {
    let meta = |id: &str| PprofMeta {
        profile_type: ProfileType::parse(id).unwrap(),
        end_nanos: 1_763_697_600_000_000_000,
        go_pgo: None,
    };
    for (id, period) in [
        ("process_cpu:cpu:nanoseconds:cpu:nanoseconds", 1_000_000_000),
        ("memory:inuse_space:bytes:space:bytes", 524_288),
        ("mutex:contentions:count:mutex:count", 1),
    ] {
        let meta = meta(id);
        let profile = Message::read(&merge(&[&folded(A)]).to_pprof(&meta));
        let types: Vec<Message> = profile.all(1).map(Message::read).collect();
        let text = |number| profile.string(number);
        assert_eq!(types.len(), 1);
        assert_eq!(text(types[0].number(1)), meta.profile_type.sample_type);
        assert_eq!(text(types[0].number(2)), meta.profile_type.sample_unit);
        let period_type = profile.all(11).map(Message::read).next().unwrap();
        assert_eq!(text(period_type.number(1)), meta.profile_type.period_type);
        assert_eq!(text(period_type.number(2)), meta.profile_type.period_unit);
        assert_eq!(profile.number(12), period);
        assert_eq!(text(profile.number(14)), meta.profile_type.sample_type);
        assert_eq!(profile.number(9), 1_763_697_600_000_000_000);
        assert_eq!(profile.number(10), 0, "no duration");
        assert_eq!(text(0), "");
    }
    let without_period = Message::read(&merge(&[&folded(A)]).to_pprof(&meta("exceptions:exc:count::")));
    assert_eq!(without_period.all(11).count(), 0);
}

#[test]
fn no_sample_is_no_bytes() {
    assert!(ProfileMerge::default().to_pprof(&PprofMeta::default()).is_empty());
    assert!(merge(&[&Dataset::default()]).is_empty());
    assert!(ProfileMerge::default().dot(&PprofMeta::default(), 0).is_empty());
}

#[test]
fn stacks_add_up_across_datasets() {
    let both = merge(&[&folded(A), &folded(B)]);
    let expected = expect(&[("a;b", 14), ("a;b;c", 70), ("a;b;d", 30), ("a;e", 15), ("a;g", 40), ("f", 5)]);
    assert_eq!(stacks_of(&both), expected);
    assert_eq!(both.total(), 174);
}

#[test]
fn only_what_a_sample_uses_is_copied() {
    let mut dataset = folded(A);
    dataset.values[..].fill(0);
    dataset.values[1] = 7;
    let profile = Message::read(&merge(&[&dataset]).to_pprof(&PprofMeta::default()));
    assert_eq!((profile.all(4).count(), profile.all(5).count()), (1, 1));
    // The empty string, and one name.
    assert_eq!(profile.all(6).count(), 2);
}

#[test]
fn lines_tell_stacks_apart() {
    let mut dataset = Dataset::default();
    dataset.sample(&[at("main", 1), at("f", 10)], 3);
    dataset.sample(&[at("main", 1), at("f", 11)], 4);
    assert_eq!(stacks_of(&merge(&[&dataset, &dataset])), expect(&[("main:1;f:10", 6), ("main:1;f:11", 8)]));
}

#[test]
fn a_location_without_a_mapping_gets_the_empty_one() {
    let profile = Message::read(&merge(&[&folded(A), &folded(B)]).to_pprof(&PprofMeta::default()));
    assert_eq!(profile.all(3).count(), 1);
    assert!(profile.all(4).map(Message::read).all(|location| location.number(2) == 1));
}

fn loaded(start: u64, address: u64, file: &str) -> Frame {
    Frame { lines: Vec::new(), address, mapping: Some((start, start + 0x5000, file.to_owned())) }
}

#[test]
fn the_same_code_loaded_elsewhere_is_the_same_code() {
    let (mut one, mut two) = (Dataset::default(), Dataset::default());
    one.sample(&[loaded(0x1000, 0x1234, "/bin/app")], 1);
    two.sample(&[loaded(0x9000, 0x9234, "/bin/app"), loaded(0x20000, 0x20001, "/bin/lib")], 2);
    // Within one dataset, too.
    two.sample(&[loaded(0x7000, 0x7234, "/bin/app")], 4);
    for parts in [[&one, &two], [&two, &one]] {
        let all = merge(&parts);
        let values: Vec<i64> = stacks_of(&all).into_iter().map(|(_, v)| v).collect();
        assert_eq!(values, [5, 2]);
        assert_eq!(Message::read(&all.to_pprof(&PprofMeta::default())).all(3).count(), 2);
    }
}

#[test]
fn unsymbolized_frames_are_kept_with_their_address() {
    let mut dataset = Dataset::default();
    dataset.sample(&[frame("main"), loaded(0x1000, 0x1234, "/bin/app")], 1);
    let mut profile = merge(&[&dataset]);
    assert_eq!(stacks_of(&profile), expect(&[("main;@1234", 1)]));
    profile = ProfileMerge::default();
    profile.add(&dataset.symbols, &dataset.values, &StackFilter::at(strings(&["main", "app+0x1234"])));
    assert_eq!(profile.total(), 1);
}

#[test]
fn a_call_site_may_end_within_inlined_calls() {
    let inlined = Frame { lines: vec![("inner".into(), 1), ("outer".into(), 2)], address: 0, mapping: None };
    let mut dataset = Dataset::default();
    dataset.sample(&[frame("main"), inlined], 3);
    dataset.sample(&[frame("main"), frame("outer")], 4);
    let at = |site: &[&str]| {
        let mut profile = ProfileMerge::default();
        profile.add(&dataset.symbols, &dataset.values, &StackFilter::at(strings(site)));
        profile.total()
    };
    assert_eq!(at(&["main", "outer"]), 7);
    assert_eq!(at(&["main", "outer", "inner"]), 3);
    assert_eq!(at(&["main", "inner"]), 0);
}

#[test]
fn a_large_pprof_comes_in_pieces_that_are_the_whole() {
    let mut dataset = Dataset::default();
    for i in 0..20_000u32 {
        let name = format!("package/of/some/length.function_{i}");
        dataset.sample(&[frame("main"), frame(&format!("module_{}", i % 97)), frame(&name)], i64::from(i) + 1);
    }
    let meta = PprofMeta::default();
    let whole = merge(&[&dataset]).to_pprof(&meta);
    let pieces: Vec<Vec<u8>> = merge(&[&dataset]).into_pieces(meta).collect();
    assert!(pieces.len() > 10 && whole.len() > 1_000_000, "{} pieces, {} bytes", pieces.len(), whole.len());
    let largest = pieces.iter().map(Vec::len).max().unwrap_or(0);
    assert!(largest < PIECE_BYTES + 1000, "a piece is longer by one message at most: {largest}");
    assert_eq!(pieces.concat(), whole);
    assert_eq!(ProfileMerge::default().into_pieces(PprofMeta::default()).count(), 0);
}

#[test]
fn truncation_leaves_one_other_per_parent() {
    let mut profile = merge(&[&folded(A)]);
    profile.truncate(2);
    assert_eq!(stacks_of(&profile), expect(&[("a;b", 10), ("a;b;other", 80), ("a;other", 15), ("other", 5)]));
    // A cut profile may still be merged.
    profile.merge(merge(&[&folded("a;b;c 1")]));
    assert_eq!(profile.total(), 111);
    assert_eq!(stacks_of(&profile).iter().map(|(_, v)| v).sum::<i64>(), 111);
}

#[test]
fn truncation_may_cut_within_inlined_calls() {
    let inlined = Frame { lines: vec![("inner".into(), 1), ("outer".into(), 2)], address: 0, mapping: None };
    let mut dataset = Dataset::default();
    dataset.sample(&[inlined], 3);
    dataset.sample(&[at("outer", 5)], 40);
    dataset.sample(&[frame("light")], 1);
    let mut profile = merge(&[&dataset]);
    profile.truncate(1);
    assert_eq!(stacks_of(&profile), expect(&[("other", 1), ("outer:2;other", 3), ("outer:5", 40)]));
}

#[test]
fn profile_guided_optimisation_wants_short_stacks_without_the_line_of_the_callee() {
    let mut dataset = Dataset::default();
    dataset.sample(&[at("main", 1), at("f", 2), at("g", 3)], 1);
    dataset.sample(&[at("main", 9), at("f", 2), at("g", 4)], 2);
    dataset.sample(&[at("main", 9)], 4);
    let stacks = |keep_locations, aggregate_callees| {
        let meta = PprofMeta { go_pgo: Some(GoPgo { keep_locations, aggregate_callees }), ..PprofMeta::default() };
        read_stacks(&merge(&[&dataset]).to_pprof(&meta)).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(stacks(2, true), expect(&[("f:2;g", 3), ("main", 4)]));
    assert_eq!(stacks(2, false), expect(&[("f:2;g:3", 1), ("f:2;g:4", 2), ("main:9", 4)]));
    assert_eq!(stacks(0, true), expect(&[("main", 4), ("main:1;f:2;g", 1), ("main:9;f:2;g", 2)]));
}
