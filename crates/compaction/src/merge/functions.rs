//! Sorted functions of several sources become one sorted list.

use flamestore_block::read::source::{DatasetSource, FunctionReader};
use flamestore_block::write::stream::FunctionRow;
use flamestore_model::Fault;

use crate::merge::heap::Heap;
use crate::merge::ids::{Growing, Ids};
use crate::merge::used::Used;

struct Reader<'a> {
    source: &'a DatasetSource,
    rows: FunctionReader,
    used: &'a Used,
    id: u32,
    started: bool,
    functions: Growing,
    names: Growing,
}

/// New ids by old ids of one source: of functions, and of names.
pub(crate) struct FunctionIds {
    pub(crate) functions: Ids,
    /// The first function of a function's name.
    pub(crate) names: Ids,
}

/// Gives each used function once, and each used name that no used function has.
pub(crate) fn merge(
    sources: &[DatasetSource],
    used: &[Used],
    growing: impl Fn() -> Growing,
    to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>,
) -> Result<Vec<FunctionIds>, Fault> {
    let mut readers = Vec::with_capacity(sources.len());
    let mut there = Vec::new();
    for (i, (source, used)) in (0u32..).zip(sources.iter().zip(used)) {
        let (functions, names) = (growing(), growing());
        let rows = source.functions()?;
        let mut reader = Reader { source, rows, used, id: 0, started: false, functions, names };
        if reader.next()? {
            there.push(i);
        }
        readers.push(reader);
    }
    let before = |readers: &[Reader<'_>], a: u32, b: u32| {
        (readers[a as usize].rows.row(), a) < (readers[b as usize].rows.row(), b)
    };
    let mut heap = Heap::of(there.into_iter(), |a, b| before(&readers, a, b));
    let mut group = Group::default();
    while let Some(i) = heap.first() {
        let reader = &mut readers[i as usize];
        let row = reader.rows.row();
        if !group.open || row.name != group.name {
            group.close(to)?;
            group.begin(row.name);
        }
        let (as_function, as_name) = (reader.used.functions.get(reader.id), reader.used.names.get(reader.id));
        group.is_wanted |= as_name;
        if as_function {
            let (system_name, filename, start_line) =
                row.function.ok_or_else(|| reader.source.out_of_order("functions"))?;
            if !group.is_last(system_name, filename, start_line) {
                to(row)?;
                group.keep(system_name, filename, start_line)?;
            }
            reader.functions.push(group.next - 1)?;
        } else {
            reader.functions.skip()?;
        }
        reader.names.push(group.first)?;
        group.seen.take(&row);
        let there = reader.next()?;
        if there && reader.rows.row() <= group.seen.row() {
            return Err(reader.source.out_of_order("functions"));
        }
        heap.moved(there, |a, b| before(&readers, a, b));
    }
    group.close(to)?;
    let ids = readers
        .into_iter()
        .map(|reader| Ok(FunctionIds { functions: reader.functions.finish()?, names: reader.names.finish()? }));
    ids.collect()
}

impl Reader<'_> {
    /// Moves to the next function that is used for anything.
    fn next(&mut self) -> Result<bool, Fault> {
        loop {
            self.id += u32::from(std::mem::replace(&mut self.started, true));
            if !self.rows.advance()? {
                return Ok(false);
            }
            if self.used.functions.get(self.id) || self.used.names.get(self.id) {
                return Ok(true);
            }
            self.functions.skip()?;
            self.names.skip()?;
        }
    }
}

/// A function that is kept for comparing.
#[derive(Default)]
struct Kept {
    name: String,
    is_function: bool,
    system_name: String,
    filename: String,
    start_line: i64,
}

impl Kept {
    fn take(&mut self, row: &FunctionRow<'_>) {
        row.name.clone_into(&mut self.name);
        self.is_function = row.function.is_some();
        if let Some((system_name, filename, start_line)) = row.function {
            system_name.clone_into(&mut self.system_name);
            filename.clone_into(&mut self.filename);
            self.start_line = start_line;
        }
    }

    fn row(&self) -> FunctionRow<'_> {
        let function = self.is_function.then_some((&*self.system_name, &*self.filename, self.start_line));
        FunctionRow { name: &self.name, function }
    }
}

/// The functions of one name.
#[derive(Default)]
struct Group {
    open: bool,
    name: String,
    /// The id of the first of them, whether it was given yet or not.
    first: u32,
    /// The id that comes next.
    next: u32,
    /// Whether a function node has the name.
    is_wanted: bool,
    /// The function that was given last.
    last: Kept,
    /// The row that was read last.
    seen: Kept,
}

impl Group {
    fn begin(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.open = true;
        self.first = self.next;
        self.is_wanted = false;
        self.last.is_function = false;
    }

    fn is_last(&self, system_name: &str, filename: &str, start_line: i64) -> bool {
        let last = &self.last;
        last.is_function
            && (&*last.system_name, &*last.filename, last.start_line) == (system_name, filename, start_line)
    }

    fn keep(&mut self, system_name: &str, filename: &str, start_line: i64) -> Result<(), Fault> {
        system_name.clone_into(&mut self.last.system_name);
        filename.clone_into(&mut self.last.filename);
        self.last.start_line = start_line;
        self.last.is_function = true;
        self.count()
    }

    fn count(&mut self) -> Result<(), Fault> {
        let too_many = || Fault::internal("a service has more than 4294967295 functions in one block");
        self.next = self.next.checked_add(1).ok_or_else(too_many)?;
        Ok(())
    }

    /// A name that no function has stands alone.
    fn close(&mut self, to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.open && self.is_wanted && self.next == self.first {
            to(FunctionRow { name: &self.name, function: None })?;
            self.count()?;
        }
        self.open = false;
        Ok(())
    }
}
