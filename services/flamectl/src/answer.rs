//! Answers to show: merged stacks or functions, and what was asked.

use flamestore_flamegraph::tree::OTHER;
use flamestore_flamegraph::{FunctionTable, Tree};

use crate::merged::Selection;
use crate::units::Measure;

/// Merged stacks with the question.
#[derive(Debug)]
pub(crate) struct Stacks {
    pub(crate) selection: Selection,
    pub(crate) tree: Tree,
}

/// Functions, whose values are exact, with the question.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) selection: Selection,
    pub(crate) table: FunctionTable,
}

impl Stacks {
    pub(crate) fn measure(&self) -> Measure {
        self.selection.measure()
    }

    /// The sum of all stacks.
    pub(crate) fn total(&self) -> i64 {
        self.tree.total()
    }
}

/// The order of the children of a node. What was cut off stands last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    ByName,
    /// The largest total first.
    ByTotal,
}

/// One node of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) node: u32,
    /// 0 for the root.
    pub(crate) depth: usize,
    /// Whether no sibling comes behind it.
    pub(crate) is_last: bool,
}

/// Every node, the root first, each before its children. `totals` are those of the tree.
pub(crate) fn walk(tree: &Tree, totals: &[i64], order: Order) -> Vec<Step> {
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); tree.parents().len()];
    for (node, parent) in (0u32..).zip(tree.parents()).skip(1) {
        if let Some(list) = children.get_mut(*parent as usize) {
            list.push(node);
        }
    }
    let total = |node: u32| totals.get(node as usize).copied().unwrap_or(0);
    let mut steps = Vec::with_capacity(tree.parents().len());
    let mut todo = vec![Step { node: 0, depth: 0, is_last: true }];
    while let Some(step) = todo.pop() {
        steps.push(step);
        let mut list = children.get_mut(step.node as usize).map(std::mem::take).unwrap_or_default();
        list.sort_by(|a, b| {
            let (a_name, b_name) = (tree.name_of(*a), tree.name_of(*b));
            let by_total = if order == Order::ByTotal { total(*b).cmp(&total(*a)) } else { std::cmp::Ordering::Equal };
            (a_name == OTHER).cmp(&(b_name == OTHER)).then(by_total).then_with(|| a_name.cmp(b_name))
        });
        let last = list.last().copied();
        let depth = step.depth + 1;
        todo.extend(list.into_iter().rev().map(|node| Step { node, depth, is_last: Some(node) == last }));
    }
    steps
}

#[cfg(test)]
pub(crate) mod tests {
    use flamestore_flamegraph::TreeMerger;
    use flamestore_model::ProfileType;

    use super::*;
    use crate::query::collapsed;
    use crate::times::Range;

    /// A tree from folded lines.
    pub(crate) fn tree(lines: &[&str]) -> Tree {
        let mut merger = TreeMerger::default();
        for line in lines {
            let (stack, value) = line.rsplit_once(' ').unwrap();
            let (mut node, mut frames) = (0, stack.split(';').peekable());
            while let Some(frame) = frames.next() {
                let own = if frames.peek().is_none() { value.parse().unwrap() } else { 0 };
                node = merger.add_child(node, frame, own);
            }
        }
        merger.finish()
    }

    /// A tree as folded lines.
    pub(crate) fn folded(tree: &Tree) -> Vec<String> {
        let mut out = Vec::new();
        collapsed::write(&mut out, tree).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    /// What golden files are made of: an hour of CPU time of a service.
    pub(crate) fn stacks() -> Stacks {
        let tree = tree(&[
            "main.main;main.work;encoding/json.(*Decoder).Decode 450000000",
            "main.main;main.work;encoding/json.(*Decoder).Decode;runtime.mallocgc 150000000",
            "main.main;main.work 200000000",
            "main.main;main.recurse;main.recurse;main.recurse 90000000",
            "main.main;other 10000000",
            "runtime.gcBgMarkWorker;a<b>&\"c\" 100000000",
        ]);
        let profile_type = ProfileType::parse("process_cpu:cpu:nanoseconds:cpu:nanoseconds").unwrap();
        let range = Range { from_ms: 1_795_000_000_000, until_ms: 1_795_003_600_000 };
        Stacks { selection: Selection { profile_type, labels: r#"{service_name="checkout"}"#.into(), range }, tree }
    }

    /// The same, function by function.
    pub(crate) fn functions() -> Functions {
        let Stacks { selection, tree } = stacks();
        Functions { selection, table: FunctionTable::of(&tree) }
    }

    #[test]
    fn a_walk_goes_down_before_it_goes_on_and_ends_with_what_was_cut() {
        let tree = tree(&["a;x 1", "a;other 50", "a;y 3", "b 2"]);
        let names = |order| {
            let steps = walk(&tree, &tree.totals(), order);
            steps
                .iter()
                .map(|s| format!("{}{}{}", s.depth, tree.name_of(s.node), if s.is_last { "." } else { "" }))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Order::ByName), ["0.", "1a", "2x", "2y", "2other.", "1b."]);
        assert_eq!(names(Order::ByTotal), ["0.", "1a", "2y", "2x", "2other.", "1b."]);
    }
}
