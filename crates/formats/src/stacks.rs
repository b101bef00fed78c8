//! Stacks of names being counted: a prefix tree, and the pprof made of it.
//!
//! Hot: every frame of a folded line passes [`Stacks::child`]. Bench: `benches/formats.rs`.

use std::hash::BuildHasher;

use bytes::Bytes;
use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId};
use flamestore_pprof::encode::{Label, Writer};
use hashbrown::hash_table::{Entry, HashTable};

use crate::caps::{Caps, or_unlimited, profile_too_large};
use crate::suffix::TreeType;

/// One place in the tree: a stack from the root to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const ROOT: NodeId = NodeId(0);
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    parent: u32,
    frame: u32,
    depth: u32,
    value: i64,
}

/// Values by stack. Holds each name once and a node for each different prefix; both stop growing at
/// [`Caps::max_profile_bytes`], because the pprof could not be smaller than that.
pub(crate) struct Stacks {
    text: Vec<u8>,
    /// Where each name ends in `text`; it starts where the one before ends.
    ends: Vec<u32>,
    by_name: HashTable<u32>,
    nodes: Vec<Node>,
    by_edge: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
    max_depth: usize,
    max_bytes: usize,
    is_full: bool,
}

impl Stacks {
    pub(crate) fn new(caps: &Caps) -> Self {
        Stacks {
            text: Vec::new(),
            ends: Vec::new(),
            by_name: HashTable::new(),
            nodes: vec![Node::default()],
            by_edge: HashTable::new(),
            hasher: foldhash::fast::FixedState::default(),
            max_depth: or_unlimited(caps.max_depth),
            max_bytes: or_unlimited(caps.max_profile_bytes).min(u32::MAX as usize - 1),
            is_full: false,
        }
    }

    /// The node of a frame called from `parent`. Frames below the depth kept are counted to the deepest one that is.
    pub(crate) fn child(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        let depth = self.node(parent.0).depth;
        if depth as usize >= self.max_depth {
            return parent;
        }
        let Some(frame) = self.frame(name) else { return parent };
        let (hasher, nodes, max_nodes) = (&self.hasher, &mut self.nodes, self.max_bytes);
        let hash = hasher.hash_one((parent.0, frame));
        let edge = |nodes: &[Node], id: u32| nodes.get(id as usize).map_or((0, 0), |n| (n.parent, n.frame));
        let found = self.by_edge.entry(
            hash,
            |id| edge(nodes, *id) == (parent.0, frame),
            |id| hasher.hash_one(edge(nodes, *id)),
        );
        match found {
            Entry::Occupied(known) => NodeId(*known.get()),
            Entry::Vacant(_) if nodes.len() >= max_nodes => {
                self.is_full = true;
                parent
            }
            Entry::Vacant(new) => {
                let id = nodes.len() as u32;
                new.insert(id);
                nodes.push(Node { parent: parent.0, frame, depth: depth + 1, value: 0 });
                NodeId(id)
            }
        }
    }

    /// The index of a name, or `None` when there is no more room for names.
    fn frame(&mut self, name: &[u8]) -> Option<u32> {
        let (hasher, text, ends) = (&self.hasher, &mut self.text, &mut self.ends);
        let found = self.by_name.entry(
            hasher.hash_one(name),
            |id| name_of(text, ends, *id) == name,
            |id| hasher.hash_one(name_of(text, ends, *id)),
        );
        match found {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) if text.len() + name.len() > self.max_bytes => {
                self.is_full = true;
                None
            }
            Entry::Vacant(new) => {
                let id = ends.len() as u32;
                new.insert(id);
                text.extend_from_slice(name);
                ends.push(text.len() as u32);
                Some(id)
            }
        }
    }

    /// The pprof of all stacks with a value, or `None` when there are none.
    ///
    /// Errors: `Invalid` when it has more samples or bytes than a cap allows.
    pub(crate) fn to_pprof(&self, head: &PprofHead<'_>, caps: &Caps) -> Result<Option<Bytes>, Fault> {
        let (samples, depths) =
            self.valued().fold((0usize, 0usize), |(n, d), (id, _)| (n + 1, d + self.node(id.0).depth as usize));
        if samples == 0 && !self.is_full {
            return Ok(None);
        }
        if samples > or_unlimited(caps.max_samples) {
            return Err(too_many_samples(samples, caps));
        }
        // Each frame of a stack takes a byte at least.
        if self.is_full || depths > self.max_bytes {
            return Err(profile_too_large(caps));
        }
        let mut w = Writer::new();
        w.sample_type(head.tree_type.sample_type, head.tree_type.sample_unit);
        let (period_type, period_unit) = head.tree_type.period_type;
        if !period_type.is_empty() {
            w.period(period_type, period_unit, head.tree_type.period);
        }
        w.time_nanos(head.time_nanos);
        w.duration_nanos(head.duration_nanos);
        let location = |id| w.frame(&String::from_utf8_lossy(name_of(&self.text, &self.ends, id)));
        let locations: Vec<u64> = (0..self.ends.len() as u32).map(location).collect();
        let span = head.span_id.map(|text| Label::Text { key: names::PROFILE_ID, text });
        let mut stack = Vec::new();
        for (node, value) in self.valued() {
            stack.clear();
            stack.extend(self.leaf_first(node).filter_map(|frame| locations.get(frame as usize)));
            w.sample(&stack, &[value.saturating_mul(head.factor)], span.as_slice());
        }
        let pprof = w.finish();
        if pprof.len() > self.max_bytes { Err(profile_too_large(caps)) } else { Ok(Some(pprof.into())) }
    }

    /// What they take, about, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + std::mem::size_of::<Node>() * self.nodes.len()
    }

    /// Whether the cap is reached, so that more input only costs time.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Counts `value` to a stack. The root has no stack: what is counted there is not kept.
    pub(crate) fn add(&mut self, node: NodeId, value: i64) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            node.value = node.value.saturating_add(value);
        }
    }

    fn node(&self, id: u32) -> Node {
        self.nodes.get(id as usize).copied().unwrap_or_default()
    }

    /// The frames of a stack, leaf first.
    fn leaf_first(&self, node: NodeId) -> impl Iterator<Item = u32> {
        let mut at = self.node(node.0);
        std::iter::from_fn(move || {
            let frame = (at.depth > 0).then_some(at.frame)?;
            at = self.node(at.parent);
            Some(frame)
        })
    }

    /// Stacks with a value, in the order they were first seen.
    fn valued(&self) -> impl Iterator<Item = (NodeId, i64)> {
        self.nodes.iter().enumerate().skip(1).filter(|(_, n)| n.value > 0).map(|(i, n)| (NodeId(i as u32), n.value))
    }
}

/// What the pprof of some stacks says about all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PprofHead<'a> {
    pub(crate) tree_type: TreeType,
    /// What values are multiplied with.
    pub(crate) factor: i64,
    /// The span that every sample was taken in, in hex.
    pub(crate) span_id: Option<&'a str>,
    pub(crate) time_nanos: i64,
    pub(crate) duration_nanos: i64,
}

fn too_many_samples(samples: usize, caps: &Caps) -> Fault {
    Fault::over(FaultId::TooManySamples, format_args!("the profile has {samples} samples"), caps.max_samples)
}

fn name_of<'t>(text: &'t [u8], ends: &[u32], id: u32) -> &'t [u8] {
    let at = id as usize;
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
    let end = ends.get(at).map_or(start, |end| *end as usize);
    text.get(start..end).unwrap_or_default()
}

/// The way to the last stack, so that one with the same beginning starts where they part.
#[derive(Default)]
pub(crate) struct Path {
    /// Where each frame ends in the text of the stack, and its node; no deeper than stacks are kept.
    nodes: Vec<(usize, NodeId)>,
}

impl Path {
    /// The node of the last frame of a stack whose frames `;` separates, root first. Its first `common` bytes are those
    /// of the stack walked before.
    pub(crate) fn walk(&mut self, stack: &[u8], common: usize, stacks: &mut Stacks) -> NodeId {
        let is_end = |at: usize| stack.get(at).is_none_or(|b| *b == b';');
        while self.nodes.last().is_some_and(|(end, _)| *end > common || !is_end(*end)) {
            self.nodes.pop();
        }
        let (mut start, mut node) = match self.nodes.last() {
            Some((end, node)) => (end + 1, *node),
            None => (0, NodeId::ROOT),
        };
        while let Some(rest) = stack.get(start..).filter(|_| self.nodes.len() < stacks.max_depth) {
            let end = start + memchr::memchr(b';', rest).unwrap_or(rest.len());
            node = stacks.child(node, stack.get(start..end).unwrap_or_default());
            self.nodes.push((end, node));
            start = end + 1;
        }
        node
    }
}

#[cfg(test)]
impl Stacks {
    /// As folded text, sorted.
    pub(crate) fn folded(&self) -> Vec<(String, i64)> {
        let mut all: Vec<(String, i64)> = self
            .valued()
            .map(|(node, value)| {
                let names = self.leaf_first(node).map(|f| String::from_utf8_lossy(name_of(&self.text, &self.ends, f)));
                let mut frames: Vec<_> = names.collect();
                frames.reverse();
                (frames.join(";"), value)
            })
            .collect();
        all.sort();
        all
    }
}
