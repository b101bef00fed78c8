//! From stack values to an answer: fold, merge, cut and draw a tree of 12,000 nodes; merge and write a pprof.

use flamestore_flamegraph::{PprofMeta, ProfileMerge, Tree, TreeMerger, fold};
use flamestore_model::StackFilter;
use flamestore_symbols::tables::NO_MAPPING;
use flamestore_symbols::{Function, Line, Location, Symbols};

fn main() {
    divan::main();
}

const NODES: u32 = 12_000;
const FUNCTIONS: u32 = 3_000;

/// A tree like those of services: some hundred frames deep, names that repeat. The same every time.
fn dataset(nodes: u32) -> (Symbols, Vec<i64>) {
    let mut symbols = Symbols::default();
    for i in 0..FUNCTIONS {
        let name = symbols.strings.push(&format!("example.com/team/service/package{}.(*Type).method{i}", i % 50));
        symbols.functions.push(Function { name, system_name: name, filename: 0, start_line: 0 });
        symbols.lines.push(Line { function: i, line: 10 });
        symbols.locations.push(Location {
            mapping: NO_MAPPING,
            address: 0,
            is_folded: false,
            first_line: i,
            end_line: i + 1,
        });
    }
    let mut values = vec![0];
    let mut chance = 1u32;
    for node in 1..=nodes {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let back = 1 + (chance >> 16) % 200.min(node);
        // No two nodes have both parent and function in common.
        let location = (node * 7) % FUNCTIONS;
        symbols.stacks.parent.push(node - back);
        symbols.stacks.location.push(location);
        symbols.stacks.fn_node.push(node);
        symbols.fn_tree.parent.push(node - back);
        symbols.fn_tree.name.push(symbols.functions[location as usize].name);
        values.push(i64::from(chance >> 20));
    }
    (symbols, values)
}

fn merge(parts: &[(Symbols, Vec<i64>)]) -> Tree {
    let mut merger = TreeMerger::default();
    for (symbols, values) in parts {
        let mut by_fn_node = Vec::new();
        fold(values, &symbols.stacks.fn_node, &mut by_fn_node);
        merger.add(&symbols.strings, &symbols.fn_tree, &by_fn_node, &StackFilter::default());
    }
    merger.finish()
}

/// What was kept of eight windows, most of whose stacks are the same.
#[divan::bench(args = [12_000, 120_000])]
fn kept_parts(bencher: divan::Bencher<'_, '_>, nodes: u32) {
    let parts: Vec<Tree> = (0..8).map(|part| merge(&[dataset(nodes + part * nodes / 50)])).collect();
    bencher.bench(|| {
        let mut merger = TreeMerger::default();
        for part in &parts {
            merger.add_tree(part);
        }
        merger.finish()
    });
}

#[divan::bench(args = [1, 4])]
fn flamegraph(bencher: divan::Bencher<'_, '_>, datasets: usize) {
    let parts = vec![dataset(NODES); datasets];
    bencher.bench(|| {
        let mut tree = merge(&parts);
        tree.truncate(8192);
        tree.flamegraph()
    });
}

#[divan::bench]
fn merge_only(bencher: divan::Bencher<'_, '_>) {
    let parts = [dataset(NODES)];
    bencher.bench(|| merge(&parts));
}

#[divan::bench]
fn truncate_only(bencher: divan::Bencher<'_, '_>) {
    let tree = merge(&[dataset(NODES)]);
    bencher.with_inputs(|| tree.clone()).bench_values(|mut tree| {
        tree.truncate(8192);
        tree
    });
}

#[divan::bench]
fn levels_only(bencher: divan::Bencher<'_, '_>) {
    let tree = merge(&[dataset(NODES)]);
    bencher.bench(|| tree.flamegraph());
}

#[divan::bench(args = [1, 4])]
fn pprof(bencher: divan::Bencher<'_, '_>, datasets: usize) {
    let parts = vec![dataset(NODES); datasets];
    bencher.bench(|| {
        let mut profile = ProfileMerge::default();
        for (symbols, values) in &parts {
            profile.add(symbols, values, &StackFilter::default());
        }
        profile.to_pprof(&PprofMeta::default())
    });
}
