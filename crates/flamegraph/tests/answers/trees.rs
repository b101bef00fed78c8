//! Flame graphs, tree bytes and diffs against answers recorded from the server that clients know.

use flamestore_flamegraph::sandwich::MAX_SANDWICH_DEPTH;
use flamestore_flamegraph::{Diff, FunctionTable, FunctionTableDiff, Sandwich, Tree, TreeMerger};
use flamestore_model::StackFilter;

use crate::build::{A, B, folded, strings};
use crate::decode;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn flame_graphs_are_drawn_as_recorded() {
    type Case<'a> = (usize, &'a str, &'a [&'a [i64]], i64);
    let cases: &[Case] = &[
        (
            0,
            "total,f,a,e,b,d,c",
            &[
                &[0, 110, 0, 0],
                &[0, 105, 0, 2, 0, 5, 5, 1],
                &[0, 90, 10, 4, 0, 15, 15, 3],
                &[10, 50, 50, 6, 0, 30, 30, 5],
            ],
            50,
        ),
        (1, "total,other,a", &[&[0, 110, 0, 0], &[0, 105, 0, 2, 0, 5, 5, 1], &[0, 105, 105, 1]], 105),
        (
            2,
            "total,other,a,b",
            &[&[0, 110, 0, 0], &[0, 105, 0, 2, 0, 5, 5, 1], &[0, 90, 10, 3, 0, 15, 15, 1], &[10, 80, 80, 1]],
            80,
        ),
        (
            3,
            "total,other,a,b,c",
            &[
                &[0, 110, 0, 0],
                &[0, 105, 0, 2, 0, 5, 5, 1],
                &[0, 90, 10, 3, 0, 15, 15, 1],
                &[10, 50, 50, 4, 0, 30, 30, 1],
            ],
            50,
        ),
        (
            4,
            "total,other,a,b,d,c",
            &[
                &[0, 110, 0, 0],
                &[0, 105, 0, 2, 0, 5, 5, 1],
                &[0, 90, 10, 3, 0, 15, 15, 1],
                &[10, 50, 50, 5, 0, 30, 30, 4],
            ],
            50,
        ),
        (
            5,
            "total,other,a,e,b,d,c",
            &[
                &[0, 110, 0, 0],
                &[0, 105, 0, 2, 0, 5, 5, 1],
                &[0, 90, 10, 4, 0, 15, 15, 3],
                &[10, 50, 50, 6, 0, 30, 30, 5],
            ],
            50,
        ),
    ];
    for (max_nodes, names, levels, max_self) in cases {
        let mut tree = folded(A).tree();
        tree.truncate(*max_nodes);
        let graph = tree.flamegraph();
        assert_eq!(graph.names.join(","), *names, "max_nodes {max_nodes}");
        assert_eq!(graph.levels, *levels, "max_nodes {max_nodes}");
        assert_eq!((graph.total, graph.max_self), (110, *max_self), "max_nodes {max_nodes}");
    }
}

#[test]
fn a_call_site_keeps_the_path_to_it_and_what_is_below() {
    let graph = folded(A).tree_of(&StackFilter::at(strings(&["a", "b"]))).flamegraph();
    assert_eq!(graph.names.join(","), "total,a,b,d,c");
    let levels: [&[i64]; 4] = [&[0, 90, 0, 0], &[0, 90, 0, 1], &[0, 90, 10, 2], &[10, 50, 50, 4, 0, 30, 30, 3]];
    assert_eq!(graph.levels, levels);
    assert_eq!((graph.total, graph.max_self), (90, 50));
    assert!(folded(A).tree_of(&StackFilter::at(strings(&["b"]))).is_empty());
}

#[test]
fn nothing_is_drawn_as_a_root_of_no_width() {
    let graph = Tree::default().flamegraph();
    assert_eq!(graph.names, ["total"]);
    assert_eq!(graph.levels, [[0, 0, 0, 0]]);
    assert_eq!((graph.total, graph.max_self), (0, 0));
    let diff = Diff::new(&Tree::default(), &Tree::default(), 8192);
    assert_eq!(diff.names, ["total"]);
    assert_eq!(diff.levels, [[0; 7]]);
    assert_eq!((diff.total, diff.max_self, diff.left_ticks, diff.right_ticks), (0, 0, 0, 0));
    assert!(Tree::default().to_bytes().is_empty());
}

#[test]
fn tree_bytes_are_as_recorded() {
    assert_eq!(hex(&folded(A).tree().to_bytes()), "000002016605000161000201650f0001620a0201641e0001633200");
}

#[test]
fn diffs_are_drawn_as_recorded() {
    let (left, right) = (folded(A).tree(), folded(B).tree());
    let diff = Diff::new(&left, &right, 8192);
    assert_eq!(diff.names.join(","), "total,f,a,g,e,b,d,c");
    let levels: [&[i64]; 4] = [
        &[0, 110, 0, 0, 64, 0, 0],
        &[0, 105, 0, 0, 64, 0, 2, 0, 5, 5, 0, 0, 0, 1],
        &[0, 90, 10, 0, 24, 4, 5, 0, 15, 15, 0, 0, 0, 4, 0, 0, 0, 0, 40, 40, 3],
        &[10, 50, 50, 4, 20, 20, 7, 0, 30, 30, 0, 0, 0, 6],
    ];
    assert_eq!(diff.levels, levels);
    assert_eq!((diff.total, diff.max_self, diff.left_ticks, diff.right_ticks), (174, 50, 110, 64));

    let cut = Diff::new(&left, &right, 3);
    assert_eq!(cut.names.join(","), "total,other,a,b");
    assert_eq!(cut.levels[2], [0, 90, 10, 0, 24, 4, 3, 0, 15, 15, 0, 40, 40, 1]);
    assert_eq!(cut.levels[3], [10, 80, 80, 4, 20, 20, 1]);
    assert_eq!((cut.total, cut.max_self), (174, 80));
}

#[test]
fn a_function_called_other_is_drawn_last_and_without_children() {
    let graph = folded("a;other;x 3\n a;other 1\n a;z 5").tree().flamegraph();
    assert_eq!(graph.names.join(","), "total,a,other,z");
    let levels: [&[i64]; 3] = [&[0, 9, 0, 0], &[0, 9, 0, 1], &[0, 5, 5, 3, 0, 4, 4, 2]];
    assert_eq!(graph.levels, levels);
    assert_eq!(graph.max_self, 5);
}

#[test]
fn a_function_called_other_joins_what_was_cut() {
    let mut tree = folded("a;other;x 30\n a;y 1\n a;z 50").tree();
    tree.truncate(2);
    let graph = tree.flamegraph();
    assert_eq!(graph.names.join(","), "total,a,other,z");
    assert_eq!(graph.levels[2], [0, 50, 50, 3, 0, 31, 31, 2]);
}

#[test]
fn a_function_called_total_shares_the_name_of_the_root() {
    let graph = folded("total;a 3").tree().flamegraph();
    assert_eq!(graph.names, ["total", "a"]);
    assert_eq!(graph.levels[1], [0, 3, 0, 0]);
}

#[test]
fn ties_are_kept() {
    let mut tree = folded("a 1\n b 1\n c 1\n d 5").tree();
    tree.truncate(2);
    assert_eq!(tree.len(), 4);
}

#[test]
fn stacks_without_a_function_do_not_count() {
    let mut dataset = folded("a 3");
    dataset.values[0] = 100;
    assert_eq!(dataset.tree().total(), 3);
}

#[test]
fn names_of_different_sources_meet() {
    let mut merger = TreeMerger::default();
    folded("x;y 1\n a;b 2").add_to(&mut merger, &StackFilter::default());
    folded("a;b 3\n b;a 4").add_to(&mut merger, &StackFilter::default());
    merger.add_tree(&folded("a 5").tree());
    let graph = merger.finish().flamegraph();
    let widths: Vec<_> = graph.levels[1].chunks(4).map(|n| (graph.names[n[3] as usize].as_str(), n[1], n[2])).collect();
    assert_eq!(widths, [("a", 10, 5), ("b", 4, 0), ("x", 1, 0)]);
    assert_eq!(graph.total, 15);
}

#[test]
fn functions_count_once_per_stack() {
    let table = FunctionTable::of(&folded("a;b;a 5\n a 2\n b;a;b 3").tree());
    let rows: Vec<_> = table.rows.iter().map(|r| (r.name.as_str(), r.self_value, r.total)).collect();
    assert_eq!(rows, [("a", 7, 10), ("b", 3, 8)]);
}

#[test]
fn a_cut_function_table_shows_the_largest_totals_as_they_are() {
    let mut table = FunctionTable::of(&folded("main;a 5\n main;b;c 6\n main;b 2").tree());
    table.truncate(2);
    let rows: Vec<_> = table.rows.iter().map(|r| (r.name.as_str(), r.self_value, r.total)).collect();
    assert_eq!(rows, [("b", 2, 8), ("main", 0, 13)]);
    assert_eq!((table.total, table.functions), (13, 4));
}

#[test]
fn joined_function_tables_stand_by_their_larger_share() {
    let table = |text: &str| FunctionTable::of(&folded(text).tree());
    // Of 10 and of 1000.
    let diff = FunctionTableDiff::of(table("a 9\n b 1"), table("b 100\n c 500\n d 400"), 3);
    let row = |name: &str| diff.rows.iter().position(|r| r.name == name);
    assert_eq!([row("a"), row("c"), row("d"), row("b")], [Some(0), Some(1), Some(2), None]);
    assert_eq!((diff.left_total, diff.right_total, diff.functions), (10, 1000, 4));
    assert_eq!((diff.rows[0].left_self, diff.rows[0].right_total), (9, 0));
    assert_eq!(FunctionTableDiff::of(table(""), table(""), 0), FunctionTableDiff::default());
}

#[test]
fn a_function_stands_between_its_callers_and_its_callees() {
    let tree = folded("main;f;g 5\n main;f 2\n h;f;g;f 3\n x 7").tree();
    let sandwich = Sandwich::of(&tree, "f", 0);
    assert_eq!((sandwich.total, sandwich.self_value), (10, 5));
    let rows = |rows: &[(&str, i64, i64)]| -> decode::Rows {
        rows.iter().map(|(path, total, own)| (path.split(';').map(str::to_owned).collect(), *total, *own)).collect()
    };
    assert_eq!(
        decode::half(&sandwich.names, &sandwich.callers),
        rows(&[("f", 13, 0), ("f;g", 3, 0), ("f;g;f", 3, 0), ("f;g;f;h", 3, 3), ("f;h", 3, 3), ("f;main", 7, 7),])
    );
    assert_eq!(decode::half(&sandwich.names, &sandwich.callees), rows(&[("f", 13, 5), ("f;g", 8, 5), ("f;g;f", 3, 3)]));
}

#[test]
fn a_function_that_is_not_there_stands_alone() {
    for text in ["a;b 1", ""] {
        let sandwich = Sandwich::of(&folded(text).tree(), "f", 10);
        assert_eq!((sandwich.total, sandwich.self_value), (0, 0));
        for half in [&sandwich.callers, &sandwich.callees] {
            assert_eq!(decode::half(&sandwich.names, half), [(vec!["f".to_owned()], 0, 0)]);
        }
    }
}

#[test]
fn what_a_sandwich_cuts_is_marked() {
    let sandwich = Sandwich::of(&folded("a;f;big 50\n b;f;big 40\n c;f;small 1\n d;f;tiny 1").tree(), "f", 2);
    for half in [&sandwich.callers, &sandwich.callees] {
        let cut: Vec<_> = half.0.iter().filter(|node| node.truncated).collect();
        assert_eq!(cut.len(), 1);
        assert_eq!(sandwich.names[cut[0].name], "other");
        assert_eq!(half.0[0].total, 92);
    }
}

#[test]
fn stacks_of_a_hundred_thousand_frames_are_no_danger() {
    let deep: Vec<String> = (0..100_000).map(|i| format!("f{}", i % 7)).collect();
    let dataset = folded(&format!("{} 1", deep.join(";")));
    let mut tree = dataset.tree();
    assert_eq!(tree.flamegraph().levels.len(), 100_001);
    assert_eq!(Tree::from_bytes(&tree.to_bytes()).unwrap().len(), 100_000);
    assert_eq!(Diff::new(&tree, &tree, 0).levels.len(), 100_001);
    assert_eq!(FunctionTable::of(&tree).rows.len(), 7);
    let sandwich = Sandwich::of(&tree, "f3", 0);
    assert_eq!((sandwich.total, sandwich.self_value), (1, 0));
    let deepest = |names: &[String], half| decode::half(names, half).iter().map(|(path, ..)| path.len()).max();
    assert_eq!(deepest(&sandwich.names, &sandwich.callers), Some(MAX_SANDWICH_DEPTH + 1));
    assert_eq!(deepest(&sandwich.names, &sandwich.callees), Some(MAX_SANDWICH_DEPTH + 1));
    tree.truncate(10);
    assert_eq!(tree.total(), 1);
}

#[test]
fn broken_tree_bytes_are_refused() {
    let good = folded(A).tree().to_bytes();
    for cut in 1..good.len() {
        assert!(Tree::from_bytes(&good[..cut]).is_err(), "cut to {cut}");
    }
    let mut long = good.clone();
    long.push(0);
    assert!(Tree::from_bytes(&long).is_err());
    // More children than there is room for, a value of the root, a name that is not UTF-8, a negative value.
    for bad in [
        &[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[0, 5, 0],
        &[0, 0, 1, 1, 0xff, 0, 0],
        &[0, 0, 1, 1, b'a', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0],
    ] {
        assert!(Tree::from_bytes(bad).is_err(), "{bad:?}");
    }
}
