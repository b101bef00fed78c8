//! Truncation: the heaviest nodes stay, the rest becomes one `other` per parent.
//!
//! Done once, on the merged tree: cutting parts before they are merged would lose nodes that are light in every part
//! and heavy in the sum.

use crate::tree::{OTHER, Tree};

/// A node that was cut.
const CUT: u32 = u32::MAX;

/// How often a tree is cut. The first cut leaves an `other` with every parent that lost children, so there may be twice
/// as many nodes as asked for; the second counts these, too. The server that clients know cuts at least in the block
/// and in the answer, and its recorded answers need exactly two.
const CUTS: usize = 2;

impl Tree {
    /// Keeps about `max_nodes` nodes, the root not counted; 0 keeps all.
    ///
    /// The threshold is the total of the heaviest node number `max_nodes`. Ties stay, so more nodes may be left. What
    /// a parent loses becomes one child `other`; a child that is called `other` already is merged into it. Then the
    /// result is cut once more in the same way. Sums are the same before and after.
    pub fn truncate(&mut self, max_nodes: usize) {
        for _ in 0..CUTS {
            self.cut(max_nodes);
        }
    }

    fn cut(&mut self, max_nodes: usize) {
        if max_nodes == 0 || self.len() <= max_nodes {
            return;
        }
        let totals = self.totals();
        let min = smallest_kept(totals[1..].to_vec(), max_nodes);

        let mut kept = Tree { names: std::mem::take(&mut self.names), ..Tree::default() };
        let mut cut_below = vec![0i64];
        let mut places = vec![CUT; self.parent.len()];
        places[0] = 0;
        for node in 1..self.parent.len() {
            let up = places[self.parent[node] as usize];
            if up == CUT {
                continue;
            }
            if totals[node] >= min && kept.names.get(self.name[node]) != OTHER {
                places[node] = kept.parent.len() as u32;
                kept.push(up, self.name[node], self.self_values[node]);
                cut_below.push(0);
            } else {
                let other = &mut cut_below[up as usize];
                *other = other.saturating_add(totals[node]);
            }
        }
        let known = (0..kept.names.len() as u32).find(|id| kept.names.get(*id) == OTHER);
        let other = known.unwrap_or_else(|| kept.names.push(OTHER));
        for (node, value) in cut_below.into_iter().enumerate() {
            if value != 0 {
                kept.push(node as u32, other, value);
            }
        }
        *self = kept;
    }
}

/// The `max_nodes`-th largest total, or 0 when there are not more nodes than that.
///
/// A child is never heavier than its parent, so a node at or above this total has only such nodes above it.
pub(crate) fn smallest_kept(mut totals: Vec<i64>, max_nodes: usize) -> i64 {
    if max_nodes == 0 || totals.len() <= max_nodes {
        return 0;
    }
    *totals.select_nth_unstable_by(max_nodes - 1, |a, b| b.cmp(a)).1
}
