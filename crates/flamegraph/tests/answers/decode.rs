//! Reads flame graph levels back, as a user interface would.

use flamestore_flamegraph::{Flamegraph, Half, Tree};

/// (path from the root, total, self), sorted.
pub(crate) type Rows = Vec<(Vec<String>, i64, i64)>;

/// Decodes levels by position alone; panics when a node lies outside every node above it.
pub(crate) fn levels(graph: &Flamegraph) -> Rows {
    let mut rows = Rows::new();
    let mut above: Vec<(i64, i64, Vec<String>)> = Vec::new();
    for (depth, level) in graph.levels.iter().enumerate() {
        let mut here = Vec::new();
        let mut end = 0;
        for group in level.chunks_exact(4) {
            let start = end + group[0];
            end = start + group[1];
            let mut path = Vec::new();
            if depth > 0 {
                let (_, _, parent) =
                    above.iter().find(|(from, to, _)| *from <= start && end <= *to).expect("a node within its parent");
                path.clone_from(parent);
                path.push(graph.names[group[3] as usize].clone());
                rows.push((path.clone(), group[1], group[2]));
            }
            here.push((start, end, path));
        }
        assert!(level.len().is_multiple_of(4) && !level.is_empty());
        above = here;
    }
    rows.sort();
    rows
}

/// The nodes of a tree in the same form.
pub(crate) fn tree(tree: &Tree) -> Rows {
    let totals = tree.totals();
    let mut paths = vec![Vec::new()];
    let mut rows = Rows::new();
    for node in 1..tree.parents().len() {
        let mut path: Vec<String> = paths[tree.parents()[node] as usize].clone();
        path.push(tree.name_of(node as u32).to_owned());
        rows.push((path.clone(), totals[node], tree.self_values()[node]));
        paths.push(path);
    }
    rows.sort();
    rows
}

/// The nodes of one half of a sandwich in the same form.
pub(crate) fn half(names: &[String], half: &Half) -> Rows {
    let mut paths: Vec<Vec<String>> = Vec::new();
    let mut rows = Rows::new();
    for (i, node) in half.0.iter().enumerate() {
        let mut path = if i == 0 { Vec::new() } else { paths[node.parent].clone() };
        path.push(names[node.name].clone());
        rows.push((path.clone(), node.total, node.self_value));
        paths.push(path);
    }
    rows.sort();
    rows
}
