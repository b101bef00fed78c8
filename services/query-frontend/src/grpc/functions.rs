//! Function tables and sandwiches as wire messages.

use flamestore_flamegraph::{FunctionTable, FunctionTableDiff, Half, Sandwich};
use flamestore_proto::querier::v1 as wire;

pub(super) fn table(table: FunctionTable) -> wire::FunctionTable {
    let row =
        |r: flamestore_flamegraph::FunctionRow| wire::FunctionRow { name: r.name, self_: r.self_value, total: r.total };
    wire::FunctionTable {
        total: table.total,
        total_functions: count(table.functions),
        functions: table.rows.into_iter().map(row).collect(),
    }
}

pub(super) fn table_diff(table: FunctionTableDiff) -> wire::FunctionTableDiff {
    let row = |r: flamestore_flamegraph::FunctionDiffRow| wire::FunctionDiffRow {
        name: r.name,
        left_self: r.left_self,
        left_total: r.left_total,
        right_self: r.right_self,
        right_total: r.right_total,
    };
    wire::FunctionTableDiff {
        left_total: table.left_total,
        right_total: table.right_total,
        total_functions: count(table.functions),
        functions: table.rows.into_iter().map(row).collect(),
    }
}

pub(super) fn sandwich(sandwich: Sandwich) -> wire::Sandwich {
    wire::Sandwich {
        names: sandwich.names,
        callers: nested(&sandwich.callers),
        callees: nested(&sandwich.callees),
        total: sandwich.total,
        self_: sandwich.self_value,
    }
}

/// Puts every node into its parent, the last first: by then it has all its children.
fn nested(half: &Half) -> Option<wire::SandwichNode> {
    let node = |n: &flamestore_flamegraph::HalfNode| wire::SandwichNode {
        name_index: n.name as u32,
        total: n.total,
        self_: n.self_value,
        truncated: n.truncated,
        children: Vec::new(),
    };
    let mut open: Vec<wire::SandwichNode> = half.0.iter().map(node).collect();
    for i in (1..open.len()).rev() {
        let mut done = open.pop()?;
        done.children.reverse();
        open.get_mut(half.0[i].parent)?.children.push(done);
    }
    let mut top = open.pop()?;
    top.children.reverse();
    Some(top)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use flamestore_flamegraph::HalfNode;

    use super::*;

    #[test]
    fn children_stay_in_order_inside_their_parents() {
        let node = |parent, name| HalfNode { parent, name, total: 1, self_value: 0, truncated: false };
        let half = Half(vec![node(0, 0), node(0, 1), node(1, 2), node(1, 3), node(0, 4)]);
        let shown = |n: &wire::SandwichNode| -> (u32, Vec<u32>) {
            (n.name_index, n.children.iter().map(|c| c.name_index).collect())
        };
        let top = nested(&half).unwrap();
        assert_eq!(shown(&top), (0, vec![1, 4]));
        assert_eq!(shown(&top.children[0]), (1, vec![2, 3]));
        assert_eq!(nested(&Half::default()), None);
    }
}
