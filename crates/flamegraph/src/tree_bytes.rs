//! The bytes of a tree, as clients of the tree format read them.
//!
//! | for each node | encoding |
//! |---|---|
//! | length of the name, name | varint, UTF-8 |
//! | self value | varint |
//! | number of children | varint |
//!
//! Nodes stand in the order of a walk that takes the last child first. The first node is the root: no name, self 0.
//! An empty tree has no bytes at all.

use flamestore_model::Fault;

use crate::children::Children;
use crate::merge::TreeMerger;
use crate::tree::Tree;
use crate::wire::{read_varint, varint};

/// The most nodes that [`Tree::from_bytes`] reads: four times what any query may ask for.
pub const MAX_NODES: usize = 4 << 20;
/// What a node takes at least: three varints.
const MIN_NODE_BYTES: u64 = 3;

impl Tree {
    /// Writes the format above.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_empty() {
            return out;
        }
        let children = Children::of(&self.parent, &self.name, &self.names);
        let mut todo = vec![0u32];
        while let Some(node) = todo.pop() {
            let name = self.name_of(node);
            varint(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            varint(&mut out, self.self_values[node as usize] as u64);
            varint(&mut out, children.get(node).len() as u64);
            todo.extend_from_slice(children.get(node));
        }
        out
    }

    /// Reads the format above; siblings of one name are added up. Refuses, as corrupt, whatever the writer would not
    /// have written, and more than [`MAX_NODES`] nodes.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Tree, Fault> {
        let mut merger = TreeMerger::default();
        if bytes.is_empty() {
            return Ok(merger.finish());
        }
        let root = Node::read(&mut bytes)?;
        if !root.name.is_empty() || root.self_value != 0 {
            return Err(Fault::corrupt("tree bytes must begin with a root without name and value"));
        }
        // Parents whose children come next, and how many are still to come.
        let mut open = vec![(0u32, root.children)];
        let mut nodes = 0;
        while let Some((parent, left)) = open.pop() {
            if left == 0 {
                continue;
            }
            open.push((parent, left - 1));
            nodes += 1;
            if nodes > MAX_NODES {
                return Err(Fault::corrupt(format!("tree bytes hold more than {MAX_NODES} nodes")));
            }
            let node = Node::read(&mut bytes)?;
            let place = merger.add_child(parent, node.name, node.self_value);
            open.push((place, node.children));
        }
        if !bytes.is_empty() {
            return Err(Fault::corrupt(format!("tree bytes go on for {} bytes behind the last node", bytes.len())));
        }
        Ok(merger.finish())
    }
}

struct Node<'a> {
    name: &'a str,
    self_value: i64,
    children: u64,
}

impl<'a> Node<'a> {
    fn read(bytes: &mut &'a [u8]) -> Result<Self, Fault> {
        let short = || Fault::corrupt("tree bytes end in the middle of a node");
        let len = read_varint(bytes).ok_or_else(short)?;
        let len = usize::try_from(len).map_err(|_| short())?;
        let (name, rest) = bytes.split_at_checked(len).ok_or_else(short)?;
        *bytes = rest;
        let name = std::str::from_utf8(name).map_err(|e| Fault::corrupt("a name is not UTF-8").caused_by(e))?;
        let self_value = read_varint(bytes).ok_or_else(short)?;
        let self_value = i64::try_from(self_value).map_err(|_| Fault::corrupt("a self value is negative"))?;
        let children = read_varint(bytes).ok_or_else(short)?;
        if children > bytes.len() as u64 / MIN_NODE_BYTES {
            return Err(Fault::corrupt("a node has more children than there are bytes left"));
        }
        Ok(Node { name, self_value, children })
    }
}
