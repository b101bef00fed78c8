//! Merging by function name: from dense values by function node to one [`Tree`].
//!
//! Hot; measured by `benches/resolve.rs`.

use std::hash::BuildHasher;

use flamestore_model::StackFilter;
use flamestore_symbols::tables::ROOT;
use flamestore_symbols::wanted::wanted;
use flamestore_symbols::{FnTree, Strings};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::tree::{Tree, sum_up};

/// A source node or string that has no place in the merged tree (yet).
const NONE: u32 = u32::MAX;

/// Sums trees of any number of sources into one. Within a source, a name is one string and a child comes once, as
/// interning makes them; so nothing is looked up as long as there is one source.
#[derive(Debug, Clone, Default)]
pub struct TreeMerger {
    tree: Tree,
    /// Made when the second source comes.
    index: Option<Box<Index>>,
}

/// Finds what a tree holds.
#[derive(Debug, Clone, Default)]
struct Index {
    /// Nodes by (parent, name).
    nodes: HashTable<u32>,
    /// String ids by text.
    names: HashTable<u32>,
    hasher: RandomState,
}

impl From<Tree> for TreeMerger {
    /// Begins with a tree that is merged already.
    fn from(tree: Tree) -> Self {
        TreeMerger { tree, index: None }
    }
}

impl TreeMerger {
    /// Adds one dataset: `self_by_fn_node[i]` is the value of the stacks that fold into node `i` of `fn_tree`.
    /// What folds into the root (stacks without a single function) is left out; so are values beyond the nodes.
    ///
    /// Only the stacks that the filter wants count.
    pub fn add(&mut self, strings: &Strings, fn_tree: &FnTree, self_by_fn_node: &[i64], filter: &StackFilter) {
        let mut own = self_by_fn_node.to_vec();
        own.resize(fn_tree.parent.len(), 0);
        if let Some(root) = own.first_mut() {
            *root = 0;
        }
        if !filter.wants_all() {
            for (value, wanted) in own.iter_mut().zip(wanted(strings, fn_tree, filter)) {
                if !wanted {
                    *value = 0;
                }
            }
        }
        self.place_and_add(strings, &fn_tree.parent, &fn_tree.name, &own);
    }

    /// Adds a merged tree.
    pub fn add_tree(&mut self, tree: &Tree) {
        self.place_and_add(&tree.names, &tree.parent, &tree.name, &tree.self_values);
    }

    /// Heap bytes held, for budgets; the index is counted as large as what it finds.
    pub fn bytes(&self) -> usize {
        if self.index.is_some() { self.tree.bytes() * 2 } else { self.tree.bytes() }
    }

    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    pub fn finish(self) -> Tree {
        self.tree
    }

    fn place_and_add(&mut self, strings: &Strings, parent: &[u32], name: &[u32], own: &[i64]) {
        let totals = sum_up(parent, own.to_vec());
        let places = self.place(strings, parent, name, &totals);
        for (place, value) in places.into_iter().zip(own) {
            if place != NONE {
                let sum = &mut self.tree.self_values[place as usize];
                *sum = sum.saturating_add(*value);
            }
        }
    }

    /// Makes room for the nodes of a source that have a total. Returns their nodes here, or `u32::MAX` for the others.
    pub(crate) fn place(&mut self, strings: &Strings, parent: &[u32], name: &[u32], totals: &[i64]) -> Vec<u32> {
        let mut places = vec![NONE; parent.len()];
        if totals.first().is_none_or(|total| *total == 0) {
            return places;
        }
        let TreeMerger { tree, index } = self;
        let mut index =
            if tree.is_empty() { index.as_mut() } else { Some(index.get_or_insert_with(|| Index::of(tree))) };
        let mut names_here = vec![NONE; strings.len()];
        places[ROOT as usize] = ROOT;
        for node in 1..parent.len() {
            let up = places[parent[node] as usize];
            if totals[node] == 0 || up == NONE {
                continue;
            }
            let known = &mut names_here[name[node] as usize];
            if *known == NONE {
                *known = match (&mut index, strings.get(name[node])) {
                    (_, "") => 0,
                    (Some(index), text) => index.name(tree, text),
                    (None, text) => tree.names.push(text),
                };
            }
            places[node] = match &mut index {
                Some(index) => index.child(tree, up, *known),
                None => tree.push(up, *known, 0),
            };
        }
        places
    }

    /// Adds a value to the child of a node by name; makes it where there is none. Returns the child.
    pub fn add_child(&mut self, parent: u32, name: &str, value: i64) -> u32 {
        let TreeMerger { tree, index } = self;
        let index = index.get_or_insert_with(|| Index::of(tree));
        let name = if name.is_empty() { 0 } else { index.name(tree, name) };
        let node = index.child(tree, parent, name);
        let sum = &mut tree.self_values[node as usize];
        *sum = sum.saturating_add(value);
        node
    }
}

impl Index {
    fn of(tree: &Tree) -> Box<Index> {
        let hasher = RandomState::default();
        let mut names = HashTable::with_capacity(tree.names.len());
        for id in 1..tree.names.len() as u32 {
            let hash = |id: &u32| hasher.hash_one(tree.names.get(*id));
            names.insert_unique(hash(&id), id, hash);
        }
        let mut nodes = HashTable::with_capacity(2 * tree.parent.len());
        for node in 1..tree.parent.len() as u32 {
            let hash = |node: &u32| hasher.hash_one(key_of(tree, *node));
            nodes.insert_unique(hash(&node), node, hash);
        }
        Box::new(Index { nodes, names, hasher })
    }

    /// The id of a name that is not empty; made where there is none.
    fn name(&mut self, tree: &mut Tree, text: &str) -> u32 {
        let Index { names, hasher, .. } = self;
        let known = |id: &u32| tree.names.get(*id);
        match names.entry(hasher.hash_one(text), |id| known(id) == text, |id| hasher.hash_one(known(id))) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let id = tree.names.push(text);
                place.insert(id);
                id
            }
        }
    }

    /// The child of a node by name; made where there is none.
    fn child(&mut self, tree: &mut Tree, parent: u32, name: u32) -> u32 {
        let Index { nodes, hasher, .. } = self;
        let wanted = key(parent, name);
        match nodes.entry(
            hasher.hash_one(wanted),
            |node| key_of(tree, *node) == wanted,
            |node| hasher.hash_one(key_of(tree, *node)),
        ) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                place.insert(tree.parent.len() as u32);
                tree.push(parent, name, 0)
            }
        }
    }
}

fn key_of(tree: &Tree, node: u32) -> u64 {
    key(tree.parent[node as usize], tree.name[node as usize])
}

fn key(parent: u32, name: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(name)
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
