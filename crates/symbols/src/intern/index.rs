//! Tables with an index each: content → id. The indexes hold ids only; content is compared where it is stored.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};

use flamestore_model::Fault;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::tables::{Function, Line, Location, Mapping, NO_MAPPING, Symbols};

/// How large the tables may grow. An id is a `u32`, and `u32::MAX` means "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all strings together.
    pub text_bytes: u32,
    /// Rows of each table.
    pub rows: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { text_bytes: u32::MAX, rows: u32::MAX - 1 }
    }
}

/// [`Symbols`] with indexes. The hashes are seeded anew in each process, so nobody outside can choose names that
/// collide; ids do not depend on them.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) symbols: Symbols,
    bounds: Bounds,
    hasher: RandomState,
    strings: HashTable<u32>,
    functions: HashTable<u32>,
    mappings: HashTable<u32>,
    locations: HashTable<u32>,
    stacks: HashTable<u32>,
    fn_nodes: HashTable<u32>,
    /// The name of a location without lines is written here.
    label: String,
}

impl Index {
    pub(super) fn with_bounds(bounds: Bounds) -> Self {
        let bounds = Bounds { rows: bounds.rows.min(Bounds::default().rows), ..bounds };
        Index { bounds, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        let indexes = [&self.strings, &self.functions, &self.mappings, &self.locations, &self.stacks, &self.fn_nodes];
        self.symbols.bytes()
            + indexes.iter().map(|index| index.allocation_size()).sum::<usize>()
            + self.label.capacity()
    }

    pub(super) fn string(&mut self, text: &[u8]) -> Result<u32, Fault> {
        if text.is_empty() {
            return Ok(0);
        }
        let Index { symbols, bounds, hasher, strings, .. } = self;
        let hash = string_hash(hasher, text);
        if let Some(&id) = strings.find(hash, |&id| symbols.strings.bytes_of(id) == text) {
            return Ok(id);
        }
        let valid = std::str::from_utf8(text)
            .map_err(|e| Fault::invalid("a string of the profile is not valid UTF-8").caused_by(e))?;
        room(symbols.strings.len(), bounds, "strings")?;
        if symbols.strings.text_len() + text.len() > bounds.text_bytes as usize {
            return Err(full("bytes of strings", bounds.text_bytes));
        }
        let id = symbols.strings.push(valid);
        strings.insert_unique(hash, id, |&id| string_hash(hasher, symbols.strings.bytes_of(id)));
        Ok(id)
    }

    pub(super) fn function(&mut self, function: Function) -> Result<u32, Fault> {
        let Index { symbols: Symbols { functions: all, .. }, bounds, hasher, functions, .. } = self;
        find_or_push(all, functions, bounds, "functions", function, |f| function_hash(hasher, f))
    }

    pub(super) fn mapping(&mut self, mapping: Mapping) -> Result<u32, Fault> {
        let Index { symbols: Symbols { mappings: all, .. }, bounds, hasher, mappings, .. } = self;
        find_or_push(all, mappings, bounds, "mappings", mapping, |m| hasher.hash_one(m))
    }

    /// The location with exactly these lines; `mapping` and the functions are ids of these tables.
    pub(super) fn location(
        &mut self,
        mapping: u32,
        address: u64,
        is_folded: bool,
        lines: &[Line],
    ) -> Result<u32, Fault> {
        let Index { symbols, bounds, hasher, locations, .. } = self;
        let hash = location_hash(hasher, mapping, address, is_folded, lines);
        let same = |&id: &u32| {
            let l = &symbols.locations[id as usize];
            (l.mapping, l.address, l.is_folded) == (mapping, address, is_folded) && symbols.lines_of(id) == lines
        };
        if let Some(&id) = locations.find(hash, same) {
            return Ok(id);
        }
        room(symbols.locations.len(), bounds, "locations")?;
        room(symbols.lines.len() + lines.len(), bounds, "lines")?;
        let id = symbols.locations.len() as u32;
        let first_line = symbols.lines.len() as u32;
        symbols.lines.extend_from_slice(lines);
        let end_line = symbols.lines.len() as u32;
        symbols.locations.push(Location { mapping, address, is_folded, first_line, end_line });
        locations.insert_unique(hash, id, |&id| {
            let l = &symbols.locations[id as usize];
            location_hash(hasher, l.mapping, l.address, l.is_folded, symbols.lines_of(id))
        });
        Ok(id)
    }

    /// The child of a stack node by location; a new one gets its place in the function tree.
    pub(super) fn stack_child(&mut self, parent: u32, location: u32) -> Result<u32, Fault> {
        let key = pair(parent, location);
        let hash = self.hasher.hash_one(key);
        let known = {
            let tree = &self.symbols.stacks;
            self.stacks.find(hash, |&n| pair(tree.parent[n as usize], tree.location[n as usize]) == key)
        };
        if let Some(&node) = known {
            return Ok(node);
        }
        let fn_node = self.fn_node_below(self.symbols.stacks.fn_node[parent as usize], location)?;
        let Index { symbols: Symbols { stacks: tree, .. }, bounds, hasher, stacks, .. } = self;
        room(tree.parent.len(), bounds, "stack nodes")?;
        let node = tree.parent.len() as u32;
        tree.parent.push(parent);
        tree.location.push(location);
        tree.fn_node.push(fn_node);
        stacks
            .insert_unique(hash, node, |&n| hasher.hash_one(pair(tree.parent[n as usize], tree.location[n as usize])));
        Ok(node)
    }

    /// Walks the function tree from `node` along the lines of a location, the caller first.
    fn fn_node_below(&mut self, mut node: u32, location: u32) -> Result<u32, Fault> {
        let Location { first_line, end_line, mapping, address, .. } = self.symbols.locations[location as usize];
        if first_line == end_line {
            let name = self.label_of(mapping, address)?;
            return self.fn_child(node, name);
        }
        for line in (first_line..end_line).rev() {
            let function = self.symbols.lines[line as usize].function;
            node = self.fn_child(node, self.symbols.functions[function as usize].name)?;
        }
        Ok(node)
    }

    fn fn_child(&mut self, parent: u32, name: u32) -> Result<u32, Fault> {
        let Index { symbols: Symbols { fn_tree: tree, .. }, bounds, hasher, fn_nodes, .. } = self;
        let key = pair(parent, name);
        let hash = hasher.hash_one(key);
        let key_of = |tree: &crate::FnTree, n: u32| pair(tree.parent[n as usize], tree.name[n as usize]);
        if let Some(&node) = fn_nodes.find(hash, |&n| key_of(tree, n) == key) {
            return Ok(node);
        }
        room(tree.parent.len(), bounds, "function nodes")?;
        let node = tree.parent.len() as u32;
        tree.parent.push(parent);
        tree.name.push(name);
        fn_nodes.insert_unique(hash, node, |&n| hasher.hash_one(key_of(tree, n)));
        Ok(node)
    }

    /// `binary+0xaddress`, the name of a location that nobody has symbolised.
    fn label_of(&mut self, mapping: u32, address: u64) -> Result<u32, Fault> {
        let path = match mapping {
            NO_MAPPING => "",
            some => self.symbols.strings.get(self.symbols.mappings[some as usize].filename),
        };
        let binary = path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        let mut label = std::mem::take(&mut self.label);
        label.clear();
        // Writing to a string cannot fail.
        let _ = write!(label, "{binary}+0x{address:x}");
        let id = self.string(label.as_bytes());
        self.label = label;
        id
    }
}

fn find_or_push<T: PartialEq + Copy>(
    all: &mut Vec<T>,
    index: &mut HashTable<u32>,
    bounds: &Bounds,
    what: &'static str,
    row: T,
    hash_of: impl Fn(&T) -> u64,
) -> Result<u32, Fault> {
    let hash = hash_of(&row);
    if let Some(&id) = index.find(hash, |&id| all[id as usize] == row) {
        return Ok(id);
    }
    room(all.len(), bounds, what)?;
    let id = all.len() as u32;
    all.push(row);
    index.insert_unique(hash, id, |&id| hash_of(&all[id as usize]));
    Ok(id)
}

fn pair(parent: u32, key: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(key)
}

fn string_hash(hasher: &RandomState, text: &[u8]) -> u64 {
    let mut h = hasher.build_hasher();
    h.write(text);
    h.finish()
}

fn function_hash(hasher: &RandomState, f: &Function) -> u64 {
    let mut h = hasher.build_hasher();
    h.write_u64(pair(f.name, f.system_name));
    h.write_u32(f.filename);
    h.write_i64(f.start_line);
    h.finish()
}

fn location_hash(hasher: &RandomState, mapping: u32, address: u64, is_folded: bool, lines: &[Line]) -> u64 {
    let mut h = hasher.build_hasher();
    h.write_u64(pair(mapping, u32::from(is_folded)));
    h.write_u64(address);
    for line in lines {
        h.write_u32(line.function);
        h.write_i64(line.line);
    }
    h.finish()
}

fn room(rows: usize, bounds: &Bounds, what: &str) -> Result<(), Fault> {
    if rows >= bounds.rows as usize {
        return Err(full(what, bounds.rows));
    }
    Ok(())
}

#[cold]
fn full(what: &str, bound: u32) -> Fault {
    Fault::unavailable(format!(
        "the symbols of this service are full ({what}: at most {bound}); its head must be cut first, then push again"
    ))
}
