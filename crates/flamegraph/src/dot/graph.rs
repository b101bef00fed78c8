//! The call graph: frames that are equal are one node, and calls between the same nodes one edge.

use std::cmp::Reverse;

use flamestore_symbols::tables::ROOT;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::dot::name::Frame;
use crate::profile_merge::{NONE, ProfileMerge, Tables};

/// One function line.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) frame: Frame,
    /// Value of the stacks that end here.
    pub(super) flat: i64,
    /// Value of the stacks that hold the node, however often.
    pub(super) cum: i64,
}

impl Node {
    /// The smaller number that is shown for the node.
    pub(super) fn weight(&self) -> i64 {
        if self.flat != 0 { self.flat } else { self.cum }
    }
}

/// Calls from one node to another.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    /// Indexes in [`Graph::nodes`].
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) weight: i64,
    /// All of the calls were inlined.
    pub(super) inline: bool,
    /// All of the calls go through nodes that are not shown.
    pub(super) residual: bool,
}

/// Nodes by weight, edges by weight.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    /// Nodes that were not among the `max_nodes` best.
    pub(super) dropped: usize,
    /// File name of the first binary, when it is known.
    pub(super) binary: Option<String>,
}

impl Graph {
    pub(super) fn of(profile: &ProfileMerge, max_nodes: usize) -> Graph {
        let frames = Frames::of(&profile.tables);
        let all = Raw::walk(profile, &frames, |_| true);
        let shown = all.cum.iter().filter(|c| **c != 0).count();
        if shown <= max_nodes {
            return all.finish(frames, 0);
        }
        let best: HashSet<u32> = all.best(max_nodes).into_iter().collect();
        let mut graph = Raw::walk(profile, &frames, |frame| best.contains(&frame)).finish(frames, shown - best.len());
        graph.drop_redundant_edges();
        graph
    }

    /// Drops edges past hidden nodes whose ends are connected without them. Edges that are lighter than a true call
    /// into the same node go first; heavier ones stay, or the graph would mislead.
    fn drop_redundant_edges(&mut self) {
        // By node: edges, the heaviest first, as they are sorted.
        let (mut into, mut out) = (vec![Vec::new(); self.nodes.len()], vec![Vec::new(); self.nodes.len()]);
        for (e, edge) in self.edges.iter().enumerate() {
            into[edge.to].push(e);
            out[edge.from].push(e);
        }
        let mut gone = vec![false; self.edges.len()];
        for edges in into {
            for e in edges.into_iter().rev().take_while(|e| self.edges[*e].residual) {
                gone[e] = true;
                gone[e] = self.connected(self.edges[e].from, self.edges[e].to, &out, &gone);
            }
        }
        let mut gone = gone.into_iter();
        self.edges.retain(|_| gone.next() == Some(false));
    }

    fn connected(&self, from: usize, to: usize, out: &[Vec<usize>], gone: &[bool]) -> bool {
        let mut reached = vec![false; self.nodes.len()];
        let mut todo = vec![from];
        while let Some(node) = todo.pop() {
            for e in out[node].iter().filter(|e| !gone[**e]) {
                let next = self.edges[*e].to;
                if next == to {
                    return true;
                }
                if !std::mem::replace(&mut reached[next], true) {
                    todo.push(next);
                }
            }
        }
        false
    }
}

/// The distinct frames of a profile.
struct Frames {
    all: Vec<Frame>,
    /// By location: its frames, innermost first.
    of_location: Vec<Vec<u32>>,
    binary: Option<String>,
}

impl Frames {
    fn of(tables: &Tables) -> Frames {
        let mut all = Vec::new();
        let mut known: HashMap<(u32, u32, i64), u32, RandomState> = HashMap::default();
        let mut of_location = Vec::with_capacity(tables.locations.len());
        for id in 0..tables.locations.len() as u32 {
            let lines = tables.lines_of(id);
            let mut frames = Vec::with_capacity(lines.len().max(1));
            for line in lines {
                let f = tables.functions[line.function as usize];
                frames.push(*known.entry((f.name, f.filename, line.line)).or_insert_with(|| {
                    let text = |id| tables.strings.get(id).to_owned();
                    all.push(Frame { name: text(f.name), file: text(f.filename), line: line.line });
                    all.len() as u32 - 1
                }));
            }
            if lines.is_empty() {
                frames.push(all.len() as u32);
                all.push(Frame { name: tables.unsymbolized_name(id), file: String::new(), line: 0 });
            }
            of_location.push(frames);
        }
        let path = tables.mappings.iter().map(|m| tables.strings.get(m.filename)).find(|path| !path.is_empty());
        let binary = path.and_then(|path| path.rsplit('/').next()).map(str::to_owned);
        Frames { all, of_location, binary }
    }
}

#[derive(Clone, Copy)]
struct Call {
    weight: i64,
    inline: bool,
    residual: bool,
}

/// A graph over frames.
#[derive(Default)]
struct Raw {
    flat: Vec<i64>,
    cum: Vec<i64>,
    calls: HashMap<(u32, u32), Call, RandomState>,
}

impl Raw {
    /// Walks every stack from the root and leaves out frames that are not kept.
    fn walk(profile: &ProfileMerge, frames: &Frames, keep: impl Fn(u32) -> bool) -> Raw {
        let count = frames.all.len();
        let mut raw = Raw { flat: vec![0; count], cum: vec![0; count], ..Raw::default() };
        // By frame: the last sample that has been there.
        let mut seen = vec![NONE; count];
        let mut seen_calls: HashSet<(u32, u32), RandomState> = HashSet::default();
        let mut path = Vec::new();
        let samples = profile.values.iter().enumerate().filter(|(_, value)| **value != 0);
        for (leaf, value) in samples {
            path.clear();
            seen_calls.clear();
            let mut node = leaf as u32;
            while node != ROOT {
                path.push(profile.tables.location[node as usize]);
                node = profile.tables.parent[node as usize];
            }
            let mut caller = None;
            let mut residual = false;
            for location in path.iter().rev() {
                let calls = &frames.of_location[*location as usize];
                for (place, frame) in calls.iter().enumerate().rev() {
                    if !keep(*frame) {
                        residual = true;
                        continue;
                    }
                    if std::mem::replace(&mut seen[*frame as usize], leaf as u32) != leaf as u32 {
                        add(&mut raw.cum[*frame as usize], *value);
                    }
                    let from = caller.replace(*frame).filter(|from| from != frame);
                    if let Some(from) = from.filter(|from| seen_calls.insert((*from, *frame))) {
                        let inline = place + 1 != calls.len();
                        raw.call(from, *frame, *value, inline, residual);
                    }
                    residual = false;
                }
            }
            if let Some(frame) = caller.filter(|_| !residual) {
                add(&mut raw.flat[frame as usize], *value);
            }
        }
        raw
    }

    fn call(&mut self, from: u32, to: u32, weight: i64, inline: bool, residual: bool) {
        let call = self.calls.entry((from, to)).or_insert(Call { weight: 0, inline: true, residual: true });
        add(&mut call.weight, weight);
        call.inline &= inline;
        call.residual &= residual;
    }

    /// The nodes worth showing: heavy ones, and of those the ones where paths meet or part, for a node that only
    /// passes on what it gets says little.
    fn best(&self, max_nodes: usize) -> Vec<u32> {
        let count = self.cum.len();
        let (mut into, mut out) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for ((from, to), call) in &self.calls {
            out[*from as usize].push(call.weight);
            into[*to as usize].push(call.weight);
        }
        let score = |node: usize| {
            let spread = entropy(&into[node], 0) + entropy(&out[node], self.flat[node]);
            spread * self.cum[node] as f64 + self.flat[node] as f64
        };
        let mut nodes: Vec<(f64, u32)> =
            (0..count).filter(|n| self.cum[*n] != 0).map(|n| (score(n), n as u32)).collect();
        nodes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        nodes.into_iter().take(max_nodes).map(|(_, node)| node).collect()
    }

    fn finish(self, frames: Frames, dropped: usize) -> Graph {
        let node = |(id, frame): (usize, Frame)| Node { frame, flat: self.flat[id], cum: self.cum[id] };
        let mut nodes: Vec<(usize, Node)> =
            frames.all.into_iter().enumerate().map(|n| (n.0, node(n))).filter(|(_, n)| n.cum != 0).collect();
        nodes.sort_by(|(_, a), (_, b)| {
            (Reverse(a.flat), Reverse(a.cum), &a.frame).cmp(&(Reverse(b.flat), Reverse(b.cum), &b.frame))
        });
        let mut places = vec![usize::MAX; self.cum.len()];
        for (place, (id, _)) in nodes.iter().enumerate() {
            places[*id] = place;
        }
        let edge = |((from, to), call): ((u32, u32), Call)| Edge {
            from: places[from as usize],
            to: places[to as usize],
            weight: call.weight,
            inline: call.inline,
            residual: call.residual,
        };
        let mut edges: Vec<Edge> = self.calls.into_iter().map(edge).collect();
        edges.sort_unstable_by_key(|e| (Reverse(e.weight), e.from, e.to));
        let nodes = nodes.into_iter().map(|(_, node)| node).collect();
        Graph { nodes, edges, dropped, binary: frames.binary }
    }
}

fn add(sum: &mut i64, value: i64) {
    *sum = sum.saturating_add(value);
}

/// How evenly a value is spread over edges, in bits; a node without edges on a side counts as one bit.
fn entropy(edges: &[i64], own: i64) -> f64 {
    if edges.is_empty() {
        return 1.0;
    }
    let all = || edges.iter().copied().chain([own]).filter(|w| *w > 0).map(|w| w as f64);
    let total: f64 = all().sum();
    all().map(|w| -(w / total) * (w / total).log2()).sum()
}
