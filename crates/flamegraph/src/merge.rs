//! Merging by function name: from dense values by function node to one [`Tree`].
//!
//! Hot; measured by `benches/resolve.rs`.

use std::hash::BuildHasher;

use flamestore_symbols::{FnTree, Strings};
use flamestore_symbols::tables::ROOT;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::tree::{Tree, sum_up};

/// A source node or string that has no place in the merged tree (yet).
const NONE: u32 = u32::MAX;

/// Sums trees of any number of sources into one.
#[derive(Debug, Clone, Default)]
pub struct TreeMerger {
    tree: Tree,
    /// Nodes of `tree` by (parent, name).
    nodes: HashTable<u32>,
    /// String ids of `tree.names` by text.
    names: HashTable<u32>,
    hasher: RandomState,
}

impl TreeMerger {
    /// Adds one dataset: `self_by_fn_node[i]` is the value of the stacks that fold into node `i` of `fn_tree`.
    /// What folds into the root (stacks without a single function) is left out; so are values beyond the nodes.
    ///
    /// A `call_site` that is not empty keeps only stacks that start, at the root, with these names.
    pub fn add(&mut self, strings: &Strings, fn_tree: &FnTree, self_by_fn_node: &[i64], call_site: &[String]) {
        let mut own = self_by_fn_node.to_vec();
        own.resize(fn_tree.parent.len(), 0);
        if let Some(root) = own.first_mut() {
            *root = 0;
        }
        if !call_site.is_empty() {
            keep_below(strings, fn_tree, call_site, &mut own);
        }
        self.add_columns(strings, &fn_tree.parent, &fn_tree.name, &own);
    }

    /// Adds a merged tree.
    pub fn add_tree(&mut self, tree: &Tree) {
        self.add_columns(&tree.names, &tree.parent, &tree.name, &tree.self_values);
    }

    pub fn finish(self) -> Tree {
        self.tree
    }

    fn add_columns(&mut self, strings: &Strings, parent: &[u32], name: &[u32], own: &[i64]) {
        let totals = sum_up(parent, own.to_vec());
        if totals.first().is_none_or(|total| *total == 0) {
            return;
        }
        let mut name_here = vec![NONE; strings.len()];
        let mut node_here = vec![NONE; parent.len()];
        node_here[0] = ROOT;
        for node in 1..parent.len() {
            let up = node_here[parent[node] as usize];
            if totals[node] == 0 || up == NONE {
                continue;
            }
            let id = name[node] as usize;
            if name_here[id] == NONE {
                name_here[id] = self.intern(strings.get(name[node]));
            }
            let here = self.child(up, name_here[id]);
            node_here[node] = here;
            let sum = &mut self.tree.self_values[here as usize];
            *sum = sum.saturating_add(own[node]);
        }
    }

    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let TreeMerger { tree, names, hasher, .. } = self;
        let hash = hasher.hash_one(text);
        match names.entry(hash, |id| tree.names.get(*id) == text, |id| hasher.hash_one(tree.names.get(*id))) {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(free) => {
                let id = tree.names.push(text);
                free.insert(id);
                id
            }
        }
    }

    /// The child of a node by name; made where there is none.
    pub(crate) fn child(&mut self, parent: u32, name: u32) -> u32 {
        let TreeMerger { tree, nodes, hasher, .. } = self;
        let key = |parent: u32, name: u32| u64::from(parent) << 32 | u64::from(name);
        let wanted = key(parent, name);
        let key_of = |node: u32, tree: &Tree| key(tree.parent[node as usize], tree.name[node as usize]);
        match nodes.entry(
            hasher.hash_one(wanted),
            |node| key_of(*node, tree) == wanted,
            |node| hasher.hash_one(key_of(*node, tree)),
        ) {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(free) => {
                let node = tree.parent.len() as u32;
                tree.parent.push(parent);
                tree.name.push(name);
                tree.self_values.push(0);
                free.insert(node);
                node
            }
        }
    }

    pub(crate) fn add_self(&mut self, node: u32, value: i64) {
        let sum = &mut self.tree.self_values[node as usize];
        *sum = sum.saturating_add(value);
    }
}

/// Sets to zero what does not lie at or below the call site.
fn keep_below(strings: &Strings, fn_tree: &FnTree, call_site: &[String], own: &mut [i64]) {
    let whole = call_site.len() as u32;
    // By node: how many names of the call site its path has matched so far, or NONE off the path.
    let mut matched = vec![NONE; fn_tree.parent.len()];
    matched[ROOT as usize] = 0;
    for node in 1..fn_tree.parent.len() {
        matched[node] = match matched[fn_tree.parent[node] as usize] {
            NONE => NONE,
            m if m == whole => whole,
            m if strings.get(fn_tree.name[node]) == call_site[m as usize] => m + 1,
            _ => NONE,
        };
        if matched[node] != whole {
            own[node] = 0;
        }
    }
}

/// Adds values by stack id to values by function node; `fn_node` is [`flamestore_symbols::StackTree::fn_node`].
/// `out` grows as needed and keeps what it holds.
pub fn fold(stack_values: &[i64], fn_node: &[u32], out: &mut Vec<i64>) {
    for (value, node) in stack_values.iter().zip(fn_node) {
        if *value == 0 {
            continue;
        }
        let node = *node as usize;
        if node >= out.len() {
            out.resize(node + 1, 0);
        }
        out[node] = out[node].saturating_add(*value);
    }
}
