//! Several trees in pre-order become one in pre-order, in one pass: a node is held for each source and level.

use std::cmp::Reverse;

use flamestore_block::read::source::DatasetSource;
use flamestore_model::Fault;

use crate::merge::bits::Bits;
use crate::merge::heap::Heap;
use crate::merge::ids::{Growing, Ids};

/// A node as it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) parent_delta: u32,
    /// Siblings climb by it.
    pub(crate) key: u32,
    pub(crate) payload: u32,
}

/// The way from the root to the node that was read last, in a tree in pre-order.
pub(crate) struct Path<T> {
    /// Id, key and what is kept with a node; the root first.
    nodes: Vec<(u32, u32, T)>,
    next: u32,
}

impl<T: Default> Path<T> {
    pub(crate) fn root() -> Self {
        Path { nodes: vec![(0, 0, T::default())], next: 1 }
    }

    /// Goes to the next node; returns its id. `None`: the tree is not in pre-order with siblings by key.
    pub(crate) fn enter(&mut self, node: Node, with: T) -> Option<u32> {
        let id = self.next;
        let parent = id.checked_sub(node.parent_delta).filter(|parent| *parent < id)?;
        let mut sibling = None;
        while self.nodes.last()?.0 > parent {
            sibling = self.nodes.pop();
        }
        let in_order = self.nodes.last()?.0 == parent && sibling.is_none_or(|(_, key, _)| key < node.key);
        self.next = id.checked_add(1)?;
        self.nodes.push((id, node.key, with));
        in_order.then_some(id)
    }

    /// The root has 0.
    pub(crate) fn depth(&self) -> usize {
        self.nodes.len() - 1
    }

    /// From the node to below the root.
    pub(crate) fn upwards(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.nodes.iter_mut().skip(1).rev().map(|(id, _, with)| (*id, with))
    }
}

pub(crate) type Read<'a> = dyn FnMut() -> Result<Option<Node>, Fault> + 'a;
pub(crate) type Translate<'a> = dyn FnMut(Node) -> Result<(u32, u32), Fault> + 'a;

/// One of the trees.
pub(crate) struct Branch<'a> {
    pub(crate) source: &'a DatasetSource,
    /// How it is called in faults.
    pub(crate) what: &'static str,
    /// The next node with its own ids.
    pub(crate) read: Box<Read<'a>>,
    /// New key and payload of a node.
    pub(crate) translate: Box<Translate<'a>>,
    pub(crate) used: &'a Bits,
    pub(crate) ids: Growing,
}

/// Where a branch stands: deeper nodes come first, for what is open must be finished; then smaller keys.
type Place = (Reverse<usize>, u32);

/// Calls `to` with parent delta, key and payload of each node of the joined tree, whose ids count from 1; returns for each
/// branch the new ids by old ids, that of the root too.
pub(crate) fn merge(
    mut branches: Vec<Branch<'_>>,
    to: &mut dyn FnMut(u32, u32, u32) -> Result<(), Fault>,
) -> Result<Vec<Ids>, Fault> {
    let mut paths: Vec<Path<()>> = branches.iter().map(|_| Path::root()).collect();
    let mut places: Vec<Place> = vec![(Reverse(0), 0); branches.len()];
    let mut payloads = vec![0; branches.len()];
    let mut there = Vec::new();
    for (i, branch) in branches.iter_mut().enumerate() {
        branch.ids.push(0)?;
        if branch.next(&mut paths[i], &mut places[i], &mut payloads[i])? {
            there.push(i as u32);
        }
    }
    let before = |places: &[Place], a: u32, b: u32| (places[a as usize], a) < (places[b as usize], b);
    let mut heap = Heap::of(there.into_iter(), |a, b| before(&places, a, b));
    // The ids of the way to the node that was given last.
    let mut open = vec![0u32];
    let mut here = Vec::new();
    let mut next = 1u32;
    while let Some(first) = heap.first() {
        let place @ (Reverse(depth), key) = places[first as usize];
        open.truncate(depth);
        let parent = open.last().copied().unwrap_or(0);
        to(next - parent, key, payloads[first as usize])?;
        open.push(next);
        // All that stand here are taken out before one moves on: what is below comes before what is beside.
        here.clear();
        while let Some(i) = heap.first().filter(|i| places[*i as usize] == place) {
            here.push(i);
            heap.pop(|a, b| before(&places, a, b));
        }
        for &i in &here {
            let at = i as usize;
            branches[at].ids.push(next)?;
            if branches[at].next(&mut paths[at], &mut places[at], &mut payloads[at])? {
                heap.push(i, |a, b| before(&places, a, b));
            }
        }
        next = next.checked_add(1).ok_or_else(too_many)?;
    }
    branches.into_iter().map(|branch| branch.ids.finish()).collect()
}

impl Branch<'_> {
    /// Moves to the next node that is used. False: there is none.
    fn next(&mut self, path: &mut Path<()>, place: &mut Place, payload: &mut u32) -> Result<bool, Fault> {
        while let Some(node) = (self.read)()? {
            let id = path.enter(node, ()).ok_or_else(|| self.source.out_of_order(self.what))?;
            if self.used.get(id) {
                let (key, translated) = (self.translate)(node)?;
                *place = (Reverse(path.depth()), key);
                *payload = translated;
                return Ok(true);
            }
            self.ids.skip()?;
        }
        Ok(false)
    }
}

#[cold]
fn too_many() -> Fault {
    Fault::internal("a service has more than 4294967295 stacks in one block: make smaller blocks")
}
