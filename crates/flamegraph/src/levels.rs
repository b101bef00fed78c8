//! Flame graph levels: the form in which user interfaces take a tree.
//!
//! Hot; measured by `benches/resolve.rs`.

use crate::children::Children;
use crate::tree::{OTHER, Tree};

/// A tree in levels. Level 0 is one node, `total`; a node of level `i + 1` lies within its parent on level `i`.
///
/// A level is a list of groups of four numbers, left to right:
///
/// | number | meaning |
/// |---|---|
/// | offset | distance from the end of the node before it on this level (the first: from 0) |
/// | total  | width |
/// | self   | the part of the total that no child covers; it lies on the left |
/// | name   | index in `names` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flamegraph {
    /// Each name once, in the order of a walk that goes down the last child first. The first is `total`.
    pub names: Vec<String>,
    pub levels: Vec<Vec<i64>>,
    pub total: i64,
    /// The largest self value of any node.
    pub max_self: i64,
}

/// What the root is called.
pub(crate) const TOTAL: &str = "total";

impl Tree {
    /// Draws the tree. Children stand in the order of their names, `other` last; what lies below `other` is not drawn.
    /// An empty tree is a root of width 0.
    pub fn flamegraph(&self) -> Flamegraph {
        let totals = self.totals();
        let children = Children::of(&self.parent, &self.name, &self.names);
        let mut names = NameList::new(self);
        let mut levels = Levels::<4>::default();
        let mut max_self = 0;
        // (node, level, x)
        let mut todo = vec![(0u32, 0usize, 0i64)];
        while let Some((node, level, x)) = todo.pop() {
            let i = node as usize;
            let is_other = names.is_other(self.name[i]);
            let own = if is_other { totals[i] } else { self.self_values[i] };
            max_self = max_self.max(own);
            levels.push(level, [x, totals[i], own, names.index(self, node)]);
            if is_other {
                continue;
            }
            let mut x = x.saturating_add(own);
            for child in children.get(node) {
                todo.push((*child, level + 1, x));
                x = x.saturating_add(totals[*child as usize]);
            }
        }
        Flamegraph { names: names.list, levels: levels.finish([0]), total: totals[0], max_self }
    }
}

/// Names by first use.
pub(crate) struct NameList {
    pub(crate) list: Vec<String>,
    /// By name of the tree: index in `list`, or -1.
    index: Vec<i64>,
    other: Option<u32>,
}

impl NameList {
    /// Holds the name of the root. A function with that name shares it.
    pub(crate) fn new(tree: &Tree) -> Self {
        let find = |wanted: &str| (1..tree.names.len() as u32).find(|id| tree.names.get(*id) == wanted);
        let mut index = vec![-1; tree.names.len()];
        if let Some(shared) = find(TOTAL) {
            index[shared as usize] = 0;
        }
        NameList { list: vec![TOTAL.to_owned()], index, other: find(OTHER) }
    }

    pub(crate) fn is_other(&self, name: u32) -> bool {
        self.other == Some(name)
    }

    pub(crate) fn index(&mut self, tree: &Tree, node: u32) -> i64 {
        if node == 0 {
            return 0;
        }
        let name = tree.name[node as usize];
        let known = &mut self.index[name as usize];
        if *known < 0 {
            *known = self.list.len() as i64;
            self.list.push(tree.names.get(name).to_owned());
        }
        *known
    }

    /// The index of `other`, which the tree may not know.
    pub(crate) fn other_index(&mut self) -> i64 {
        let place = match self.other {
            Some(name) if self.index[name as usize] >= 0 => return self.index[name as usize],
            Some(name) => name as usize,
            None => {
                // A name of its own behind those of the tree.
                self.other = Some(self.index.len() as u32);
                self.index.push(-1);
                self.index.len() - 1
            }
        };
        self.index[place] = self.list.len() as i64;
        self.list.push(OTHER.to_owned());
        self.index[place]
    }
}

/// Levels while they are drawn: groups of `N` numbers, each level from right to left, with absolute offsets.
#[derive(Default)]
pub(crate) struct Levels<const N: usize>(Vec<Vec<[i64; N]>>);

impl<const N: usize> Levels<N> {
    pub(crate) fn push(&mut self, level: usize, group: [i64; N]) {
        if level >= self.0.len() {
            self.0.resize_with(level + 1, Vec::new);
        }
        self.0[level].push(group);
    }

    /// Turns the levels around and makes offsets relative. `sides` are the places of an offset in a group; the width
    /// stands behind it.
    pub(crate) fn finish<const SIDES: usize>(self, sides: [usize; SIDES]) -> Vec<Vec<i64>> {
        let finish_level = |groups: Vec<[i64; N]>| {
            let mut end = [0i64; SIDES];
            let mut values = Vec::with_capacity(groups.len() * N);
            for mut group in groups.into_iter().rev() {
                for (end, x) in end.iter_mut().zip(sides) {
                    let start = group[x];
                    group[x] = start.saturating_sub(*end);
                    *end = start.saturating_add(group[x + 1]);
                }
                values.extend_from_slice(&group);
            }
            values
        };
        self.0.into_iter().map(finish_level).collect()
    }
}
