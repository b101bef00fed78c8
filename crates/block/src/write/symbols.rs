//! stacktraces.parquet, fn_tree.parquet, locations.parquet and functions.parquet.

use flamestore_model::Fault;
use parquet::data_type::ByteArray;

use crate::layout::Table;
use crate::write::stream::{DatasetStream, FunctionRow, LocationRow};
use crate::write::table::{Encoded, Group, Manner, TableWriter};

pub(crate) struct SymbolTables {
    functions: TableWriter,
    locations: TableWriter,
    fn_tree: TableWriter,
    stacktraces: TableWriter,
}

/// Rows of one dataset in each table.
#[derive(Debug, Default)]
pub(crate) struct SymbolRows {
    pub(crate) functions: u64,
    pub(crate) locations: u64,
    pub(crate) fn_tree: u64,
    pub(crate) stacktraces: u64,
}

pub(crate) struct EncodedSymbols {
    pub(crate) functions: Encoded,
    pub(crate) locations: Encoded,
    pub(crate) fn_tree: Encoded,
    pub(crate) stacktraces: Encoded,
}

impl SymbolTables {
    pub(crate) fn new(manner: &Manner) -> Result<Self, Fault> {
        Ok(SymbolTables {
            functions: TableWriter::new(Table::Functions, manner)?,
            locations: TableWriter::new(Table::Locations, manner)?,
            fn_tree: TableWriter::new(Table::FnTree, manner)?,
            stacktraces: TableWriter::new(Table::Stacktraces, manner)?,
        })
    }

    /// Writes everything of one dataset but its profiles.
    pub(crate) fn dataset(
        &mut self,
        service: &ByteArray,
        dataset: &mut dyn DatasetStream,
    ) -> Result<SymbolRows, Fault> {
        let mut rows = SymbolRows::default();
        let table = &mut self.functions;
        table.dataset()?;
        dataset.functions(&mut |row| function(table.next_row()?, service, next(&mut rows.functions)?, row))?;
        let table = &mut self.locations;
        table.dataset()?;
        let (mut id, mut mapping) = (0, Texts::default());
        dataset.locations(&mut |row| {
            let id = next(&mut id)?;
            // A location without lines has one row all the same.
            for index in 0..row.lines.len().max(1) {
                location(table.next_row()?, service, id, index, &row, &mut mapping)?;
                rows.locations += 1;
            }
            Ok(())
        })?;
        let table = &mut self.fn_tree;
        table.dataset()?;
        dataset.fn_nodes(&mut |row| {
            let g = table.next_row()?;
            g.text(0, service);
            g.u32(1, after(&mut rows.fn_tree)?);
            g.u32(2, row.parent_delta);
            g.u32(3, row.function);
            g.rows(1)
        })?;
        let table = &mut self.stacktraces;
        table.dataset()?;
        dataset.stacks(&mut |row| {
            let g = table.next_row()?;
            g.text(0, service);
            g.u32(1, after(&mut rows.stacktraces)?);
            g.u32(2, row.parent_delta);
            g.u32(3, row.location);
            g.u32(4, row.fn_node);
            g.rows(1)
        })?;
        Ok(rows)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        let tables = [&self.functions, &self.locations, &self.fn_tree, &self.stacktraces];
        tables.into_iter().map(TableWriter::held_bytes).sum()
    }

    pub(crate) fn finish(self) -> Result<EncodedSymbols, Fault> {
        Ok(EncodedSymbols {
            functions: self.functions.finish()?,
            locations: self.locations.finish()?,
            fn_tree: self.fn_tree.finish()?,
            stacktraces: self.stacktraces.finish()?,
        })
    }
}

/// Counts a row; returns its id, from 0.
fn next(rows: &mut u64) -> Result<u32, Fault> {
    let id = u32::try_from(*rows).map_err(|_| too_many())?;
    *rows += 1;
    Ok(id)
}

/// Counts a row; returns its id, from 1.
fn after(rows: &mut u64) -> Result<u32, Fault> {
    *rows += 1;
    u32::try_from(*rows).map_err(|_| too_many())
}

#[cold]
fn too_many() -> Fault {
    Fault::internal(
        "a service has more than 4294967295 stacks, functions or locations in one block: make smaller blocks",
    )
}

fn function(g: &mut Group, service: &ByteArray, id: u32, row: FunctionRow<'_>) -> Result<(), Fault> {
    g.text(0, service);
    g.u32(1, id);
    g.text(2, &ByteArray::from(row.name));
    let system_name = row.function.map(|f| f.0).filter(|name| *name != row.name);
    g.there(3, system_name.is_some());
    if let Some(name) = system_name {
        g.text(3, &ByteArray::from(name));
    }
    g.there(4, row.function.is_some());
    if let Some((_, filename, _)) = row.function {
        g.text(4, &ByteArray::from(filename));
    }
    g.i64(5, row.function.map_or(0, |f| f.2));
    g.rows(1)
}

/// The texts of the mapping before, which most locations share.
#[derive(Default)]
struct Texts {
    filename: Option<ByteArray>,
    build_id: Option<ByteArray>,
}

/// The text, taken over where it is the same as before.
fn kept<'t>(text: &'t mut Option<ByteArray>, now: &str) -> &'t ByteArray {
    let same = text.take().filter(|text| text.data() == now.as_bytes());
    text.insert(same.unwrap_or_else(|| ByteArray::from(now)))
}

fn location(
    g: &mut Group,
    service: &ByteArray,
    id: u32,
    index: usize,
    row: &LocationRow<'_>,
    texts: &mut Texts,
) -> Result<(), Fault> {
    let line = row.lines.get(index);
    g.text(0, service);
    g.u32(1, id);
    g.u32(2, index as u32);
    g.u64(3, row.address);
    g.bool(4, row.is_folded);
    g.there(5, line.is_some());
    g.there(6, line.is_some());
    if let Some(line) = line {
        g.u32(5, line.function);
        g.i64(6, line.line);
    }
    for column in 7..=12 {
        g.there(column, row.mapping.is_some());
    }
    if let Some(m) = &row.mapping {
        g.text(7, kept(&mut texts.filename, m.filename));
        g.text(8, kept(&mut texts.build_id, m.build_id));
        g.u64(9, m.memory_start);
        g.u64(10, m.memory_limit);
        g.u64(11, m.file_offset);
        g.u32(12, u32::from(m.flags));
    }
    g.rows(1)
}
