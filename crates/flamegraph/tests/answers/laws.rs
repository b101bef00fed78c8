//! Laws that hold for any data.

use std::collections::BTreeMap;

use flamestore_flamegraph::{Diff, FunctionTable, PprofMeta, ProfileMerge, Sandwich, Tree, TreeMerger};
use flamestore_model::{FrameFilter, FramePatterns, StackFilter};
use proptest::prelude::*;

use crate::build::{Dataset, folded, frame, strings};
use crate::decode;
use crate::profiles::read_stacks;

/// Stacks over a small alphabet, so that paths meet; `other` and `total` among the names.
fn stacks() -> impl Strategy<Value = Vec<(Vec<&'static str>, i64)>> {
    let name = prop::sample::select(vec!["a", "b", "c", "d", "e", "other", "total"]);
    prop::collection::vec((prop::collection::vec(name, 1..7), 1i64..1000), 0..40)
}

fn dataset(stacks: &[(Vec<&str>, i64)]) -> Dataset {
    let mut dataset = Dataset::default();
    for (stack, value) in stacks {
        let frames: Vec<_> = stack.iter().map(|name| frame(name)).collect();
        dataset.sample(&frames, *value);
    }
    dataset
}

fn merged(parts: &[&Tree]) -> Tree {
    let mut merger = TreeMerger::default();
    for part in parts {
        merger.add_tree(part);
    }
    merger.finish()
}

/// Total by path prefix, computed the slow way.
fn naive(stacks: &[(Vec<&str>, i64)]) -> decode::Rows {
    let mut rows: BTreeMap<Vec<String>, (i64, i64)> = BTreeMap::new();
    for (stack, value) in stacks {
        for end in 1..=stack.len() {
            let row = rows.entry(strings(&stack[..end])).or_default();
            row.0 += value;
            row.1 += if end == stack.len() { *value } else { 0 };
        }
    }
    rows.into_iter().map(|(path, (total, own))| (path, total, own)).collect()
}

/// One cut, the slow way: rows come in the order of their paths, so a parent before its children.
fn cut_once(rows: decode::Rows, max_nodes: usize) -> decode::Rows {
    let mut totals: Vec<i64> = rows.iter().map(|r| r.1).collect();
    totals.sort_unstable_by_key(|t| -t);
    if totals.len() <= max_nodes {
        return rows;
    }
    let min = totals[max_nodes - 1];
    let mut kept: BTreeMap<Vec<String>, (i64, i64)> = BTreeMap::new();
    let mut others: BTreeMap<Vec<String>, (i64, i64)> = BTreeMap::new();
    for (path, total, own) in rows {
        let parent = &path[..path.len() - 1];
        if !parent.is_empty() && !kept.contains_key(parent) {
            continue;
        }
        if total >= min && path.last().is_some_and(|name| name != "other") {
            kept.insert(path, (total, own));
        } else {
            let sum = others.entry([parent, &strings(&["other"])].concat()).or_default();
            *sum = (sum.0 + total, sum.1 + total);
        }
    }
    kept.append(&mut others);
    kept.into_iter().map(|(path, (total, own))| (path, total, own)).collect()
}

fn draws_like(graph_of: &Tree, rows: decode::Rows) -> Result<(), TestCaseError> {
    // What lies below `other` is not drawn, and its value is the other's own.
    let shown = rows.into_iter().filter(|(path, ..)| !path[..path.len() - 1].contains(&"other".to_owned()));
    let shown: decode::Rows = shown
        .map(
            |(path, total, own)| {
                if path.ends_with(&strings(&["other"])) { (path, total, total) } else { (path, total, own) }
            },
        )
        .collect();
    prop_assert_eq!(decode::levels(&graph_of.flamegraph()), shown);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_tree_holds_every_path_with_its_sums(stacks in stacks()) {
        let tree = dataset(&stacks).tree();
        prop_assert_eq!(decode::tree(&tree), naive(&stacks));
        prop_assert_eq!(tree.total(), stacks.iter().map(|s| s.1).sum::<i64>());
    }

    #[test]
    fn levels_decode_back_to_the_tree(stacks in stacks()) {
        let tree = dataset(&stacks).tree();
        let graph = tree.flamegraph();
        draws_like(&tree, naive(&stacks))?;
        prop_assert_eq!(graph.total, tree.total());
        prop_assert_eq!(graph.levels[0].len(), 4);
        let names: std::collections::HashSet<_> = graph.names.iter().collect();
        prop_assert_eq!(names.len(), graph.names.len());
    }

    #[test]
    fn merging_has_no_order(a in stacks(), b in stacks(), c in stacks()) {
        let [a, b, c] = [a, b, c].map(|s| dataset(&s).tree());
        let rows = |tree: &Tree| decode::tree(tree);
        prop_assert_eq!(rows(&merged(&[&a, &b])), rows(&merged(&[&b, &a])));
        prop_assert_eq!(rows(&merged(&[&merged(&[&a, &b]), &c])), rows(&merged(&[&a, &merged(&[&b, &c])])));
        prop_assert_eq!(rows(&merged(&[&a, &Tree::default()])), rows(&a));
    }

    #[test]
    fn datasets_merge_like_their_trees(a in stacks(), b in stacks()) {
        let mut merger = TreeMerger::default();
        dataset(&a).add_to(&mut merger, &StackFilter::default());
        dataset(&b).add_to(&mut merger, &StackFilter::default());
        let both = [a, b].concat();
        prop_assert_eq!(decode::tree(&merger.finish()), naive(&both));
    }

    #[test]
    fn truncation_keeps_sums_and_the_heaviest(stacks in stacks(), max_nodes in 1usize..20) {
        let whole = dataset(&stacks).tree();
        let mut cut = whole.clone();
        cut.truncate(max_nodes);
        prop_assert_eq!(cut.total(), whole.total());
        let twice = cut_once(cut_once(naive(&stacks), max_nodes), max_nodes);
        prop_assert_eq!(decode::tree(&cut), twice);
    }

    #[test]
    fn tree_bytes_round_trip(stacks in stacks()) {
        let tree = dataset(&stacks).tree();
        prop_assert_eq!(decode::tree(&Tree::from_bytes(&tree.to_bytes()).unwrap()), decode::tree(&tree));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..64)) {
        if let Ok(tree) = Tree::from_bytes(&bytes) {
            prop_assert_eq!(tree.flamegraph().total, tree.total());
        }
    }

    #[test]
    fn a_call_site_is_a_filter_on_stacks(stacks in stacks(), site in prop::collection::vec(prop::sample::select(vec!["a", "b", "other"]), 0..3)) {
        let kept: Vec<_> = stacks.iter().filter(|(stack, _)| stack.starts_with(&site)).cloned().collect();
        let all = dataset(&stacks);
        prop_assert_eq!(decode::tree(&all.tree_of(&StackFilter::at(strings(&site)))), naive(&kept));
        let mut profile = ProfileMerge::default();
        profile.add(&all.symbols, &all.values, &StackFilter::at(strings(&site)));
        prop_assert_eq!(profile.total(), kept.iter().map(|s| s.1).sum::<i64>());
        prop_assert_eq!(read_stacks(&profile.to_pprof(&PprofMeta::default())), by_stack(&kept));
    }

    #[test]
    fn frames_are_a_filter_on_stacks(
        stacks in stacks(),
        include in prop::collection::vec(prop::sample::select(vec!["a", "b", "other"]), 0..3),
        exclude in prop::collection::vec(prop::sample::select(vec!["c", "d", "^tot"]), 0..2),
    ) {
        let holds = |stack: &[&str], names: &[&str]| {
            stack.iter().any(|name| names.iter().any(|n| n.strip_prefix('^').map_or(name == n, |p| name.starts_with(p))))
        };
        let kept: Vec<_> = stacks
            .iter()
            .filter(|(stack, _)| (include.is_empty() || holds(stack, &include)) && !holds(stack, &exclude))
            .cloned()
            .collect();
        let patterns = FramePatterns {
            include: strings(&include),
            exclude_regex: exclude.iter().map(|n| if n.starts_with('^') { (*n).to_owned() } else { format!("^{n}$") }).collect(),
            ..FramePatterns::default()
        };
        let filter = StackFilter { frames: FrameFilter::new(patterns).unwrap(), ..StackFilter::default() };
        let all = dataset(&stacks);
        prop_assert_eq!(decode::tree(&all.tree_of(&filter)), naive(&kept));
        let mut profile = ProfileMerge::default();
        profile.add(&all.symbols, &all.values, &filter);
        prop_assert_eq!(read_stacks(&profile.to_pprof(&PprofMeta::default())), by_stack(&kept));
    }

    #[test]
    fn a_diff_holds_both_sides(a in stacks(), b in stacks(), max_nodes in 0usize..20) {
        let (left, right) = (dataset(&a).tree(), dataset(&b).tree());
        let diff = Diff::new(&left, &right, max_nodes);
        prop_assert_eq!((diff.left_ticks, diff.right_ticks), (left.total(), right.total()));
        prop_assert_eq!(diff.total, left.total() + right.total());
        let mut own = (0, 0);
        for group in diff.levels.iter().flat_map(|level| level.chunks_exact(7)) {
            own = (own.0 + group[2], own.1 + group[5]);
        }
        prop_assert_eq!(own, (left.total(), right.total()));
        if max_nodes == 0 {
            // One side alone is that side's flame graph.
            let alone = Diff::new(&left, &Tree::default(), 0);
            let levels: Vec<Vec<i64>> = alone
                .levels
                .iter()
                .map(|l| l.chunks_exact(7).flat_map(|g| [g[0], g[1], g[2], g[6]]).collect())
                .collect();
            prop_assert_eq!(levels, left.flamegraph().levels);
        }
    }

    #[test]
    fn function_totals_never_count_a_stack_twice(stacks in stacks()) {
        let table = FunctionTable::of(&dataset(&stacks).tree());
        for row in &table.rows {
            let with: i64 = stacks.iter().filter(|(s, _)| s.contains(&row.name.as_str())).map(|s| s.1).sum();
            let at_leaf: i64 = stacks.iter().filter(|(s, _)| s.last() == Some(&row.name.as_str())).map(|s| s.1).sum();
            prop_assert_eq!((row.total, row.self_value), (with, at_leaf));
        }
    }

    #[test]
    fn cutting_a_function_table_changes_no_number(stacks in stacks(), max_rows in 1usize..8) {
        let whole = FunctionTable::of(&dataset(&stacks).tree());
        let mut cut = whole.clone();
        cut.truncate(max_rows);
        prop_assert_eq!(cut.rows.len(), max_rows.min(whole.rows.len()));
        prop_assert_eq!((cut.total, cut.functions), (whole.total, whole.rows.len()));
        prop_assert!(cut.rows.iter().all(|row| whole.rows.contains(row)));
        let smallest = cut.rows.iter().map(|row| row.total).min().unwrap_or(0);
        prop_assert!(whole.rows.iter().all(|row| row.total <= smallest || cut.rows.contains(row)));
    }

    #[test]
    fn a_sandwich_holds_every_call_of_a_function(
        stacks in stacks(),
        function in prop::sample::select(vec!["a", "b", "other"]),
    ) {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for (stack, value) in &stacks {
            for at in (0..stack.len()).filter(|at| stack[*at] == function) {
                up.push((stack[..=at].iter().rev().copied().collect::<Vec<_>>(), *value));
                down.push((stack[at..].to_vec(), *value));
            }
        }
        let tree = dataset(&stacks).tree();
        let sandwich = Sandwich::of(&tree, function, 0);
        if !up.is_empty() {
            prop_assert_eq!(decode::half(&sandwich.names, &sandwich.callers), naive(&up));
            prop_assert_eq!(decode::half(&sandwich.names, &sandwich.callees), naive(&down));
        }
        let row = FunctionTable::of(&tree).rows.into_iter().find(|row| row.name == function);
        let expected = row.map_or((0, 0), |row| (row.total, row.self_value));
        prop_assert_eq!((sandwich.total, sandwich.self_value), expected);
    }

    #[test]
    fn profiles_merge_in_any_order(a in stacks(), b in stacks(), c in stacks()) {
        let merge = |parts: &[&Vec<(Vec<&'static str>, i64)>]| {
            let mut all = ProfileMerge::default();
            for part in parts {
                let dataset = dataset(part);
                let mut one = ProfileMerge::default();
                one.add(&dataset.symbols, &dataset.values, &StackFilter::default());
                all.merge(one);
            }
            read_stacks(&all.to_pprof(&PprofMeta::default()))
        };
        let expected = by_stack(&[a.clone(), b.clone(), c.clone()].concat());
        prop_assert_eq!(merge(&[&a, &b, &c]), expected.clone());
        prop_assert_eq!(merge(&[&c, &a, &b]), expected);
    }

    #[test]
    fn profiles_are_cut_like_trees(stacks in stacks(), max_nodes in 1usize..20) {
        // A function with the name of the cut would be one node here and another there.
        let stacks: Vec<_> = stacks.into_iter().filter(|(s, _)| !s.contains(&"other")).collect();
        let dataset = dataset(&stacks);
        let mut profile = ProfileMerge::default();
        profile.add(&dataset.symbols, &dataset.values, &StackFilter::default());
        profile.truncate(max_nodes);
        prop_assert_eq!(profile.total(), dataset.tree().total());
        let text: String = read_stacks(&profile.to_pprof(&PprofMeta::default()))
            .into_iter()
            .map(|(stack, value)| format!("{stack} {value}\n"))
            .collect();
        prop_assert_eq!(decode::tree(&folded(&text).tree()), cut_once(naive(&stacks), max_nodes));
    }
}

fn by_stack(stacks: &[(Vec<&str>, i64)]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for (stack, value) in stacks {
        *sums.entry(stack.join(";")).or_default() += value;
    }
    sums
}
