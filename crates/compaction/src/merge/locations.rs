//! Sorted locations of several sources become one sorted list.

use std::cmp::Ordering;

use flamestore_block::read::source::{DatasetSource, LocationReader};
use flamestore_block::write::stream::{LocationRow, MappingRow};
use flamestore_model::Fault;
use flamestore_symbols::Line;

use crate::merge::heap::Heap;
use crate::merge::ids::{Growing, Ids};
use crate::merge::used::Used;

struct Reader<'a> {
    source: &'a DatasetSource,
    rows: LocationReader,
    used: &'a Used,
    functions: &'a mut Ids,
    /// Of the location at hand, functions by new id.
    lines: Vec<Line>,
    id: u32,
    started: bool,
    ids: Growing,
}

/// Gives each used location once; returns the new ids by old ids.
pub(crate) fn merge<'a>(
    sources: &'a [DatasetSource],
    used: &'a [Used],
    functions: impl Iterator<Item = &'a mut Ids>,
    growing: impl Fn() -> Growing,
    to: &mut dyn FnMut(LocationRow<'_>) -> Result<(), Fault>,
) -> Result<Vec<Ids>, Fault> {
    let mut readers = Vec::with_capacity(sources.len());
    let mut there = Vec::new();
    for (i, ((source, used), functions)) in (0u32..).zip(sources.iter().zip(used).zip(functions)) {
        let (rows, ids) = (source.locations()?, growing());
        let mut reader = Reader { source, rows, used, functions, lines: Vec::new(), id: 0, started: false, ids };
        if reader.next()? {
            there.push(i);
        }
        readers.push(reader);
    }
    let before = |readers: &[Reader<'_>], a: u32, b: u32| {
        let order = by_content(&readers[a as usize].location(), &readers[b as usize].location());
        order.then(a.cmp(&b)).is_lt()
    };
    let mut heap = Heap::of(there.into_iter(), |a, b| before(&readers, a, b));
    let mut last = Kept::default();
    let mut next = 0u32;
    while let Some(i) = heap.first() {
        let location = readers[i as usize].location();
        if next == 0 || by_content(&location, &last.location()).is_ne() {
            to(location)?;
            last.take(&location);
            next = next
                .checked_add(1)
                .ok_or_else(|| Fault::internal("a service has more than 4294967295 locations in one block"))?;
        }
        let reader = &mut readers[i as usize];
        reader.ids.push(next - 1)?;
        let there = reader.next()?;
        if there && by_content(&reader.location(), &last.location()).is_le() {
            return Err(reader.source.out_of_order("locations"));
        }
        heap.moved(there, |a, b| before(&readers, a, b));
    }
    readers.into_iter().map(|reader| reader.ids.finish()).collect()
}

impl Reader<'_> {
    /// Moves to the next location that is used.
    fn next(&mut self) -> Result<bool, Fault> {
        loop {
            self.id += u32::from(std::mem::replace(&mut self.started, true));
            if !self.rows.advance()? {
                return Ok(false);
            }
            if self.used.locations.get(self.id) {
                break;
            }
            self.ids.skip()?;
        }
        self.lines.clear();
        for line in self.rows.location().lines {
            self.lines.push(Line { function: self.functions.get(line.function)?, line: line.line });
        }
        Ok(true)
    }

    fn location(&self) -> LocationRow<'_> {
        LocationRow { lines: &self.lines, ..self.rows.location() }
    }
}

/// The order of the format: by binary, address and lines.
fn by_content(a: &LocationRow<'_>, b: &LocationRow<'_>) -> Ordering {
    let line = |line: &Line| (line.function, line.line);
    a.mapping
        .cmp(&b.mapping)
        .then_with(|| (a.address, a.is_folded).cmp(&(b.address, b.is_folded)))
        .then_with(|| a.lines.iter().map(line).cmp(b.lines.iter().map(line)))
}

/// A location that is kept for comparing.
#[derive(Default)]
struct Kept {
    filename: String,
    build_id: String,
    /// Start, limit, offset and flags.
    mapping: Option<(u64, u64, u64, u8)>,
    address: u64,
    is_folded: bool,
    lines: Vec<Line>,
}

impl Kept {
    fn take(&mut self, location: &LocationRow<'_>) {
        if let Some(m) = &location.mapping {
            m.filename.clone_into(&mut self.filename);
            m.build_id.clone_into(&mut self.build_id);
        }
        self.mapping = location.mapping.map(|m| (m.memory_start, m.memory_limit, m.file_offset, m.flags));
        (self.address, self.is_folded) = (location.address, location.is_folded);
        self.lines.clear();
        self.lines.extend_from_slice(location.lines);
    }

    fn location(&self) -> LocationRow<'_> {
        let mapping = self.mapping.map(|(memory_start, memory_limit, file_offset, flags)| MappingRow {
            filename: &self.filename,
            build_id: &self.build_id,
            memory_start,
            memory_limit,
            file_offset,
            flags,
        });
        LocationRow { mapping, address: self.address, is_folded: self.is_folded, lines: &self.lines }
    }
}
