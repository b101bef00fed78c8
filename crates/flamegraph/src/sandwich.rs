//! One function between its callers and its callees.

use flamestore_symbols::tables::ROOT;
use hashbrown::HashMap;

use crate::children::Children;
use crate::tree::{OTHER, Tree, sum_up};

/// Calls that a half shows one below another, the function itself included. What lies further away is in `other`: the
/// wire nests a node in its parent, and readers of it go no deeper than a hundred messages.
pub const MAX_SANDWICH_DEPTH: usize = 90;

/// Everything that calls a function, and everything that it calls. Both halves begin with the function.
///
/// Every call of the function counts in the halves, so the stacks of a recursive function are in them once for each of
/// its calls; `total` and `self_value` are those of the function table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sandwich {
    /// Each name once.
    pub names: Vec<String>,
    /// Upside down: below a node are those who called it.
    pub callers: Half,
    pub callees: Half,
    /// The value of stacks that hold the function, however often.
    pub total: i64,
    /// The value of stacks that end in the function.
    pub self_value: i64,
}

/// A tree: a parent stands before its children, and they stand in the order in which they are drawn. The first node is
/// the function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Half(pub Vec<HalfNode>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfNode {
    /// In [`Half`]; the first node is its own.
    pub parent: usize,
    /// In [`Sandwich::names`].
    pub name: usize,
    pub total: i64,
    /// The part of the total that no child covers. Of a caller: the stacks that begin with it.
    pub self_value: i64,
    /// Whether it stands for nodes that were cut; it is called `other`.
    pub truncated: bool,
}

impl Sandwich {
    /// The sandwich of `function` in a tree that was not truncated, about `max_nodes` nodes in each half; 0 keeps all. A
    /// function that is not there has halves of one node without a value.
    pub fn of(tree: &Tree, function: &str, max_nodes: usize) -> Sandwich {
        let wanted: Vec<bool> = (0..tree.names.len() as u32).map(|id| tree.names.get(id) == function).collect();
        let totals = tree.totals();
        // By node: whether the function is on the path to it.
        let mut inside = vec![false; tree.parent.len()];
        let (mut total, mut self_value) = (0i64, 0i64);
        let mut calls = Vec::new();
        for node in 1..tree.parent.len() {
            let within = inside[tree.parent[node] as usize];
            let is_call = wanted[tree.name[node] as usize];
            inside[node] = within || is_call;
            if is_call {
                calls.push(node as u32);
                self_value = self_value.saturating_add(tree.self_values[node]);
                if !within {
                    total = total.saturating_add(totals[node]);
                }
            }
        }
        let mut names = Names::default();
        let mut half = |mut drawn: Tree| {
            drawn.truncate(max_nodes);
            Half::of(&drawn, function, &mut names)
        };
        let (callers, callees) = (half(callers(tree, &totals, &calls)), half(callees(tree, &totals, &calls)));
        Sandwich { names: names.list, callers, callees, total, self_value }
    }
}

/// Nodes of the source that one node of a half stands for, and what each of them counts.
struct Group {
    place: u32,
    depth: usize,
    members: Vec<(u32, i64)>,
}

/// A half while it grows from the function outwards.
struct Growing<'a> {
    source: &'a Tree,
    half: Tree,
    /// The name of what is too far away.
    other: u32,
    todo: Vec<Group>,
}

impl<'a> Growing<'a> {
    /// Holds nothing but the function; all its calls are members.
    fn from(source: &'a Tree, totals: &[i64], calls: &[u32]) -> Self {
        let mut half = Tree { names: source.names.clone(), ..Tree::default() };
        let known = (0..half.names.len() as u32).find(|id| half.names.get(*id) == OTHER);
        let other = known.unwrap_or_else(|| half.names.push(OTHER));
        let members: Vec<_> = calls.iter().map(|call| (*call, totals[*call as usize])).collect();
        let mut growing = Growing { source, half, other, todo: Vec::new() };
        growing.descend(ROOT, 0, members);
        growing
    }

    /// Makes a node below `place` for each name among the next members, or one `other` where it is deep enough.
    fn descend(&mut self, place: u32, depth: usize, mut next: Vec<(u32, i64)>) {
        if depth >= MAX_SANDWICH_DEPTH {
            let cut = next.iter().fold(0i64, |sum, (_, value)| sum.saturating_add(*value));
            if cut != 0 {
                self.half.push(place, self.other, cut);
            }
            return;
        }
        let name_of = |(node, _): &(u32, i64)| self.source.name[*node as usize];
        next.sort_unstable_by_key(name_of);
        for members in next.chunk_by(|a, b| name_of(a) == name_of(b)) {
            let place = self.half.push(place, name_of(&members[0]), 0);
            self.todo.push(Group { place, depth: depth + 1, members: members.to_vec() });
        }
    }

    fn add(&mut self, place: u32, value: i64) {
        let sum = &mut self.half.self_values[place as usize];
        *sum = sum.saturating_add(value);
    }
}

/// Each call goes up to the root, with its own total.
fn callers(tree: &Tree, totals: &[i64], calls: &[u32]) -> Tree {
    let mut growing = Growing::from(tree, totals, calls);
    while let Some(Group { place, depth, members }) = growing.todo.pop() {
        let mut up = Vec::with_capacity(members.len());
        for (node, value) in members {
            match tree.parent[node as usize] {
                ROOT => growing.add(place, value),
                parent => up.push((parent, value)),
            }
        }
        growing.descend(place, depth, up);
    }
    growing.half
}

/// Each call goes down to the leaves.
fn callees(tree: &Tree, totals: &[i64], calls: &[u32]) -> Tree {
    let children = Children::of(&tree.parent, &tree.name, &tree.names);
    let mut growing = Growing::from(tree, totals, calls);
    while let Some(Group { place, depth, members }) = growing.todo.pop() {
        let mut down = Vec::new();
        for (node, _) in members {
            growing.add(place, tree.self_values[node as usize]);
            down.extend(children.get(node).iter().map(|child| (*child, totals[*child as usize])));
        }
        growing.descend(place, depth, down);
    }
    growing.half
}

impl Half {
    fn of(tree: &Tree, function: &str, names: &mut Names) -> Half {
        let totals = sum_up(&tree.parent, tree.self_values.clone());
        let children = Children::of(&tree.parent, &tree.name, &tree.names);
        let mut nodes = Vec::with_capacity(tree.len());
        let mut todo: Vec<(u32, usize)> = children.get(ROOT).iter().map(|top| (*top, 0)).collect();
        while let Some((node, parent)) = todo.pop() {
            let (i, name) = (node as usize, tree.name_of(node));
            let place = nodes.len();
            nodes.push(HalfNode {
                parent,
                name: names.index(name),
                total: totals[i],
                self_value: tree.self_values[i],
                truncated: name == OTHER,
            });
            todo.extend(children.get(node).iter().rev().map(|child| (*child, place)));
        }
        if nodes.is_empty() {
            let name = names.index(function);
            nodes.push(HalfNode { parent: 0, name, total: 0, self_value: 0, truncated: false });
        }
        Half(nodes)
    }
}

/// Names by first use.
#[derive(Default)]
struct Names {
    list: Vec<String>,
    index: HashMap<String, usize>,
}

impl Names {
    fn index(&mut self, name: &str) -> usize {
        *self.index.entry_ref(name).or_insert_with(|| {
            self.list.push(name.to_owned());
            self.list.len() - 1
        })
    }
}
