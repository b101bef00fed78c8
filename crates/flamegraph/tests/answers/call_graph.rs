//! DOT text, by the parts that viewers and comparisons read: node labels and edges.

use flamestore_flamegraph::{PprofMeta, ProfileMerge};
use flamestore_model::{ProfileType, StackFilter};

use crate::build::{Dataset, Frame, at, folded, frame};

fn dot(dataset: &Dataset, profile_type: &str, max_nodes: usize) -> String {
    let mut profile = ProfileMerge::default();
    profile.add(&dataset.symbols, &dataset.values, &StackFilter::default());
    let meta = PprofMeta { profile_type: ProfileType::parse(profile_type).unwrap(), ..PprofMeta::default() };
    profile.dot(&meta, max_nodes)
}

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const COUNT: &str = "mutex:contentions:count:mutex:count";

/// Labels of nodes, and of edges with the names of their ends; sorted.
fn parts(dot: &str) -> (Vec<String>, Vec<String>) {
    let label = |line: &str| {
        let (_, rest) = line.split_once("[label=\"").unwrap();
        rest.split_once("\" ").map_or(rest, |(label, _)| label).trim().to_owned()
    };
    let nodes: Vec<(String, String)> = dot
        .lines()
        .filter(|l| l.starts_with('N') && !l.contains(" -> N"))
        .map(|l| (l.split(' ').next().unwrap().to_owned(), label(l)))
        .collect();
    let name = |id: &str| {
        let (_, label) = nodes.iter().find(|(known, _)| known == id).unwrap();
        label.split("\\n").next().unwrap().to_owned()
    };
    let mut edges: Vec<String> = dot
        .lines()
        .filter_map(|l| {
            let (from, rest) = l.split_once(" -> ").filter(|(from, _)| from.starts_with('N'))?;
            let to = rest.split(' ').next().unwrap();
            Some(format!("{} {} {}", name(from), name(to), label(l)))
        })
        .collect();
    let mut nodes: Vec<String> = nodes.into_iter().map(|(_, label)| label).collect();
    nodes.sort();
    edges.sort();
    (nodes, edges)
}

#[test]
fn nodes_show_flat_and_cumulated_values() {
    let dataset = folded("main;f 340000000\n main;f;g 13000000000\n main 870000000\n h 10000000");
    let text = dot(&dataset, CPU, 0);
    assert!(text.starts_with("digraph \"unnamed\" {\nnode [style=filled"), "{text}");
    assert!(text.contains("Type: cpu\\lTime: 1970-01-01 00:00:00 UTC\\l"), "{text}");
    assert!(text.ends_with("}\n"));
    let (nodes, edges) = parts(&text);
    assert_eq!(
        nodes,
        [
            "f\\n0.34s (2.39%)\\nof 13.34s (93.81%)",
            "g\\n13s (91.42%)",
            "h\\n0.01s (0.07%)",
            "main\\n0.87s (6.12%)\\nof 14.21s (99.93%)",
        ]
    );
    assert_eq!(edges, ["f g 13s", "main f 13.34s"]);
}

#[test]
fn recursion_counts_once_and_is_no_edge() {
    let (nodes, edges) = parts(&dot(&folded("main;f;f;g;f;g 4\n main;f 2"), COUNT, 0));
    assert_eq!(nodes, ["f\\n2 (33.33%)\\nof 6 (100%)", "g\\n4 (66.67%)", "main\\n0 of 6 (100%)"]);
    assert_eq!(edges, ["f g 4", "g f 4", "main f 6"]);
}

#[test]
fn lines_are_nodes_of_their_own_and_inlined_calls_are_marked() {
    let inlined = Frame { lines: vec![("pkg.inner".into(), 1), ("outer".into(), 2)], address: 0, mapping: None };
    let mut dataset = Dataset::default();
    dataset.sample(&[at("main", 7), inlined], 3);
    dataset.sample(&[at("main", 8), at("outer", 2)], 1);
    let (nodes, edges) = parts(&dot(&dataset, COUNT, 0));
    assert_eq!(
        nodes,
        [
            "main\\n:7\\n0 of 3 (75.00%)",
            "main\\n:8\\n0 of 1 (25.00%)",
            "outer\\n:2\\n1 (25.00%)\\nof 4 (100%)",
            "pkg\\ninner\\n:1\\n3 (75.00%)",
        ]
    );
    assert_eq!(edges, ["main outer 1", "main outer 3", "outer pkg 3\\n (inline)"]);
}

#[test]
fn a_graph_beyond_the_limit_keeps_its_ends_together() {
    // A chain whose middle says little, and a fan.
    let dataset = folded("main;m1;m2;hot 100\n main;x 40\n main;y 30\n main 1");
    let text = dot(&dataset, COUNT, 4);
    let (nodes, edges) = parts(&text);
    assert_eq!(nodes.len(), 4, "{text}");
    assert!(nodes.iter().any(|n| n.starts_with("hot")) && nodes.iter().any(|n| n.starts_with("main")), "{text}");
    assert_eq!(edges.len(), 3, "{text}");
    assert!(text.contains("style=\"dotted\""), "{text}");
    assert!(text.contains("Showing top 4 nodes out of 6"), "{text}");
}

#[test]
fn quotes_in_names_stay_within_their_string() {
    let mut dataset = Dataset::default();
    dataset.sample(&[frame("say \"hi\" \\ there"), frame("b\nc")], 1);
    let text = dot(&dataset, COUNT, 0);
    for line in text.lines() {
        let quotes = line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert_eq!(quotes % 2, 0, "{line}");
    }
}
