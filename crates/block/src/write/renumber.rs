//! The symbols that a dataset uses, under new ids: trees in pre-order, everything else sorted by content.
//!
//! The order depends only on what the symbols say, not on the order they were interned in, so that a flush done again
//! from the log gives the same bytes.

use std::cmp::Ordering;

use flamestore_model::Fault;
use flamestore_symbols::Symbols;
use flamestore_symbols::tables::{NO_MAPPING, ROOT};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Not used in the block.
pub(crate) const UNUSED: u32 = u32::MAX;

/// A row of functions.parquet: a function, or a name that only stands in the function tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FunctionRow {
    /// String id.
    pub(crate) name: u32,
    pub(crate) function: Option<u32>,
}

pub(crate) struct Renumbered<'a> {
    pub(crate) symbols: &'a Symbols,
    pub(crate) stacks: Order,
    pub(crate) fn_nodes: Order,
    /// New id → old id.
    pub(crate) locations: Vec<u32>,
    /// Old id → new id.
    pub(crate) location_ids: Vec<u32>,
    /// By new id.
    pub(crate) functions: Vec<FunctionRow>,
    /// Old id → new id.
    pub(crate) function_ids: Vec<u32>,
    /// String id → new function id, for the names of the function tree.
    pub(crate) name_ids: Vec<u32>,
}

/// A tree in pre-order; node 0 is the root in both numberings.
pub(crate) struct Order {
    /// New id → old id.
    pub(crate) old: Vec<u32>,
    /// Old id → new id.
    pub(crate) new: Vec<u32>,
}

impl<'a> Renumbered<'a> {
    pub(crate) fn of(symbols: &'a Symbols, used_stacks: &[bool]) -> Result<Self, Fault> {
        check(symbols)?;
        let mut stacks = used_stacks.to_vec();
        mark_ancestors(&mut stacks, &symbols.stacks.parent);
        let mut fn_nodes = vec![false; symbols.fn_tree.parent.len()];
        let mut used_locations = vec![false; symbols.locations.len()];
        for node in used(&stacks).skip(1) {
            fn_nodes[symbols.stacks.fn_node[node] as usize] = true;
            used_locations[symbols.stacks.location[node] as usize] = true;
        }
        mark_ancestors(&mut fn_nodes, &symbols.fn_tree.parent);

        let (functions, function_ids, name_ids) = functions(symbols, &used_locations, &fn_nodes);
        let mut locations: Vec<u32> = used(&used_locations).map(|i| i as u32).collect();
        locations.sort_by(|a, b| by_content(symbols, &function_ids, *a, *b));
        let location_ids = inverse(&locations, symbols.locations.len());

        let by_location = |node: u32| location_ids[symbols.stacks.location[node as usize] as usize];
        let stacks = Order::pre(&symbols.stacks.parent, &stacks, by_location);
        let by_name = |node: u32| name_ids[symbols.fn_tree.name[node as usize] as usize];
        let fn_nodes = Order::pre(&symbols.fn_tree.parent, &fn_nodes, by_name);
        Ok(Renumbered { symbols, stacks, fn_nodes, locations, location_ids, functions, function_ids, name_ids })
    }
}

impl Order {
    /// Children in the order of `key`, which differs between siblings.
    fn pre(parent: &[u32], used_nodes: &[bool], key: impl Fn(u32) -> u32) -> Self {
        // Children of each node side by side: `first_child[n]..first_child[n + 1]`.
        let mut first_child = vec![0u32; parent.len() + 1];
        for node in used(used_nodes).skip(1) {
            first_child[parent[node] as usize + 1] += 1;
        }
        for i in 1..first_child.len() {
            first_child[i] += first_child[i - 1];
        }
        let mut next = first_child.clone();
        let mut children = vec![0u32; first_child.last().map_or(0, |n| *n as usize)];
        for node in used(used_nodes).skip(1) {
            let at = &mut next[parent[node] as usize];
            children[*at as usize] = node as u32;
            *at += 1;
        }
        drop(next);
        let mut old = Vec::with_capacity(children.len() + 1);
        let mut new = vec![UNUSED; parent.len()];
        let mut todo = vec![ROOT];
        while let Some(node) = todo.pop() {
            new[node as usize] = old.len() as u32;
            old.push(node);
            let of_node = first_child[node as usize] as usize..first_child[node as usize + 1] as usize;
            let start = todo.len();
            todo.extend_from_slice(&children[of_node]);
            // The last one is taken first.
            todo[start..].sort_unstable_by_key(|child| std::cmp::Reverse((key(*child), *child)));
        }
        Order { old, new }
    }
}

/// The functions of the used lines, and names of the function tree that no function has; sorted by content.
fn functions(symbols: &Symbols, used_locations: &[bool], fn_nodes: &[bool]) -> (Vec<FunctionRow>, Vec<u32>, Vec<u32>) {
    let mut used_functions = vec![false; symbols.functions.len()];
    for location in used(used_locations) {
        for line in symbols.lines_of(location as u32) {
            used_functions[line.function as usize] = true;
        }
    }
    let mut rows: Vec<FunctionRow> = used(&used_functions)
        .map(|i| FunctionRow { name: symbols.functions[i].name, function: Some(i as u32) })
        .collect();
    let mut named: HashMap<&str, (), RandomState> =
        rows.iter().map(|row| (symbols.strings.get(row.name), ())).collect();
    for node in used(fn_nodes).skip(1) {
        let name = symbols.fn_tree.name[node];
        if named.insert(symbols.strings.get(name), ()).is_none() {
            rows.push(FunctionRow { name, function: None });
        }
    }
    let text = |id: u32| symbols.strings.get(id);
    let rest = |row: &FunctionRow| {
        row.function.map(|f| {
            let f = &symbols.functions[f as usize];
            (text(f.system_name), text(f.filename), f.start_line)
        })
    };
    rows.sort_by(|a, b| text(a.name).cmp(text(b.name)).then_with(|| rest(a).cmp(&rest(b))));

    let mut function_ids = vec![UNUSED; symbols.functions.len()];
    let mut first_of: HashMap<&str, u32, RandomState> = HashMap::default();
    for (id, row) in (0u32..).zip(&rows) {
        if let Some(f) = row.function {
            function_ids[f as usize] = id;
        }
        first_of.entry(text(row.name)).or_insert(id);
    }
    let mut name_ids = vec![UNUSED; symbols.strings.len()];
    for node in used(fn_nodes).skip(1) {
        let name = symbols.fn_tree.name[node];
        if let Some(id) = first_of.get(text(name)) {
            name_ids[name as usize] = *id;
        }
    }
    (rows, function_ids, name_ids)
}

/// By binary, address and lines.
fn by_content(symbols: &Symbols, function_ids: &[u32], a: u32, b: u32) -> Ordering {
    let text = |id: u32| symbols.strings.get(id);
    let mapping = |l: u32| {
        let m = symbols.locations[l as usize].mapping;
        (m != NO_MAPPING).then(|| {
            let m = &symbols.mappings[m as usize];
            (text(m.filename), text(m.build_id), m.memory_start, m.memory_limit, m.file_offset, m.flags)
        })
    };
    let place = |l: u32| (symbols.locations[l as usize].address, symbols.locations[l as usize].is_folded);
    let lines = |l: u32| symbols.lines_of(l).iter().map(|line| (function_ids[line.function as usize], line.line));
    let same_mapping = symbols.locations[a as usize].mapping == symbols.locations[b as usize].mapping;
    let by_mapping = if same_mapping { Ordering::Equal } else { mapping(a).cmp(&mapping(b)) };
    by_mapping.then_with(|| place(a).cmp(&place(b))).then_with(|| lines(a).cmp(lines(b)))
}

fn used(marks: &[bool]) -> impl Iterator<Item = usize> + '_ {
    marks.iter().enumerate().filter_map(|(i, used)| used.then_some(i))
}

/// A parent comes before its children, so one pass from the end reaches the root.
fn mark_ancestors(marks: &mut [bool], parent: &[u32]) {
    for node in (1..marks.len()).rev() {
        if marks[node] {
            marks[parent[node] as usize] = true;
        }
    }
    if let Some(root) = marks.first_mut() {
        *root = true;
    }
}

fn inverse(old: &[u32], len: usize) -> Vec<u32> {
    let mut new = vec![UNUSED; len];
    for (id, o) in (0u32..).zip(old) {
        new[*o as usize] = id;
    }
    new
}

/// Everything below indexes by these tables, so they must hold together.
fn check(symbols: &Symbols) -> Result<(), Fault> {
    let Symbols { strings, functions, mappings, locations, lines, stacks, fn_tree } = symbols;
    let text = |id: u32| (id as usize) < strings.len();
    let tree = |parent: &[u32]| !parent.is_empty() && (1..parent.len()).all(|i| (parent[i] as usize) < i);
    let ok = tree(&stacks.parent)
        && tree(&fn_tree.parent)
        && [stacks.location.len(), stacks.fn_node.len()] == [stacks.parent.len(); 2]
        && fn_tree.name.len() == fn_tree.parent.len()
        && stacks.location[1..].iter().all(|l| (*l as usize) < locations.len())
        && stacks.fn_node.iter().all(|n| (*n as usize) < fn_tree.parent.len())
        && fn_tree.name.iter().all(|n| text(*n))
        && functions.iter().all(|f| text(f.name) && text(f.system_name) && text(f.filename))
        && mappings.iter().all(|m| text(m.filename) && text(m.build_id))
        && lines.iter().all(|l| (l.function as usize) < functions.len())
        && locations.iter().all(|l| {
            (l.mapping == NO_MAPPING || (l.mapping as usize) < mappings.len())
                && l.first_line <= l.end_line
                && l.end_line as usize <= lines.len()
        });
    if ok { Ok(()) } else { Err(Fault::internal("block input: the tables of symbols do not fit each other")) }
}
