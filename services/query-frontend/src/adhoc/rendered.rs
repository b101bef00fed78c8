//! Reads a flame graph that was rendered before and kept as a JSON file, in the form of the render pages.
//!
//! Source of the form: what `/pyroscope/render` answers. `levels[i]` holds four numbers a node, left to right: the gap to
//! the end of the node before it, total, self, and the index of its name. A node lies over the one that it is called by.

use flamestore_flamegraph::{Tree, TreeMerger};
use flamestore_model::{Fault, StackFilter};
use flamestore_symbols::tables::{FnTree, ROOT, Strings};
use serde::Deserialize;

/// Deeper files are refused.
pub(crate) const MAX_LEVELS: usize = 100_000;
const NUMBERS_PER_NODE: usize = 4;

/// A flame graph as the file has it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) tree: Tree,
    /// What it has values of; empty where the file does not say.
    pub(crate) name: String,
    pub(crate) units: String,
    pub(crate) sample_rate: u64,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    version: u64,
    flamebearer: Flamebearer,
    #[serde(default)]
    metadata: FileMetadata,
}

#[derive(Deserialize)]
struct Flamebearer {
    names: Vec<String>,
    levels: Vec<Vec<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct FileMetadata {
    format: String,
    name: String,
    units: String,
    sample_rate: u64,
}

/// Whether a text looks like JSON rather than like stacks.
pub(crate) fn is_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
}

/// Reads a file. The error says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Shown, Fault> {
    let text = text.trim_start_matches('\u{feff}');
    let file: File = serde_json::from_str(text)
        .map_err(|e| Fault::invalid(format!("the JSON is no rendered flame graph: {e}")).caused_by(e))?;
    if file.version > 1 {
        return Err(Fault::invalid(format!("the flame graph has version {}; version 1 can be read", file.version)));
    }
    match file.metadata.format.as_str() {
        "" | "single" => {}
        "double" => {
            return Err(Fault::invalid(
                "the file holds a comparison of two profiles: upload both, and compare them here",
            ));
        }
        other => return Err(Fault::invalid(format!("the flame graph has the format {other:?}; single can be read"))),
    }
    let FileMetadata { name, units, sample_rate, .. } = file.metadata;
    Ok(Shown { tree: tree(&file.flamebearer)?, name, units, sample_rate })
}

/// A node of the level above: where it lies, and its place in the tree.
#[derive(Clone, Copy)]
struct Above {
    from: i64,
    to: i64,
    node: u32,
}

fn tree(graph: &Flamebearer) -> Result<Tree, Fault> {
    if graph.levels.len() > MAX_LEVELS {
        return Err(Fault::invalid(format!("the flame graph has {} levels; at most {MAX_LEVELS}", graph.levels.len())));
    }
    let (mut strings, mut fn_tree, mut own) = (Strings::default(), FnTree::default(), vec![0i64]);
    let names: Vec<u32> = graph.names.iter().map(|name| strings.push(name)).collect();
    let mut above = vec![Above { from: 0, to: i64::MAX, node: ROOT }];
    for (depth, level) in graph.levels.iter().enumerate() {
        let wrong = |what: &str| Fault::invalid(format!("level {depth} of the flame graph {what}"));
        let (nodes, rest) = level.as_chunks::<NUMBERS_PER_NODE>();
        if !rest.is_empty() {
            return Err(wrong("does not have four numbers a node"));
        }
        let mut below = Vec::with_capacity(nodes.len());
        let mut callers = above.iter();
        let mut caller = callers.next();
        let mut end = 0i64;
        for [gap, total, self_value, name] in nodes {
            if *gap < 0 || *total < 0 || *self_value < 0 || self_value > total {
                return Err(wrong("has a negative value, or one that is larger than its whole"));
            }
            let from = end.checked_add(*gap).ok_or_else(|| wrong("is too wide"))?;
            end = from.checked_add(*total).ok_or_else(|| wrong("is too wide"))?;
            while caller.is_some_and(|c| c.to < end) {
                caller = callers.next();
            }
            let under = caller.filter(|c| c.from <= from).ok_or_else(|| wrong("has a node over nothing"))?;
            let name = usize::try_from(*name).ok().and_then(|i| names.get(i));
            let name = *name.ok_or_else(|| wrong("names a function that is not in names"))?;
            // What stands alone at the bottom is the sum and no function, unless some of it stopped right there.
            let node = if depth == 0 && nodes.len() == 1 && *self_value == 0 {
                ROOT
            } else {
                fn_tree.parent.push(under.node);
                fn_tree.name.push(name);
                own.push(*self_value);
                u32::try_from(own.len() - 1).map_err(|_| wrong("has too many nodes"))?
            };
            below.push(Above { from, to: end, node });
        }
        above = below;
    }
    let mut merger = TreeMerger::default();
    merger.add(&strings, &fn_tree, &own, &StackFilter::default());
    Ok(merger.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(levels: &str) -> String {
        format!(
            r#"{{"version":1,"flamebearer":{{"names":["total","a","b"],"levels":{levels},"numTicks":9,"maxSelf":5}},
            "metadata":{{"format":"single","spyName":"gospy","sampleRate":100,"units":"samples","name":"cpu"}}}}"#
        )
    }

    #[test]
    fn a_rendered_flame_graph_is_read_back_as_it_was() {
        let text = file("[[0,9,0,0],[0,7,2,1,0,2,2,2],[2,5,5,2]]");
        let shown = read(&text).unwrap();
        assert_eq!((shown.name.as_str(), shown.units.as_str(), shown.sample_rate), ("cpu", "samples", 100));
        let graph = shown.tree.flamegraph();
        assert_eq!(
            graph.levels,
            [vec![0, 9, 0, 0], level(&graph.names, &[(0, 7, 2, "a"), (0, 2, 2, "b")]), {
                level(&graph.names, &[(2, 5, 5, "b")])
            }]
        );
    }

    fn level(names: &[String], nodes: &[(i64, i64, i64, &str)]) -> Vec<i64> {
        let index = |name: &str| names.iter().position(|n| n == name).unwrap() as i64;
        nodes.iter().flat_map(|(gap, total, own, name)| [*gap, *total, *own, index(name)]).collect()
    }

    #[test]
    fn what_stopped_at_the_bottom_is_kept() {
        let shown = read(&file("[[0,9,4,0],[4,5,5,1]]")).unwrap();
        assert_eq!(shown.tree.total(), 9);
    }

    #[test]
    fn several_roots_keep_their_names() {
        let shown = read(&file("[[0,4,4,1,0,5,0,2],[4,5,5,1]]")).unwrap();
        assert_eq!(shown.tree.flamegraph().levels[1].len(), 8);
    }

    #[test]
    fn empty_graphs_are_empty() {
        assert_eq!(read(&file("[[0,0,0,0]]")).unwrap().tree.total(), 0);
        assert_eq!(read(&file("[]")).unwrap().tree.total(), 0);
    }

    #[test]
    fn broken_graphs_are_refused_with_the_level() {
        for (levels, why) in [
            ("[[0,9,0]]", "four numbers"),
            ("[[0,9,0,7]]", "names"),
            ("[[0,9,0,-1]]", "names"),
            ("[[0,9,0,0],[0,10,0,1]]", "over nothing"),
            ("[[0,9,0,0],[5,3,-1,1]]", "negative"),
            ("[[0,9,0,0],[9223372036854775807,3,1,1]]", "too wide"),
        ] {
            let fault = read(&file(levels)).unwrap_err();
            assert!(fault.message.contains(why) && fault.message.contains("level"), "{levels}: {fault}");
        }
        for text in ["{", "{}", r#"{"flamebearer":{}}"#, r#"{"version":2,"flamebearer":{"names":[],"levels":[]}}"#] {
            assert!(read(text).is_err(), "{text}");
        }
        let double = file("[]").replace("single", "double");
        assert!(read(&double).unwrap_err().message.contains("comparison"));
    }
}
