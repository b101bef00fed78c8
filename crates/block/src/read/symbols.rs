//! The symbols of a dataset, decoded and cached: names only for flame graphs, everything for pprof.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::Fault;
use flamestore_symbols::tables::{NO_MAPPING, ROOT};
use flamestore_symbols::{FnTree, Function, Line, Location, Mapping, StackTree, Strings, Symbols};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parquet::data_type::ByteArray;

use crate::layout::Table;
use crate::read::cache::{Entry, Key, What};
use crate::read::columns::Checked;
use crate::read::{Block, blocking};
use crate::refusal::corrupt;

/// The most text of one dataset: string ends are 32 bits.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;

impl Block {
    /// Enough for flame graphs: `strings`, `fn_tree` and `stacks.fn_node`.
    pub(crate) async fn names_of(&self, dataset: usize) -> Result<Arc<Symbols>, Fault> {
        self.symbols(dataset, What::Names(dataset as u32), false).await
    }

    pub(crate) async fn symbols_of(&self, dataset: usize) -> Result<Arc<Symbols>, Fault> {
        self.symbols(dataset, What::Symbols(dataset as u32), true).await
    }

    /// Stack ids of a dataset are below this: the root and one for each row.
    pub(crate) fn stack_count(&self, dataset: usize) -> Result<usize, Fault> {
        let rows = self.dataset(dataset)?.rows.stacktraces.1;
        usize::try_from(rows).map(|n| n + 1).map_err(|e| Fault::internal("a block has too many stacks").caused_by(e))
    }

    async fn symbols(&self, dataset: usize, what: What, all: bool) -> Result<Arc<Symbols>, Fault> {
        let key = Key { tenant: self.tenant.clone(), block: self.meta.ulid, what };
        let load = Box::pin(async {
            let rows = self.dataset(dataset)?.rows;
            let (stacks, nodes, functions, locations) =
                (rows.stacktraces.range(), rows.fn_tree.range(), rows.functions.range(), rows.locations.range());
            let stack_paths = if all { &["parent_delta", "location_id", "fn_node_id"][..] } else { &["fn_node_id"] };
            let function_paths = if all { &["name", "system_name", "filename", "start_line"][..] } else { &["name"] };
            let one = std::slice::from_ref;
            let (stack_columns, node_columns, function_columns, location_columns) = futures::try_join!(
                self.columns(Table::Stacktraces, stack_paths, one(&stacks)),
                self.columns(Table::FnTree, &["parent_delta", "function_id"], one(&nodes)),
                self.columns(Table::Functions, function_paths, one(&functions)),
                async {
                    match all {
                        true => self.columns(Table::Locations, &LOCATION_PATHS, one(&locations)).await.map(Some),
                        false => Ok(None),
                    }
                }
            )?;
            blocking(move || {
                let mut out = Symbols::default();
                let mut names = Names::new();
                let by_row = read_functions(&function_columns.check()?, functions, all, &mut names, &mut out)?;
                read_fn_tree(&node_columns.check()?, nodes, &by_row, &mut out)?;
                if let Some(columns) = location_columns {
                    read_locations(&columns.check()?, locations, &mut names, &mut out)?;
                }
                out.strings = names.strings;
                read_stacks(&stack_columns.check()?, stacks, all, &mut out)?;
                Ok(Entry::Symbols(Arc::new(out)))
            })
            .await
        });
        match self.cache.get(self.account(), key, load).await? {
            Entry::Symbols(symbols) => Ok(symbols),
            _ => Err(Fault::internal("block cache: symbols are something else")),
        }
    }
}

/// Strings by text, each once.
struct Names {
    strings: Strings,
    known: HashMap<Vec<u8>, u32, RandomState>,
    text_bytes: usize,
}

impl Names {
    fn new() -> Self {
        Names { strings: Strings::default(), known: HashMap::from_iter([(Vec::new(), 0)]), text_bytes: 0 }
    }

    fn id(&mut self, columns: &Checked, bytes: &ByteArray) -> Result<u32, Fault> {
        if let Some(id) = self.known.get(bytes.data()) {
            return Ok(*id);
        }
        let text = columns.text(bytes)?;
        self.text_bytes += text.len();
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(corrupt(columns.name(), "one dataset has more than 4 GiB of names"));
        }
        let id = self.strings.push(text);
        self.known.insert(bytes.data().to_vec(), id);
        Ok(id)
    }

    /// Null is the empty string.
    fn id_or_empty(&mut self, columns: &Checked, bytes: Option<&ByteArray>) -> Result<u32, Fault> {
        bytes.map_or(Ok(0), |bytes| self.id(columns, bytes))
    }
}

/// Fills `functions`, with `all`; returns the name of each row.
fn read_functions(
    columns: &Checked,
    rows: Range<u64>,
    all: bool,
    names: &mut Names,
    out: &mut Symbols,
) -> Result<Vec<u32>, Fault> {
    let rows = std::slice::from_ref(&rows);
    let mut by_row = Vec::new();
    for name in columns.texts("name", rows)?.values {
        by_row.push(names.id(columns, &name)?);
    }
    if !all {
        return Ok(by_row);
    }
    let system_names = columns.texts("system_name", rows)?.optional();
    let filenames = columns.texts("filename", rows)?.optional();
    let start_lines = columns.i64s("start_line", rows)?;
    for (i, name) in by_row.iter().enumerate() {
        let system_name = match &system_names[i] {
            Some(text) => names.id(columns, text)?,
            None => *name,
        };
        let filename = names.id_or_empty(columns, filenames[i].as_ref())?;
        out.functions.push(Function { name: *name, system_name, filename, start_line: start_lines[i] });
    }
    Ok(by_row)
}

fn read_fn_tree(columns: &Checked, rows: Range<u64>, functions: &[u32], out: &mut Symbols) -> Result<(), Fault> {
    let rows = std::slice::from_ref(&rows);
    let FnTree { parent, name } = &mut out.fn_tree;
    read_parents(columns, rows, parent)?;
    for function in columns.u32s("function_id", rows)? {
        let known = functions.get(function as u32 as usize);
        name.push(*known.ok_or_else(|| corrupt(columns.name(), "a node names a function that is not there"))?);
    }
    Ok(())
}

fn read_stacks(columns: &Checked, rows: Range<u64>, all: bool, out: &mut Symbols) -> Result<(), Fault> {
    let rows = std::slice::from_ref(&rows);
    let StackTree { parent, location, fn_node } = &mut out.stacks;
    let beyond = |what: &str| corrupt(columns.name(), format_args!("a stack names a {what} that is not there"));
    for node in columns.u32s("fn_node_id", rows)? {
        let node = node as u32;
        if node as usize >= out.fn_tree.parent.len() {
            return Err(beyond("function node"));
        }
        fn_node.push(node);
    }
    if all {
        read_parents(columns, rows, parent)?;
        for id in columns.u32s("location_id", rows)? {
            let id = id as u32;
            if id as usize >= out.locations.len() {
                return Err(beyond("location"));
            }
            location.push(id);
        }
    }
    Ok(())
}

/// Parents of nodes 1, 2, …: each `parent_delta` before its child.
fn read_parents(columns: &Checked, rows: &[Range<u64>], parent: &mut Vec<u32>) -> Result<(), Fault> {
    for (id, delta) in (1u32..).zip(columns.u32s("parent_delta", rows)?) {
        let up = id.checked_sub(delta as u32).filter(|up| *up < id);
        parent.push(up.ok_or_else(|| corrupt(columns.name(), "a node has an impossible parent"))?);
    }
    debug_assert_eq!(parent.first(), Some(&ROOT));
    Ok(())
}

const LOCATION_PATHS: [&str; 11] = [
    "location_id",
    "address",
    "is_folded",
    "function_id",
    "line",
    "binary",
    "build_id",
    "mapping_start",
    "mapping_limit",
    "mapping_offset",
    "mapping_flags",
];

fn read_locations(columns: &Checked, rows: Range<u64>, names: &mut Names, out: &mut Symbols) -> Result<(), Fault> {
    let rows = std::slice::from_ref(&rows);
    let ids = columns.u32s("location_id", rows)?;
    let address = columns.i64s("address", rows)?;
    let is_folded = columns.bools("is_folded", rows)?;
    let function = columns.optional_u32s("function_id", rows)?;
    let line = columns.optional_i64s("line", rows)?;
    let binary = columns.texts("binary", rows)?.optional();
    let build_id = columns.texts("build_id", rows)?.optional();
    let start = columns.optional_i64s("mapping_start", rows)?;
    let limit = columns.optional_i64s("mapping_limit", rows)?;
    let offset = columns.optional_i64s("mapping_offset", rows)?;
    let flags = columns.optional_u32s("mapping_flags", rows)?;

    let mut known: HashMap<Mapping, u32, RandomState> = HashMap::default();
    for i in 0..ids.len() {
        if let Some(function) = function[i] {
            let function = function as u32;
            if function as usize >= out.functions.len() {
                return Err(corrupt(columns.name(), "a line names a function that is not there"));
            }
            out.lines.push(Line { function, line: line[i].unwrap_or(0) });
        }
        let end_line = out.lines.len() as u32;
        let id = ids[i] as u32 as usize;
        if id + 1 == out.locations.len() {
            if let Some(open) = out.locations.last_mut() {
                open.end_line = end_line;
            }
            continue;
        }
        if id != out.locations.len() {
            return Err(corrupt(columns.name(), "locations are not numbered one by one"));
        }
        let mapping = match start[i] {
            None => NO_MAPPING,
            Some(start) => {
                let mapping = Mapping {
                    memory_start: start as u64,
                    memory_limit: limit[i].unwrap_or(0) as u64,
                    file_offset: offset[i].unwrap_or(0) as u64,
                    filename: names.id_or_empty(columns, binary[i].as_ref())?,
                    build_id: names.id_or_empty(columns, build_id[i].as_ref())?,
                    flags: flags[i].unwrap_or(0) as u8,
                };
                let next = out.mappings.len() as u32;
                let id = *known.entry(mapping).or_insert(next);
                if id == next {
                    out.mappings.push(mapping);
                }
                id
            }
        };
        let first_line = end_line - u32::from(function[i].is_some());
        let (address, is_folded) = (address[i] as u64, is_folded[i]);
        out.locations.push(Location { mapping, address, is_folded, first_line, end_line });
    }
    Ok(())
}
