//! Small datasets from lists of stacks.

use std::collections::HashMap;

use flamestore_flamegraph::{Tree, TreeMerger, fold};
use flamestore_model::StackFilter;
use flamestore_symbols::tables::{NO_MAPPING, ROOT};
use flamestore_symbols::{Function, Line, Location, Mapping, Symbols};

/// A frame; frames with an equal location share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// Innermost first; empty: not symbolised.
    pub(crate) lines: Vec<(String, i64)>,
    pub(crate) address: u64,
    /// Start, limit and file name.
    pub(crate) mapping: Option<(u64, u64, String)>,
}

pub(crate) fn frame(name: &str) -> Frame {
    at(name, 0)
}

pub(crate) fn at(name: &str, line: i64) -> Frame {
    Frame { lines: vec![(name.to_owned(), line)], address: 0, mapping: None }
}

/// Grows a dataset.
#[derive(Default)]
pub(crate) struct Dataset {
    pub(crate) symbols: Symbols,
    pub(crate) values: Vec<i64>,
    strings: HashMap<String, u32>,
    locations: HashMap<Frame, u32>,
    stacks: HashMap<(u32, u32), u32>,
    fn_nodes: HashMap<(u32, u32), u32>,
}

impl Dataset {
    /// Adds a sample; the root first.
    pub(crate) fn sample(&mut self, stack: &[Frame], value: i64) {
        let mut node = ROOT;
        for frame in stack {
            let location = self.location(frame);
            node = match self.stacks.get(&(node, location)) {
                Some(known) => *known,
                None => self.stack(node, location, frame),
            };
        }
        self.values.resize(self.symbols.stacks.parent.len(), 0);
        self.values[node as usize] += value;
    }

    fn stack(&mut self, parent: u32, location: u32, frame: &Frame) -> u32 {
        let mut fn_node = self.symbols.stacks.fn_node[parent as usize];
        for (name, _) in frame.lines.iter().rev() {
            let name = self.string(name);
            let tree = &mut self.symbols.fn_tree;
            fn_node = *self.fn_nodes.entry((fn_node, name)).or_insert_with(|| {
                tree.parent.push(fn_node);
                tree.name.push(name);
                tree.parent.len() as u32 - 1
            });
        }
        let stacks = &mut self.symbols.stacks;
        stacks.parent.push(parent);
        stacks.location.push(location);
        stacks.fn_node.push(fn_node);
        let node = stacks.parent.len() as u32 - 1;
        self.stacks.insert((parent, location), node);
        node
    }

    fn location(&mut self, frame: &Frame) -> u32 {
        if let Some(known) = self.locations.get(frame) {
            return *known;
        }
        let mapping = match &frame.mapping {
            None => NO_MAPPING,
            Some((memory_start, memory_limit, filename)) => {
                let filename = self.string(filename);
                let row = Mapping {
                    memory_start: *memory_start,
                    memory_limit: *memory_limit,
                    file_offset: 0,
                    filename,
                    build_id: 0,
                    flags: 0,
                };
                position_or_push(&mut self.symbols.mappings, row)
            }
        };
        let first_line = self.symbols.lines.len() as u32;
        for (name, line) in &frame.lines {
            let name = self.string(name);
            let row = Function { name, system_name: name, filename: 0, start_line: 0 };
            let function = position_or_push(&mut self.symbols.functions, row);
            self.symbols.lines.push(Line { function, line: *line });
        }
        let end_line = self.symbols.lines.len() as u32;
        self.symbols.locations.push(Location {
            mapping,
            address: frame.address,
            is_folded: false,
            first_line,
            end_line,
        });
        let id = self.symbols.locations.len() as u32 - 1;
        self.locations.insert(frame.clone(), id);
        id
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(known) = self.strings.get(text) {
            return *known;
        }
        let id = self.symbols.strings.push(text);
        self.strings.insert(text.to_owned(), id);
        id
    }

    pub(crate) fn add_to(&self, merger: &mut TreeMerger, filter: &StackFilter) {
        let mut by_fn_node = Vec::new();
        fold(&self.values, &self.symbols.stacks.fn_node, &mut by_fn_node);
        merger.add(&self.symbols.strings, &self.symbols.fn_tree, &by_fn_node, filter);
    }

    pub(crate) fn tree(&self) -> Tree {
        self.tree_of(&StackFilter::default())
    }

    pub(crate) fn tree_of(&self, filter: &StackFilter) -> Tree {
        let mut merger = TreeMerger::default();
        self.add_to(&mut merger, filter);
        merger.finish()
    }
}

fn position_or_push<T: PartialEq>(rows: &mut Vec<T>, row: T) -> u32 {
    let known = rows.iter().position(|r| *r == row);
    known.unwrap_or_else(|| {
        rows.push(row);
        rows.len() - 1
    }) as u32
}

/// Folded text: `a;b;c 50`, one stack a line.
pub(crate) fn folded(text: &str) -> Dataset {
    let mut dataset = Dataset::default();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (stack, value) = line.rsplit_once(' ').unwrap();
        let stack: Vec<Frame> = stack.split(';').map(frame).collect();
        dataset.sample(&stack, value.parse().unwrap());
    }
    dataset
}

pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|s| (*s).to_owned()).collect()
}

pub(crate) const A: &str = "a;b;c 50\n a;b;d 30\n a;e 15\n f 5\n a;b 10";
pub(crate) const B: &str = "a;b;c 20\n a;g 40\n a;b 4";
