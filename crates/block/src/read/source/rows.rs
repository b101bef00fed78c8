//! One column of some rows, read from the first to the last.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::Fault;
use parquet::data_type::DataType;

use crate::read::columns::{Checked, Cursor, Decoded};
use crate::refusal::corrupt;

/// Where reading stands. Holds a page.
pub(crate) struct Column<T: DataType> {
    columns: Arc<Checked>,
    path: &'static str,
    cursor: Option<Cursor<T>>,
    next: u64,
}

impl<T: DataType> Column<T> {
    pub(crate) fn from(columns: &Arc<Checked>, path: &'static str, first: u64) -> Self {
        Column { columns: columns.clone(), path, cursor: None, next: first }
    }

    pub(crate) fn skip(&mut self, rows: u64) {
        self.next += rows;
    }

    /// Replaces `out` by the next rows.
    pub(crate) fn read(&mut self, rows: u64, out: &mut Decoded<T::T>) -> Result<(), Fault> {
        out.values.clear();
        out.there.clear();
        out.again.clear();
        let end = self.next + rows;
        for (group, part) in self.columns.footer().by_group(&(self.next..end)) {
            let cursor = Cursor::at(&mut self.cursor, &self.columns, self.path, group, part.start)?;
            cursor.read(part.end - part.start, out)?;
        }
        self.next = end;
        Ok(())
    }

    /// As [`Column::read`], of a column without nulls.
    pub(crate) fn required(&mut self, rows: u64, out: &mut Decoded<T::T>) -> Result<(), Fault> {
        self.read(rows, out)?;
        if out.values.len() as u64 != rows {
            let what = format_args!("column {} has not one value a row", self.path);
            return Err(corrupt(self.columns.name(), what));
        }
        Ok(())
    }
}

impl<V: Clone> Decoded<V> {
    pub(crate) fn none() -> Self {
        Decoded { values: Vec::new(), there: Vec::new(), again: Vec::new() }
    }

    /// The value of row `i`, whose predecessors have used up `*next` values.
    pub(crate) fn take(&self, i: usize, next: &mut usize) -> Option<&V> {
        if !self.there.is_empty() && self.there.get(i).is_none_or(|there| *there == 0) {
            return None;
        }
        let value = self.values.get(*next);
        *next += 1;
        value
    }
}

/// Rows that are decoded together, one portion after another.
pub(crate) struct Portions {
    left: Range<u64>,
    most: u64,
    /// Rows of the open portion, and those of it that were taken.
    pub(crate) rows: usize,
    pub(crate) taken: usize,
}

impl Portions {
    pub(crate) fn of(left: Range<u64>, most: u64) -> Self {
        Portions { left, most, rows: 0, taken: 0 }
    }

    /// Whether there is another row. `Some(n)`: after `n` rows have been decoded.
    pub(crate) fn more(&mut self) -> (bool, Option<u64>) {
        if self.taken < self.rows {
            return (true, None);
        }
        let n = self.most.min(self.left.end.saturating_sub(self.left.start));
        if n == 0 {
            return (false, None);
        }
        self.left.start += n;
        (self.rows, self.taken) = (n as usize, 0);
        (true, Some(n))
    }

    /// Takes a row; returns its place in the portion.
    pub(crate) fn take(&mut self) -> usize {
        self.taken += 1;
        self.taken - 1
    }
}
