//! A tree of functions: the stacks of many profiles, merged by function name.

use flamestore_symbols::Strings;
use flamestore_symbols::tables::ROOT;

/// The name under which nodes that were cut live on. Literal: user interfaces look for it.
pub const OTHER: &str = "other";

/// Functions by their path from the root, with the value that ends there. Columns of equal length: node 0 is the root
/// (no name, no value of its own), a parent stands before its children, no two children of a node share a name.
///
/// Values are not negative; sums saturate.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) parent: Vec<u32>,
    /// String ids in `names`.
    pub(crate) name: Vec<u32>,
    pub(crate) self_values: Vec<i64>,
    /// Each name once; name 0 is the empty one.
    pub(crate) names: Strings,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { parent: vec![ROOT], name: vec![0], self_values: vec![0], names: Strings::default() }
    }
}

impl Tree {
    /// Sum of all values.
    pub fn total(&self) -> i64 {
        self.self_values.iter().fold(0i64, |sum, v| sum.saturating_add(*v))
    }

    pub fn is_empty(&self) -> bool {
        self.parent.len() <= 1
    }

    /// Nodes without the root.
    pub fn len(&self) -> usize {
        self.parent.len() - 1
    }

    pub fn parents(&self) -> &[u32] {
        &self.parent
    }

    /// The function name of a node; the root's is empty.
    pub fn name_of(&self, node: u32) -> &str {
        self.names.get(self.name[node as usize])
    }

    /// By node: the value of stacks that end there.
    pub fn self_values(&self) -> &[i64] {
        &self.self_values
    }

    /// By node: the value of stacks that pass or end there.
    pub fn totals(&self) -> Vec<i64> {
        sum_up(&self.parent, self.self_values.clone())
    }

    /// Adds a node; the caller has looked that the parent has no such child.
    pub(crate) fn push(&mut self, parent: u32, name: u32, self_value: i64) -> u32 {
        self.parent.push(parent);
        self.name.push(name);
        self.self_values.push(self_value);
        self.parent.len() as u32 - 1
    }

    /// Gives memory back that was for more nodes: for trees that stay.
    pub fn shrink_to_fit(&mut self) {
        self.parent.shrink_to_fit();
        self.name.shrink_to_fit();
        self.self_values.shrink_to_fit();
        self.names.shrink_to_fit();
    }

    /// Heap bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        (self.parent.capacity() + self.name.capacity()) * 4 + self.self_values.capacity() * 8 + self.names.bytes()
    }
}

/// Turns self values into totals, in one pass from the leaves to the root.
pub(crate) fn sum_up(parent: &[u32], mut values: Vec<i64>) -> Vec<i64> {
    for node in (1..parent.len().min(values.len())).rev() {
        let up = parent[node] as usize;
        values[up] = values[up].saturating_add(values[node]);
    }
    values
}
