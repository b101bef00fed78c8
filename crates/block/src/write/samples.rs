//! samples.parquet. Hot; measured by `benches/block.rs`.

use flamestore_model::Fault;
use parquet::data_type::ByteArray;

use crate::layout::{Optional, Table};
use crate::write::input::ProfileInput;
use crate::write::runs::{MAX_GROUP_ROWS, Run, Survey, groups};
use crate::write::series::changed;
use crate::write::table::{Encoded, Manner, TableWriter};

const VALUE: usize = 3;

/// What a row group is for.
struct Planned {
    dictionary: bool,
    profiles: u64,
}

pub(crate) struct Samples {
    table: TableWriter,
    spans: bool,
    traces: bool,
    planned: std::vec::IntoIter<Planned>,
    dictionary: bool,
    /// Profiles still to come of what was planned together.
    left: u64,
    /// Samples in the open row group.
    written: u64,
}

impl Samples {
    pub(crate) fn new(surveys: &[Survey], manner: &Manner) -> Result<Self, Fault> {
        let spans = surveys.iter().any(|s| s.spans);
        let traces = surveys.iter().any(|s| s.traces);
        let table = TableWriter::with(Table::Samples, manner, Optional { spans, traces, ..Optional::default() })?;
        let runs: Vec<&Run> = surveys.iter().flat_map(|s| &s.runs).collect();
        let planned = groups(runs.iter().map(|run| run.samples)).into_iter().map(|group| {
            let runs = &runs[group];
            Planned {
                dictionary: runs.iter().all(|run| run.few_values),
                profiles: runs.iter().map(|run| run.profiles).sum(),
            }
        });
        let planned = planned.collect::<Vec<_>>().into_iter();
        Ok(Samples { table, spans, traces, planned, dictionary: false, left: 0, written: 0 })
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    /// `row` is that of the profile.
    pub(crate) fn profile(&mut self, service: &ByteArray, row: u32, profile: &ProfileInput<'_>) -> Result<(), Fault> {
        if self.left == 0 {
            let next = self.planned.next().ok_or_else(changed)?;
            (self.dictionary, self.left) = (next.dictionary, next.profiles);
            self.written = MAX_GROUP_ROWS;
        }
        // What is too large for one row group is cut between profiles.
        if self.written >= MAX_GROUP_ROWS {
            self.table.open(if self.dictionary { &[VALUE] } else { &[] })?;
            self.written = 0;
        }
        let n = profile.stacks.len();
        self.left -= 1;
        self.written += n as u64;
        let g = self.table.group()?;
        g.same_text(0, service, n);
        g.same_u32(1, row, n);
        g.u32s(2, profile.stacks);
        g.i64s(VALUE, profile.values);
        if self.spans {
            for i in 0..n {
                let span = profile.span_ids.get(i).copied().unwrap_or(0);
                g.there(4, span != 0);
                if span != 0 {
                    g.fixed(4, &span.to_be_bytes());
                }
            }
        }
        if self.traces {
            let column = 4 + usize::from(self.spans);
            for i in 0..n {
                let trace = profile.trace_ids.get(i).copied().unwrap_or(0);
                g.there(column, trace != 0);
                if trace != 0 {
                    g.fixed(column, &trace.to_be_bytes());
                }
            }
        }
        g.rows(n)
    }

    pub(crate) fn finish(self) -> Result<Encoded, Fault> {
        self.table.finish()
    }
}
