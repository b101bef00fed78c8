//! Functions, locations and both trees of a dataset, row by row.

use std::sync::Arc;

use flamestore_model::Fault;
use flamestore_symbols::Line;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};

use super::DatasetSource;
use super::rows::{Column, Portions};
use crate::layout::Table;
use crate::read::columns::{Checked, Decoded};
use crate::refusal::corrupt;
use crate::write::stream::{FnNodeRow, FunctionRow, LocationRow, MappingRow, StackRow};

/// Rows that are decoded together.
const PORTION: u64 = 1 << 10;

/// One text column, one row of which is at hand.
struct Texts {
    column: Column<ByteArrayType>,
    portion: Decoded<ByteArray>,
    next: usize,
    now: String,
    /// Whether the row has a text.
    there: bool,
}

impl Texts {
    fn from(columns: &Arc<Checked>, path: &'static str, first: u64) -> Self {
        let column = Column::from(columns, path, first);
        Texts { column, portion: Decoded::none(), next: 0, now: String::new(), there: false }
    }

    fn fill(&mut self, rows: u64) -> Result<(), Fault> {
        self.next = 0;
        self.column.read(rows, &mut self.portion)
    }

    fn row(&mut self, columns: &Checked, i: usize) -> Result<(), Fault> {
        let value = self.portion.take(i, &mut self.next);
        self.there = value.is_some();
        self.now.clear();
        if let Some(value) = value {
            self.now.push_str(columns.text(value)?);
        }
        Ok(())
    }
}

/// Functions by id, from 0.
pub struct FunctionReader {
    columns: Arc<Checked>,
    portions: Portions,
    names: Texts,
    system_names: Texts,
    filenames: Texts,
    start_lines: (Column<Int64Type>, Decoded<i64>),
    start_line: i64,
}

impl FunctionReader {
    pub(super) fn new(of: &DatasetSource) -> Result<Self, Fault> {
        let (columns, rows) = (of.columns(Table::Functions)?, of.range(Table::Functions));
        let texts = |path| Texts::from(&columns, path, rows.start);
        Ok(FunctionReader {
            names: texts("name"),
            system_names: texts("system_name"),
            filenames: texts("filename"),
            start_lines: (Column::from(&columns, "start_line", rows.start), Decoded::none()),
            start_line: 0,
            portions: Portions::of(rows, PORTION),
            columns,
        })
    }

    /// Moves to the next row. False: there is none.
    pub fn advance(&mut self) -> Result<bool, Fault> {
        let (more, fill) = self.portions.more();
        if let Some(rows) = fill {
            self.names.fill(rows)?;
            self.system_names.fill(rows)?;
            self.filenames.fill(rows)?;
            self.start_lines.0.required(rows, &mut self.start_lines.1)?;
        }
        if !more {
            return Ok(false);
        }
        let i = self.portions.take();
        self.names.row(&self.columns, i)?;
        self.system_names.row(&self.columns, i)?;
        self.filenames.row(&self.columns, i)?;
        self.start_line = self.start_lines.1.values[i];
        Ok(true)
    }

    /// The row that was moved to.
    pub fn row(&self) -> FunctionRow<'_> {
        let name = &*self.names.now;
        let system_name = if self.system_names.there { &*self.system_names.now } else { name };
        let function = self.filenames.there.then_some((system_name, &*self.filenames.now, self.start_line));
        FunctionRow { name, function }
    }
}

/// Locations by id, from 0.
pub struct LocationReader {
    columns: Arc<Checked>,
    portions: Portions,
    ids: (Column<Int32Type>, Decoded<i32>),
    addresses: (Column<Int64Type>, Decoded<i64>),
    folded: (Column<BoolType>, Decoded<bool>),
    functions: (Column<Int32Type>, Decoded<i32>, usize),
    lines: (Column<Int64Type>, Decoded<i64>, usize),
    binaries: Texts,
    build_ids: Texts,
    /// Start, limit and offset.
    mappings: [(Column<Int64Type>, Decoded<i64>, usize); 3],
    flags: (Column<Int32Type>, Decoded<i32>, usize),
    /// Functions that there are.
    known: u64,
    next_id: u32,
    now: Now,
}

/// The location that was moved to.
#[derive(Default)]
struct Now {
    mapping: Option<[u64; 3]>,
    flags: u8,
    filename: String,
    build_id: String,
    address: u64,
    is_folded: bool,
    lines: Vec<Line>,
}

impl LocationReader {
    pub(super) fn new(of: &DatasetSource) -> Result<Self, Fault> {
        let (columns, rows) = (of.columns(Table::Locations)?, of.range(Table::Locations));
        let ints = |path| Column::from(&columns, path, rows.start);
        let longs = |path| (Column::from(&columns, path, rows.start), Decoded::none(), 0);
        Ok(LocationReader {
            ids: (ints("location_id"), Decoded::none()),
            addresses: (Column::from(&columns, "address", rows.start), Decoded::none()),
            folded: (Column::from(&columns, "is_folded", rows.start), Decoded::none()),
            functions: (ints("function_id"), Decoded::none(), 0),
            lines: longs("line"),
            binaries: Texts::from(&columns, "binary", rows.start),
            build_ids: Texts::from(&columns, "build_id", rows.start),
            mappings: ["mapping_start", "mapping_limit", "mapping_offset"].map(longs),
            flags: (ints("mapping_flags"), Decoded::none(), 0),
            known: of.rows.functions.1,
            next_id: 0,
            now: Now::default(),
            portions: Portions::of(rows, PORTION),
            columns,
        })
    }

    /// Moves to the next location. False: there is none.
    pub fn advance(&mut self) -> Result<bool, Fault> {
        if !self.more()? {
            return Ok(false);
        }
        self.now.lines.clear();
        let i = self.row()?;
        if self.ids.1.values[i] as u32 != self.next_id {
            return Err(corrupt(self.columns.name(), "locations are not numbered one by one"));
        }
        self.now.address = self.addresses.1.values[i] as u64;
        self.now.is_folded = self.folded.1.values[i];
        while self.more()? && self.ids.1.values.get(self.portions.taken).map(|id| *id as u32) == Some(self.next_id) {
            self.row()?;
        }
        self.next_id = self.next_id.saturating_add(1);
        Ok(true)
    }

    /// Whether there is another row; decodes it.
    fn more(&mut self) -> Result<bool, Fault> {
        let (more, fill) = self.portions.more();
        if let Some(rows) = fill {
            self.ids.0.required(rows, &mut self.ids.1)?;
            self.addresses.0.required(rows, &mut self.addresses.1)?;
            self.folded.0.required(rows, &mut self.folded.1)?;
            for (column, portion, next) in [&mut self.functions, &mut self.flags] {
                *next = 0;
                column.read(rows, portion)?;
            }
            for (column, portion, next) in self.mappings.iter_mut().chain([&mut self.lines]) {
                *next = 0;
                column.read(rows, portion)?;
            }
            self.binaries.fill(rows)?;
            self.build_ids.fill(rows)?;
        }
        Ok(more)
    }

    /// Takes one row: a line, and what all rows of the location have alike.
    fn row(&mut self) -> Result<usize, Fault> {
        let i = self.portions.take();
        let function = self.functions.1.take(i, &mut self.functions.2).map(|f| *f as u32);
        let line = self.lines.1.take(i, &mut self.lines.2).copied().unwrap_or(0);
        if let Some(function) = function {
            if u64::from(function) >= self.known {
                return Err(corrupt(self.columns.name(), "a line names a function that is not there"));
            }
            self.now.lines.push(Line { function, line });
        }
        let [start, limit, offset] =
            self.mappings.each_mut().map(|(_, portion, next)| portion.take(i, next).map(|n| *n as u64));
        self.now.mapping = start.map(|start| [start, limit.unwrap_or(0), offset.unwrap_or(0)]);
        self.now.flags = self.flags.1.take(i, &mut self.flags.2).map_or(0, |f| *f as u8);
        self.binaries.row(&self.columns, i)?;
        self.build_ids.row(&self.columns, i)?;
        self.now.filename.clone_from(&self.binaries.now);
        self.now.build_id.clone_from(&self.build_ids.now);
        Ok(i)
    }

    /// The location that was moved to; functions by their ids here.
    pub fn location(&self) -> LocationRow<'_> {
        let now = &self.now;
        let mapping = now.mapping.map(|[memory_start, memory_limit, file_offset]| MappingRow {
            filename: &now.filename,
            build_id: &now.build_id,
            memory_start,
            memory_limit,
            file_offset,
            flags: now.flags,
        });
        LocationRow { mapping, address: now.address, is_folded: now.is_folded, lines: &now.lines }
    }
}

/// Nodes of the function tree by id, from 1.
pub struct FnNodeReader {
    columns: Arc<Checked>,
    portions: Portions,
    deltas: (Column<Int32Type>, Decoded<i32>),
    functions: (Column<Int32Type>, Decoded<i32>),
    known: u64,
}

impl FnNodeReader {
    pub(super) fn new(of: &DatasetSource) -> Result<Self, Fault> {
        let (columns, rows) = (of.columns(Table::FnTree)?, of.range(Table::FnTree));
        let ints = |path| (Column::from(&columns, path, rows.start), Decoded::none());
        let (deltas, functions) = (ints("parent_delta"), ints("function_id"));
        Ok(FnNodeReader {
            deltas,
            functions,
            known: of.rows.functions.1,
            portions: Portions::of(rows, PORTION),
            columns,
        })
    }

    /// The next node; its parent may still be none that there is.
    pub fn advance(&mut self) -> Result<Option<FnNodeRow>, Fault> {
        let (more, fill) = self.portions.more();
        if let Some(rows) = fill {
            self.deltas.0.required(rows, &mut self.deltas.1)?;
            self.functions.0.required(rows, &mut self.functions.1)?;
        }
        if !more {
            return Ok(None);
        }
        let i = self.portions.take();
        let function = self.functions.1.values[i] as u32;
        if u64::from(function) >= self.known {
            return Err(corrupt(self.columns.name(), "a node names a function that is not there"));
        }
        Ok(Some(FnNodeRow { parent_delta: self.deltas.1.values[i] as u32, function }))
    }
}

/// Stacks by id, from 1.
pub struct StackReader {
    columns: Arc<Checked>,
    portions: Portions,
    deltas: (Column<Int32Type>, Decoded<i32>),
    locations: (Column<Int32Type>, Decoded<i32>),
    fn_nodes: (Column<Int32Type>, Decoded<i32>),
    /// Nodes of the function tree, and rows of locations, of which there are no more than those.
    known: (u64, u64),
}

impl StackReader {
    pub(super) fn new(of: &DatasetSource) -> Result<Self, Fault> {
        let (columns, rows) = (of.columns(Table::Stacktraces)?, of.range(Table::Stacktraces));
        let ints = |path| (Column::from(&columns, path, rows.start), Decoded::none());
        let (deltas, locations, fn_nodes) = (ints("parent_delta"), ints("location_id"), ints("fn_node_id"));
        let known = (of.rows.fn_tree.1, of.rows.locations.1);
        Ok(StackReader { deltas, locations, fn_nodes, known, portions: Portions::of(rows, PORTION), columns })
    }

    /// The next stack; its parent may still be none that there is.
    pub fn advance(&mut self) -> Result<Option<StackRow>, Fault> {
        let (more, fill) = self.portions.more();
        if let Some(rows) = fill {
            self.deltas.0.required(rows, &mut self.deltas.1)?;
            self.locations.0.required(rows, &mut self.locations.1)?;
            self.fn_nodes.0.required(rows, &mut self.fn_nodes.1)?;
        }
        if !more {
            return Ok(None);
        }
        let i = self.portions.take();
        let (location, fn_node) = (self.locations.1.values[i] as u32, self.fn_nodes.1.values[i] as u32);
        let beyond =
            |what: &str| corrupt(self.columns.name(), format_args!("a stack names a {what} that is not there"));
        if u64::from(fn_node) > self.known.0 {
            return Err(beyond("function node"));
        }
        if u64::from(location) >= self.known.1 {
            return Err(beyond("location"));
        }
        Ok(Some(StackRow { parent_delta: self.deltas.1.values[i] as u32, location, fn_node }))
    }
}
