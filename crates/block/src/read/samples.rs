//! Going through samples. Hot; measured by `benches/block.rs`.

use std::ops::Range;

use flamestore_model::{Fault, Filter, Links};
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};

use crate::layout::Table;
use crate::read::columns::{Checked, Cursor, Decoded};
use crate::read::{Block, blocking};
use crate::refusal::corrupt;

/// Rows that are fetched, and held compressed, at a time.
pub const FETCH_ROWS: u64 = 2 << 20;
/// Rows that are decoded at a time: their columns fit a core's cache.
const DECODE_ROWS: u64 = 8 << 10;

/// Decoded samples of one range.
pub(crate) struct Wanted<'s> {
    stacks: &'s [i32],
    values: &'s [i64],
    links: &'s Links,
    /// As long as `stacks`, or empty: nobody asked, or the file has none.
    spans: &'s [u64],
    /// As `spans`.
    traces: &'s [u128],
}

impl Wanted<'_> {
    /// Calls `f` with the stack and the value of every wanted sample.
    pub(crate) fn each(&self, mut f: impl FnMut(u32, i64) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut samples = self.stacks.iter().zip(self.values);
        if self.links.is_empty() {
            return samples.try_for_each(|(stack, value)| f(*stack as u32, *value));
        }
        for (i, (stack, value)) in samples.enumerate() {
            let (span, trace) = self.ids(i);
            if self.links.hold(span, trace) {
                f(*stack as u32, *value)?;
            }
        }
        Ok(())
    }

    /// Calls `f` with the span, the trace (0: none) and the value of every wanted sample with a span. Only of a scan that
    /// was asked to look at ids.
    pub(crate) fn each_span(&self, mut f: impl FnMut(u64, u128, i64)) {
        for (i, value) in self.values.iter().enumerate() {
            let (span, trace) = self.ids(i);
            if span != 0 && self.links.hold(span, trace) {
                f(span, trace, *value);
            }
        }
    }

    fn ids(&self, i: usize) -> (u64, u128) {
        (self.spans.get(i).copied().unwrap_or(0), self.traces.get(i).copied().unwrap_or(0))
    }
}

/// Which ids of samples a scan reads beside stacks and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Those that samples are chosen by.
    AsFiltered,
    All,
}

impl Block {
    /// Goes through the samples (or sums of a roll-up) of `ranges`, which climb; `visit` gets the state, the range's position and samples, some
    /// thousand at a time.
    pub(crate) async fn scan<S: Send + 'static>(
        &self,
        table: Table,
        ranges: &[Range<u64>],
        filter: &Filter<'_>,
        ids: Ids,
        mut state: S,
        visit: impl Fn(&mut S, usize, Wanted<'_>) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Result<S, Fault> {
        let mut paths = vec!["stacktrace_id", "value"];
        let wanted = |filtered: bool| filtered || ids == Ids::All;
        paths.extend(wanted(filter.links().looks_at_spans()).then_some("span_id"));
        paths.extend(wanted(filter.links().looks_at_traces()).then_some("trace_id"));
        let visit = std::sync::Arc::new(visit);
        for portion in portions(ranges) {
            let rows: Vec<_> = portion.iter().map(|(_, r)| r.clone()).collect();
            let columns = self.columns(table, &paths, &rows).await?;
            let (links, visit) = (filter.links().clone(), visit.clone());
            state = blocking(move || {
                let columns = columns.check()?;
                let mut scan = Scan::new(&columns, &links, ids);
                for (i, rows) in portion {
                    scan.range(rows, |wanted| visit(&mut state, i, wanted))?;
                }
                Ok(state)
            })
            .await?;
        }
        Ok(state)
    }
}

/// Cuts ranges into lots of at most [`FETCH_ROWS`]; each part keeps the position of its range.
fn portions(ranges: &[Range<u64>]) -> Vec<Vec<(usize, Range<u64>)>> {
    let mut lots: Vec<Vec<(usize, Range<u64>)>> = Vec::new();
    let mut left = 0;
    for (i, range) in ranges.iter().enumerate() {
        let mut at = range.start;
        while at < range.end {
            if left == 0 {
                lots.push(Vec::new());
                left = FETCH_ROWS;
            }
            let end = range.end.min(at + left);
            if let Some(lot) = lots.last_mut() {
                lot.push((i, at..end));
            }
            left -= end - at;
            at = end;
        }
    }
    lots
}

struct Scan<'c> {
    columns: &'c Checked,
    links: &'c Links,
    ids: Ids,
    stack: Option<Cursor<Int32Type>>,
    value: Option<Cursor<Int64Type>>,
    span: Option<Cursor<FixedLenByteArrayType>>,
    trace: Option<Cursor<FixedLenByteArrayType>>,
    stacks: Decoded<i32>,
    values: Decoded<i64>,
    spans: Vec<u64>,
    traces: Vec<u128>,
}

impl<'c> Scan<'c> {
    fn new(columns: &'c Checked, links: &'c Links, ids: Ids) -> Self {
        Scan {
            columns,
            links,
            ids,
            stack: None,
            value: None,
            span: None,
            trace: None,
            stacks: Decoded { values: Vec::new(), there: Vec::new(), again: Vec::new() },
            values: Decoded { values: Vec::new(), there: Vec::new(), again: Vec::new() },
            spans: Vec::new(),
            traces: Vec::new(),
        }
    }

    fn range(&mut self, rows: Range<u64>, mut visit: impl FnMut(Wanted<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let columns = self.columns;
        for (group, rows) in columns.footer().by_group(&rows) {
            let mut at = rows.start;
            while at < rows.end {
                let n = DECODE_ROWS.min(rows.end - at);
                self.stacks.values.clear();
                self.values.values.clear();
                Cursor::at(&mut self.stack, columns, "stacktrace_id", group, at)?.read(n, &mut self.stacks)?;
                Cursor::at(&mut self.value, columns, "value", group, at)?.read(n, &mut self.values)?;
                self.read_links(group, at, n)?;
                visit(Wanted {
                    stacks: &self.stacks.values,
                    values: &self.values.values,
                    links: self.links,
                    spans: &self.spans,
                    traces: &self.traces,
                })?;
                at += n;
            }
        }
        Ok(())
    }

    /// Ids of the same rows; a file without the column has none.
    fn read_links(&mut self, group: usize, at: u64, n: u64) -> Result<(), Fault> {
        self.spans.clear();
        self.traces.clear();
        let wanted = |filtered: bool| filtered || self.ids == Ids::All;
        if wanted(self.links.looks_at_spans()) && self.columns.has("span_id") {
            let ids = optional_ids(&mut self.span, self.columns, "span_id", group, at, n)?;
            for id in ids {
                self.spans.push(id.map_or(Ok(0), |id| Ok(u64::from_be_bytes(bytes(&id, self.columns)?)))?);
            }
        }
        if wanted(self.links.looks_at_traces()) && self.columns.has("trace_id") {
            let ids = optional_ids(&mut self.trace, self.columns, "trace_id", group, at, n)?;
            for id in ids {
                self.traces.push(id.map_or(Ok(0), |id| Ok(u128::from_be_bytes(bytes(&id, self.columns)?)))?);
            }
        }
        Ok(())
    }
}

fn optional_ids(
    cursor: &mut Option<Cursor<FixedLenByteArrayType>>,
    columns: &Checked,
    path: &str,
    group: usize,
    at: u64,
    n: u64,
) -> Result<Vec<Option<FixedLenByteArray>>, Fault> {
    let mut out = Decoded { values: Vec::new(), there: Vec::new(), again: Vec::new() };
    Cursor::at(cursor, columns, path, group, at)?.read(n, &mut out)?;
    Ok(out.optional())
}

fn bytes<const N: usize>(id: &FixedLenByteArray, columns: &Checked) -> Result<[u8; N], Fault> {
    <[u8; N]>::try_from(id.data()).map_err(|_| corrupt(columns.name(), "an id has another length than its column"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lot_is_larger_than_a_fetch_and_nothing_is_lost() {
        let lots = portions(&[0..10, 10..10, 20..20 + 2 * FETCH_ROWS, 30 + 2 * FETCH_ROWS..31 + 2 * FETCH_ROWS]);
        assert!(lots.iter().all(|lot| lot.iter().map(|(_, r)| r.end - r.start).sum::<u64>() <= FETCH_ROWS));
        let rows: Vec<_> = lots.concat();
        assert_eq!(rows.first(), Some(&(0, 0..10)));
        assert_eq!(rows.iter().map(|(_, r)| r.end - r.start).sum::<u64>(), 11 + 2 * FETCH_ROWS);
        assert!(rows.iter().all(|(i, _)| *i != 1));
    }
}
