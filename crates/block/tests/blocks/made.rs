//! Datasets made for tests: random ones, and one that never changes.

use flamestore_model::{Labels, ProfileId};
use flamestore_symbols::tables::NO_MAPPING;
use flamestore_symbols::{Function, Line, Location, Mapping, Symbols};
use std::collections::HashMap;

use crate::held::{Dataset, Profile, Series, fold_by_name};

/// A small generator (splitmix64): the same seed gives the same dataset.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) functions: u64,
    pub(crate) stacks: u64,
    pub(crate) pods: u64,
    pub(crate) profiles: u64,
    pub(crate) samples: u64,
    pub(crate) links: bool,
}

pub(crate) const TYPES: [&str; 3] = [
    "memory:alloc_space:bytes:space:bytes",
    "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
    "process_cpu:samples:count:cpu:nanoseconds",
];
pub(crate) const START_NANOS: i64 = 1_763_697_600_000_000_000;
pub(crate) const STEP_NANOS: i64 = 15_000_000_000;

pub(crate) fn dataset(service: &str, seed: u64, size: Size) -> Dataset {
    let mut chance = Chance(seed);
    let symbols = symbols(&mut chance, size);
    let stacks = symbols.stacks.parent.len() as u64;
    let mut series = Vec::new();
    for pod in 0..size.pods {
        for (t, kind) in TYPES.iter().enumerate() {
            let labels = Labels::from_pairs([
                ("__profile_type__", *kind),
                ("service_name", service),
                ("pod", &format!("{service}-{pod}")),
                ("zone", ["", "eu", "us"][pod as usize % 3]),
            ]);
            let profiles = (0..chance.below(size.profiles + 1))
                .map(|tick| profile(&mut chance, size, stacks, t, pod, tick))
                .collect();
            series.push(Series { labels, profile_type: kind.to_string(), profiles });
        }
    }
    let mut dataset = Dataset { service: service.to_owned(), symbols, series };
    dataset.sort();
    dataset
}

fn profile(chance: &mut Chance, size: Size, stacks: u64, kind: usize, pod: u64, tick: u64) -> Profile {
    let n = 1 + chance.below(size.samples);
    // Sometimes two profiles at the same time, sometimes two of one id.
    let time_nanos = START_NANOS + (tick - u64::from(tick > 0 && chance.once_in(8))) as i64 * STEP_NANOS;
    let profile_id = ProfileId((u128::from(pod) << 64 | u128::from(tick / 2)).to_be_bytes());
    let mut p = Profile { time_nanos, duration_nanos: 10_000_000 * kind as i64, profile_id, ..Profile::default() };
    let linked = size.links && chance.once_in(2);
    for _ in 0..n {
        p.stacks.push(chance.below(stacks) as u32);
        p.values.push(if kind == 1 { 10_000_000 * (1 + chance.below(5)) } else { 1 + chance.below(1 << 40) } as i64);
        if linked {
            p.span_ids.push(chance.below(4));
            p.trace_ids.push(u128::from(chance.below(3)) << 70);
        }
    }
    if kind == 2 {
        p.values.iter_mut().for_each(|v| *v %= 1000);
        p.values.iter_mut().for_each(|v| *v += 1);
        p.narrow = Some(p.values.iter().map(|v| *v as u32).collect());
    }
    p
}

/// Locations with none, one or three lines, with and without a mapping, and a tree of them.
fn symbols(chance: &mut Chance, size: Size) -> Symbols {
    let mut s = Symbols::default();
    let file = s.strings.push("main.go");
    for i in 0..size.functions {
        let name = s.strings.push(&format!("pkg{}.f{i}", i % 7));
        let system_name = if chance.once_in(3) { s.strings.push(&format!("_Zf{i}")) } else { name };
        let filename = if chance.once_in(4) { 0 } else { file };
        s.functions.push(Function { name, system_name, filename, start_line: chance.below(100) as i64 });
    }
    for i in 0..2 {
        let filename = s.strings.push(["/bin/app", "/lib/libc.so"][i]);
        let build_id = s.strings.push(["abc", ""][i]);
        let memory_start = 0x40_0000 * i as u64;
        let memory_limit = memory_start + (u64::MAX >> 1);
        s.mappings.push(Mapping { memory_start, memory_limit, file_offset: 7, filename, build_id, flags: 5 * i as u8 });
    }
    if s.strings.get(s.mappings[1].build_id).is_empty() {
        // The empty string is string 0.
        s.mappings[1].build_id = 0;
    }
    for i in 0..size.functions {
        let first_line = s.lines.len() as u32;
        let lines = [1, 1, 1, 3, 0][chance.below(5) as usize];
        for _ in 0..lines {
            let function = chance.below(size.functions) as u32;
            s.lines.push(Line { function, line: chance.below(1000) as i64 - 1 });
        }
        s.locations.push(Location {
            mapping: if chance.once_in(5) { NO_MAPPING } else { chance.below(2) as u32 },
            address: if chance.once_in(9) { u64::MAX - i } else { 0x1000 + i * 16 },
            is_folded: chance.once_in(10),
            first_line,
            end_line: first_line + lines,
        });
    }
    let mut known = HashMap::new();
    for _ in 0..size.stacks {
        let parent = chance.below(s.stacks.parent.len() as u64) as u32;
        let location = chance.below(size.functions) as u32;
        known.entry((parent, location)).or_insert_with(|| {
            s.stacks.parent.push(parent);
            s.stacks.location.push(location);
        });
    }
    fold_by_name(&mut s);
    s
}
