//! The same dataset, interned in another order.

use flamestore_symbols::tables::{NO_MAPPING, ROOT};
use flamestore_symbols::{Function, Line, Location, Mapping, Symbols};

use crate::held::{Dataset, fold_by_name};
use crate::made::Chance;

/// The same dataset as if everything had been interned in another order.
pub(crate) fn interned_otherwise(from: &Dataset, seed: u64) -> Dataset {
    let mut chance = Chance(seed);
    let s = &from.symbols;
    let mut t = Symbols::default();
    let shuffled = |n: usize, chance: &mut Chance| {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, chance.below(i as u64 + 1) as usize);
        }
        order
    };
    let mut strings = vec![0u32; s.strings.len()];
    for old in shuffled(s.strings.len(), &mut chance).into_iter().filter(|i| *i > 0) {
        strings[old as usize] = t.strings.push(s.strings.get(old));
    }
    let mut functions = vec![0u32; s.functions.len()];
    for old in shuffled(s.functions.len(), &mut chance) {
        functions[old as usize] = t.functions.len() as u32;
        let f = s.functions[old as usize];
        let text = |id: u32| strings[id as usize];
        t.functions.push(Function {
            name: text(f.name),
            system_name: text(f.system_name),
            filename: text(f.filename),
            ..f
        });
    }
    let mut mappings = vec![0u32; s.mappings.len()];
    for old in shuffled(s.mappings.len(), &mut chance) {
        mappings[old as usize] = t.mappings.len() as u32;
        let m = s.mappings[old as usize];
        let text = |id: u32| strings[id as usize];
        t.mappings.push(Mapping { filename: text(m.filename), build_id: text(m.build_id), ..m });
    }
    let mut locations = vec![0u32; s.locations.len()];
    for old in shuffled(s.locations.len(), &mut chance) {
        locations[old as usize] = t.locations.len() as u32;
        let l = s.locations[old as usize];
        let first_line = t.lines.len() as u32;
        let lines = s.lines_of(old).iter();
        t.lines.extend(lines.map(|x| Line { function: functions[x.function as usize], line: x.line }));
        let mapping = if l.mapping == NO_MAPPING { NO_MAPPING } else { mappings[l.mapping as usize] };
        t.locations.push(Location { mapping, first_line, end_line: t.lines.len() as u32, ..l });
    }
    // Any order in which parents come first.
    let mut stacks = vec![u32::MAX; s.stacks.parent.len()];
    stacks[ROOT as usize] = ROOT;
    let mut left: Vec<u32> = shuffled(s.stacks.parent.len(), &mut chance).into_iter().filter(|i| *i > 0).collect();
    while !left.is_empty() {
        left.retain(|old| {
            let parent = stacks[s.stacks.parent[*old as usize] as usize];
            if parent == u32::MAX {
                return true;
            }
            stacks[*old as usize] = t.stacks.parent.len() as u32;
            t.stacks.parent.push(parent);
            t.stacks.location.push(locations[s.stacks.location[*old as usize] as usize]);
            false
        });
    }
    fold_by_name(&mut t);
    let mut out = Dataset { symbols: t, ..from.clone() };
    for p in out.series.iter_mut().flat_map(|s| &mut s.profiles) {
        let order = shuffled(p.stacks.len(), &mut chance);
        let pick = |i: &u32| *i as usize;
        p.stacks = order.iter().map(|i| stacks[p.stacks[pick(i)] as usize]).collect();
        p.values = order.iter().map(|i| p.values[pick(i)]).collect();
        p.narrow = p.narrow.as_ref().map(|n| order.iter().map(|i| n[pick(i)]).collect());
        if !p.span_ids.is_empty() {
            p.span_ids = order.iter().map(|i| p.span_ids[pick(i)]).collect();
            p.trace_ids = order.iter().map(|i| p.trace_ids[pick(i)]).collect();
        }
    }
    out
}
