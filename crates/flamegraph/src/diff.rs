//! Two trees side by side.

use crate::children::Children;
use crate::levels::{Levels, NameList};
use crate::merge::TreeMerger;
use crate::tree::{Tree, sum_up};
use crate::truncate::smallest_kept;

/// The union of two trees in levels, like [`crate::Flamegraph`], but in groups of seven numbers: left offset, left
/// total, left self, right offset, right total, right self, name. Offsets are relative on each side for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub names: Vec<String>,
    pub levels: Vec<Vec<i64>>,
    /// Both sides together.
    pub total: i64,
    /// The largest self value of any node on any side.
    pub max_self: i64,
    pub left_ticks: i64,
    pub right_ticks: i64,
}

impl Diff {
    /// Lays two trees side by side; a node that one side lacks has zeros there.
    ///
    /// Keeps about `max_nodes` nodes, 0 keeps all: those that are heavy enough on either side. Here, other than in
    /// [`Tree::truncate`], the root counts as a node.
    pub fn new(left: &Tree, right: &Tree, max_nodes: usize) -> Diff {
        let (tree, left_self, right_self) = unite(left, right);
        let left_totals = sum_up(&tree.parent, left_self.clone());
        let right_totals = sum_up(&tree.parent, right_self.clone());
        let heaviest = left_totals.iter().zip(&right_totals).map(|(l, r)| *l.max(r)).collect();
        let min = smallest_kept(heaviest, max_nodes);

        let children = Children::of(&tree.parent, &tree.name, &tree.names);
        let mut names = NameList::new(&tree);
        let mut levels = Levels::<7>::default();
        let mut max_self = 0;
        let mut todo = vec![Visit { node: Some(0), level: 0, x: [0, 0], total: [left_totals[0], right_totals[0]] }];
        while let Some(Visit { node, level, x: [l, r], total: [left_total, right_total] }) = todo.pop() {
            let (own, name) = match node {
                Some(n) => ([left_self[n as usize], right_self[n as usize]], names.index(&tree, n)),
                None => ([left_total, right_total], names.other_index()),
            };
            max_self = max_self.max(own[0]).max(own[1]);
            levels.push(level, [l, left_total, own[0], r, right_total, own[1], name]);
            let Some(node) = node else { continue };
            let mut x = [l.saturating_add(own[0]), r.saturating_add(own[1])];
            let mut other = [0i64, 0];
            for child in children.get(node) {
                let i = *child as usize;
                let total = [left_totals[i], right_totals[i]];
                if total[0].max(total[1]) >= min && !names.is_other(tree.name[i]) {
                    todo.push(Visit { node: Some(*child), level: level + 1, x, total });
                    x = add(x, total);
                } else {
                    other = add(other, total);
                }
            }
            if other != [0, 0] {
                todo.push(Visit { node: None, level: level + 1, x, total: other });
            }
        }
        Diff {
            names: names.list,
            levels: levels.finish([0, 3]),
            total: left_totals[0].saturating_add(right_totals[0]),
            max_self,
            left_ticks: left_totals[0],
            right_ticks: right_totals[0],
        }
    }
}

/// A node to be drawn; without a node it is an `other`. Pairs are left and right.
struct Visit {
    node: Option<u32>,
    level: usize,
    x: [i64; 2],
    total: [i64; 2],
}

fn add(a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
    [a[0].saturating_add(b[0]), a[1].saturating_add(b[1])]
}

/// The union of the nodes, and the self values of both sides for it.
fn unite(left: &Tree, right: &Tree) -> (Tree, Vec<i64>, Vec<i64>) {
    let mut union = TreeMerger::default();
    let [left_places, right_places] =
        [left, right].map(|side| union.place(&side.names, &side.parent, &side.name, &side.totals()));
    let tree = union.finish();
    let spread = |side: &Tree, places: Vec<u32>| {
        let mut own = vec![0; tree.parent.len()];
        for (place, value) in places.into_iter().zip(&side.self_values) {
            if let Some(slot) = own.get_mut(place as usize) {
                *slot = *value;
            }
        }
        own
    };
    let (left_self, right_self) = (spread(left, left_places), spread(right, right_places));
    (tree, left_self, right_self)
}
