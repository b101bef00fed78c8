//! The children of every node, in the order in which they are drawn.

use flamestore_symbols::Strings;

use crate::tree::OTHER;

/// Children by node: sorted by name, `other` last.
#[derive(Debug)]
pub(crate) struct Children {
    /// The children of node `i` are `nodes[first[i]..first[i + 1]]`.
    first: Vec<u32>,
    nodes: Vec<u32>,
}

impl Children {
    /// Two counting passes, so that only the distinct names are sorted.
    pub(crate) fn of(parent: &[u32], name: &[u32], names: &Strings) -> Children {
        let by_name = stable_order(name.len(), 1..name.len() as u32, names.len(), &rank(names, name));
        let mut first = vec![0u32; parent.len() + 1];
        for up in &parent[1..] {
            first[*up as usize + 1] += 1;
        }
        for i in 1..first.len() {
            first[i] += first[i - 1];
        }
        let mut free = first.clone();
        let mut nodes = vec![0; by_name.len()];
        for node in by_name {
            let place = &mut free[parent[node as usize] as usize];
            nodes[*place as usize] = node;
            *place += 1;
        }
        Children { first, nodes }
    }

    pub(crate) fn get(&self, node: u32) -> &[u32] {
        &self.nodes[self.first[node as usize] as usize..self.first[node as usize + 1] as usize]
    }
}

/// By node: the place of its name in the order of names.
fn rank(names: &Strings, name: &[u32]) -> Vec<u32> {
    let mut sorted: Vec<(&str, u32)> = (0..names.len() as u32).map(|id| (names.get(id), id)).collect();
    sorted.sort_unstable();
    if let Ok(place) = sorted.binary_search_by_key(&OTHER, |(text, _)| *text) {
        sorted[place..].rotate_left(1);
    }
    let mut rank_of = vec![0u32; names.len()];
    for (place, (_, id)) in sorted.into_iter().enumerate() {
        rank_of[id as usize] = place as u32;
    }
    name.iter().map(|id| rank_of[*id as usize]).collect()
}

/// The items of `all` ordered by `key[item] < keys`; equal keys keep their order.
fn stable_order(len: usize, all: std::ops::Range<u32>, keys: usize, key: &[u32]) -> Vec<u32> {
    let mut free = vec![0u32; keys + 1];
    for item in all.clone() {
        free[key[item as usize] as usize + 1] += 1;
    }
    for i in 1..free.len() {
        free[i] += free[i - 1];
    }
    let mut order = vec![0; len.saturating_sub(1)];
    for item in all {
        let place = &mut free[key[item as usize] as usize];
        order[*place as usize] = item;
        *place += 1;
    }
    order
}
